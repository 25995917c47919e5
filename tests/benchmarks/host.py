"""What the host does around the network: a COG read, masked, given margins, and written as a COG.

    python -m tests.benchmarks.host [--edge 5120] [--rounds 3] [--threads 2] [--margin 48]

The engine computes nothing, so that what is left is reading, margins and writing. "reflectance" is
what ``open_scene`` gives, "as stored" the numbers that ``classify`` reads in its place; each row
after it adds a step to the one before. Printed are medians: megapixels of the map per second and
per processor second of all threads, and the processor seconds that the step adds, in per cent of
the whole. In the same rounds rasterio reads the same blocks (all bands of 512 x 512 pixels, in
threads) and writes the map.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dask.array as da
import dask.config
import jax
import numpy as np
import rasterio

import osm4eo_xr as oxr
from osm4eo_xr.inference import worker
from osm4eo_xr.inference.blocks import BlockGrid, read_blocks
from osm4eo_xr.inference.specification import inputs_of
from osm4eo_xr.networks import resnet
from osm4eo_xr.networks.settings import NetSettings
from tests.benchmarks.tile import BANDS, make_scene

if TYPE_CHECKING:
    from osm4eo_xr.inference.program import ProgramSpec

BLOCK = 1024


class Idle:
    """An engine that looks at no pixel: its map is of one class in squares of 64 pixels."""

    at_once = 2  # as on a GPU

    def __init__(self, spec: ProgramSpec) -> None:
        rows, cols = np.indices((spec.rows, spec.cols)) // 64
        self._maps = np.broadcast_to((rows + cols) % 7 + 1, (spec.maps, spec.rows, spec.cols))

    def stage(self, block: Any, _center: Any, _scale: Any) -> Any:
        return block

    def compute(self, staged: Any) -> Any:
        return staged

    def fetch(self, _computed: Any) -> Any:
        return self._maps.astype(np.uint8)


def any_model() -> oxr.Model:
    """Return a model with random weights."""
    net = NetSettings(bands=len(BANDS), classes=12, depth=11, width=4, kernel=3)
    scale = oxr.Normalization(center=(0.1,) * len(BANDS), scale=(0.1,) * len(BANDS))
    return oxr.Model(net, resnet.init(net, jax.random.key(0)), BANDS, scale)


def read_by_rasterio(path: Path, threads: int) -> None:
    """Read all blocks, as rasterio's users do it in threads."""

    def read(windows: list[Any]) -> None:
        with rasterio.open(path) as file:
            for window in windows:
                file.read(window=window)

    with rasterio.open(path) as file:
        windows = [window for _, window in file.block_windows(1)]
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(read, [windows[k::threads] for k in range(threads)]))


def write_by_rasterio(source: Path, path: Path) -> None:
    """Write the map again."""
    with rasterio.open(source) as file:
        pixels, crs, transform = file.read(1), file.crs, file.transform
    shape: Any = {"height": pixels.shape[0], "width": pixels.shape[1], "count": 1, "dtype": "uint8"}
    how: Any = {"driver": "COG", "compress": "DEFLATE", "num_threads": 2, "crs": crs}
    with rasterio.open(path, "w", transform=transform, **shape, **how) as file:
        file.write(pixels, 1)


def ways(folder: Path, options: argparse.Namespace) -> dict[str, Callable[[], Any]]:
    """Return what is timed, by name."""
    path, out, again = (folder / name for name in ("scene.tif", "map.tif", "again.tif"))
    make_scene(path, options.edge)
    model = any_model()
    size = (options.edge, options.edge)

    def opened() -> Any:
        return oxr.open_scene(path)

    def stored() -> Any:
        (numbers,), _scalings = inputs_of([opened()], model)
        return numbers

    def drop(data: da.Array) -> None:
        data.map_blocks(_nothing, dtype=np.uint8, chunks=(1,) * data.ndim).compute()

    return {
        "rasterio reads": lambda: read_by_rasterio(path, options.threads),
        "reflectance": lambda: drop(opened().data),
        "as stored": lambda: drop(stored()),
        "+ margins": lambda: drop(
            read_blocks(stored(), BlockGrid(size, BLOCK, BLOCK), options.margin)
        ),
        "+ classify": lambda: drop(oxr.classify(opened(), model).data),
        "+ write_cog": lambda: oxr.write_cog(oxr.classify(opened(), model), out),
        "rasterio writes": lambda: write_by_rasterio(out, again),
    }


def _nothing(block: np.ndarray) -> np.ndarray:
    return np.zeros((1,) * block.ndim, np.uint8)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    for name, default in (("edge", 5120), ("rounds", 3), ("threads", 2), ("margin", 48)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    worker._build = lambda _model, spec: Idle(spec)
    taken: dict[str, list[tuple[float, float]]] = {}
    with tempfile.TemporaryDirectory() as folder, dask.config.set(num_workers=options.threads):
        timed = ways(Path(folder), options)
        for _ in range(options.rounds + 1):
            for name, run in timed.items():
                start, used = time.perf_counter(), time.process_time()
                run()
                took = time.perf_counter() - start, time.process_time() - used
                taken.setdefault(name, []).append(took)
    pixels = options.edge**2 / 1e6
    print(f"{'':18}{'Mpx/s':>8}{'Mpx per CPU s':>16}{'CPU s':>8}{'adds':>8}")
    before = 0.0
    whole = statistics.median(cpu for _, cpu in taken["+ write_cog"][1:])
    for name, rows in taken.items():
        wall, cpu = (statistics.median(row[k] for row in rows[1:]) for k in (0, 1))
        adds = f"{(cpu - before) / whole:.0%}" if name[0] in "a+" else ""
        before = cpu if name[0] in "a+" else before
        print(f"{name:18}{pixels / wall:8.1f}{pixels / cpu:16.1f}{cpu:8.2f}{adds:>8}")


if __name__ == "__main__":
    main()
