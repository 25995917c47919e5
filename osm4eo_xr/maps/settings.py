"""What a country file may say of maps: ``[mosaic]``, ``[sieve]``, ``[[layers]]``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from osm4eo_xr.names import check_name
from osm4eo_xr.settings_io import check_value


@dataclass(frozen=True)
class Joining:
    """``[mosaic]``.

    Attributes
    ----------
    rule : {"majority", "confidence", "first"}
        Who wins where tiles overlap; "confidence" also writes each tile's confidence.
    """

    rule: Literal["majority", "confidence", "first"] = "majority"


@dataclass(frozen=True)
class Sieving:
    """``[sieve]``.

    Attributes
    ----------
    size : int
        Smallest region that is kept, in pixels.
    connectivity : {4, 8}
        Neighbors of a pixel.
    when : {"after", "before", "never"}
        After the mosaic (no seams between tiles), before it (tile by tile), or never.
    protected : tuple of str
        Classes whose regions stay whatever their size.
    """

    size: int = 64
    connectivity: Literal[4, 8] = 8
    when: Literal["after", "before", "never"] = "after"
    protected: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_value(self.size > 0, "size", self.size, "a positive number of pixels")


@dataclass(frozen=True)
class Layer:
    """``[[layers]]``: one layer of the final map.

    Attributes
    ----------
    classes : tuple of str
        Slugs, names, ids or ``"clc:NN"``.
    codes : {"id", "clc", "mask"}
        What its pixels hold.
    vector : {"", "gpkg", "parquet"}
        Also write polygons, in this format.
    min_area : float
        Smallest patch, m².
    simplify : float
        Tolerance of the polygons' outlines, m.
    name : str
        Of its files; left out, the slugs of its classes, joined by dashes.
    """

    classes: tuple[str, ...]
    codes: Literal["id", "clc", "mask"] = "id"
    vector: Literal["", "gpkg", "parquet"] = ""
    min_area: float = 0.0
    simplify: float = 0.0
    name: str = ""

    def __post_init__(self) -> None:
        check_value(bool(self.classes), "classes", self.classes, "at least one class")
        check_value(self.min_area >= 0, "min_area", self.min_area, "m², 0 or more")
        check_value(self.simplify >= 0, "simplify", self.simplify, "m, 0 or more")
        if self.name:
            check_name(self.name, "name")
