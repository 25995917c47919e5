"""Crosswalks: which classes of another product mean the same ground as classes of a legend."""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

from osm4eo_xr.errors import InputError
from osm4eo_xr.legend import NO_DATA, Legend
from osm4eo_xr.settings_io import read_toml

__all__ = ["Crosswalk", "Group", "read_crosswalk"]

_CODES = 256


@dataclass(frozen=True)
class Group:
    """Classes of a legend and codes of another product that mean the same ground.

    Attributes
    ----------
    name : str
        What to call it.
    classes : tuple of int
        Class ids of the legend.
    codes : tuple of int
        Codes of the other product.
    """

    name: str
    classes: tuple[int, ...]
    codes: tuple[int, ...]


@dataclass(frozen=True)
class Crosswalk:
    """Groups that are compared, and why the rest is not.

    Attributes
    ----------
    title : str
        The other product.
    groups : tuple of Group
        No class and no code is in two of them.
    nodata : tuple of int
        Values of the other product that are no class.
    undecided : mapping of str to str
        Codes and slugs that are in no group, and why.
    """

    title: str
    groups: tuple[Group, ...]
    nodata: tuple[int, ...] = (NO_DATA,)
    undecided: Mapping[str, str] = field(default_factory=dict)

    @property
    def unused(self) -> int:
        """A code that means nothing, which any integers hold: for pixels that a file masks."""
        used = {code for group in self.groups for code in group.codes}.union(self.nodata)
        return next((code for code in range(127, 0, -1) if code not in used), _CODES - 1)


def read_crosswalk(given: str | Path | None, legend: Legend) -> Crosswalk:
    """Return a crosswalk to a legend.

    Parameters
    ----------
    given : str, path or None
        "worldcover", "dynamic-world", "clc" or "clcplus"; a TOML file with the same keys as a table
        of ``crosswalks.toml``; or None for a map of the same legend.
    legend : Legend
        The classes.

    Raises
    ------
    InputError
        If the file is missing or wrong, names a code twice, or in a group without ``why`` a class
        that the legend lacks.
    """
    if given is None:
        groups = tuple(Group(c.slug, (c.id,), (c.id,)) for c in legend.classes)
        return Crosswalk("map of the same legend", groups)
    built_in = tomllib.loads(files("osm4eo_xr.accuracy").joinpath("crosswalks.toml").read_text())
    if str(given) in built_in:
        return _build(built_in[str(given)], legend, str(given))
    if not Path(given).exists():
        raise InputError(
            f"no crosswalk {given}", expected=", ".join(built_in), advice="or give a TOML file"
        )
    return _build(read_toml(Path(given), "crosswalk"), legend, str(given))


def _build(table: Mapping[str, Any], legend: Legend, source: str) -> Crosswalk:
    """Turn a table into a crosswalk."""
    try:
        undecided = table.get("undecided", {})
        reasons = dict(undecided.get("codes", {}))
        groups = []
        for g in table["groups"]:
            if "why" in g and not all(legend.has(c) for c in g["classes"]):
                reasons |= {str(code): g["why"] for code in g["codes"]}
                continue
            ids = tuple(legend.find(c).id for c in g["classes"])
            groups.append(Group(g["name"], ids, tuple(g["codes"])))
        reasons |= {c: why for c, why in undecided.get("classes", {}).items() if legend.has(c)}
        found = Crosswalk(str(table["title"]), tuple(groups), tuple(table["nodata"]), reasons)
    except InputError as error:
        raise error.within(f"crosswalk {source}") from None
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"crosswalk {source} is incomplete ({error!r})",
            expected="title, nodata and groups with name, classes and codes",
        ) from None
    _check(found, source)
    return found


def _check(crosswalk: Crosswalk, source: str) -> None:
    """Refuse codes that are none, and what is in two groups."""
    codes = [code for group in crosswalk.groups for code in group.codes] + [*crosswalk.nodata]
    classes = [class_id for group in crosswalk.groups for class_id in group.classes]
    strange = [c for c in codes if not isinstance(c, int) or not 0 <= c < _CODES]
    if strange:
        raise InputError(f"crosswalk {source}: code {strange[0]!r}", expected="0 to 255")
    for what, values in (("code", codes), ("class", classes)):
        twice = [value for value, times in Counter(values).items() if times > 1]
        if twice:
            raise InputError(
                f"crosswalk {source} has {what} {twice[0]} more than once",
                advice="put it into one group",
            )
