"""Sources of every kind to one lazy cube of features on one grid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr
from odc.geo.geobox import GeoBox

from osm4eo_xr.errors import InputError
from osm4eo_xr.feature_ids.ids import Feature, parse_group
from osm4eo_xr.features.arrays_in import layers_of_array, needed_bands, optical_layer
from osm4eo_xr.features.indices import INDICES
from osm4eo_xr.features.kernels import Tessera
from osm4eo_xr.features.rasters_in import layer_of_files, meaning, method_of
from osm4eo_xr.features.reader import plan_reader
from osm4eo_xr.features.sources import FeatureSource, Layer, as_source, chosen, kind_of
from osm4eo_xr.features.tessera import DEPTH, is_tessera, tessera_input
from osm4eo_xr.geometry.grid import geobox_of, georeference
from osm4eo_xr.imagery.scene_grid import grid_over
from osm4eo_xr.imagery.scenes import open_scene
from osm4eo_xr.rasters.bands import describe_bands
from osm4eo_xr.rasters.warp import refuse_apart
from osm4eo_xr.rasters.windows import lazy_array

__all__ = ["open_features"]

UNITS = "per feature"
"""Unit of a cube as a whole; that of each feature is in the coordinate ``unit``."""


def open_features(
    sources: Mapping[str, Any], *, geobox: GeoBox | None = None, chunks: int = 1024
) -> xr.DataArray:
    """Stack scenes of several periods, radar, heights, embeddings and any rasters; lazy.

    Opening reads metadata and, of files of radar and of Sentinel-2, the middle of a few bands, to
    see that the numbers can be what they are said to be.

    Parameters
    ----------
    sources : mapping of str to FeatureSource, DataArray, Dataset, path or sequence of paths
        Groups by name, ``source@period`` or ``source``: ``s2@2024-04`` Sentinel-2 scenes,
        composites or series of them; ``s1@2024-summer`` radiometrically terrain-corrected gamma0,
        orbit directions apart; ``dem`` heights in m; ``aef@2024`` AlphaEarth's embeddings;
        ``tessera-1.1@2024`` TESSERA's of that version; any other source a raster as it is.
        ``FeatureSource`` says which features, and how they are read.
    geobox : GeoBox, optional
        The grid. By default that of the first DataArray, else the snapped EPSG:3035 10 m grid that
        covers the first source's files.
    chunks : int
        Rows and columns per chunk.

    Returns
    -------
    DataArray
        (band, y, x) float32, NaN = no data of that feature; chunks of the full band axis. ``band``
        holds ids such as ``s2:nir@2024-04``, ``s1:vv_desc@2024-summer`` and ``dem:slope``; the
        coordinates ``unit``, ``scaling`` and ``no_data`` say of each what it is. Reflectance has
        unit 1; backscatter is 10 log10 of gamma0, dB; height is in m, slope in degrees, and aspect
        is the sine and cosine of the direction, clockwise from the grid's north, in which the
        ground falls (Horn 1981). Of reflectances: NDVI (nir - red) / (nir + red) (Rouse et al.
        1974); NDRE, of rededge1 in place of red (Gitelson and Merzlyak 1994); NDWI (green - nir) /
        (green + nir) (McFeeters 1996); MNDWI, of swir16 in place of nir (Xu 2006); NDMI (nir -
        swir16) / (nir + swir16) (Hardisky et al. 1983); NBR (nir - swir22) / (nir + swir22) (Key
        and Benson 2006); NDBI, NDMI's negative (Zha et al. 2003); SAVI 1.5 (nir - red) / (nir + red
        + 0.5) (Huete 1988); BSI (swir16 + red - nir - blue) / (swir16 + red + nir + blue)
        (Rikimaru et al. 2002). Reflectance below 0 counts as 0 there.

    Raises
    ------
    InputError
        If a group's name is none, a file cannot be read, a source touches no ground of the grid,
        a band or statistic is unknown, radar does not state its unit, embeddings are of another
        version, or two sources give one feature.

    Examples
    --------
    >>> import numpy as np, osm4eo_xr as oxr
    >>> from osm4eo_xr.geometry.grid import georeference
    >>> box = oxr.target_geobox((4320000, 3210000, 4320640, 3210640))
    >>> names = {"band": ["red", "nir"]}
    >>> pixels = np.stack([np.full((64, 64), v, dtype="float32") for v in (0.1, 0.3)])
    >>> april = georeference(pixels, box, dims=("band", "y", "x"), coords=names)
    >>> heights = georeference(np.full((64, 64), 210, dtype="float32"), box)
    >>> features = oxr.open_features({
    ...     "s2@2024-04": oxr.FeatureSource(april, bands=["nir", "ndvi"]),
    ...     "dem": oxr.FeatureSource(heights, bands=["height", "slope"]),
    ... })
    >>> features.band.values.tolist()
    ['s2:nir@2024-04', 's2:ndvi@2024-04', 'dem:height', 'dem:slope']
    >>> features.unit.values.tolist(), round(float(features[1, 5, 5]), 3)
    (['1', '1', 'm', 'degree'], 0.5)
    """
    if not sources:
        raise InputError("no source given", advice='give groups such as {"s2@2024-04": scene}')
    if chunks < 1:
        raise InputError(f"chunks={chunks} is not a positive number of pixels")
    groups = {name: (*parse_group(name), as_source(given)) for name, given in sources.items()}
    target = geobox or _first_grid([given for *_, given in groups.values()])
    layers: list[Layer] = []
    for name, (source, period, given) in groups.items():
        try:
            layers += _layers(source, period, given, target, chunks)
        except InputError as error:
            raise error.within(name) from None
    return _cube(layers, target, chunks)


def _first_grid(given: Sequence[FeatureSource]) -> GeoBox:
    """Return the grid of the first raster that is open, else one that covers the first files."""
    for each in given:
        if isinstance(each.data, xr.DataArray):
            return geobox_of(each.data)
    files = given[0].files
    if any(is_tessera(file) for file in files):
        raise InputError("TESSERA's tiles, which are in UTM, come first", advice="pass {geobox}")
    return grid_over(describe_bands(file)[0].geobox for file in files)


def _layers(
    source: str, period: str, given: FeatureSource, target: GeoBox, chunks: int
) -> list[Layer]:
    """Return the features of one source, a layer for each of its periods."""
    kind = kind_of(source)
    if isinstance(given.data, xr.DataArray):
        return list(layers_of_array(source, period, kind, given, target, chunks))
    if given.by or tuple(given.statistics) != FeatureSource.statistics:
        what = "divide" if given.by else f"take {given.statistics[0]} of"
        raise InputError("files are of one period", expected=f"a series of scenes to {what}")
    if kind == "optical":
        return [_optical_files(source, period, given, target, chunks)]
    if kind == "tessera" and all(is_tessera(file) for file in given.files):
        return [_tessera_files(source, period, given, target, chunks)]
    return [layer_of_files(source, period, kind, given, target, chunks)]


def _optical_files(
    source: str, period: str, given: FeatureSource, target: GeoBox, chunks: int
) -> Layer:
    """Return bands and indices of a scene's files."""
    wanted = None if given.bands is None else needed_bands(given.bands)
    numbers: Any = {"scale": given.scale, "offset": given.offset, "nodata": given.nodata}
    files: Any = given.data  # and no DataArray
    scene = open_scene(
        files,
        bands=wanted,
        names=given.names,
        geobox=target,
        chunks=chunks,
        resampling=given.resampling or "cubic",
        **numbers,
    )
    bands = tuple(map(str, given.bands or scene["band"].to_numpy()))
    named = scene if wanted is None else scene.assign_coords(band=wanted)
    known = [*named["band"].to_numpy(), *INDICES]
    return optical_layer(source, period, chosen(bands, known, source), named, given, target, chunks)


