"""LUCAS as a sampling design: points of a grid of 2 km, drawn by strata, with weights."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from osm4eo_xr.accuracy.designs.design import SamplingDesign, Stratum, write_design
from osm4eo_xr.accuracy.designs.population import check_map, population_of
from osm4eo_xr.accuracy.lucas.reading import weights_of
from osm4eo_xr.accuracy.reference_pairs import values_at
from osm4eo_xr.errors import InputError
from osm4eo_xr.files import replaced
from osm4eo_xr.geometry.geodesy import pixel_area
from osm4eo_xr.geometry.known_classes import refuse_other_name

if TYPE_CHECKING:
    import geopandas as gpd
    import xarray as xr

__all__ = ["lucas_design", "write_lucas"]

LABELS_FILE = "labels.csv"
"""The survey's classes, in the folder of a design."""

_WEIGHTED = (
    "LUCAS is drawn from a systematic grid of 2 km by strata. Points have the survey's own "
    "weights; variances are those of a draw with replacement, as a rule too large."
)
_UNWEIGHTED = (
    "LUCAS is drawn from a systematic grid of 2 km, but strata at different rates. Without the "
    "survey's weights (WGT_LUCAS) figures lean towards what it visits more often."
)


def lucas_design(points: gpd.GeoDataFrame, class_map: xr.DataArray) -> SamplingDesign:
    """Return points of ``read_lucas`` that lie on a map as a sampling design.

    With weights, totals are weighted sums over the survey's points; without, the points count as
    a systematic sample, post-stratified by the map's classes, and the report says what that hides.

    Parameters
    ----------
    points : GeoDataFrame
        As ``read_lucas`` returns it.
    class_map : DataArray (y, x), uint8
        0 = no data; read once, chunk by chunk. Of the legend that the points were read with.

    Returns
    -------
    SamplingDesign
        For ``assess(class_map, points, design=…)``.

    Raises
    ------
    InputError
        If no point lies on the map, a weight is no number above 0, or the map states another legend
        than the points.

    Source
    ------
    Gallego & Delincé 2010, "The European land use and cover area-frame statistical survey", in
    Agricultural Survey Methods; Eurostat, LUCAS 2018 and 2022 methodology.

    Examples
    --------
    >>> import geopandas as gpd, osm4eo_xr as oxr
    >>> from osm4eo_xr.demo import example_class_map
    >>> class_map = example_class_map()
    >>> seen = {"id": [1, 2], "class": ["forest", "water"]}
    >>> places = gpd.points_from_xy([4400055, 4400955], [2700505, 2700505])
    >>> points = gpd.GeoDataFrame(seen, geometry=places, crs="EPSG:3035")
    >>> design = oxr.lucas_design(points, class_map)
    >>> design.scheme, design.points["map_class"].tolist()
    ('systematic', [8, 12])
    """
    check_map(class_map)
    _refuse_other_legend(points, class_map)
    population = population_of(class_map)
    mapped = values_at(population.class_map, points.geometry, "LUCAS")
    on_map = points[mapped > 0].to_crs(str(population.geobox.crs)).reset_index(drop=True)
    if not len(on_map):
        raise InputError(
            "no point of LUCAS lies on a class of the map", advice="give points of the map's ground"
        )
    pixels = sum(population.counts().values())
    weighted = "weight" in on_map
    drawn: Any = on_map[["id", "geometry"]].assign(
        stratum="map",
        stratum_code=1,
        inclusion_probability=len(on_map) / pixels,
        map_class=mapped[mapped > 0],
    )
    if weighted:
        weight = weights_of(points["weight"][mapped > 0], "points on the map")
        drawn["weight"] = weight
        drawn["inclusion_probability"] = weight.sum() / pixels / weight
    return SamplingDesign(
        scheme="weighted" if weighted else "systematic",
        strata=(Stratum(1, "map", pixels, len(on_map)),),
        points=drawn,
        pixel_area=pixel_area(population.geobox),
        made={"map": str(class_map.name or "map"), "survey": "LUCAS", "notes": [_note(points)]},
    )


def _refuse_other_legend(points: gpd.GeoDataFrame, class_map: xr.DataArray) -> None:
    """Refuse a map of another legend: points of classes that one lacks would be left out unseen."""
    if read := str(points.attrs.get("legend", "")):
        refuse_other_name(str(class_map.attrs.get("legend", "")), read, "the class map was")


def _note(points: gpd.GeoDataFrame) -> str:
    """Say what a reader has to know of the survey's points."""
    told = _WEIGHTED if "weight" in points else _UNWEIGHTED
    out = {reason: n for reason, n in points.attrs.get("left_out", {}).items() if n}
    if out:
        told += " Left out: " + ", ".join(f"{n:,} {reason}" for reason, n in out.items()) + "."
    undecided = sum(points.attrs.get("undecided", {}).values())
    if undecided:
        told += f" {undecided:,} points of the file have a use and cover that no class is sure for."
    return told


def write_lucas(points: gpd.GeoDataFrame, class_map: xr.DataArray, folder: str | Path) -> Path:
    """Write LUCAS on a map as a folder of a design, with the survey's classes in ``labels.csv``.

    ``assess`` and ``[accuracy]`` of a country file take the folder and that table.

    Parameters
    ----------
    points, class_map
        As ``lucas_design`` takes them.
    folder : path
        Where to; it appears whole.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    InputError
        As ``lucas_design``, or if the parent folder is missing.

    Examples
    --------
    >>> import geopandas as gpd, osm4eo_xr as oxr
    >>> from osm4eo_xr.demo import example_class_map
    >>> class_map = example_class_map()
    >>> seen = {"id": [1, 2], "class": ["forest", "water"]}
    >>> places = gpd.points_from_xy([4400055, 4400955], [2700505, 2700505])
    >>> points = gpd.GeoDataFrame(seen, geometry=places, crs="EPSG:3035")
    >>> folder = oxr.write_lucas(points, class_map, "lucas")
    >>> float(oxr.assess(class_map, folder / "labels.csv", design=folder).figures.overall.value)
    1.0
    """
    design = lucas_design(points, class_map)
    on_map = points[points["id"].isin(design.points["id"])]
    places = on_map.geometry.to_crs(4326)
    with replaced(folder) as part:
        write_design(design, part)
        labels = on_map.drop(columns="geometry").assign(lon=places.x, lat=places.y)
        labels.to_csv(part / LABELS_FILE, index=False)
    return Path(folder)
