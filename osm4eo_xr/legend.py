"""The legend: land-use classes, their CORINE codes, names and colors, and their OSM tags."""

from __future__ import annotations

import tomllib
from collections import Counter
from dataclasses import asdict, dataclass, field, fields
from functools import cache, cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any

from osm4eo_xr.errors import InputError
from osm4eo_xr.legend_entries import LandUseClass, LegendFile, TagRule, read_tables, rules_of
from osm4eo_xr.names import check_name
from osm4eo_xr.settings_io import read_toml
from osm4eo_xr.tables import html_table

NO_DATA = 0
"""Class id of unlabeled or missing pixels in every class raster."""

BUILT_IN = ("osmlanduse-12", "osmlanduse-13")
"""Legends that come with the package; the second has coastal wetlands (CLC 42) as class 13."""

CHANGE = "change"
"""The legend of the package for maps of ``detect_change``."""

PROBABILITY_SCALE = 250
"""A probability of 1 in uint8."""

PROBABILITY_NO_DATA = 255
"""No data in probabilities, confidence and margin."""

_MAX_ID = 249  # probabilities are scaled to 0-250 and 255 marks no data, so ids stay below
_SHOWN = 16  # classes in a repr


@dataclass(frozen=True)
class Legend:
    """An ordered set of classes and the tags that lead to them.

    Attributes
    ----------
    name : str
        Name of the legend.
    classes : tuple of LandUseClass
        Given in any order, held in ascending order of id.
    rules : tuple of TagRule
        Tags of OpenStreetMap; for one kind of geometry a tag belongs to one class, unless rules ask
        for other tags besides. They decide how labels are made, not
        what a class map means, so legends that differ only in rules are equal.
    source : str
        File it was read from, for error messages.

    Examples
    --------
    >>> import osm4eo_xr as oxr
    >>> legend = oxr.Legend("water and woods", oxr.default_legend().classes[7::4])
    >>> legend.ids, legend.find("water").clc
    ((8, 12), 5)
    """

    name: str
    classes: tuple[LandUseClass, ...]
    rules: tuple[TagRule, ...] = field(default=(), compare=False)
    source: str = field(default="", compare=False)

    def __repr__(self) -> str:
        """List the classes, 16 at most."""
        shown = self.classes[:_SHOWN]
        lines = [f"  {c.id:>3}  CLC {c.clc:<3}  {c.hex_color}  {c.slug}" for c in shown]
        more = len(self.classes) - len(shown)
        head = f"<Legend {self.name!r}: {len(self.classes)} classes, {len(self.rules)} tag rules>"
        return "\n".join([head, *lines, *([f"  and {more} more"] if more else [])])

    def _repr_html_(self) -> str:
        """Show the classes in their colors, with the number of tag rules that lead to each."""
        rules = Counter(r.class_id for r in self.rules)
        return html_table(
            f"Legend {self.name}",
            [[c.id, c.clc, c.slug, c.name, rules[c.id]] for c in self.classes],
            header=("id", "CLC", "layer", "name", "tag rules"),
            colors=[c.hex_color for c in self.classes],
        )

    def __post_init__(self) -> None:
        if not self.classes:
            raise InputError(f"legend {self.name!r} has no class", advice="give a [[class]] table")
        for attribute in ("id", "clc", "slug", "name"):
            counts = Counter(getattr(c, attribute) for c in self.classes)
            twice = [value for value, n in counts.items() if n > 1]
            if twice:
                raise InputError(
                    f"legend {self.name!r} gives {attribute} {twice[0]!r} to more than one class; "
                    f"each class needs its own"
                )
        for c in self.classes:
            check_name(c.slug, f"legend {self.name!r}: slug")
            if not NO_DATA < c.id <= _MAX_ID:
                raise InputError(
                    f"legend {self.name!r}: class {c.name!r} has id {c.id}",
                    advice=f"use 1 to {_MAX_ID}",
                )
        object.__setattr__(self, "classes", tuple(sorted(self.classes, key=lambda c: c.id)))
        _check_rules(self)

    @cached_property
    def ids(self) -> tuple[int, ...]:
        """Class ids in ascending order."""
        return tuple(c.id for c in self.classes)

    @cached_property
    def by_id(self) -> dict[int, LandUseClass]:
        """Classes by id."""
        return {c.id: c for c in self.classes}

    @cached_property
    def clc_to_id(self) -> dict[int, int]:
        """Class id of each CORINE code."""
        return {c.clc: c.id for c in self.classes}

    def find(self, layer: str | int) -> LandUseClass:
        """Return the class that ``layer`` names.

        Parameters
        ----------
        layer : str or int
            Slug or full name (any case), class id, or ``"clc:NN"`` for a CORINE code.

        Raises
        ------
        InputError
            If no class answers to it.
        """
        found = self._named(layer)
        if found is None:
            known = ", ".join(f"{c.id} {c.slug}" for c in self.classes)
            raise InputError(f"no class {layer!r} in legend {self.name!r}; it has {known}")
        return found

    def has(self, layer: str | int) -> bool:
        """Whether ``find`` finds a class."""
        return self._named(layer) is not None

    def _named(self, layer: str | int) -> LandUseClass | None:
        wanted = str(layer).strip().casefold()
        for c in self.classes:
            if wanted in {c.slug.casefold(), c.name.casefold(), str(c.id), f"clc:{c.clc}"}:
                return c
        return None

    def attrs(self) -> dict[str, Any]:
        """CF attributes of a class raster: ``flag_values``, ``flag_meanings``, ``flag_colors``."""
        return {
            "flag_values": list(self.ids),
            "flag_meanings": " ".join(c.slug for c in self.classes),
            "flag_colors": " ".join(c.hex_color for c in self.classes),
            "legend": self.name,
        }

    def to_dict(self) -> dict[str, Any]:
        """Return name and classes as plain JSON types; ``legend_from_dict`` reads them back."""
        classes = [asdict(c) | {"color": list(c.color)} for c in self.classes]
        return {"name": self.name, "classes": classes}


