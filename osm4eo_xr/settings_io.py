"""Tables that users write → frozen settings: one reader, one line per mistake.

cattrs walks the tables and says where a value is wrong; the hooks here say what each type takes.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import tomllib
import typing
from collections.abc import Callable, Iterable, Mapping
from datetime import date
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, TypeVar

from osm4eo_xr.errors import InputError
from osm4eo_xr.settings_faults import FaultError, keys_of, told
from osm4eo_xr.settings_text import PRESET, presets_of

if TYPE_CHECKING:
    from cattrs import Converter

T = TypeVar("T")

_LIKE = 0.5  # least likeness, 0 to 1, of a key to the one that was meant
_SHOWN = 60  # characters of a value in a message


class Reads(NamedTuple):
    """How a field is written where not as its own type: ``Annotated[int, Reads(…)]``.

    Attributes
    ----------
    read : callable
        Turns what is written into the field's value; raises ValueError, TypeError, LookupError or
        AttributeError where it cannot.
    expected : str
        What it takes, a noun phrase.
    """

    read: Callable[[Any], Any]
    expected: str


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
        raise InputError(f"no {kind} file {path}", advice="give the path of a TOML file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not a TOML file: {error}") from None


def build(cls: type[T], table: object, source: str, *, complete: bool = False) -> T:
    """Build settings from a table of plain types, as TOML, YAML or JSON give them.

    A whole number may stand for a float, a single value for a list of one, a day for its text.

    Parameters
    ----------
    cls : type
        A dataclass. Its fields are the table's keys and may be dataclasses themselves; a field
        whose name cannot be the key has the key in its metadata, as ``"key"``. A mapping ``ALSO``
        of the class leads from other tools' words, which are not read, to its keys. Where it has
        ``PRESETS``, the key ``preset`` names one, and the other keys change it.
    table : mapping
        What the user wrote.
    source : str
        The file, which begins every message.
    complete : bool
        Every key must be there, also where its field has a default.

    Raises
    ------
    InputError
        If a key is unknown (the message names the nearest), is missing or holds a wrong type, or if
        the class refuses the values. The message names the first such key.
    """
    from cattrs.errors import BaseValidationError

    try:
        return _converter(complete=complete).structure(table, cls)
    except (BaseValidationError, FaultError, InputError) as error:
        raise told(error, table, source) from None


@cache
def _converter(*, complete: bool) -> Converter:
    """Return a converter whose hooks take what is of the right type and nothing else."""
    from cattrs import Converter

    converter = Converter()
    for kind in _PLAIN:
        converter.register_structure_hook(kind, _read_plain)
    factory = converter.register_structure_hook_factory
    factory(lambda kind: typing.get_origin(kind) is Literal, _literal)
    factory(lambda kind: typing.get_origin(kind) is tuple, _list)
    factory(lambda kind: typing.get_origin(kind) in (dict, Mapping), _mapping)
    factory(lambda kind: _reads(kind) is not None, _written)
    factory(dataclasses.is_dataclass, lambda kind, via: _table(kind, via, complete=complete))
    return converter


def _table(cls: Any, via: Converter, *, complete: bool) -> Callable[[Any, Any], Any]:
    """Read a table into a dataclass."""
    from cattrs.gen import make_dict_structure_fn, override

    keys, hints = keys_of(cls), typing.get_type_hints(cls, include_extras=True)
    fields: dict[str, Any] = {
        name: override(
            rename=key, struct_hook=lambda v, _, kind=hints[name]: via.structure(v, kind)
        )
        for key, name in keys.items()  # cattrs itself would drop what annotations add to a type
    }
    structure = make_dict_structure_fn(cls, via, **fields)
    words = getattr(cls, "ALSO", {})
    needed = [key for key, name in keys.items() if complete or _is_required(cls, name)]

    def read(table: Any, kind: Any) -> Any:
        _refuse(not isinstance(table, Mapping), table, "a table of settings")
        table = _with_preset(cls, table)
        for key in table:
            if key not in keys:
                near = words.get(_plainly(key)) or nearest(key, keys)
                all_of = "" if near else f"one of {', '.join(keys)}"
                advice = near and f"did you mean {near}?"
                raise FaultError("", all_of, advice, lead="unknown key ", key=str(key))
        for key in needed:
            if key not in table:
                raise FaultError(" is missing", "", "add it", lead="key ", key=key)
        return structure(table, kind)

    return read


def _with_preset(cls: type, table: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a table with the values of the preset that it names."""
    presets = presets_of(cls)
    if presets is None or PRESET not in table:
        return table
    _refuse_unknown(table[PRESET], presets.names, PRESET)
    return presets.changed(table[PRESET], {k: v for k, v in table.items() if k != PRESET})


