"""Several layers of one forward pass as files: computed once, then written one by one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import dask
import dask.array as da
import dask.config

from osm4eo_xr.cogs.cog import write_cog
from osm4eo_xr.files import workplace
from osm4eo_xr.process.threads import allowed_threads

if TYPE_CHECKING:
    import xarray as xr

    from osm4eo_xr.legend import Legend
    from osm4eo_xr.progress import Watch


def write_maps(
    maps: xr.Dataset, paths: Mapping[str, Path], *, legend: Legend, watch: Watch
) -> list[Path]:
    """Write some of the maps that ``classify`` gave as COGs, in one forward pass.

    Parameters
    ----------
    maps : Dataset
        Lazy outputs of ``classify``.
    paths : mapping of str to Path
        File for each map's name.
    legend : Legend
        Names and colors of the class map, names of the bands of probabilities.
    watch : callable
        Called as ``watch(piece, done, total)``.

    Raises
    ------
    InputError
        As ``write_cog`` does.
    """
    first = next(iter(paths.values()))
    with one_pass(maps[list(paths)], first, legend, watch) as made:
        return [
            write_cog(
                made[name],
                path,
                legend=legend if name == "classes" else None,
                progress=partial(watch, path.name),
            )
            for name, path in paths.items()
        ]


@contextmanager
def one_pass(
    maps: xr.Dataset, beside: Path, legend: Legend, watch: Watch | None = None
) -> Iterator[dict[str, xr.DataArray]]:
    """Yield maps such that writing them one by one takes one pass over the scene.

    One map is left lazy. Several are computed together into a store beside a file, compressed
    block by block where they are computed, and read from there until the context ends.
    """
    named = {str(name): _with_names(raster, legend) for name, raster in maps.data_vars.items()}
    if len(named) == 1:
        yield named
        return
    tell = watch or (lambda *_: None)
    with workplace(beside) as folder, _threads_that_end():
        tell("inference", 0, 1)
        stores = {name: str(folder / name) for name in named}
        dask.compute(  # pyright: ignore[reportPrivateImportUsage] - documented there
            *(raster.data.to_zarr(stores[n], compute=False) for n, raster in named.items())
        )
        tell("inference", 1, 1)
        yield {n: raster.copy(data=da.from_zarr(stores[n])) for n, raster in named.items()}


@contextmanager
def _threads_that_end() -> Iterator[None]:
    """Let dask compute in threads of which none is left when the context ends.

    Where one block fails, dask raises at once, and others would go on to write their chunks into a
    folder that is gone: it would be there again.
    """
    if dask.config.get("scheduler", None) not in (None, "threads", "threading"):
        yield
        return
    with ThreadPoolExecutor(allowed_threads()) as pool, dask.config.set(pool=pool):
        yield


def _with_names(raster: xr.DataArray, legend: Legend) -> xr.DataArray:
    """Name the bands of probabilities after their classes."""
    if "class" not in raster.dims:
        return raster
    ids = [int(i) for i in raster["class"].to_numpy()]
    known = legend.by_id
    return raster.assign_coords({"class": [known[i].slug if i in known else str(i) for i in ids]})