def legend_from_dict(tree: dict[str, Any], *, source: str = "") -> Legend:
    """Build a legend from the tables of a TOML or JSON file.

    Parameters
    ----------
    tree : dict
        ``name`` and a list of classes under ``class`` (TOML) or ``classes`` (JSON).
    source : str
        Where it came from, for error messages.

    Raises
    ------
    InputError
        If a key is missing, unknown or wrong; the message names the class.
    """
    return _legend(read_tables(tree, source), source)


def load_legend(path: str | Path) -> Legend:
    """Read a legend from a TOML file.

    Parameters
    ----------
    path : str or Path
        The file, or the name of a legend of the package: "osmlanduse-12", "osmlanduse-13", or
        "change" for maps of ``detect_change``.

    Raises
    ------
    InputError
        If the file is missing, is not TOML or does not describe a legend; if it bears the name of
        a legend of the package with other classes, so that its maps would be taken for that one's.

    Examples
    --------
    >>> import osm4eo_xr as oxr
    >>> oxr.load_legend("osmlanduse-13").classes[-1].name
    'Coastal wetlands'
    """
    path = Path(path)
    if str(path) == CHANGE:
        return change_legend()
    if str(path) in BUILT_IN:
        return default_legend(coastal=str(path) == BUILT_IN[1])
    legend = legend_from_dict(read_toml(path, "legend"), source=str(path))
    if is_built_in(legend.name) and _meaning(legend) != _meaning(load_legend(legend.name)):
        raise InputError(
            f"{path} is called {legend.name!r}, as a legend of the package with other classes",
            advice="give it a name of its own",
        )
    return legend


def _meaning(legend: Legend) -> list[tuple[int, str, int]]:
    """Return what the values of its class maps stand for."""
    return [(c.id, c.slug, c.clc) for c in legend.classes]


def is_built_in(name: str) -> bool:
    """Whether a legend of the package has this name, so that it is no file's."""
    return name in (*BUILT_IN, CHANGE)


@cache
def change_legend() -> Legend:
    """Return the four classes of a map of change: stable, change, unsure, small."""
    text = files("osm4eo_xr").joinpath("change_legend.toml").read_text(encoding="utf-8")
    return legend_from_dict(tomllib.loads(text), source="change_legend.toml")


@cache
def default_legend(*, coastal: bool = False) -> Legend:
    """Return the twelve classes of OSMlanduse (CORINE level 2), ids 1-12.

    Parameters
    ----------
    coastal : bool
        Add coastal wetlands (CLC 42) as class 13. Without it salt marshes, tidal flats and
        mangroves stay unlabeled.

    Examples
    --------
    >>> import osm4eo_xr as oxr
    >>> legend = oxr.default_legend()
    >>> legend.find("clc:5").slug, legend.by_id[8].slug
    ('water', 'forest')
    """
    text = files("osm4eo_xr").joinpath("legend.toml").read_text(encoding="utf-8")
    stated = read_tables(tomllib.loads(text), "legend.toml")
    classes = tuple(c for c in stated.classes if coastal or not c.optional)
    slugs = {c.slug for c in classes}
    rules = tuple(r for r in stated.rules if r.class_slug in slugs)
    return _legend(LegendFile(BUILT_IN[coastal], classes, rules), "legend.toml")


def _legend(stated: LegendFile, source: str) -> Legend:
    """Make the legend of a file's tables."""
    names = [f.name for f in fields(LandUseClass)]
    classes = tuple(LandUseClass(**{n: getattr(c, n) for n in names}) for c in stated.classes)
    ids = {c.slug: c.id for c in classes}
    rules = tuple(rule for table in stated.rules for rule in rules_of(table, ids, source))
    try:
        return Legend(name=stated.name, classes=classes, rules=rules, source=source)
    except InputError as error:
        raise (error.within(source) if source else error) from None


def _check_rules(legend: Legend) -> None:
    """Refuse a tag that two rules claim alike."""
    seen: dict[Any, TagRule] = {}
    for rule in legend.rules:
        other = seen.setdefault((rule.tag, rule.geometry, rule.require), rule)
        if other is not rule:
            names = legend.by_id[other.class_id].slug, legend.by_id[rule.class_id].slug
            raise InputError(
                f"legend {legend.name!r}: tag {rule.tag} is claimed twice, by {names[0]} and "
                f"by {names[1]}",
                advice="keep one",
            )
