"""TOML files that users write."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from osm4eo_xr.errors import InputError


def read_toml(path: Path, kind: str) -> dict[str, Any]:
    """Read a TOML file; ``kind`` ("legend") is what it is called where it is missing.

    Raises
    ------
    InputError
        If it is missing or is not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))  # editors may begin with a BOM
    except FileNotFoundError:
        raise InputError(f"no {kind} file {path}; give the path of a TOML file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not a TOML file: {error}") from None
