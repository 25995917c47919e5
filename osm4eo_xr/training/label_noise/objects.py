"""Which object of OpenStreetMap each label of a sample set is from."""

from __future__ import annotations

import json
from pathlib import Path

import geopandas as gpd
import numpy as np
import shapely
import xarray as xr
from odc.geo.geobox import GeoBox
from rasterio.transform import Affine

from osm4eo_xr.errors import InputError
from osm4eo_xr.geometry.geodesy import meters_per_unit, project_bounds
from osm4eo_xr.labels.burn import Shapes, burn_objects, ranks, window_of
from osm4eo_xr.labels.objects import check_named
from osm4eo_xr.labels.rasterize import check_legend
from osm4eo_xr.legend import Legend, is_built_in, legend_from_dict, load_legend
from osm4eo_xr.osm.areas import OSM_CRS, object_keys, split_keys
from osm4eo_xr.osm.landuse import read_landuse
from osm4eo_xr.samples.ground import check_places

OBJECT = "object"
"""Variable of a sample set: (sample, y, x) int64, keys as ``osm.areas.object_keys``; 0 = none."""


def name_objects(
    samples: xr.Dataset,
    polygons: gpd.GeoDataFrame | str | Path,
    *,
    legend: Legend | None = None,
) -> xr.Dataset:
    """Add the object that each label is from, so that labels are judged object by object.

    Parameters
    ----------
    samples : Dataset
        As ``draw_samples`` or ``open_samples`` returns it.
    polygons : GeoDataFrame or path
        As ``read_landuse`` returns them, or the folder that ``write_landuse`` wrote; that from
        which the labels were made.
    legend : Legend, optional
        Whose priorities count, and whose tags an extract is read by; by default the samples', which
        know tags of the package's legends alone.

    Returns
    -------
    Dataset
        The samples with a variable ``object`` (sample, y, x), int64, 0 = none: also where the
        object there is of another class than the label, which then is from a smaller or larger one
        that the labels were made without.

    Raises
    ------
    InputError
        If the samples have no places, or the polygons no ids or another legend; if an extract is
        to be read by a legend without tag rules.

    Examples
    --------
    >>> import geopandas as gpd, numpy as np, shapely, osm4eo_xr as oxr
    >>> from osm4eo_xr.demo import example_samples
    >>> pond = {"class_id": [12], "osm_kind": ["way"], "osm_id": [7]}
    >>> shape = [shapely.box(4320000, 3210000, 4321200, 3211200)]
    >>> polygons = gpd.GeoDataFrame(pond, geometry=shape, crs="EPSG:3035")
    >>> named = oxr.name_objects(example_samples(), polygons)
    >>> water = (named["label"] == 12).to_numpy()
    >>> named["object"].dims, len(np.unique(named["object"].to_numpy()[water]))
    (('sample', 'y', 'x'), 1)
    """
    check_places(samples)
    legend = legend or legend_from_dict(json.loads(samples.attrs["legend"]), source="samples")
    crs, edge = str(samples.attrs["crs"]), samples.sizes["y"]
    step = float(samples.attrs["resolution"]) / meters_per_unit(crs)
    x, y = samples["easting"].to_numpy(), samples["northing"].to_numpy()
    reach = edge * step
    around = (x.min() - reach, y.min() - reach, x.max() + reach, y.max() + reach)
    if isinstance(polygons, str | Path):
        west, south, east, north = project_bounds(around, crs, OSM_CRS)
        known = legend if Path(polygons).is_dir() else _with_rules(legend)
        polygons = read_landuse(polygons, known, bbox=(west, south, east, north))
    shapes, burnt = _shapes(polygons, crs, legend), []
    for east, north in zip(x.tolist(), y.tolist(), strict=True):
        left, top = east - (edge // 2 + 0.5) * step, north + (edge // 2 + 0.5) * step
        box = GeoBox((edge, edge), Affine(step, 0, left, 0, -step, top), crs)
        burnt.append(burn_objects(shapes.meeting(window_of(box)), box, "center"))
    keys = np.stack(burnt)
    _, _, class_id = split_keys(keys)
    keys = np.where(class_id == samples["label"].to_numpy(), keys, 0)
    return samples.assign({OBJECT: (("sample", "y", "x"), keys)})


def _with_rules(legend: Legend) -> Legend:
    """Return the legend to read an extract by; samples keep its classes alone.

    Raises
    ------
    InputError
        If it has no tag rules, and is none of the package's.
    """
    if legend.rules:
        return legend
    known = load_legend(legend.name) if is_built_in(legend.name) else legend
    if known != legend or not known.rules:
        raise InputError(
            f"legend {legend.name!r} as samples keep it has no tags to read an extract by",
            advice="give the polygons that the labels were made from, or in Python its legend",
        )
    return known


def _shapes(polygons: gpd.GeoDataFrame, crs: str, legend: Legend) -> Shapes:
    check_named(polygons)
    check_legend(polygons, legend)
    placed = polygons.to_crs(crs)
    class_id = placed["class_id"].to_numpy(np.uint8)
    own = placed["priority"].to_numpy() if "priority" in placed else np.zeros(len(placed))
    rank = ranks(class_id, own, {c.id: c.priority for c in legend.classes})
    key = object_keys(placed["osm_kind"].to_numpy(), placed["osm_id"].to_numpy(), class_id)
    return Shapes(np.asarray(shapely.force_2d(placed.geometry.to_numpy())), class_id, rank, key)
