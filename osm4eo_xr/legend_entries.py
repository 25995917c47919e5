"""What a legend is made of: its classes and tag rules, and the tables of a file that state them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from osm4eo_xr.errors import InputError
from osm4eo_xr.settings_io import Reads, build, nearest

Geometry = Literal["area", "line", "point"]

_MAX_CLC = 65535  # codes are written as uint16 at most


@dataclass(frozen=True)
class LandUseClass:
    """One class of a legend.

    Attributes
    ----------
    id : int
        Value in class rasters, 1-249.
    clc : int
        CORINE Land Cover code (level 2, or level 1 where the class spans a whole group); any
        number 1-65535 of its own where none is used.
    slug : str
        Short name for layers and file names, for example ``"water"``.
    name : str
        Full name for people.
    color : tuple of int
        Red, green, blue, each 0-255.
    priority : int
        Where polygons of several classes overlap, the lowest number wins.
    """

    id: int
    clc: int
    slug: str
    name: str
    color: tuple[int, int, int]
    priority: int

    def __post_init__(self) -> None:
        if not all(0 <= v <= 255 for v in self.color):  # noqa: PLR2004 - bytes
            raise InputError(f"color is {list(self.color)}", expected="three integers 0-255")
        if not 0 < self.clc <= _MAX_CLC:  # 0 is no data in layers of CORINE codes
            raise InputError(f"clc is {self.clc}", expected=f"1 to {_MAX_CLC}, each class its own")

    @property
    def hex_color(self) -> str:
        """The color as ``#rrggbb``."""
        return "#{:02x}{:02x}{:02x}".format(*self.color)


@dataclass(frozen=True)
class TagRule:
    """A tag that makes an OpenStreetMap object land of one class.

    Attributes
    ----------
    key, value : str
        The tag.
    class_id : int
        Class of the land.
    exclude : tuple of (str, str)
        Tags that take an object out of the rule.
    width : float
        Meters: the width of lines, the diameter of points; 0 for areas.
    source : str
        Where the rule comes from.
    require : tuple of (str, str)
        If given, tags of which an object needs one besides.
    geometry : {"area", "line", "point"}
        The objects that the rule is for.
    priority : int
        If given, where the rule's areas overlap others, instead of its class's priority.
    """

    key: str
    value: str
    class_id: int
    exclude: tuple[tuple[str, str], ...] = ()
    width: float = 0.0
    source: str = ""
    require: tuple[tuple[str, str], ...] = ()
    geometry: Geometry = "area"
    priority: int = 0

    @property
    def tag(self) -> str:
        """The tag as ``key=value``."""
        return f"{self.key}={self.value}"


@dataclass(frozen=True)
class _ClassTable(LandUseClass):
    optional: bool = False  # not among the twelve


def _split_tag(tag: str) -> tuple[str, str]:
    key, _, value = tag.partition("=")
    if not key or not value or "*" in value:
        raise ValueError
    return key, value


_Tag = Annotated[
    tuple[str, str], Reads(_split_tag, "a tag, written key=value; one rule per value, none is *")
]


@dataclass(frozen=True)
class _RuleTable:
    class_slug: str = field(metadata={"key": "class"})
    tags: tuple[_Tag, ...]
    exclude: tuple[_Tag, ...] = ()
    require: tuple[_Tag, ...] = ()
    width: float = 0.0
    geometry: Geometry | None = None
    priority: int = 0
    source: str = ""

    def __post_init__(self) -> None:
        if self.width < 0 or (self.shape == "area") is (self.width > 0):
            raise InputError(
                f"geometry is {self.shape!r} and width {self.width:g}",
                expected="a width of more than 0 m for lines and points, and none for areas",
            )

    @property
    def shape(self) -> Geometry:
        """The geometry, which a width makes a line."""
        return self.geometry or ("line" if self.width else "area")


@dataclass(frozen=True)
class LegendFile:
    """The tables of a legend's file."""

    name: str = "unnamed"
    classes: tuple[_ClassTable, ...] = field(default=(), metadata={"key": "class"})
    rules: tuple[_RuleTable, ...] = field(default=(), metadata={"key": "rule"})


def read_tables(tree: Mapping[str, Any], source: str) -> LegendFile:
    """Read the tables; JSON has the classes under ``classes``."""
    if isinstance(tree, Mapping):
        tree = {"class" if key == "classes" else key: value for key, value in tree.items()}
    return build(LegendFile, tree, source or "legend")


def rules_of(table: _RuleTable, ids: Mapping[str, int], source: str) -> list[TagRule]:
    """Return a rule per tag."""
    slug = table.class_slug
    if slug not in ids:
        near = nearest(slug, ids)
        said = ", ".join("=".join(tag) for tag in table.tags)
        raise InputError(
            f"{source or 'legend'}: class is {slug!r} in the rule for {said}",
            expected=f"one of {', '.join(ids)}",
            advice=near and f"did you mean {near}?",
        )
    means = table.exclude, table.width, table.source, table.require, table.shape, table.priority
    return [TagRule(*tag, ids[slug], *means) for tag in table.tags]
