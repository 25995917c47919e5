"""Any lazy raster → a valid Cloud-Optimized GeoTIFF with names and colors."""

from __future__ import annotations

import math
import uuid
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import Any, Literal

import dask.array as da
import dask.base
import numpy as np
import xarray as xr
from dask.delayed import delayed

from osm4eo_xr.cogs.cog_file import Contents, colors_of, new_cog
from osm4eo_xr.cogs.levels import BLOCK, GDAL_TYPES, Layout, LevelFiles, shrink_block
from osm4eo_xr.cogs.sidecars import Category
from osm4eo_xr.errors import InputError
from osm4eo_xr.geometry.grid import geobox_of, nodata_of
from osm4eo_xr.geometry.known_classes import OF_A_MASK, OF_CORINE, coded
from osm4eo_xr.legend import Legend, is_built_in, load_legend
from osm4eo_xr.progress import Progress, with_bars

MOST_TASKS = 100_000
"""Tasks of one graph that a dask scheduler is given at most."""

_WHOLE = 2.0**53  # from here on, floats are whole for want of digits
_DEFAULT_CHUNK = 2048  # pixels, for rasters that are in memory
_CLASS_TYPES = ("uint8", "uint16")


@with_bars("pixels")
def write_cog(
    raster: xr.DataArray,
    path: str | Path,
    *,
    legend: Legend | None = None,
    compression: Literal["zstd", "deflate"] = "zstd",
    progress: Progress | None = None,
) -> Path:
    """Write a raster as a Cloud-Optimized GeoTIFF, block by block.

    Blocks are computed where dask computes them (threads, or the workers of the active
    ``distributed`` client) and written by this process, so memory holds a few blocks, however
    large the raster. The file is written beside its place, validated and renamed when whole.

    Parameters
    ----------
    raster : DataArray, dims (y, x) or (band, y, x)
        Lazy or in memory, with a CRS. ``attrs["nodata"]`` is its no-data value. A raster with
        ``flag_values`` in its attrs holds classes (uint8 or uint16), and so does one (y, x) of
        these types that names a legend (``attrs["legend"]``), as ``open_raster`` returns class
        maps: overviews take the mode. Overviews of all other rasters take the mean. Pixels
        without data do not count in either.
    path : str or Path
        The GeoTIFF to write; an existing file is replaced.
    legend : Legend, optional
        Names and colors of the classes; by default those in the attrs, or of the legend of this
        package that they name.
    compression : {"zstd", "deflate"}
        Lossless compression; quantities are predicted from their neighbors first, classes not.
    progress : callable, optional
        Called as ``progress(done, total)`` after each block.

    Returns
    -------
    Path
        The file written. Beside it lie ``PATH.aux.xml`` (class names and attribute table for
        GDAL), for classes a QGIS style (``.qml``), and, where ``attrs["datetime"]`` says when the
        ground was seen (RFC 3339), a STAC item (``.stac.json``) that carries ``attrs["digest"]``,
        the hash of the model that made the map.

    Raises
    ------
    InputError
        If the raster has no grid, no pixels or a type that GeoTIFF lacks, or if the folder does
        not exist.

    Examples
    --------
    >>> import numpy as np, osm4eo_xr as oxr
    >>> from osm4eo_xr.geometry.grid import georeference
    >>> box = oxr.target_geobox((4321000, 3210000, 4321020, 3210010))
    >>> class_map = georeference(np.array([[8, 12]], dtype="uint8"), box)
    >>> path = oxr.write_cog(class_map, "map.tif", legend=oxr.default_legend())
    >>> sorted(entry.name for entry in path.parent.iterdir())
    ['map.qml', 'map.tif', 'map.tif.aux.xml']
    """
    path = Path(path)
    blocks = _with_band_axis(raster)
    contents = Contents(
        categories=_categories(raster, legend),
        tags=_tags(raster, legend),
        datetime=str(raster.attrs.get("datetime", "")),
        digest=str(raster.attrs.get("digest", "")),
    )
    layout = _layout(raster, blocks, contents.categories)
    with new_cog(path, layout, contents, compression) as levels:
        _fill(levels, blocks, layout, progress)
    return path


