"""Which land use and land cover of LUCAS mean which class, or why none can be named."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from osm4eo_xr.errors import InputError
from osm4eo_xr.legend import NO_DATA, Legend
from osm4eo_xr.settings_io import read_toml

__all__ = ["LucasRule", "class_of", "read_rules"]

_KEYS = {"cover", "use", "class", "why"}


@dataclass(frozen=True)
class LucasRule:
    """One rule.

    Attributes
    ----------
    cover, use : tuple of str
        Beginnings of codes that it is for; empty = all.
    class_id : int
        The class, or 0.
    why : str
        Why there is no class.
    """

    cover: tuple[str, ...]
    use: tuple[str, ...]
    class_id: int
    why: str

    def fits(self, cover: str, use: str) -> bool:
        """Whether it is for a point of these codes."""
        pairs = ((self.cover, cover), (self.use, use))
        return all(not starts or code.startswith(starts) for starts, code in pairs)


def read_rules(given: str | Path | None, legend: Legend) -> tuple[LucasRule, ...]:
    """Return the rules of a TOML file, by default those of ``classes.toml``.

    Raises
    ------
    InputError
        If the file is missing or wrong, or names a class that the legend lacks and no reason.
    """
    if given is None:
        text = files("osm4eo_xr.accuracy.lucas").joinpath("classes.toml").read_text("utf-8")
        table: Mapping[str, Any] = tomllib.loads(text)
    else:
        table = read_toml(Path(given), "crosswalk")
    source = "crosswalk of LUCAS" if given is None else str(given)
    rules = table.get("rules")
    if not isinstance(rules, list) or not rules:
        raise InputError(f"{source} has no rules", expected="rules = [{ cover, use, class }, …]")
    return tuple(_rule(rule, legend, f"{source}, rule {k}") for k, rule in enumerate(rules, 1))


def _rule(given: Any, legend: Legend, source: str) -> LucasRule:
    """Build a rule."""
    if not isinstance(given, dict) or set(given) - _KEYS or not {"class", "why"} & set(given):
        raise InputError(
            f"{source}: {given!r}", expected="cover and use as lists, and class or why"
        )
    lists = [given.get("cover", []), given.get("use", [])]
    if not all(isinstance(v, list) and all(isinstance(c, str) for c in v) for v in lists):
        raise InputError(f"{source}: {lists}", expected="cover and use as lists of codes in quotes")
    why = str(given.get("why", ""))
    decides = "class" in given and (not why or legend.has(given["class"]))
    try:
        class_id = legend.find(given["class"]).id if decides else NO_DATA
    except InputError as error:
        raise error.within(source) from None
    cover, use = (tuple(c.upper() for c in codes) for codes in lists)
    return LucasRule(cover, use, class_id, "" if decides else why)


def class_of(rules: Sequence[LucasRule], cover: str, use: str) -> tuple[int, str]:
    """Return the class id of a point and, if it is 0, why."""
    for rule in rules:
        if rule.fits(cover, use):
            return rule.class_id, rule.why
    return NO_DATA, f"no rule for land cover {cover or 'none'} with land use {use or 'none'}"
