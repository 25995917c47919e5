"""What a country file may say of maps.

``[mosaic]``, ``[known]``, ``[sieve]``, ``[[layers]]`` and ``[review]``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from osm4eo_xr.names import check_name
from osm4eo_xr.settings_io import check_value

KnownRule = Literal["osm", "model", "confidence", "bayes"]
"""Who wins where OpenStreetMap knows a class and the model predicts one."""

_ROUNDING = 1e-3  # by which the probabilities of a row may miss 1


@dataclass(frozen=True)
class Joining:
    """``[mosaic]``.

    Attributes
    ----------
    rule : {"majority", "confidence", "blend", "first"}
        Who wins where tiles overlap; "confidence" also writes each tile's confidence, and "blend",
        which averages them, each tile's probabilities (8 bit).
    """

    rule: Literal["majority", "confidence", "blend", "first"] = "majority"


@dataclass(frozen=True)
class Known:
    """``[known]``: OpenStreetMap's ground in the map, as ``merge_known`` puts it there.

    Attributes
    ----------
    rule : {"osm", "model", "confidence", "bayes"}
        Who wins; "bayes" also writes each tile's probabilities, "confidence" its confidence.
    protect : bool
        Known ground that the map shows is never sieved away and may absorb small neighbors.
    noise : table of tables
        For "confidence" and "bayes": by true class the probability that OpenStreetMap says each
        class, ``{forest = {forest = 0.9, pasture = 0.1}}``; one left out is always right. Without
        the table, ``estimate_label_noise`` finds it from the validation samples.
    """

    rule: KnownRule = "osm"
    protect: bool = True
    noise: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for true, row in self.noise.items():
            fits = min(row.values(), default=-1.0) >= 0 and abs(sum(row.values()) - 1) < _ROUNDING
            check_value(fits, f"noise.{true}", dict(row), "probabilities that sum to 1")

    @property
    def needs_noise(self) -> bool:
        """Whether the rule weighs how right OpenStreetMap is."""
        return self.rule in ("confidence", "bayes")


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
class LayerSettings:
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
        Smallest patch and hole, m²; those stay whose neighbors are no data or smaller still.
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


@dataclass(frozen=True)
class Review:
    """``[review]``: what mappers are asked to look at; also writes each tile's confidence.

    Attributes
    ----------
    objects : int
        Most objects whose class the model holds for another; 0 lists none.
    places : int
        Most cells of unmapped land that would teach the model much; 0 lists none.
    sure : float
        Probability from which the model counts as sure of a pixel.
    share : float
        Least share of an object that is surely of another class.
    pixels : int
        Least pixels of an object, without those on its outline.
    cell : float
        Edge of a cell, m.
    apart : float
        Least distance between cells, m.
    """

    objects: int = 200
    places: int = 50
    sure: float = 0.8
    share: float = 0.5
    pixels: int = 10
    cell: float = 500.0
    apart: float = 5000.0

    def __post_init__(self) -> None:
        for name in ("objects", "places"):
            check_value(getattr(self, name) >= 0, name, getattr(self, name), "0 or more")
        for name in ("sure", "share"):
            value = getattr(self, name)
            check_value(0 <= value <= 1, name, value, "a share of 0 to 1")
        check_value(self.pixels > 0, "pixels", self.pixels, "1 or more")
        check_value(self.cell > 0, "cell", self.cell, "m, above 0")
        check_value(self.apart >= 0, "apart", self.apart, "m, 0 or more")
