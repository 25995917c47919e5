"""Groups of features from rasters that are open already: scenes, series, heights, embeddings."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import dask.array as da
import numpy as np
import xarray as xr

from osm4eo_xr.errors import InputError
from osm4eo_xr.feature_ids.ids import Feature
from osm4eo_xr.features.indices import INDICES, lazy_index
from osm4eo_xr.features.kernels import (
    AEF_NODATA,
    TERRAIN,
    AlphaEarth,
    Backscatter,
    Kernel,
    Plain,
    Terrain,
)
from osm4eo_xr.features.periods import reduce_period, split_periods
from osm4eo_xr.features.rasters_in import (
    AXES,
    given_names,
    meaning,
    method_of,
    pixel_of,
    plain,
    radar_unit,
    refuse_bare,
)
from osm4eo_xr.features.regridding import regrid
from osm4eo_xr.features.sources import FeatureSource, Kind, Layer, chosen
from osm4eo_xr.geometry.grid import geobox_of, nodata_of
from osm4eo_xr.imagery.reflectance import Scaling, to_reflectance

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox

_SERIES, _SCENE, _RASTER = ("time", "band", "y", "x"), ("band", "y", "x"), ("y", "x")
_OPTICAL = ("1", "reflectance")


def layers_of_array(
    source: str, period: str, kind: Kind, given: FeatureSource, target: GeoBox, chunks: int
) -> Iterable[Layer]:
    """Yield the features of each period of a raster, on the target grid; lazy.

    Raises
    ------
    InputError
        If its dims are others, it has no grid or touches no ground of the target's, or a band,
        index or statistic is unknown.
    """
    raster = given.data
    if not isinstance(raster, xr.DataArray):  # the caller asks for rasters only
        raise InputError(f"{source} is {type(raster).__name__}", expected="a DataArray")
    if raster.dims not in (_SERIES, _SCENE, _RASTER):
        raise InputError(
            f"{source} has dims {raster.dims}",
            expected="(time, band, y, x), (band, y, x) or (y, x)",
        )
    raster = _values(source, kind, given, _named(source, kind, given, raster))
    if "time" not in raster.dims:
        if given.by or tuple(given.statistics) != FeatureSource.statistics:
            wanted = f"divide by {given.by}" if given.by else f"take {given.statistics[0]} of"
            raise InputError(f"{source} has one date", expected=f"a series, to {wanted}")
        yield _layer(source, period, kind, given, raster, target, chunks)
        return
    if given.by and period:
        raise InputError(
            f"{source}@{period} is divided by {given.by}",
            expected=f"{source} without a period, as its dates give them",
        )
    parts = split_periods(raster, given.by) if given.by else {period: raster}
    for name, part in parts.items():
        names, features = reduce_period(part, tuple(given.statistics))
        flat = features.assign_coords(band=names)
        yield _layer(source, name, kind, given, flat, target, chunks)


def _named(source: str, kind: Kind, given: FeatureSource, raster: xr.DataArray) -> xr.DataArray:
    """Return a raster with bands, by name."""
    if raster.dims == _RASTER:
        raster = raster.expand_dims(band=_single(kind, raster))
    if given.names is not None:
        (names,) = given_names([raster.sizes["band"]], list(given.names))
        raster = raster.assign_coords(band=names)
    elif kind == "alphaearth" and raster.dtype == np.int8 and "time" not in raster.dims:
        raster = raster.assign_coords(band=_axes(source, raster))
    if "band" not in raster.coords:
        raise InputError(f"{source} has bands without names", advice="pass {names}")
    return raster


def _axes(source: str, raster: xr.DataArray) -> list[str]:
    """Return AlphaEarth's axes: by name or, of 64 bands that have none or numbers, by order."""
    named = (
        raster["band"].to_numpy() if "band" in raster.coords else np.arange(raster.sizes["band"])
    )
    if {*map(str, named)} <= {*AXES}:
        return [str(name) for name in named]
    if len(named) == len(AXES) and named.dtype.kind in "iu":
        return list(AXES)
    raise InputError(
        f"{source} has bands {', '.join(map(str, named[:4]))} …",
        expected="AlphaEarth's A00 to A63",
        advice="pass {names}",
    )


