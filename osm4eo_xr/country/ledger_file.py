"""``ledger.json``: read with distrust, written whole, set aside if it is no ledger."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from pathlib import Path, PurePath
from typing import Any

from osm4eo_xr.files import replace_text

LEDGER_FILE = "ledger.json"

_VERSION = 1

logger = logging.getLogger(__name__)


def read_tree(path: Path) -> dict[str, Any] | None:
    """Return what a ledger says; nothing yet if there is none, None if the file is no ledger."""
    try:
        tree = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (ValueError, RecursionError):  # no UTF-8, no JSON, no end of brackets
        return None
    return tree if _is_ledger(tree) else None


def write_tree(tree: dict[str, Any], path: Path) -> None:
    """Write a ledger beside its place and rename it."""
    replace_text(path, json.dumps({"version": _VERSION, **tree}, indent=1, sort_keys=True))


def set_aside(path: Path) -> Path:
    """Rename a file that is no ledger, say so in one line, and return its new path."""
    now = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%f")
    aside = path.with_name(f"{path.name}.set-aside-{now}")
    path.rename(aside)
    logger.warning(
        "%s is damaged or of another version; it is kept as %s, and all is made again",
        path,
        aside.name,
    )
    return aside


def _is_ledger(tree: Any) -> bool:
    """Whether a tree has the version and types of a ledger and names nothing outside its folder."""
    match tree:
        case {"version": version, "pieces": dict(pieces), "begun": dict(begun), "inputs": dict(i)}:
            return (
                version == _VERSION
                and all(map(_is_record, pieces.values()))
                and all(map(_are_products, begun.values()))
                and all(map(_is_seen, i.values()))
            )
    return False


def _is_record(record: Any) -> bool:
    match record:
        case {"key": str(), "files": dict(files), **more}:
            named = ([*files], more.get("outputs", []), more.get("earlier", []))
            return all(map(_are_products, named)) and all(map(_is_seen, files.values()))
    return False


def _is_seen(seen: Any) -> bool:
    match seen:
        case {"stamp": [int(), int()], "sha256": str()}:
            return True
    return False


def _are_products(names: Any) -> bool:
    """Whether these are paths below the ledger's folder."""
    return isinstance(names, list) and all(
        isinstance(n, str) and n and not PurePath(n).is_absolute() and ".." not in PurePath(n).parts
        for n in names
    )
