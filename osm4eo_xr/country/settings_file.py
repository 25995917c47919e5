"""A country file → its settings, checked key by key."""

from __future__ import annotations

import dataclasses
import difflib
import types
import typing
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any, Literal

from osm4eo_xr.country.settings import CountrySettings
from osm4eo_xr.errors import InputError
from osm4eo_xr.settings_io import read_toml


def read_country(path: str | Path) -> CountrySettings:
    """Read a country file.

    Raises
    ------
    InputError
        If it is missing or no TOML, or if a key is unknown, missing or wrong; the message names
        the key and, for an unknown one, the nearest that exists.
    """
    path = Path(path)
    return _build(CountrySettings, read_toml(path, "country"), path.name, "")


def _build(cls: type, table: Mapping[str, Any], file: str, where: str) -> Any:
    """Turn a table into a settings class."""
    known = {f.name: f for f in dataclasses.fields(cls)}
    for key in table:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]!r}?" if near else f"it may hold {', '.join(known)}"
            raise InputError(f"{file}: unknown key {where}{key}; {hint}")
    required = [n for n, f in known.items() if _is_required(f) and n not in table]
    if required:
        raise InputError(f"{file}: key {where}{required[0]} is missing; {cls.__name__} needs it")
    hints = typing.get_type_hints(cls)
    values = {k: _convert(hints[k], v, file, f"{where}{k}") for k, v in table.items()}
    try:
        return cls(**values)
    except InputError as error:
        table_of = where.rstrip(".")
        text = str(error) if str(error).startswith(table_of) else f"[{table_of}] {error}"
        raise InputError(f"{file}: {text}") from None


def _is_required(item: dataclasses.Field[Any]) -> bool:
    missing = dataclasses.MISSING
    return item.default is missing and item.default_factory is missing


def _convert(hint: Any, value: Any, file: str, where: str) -> Any:
    """Check one value against its annotation."""
    if isinstance(hint, types.UnionType):
        hint = next(a for a in typing.get_args(hint) if a is not types.NoneType)
    if dataclasses.is_dataclass(hint):
        if not isinstance(value, Mapping):
            raise InputError(f"{file}: {where} = {value!r} is not a table; write [{where}]")
        return _build(typing.cast("type", hint), value, file, f"{where}.")
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        if value not in arguments:
            allowed = ", ".join(repr(a) for a in arguments)
            raise InputError(f"{file}: {where} = {value!r}; choose one of {allowed}")
        return value
    if origin is tuple:
        items = value if isinstance(value, list) else [value]
        return tuple(_convert(arguments[0], item, file, where) for item in items)
    return _convert_plain(hint, value, file, where)


def _convert_plain(hint: type, value: Any, file: str, where: str) -> Any:
    """Check text and numbers; a day may be written as TOML's own date."""
    if hint is str and isinstance(value, date):
        return value.isoformat()[:10]
    accepted = (int, float) if hint is float else hint
    if not isinstance(value, accepted) or (isinstance(value, bool) and hint is not bool):
        raise InputError(f"{file}: {where} = {value!r} is not of type {hint.__name__}; correct it")
    return hint(value)
