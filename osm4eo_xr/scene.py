"""GeoTIFF, COG, VRT and JP2 files to a lazy scene of reflectance on one grid."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import dask.array as da
import numpy as np
import rasterio
import xarray as xr
from odc.geo.geobox import GeoBox
from rasterio.errors import RasterioIOError

from osm4eo_xr._scene_read import (
    GDAL_OPTIONS,
    Band,
    RasterReader,
    SceneReader,
    read_bands,
    stamp_of,
)
from osm4eo_xr._scene_warp import plan_warp
from osm4eo_xr.errors import InputError
from osm4eo_xr.grid import TARGET_CRS, georeference, target_geobox
from osm4eo_xr.radiometry import (
    METHOD_BANDS,
    Scaling,
    check_numbers,
    common_name,
    default_scaling,
    invalid_values,
    refuse_dim,
)

_IMAGE_SUFFIXES = {".jp2", ".tif", ".tiff", ".vrt"}
_ESA_NAME = re.compile(r"_(\d{8})T\d{6}_B\w\w")
_OFFSET_SINCE = "20220125"  # processing baseline 04.00 adds 1000 to all digital numbers
_LOOK_ORDER = ("nir", "nir08", "swir16", "rededge3", "red", "blue")  # brightest over land first

PathLike = str | Path


def open_scene(
    path: PathLike | Sequence[PathLike],
    *,
    bands: Sequence[str] | None = None,
    names: Sequence[str] | None = None,
    geobox: GeoBox | Literal["native"] | None = None,
    chunks: int = 1024,
    scale: float | None = None,
    offset: float | None = None,
    nodata: float | None = None,
    resampling: str = "cubic",
) -> xr.DataArray:
    """Open files as a lazy scene.

    Reading happens window by window when the scene is computed; opening reads metadata and,
    unless ``scale`` is given, blocks of a few bands to see that the numbers can be reflectance.

    Parameters
    ----------
    path : path or sequence of paths
        One multi-band file, several files (each with one or more bands, of any resolution), or a
        folder of such files.
    bands : sequence of str, optional
        Common names or Sentinel-2 ids of the bands to return, in this order. By default those of
        the method's ten bands that the input has, in the method's order.
    names : sequence of str, optional
        What the input's bands are, in the order of the files and of the bands in them. By default
        taken from band descriptions and, for single-band files, from file names.
    geobox : GeoBox or "native", optional
        Target grid. By default the snapped EPSG:3035 10 m grid that covers the data; "native" is
        the finest band's own grid.
    chunks : int
        Rows and columns per chunk, rounded up to whole blocks of a file that is on the grid.
    scale, offset : float, optional
        Reflectance is ``DN * scale + offset``. By default the files' scale and offset tags; without
        tags integers are scaled by 1e-4 and floats are reflectance already.
    nodata : float, optional
        The digital number that is no data. By default the files' tag; integers without one have 0.
        65535 in uint16, NaN, infinities and floats below -3e38 always are no data.
    resampling : str
        GDAL's method for bands that are not on the grid: cubic, bilinear, nearest or average.

    Returns
    -------
    DataArray
        (band, y, x) float32 reflectance, NaN = no data; chunks of the full band axis.

    Raises
    ------
    InputError
        If a file cannot be read, has no CRS, bands are unnamed, missing or named twice, or the
        numbers cannot be reflectance.
    """
    files = _list_files(path)
    if offset is None:
        _refuse_unknown_offset(files)
    found = [b for f in files for b in _bands_of_file(f, resampling=resampling, nodata=nodata)]
    chosen = _choose_bands(_name_bands(found, names), bands, where=_where(files))
    chosen = [_with_scaling(b, scale, offset) for b in chosen]
    if scale is None:
        _look_at_numbers(chosen)
    return scene_of_bands(chosen, geobox, chunks)


def scene_of_bands(
    bands: Sequence[Band], geobox: GeoBox | Literal["native"] | None, chunks: int
) -> xr.DataArray:
    """Return the lazy (band, y, x) scene of some bands on a grid (see ``open_scene``)."""
    if chunks < 1:
        raise InputError(f"chunks={chunks} is not a positive number of pixels; give e.g. 1024")
    target = _target_of(bands, geobox)
    warps = tuple(plan_warp(b.geobox, target, b.resampling) for b in bands)
    reader = SceneReader(tuple(bands), target, warps)
    rows, cols = _chunk_shape(bands, target, chunks)
    data = da.from_array(
        reader,  # pyright: ignore[reportArgumentType] -- array-like: shape, dtype, indexing
        chunks=(len(bands), rows, cols),
        asarray=True,
        lock=False,
        meta=np.empty((0, 0, 0), np.float32),
    )
    return georeference(
        data,
        target,
        dims=("band", "y", "x"),
        coords={"band": [b.name for b in bands]},
        attrs={"units": "1", "long_name": "reflectance", "nodata": float("nan")},
        name="reflectance",
    )


def open_raster(path: PathLike, *, chunks: int = 2048) -> xr.DataArray:
    """Open a single-band raster, for example a class map, lazily on its own grid and in its type.

    Parameters
    ----------
    path : path
        Any raster that GDAL reads.
    chunks : int
        Rows and columns per chunk.

    Returns
    -------
    DataArray
        (y, x) in the file's dtype; ``attrs["nodata"]`` is the file's no-data value, by default 0
        for integers and NaN for floats.

    Raises
    ------
    InputError
        If the file cannot be read, has no CRS or more than one band.
    """
    where = str(path)
    bands = _bands_of_file(where, resampling="nearest", nodata=None)
    if len(bands) != 1:
        raise InputError(f"{where} has {len(bands)} bands, expected 1; open it with open_scene")
    band = bands[0]
    with rasterio.open(where) as source:
        tag = source.nodata
    dtype = np.dtype(band.dtype)
    reader = RasterReader(where, band.stamp, 1, tuple(band.geobox.shape), dtype)
    data = da.from_array(
        reader,  # pyright: ignore[reportArgumentType] -- array-like: shape, dtype, indexing
        chunks=(chunks, chunks),
        asarray=True,
        lock=False,
        meta=np.empty((0, 0), dtype),
    )
    if np.issubdtype(dtype, np.integer):
        nodata: float = 0 if tag is None else int(tag)
    else:
        nodata = float("nan") if tag is None else float(tag)
    return georeference(data, band.geobox, attrs={"nodata": nodata}, name=Path(where).stem)


def _list_files(path: PathLike | Sequence[PathLike]) -> list[str]:
    """Return the files that a path, a folder or several paths name."""
    if not isinstance(path, str | Path):
        paths = [str(p) for p in path]
        if not paths:
            raise InputError("no file given; give the path of a scene or of its band files")
        return paths
    folder = Path(path)
    if not folder.is_dir():
        return [str(path)]
    inside = sorted(str(p) for p in folder.iterdir() if p.suffix.lower() in _IMAGE_SUFFIXES)
    if not inside:
        raise InputError(f"folder {path} has no .tif, .vrt or .jp2 file; name the scene's files")
    return inside


def _refuse_unknown_offset(files: Sequence[str]) -> None:
    """Refuse loose ESA band files of a time when digital numbers may carry an offset."""
    for file in files:
        match = _ESA_NAME.search(Path(file).name)
        if match and match.group(1) >= _OFFSET_SINCE:
            raise InputError(
                f"{file} is of {match.group(1)}, when digital numbers carry an offset (processing "
                f"baseline 04.00) that the file does not state; open the SAFE folder with "
                f"open_safe, or pass offset=-0.1 (or 0 if it was removed)"
            )


def _bands_of_file(path: str, *, resampling: str, nodata: float | None) -> list[Band]:
    """Describe all bands of a file; names are raw labels, scaling holds the file's tags."""
    try:
        with rasterio.Env(**GDAL_OPTIONS), rasterio.open(path) as source:
            grid = GeoBox(source.shape, source.transform, source.crs)
            if source.crs is None or source.transform.is_identity:
                raise InputError(
                    f"{path} has no CRS or position; assign them, for example with gdal_translate "
                    f"-a_srs EPSG:3035 -a_ullr"
                )
            single = source.count == 1
            return [
                Band(
                    name=source.descriptions[i] or (Path(path).name if single else ""),
                    path=path,
                    stamp=stamp_of(path),
                    index=i + 1,
                    geobox=grid,
                    dtype=source.dtypes[i],
                    block=source.block_shapes[i],
                    scaling=Scaling(
                        source.scales[i] or 1.0,
                        source.offsets[i],
                        invalid_values(np.dtype(source.dtypes[i]), source.nodatavals[i], nodata),
                    ),
                    resampling=resampling,
                )
                for i in range(source.count)
            ]
    except RasterioIOError as error:
        if "://" not in path and not path.startswith("/vsi") and not Path(path).exists():
            raise InputError(f"no file {path}; give the path of a raster") from None
        raise InputError(f"{path} is not a raster that GDAL can read: {error}") from None


