"""Windows of rasters: open handles per thread, and array-likes that read just what is indexed."""

from __future__ import annotations

import atexit
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dask.array as da
import numpy as np
import rasterio
from rasterio.errors import RasterioIOError
from rasterio.windows import Window

from osm4eo_xr.rasters.files import GDAL_OPTIONS, is_store
from osm4eo_xr.rasters.remote.addresses import is_remote
from osm4eo_xr.rasters.remote.attempts import attempted
from osm4eo_xr.rasters.staged import is_staged, refuse_missing
from osm4eo_xr.rasters.store_paths import split_store
from osm4eo_xr.rasters.stores import ArraySource
from osm4eo_xr.rasters.validity import Validity, invalid_pixels

if TYPE_CHECKING:
    from osm4eo_xr.rasters.remote.access import Access

# Maps are read in whole blocks and without margins: hardly a block is read twice.
_PLAIN_OPTIONS: dict[str, Any] = GDAL_OPTIONS | {"GDAL_CACHEMAX": 16_000_000}

_PLAIN = Validity()
_HANDLES = 40  # open files per thread: three tiles' bands
_local = threading.local()


def dataset(path: str, stamp: int) -> Any:
    """Return this thread's open raster or store of a path (GDAL handles are not shared)."""
    if not hasattr(_local, "handles"):
        _local.handles = OrderedDict()
    handles: OrderedDict[tuple[str, int], Any] = _local.handles
    key = (path, stamp)
    if key not in handles:
        handles[key] = ArraySource(path) if is_store(path) else rasterio.open(path)
        if len(handles) > _HANDLES:
            handles.popitem(last=False)[1].close()
    handles.move_to_end(key)
    return handles[key]


def _close_all() -> None:
    """Close this thread's handles."""
    for handle in getattr(_local, "handles", {}).values():
        handle.close()


# Those of other threads close when these end. The main thread's would be left to an interpreter
# that has taken its modules down, in which rasterio cannot close them.
atexit.register(_close_all)


def stamp_of(path: str) -> int:
    """Return a local file's (or its zip's) modification time in ns, 0 for anything else."""
    store = split_store(path)
    if store is not None and store.zipped:
        path = store.root
    local = path.removeprefix("/vsizip/{").partition("}/")[0]
    try:
        return Path(local).stat().st_mtime_ns
    except (OSError, ValueError):
        return 0


def _close(path: str, stamp: int) -> None:
    """Close this thread's handle of a path, if it has one."""
    handle = getattr(_local, "handles", {}).pop((path, stamp), None)
    if handle is not None:
        handle.close()


def _with_source(path: str, stamp: int, work: Callable[[Any], Any]) -> Any:
    """Do something with an open raster; one at an address is signed, and opened again if it fails.

    Handles of an address that was signed anew have another name.
    """
    if not is_remote(path) or is_store(path):
        return work(dataset(path, stamp))

    def once(access: Access) -> Any:
        try:
            return work(dataset(access.name, stamp))
        except RasterioIOError:
            _close(access.name, stamp)
            raise

    return attempted(path, once)


def read_window(path: str, stamp: int, index: int | list[int], window: Window) -> Any:
    """Read a window; what GDAL cannot read is named, which its own message does not do.

    Raises
    ------
    RasterioIOError
        If it cannot be read.
    RemoteError
        If it lies at an address whose server fails or refuses access (``rasters.remote``).
    """
    try:
        if is_staged(path):
            refuse_missing(dataset(path, stamp), window)
        return _with_source(path, stamp, lambda source: source.read(index, window=window))
    except RasterioIOError as error:
        said = str(error.__cause__ or error)
        raise RasterioIOError(said if path in said else f"{path}: {said}") from None


def read_hidden(
    path: str, stamp: int, index: int, validity: Validity, window: Window
) -> np.ndarray | None:
    """Return where a file's mask or alpha band hides a band's pixels of a window, (y, x) bool."""
    if not validity.hides:
        return None
    hidden = np.zeros((int(window.height), int(window.width)), bool)
    if validity.mask:
        hidden |= _with_source(path, stamp, lambda s: s.read_masks(index, window=window)) == 0
    if validity.alpha:
        hidden |= read_window(path, stamp, validity.alpha, window) == 0
    return hidden


