"""The figures of a report on accuracy that travel with a model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from osm4eo_xr.errors import InputError
from osm4eo_xr.models.exchange.entries import ModelAccuracy

_OVERALL = "overall_accuracy"
_PER_CLASS = ("producers_accuracy", "users_accuracy")


def published_accuracy(report: object) -> ModelAccuracy:
    """Return what a report says of a model, or of a map that it made.

    Parameters
    ----------
    report : report, mapping or path
        What ``evaluate`` or ``assess`` returns, its ``to_dict()``, or the file it was saved as;
        of a file with several, ``FILE#TABLE``, and ``FILE#TABLE.TABLE`` for one in a table.

    Raises
    ------
    InputError
        If it holds no overall accuracy, or holds several reports.
    """
    tree, source = _read(report)
    tree = _one_of(tree, source)
    overall = tree[_OVERALL]
    shown: dict[str, Any] = dict(overall) if isinstance(overall, Mapping) else {"value": overall}
    limits = tree.get("overall_interval") or shown
    try:
        return ModelAccuracy(
            of=str(tree.get("name") or source),
            value=float(shown["value"]),
            total=int(tree["total"]),
            low=_share(limits.get("low")),
            high=_share(limits.get("high")),
            interval=str(limits.get("method") or tree.get("intervals") or ""),
            caution=str(tree.get("caution") or ""),
            classes=_classes(tree["classes"]),
        )
    except InputError as error:
        raise error.within(source) from None
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise InputError(
            f"{source} is no whole report on accuracy ({type(error).__name__}: {error})",
            advice="give what evaluate, train or assess has written",
        ) from None


def _read(report: object) -> tuple[Mapping[str, Any], str]:
    """Return a report as plain types, and what it is called in messages."""
    if isinstance(report, Mapping):
        return report, "accuracy"
    if not isinstance(report, str | Path):
        return report.to_dict(), "accuracy"  # type: ignore[attr-defined]
    name, _, table = str(report).partition("#")
    path = Path(name)
    try:
        tree = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(
            f"no report {path}", advice="give a JSON file of evaluate or assess"
        ) from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not JSON: {error}") from None
    for key in filter(None, table.split(".")):
        if not isinstance(tree, dict) or key not in tree:
            known = ", ".join(tree) if isinstance(tree, dict) else ""
            raise InputError(f"{path} has no table {key!r} there", expected=known and f"of {known}")
        tree = tree[key]
    if not isinstance(tree, dict):
        raise InputError(f"{report} holds a {type(tree).__name__}", expected="a report on accuracy")
    return tree, str(report)


def _one_of(tree: Mapping[str, Any], source: str) -> Mapping[str, Any]:
    """Return the report that a file holds, at its top or in one of its tables."""
    if _OVERALL in tree:
        return tree
    inner = {
        name: part for name, part in tree.items() if isinstance(part, Mapping) and _OVERALL in part
    }
    if len(inner) != 1:
        raise InputError(
            f"{source} holds {len(inner)} reports on accuracy"
            + (f": {', '.join(inner)}" if inner else ""),
            expected="one, with an overall accuracy",
            advice="name the table that is meant, FILE#TABLE, or FILE#TABLE.TABLE inside another",
        )
    [(name, part)] = inner.items()
    return {"name": name, **part} if not part.get("name") else part


def _classes(rows: Any) -> dict[str, dict[str, float | None]]:
    """Return both accuracies of each class that was seen."""
    found = {str(row["slug"]): {key: _share(row.get(key)) for key in _PER_CLASS} for row in rows}
    return {slug: pair for slug, pair in found.items() if any(v is not None for v in pair.values())}


def _share(value: Any) -> float | None:
    """Return a share, with or without its interval, as a number."""
    value = value.get("value") if isinstance(value, Mapping) else value
    return None if value is None else round(float(value), 6)