def _name_bands(found: list[Band], names: Sequence[str] | None) -> list[Band]:
    """Give each band its common name, or keep its label where it has none."""
    if names is None:
        return [replace(b, name=common_name(b.name) or b.name) for b in found]
    if len(names) != len(found):
        raise InputError(f"names has {len(names)} entries for {len(found)} bands; name each band")
    return [replace(b, name=common_name(n) or n) for b, n in zip(found, names, strict=True)]


def _choose_bands(named: list[Band], wanted: Sequence[str] | None, *, where: str) -> list[Band]:
    """Pick the wanted bands in the wanted order."""
    by_name: dict[str, Band] = {}
    for band in named:
        if band.name in by_name and band.name:
            raise InputError(
                f"{where}: band {band.name} is there twice ({by_name[band.name].path} and "
                f"{band.path}); name one file per band, or pass names="
            )
        by_name[band.name] = band
    if wanted is None:
        chosen = [by_name[n] for n in METHOD_BANDS if n in by_name]
        if not chosen:
            raise InputError(
                f"{where}: none of its {len(named)} bands has a known name "
                f"({', '.join(b.name or 'unnamed' for b in named[:13])}); pass names=, for example "
                f"names={list(METHOD_BANDS[:3])}"
            )
        return chosen
    asked = [common_name(w) or w for w in wanted]
    missing = [w for w in asked if w not in by_name]
    if missing or not asked:
        has = ", ".join(n or "unnamed" for n in by_name)
        raise InputError(
            f"{where} has no band {', '.join(missing) or '(none asked)'}; it has {has}"
        )
    return [by_name[w] for w in asked]


