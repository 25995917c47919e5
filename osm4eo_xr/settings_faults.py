"""Mistakes in the tables that users write, each told in one line that names its place."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from osm4eo_xr.errors import InputError


class FaultError(ValueError):
    """What is wrong in a table, before it is known where the table stands.

    ``key`` is the one in the table, if it is not the whole of it; ``lead`` and ``tail`` stand
    before and after the name of the place.
    """

    def __init__(
        self, tail: str, expected: str, advice: str = "", *, lead: str = "", key: str = ""
    ) -> None:
        super().__init__(tail)
        self.tail, self.expected, self.advice = tail, expected, advice
        self.lead, self.key = lead, key


def told(error: Exception, table: object, source: str) -> InputError:
    """Return the first mistake of a tree of errors as one line that names its place."""
    place, note, here = "", "", table
    while (inner := getattr(error, "exceptions", None)) is not None:
        cls, error = getattr(error, "cl", None), inner[0]
        step = _step(error)
        if isinstance(step, int):
            here = here[step] if isinstance(here, list | tuple) else here
            place, note = f"{place}[{step}]", _number(step, here) or note
        elif step is not None:
            key = _key_of(cls, step)
            place, here = _join(place, key), here[key] if isinstance(here, Mapping) else here
    if isinstance(error, FaultError):
        place = _join(place, error.key)
        given = f"{source}: {error.lead}{place}{error.tail}" if place else f"{source}{error.tail}"
    elif isinstance(error, InputError):
        given = f"{source}: [{place}] {error.given}" if place else f"{source}: {error.given}"
    else:
        raise error
    advice = "; ".join(part for part in (error.advice, note) if part)
    return InputError(given, expected=error.expected, advice=advice)


def keys_of(cls: Any) -> dict[str, str]:
    """Return the name of the field of each key."""
    return {f.metadata.get("key", f.name): f.name for f in dataclasses.fields(cls)}


def _step(error: Exception) -> str | int | None:
    """Return the field or the place in a list that cattrs notes on an error."""
    from cattrs.errors import AttributeValidationNote, IterableValidationNote

    for note in getattr(error, "__notes__", ()):
        if isinstance(note, AttributeValidationNote):
            return note.name
        if isinstance(note, IterableValidationNote):
            return note.index
    return None


def _key_of(cls: Any, name: str) -> str:
    """Return the key of a field; in a table of any keys, its own."""
    if not dataclasses.is_dataclass(cls):
        return name
    return next(key for key, field in keys_of(cls).items() if field == name)


def _join(place: str, key: str) -> str:
    return f"{place}.{key}" if place and key else place or key


def _number(index: int, item: object) -> str:
    """Say which of several tables is meant, by its name or by what it begins with."""
    if not isinstance(item, Mapping) or not item:
        return ""
    key = "name" if "name" in item else next(iter(item))
    return f"it is number {index + 1}, with {key} = {item[key]!r:.40}"