def _list(kind: Any, via: Converter) -> Callable[[Any, Any], Any]:
    """Read a list, or a single value as a list of one; all items of a tuple are of one type."""
    from cattrs.cols import list_structure_factory

    items, *more = typing.get_args(kind)
    length = None if more == [...] else 1 + len(more)
    structure = list_structure_factory(list[items], via)

    def read(value: Any, _: Any) -> tuple[Any, ...]:
        given = value if isinstance(value, list | tuple) else [value]
        _refuse(value is None, value, "a list", "leave it out or give a value")
        _refuse(length not in (None, len(given)), value, f"a list of {length}")
        return tuple(structure(given, list))

    return read


def _mapping(kind: Any, via: Converter) -> Callable[[Any, Any], Any]:
    """Read a table of any keys."""
    from cattrs.gen import mapping_structure_factory

    structure = mapping_structure_factory(kind, via)

    def read(value: Any, kind: Any) -> Any:
        _refuse(not isinstance(value, Mapping), value, "a table, NAME: value")
        return structure(value, kind)

    return read


def _literal(kind: Any, _: Converter) -> Callable[[Any, Any], Any]:
    """Read one of a few words or numbers."""
    known = typing.get_args(kind)

    def read(value: Any, _: Any) -> Any:
        _refuse_unknown(value, known)
        return value

    return read


def _refuse_unknown(value: Any, known: Iterable[Any], key: str = "") -> None:
    """Refuse what is none of the known values; ``key`` is that of the table at fault."""
    if any(type(k) is type(value) and k == value for k in known):
        return
    near = nearest(value, [k for k in known if isinstance(k, str)])
    expected = f"one of {', '.join(map(repr, known))}"
    raise FaultError(_is(value), expected, near and f"did you mean {near!r}?", key=key)


def _written(kind: Any, _: Converter) -> Callable[[Any, Any], Any]:
    """Read what its own function reads."""
    written = _reads(kind)

    def read(value: Any, _: Any) -> Any:
        try:
            return written.read(value)
        except (ValueError, TypeError, LookupError, AttributeError, OverflowError):
            raise FaultError(_is(value), written.expected) from None

    return read


def _reads(kind: Any) -> Any:
    """Return how an annotated type is written, if it says so."""
    said = kind.__metadata__ if typing.get_origin(kind) is Annotated else ()
    return next((m for m in said if isinstance(m, Reads)), None)


def _read_plain(value: Any, kind: Any) -> Any:
    """Read text, a number or true and false."""
    accepted, expected = _PLAIN[kind]
    if kind is str and isinstance(value, date):
        return value.isoformat()[:10]
    _refuse(value is None, value, expected, "leave it out or give a value")
    wrong = not isinstance(value, accepted) or (isinstance(value, bool) and kind is not bool)
    _refuse(wrong, value, expected)
    if kind is float:
        try:
            finite = math.isfinite(value)
        except OverflowError:  # a whole number beyond all floats
            finite = False
        _refuse(not finite, value, "a finite number")
    return kind(value)


_PLAIN: dict[type, tuple[Any, str]] = {
    bool: (bool, "true or false"),
    int: (int, "a whole number"),
    float: ((int, float), "a number"),
    str: (str, "text (in quotes)"),
}


def _refuse(wrong: bool, value: object, expected: str, advice: str = "") -> None:  # noqa: FBT001 - a check
    if wrong:
        raise FaultError(_is(value), expected, advice)


def _is(value: object) -> str:
    text = "empty" if value is None else repr(value)
    return f" is {text[:_SHOWN]}{'…' if len(text) > _SHOWN else ''}"


def _plainly(key: object) -> str:
    """Return a key as Python names it: ``cpus_per_task`` of ``--cpus-per-task``."""
    return str(key).strip("-").replace("-", "_").casefold()


def _is_required(cls: Any, name: str) -> bool:
    item = next(f for f in dataclasses.fields(cls) if f.name == name)
    return item.default is item.default_factory is dataclasses.MISSING


def check_value(holds: bool, key: str, value: object, expected: str) -> None:  # noqa: FBT001 - reads as a sentence
    """Refuse a setting that does not hold what is expected of it.

    Raises
    ------
    InputError
        With the key, its value and what is expected.
    """
    if not holds:
        raise InputError(f"{key} = {value!r}", expected=expected)


def nearest(word: object, known: Iterable[str], like: float = _LIKE) -> str:
    """Return the known word that was meant, or nothing; ``like`` is 1 for the same word."""
    return next(iter(difflib.get_close_matches(str(word), known, n=1, cutoff=like)), "")