def _tessera_files(
    source: str, period: str, given: FeatureSource, target: GeoBox, chunks: int
) -> Layer:
    """Return embeddings of TESSERA's tiles or zones."""
    axes = [f"T{k:03d}" for k in range(DEPTH)]
    bands = chosen(given.bands, axes, source)
    numbers = [axes.index(name) for name in bands]
    places = tuple(range(len(bands) + 1))
    version = source.partition("-")[2]
    inputs = [tessera_input(file, version, period, numbers, places) for file in given.files]
    kernel, method = Tessera(), method_of("tessera", given)
    size = {"channels": len(places), "features": len(bands)}
    reader = plan_reader(tuple(inputs), kernel, target, resampling=method, **size)
    refuse_apart(reader.warps, given.files[0])
    rows, cols = (min(chunks, int(n)) for n in tuple(target.shape))
    data = lazy_array(reader, (len(bands), rows, cols))
    units, scaling = meaning("tessera", bands, kernel, given)
    told = ("scale of NaN or 0",) * len(bands)
    return Layer(source, period, bands, data, units, scaling, told)


def _cube(layers: Sequence[Layer], target: GeoBox, chunks: int) -> xr.DataArray:
    """Return layers as one cube."""
    ids = [str(Feature(x.source, band, x.period)) for x in layers for band in x.bands]
    twice = sorted({name for name in ids if ids.count(name) > 1})
    if twice:
        raise InputError(f"feature {twice[0]} is given twice", advice="name each group once")
    sizes: Any = {0: -1, 1: chunks, 2: chunks}
    data = da.concatenate([x.data for x in layers]).astype(np.float32).rechunk(sizes)
    texts = {
        "unit": [unit for x in layers for unit in x.units],
        "scaling": [text for x in layers for text in x.scaling],
        "no_data": [text for x in layers for text in x.no_data],
    }
    coords: dict[Any, Any] = {"band": ids} | {k: ("band", v) for k, v in texts.items()}
    attrs = {"units": UNITS, "long_name": "features", "nodata": float("nan")}
    dims = ("band", "y", "x")
    return georeference(data, target, dims=dims, coords=coords, attrs=attrs, name="features")