def _with_band_axis(raster: xr.DataArray) -> Any:
    """Return the dask array (band, y, x), its blocks starting at multiples of the COG's tiles."""
    if raster.dims[-2:] != ("y", "x") or raster.ndim not in (2, 3) or 0 in raster.shape:
        raise InputError(
            f"cannot write a raster with dims {raster.dims} and shape {raster.shape}",
            expected="(y, x) or (band, y, x) with at least one pixel",
        )
    sizes = {d: _chunk_size(raster.chunksizes.get(d)) for d in ("y", "x")}
    data = raster.chunk({**dict.fromkeys(raster.dims[:-2], -1), **sizes}).data
    return data[None] if data.ndim == 2 else data  # noqa: PLR2004


def _chunk_size(chunks: tuple[int, ...] | None) -> int:
    """Round a chunking up to whole tiles of the COG."""
    return _DEFAULT_CHUNK if chunks is None else -(-max(chunks) // BLOCK) * BLOCK


def _categories(raster: xr.DataArray, legend: Legend | None) -> tuple[Category, ...]:
    """Return value, name and color of each class; nothing for quantities."""
    plain, how = coded(raster)
    stated = str(plain.attrs.get("legend", ""))
    flagged = "flag_values" in raster.attrs
    if legend is None and not (flagged or _names_classes(raster)):
        return ()
    if legend is None and is_built_in(stated):
        legend = load_legend(stated)
    if flagged or legend is None:
        attrs = raster.attrs
    elif how == OF_A_MASK:
        return ()  # nothing says which of its classes are 1
    else:
        attrs = legend.attrs() | ({"flag_values": [*legend.clc_to_id]} if how == OF_CORINE else {})
    slugs = str(attrs.get("flag_meanings", "")).split()
    colors = str(attrs.get("flag_colors", "")).split()
    found = []
    for k, value in enumerate(np.atleast_1d(attrs.get("flag_values", ()))):
        slug = slugs[k] if k < len(slugs) else str(value)
        known = None if legend is None else _of_legend(legend, int(value), slug)
        if known is not None:
            found.append(Category(int(value), known.name, known.slug, known.color))
        else:
            shade = colors[k] if k < len(colors) else "#808080"
            rgb = (int(shade[1:3], 16), int(shade[3:5], 16), int(shade[5:7], 16))
            found.append(Category(int(value), slug, slug, rgb))
    return tuple(found)


def _names_classes(raster: xr.DataArray) -> bool:
    """Whether a raster without flags holds classes all the same: it says of which legend."""
    classes = raster.dims == ("y", "x") and raster.dtype.name in _CLASS_TYPES
    return classes and raster.attrs.get("legend", "") != ""


def _of_legend(legend: Legend, value: int, slug: str) -> Any:
    """Return the legend's class by its slug (values may be CORINE codes), else by its id."""
    by_slug = {c.slug: c for c in legend.classes}
    return by_slug.get(slug, legend.by_id.get(value) if slug == str(value) else None)


def _layout(raster: xr.DataArray, blocks: Any, categories: tuple[Category, ...]) -> Layout:
    dtype = np.dtype(raster.dtype)
    if dtype.name not in GDAL_TYPES:
        raise InputError(
            f"cannot write {dtype.name} to a GeoTIFF",
            advice="convert first, for example .astype('uint8')",
        )
    if categories and dtype.name not in _CLASS_TYPES:
        raise InputError(f"classes are {dtype.name}", advice="write them as uint8 or uint16")
    nodata = nodata_of(raster)
    if nodata is None and dtype.kind == "f":
        nodata = np.nan
    names = _band_names(raster)
    return Layout(
        geobox=geobox_of(raster),
        dtype=dtype.name,
        bands=tuple(names) if names else ("",) * blocks.shape[0],
        nodata=None if nodata is None else _plain(nodata),
        classes=bool(categories) or _names_classes(raster),
        colors=colors_of(categories) if dtype == np.uint8 else (),
    )


def _band_names(raster: xr.DataArray) -> list[str]:
    """Return the labels of the leading dim, if it has any."""
    if raster.ndim == 2:  # noqa: PLR2004
        return [str(raster.name or "")]
    dim = raster.dims[0]
    return [str(v) for v in raster[dim].values] if dim in raster.coords else []


def _plain(value: Any) -> float:
    """Return a whole number as int, so that it is written without a point.

    Those that floats state at the end of their range stay floats; no integer type holds them.
    """
    number = float(value)
    return int(number) if number.is_integer() and abs(number) < _WHOLE else number


def _tags(raster: xr.DataArray, legend: Legend | None) -> dict[str, str]:
    """Return the attrs that are worth a GDAL tag: plain text and numbers of our own steps.

    Where values are the ids of a legend its name is a tag too, by which later steps know them.
    """
    drop = {"nodata", "_FillValue", "flag_values", "flag_meanings", "flag_colors", "grid_mapping"}
    drop |= {"validity", "no_data_seen"}  # of the file that was read
    of_ids = {} if legend is None or "flag_values" in raster.attrs else {"legend": legend.name}
    attrs = of_ids | raster.attrs
    return {
        k: str(v) for k, v in attrs.items() if k not in drop and isinstance(v, str | int | float)
    }


def _lazy_levels(data: da.Array, layout: Layout) -> da.Array:
    """Return the levels of each block, one object per block."""
    return data.map_blocks(
        _levels_of_block,
        layout=layout,
        name=f"levels-{uuid.uuid4().hex}",
        dtype=object,
        chunks=tuple((1,) * n for n in data.numblocks),
        meta=np.empty((0, 0, 0), object),
    )


def _levels_of_block(block: np.ndarray, layout: Layout) -> np.ndarray:
    """Wrap the levels in an array, so that blocks stay blocks of a dask array."""
    wrapped = np.empty((1, 1, 1), object)
    wrapped[0, 0, 0] = shrink_block(block, layout)
    return wrapped


def _fill(files: LevelFiles, data: da.Array, layout: Layout, progress: Progress | None) -> None:
    """Compute all blocks and write each as soon as it is there.

    On a cluster a raster of very many blocks goes as several graphs, one after the other, so that
    none passes ``MOST_TASKS``: a scheduler's memory and start-up time grow with its tasks.
    """
    rows, columns = (np.cumsum((0, *sizes[:-1])).tolist() for sizes in data.chunks[1:])
    done, total, counting = 0, len(rows) * len(columns), Lock()
    levels = _lazy_levels(data, layout)

    def write(i: int, j: int, block: np.ndarray) -> None:
        nonlocal done
        files.write(rows[i], columns[j], block[0, 0, 0])
        with counting:  # blocks come from several threads
            done += 1
            if progress is not None:
                progress(done, total)

    client = _distributed_client()
    if client is not None:
        for first, last in _bands_of_rows(levels):
            _gather(client, levels[:, first:last], first, write)
        return
    place, blocks = delayed(write, pure=False), levels.to_delayed()[0]  # pyright: ignore[reportAttributeAccessIssue] - a base class hides it
    tasks = [place(i, j, blocks[i, j]) for i in range(len(rows)) for j in range(len(columns))]
    # Blocks end in files that this process holds open, which other processes could not share.
    processes = dask.base.get_scheduler() is dask.base.named_schedulers["processes"]
    dask.base.compute(*tasks, scheduler="threads" if processes else None)


def _bands_of_rows(levels: da.Array) -> list[tuple[int, int]]:
    """Cut the rows of blocks into bands whose graphs have at most ``MOST_TASKS`` tasks.

    Neighboring bands read the rows between them twice, hence a tenth in reserve.
    """
    rows = levels.numblocks[1]
    bands = min(math.ceil(1.1 * len(levels.__dask_graph__()) / MOST_TASKS), rows)
    return [(rows * k // bands, rows * (k + 1) // bands) for k in range(bands)]


def _distributed_client() -> Any:
    """Return the client that dask would compute on, or None for a scheduler in this process."""
    owner = getattr(dask.base.get_scheduler(), "__self__", None)
    return owner if hasattr(owner, "scheduler_info") else None


def _gather(
    client: Any, levels: da.Array, first: int, write: Callable[[int, int, np.ndarray], None]
) -> None:
    """Fetch blocks from the workers one by one; each is forgotten there when it is written."""
    from distributed import as_completed, futures_of

    # Blocks of an array keep the annotations of its tasks (which workers may do them); delayed
    # objects made of them would not.
    futures = futures_of(client.persist(levels))
    waiting = as_completed(futures, with_results=True)
    del futures
    for future, block in waiting:
        _, _, i, j = future.key
        write(first + i, j, block)
        future.release()