def _single(kind: Kind, raster: xr.DataArray) -> list[str]:
    """Return what the one band of a raster is called."""
    if kind == "terrain":
        return ["height"]
    return [(plain(str(raster.name)) if raster.name is not None else "") or "b1"]


def _values(source: str, kind: Kind, given: FeatureSource, raster: xr.DataArray) -> xr.DataArray:
    """Return values, float32 with NaN for no data, before dates or pixels are mixed; lazy.

    Embeddings of 8 bits stay as they are: nothing but the nearest is taken of them.
    """
    if raster.dtype.kind not in "biuf":
        raise InputError(f"{source} holds {raster.dtype} numbers", expected="integers or floats")
    if raster.dtype == np.int8 and kind in ("alphaearth", "tessera"):
        if "time" in raster.dims:
            raise InputError(
                f"{source} has 8-bit embeddings of several dates",
                expected="those of one date, or values, as float32",
            )
        return raster
    stated = nodata_of(raster)
    values = _floats(raster, stated if given.nodata is None else given.nodata)
    scaling = _scaling(source, given)
    if scaling != Scaling(1.0, 0.0):
        meta = np.empty((0,) * values.ndim, np.float32)
        values = values.map_blocks(_scaled, scaling, dtype=np.float32, meta=meta)
    return raster.copy(data=values)


def _scaling(source: str, given: FeatureSource) -> Scaling:
    """Return how numbers become values: as the caller says, or as the raster does.

    rioxarray states a file's scale and offset in attrs, and leaves its numbers as they are. Values
    that somebody computed of these may state them still, and nothing tells them from numbers.
    """
    raster: Any = given.data
    found = []
    for said, one, each, usual in (
        (given.scale, "scale_factor", "scales", 1.0),
        (given.offset, "add_offset", "offsets", 0.0),
    ):
        if said is None and each in raster.attrs:
            raise InputError(
                f"the bands of {source} have {each} of their own",
                expected="one for all",
                advice="open it with mask_and_scale=True, or give the file",
            )
        stated = float(raster.attrs.get(one, usual))
        if said is None and stated != usual and raster.dtype.kind == "f":
            raise InputError(
                f"{raster.dtype} numbers of {source} state {one} {stated:g}, which may have been "
                "used already",
                advice="pass {scale=1} and {offset=0} if it was, else the stated ones",
            )
        found.append(stated if said is None else float(said))
    return Scaling(*found)


def _scaled(numbers: np.ndarray, scaling: Scaling) -> np.ndarray:
    """Return values of numbers, which others may hold too."""
    return to_reflectance(numbers.copy(), scaling)


def _layer(
    source: str,
    period: str,
    kind: Kind,
    given: FeatureSource,
    raster: xr.DataArray,
    target: GeoBox,
    chunks: int,
) -> Layer:
    """Return the features of one date or period."""
    own = [str(name) for name in raster["band"].to_numpy()]
    what = str(Feature(source, "…", period))
    if kind == "terrain":
        offered: list[str] = list(TERRAIN)
    elif kind == "optical":
        offered = own + [n for n, i in INDICES.items() if {*i.bands} <= {*own} and n not in own]
    else:
        offered = own
    bands = chosen(given.bands or (own if kind == "optical" else None), offered, what)
    if kind == "optical":
        return optical_layer(source, period, bands, raster, given, target, chunks)
    taken = ["height"] if kind == "terrain" else list(bands)
    if not {*taken} <= {*own}:
        raise InputError(f"{what} has bands {', '.join(own)}", expected=", ".join(taken))
    picked = raster.isel(band=[own.index(name) for name in taken])
    kernel = _kernel(kind, bands, picked, given, target)
    values = _floats(picked, AEF_NODATA if picked.dtype == np.int8 else None)
    method, grid = method_of(kind, given), geobox_of(raster)
    data = _computed(values, kernel, grid, target, method, chunks, what)
    stated = [_scaling(source, given)] * len(bands)
    units, scaling = meaning(kind, bands, kernel, given, stated)
    if not given.unit and raster.attrs.get("units") and isinstance(kernel, Plain):
        units = (str(raster.attrs["units"]),) * len(bands)
    return Layer(source, period, bands, data, units, scaling, ("NaN",) * len(bands))