def _with_scaling(band: Band, scale: float | None, offset: float | None) -> Band:
    """Settle a band's scaling from the caller's words, the file's tags and its data type."""
    tags = (band.scaling.scale, band.scaling.offset)
    if scale is None:
        where = f"{band.path} ({band.name})"
        tags = default_scaling(np.dtype(band.dtype), tags, where=where)
    scaling = Scaling(
        tags[0] if scale is None else scale,
        (tags[1] if scale is None else 0.0) if offset is None else offset,
        band.scaling.invalid,
    )
    return replace(band, scaling=scaling)


def _look_at_numbers(bands: Sequence[Band]) -> None:
    """Read middle blocks, brightest bands first, until the numbers are known to be reflectance."""
    order = sorted(bands, key=lambda b: (*_LOOK_ORDER, b.name).index(b.name))
    highest = 0.0
    for band in order:
        integer = np.issubdtype(np.dtype(band.dtype), np.integer)
        valid = _middle_numbers(band)
        scaling = band.scaling
        if check_numbers(
            valid,
            scaling.scale,
            scaling.offset,
            integer=integer,
            where=f"{band.path} ({band.name})",
        ):
            return
        highest = max(highest, float(np.percentile(valid, 99)) if valid.size else 0.0)
    untagged = all((b.scaling.scale, b.scaling.offset) == (1e-4, 0.0) for b in bands)
    if highest > 0 and untagged:
        refuse_dim(highest, where=_where([b.path for b in bands]))


def _middle_numbers(band: Band) -> np.ndarray:
    """Return the valid digital numbers of up to 512 x 512 pixels around a band's middle."""
    rows, cols = (
        slice(max(n // 2 - 256, 0), min(n // 2 + 256, n)) for n in tuple(band.geobox.shape)
    )
    numbers = read_bands([band], rows, cols)
    return numbers[np.isfinite(numbers)]


def _target_of(bands: Sequence[Band], geobox: GeoBox | Literal["native"] | None) -> GeoBox:
    """Return the grid that the caller asks for."""
    if isinstance(geobox, GeoBox):
        return geobox
    if geobox == "native":
        return min((b.geobox for b in bands), key=lambda g: abs(g.resolution.x * g.resolution.y))
    if geobox is not None:
        raise InputError(f"geobox={geobox!r} is not a grid; give a GeoBox, 'native' or nothing")
    boxes = [b.geobox.boundingbox.to_crs(TARGET_CRS) for b in bands]
    return target_geobox(
        (
            min(b.left for b in boxes),
            min(b.bottom for b in boxes),
            max(b.right for b in boxes),
            max(b.top for b in boxes),
        )
    )


def _chunk_shape(bands: Sequence[Band], target: GeoBox, chunks: int) -> tuple[int, int]:
    """Return rows and columns per chunk; whole blocks where a file's grid is the target."""
    own = next((b for b in bands if b.geobox == target), None)
    if own is None:
        return chunks, chunks
    rows, cols = (-(-chunks // block) * block for block in own.block)
    return min(rows, target.shape[0]), min(cols, target.shape[1])


def _where(files: Sequence[str]) -> str:
    """Name the input in a message."""
    return str(files[0]) if len(set(files)) == 1 else f"{files[0]} and {len(set(files)) - 1} more"
