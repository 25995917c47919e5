"""A sampling design: strata, points and their probabilities; as a folder for interpreters."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from osm4eo_xr.errors import InputError, check_number
from osm4eo_xr.files import replaced
from osm4eo_xr.tables import html_table

if TYPE_CHECKING:
    import xarray as xr
    from geopandas import GeoDataFrame
    from jaxtyping import UInt8

__all__ = ["SamplingDesign", "Scheme", "Stratum", "open_design", "write_design"]

Scheme = Literal["stratified", "systematic", "cluster", "weighted"]

DESIGN_FILE = "design.json"
"""The file that tells a folder of a design."""

POINTS_FILE = "points.gpkg"
_CHIP = 512  # pixels of a picture's edge
_CHIPS_AT_ONCE = 32
_MARK = (255, 230, 0)
_WGS84 = "EPSG:4326"


@dataclass(frozen=True)
class Stratum:
    """One stratum of a design.

    Attributes
    ----------
    code : int
        Class id, or 256 times the value of the raster of strata, or both together.
    name : str
        What to call it.
    pixels : int
        Its pixels.
    points : int
        Points that were drawn in it.
    """

    code: int
    name: str
    pixels: int
    points: int


@dataclass(frozen=True, eq=False)
class SamplingDesign:
    """A probability sample of a class map's pixels.

    Attributes
    ----------
    scheme : {"stratified", "systematic", "cluster", "weighted"}
        How the points were drawn; "weighted" by a survey of its own, with a column ``weight``.
    strata : tuple of Stratum
        All strata; one for the whole map unless the scheme is stratified.
    points : GeoDataFrame
        A row per point, at the center of its pixel, on the map's CRS, with ``id``, ``stratum``
        (name), ``stratum_code``, ``inclusion_probability``, ``map_class`` (id) and, in clusters,
        ``cluster`` and ``cluster_pixels``. Ids are in random order, so that they tell nothing.
    pixel_area : float
        m² of a pixel.
    clusters : int
        Clusters of the population; 0 without clusters.
    by_class : bool
        Whether the strata are the map's classes and nothing else.
    made : mapping
        The map's name and the settings of the draw.

    Examples
    --------
    >>> import osm4eo_xr as oxr
    >>> from osm4eo_xr.demo import example_class_map
    >>> design = oxr.design_points(example_class_map(), n=100, seed=1)
    >>> design.scheme, len(design.points), design.pixel_area
    ('stratified', 100, 100.0)
    """

    scheme: Scheme
    strata: tuple[Stratum, ...]
    points: GeoDataFrame
    pixel_area: float
    clusters: int = 0
    by_class: bool = False
    made: Mapping[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        """Say what was drawn."""
        return f"<SamplingDesign: {self.describe()}>"

    def _repr_html_(self) -> str:
        """Show the strata."""
        rows = [[s.name, s.pixels, s.pixels * self.pixel_area / 1e6, s.points] for s in self.strata]
        return html_table(self.describe(), rows, header=("stratum", "pixels", "km²", "points"))

    def describe(self) -> str:
        """Say in one line what was drawn."""
        of = f", {len(self.strata)} strata" if self.scheme == "stratified" else ""
        of = f", {self.points['cluster'].nunique()} clusters" if self.clusters else of
        told = f"{self.scheme}, {len(self.points):,} points{of}, {self.pixels:,} pixels"
        error = self.made.get("expected_error")
        if error is None:
            return told
        return f"{told}, expected standard error of overall accuracy {100 * error:.2g} %"

    @property
    def pixels(self) -> int:
        """Pixels of the population."""
        return sum(s.pixels for s in self.strata)

    def to_dict(self) -> dict[str, Any]:
        """Return all but the points as plain JSON types."""
        return {
            "scheme": self.scheme,
            "pixels": self.pixels,
            "pixel_area_m2": self.pixel_area,
            "clusters": self.clusters,
            "by_class": self.by_class,
            "strata": [dataclasses.asdict(s) for s in self.strata],
            "made": dict(self.made),
        }


def write_design(
    design: SamplingDesign,
    folder: str | Path,
    *,
    scene: xr.DataArray | None = None,
    interpreters: int = 1,
    extent: float = 1280.0,
) -> Path:
    """Write a design as a folder for QGIS, Collect Earth and interpreters.

    ``design.json`` and ``points.gpkg`` are the design. ``points.csv`` is the same as a table.
    ``sheet_1.csv`` … are for the interpreters: ids, longitude and latitude in an order of their
    own, with empty columns class, alternative and comment, and neither stratum nor map class.
    ``collect_earth.csv`` has the columns LON, LAT and PLOTID that Collect Earth Online reads.

    Parameters
    ----------
    design : SamplingDesign
        As ``design_points`` returns it.
    folder : path
        Where to; it appears whole.
    scene : DataArray (band, y, x), float32 reflectance, optional
        With red, green and blue: ``chips/ID.png`` shows each point's surroundings in true color,
        512 pixels wide, the point's pixel framed.
    interpreters : int
        Sheets to write, each in another order.
    extent : float
        Meters across a chip.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    InputError
        If the parent folder is missing, or the scene has no true color or counts in degrees.

    Examples
    --------
    >>> import osm4eo_xr as oxr
    >>> from osm4eo_xr.demo import example_class_map
    >>> design = oxr.design_points(example_class_map(), n=100, seed=1)
    >>> folder = oxr.write_design(design, "design", interpreters=2)
    >>> sorted(path.name for path in folder.iterdir())
    ['collect_earth.csv', 'design.json', 'points.csv', 'points.gpkg', 'sheet_1.csv', 'sheet_2.csv']
    """
    if interpreters < 1:
        raise InputError(
            f"interpreters {interpreters} is no number of people", advice="give 1 or more"
        )
    half = 0 if scene is None else _half_chip(scene, extent)
    with replaced(folder) as part:
        part.mkdir()
        (part / DESIGN_FILE).write_text(json.dumps(design.to_dict(), indent=1) + "\n", "utf-8")
        design.points.to_file(part / POINTS_FILE, layer="points")
        _write_tables(design, part, interpreters)
        if scene is not None:
            _write_chips(design, scene, part / "chips", half)
    return Path(folder)


def open_design(folder: str | Path) -> SamplingDesign:
    """Open a design that ``write_design`` wrote.

    Parameters
    ----------
    folder : path
        What ``write_design`` returned.

    Returns
    -------
    SamplingDesign
        As it was written; its points are a GeoDataFrame.

    Raises
    ------
    InputError
        If it is none.

    Examples
    --------
    >>> import osm4eo_xr as oxr
    >>> from osm4eo_xr.demo import example_class_map
    >>> design = oxr.design_points(example_class_map(), n=100, seed=1)
    >>> found = oxr.open_design(oxr.write_design(design, "design"))
    >>> found.scheme, len(found.points), found.pixels
    ('stratified', 100, 10000)
    """
    import geopandas as gpd

    folder = Path(folder)
    try:
        tree = json.loads((folder / DESIGN_FILE).read_text("utf-8"))
        strata = tuple(Stratum(**s) for s in tree["strata"])
        points = gpd.read_file(folder / POINTS_FILE, layer="points")
        rest = tree["pixel_area_m2"], tree["clusters"], tree["by_class"], tree["made"]
        return SamplingDesign(tree["scheme"], strata, points, *rest)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise InputError(
            f"{folder} is no sampling design ({error})",
            advice="give the folder that design-points wrote",
        ) from None


def _write_tables(design: SamplingDesign, folder: Path, interpreters: int) -> None:
    """Write the points as a table, and the sheets."""
    places = design.points.to_crs(_WGS84).geometry
    table = design.points.drop(columns="geometry").assign(lon=places.x, lat=places.y)
    table.to_csv(folder / "points.csv", index=False)
    sheet = table[["id", "lon", "lat"]].assign(**{"class": "", "alternative": "", "comment": ""})
    seed = int(design.made.get("seed", 0))
    for k in range(1, interpreters + 1):
        order = np.random.default_rng((seed, k)).permutation(len(sheet))
        sheet.iloc[order].to_csv(folder / f"sheet_{k}.csv", index=False)
    online = sheet[["lon", "lat", "id"]].set_axis(["LON", "LAT", "PLOTID"], axis="columns")
    online.to_csv(folder / "collect_earth.csv", index=False)


def _half_chip(scene: xr.DataArray, extent: float) -> int:
    """Return how many pixels of a scene a chip has on each side of its point's pixel."""
    from osm4eo_xr.geometry.geodesy import meters_per_unit
    from osm4eo_xr.geometry.grid import geobox_of

    check_number("extent", extent)
    geobox = geobox_of(scene)
    try:
        pixel = abs(geobox.resolution.x) * meters_per_unit(geobox.crs)
    except InputError as error:
        raise error.within("the scene") from None
    return max(1, round(extent / pixel / 2))