def positions(key: Any, shape: tuple[int, ...]) -> tuple[list[np.ndarray], tuple[int, ...]]:
    """Return the positions that an index picks on each axis, and the axes that it drops."""
    keys = key if isinstance(key, tuple) else (key,)
    keys = (*keys, *(slice(None),) * (len(shape) - len(keys)))
    picked = [np.atleast_1d(np.arange(n)[k]) for n, k in zip(shape, keys, strict=True)]
    return picked, tuple(i for i, k in enumerate(keys) if isinstance(k, int | np.integer))


def span(picked: np.ndarray) -> slice:
    """Return the smallest slice that holds all positions."""
    return slice(int(picked.min()), int(picked.max()) + 1) if picked.size else slice(0, 0)


def pick(data: np.ndarray, rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
    """Return rows and columns (…, y, x); all of them in order need no copy."""
    for axis, wanted in ((-2, rows), (-1, cols)):
        if not np.array_equal(wanted, np.arange(data.shape[axis])):
            data = data.take(wanted, axis=axis)
    return data


@dataclass(frozen=True)
class RasterReader:
    """Bands of a file as an array-like (band, y, x) in their own data type, no data filled in.

    Bands are read together: blocks that hold several are decoded once.
    ``rioxarray.open_rasterio`` opens files slower and reads them no faster
    (``tests/benchmarks/opening.py``). It keeps a handle per thread and file as long as the array
    lives, which a mosaic of a thousand tiles has not got; it does not name the file of a failed
    read; it takes GDAL's settings, with them the size of the block cache, from the process alone;
    it opens no Zarr store; and where a mask or an alpha band has to be heeded it makes floats of
    class ids and follows GDAL, for which a tag hides an alpha band.

    Attributes
    ----------
    path, stamp : str, int
        What GDAL opens, and its modification time.
    indexes : tuple of int
        Its bands, from 1.
    shape : tuple of int
        Bands, rows, columns.
    dtype : numpy.dtype
        Of the file.
    nodata : float
        What pixels without data hold.
    rules : tuple of Validity
        One for each band: which other pixels have no data.
    """

    path: str
    stamp: int
    indexes: tuple[int, ...]
    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    nodata: float
    rules: tuple[Validity, ...]

    ndim = 3

    def __getitem__(self, key: Any) -> np.ndarray:
        (layers, rows, cols), dropped = positions(key, self.shape)
        row_span, col_span = span(rows), span(cols)
        if not (layers.size and rows.size and cols.size):
            data = np.empty((layers.size, rows.size, cols.size), self.dtype)
        else:
            window = Window.from_slices(row_span, col_span)
            with rasterio.Env(**_PLAIN_OPTIONS):
                data = self._filled(layers.tolist(), window)
        data = pick(data, rows - row_span.start, cols - col_span.start)
        return data.squeeze(axis=dropped) if dropped else data

    def _filled(self, layers: list[int], window: Window) -> np.ndarray:
        """Return bands of a window with the no-data value wherever there is no data."""
        indexes = [self.indexes[layer] for layer in layers]
        data = read_window(self.path, self.stamp, indexes, window)
        for band, index, layer in zip(data, indexes, layers, strict=True):
            rule = self.rules[layer]
            if rule != _PLAIN or self.dtype.kind == "f":
                hidden = read_hidden(self.path, self.stamp, index, rule, window)
                band[invalid_pixels(band, rule, hidden)] = self.nodata
        return data


@dataclass(frozen=True)
class OneBand:
    """The first band of a reader as an array (y, x).

    A layer of a graph that reads and selects in one task, where a band that is selected afterwards
    would be a task more for each chunk.
    """

    reader: RasterReader

    ndim = 2

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.reader.shape[1:]

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the pixels."""
        return self.reader.dtype

    def __getitem__(self, key: Any) -> np.ndarray:
        return self.reader[(0, *(key if isinstance(key, tuple) else (key,)))]


def lazy_array(reader: Any, chunks: tuple[int, ...]) -> da.Array:
    """Return a reader as a dask array whose chunks are read without a lock."""
    source: Any = reader  # array-likes and shapes are beyond from_array's declared types
    shape: Any = chunks
    meta = np.empty((0,) * reader.ndim, reader.dtype)
    return da.from_array(source, chunks=shape, asarray=True, lock=False, meta=meta)
