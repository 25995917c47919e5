"""Settings classes as people and editors read them: what fields mean, templates, JSON schemas."""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
import textwrap
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

_FIELDS = re.compile(r"^(\w+(?:, \w+)*)(?: : .*)?\n((?:[ \t]+.*\n?)+)", re.MULTILINE)
_BARE_KEY = re.compile(r"[\w-]+", re.ASCII)
_DELETE = "\x7f"  # which JSON takes as it is, and TOML escaped alone
_WIDTH = 96  # characters of a comment
_JSON = {bool: "boolean", int: "integer", float: "number", str: "string"}

PRESET = "preset"
"""The key, and the option, that names a preset."""


@dataclass(frozen=True)
class Presets:
    """Values for several fields at once, by name; a settings class offers them as ``PRESETS``.

    Attributes
    ----------
    text : str
        What they are for: the help of the option and the comment on the key.
    values : mapping of str to mapping
        What each changes of the defaults. The first changes nothing.
    """

    text: str
    values: Mapping[str, Mapping[str, Any]]

    @property
    def names(self) -> list[str]:
        """The names, first that of the defaults."""
        return list(self.values)

    def changed(self, name: str, changes: Mapping[str, Any]) -> dict[str, Any]:
        """Return the values of a preset where nothing else is given for a field."""
        return {**self.values[name], **changes}


def presets_of(settings: type) -> Presets | None:
    """Return the presets of a settings class, if it has any."""
    return getattr(settings, "PRESETS", None)


def field_texts(settings: type) -> dict[str, str]:
    """Return what a dataclass's docstring says of each field, in the order of the docstring."""
    text = inspect.cleandoc(settings.__doc__ or "")
    found = _FIELDS.finditer(text)
    return {name: " ".join(m[2].split()) for m in found for name in m[1].split(", ")}


def table_of(hint: Any) -> tuple[Any, bool]:
    """Return the dataclass that a field holds, if it does, and whether it holds several."""
    inner = [a for a in typing.get_args(hint) if dataclasses.is_dataclass(a)]
    if dataclasses.is_dataclass(hint):
        return hint, False
    return (inner[0], typing.get_origin(hint) is tuple) if inner else (None, False)


def toml_value(value: Any) -> str:
    """Return a plain value, or a list of such, as TOML writes it."""
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(toml_value, value))}]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_toml_key(k)} = {toml_value(v)}" for k, v in value.items()) + "}"
    text = json.dumps(str(value) if isinstance(value, date) else value, ensure_ascii=False)
    return text.replace(_DELETE, "\\u007f")


def _toml_key(name: str) -> str:
    """Return a key as TOML writes it, in quotes where it has to be."""
    return name if _BARE_KEY.fullmatch(name) else toml_value(name)


def template(settings: type, given: Mapping[str, Any], *, omit: frozenset[str]) -> str:
    """Return a TOML file that states what is given, and all other keys as comments.

    A table that changes something by being there is a comment as well.

    Parameters
    ----------
    settings : type
        A dataclass whose fields are the keys; fields that are dataclasses are tables.
    given : mapping
        Values of keys; mappings for tables, lists of them where a table may stand several times.
    omit : frozenset of str
        Keys that do not belong there, with their table's: ``"train.seed"``.
    """
    return "\n".join(_template(settings, given, "", omit)) + "\n"


def _template(
    settings: Any, given: Mapping[str, Any], place: str, omit: frozenset[str]
) -> Iterator[str]:
    hints, texts, tables = typing.get_type_hints(settings), field_texts(settings), []
    if presets := presets_of(settings):
        yield from _key(PRESET, presets.names[0], presets.text, given)
    for field in dataclasses.fields(settings):
        name = f"{place}.{field.name}".strip(".")
        table, many = table_of(hints[field.name])
        if table is not None:
            off = field.default in (None, ()) and field.name not in given
            tables.append((name, table, many, given.get(field.name), "# " if off else ""))
        elif name not in omit:
            yield from _key(field.name, field.default, texts.get(field.name, ""), given)
    for name, table, many, values, off in tables:
        for each in values if many and values is not None else [values or {}]:
            yield from ("", off + (f"[[{name}]]" if many else f"[{name}]"))
            yield from _template(table, each, name, omit)


def _key(name: str, default: Any, text: str, given: Mapping[str, Any]) -> Iterator[str]:
    """Yield a key's comment and, commented out unless it is given, its line."""
    plain = text.replace("``", "")
    yield from textwrap.wrap(
        plain, _WIDTH, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False
    )
    if name in given:
        yield f"{name} = {toml_value(given[name])}"
    elif default is None or default is dataclasses.MISSING:
        yield f"# {name} ="
    else:
        yield f"# {name} = {toml_value(default)}"


def json_schema(settings: Any) -> dict[str, Any]:
    """Return the JSON schema (draft 2020-12) of a settings class, for editors.

    A single value may stand for a list of one, as ``settings_io.build`` reads it.
    """
    hints, texts = typing.get_type_hints(settings), field_texts(settings)
    fields, presets = dataclasses.fields(settings), presets_of(settings)
    first = {PRESET: {"enum": presets.names, "description": presets.text}} if presets else {}
    schema: dict[str, Any] = {
        "type": "object",
        "description": (settings.__doc__ or "").strip().splitlines()[0],
        "additionalProperties": False,
        "properties": first
        | {
            f.name: _schema_of(hints[f.name]) | {"description": texts.get(f.name, "")}
            for f in fields
        },
    }
    missing = dataclasses.MISSING
    needed = [f.name for f in fields if f.default is missing and f.default_factory is missing]
    return schema | ({"required": needed} if needed else {})


def _schema_of(hint: Any) -> dict[str, Any]:
    """Return the schema of a field's type."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if dataclasses.is_dataclass(hint):
        return json_schema(hint)
    if origin is Literal:
        return {"enum": list(args)}
    if origin is tuple:
        one = _schema_of(args[0])
        return {"anyOf": [one, {"type": "array", "items": one}]}
    if origin in (dict, Mapping):
        return {"type": "object", "additionalProperties": _schema_of(args[1])}
    if type(None) in args:
        return _schema_of(next(a for a in args if a is not type(None)))
    return {"type": _JSON[hint]}