def _write_chips(design: SamplingDesign, scene: xr.DataArray, folder: Path, half: int) -> None:
    """Write a picture of each point's surroundings, some at a time."""
    from dask.base import compute
    from matplotlib.image import imsave

    from osm4eo_xr.geometry.grid import geobox_of
    from osm4eo_xr.plot.tones import true_color

    folder.mkdir()
    geobox = geobox_of(scene)
    places = design.points.geometry.to_crs(str(geobox.crs))
    col, row = np.floor(~geobox.affine * np.stack([places.x, places.y])).astype(np.int64)
    for first in range(0, len(places), _CHIPS_AT_ONCE):
        part = slice(first, first + _CHIPS_AT_ONCE)
        windows = [_window(scene, r, c, half) for r, c in zip(row[part], col[part], strict=True)]
        ids = design.points["id"].iloc[part]
        for point, window in zip(ids, compute(*windows), strict=True):
            imsave(folder / f"{point}.png", _framed(true_color(window), half))


def _window(scene: xr.DataArray, row: int, col: int, half: int) -> xr.DataArray:
    """Return the square around a pixel, NaN outside the scene."""
    cut, pads, edge = scene, {}, 2 * half + 1
    for dim, low in (("y", row - half), ("x", col - half)):
        start = min(max(low, 0), scene.sizes[dim])
        stop = max(min(low + edge, scene.sizes[dim]), start)
        cut = cut.isel({dim: slice(start, stop)})
        before = min(max(-low, 0), edge)
        pads[dim] = (before, edge - before - (stop - start))
    return cut.pad(pads, constant_values=np.nan)


def _framed(picture: UInt8[np.ndarray, "y x 3"], half: int) -> UInt8[np.ndarray, "y2 x2 3"]:
    """Enlarge a picture to 512 pixels and frame its middle pixel."""
    at = (np.arange(_CHIP) * len(picture) // _CHIP).astype(np.int64)
    large = picture[at][:, at].copy()
    edges = np.flatnonzero(at == half)
    low, high = max(int(edges[0]) - 2, 0), min(int(edges[-1]) + 2, _CHIP - 1)
    frame = np.zeros(large.shape[:2], bool)
    frame[low : high + 1, low : high + 1] = True
    frame[low + 2 : high - 1, low + 2 : high - 1] = False
    large[frame] = _MARK
    return large
