"""Zarr stores and NetCDF files behind the reads that a rasterio dataset has.

GDAL reads Zarr of format 2 alone and NetCDF only where its wheel brings the driver; xarray reads
both everywhere, and its index arithmetic keeps them lazy without dask.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from odc.geo.geobox import GeoBox

from osm4eo_xr.errors import InputError, extra
from osm4eo_xr.grid import geobox_of, odc_of
from osm4eo_xr.rasters.files import NETCDF
from osm4eo_xr.rasters.validity import Validity, cf_validity, unsigned_type

if TYPE_CHECKING:
    from rasterio.windows import Window

_DIMS = 3  # band, y, x


@dataclass(frozen=True)
class Layer:
    """One band of a store.

    Attributes
    ----------
    labels : tuple of str
        The value of its band coordinate or its variable's name, then its long name, if stated.
    variable : DataArray
        (y, x) digital numbers as stored, lazy; y descends.
    """

    labels: tuple[str, ...]
    variable: xr.DataArray

    @property
    def block(self) -> tuple[int, int]:
        """Rows and columns of the store's chunks."""
        chunks = self.variable.encoding.get("preferred_chunks", {})
        rows, cols = (
            chunks.get(d, n) for d, n in zip(self.variable.dims, self.variable.shape, strict=True)
        )
        return int(rows), int(cols)

    @property
    def geobox(self) -> GeoBox:
        """Its grid."""
        return geobox_of(self.variable)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of its numbers, ``_Unsigned`` heeded."""
        return unsigned_type(self.variable.attrs, self.variable.dtype)

    @property
    def validity(self) -> Validity:
        """What its CF attributes state about which pixels hold data."""
        return cf_validity(self.variable.attrs, self.dtype)

    @property
    def fill(self) -> float | None:
        """The first stated no-data value."""
        return next(iter(self.validity.values), None)

    def tag(self, name: str) -> float | None:
        """Return a numeric CF attribute, for example ``scale_factor``."""
        value = self.variable.attrs.get(name)
        return None if value is None else float(np.asarray(value).ravel()[0])


class ArraySource:
    """The layers of a store, read by number and window as from a rasterio dataset."""

    def __init__(self, path: str) -> None:
        self._path, self._dataset = path, _open(path)
        self.layers = [
            layer
            for name, variable in self._dataset.data_vars.items()
            for layer in _layers(str(name), variable, path)
        ]
        if not self.layers:
            found = ", ".join(f"{n} {v.dims}" for n, v in self._dataset.data_vars.items())
            raise InputError(
                f"{path} has no variable with dims (band, y, x) or (y, x); it has {found or 'none'}"
            )

    @property
    def nodata(self) -> float | None:
        """The first layer's stated no-data value."""
        return self.layers[0].fill

    @property
    def descriptions(self) -> tuple[str, ...]:
        """The layers' first labels."""
        return tuple("".join(layer.labels[:1]) for layer in self.layers)

    def read(self, index: int | list[int], window: Window) -> np.ndarray:
        """Return (y, x), or (band, y, x) for several bands, counted from 1."""
        if not isinstance(index, int):
            return np.stack([self.read(i, window) for i in index])
        rows, cols = window.toslices()
        layer = self.layers[index - 1]
        with damage(self._path):
            numbers = layer.variable[rows, cols].to_numpy()
        return numbers if numbers.dtype == layer.dtype else numbers.view(layer.dtype)

    def close(self) -> None:
        """Close the store."""
        self._dataset.close()


@contextmanager
def damage(path: object, what: str = "is damaged") -> Iterator[None]:
    """Turn what Zarr, HDF5 and xarray raise on a damaged store into one line.

    Their metadata are parsed by many hands: a wrong type in it comes out as any error at all.
    """
    try:
        yield
    except (InputError, MemoryError):
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:  # the disk's, not the store's
            raise
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise InputError(f"{path} {what}: {reason}") from error


def store_attributes(path: str) -> dict[str, Any]:
    """Return the attributes of a store or NetCDF file itself, undecoded."""
    with _open(path) as dataset:
        return {str(name): value for name, value in dataset.attrs.items()}


def _open(path: str) -> xr.Dataset:
    """Open a store as it is: no dask, no scaling, no decoded times."""
    if "://" not in path and not Path(path).exists():
        raise InputError(f"no file {path}; give the path of a raster")
    netcdf = Path(path).suffix.casefold() in NETCDF
    if netcdf:
        with extra("netcdf", f"reading {path}"):
            import h5netcdf  # noqa: F401 - xarray's engine for it
    options: Any = {"engine": "h5netcdf" if netcdf else "zarr", "chunks": None}
    if not netcdf and "://" not in path:
        options["consolidated"] = False  # a folder lists its arrays itself
    with damage(path, "is no Zarr store or NetCDF-4 file of arrays"):
        if netcdf and "://" not in path:
            _look_at_root(path)
        return xr.open_dataset(
            path,
            cache=False,
            mask_and_scale=False,
            decode_times=False,
            decode_coords="all",
            **options,
        )


def _look_at_root(path: str) -> None:
    """Read what h5netcdf reads before all its fields are set: failing there, it fails twice.

    Its ``__del__`` then raises as well, which Python reports on standard error.
    """
    import h5py

    with h5py.File(path) as file:
        file.attrs.get("_nc3_strict")


def _layers(name: str, variable: xr.DataArray, path: str) -> list[Layer]:
    """Return the bands of one variable; none if it is not a raster."""
    spatial = odc_of(variable).spatial_dims
    if spatial is None or variable.ndim not in (_DIMS - 1, _DIMS) or 0 in variable.shape:
        return []
    if tuple(variable.dims[-2:]) != tuple(spatial):
        raise InputError(f"{path}: {name} has dims {variable.dims}; put {spatial} last")
    y = spatial[0]
    if variable[y].size > 1 and variable[y][0] < variable[y][-1]:
        variable = variable.isel({y: slice(None, None, -1)})
    if variable.ndim == _DIMS - 1:
        return [Layer(_stated(name, variable.attrs.get("long_name")), variable)]
    dim = variable.dims[0]
    if dim != "band" and variable.sizes[dim] > 1:
        raise InputError(
            f"{path}: {name} has {variable.sizes[dim]} entries along {dim}; choose one, for "
            f"example with xarray's .isel({dim}=0), and write that"
        )
    labels = (
        [str(v) for v in variable[dim].values] if dim in variable.coords else [""] * len(variable)
    )
    if dim != "band":
        labels = [name]
    told = np.ravel(variable.attrs.get("long_name", [])).tolist()  # a list, as rioxarray writes it
    others = told if len(told) == len(labels) else [None] * len(labels)
    pairs = zip(labels, others, strict=True)
    return [Layer(_stated(*pair), variable[i]) for i, pair in enumerate(pairs)]


def _stated(*labels: object) -> tuple[str, ...]:
    """Return the labels that say something."""
    return tuple(str(label) for label in labels if label not in (None, ""))