def optical_layer(
    source: str,
    period: str,
    bands: tuple[str, ...],
    raster: xr.DataArray,
    given: FeatureSource,
    target: GeoBox,
    chunks: int,
) -> Layer:
    """Return bands of a scene and indices of them; bands that only indices take are read too."""
    own = [str(name) for name in raster["band"].to_numpy()]
    needed = needed_bands(bands, own)
    grid, name = geobox_of(raster), str(Feature(source, "…", period))
    picked = raster.isel(band=[own.index(b) for b in needed]).data
    method = given.resampling or "cubic"
    data = regrid(picked, grid, target, resampling=method, chunks=chunks, name=name)
    planes = {band: data[k] for k, band in enumerate(needed)}
    lazy = [planes[b] if b in planes else lazy_index(b, planes) for b in bands]
    scaling = [_OPTICAL[1] if b in planes else INDICES[b].text for b in bands]
    told = str(raster.attrs.get("validity", "NaN"))
    size = len(bands)
    stacked: Any = {0: -1}
    joined = da.stack(lazy).rechunk(stacked)
    units = (_OPTICAL[0],) * size
    return Layer(source, period, bands, joined, units, tuple(scaling), (told,) * size)


def needed_bands(bands: Iterable[str], own: Iterable[str] | None = None) -> list[str]:
    """Return the bands that some bands and indices take; what a scene has itself is no index."""
    have = set() if own is None else {*own}
    taken: list[str] = []
    for band in bands:
        taken += [band] if band in have or band not in INDICES else INDICES[band].bands
    return list(dict.fromkeys(taken))


def _kernel(
    kind: Kind, bands: tuple[str, ...], picked: xr.DataArray, given: FeatureSource, target: GeoBox
) -> Kernel:
    """Return what makes features of a raster's numbers."""
    if kind == "terrain":
        return Terrain(bands, pixel_of(target))
    if kind == "radar":
        return Backscatter(radar_unit(given, ()) == "dB")
    if picked.dtype == np.int8 and kind == "alphaearth":
        return AlphaEarth()
    if picked.dtype == np.int8:
        refuse_bare(kind)
    return Plain()


def _floats(raster: xr.DataArray, fill: Any) -> da.Array:
    """Return float32 numbers with NaN for what is stated as no data; lazy."""
    data = da.asarray(raster.data)
    values = data.astype(np.float32)
    if fill is None or not np.isfinite(fill):
        return values
    return da.where(data == fill, np.float32("nan"), values)


def _computed(
    values: da.Array,
    kernel: Kernel,
    grid: GeoBox,
    target: GeoBox,
    method: str,
    chunks: int,
    name: str,
) -> da.Array:
    """Return features of numbers: the kernel's first half, the target grid, its second half."""
    meta = np.empty((0, 0, 0), np.float32)
    before = values.map_blocks(kernel.before, dtype=np.float32, meta=meta)
    margin = kernel.margin
    aim = target.pad(margin) if margin else target
    onto = regrid(before, grid, aim, resampling=method, chunks=chunks, name=name)
    features = len(kernel.names) if isinstance(kernel, Terrain) else int(onto.shape[0])
    if not margin:
        return onto.map_blocks(kernel.after, dtype=np.float32, meta=meta)
    sizes = [_sizes(int(n), chunks) for n in tuple(target.shape)]
    padded: Any = {0: -1} | {k: _grown(size, margin) for k, size in enumerate(sizes, start=1)}
    depth = {0: 0, 1: margin, 2: margin}
    shared = da.overlap.overlap(onto.rechunk(padded), depth=depth, boundary="none")
    out = ((features,), *sizes)
    return shared.map_blocks(kernel.after, dtype=np.float32, chunks=out, meta=meta)


def _sizes(size: int, chunks: int) -> tuple[int, ...]:
    """Return sizes of the chunks of an axis; the last is not left small."""
    whole = max(1, round(size / chunks))
    return (chunks,) * (whole - 1) + (size - chunks * (whole - 1),)


def _grown(sizes: tuple[int, ...], margin: int) -> tuple[int, ...]:
    """Return sizes with the margin at both ends of the axis."""
    grown = list(sizes)
    grown[0] += margin
    grown[-1] += margin
    return tuple(grown)
