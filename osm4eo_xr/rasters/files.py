"""Files of scenes and grids: which there are, and how GDAL opens them; no pixel is read here.

Light on purpose: commands that need no more than a raster's grid start without dask and xarray.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import rasterio
from rasterio.errors import RasterioIOError

from osm4eo_xr.errors import InputError
from osm4eo_xr.rasters.remote.addresses import is_remote, text_of
from osm4eo_xr.rasters.remote.attempts import attempted
from osm4eo_xr.rasters.store_paths import split_store

PathLike = str | Path

NETCDF = {".nc", ".nc4", ".cdf"}
"""Suffixes of NetCDF files."""

_IMAGE_SUFFIXES = {".jp2", ".nc", ".tif", ".tiff", ".vrt", ".zarr"}

GDAL_OPTIONS: dict[str, Any] = {
    # Bytes here, unlike in GDAL's own variable; 5 % of a node for each of its workers otherwise.
    "GDAL_CACHEMAX": 256_000_000,
    "GDAL_NUM_THREADS": "1",  # dask runs the threads
    "VSI_CACHE": "TRUE",
}
"""GDAL settings of every read, the same in each worker; addresses have more (``remote.access``)."""


def list_files(path: PathLike | Sequence[PathLike]) -> list[str]:
    """Return the files that a path, a folder or several paths name."""
    if not isinstance(path, str | Path):
        paths = [file for p in path for file in _images_in(Path(p)) or [text_of(p)]]
        if not paths:
            raise InputError(
                "no file given", advice="give the path of a scene or of its band files"
            )
        return paths
    if not _is_folder(Path(path)):
        return [text_of(path)]
    inside = _images_in(Path(path))
    if not inside:
        raise InputError(
            f"folder {path} has no .tif, .vrt, .jp2, .nc or .zarr", advice="name the scene's files"
        )
    return inside


def _is_folder(path: Path) -> bool:
    """Whether a path is a folder, and no store."""
    return path.is_dir() and split_store(str(path)) is None


def _images_in(path: Path) -> list[str]:
    """Return the images and stores that lie in a folder; none of what is no folder."""
    if not _is_folder(path):
        return []
    return sorted(
        str(p)
        for p in path.iterdir()
        if p.suffix.lower() in _IMAGE_SUFFIXES and not p.name.startswith(".")
    )


def is_store(path: str) -> bool:
    """Whether a path is a NetCDF file, a Zarr store, or a group or array of one."""
    return Path(path).suffix.casefold() in NETCDF or split_store(path) is not None


@contextmanager
def open_image(path: str) -> Iterator[Any]:
    """Open a raster that has a place on the ground, with GDAL's settings of every read.

    Raises
    ------
    InputError
        If it is no raster or has no place.
    RemoteError
        If it lies at an address whose server fails or refuses access (``rasters.remote``).
    """
    try:
        with rasterio.Env(**GDAL_OPTIONS), _opened(path) as source:
            if source.crs is None or source.transform.is_identity:
                beside = " (files beside it do not count at addresses)" if is_remote(path) else ""
                raise InputError(
                    f"{path} has no CRS or position{beside}",
                    advice="assign them, for example with gdal_translate -a_srs EPSG:3035 -a_ullr",
                )
            yield source
    except UnicodeDecodeError:  # rasterio on what GDAL says of the file
        raise InputError(f"{path} is not a raster that GDAL can read: it is damaged") from None
    except RasterioIOError as error:
        if "://" not in path and not path.startswith("/vsi") and not Path(path).exists():
            raise InputError(f"no file {path}", advice="give the path of a raster") from None
        if Path(path).is_dir():
            raise InputError(f"{path} is a folder", advice="give a raster in it") from None
        raise InputError(f"{path} is not a raster that GDAL can read: {error}") from None


def _opened(path: str) -> Any:
    """Open what GDAL reads, signed if it lies at an address."""
    if is_remote(path):
        return attempted(path, lambda access: _with_headers(access.name))
    return rasterio.open(path)


def _with_headers(name: str) -> Any:
    """Open a raster and read what GDAL leaves for later: a TIFF's mask may lie far behind.

    Raises
    ------
    RasterioIOError
        Also where GDAL's own error would come out of a property.
    """
    source = rasterio.open(name)
    try:
        source.mask_flag_enums  # noqa: B018 - read for what it reads
    except Exception as error:  # noqa: BLE001 - of kinds that rasterio keeps to itself
        source.close()
        raise RasterioIOError(str(error)) from None
    return source
