"""Zarr stores and NetCDF files behind the reads that a rasterio dataset has.

GDAL reads Zarr of format 2 alone and NetCDF only where its wheel brings the driver; xarray reads
both everywhere, and its index arithmetic keeps them lazy without dask.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from odc.geo.xr import spatial_dims

from osm4eo_xr.errors import InputError, extra
from osm4eo_xr.rasters.hierarchies import (
    AS_STORED,
    UNREADABLE,
    attributes_above,
    damage,
    open_arrays,
    read_group,
)
from osm4eo_xr.rasters.store_grids import Grids
from osm4eo_xr.rasters.store_paths import StorePath, split_store
from osm4eo_xr.rasters.validity import Validity, cf_validity, unsigned_type

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox
    from rasterio.windows import Window

_DIMS = 3  # band, y, x


@dataclass(frozen=True)
class StoreBand:
    """One band of a store.

    Attributes
    ----------
    labels : tuple of str
        The value of its band coordinate or its variable's name, then its long name, if stated.
    variable : DataArray
        (y, x) digital numbers as stored, lazy; y descends.
    grids : Grids
        Tells where it lies.
    """

    labels: tuple[str, ...]
    variable: xr.DataArray
    grids: Grids

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
        return self.grids.of(self.variable)

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
        where = split_store(path)
        grids = Grids(path, lambda: [] if where is None else attributes_above(where))
        with damage(path):  # the labels of bands are read here
            self.layers = [
                StoreBand(labels, layer, grids)
                for name, variable in self._dataset.data_vars.items()
                for labels, layer in _layers(str(name), variable, path)
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


def store_attributes(path: str) -> dict[str, Any]:
    """Return the attributes of a store or NetCDF file, undecoded; those of a Zarr store's root."""
    where = split_store(path)
    if where is not None:
        root = read_group(StorePath(where.root))
        return {} if root is None else root.attributes
    with _open(path) as dataset:
        return {str(name): value for name, value in dataset.attrs.items()}


def store_names(path: str) -> list[str]:
    """Return the first label of each layer of a store, in the same order as ``ArraySource``."""
    source = ArraySource(path)
    try:
        return list(source.descriptions)
    finally:
        source.close()


def store_variables(path: str) -> list[dict[str, Any]]:
    """Return the attributes of each layer of a store, as ``ArraySource`` counts them, undecoded."""
    source = ArraySource(path)
    try:
        return [dict(layer.variable.attrs) for layer in source.layers]
    finally:
        source.close()


def _open(path: str) -> xr.Dataset:
    """Open a store as it is."""
    where = split_store(path)
    if where is not None:
        return open_arrays(where)
    if "://" not in path and not Path(path).exists():
        raise InputError(f"no file {path}", advice="give the path of a raster")
    with extra("netcdf", f"reading {path}"):
        import h5netcdf  # noqa: F401 - xarray's engine for it
    with damage(path, UNREADABLE):
        if "://" not in path:
            _look_at_root(path)
        return xr.open_dataset(path, engine="h5netcdf", **AS_STORED)


def _look_at_root(path: str) -> None:
    """Read what h5netcdf reads before all its fields are set: failing there, it fails twice.

    Its ``__del__`` then raises as well, which Python reports on standard error.
    """
    import h5py

    with h5py.File(path) as file:
        file.attrs.get("_nc3_strict")


def _layers(
    name: str, variable: xr.DataArray, path: str
) -> list[tuple[tuple[str, ...], xr.DataArray]]:
    """Return labels and (y, x) numbers of the bands of one variable; none if it is no raster."""
    spatial = spatial_dims(variable)
    if spatial is None or variable.ndim not in (_DIMS - 1, _DIMS) or 0 in variable.shape:
        return []
    if tuple(variable.dims[-2:]) != tuple(spatial):
        raise InputError(f"{path}: {name} has dims {variable.dims}", advice=f"put {spatial} last")
    y = spatial[0]
    if y in variable.coords and variable[y].size > 1 and variable[y][0] < variable[y][-1]:
        variable = variable.isel({y: slice(None, None, -1)})
    if variable.ndim == _DIMS - 1:
        return [(_stated(name, variable.attrs.get("long_name")), variable)]
    dim = variable.dims[0]
    if dim != "band" and variable.sizes[dim] > 1:
        raise InputError(
            f"{path}: {name} has {variable.sizes[dim]} entries along {dim}",
            advice=f"choose one, for example with xarray's .isel({dim}=0), and write that",
        )
    # numpy hands out a damaged store's characters beyond Unicode's last one; encoding finds them.
    labels = (
        [str(v).encode().decode() for v in variable[dim].values]
        if dim in variable.coords
        else [""] * len(variable)
    )
    if dim != "band":
        labels = [name]
    told = np.ravel(variable.attrs.get("long_name", [])).tolist()  # a list, as rioxarray writes it
    others = told if len(told) == len(labels) else [None] * len(labels)
    pairs = zip(labels, others, strict=True)
    return [(_stated(*pair), variable[i]) for i, pair in enumerate(pairs)]


def _stated(*labels: object) -> tuple[str, ...]:
    """Return the labels that say something."""
    return tuple(str(label) for label in labels if label not in (None, ""))
