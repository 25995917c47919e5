"""The sieve: small regions of a class map go to their largest neighbor, exactly as in GDAL.

A region is a connected set of pixels of one value; masked pixels belong to none. Its biggest
neighbor is the adjacent region of most pixels (sizes saturate at 2**31 - 1), among equals the one
whose adjacency comes first in scan order: pixel by pixel in rows, and at each its links to the
pixel above, above left, above right, left. A region of at least ``size`` pixels stays. A smaller
one follows the chain biggest neighbor of biggest neighbor … to the first region of at least
``size`` pixels and takes its value; where the chain ends or closes on itself before, it stays.

The raster is sieved chunk by chunk in three phases: each chunk tells the regions on its border
(``sieving.chunks``), a tree of tasks joins borders to ever larger blocks and hands the fates of
their regions back down (``sieving.tree``, ``sieving.merging``), and each chunk finishes with the
fates of its own border. The result does not depend on the chunks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Literal
from uuid import uuid4

import dask.array as da
import numpy as np
import xarray as xr
from dask.base import tokenize
from dask.callbacks import Callback
from dask.delayed import Delayed
from dask.graph_manipulation import bind
from dask.highlevelgraph import HighLevelGraph
from dask.threaded import get

from osm4eo_xr.errors import InputError
from osm4eo_xr.geometry.grid import nodata_of
from osm4eo_xr.geometry.known_classes import with_known_classes
from osm4eo_xr.legend import NO_DATA
from osm4eo_xr.process.threads import allowed_threads
from osm4eo_xr.sieving.arguments import codes_of, rule_of
from osm4eo_xr.sieving.borders import NO_FATES, Rule
from osm4eo_xr.sieving.chunks import (
    ROOM,
    Held,
    Pixels,
    Place,
    describe_regions,
    find_regions,
    finish_chunk,
    hold_chunk,
)
from osm4eo_xr.sieving.merging import settle_borders
from osm4eo_xr.sieving.tree import plan_tree

if TYPE_CHECKING:
    from osm4eo_xr.legend import Legend
    from osm4eo_xr.progress import Progress
    from osm4eo_xr.sieving.borders import Border, Fates

_STRIP = 2**18, 2**23  # pixels of the strips that an array in memory is cut into, about
_MAX_CHUNK = 2**29  # pixels; runs and places within a chunk are counted in 32 bits
_MOST_HELD = 2**28  # bytes of regions that a map of moderate size may hold between the phases
_BORDERS = "sieve-borders-"  # how the first phase's tasks are named


def sieve(
    class_map: xr.DataArray,
    size: int = 64,
    connectivity: int = 8,
    *,
    mask: Any = None,
    nodata: float | Literal["stated"] | None = "stated",
    protected: Iterable[int] = (),
    protected_pixels: Any = None,
    legend: Legend | None = None,
    reread: bool | Literal["large"] = False,
) -> xr.DataArray:
    """Give regions below ``size`` pixels to their largest neighbor.

    Equal bit for bit to ``rasterio.features.sieve`` (GDAL's sieve filter), for any chunks.

    Parameters
    ----------
    class_map : DataArray
        (y, x), any integer dtype of at most 32 bits. Lazy with dask; an array in memory is sieved
        at once.
    size : int
        Regions of fewer pixels are sieved; 1 to 2**31 - 1.
    connectivity : int
        4, or 8 to connect pixels that meet at a corner.
    mask : array, optional
        Of the map's shape: pixels where it is False or 0 belong to no region and do not change.
    nodata : int, "stated" or None
        Value of pixels that belong to no region and do not change. By default the one that the map
        states (``attrs["nodata"]``), 0 if it states none; None if every pixel takes part.
    protected : iterable of int
        Classes whose regions stay whatever their size. They take in smaller neighbors like
        regions of at least ``size`` pixels do.
    protected_pixels : array, optional
        Of the map's shape: where it is True or not 0, the pixel's region stays likewise, all of it.
    legend : Legend, optional
        If it is given, the map may hold its classes alone; else any.
    reread : bool or "large"
        Compute the input's chunks a second time for the last phase, in place of holding their
        regions (or pixels) in memory from the first. Memory then does not grow with the raster,
        and labeling is done twice: right for large maps opened from files, wasteful for maps that
        cost much to compute. "large" does so if the regions might take more than 256 MiB, twice
        the map's bytes; a tile of Sentinel-2 in uint8 is held.

    Returns
    -------
    DataArray
        With the dims, coordinates, attributes, dtype and chunks of ``class_map``.

    Raises
    ------
    InputError
        If the map is not a two-dimensional integer raster, or an argument is out of range; when
        pixels are computed, if the map holds a class that ``legend`` lacks.

    Examples
    --------
    A single pixel goes to its largest neighbor:

    >>> import numpy as np, osm4eo_xr as oxr
    >>> from osm4eo_xr.geometry.grid import georeference
    >>> classes = np.full((4, 4), 5, dtype="uint8")
    >>> classes[1, 1] = 12
    >>> box = oxr.target_geobox((4321000, 3210000, 4321040, 3210040))
    >>> oxr.sieve(georeference(classes, box), size=2).values[1]
    array([5, 5, 5, 5], dtype=uint8)
    """
    if isinstance(nodata, str) and nodata == "stated" and isinstance(class_map, xr.DataArray):
        nodata = nodata_of(class_map, NO_DATA)
    rule = rule_of(class_map, size, connectivity, nodata, protected)
    if reread == "large":
        reread = ROOM * class_map.nbytes > _MOST_HELD
    where = codes_of(mask, protected_pixels, class_map)
    if class_map.size == 0:
        return class_map.copy()
    class_map = with_known_classes(class_map, legend)
    if class_map.chunks is not None:
        return class_map.copy(data=_sieve_lazily(class_map.data, where, rule, reread=reread))
    codes = None if where is None else where.compute(scheduler="threads")
    return class_map.copy(data=_sieve_now(class_map.to_numpy(), codes, rule))


def _sieve_now(values: np.ndarray, mask: np.ndarray | None, rule: Rule) -> np.ndarray:
    """Sieve an array in memory in strips.

    Their tasks are written down, since dask's arrays would take copies of the map when it comes and
    when it is done, and on a small one as long for the graph as for the work.
    """
    high = _strip_of(*values.shape)
    _check_chunks(high, values.shape[1])
    out = np.empty(values.shape, values.dtype.newbyteorder("="))
    strips = [slice(first, first + high) for first in range(0, len(values), high)]
    sizes = tuple(len(values[strip]) for strip in strips), values.shape[1:]
    token = uuid4().hex  # of this map alone: dask's caches go by the names
    names = (_BORDERS, "sieve-told-", "sieve-fates-", "sieve-")
    held, borders, fates, done = (name + token for name in names)
    graph, _ = plan_tree(borders, fates, (len(strips), 1), rule)
    for k, strip in enumerate(strips):
        known = {"rule": rule, "sizes": sizes, "block_id": (k, 0)}
        where = None if mask is None else mask[strip]
        graph[held, k, 0] = (partial(_hold_block, **known), values[strip], where)
        graph[borders, k, 0] = (_border_of, (held, k, 0))
        finish = partial(_finish_held, **known)
        graph[done, k, 0] = (finish, (held, k, 0), (fates, k, 0), out[strip])
    get(graph, [(done, k, 0) for k in range(len(strips))])
    return out.astype(values.dtype, copy=False)


def _strip_of(rows: int, cols: int) -> int:
    """Return the rows of equal strips, as many for each thread; of whole rows nothing is copied.

    Of a small map, to which a task would be more than its pixels, there are fewer.
    """
    pixels, (least, most), threads = rows * cols, _STRIP, allowed_threads()
    strips = -(-pixels // (most * threads)) * threads
    return -(-rows // max(1, min(strips, pixels // least)))


@contextmanager
def watch_borders(progress: Progress) -> Iterator[None]:
    """Tell how far the first phase is while this process computes a sieved map.

    ``progress(done, total)`` is called after each chunk. A map of one chunk has no first phase, and
    workers of a ``distributed`` client are not watched.
    """
    done, total = 0, 0

    def begin(graph: Any) -> None:
        nonlocal done, total
        done, total = 0, sum(_is_border(key) for key in graph)

    def note(key: Any, *_state: Any) -> None:
        nonlocal done
        if _is_border(key):
            done += 1
            progress(done, total)

    with Callback(start=begin, posttask=note):
        yield


def compile_sieve() -> None:
    """Compile the sieve's kernels for maps of uint8; at once where numba's cache has them."""
    # Four chunks, so that borders are joined too; without dask, whose callbacks hear all threads.
    values = np.random.default_rng(0).integers(1, 4, (64, 64)).astype(np.uint8)
    rule = Rule(size=64, diagonal=1, width=64, nodata=0, protected=())
    at = [_place(((32, 32), (32, 32)), (k // 2, k % 2)) for k in range(4)]
    blocks = [Pixels(values[p.row :, p.column :][:32, :32], None) for p in at]
    held = [hold_chunk(b, rule, p) for b, p in zip(blocks, at, strict=True)]
    borders = [h.border for h in held]
    above, below = settle_borders([borders[:2], borders[2:]], NO_FATES, rule)
    for kept, place, fates in zip(held, at, [*above, *below], strict=True):
        finish_chunk(kept.chunk, rule, place, fates)


def _is_border(key: Any) -> bool:
    return isinstance(key, tuple) and str(key[0]).startswith(_BORDERS)


def _sieve_lazily(values: da.Array, mask: da.Array | None, rule: Rule, *, reread: bool) -> da.Array:
    """Build the three phases over chunks without empty ones."""
    if np.isnan(values.shape).any():
        raise InputError(
            "the map's chunks have unknown sizes", advice="call compute_chunk_sizes() first"
        )
    chunks = tuple(tuple(c for c in axis if c) for axis in values.chunks)
    _check_chunks(max(chunks[0]), max(chunks[1]))
    arrays = [values] if mask is None else [values, mask]
    arrays = [a.rechunk(chunks) for a in arrays]  # pyright: ignore[reportArgumentType] # dask's gap
    token = tokenize([a.name for a in arrays], rule, chunks, reread)
    known = {"rule": rule, "sizes": chunks}
    if reread:
        borders = _map_objects(_describe_block, arrays, f"{_BORDERS}{token}", **known)
        fates, tree_top = _fates_of(borders, rule, token)
        again = [bind(a, tree_top, seed=token) for a in arrays]
        inputs, finish = (again[0], fates, *again[1:]), _finish_block
    else:
        held = _map_objects(_hold_block, arrays, f"{_BORDERS}{token}", **known)
        borders = _map_objects(_border_of, [held], f"sieve-told-{token}")
        inputs, finish = (held, _fates_of(borders, rule, token)[0]), _finish_held
    out = da.map_blocks(
        finish,
        *inputs,
        **known,
        name=f"sieve-{token}",
        dtype=values.dtype,
        meta=np.empty((0, 0), values.dtype),
    )
    return out.rechunk(values.chunks)


def _check_chunks(rows: int, cols: int) -> None:
    if rows * cols > _MAX_CHUNK:
        raise InputError(
            f"the map has chunks of {rows} x {cols} pixels",
            advice="rechunk it, for example with class_map.chunk(2048)",
        )


def _map_objects(work: Any, arrays: list[da.Array], name: str, **known: Any) -> Any:
    """Map blocks to one Python object each."""
    kind = {"dtype": object, "meta": np.empty((0, 0), object)}
    return da.map_blocks(work, *arrays, **known, name=name, **kind)


def _fates_of(borders: Any, rule: Rule, token: str) -> tuple[da.Array, Delayed]:
    """Return the fates of each chunk's border, an object per chunk, and what they all wait for."""
    name = f"sieve-fates-{token}"
    shape = borders.numblocks
    graph, top = plan_tree(borders.name, name, (shape[0], shape[1]), rule)
    layers = HighLevelGraph.from_collections(name, graph, dependencies=[borders])
    fates = da.Array(
        layers,
        name,  # pyright: ignore[reportCallIssue] # a base class hides the arguments
        tuple((1,) * n for n in shape),
        dtype=object,
        meta=np.empty((0, 0), object),
    )
    return fates, Delayed(top, layers, layer=name)


def _describe_block(
    values: np.ndarray,
    mask: np.ndarray | None = None,
    *,
    rule: Rule,
    sizes: tuple[tuple[int, ...], ...],
    block_id: tuple[int, int],
) -> Border:
    place = _place(sizes, block_id)
    return describe_regions(find_regions(Pixels(values, mask), rule, place), rule, place)


def _hold_block(
    values: np.ndarray,
    mask: np.ndarray | None = None,
    *,
    rule: Rule,
    sizes: tuple[tuple[int, ...], ...],
    block_id: tuple[int, int],
) -> Held:
    return hold_chunk(Pixels(values, mask), rule, _place(sizes, block_id))


def _border_of(held: Held) -> Border:
    return held.border


def _finish_held(
    held: Held,
    fates: Fates,
    out: np.ndarray | None = None,
    *,
    rule: Rule,
    sizes: tuple[tuple[int, ...], ...],
    block_id: tuple[int, int],
) -> np.ndarray:
    return finish_chunk(held.chunk, rule, _place(sizes, block_id), fates, out)


def _finish_block(
    values: np.ndarray,
    fates: Fates,
    mask: np.ndarray | None = None,
    *,
    rule: Rule,
    sizes: tuple[tuple[int, ...], ...],
    block_id: tuple[int, int],
) -> np.ndarray:
    return finish_chunk(Pixels(values, mask), rule, _place(sizes, block_id), fates)


def _place(sizes: tuple[tuple[int, ...], ...], block_id: tuple[int, int]) -> Place:
    """Return where a chunk lies in a raster of these chunk sizes."""
    i, j = block_id
    return Place(
        row=sum(sizes[0][:i]),
        column=sum(sizes[1][:j]),
        top=i > 0,
        bottom=i + 1 < len(sizes[0]),
        left=j > 0,
        right=j + 1 < len(sizes[1]),
    )
