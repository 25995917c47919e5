"""Several layers of one forward pass as files: computed once, then written one by one."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import dask
import dask.array as da

from osm4eo_xr.cog import write_cog

if TYPE_CHECKING:
    import xarray as xr

    from osm4eo_xr.legend import Legend

Watch = Callable[[str, int, int], None]


def write_maps(
    maps: xr.Dataset, paths: Mapping[str, Path], *, legend: Legend, watch: Watch
) -> list[Path]:
    """Write some of the maps that ``classify`` gave as COGs, in one forward pass.

    One map is written as it is computed. Several are computed together into a store beside the
    first file, compressed block by block where they are computed, and written from there.

    Parameters
    ----------
    maps : Dataset
        Lazy outputs of ``classify``.
    paths : mapping of str to Path
        File for each map's name.
    legend : Legend
        Names and colours of the class map.
    watch : callable
        Called as ``watch(piece, done, total)``.

    Raises
    ------
    InputError
        As ``write_cog`` does.
    """
    if len(paths) == 1:
        return [_write(maps, name, path, legend, watch) for name, path in paths.items()]
    first = next(iter(paths.values()))
    with _scratch(first) as folder:
        watch("inference", 0, 1)
        stored = _compute_once(maps[list(paths)], folder)
        watch("inference", 1, 1)
        return [_write(stored, name, path, legend, watch) for name, path in paths.items()]


def _compute_once(maps: xr.Dataset, folder: Path) -> xr.Dataset:
    """Store all maps in one computation; return them as read from there."""
    stores = {name: str(folder / str(name)) for name in maps.data_vars}
    dask.compute(  # pyright: ignore[reportPrivateImportUsage] - documented there
        *(maps[name].data.to_zarr(store, compute=False) for name, store in stores.items())
    )
    return maps.assign(
        {name: maps[name].copy(data=da.from_zarr(store)) for name, store in stores.items()}
    )


def _write(maps: xr.Dataset, name: str, path: Path, legend: Legend, watch: Watch) -> Path:
    raster = maps[name]
    if "class" in raster.dims:
        raster = raster.rename({"class": "band"})
    classes = legend if name == "classes" else None
    return write_cog(
        raster, path, legend=classes, progress=lambda done, total: watch(path.name, done, total)
    )


@contextmanager
def _scratch(beside: Path) -> Iterator[Path]:
    """Give a hidden folder beside a file, gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix=f".{beside.name}.maps-", dir=beside.parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
