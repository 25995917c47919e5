"""Sieve class maps beside rasterio (GDAL): seconds, processor seconds, memory, equality.

Each figure comes from a process of its own that sieves one map once; with repeats, the ways take
turns and medians are shown, of ratios the median of each turn's. ``speed`` is rasterio's seconds to
the way's and ``cpu`` its processor seconds to the way's, which other load on the machine touches
less: of the array in memory for threads, from file to file for ways from files. The ways:

rasterio    ``rasterio.features.sieve`` of the array in memory
1 thread    ours, the same array, one thread
2 threads   the same in two threads
files       rasterio's from a GeoTIFF to a raw file
2 workers   ours between the same, two ``distributed`` worker processes of one thread
stream      ours from a GeoTIFF to a COG, two threads, as ``osm4eo-xr sieve`` does it

Memory is the peak above what the process holds when the sieve begins (MB): the output counts
always, the input where the way reads it itself.

    python tests/benchmarks/sieve.py --edges 2000 5000 --repeats 3
    python tests/benchmarks/sieve.py --endless 60000
    python tests/benchmarks/sieve.py --tasks 60000 90000
"""

import argparse
import hashlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import dask.array as da
import numpy as np
import rasterio
import xarray as xr
from class_maps import class_window, lazy_class_map
from dask import config
from dask.callbacks import Callback
from rasterio.windows import Window

from osm4eo_xr.geometry.grid import target_geobox
from osm4eo_xr.sieving.lazy_sieve import sieve

WAYS = ("rasterio", "1 thread", "2 threads", "files", "2 workers", "stream")
FROM_FILES = ("files", "2 workers", "stream")
SIZES, CONNECTIVITIES = (64, 1000), (4, 8)
CHUNK = 2048
FIGURES = ("seconds", "cpu", "memory")


def make_map(path: Path, edge: int) -> None:
    """Write the map as a GeoTIFF in tiles, chunk by chunk."""
    box = target_geobox((4_000_000, 2_800_000, 4_000_000 + 10 * edge, 2_800_000 + 10 * edge))
    profile = {"driver": "GTiff", "dtype": "uint8", "count": 1, "nodata": 0, "tiled": True}
    profile |= {"blockxsize": 512, "blockysize": 512, "compress": "ZSTD", "zstd_level": 1}
    place = {"height": edge, "width": edge, "crs": "EPSG:3035", "transform": box.affine}
    with rasterio.open(path, "w", **profile, **place) as file:
        for row in range(0, edge, CHUNK):
            for column in range(0, edge, CHUNK):
                h, w = min(CHUNK, edge - row), min(CHUNK, edge - column)
                window = Window(column, row, w, h)  # pyright: ignore[reportCallIssue] # attrs
                file.write(class_window(row, column, h, w), 1, window=window)


def memory(field: str) -> float:
    """Return this process's peak (VmHWM) or present (VmRSS) memory in MB."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split(f"{field}:")[1].split()[0]) / 1024


def timed(work: Callable[[], Any]) -> tuple[dict[str, Any], Any]:
    """Return seconds, processor seconds and added memory of some work, and what it returns."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # peak = present
    before, cpu, began = memory("VmRSS"), time.process_time(), time.perf_counter()
    result = work()
    found = {"seconds": time.perf_counter() - began, "cpu": time.process_time() - cpu}
    return found | {"memory": memory("VmHWM") - before}, result


def digest(result: np.ndarray) -> str:
    return hashlib.blake2b(np.ascontiguousarray(result).data, digest_size=8).hexdigest()


def digest_of_file(path: str) -> str:
    """Return the digest of a raster's pixels, read strip by strip."""
    seen = hashlib.blake2b(digest_size=8)
    with rasterio.open(path) as file:
        for row in range(0, file.height, CHUNK):
            window = Window(0, row, file.width, min(CHUNK, file.height - row))  # pyright: ignore[reportCallIssue] # attrs
            seen.update(np.ascontiguousarray(file.read(1, window=window)).data)
    return seen.hexdigest()


def by_array(way: str, source: str, size: int, connectivity: int) -> dict[str, Any]:
    """Sieve an array that is read beforehand."""
    from rasterio.features import sieve as gdal_sieve

    with rasterio.Env(GDAL_CACHEMAX=64_000_000), rasterio.open(source) as file:
        values = file.read(1)
    if way == "rasterio":
        found, result = timed(lambda: gdal_sieve(values, size, connectivity=connectivity))
    else:
        whole = xr.DataArray(values, dims=("y", "x"))
        with config.set(num_workers=int(way[0])):
            found, sieved = timed(lambda: sieve(whole, size, connectivity, nodata=None))
        result = sieved.to_numpy()
    return found | {"digest": digest(result)}


def by_gdal_files(source: str, target: str, size: int, connectivity: int) -> dict[str, Any]:
    """Sieve from a GeoTIFF to a raw file as rasterio does it."""
    from rasterio.features import sieve as gdal_sieve

    def work() -> None:
        with rasterio.open(source) as file:
            sieved = gdal_sieve(file.read(1), size, connectivity=connectivity)
        RawFile(target, sieved.shape)[:, :] = sieved

    with rasterio.open(source) as file:
        shape = file.shape
        file.read(1, window=Window(0, 0, CHUNK, CHUNK))  # pyright: ignore[reportCallIssue] # attrs
    found, _ = timed(work)
    return found | {"digest": digest(np.memmap(target, np.uint8, "r", shape=shape))}


def by_file(source: str, target: str, size: int, connectivity: int) -> dict[str, Any]:
    """Sieve from a GeoTIFF to a COG."""
    from osm4eo_xr.cogs.cog import write_cog
    from osm4eo_xr.legend import default_legend
    from osm4eo_xr.rasters.open import open_raster

    def work() -> Path:
        opened = open_raster(source, chunks=CHUNK)
        sieved = sieve(opened, size, connectivity, nodata=None, reread="large")
        return write_cog(sieved, target, legend=default_legend())

    found, path = timed(work)
    return found | {"digest": digest_of_file(str(path))}


class RawFile:
    """A file of bytes that any process may write blocks of."""

    def __init__(self, path: str, shape: tuple[int, int]) -> None:
        self.path, self.shape, self.dtype, self.ndim = path, shape, np.dtype(np.uint8), 2
        np.memmap(path, self.dtype, "w+", shape=shape).flush()

    def __setitem__(self, at: tuple[slice, slice], block: np.ndarray) -> None:
        np.memmap(self.path, self.dtype, "r+", shape=self.shape)[at] = block


def by_workers(source: str, target: str, size: int, connectivity: int) -> dict[str, Any]:
    """Sieve from a GeoTIFF to a raw file on two worker processes."""
    from distributed import Client, LocalCluster

    from osm4eo_xr.rasters.open import open_raster

    opened = open_raster(source, chunks=CHUNK)
    ours = sieve(opened, size, connectivity, nodata=None, reread="large").data
    file = RawFile(target, ours.shape)
    options = {"threads_per_worker": 1, "dashboard_address": ":0", "memory_limit": "8GiB"}
    with LocalCluster(n_workers=2, **options) as cluster, Client(cluster) as client:
        client.run(warm_up, "2 workers")
        client.run(open_once, source)

        def total(work: Callable[..., Any], *arguments: Any) -> float:
            return sum(cast("Any", client.run(work, *arguments)).values())

        before, cpu = total(memory, "VmRSS"), total(time.process_time)
        found, _ = timed(lambda: da.store(ours, file, lock=False))
        found["cpu"] += total(time.process_time) - cpu
        found["memory"] += total(memory, "VmHWM") - before
    return found | {"digest": digest(np.memmap(target, np.uint8, "r", shape=ours.shape))}


def open_once(source: str) -> None:
    """Load what reads files, as the process of rasterio's way has done before it is timed."""
    from osm4eo_xr.rasters.open import open_raster

    open_raster(source, chunks=CHUNK).data.blocks[0, 0].compute(scheduler="synchronous")


def warm_up(way: str) -> None:
    """Load the compiled kernels, and what dask loads and starts when it first computes."""
    if way not in ("rasterio", "files"):
        small = xr.DataArray(lazy_class_map(200, 200, 100), dims=("y", "x"))
        sieve(small, 64, nodata=None).data.compute(scheduler="synchronous")
        sieve(small.compute(scheduler="synchronous"), 64, nodata=None)


def run_one(way: str, source: str, target: str, size: int, connectivity: int) -> dict[str, Any]:
    warm_up(way)
    if way == "files":
        return by_gdal_files(source, target, size, connectivity)
    if way == "stream":
        return by_file(source, target, size, connectivity)
    if way == "2 workers":
        return by_workers(source, target, size, connectivity)
    return by_array(way, source, size, connectivity)


def in_process(way: str, source: Path, size: int, connectivity: int) -> dict[str, Any]:
    """Run one way in a process of its own."""
    with tempfile.TemporaryDirectory(dir=source.parent) as folder:
        case = [way, str(source), f"{folder}/out.tif", str(size), str(connectivity)]
        command = [sys.executable, __file__, "--one", *case]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return json.loads(output.splitlines()[-1])


def compare(edge: int, options: argparse.Namespace) -> None:
    """Print the table of one map."""
    with tempfile.TemporaryDirectory() as name:
        source = Path(name) / "map.tif"
        make_map(source, edge)
        for size in options.sizes:
            for connectivity in options.connectivities:
                found = {way: [] for way in options.ways}
                for _ in range(options.repeats):
                    for way, runs in found.items():
                        runs.append(in_process(way, source, size, connectivity))
                print_case(f"{edge:>6} {size:>5} {connectivity:>2}", found)


def print_case(case: str, found: dict[str, list[dict[str, Any]]]) -> None:
    """Print a line per way."""
    known = {r["digest"] for r in found.get("rasterio", [])}
    for way, runs in found.items():
        peers = found.get("files" if way in FROM_FILES else "rasterio", [])
        seconds, cpu, mb = (statistics.median(r[k] for r in runs) for k in FIGURES)
        speed, less_cpu, less_mb = (median_ratio(peers, runs, k) for k in FIGURES)
        equal = {r["digest"] for r in runs} == known if known else "-"
        figures = f"{seconds:8.2f} {cpu:8.2f} {mb:7.0f} {speed:7.2f} {less_cpu:5.2f}"
        share = 1 / less_mb
        print(f"{case} {way:10} {figures} {share:6.2f} {equal!s:>6}", flush=True)


def median_ratio(peers: list[dict[str, Any]], runs: list[dict[str, Any]], figure: str) -> float:
    """Return the median over turns of the peer's figure to ours; NaN without a peer."""
    turns = [peer[figure] / run[figure] for peer, run in zip(peers, runs, strict=False)]
    return statistics.median(turns) if turns else float("nan")


class Phases(Callback):
    """Add up the seconds of tasks by the phase that they belong to."""

    def __init__(self) -> None:
        super().__init__(pretask=self._begin, posttask=self._end)
        phases = [
            "regions of chunks, map made",
            "borders joined",
            "chunks finished, map made again",
        ]
        self.seconds = dict.fromkeys(phases, 0.0)
        self._begun: dict[Any, float] = {}

    def _begin(self, key: Any, *_state: Any) -> None:
        self._begun[key] = time.perf_counter()

    def _end(self, key: Any, *_state: Any) -> None:
        name = str(key[0] if isinstance(key, tuple) else key)
        first, second, last = self.seconds
        phase = second if "fates" in name else first if name.startswith("sieve-borders") else last
        self.seconds[phase] += time.perf_counter() - self._begun.pop(key)


def sieve_endless(edge: int, chunk: int) -> None:
    """Sieve a map that is made chunk by chunk and print seconds and peak memory in all."""
    warm_up("")
    lazy = xr.DataArray(lazy_class_map(edge, edge, chunk), dims=("y", "x"))
    ours = sieve(lazy, 64, 8, nodata=None, reread=True).data
    counts = ours.map_blocks(
        lambda block: np.bincount(block.ravel(), minlength=14)[None, None],
        new_axis=2,
        chunks=((1,) * ours.numblocks[0], (1,) * ours.numblocks[1], (14,)),
        dtype=np.int64,
        meta=np.empty((0, 0, 0), np.int64),
    ).sum((0, 1))
    with Phases() as phases:
        found, pixels = timed(lambda: counts.compute(scheduler="threads", num_workers=2))
    seconds, cpu = found["seconds"], found["cpu"]
    print(f"{edge} x {edge}, chunks of {chunk}, made and sieved: {seconds:.0f} s,", end=" ")
    print(f"{cpu:.0f} processor seconds, peak memory {memory('VmHWM'):.0f} MB in all")
    print(f"pixels per class: {' '.join(map(str, pixels[1:]))}; in all {pixels.sum()}")
    began = time.process_time()
    class_window(0, 0, chunk, chunk)
    making = (time.process_time() - began) * lazy.data.npartitions
    print(f"making the map once takes {making:.0f} of these seconds; by phase, both threads:")
    for phase, spent in phases.seconds.items():
        print(f"  {phase:34}{spent:8.0f} s")


def count_tasks(height: int, width: int) -> None:
    """Print the tasks of the graph for several chunk sizes."""
    for chunk in (512, 1024, 2048, 4096, 8192):
        lazy = da.zeros((height, width), chunks=chunk, dtype=np.uint8)
        ours = sieve(xr.DataArray(lazy, dims=("y", "x")), reread=True).data
        tasks, chunks = len(ours.dask), lazy.npartitions
        print(f"{height} x {width} in chunks of {chunk:4}: ", end="")
        print(f"{chunks:6} chunks, {tasks:7} tasks, {tasks / chunks:.2f} per chunk")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--edges", type=int, nargs="*", default=[], help="pixels")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--connectivities", type=int, nargs="+", default=CONNECTIVITIES)
    parser.add_argument("--ways", nargs="+", default=WAYS, choices=WAYS)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--endless", type=int, help="edge of a map made as it is read, pixels")
    parser.add_argument("--chunk", type=int, default=CHUNK, help="of the endless map, pixels")
    parser.add_argument("--tasks", type=int, nargs=2, metavar=("ROWS", "COLUMNS"))
    parser.add_argument("--one", nargs=5, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        way, source, target, size, connectivity = options.one
        print(json.dumps(run_one(way, source, target, int(size), int(connectivity))))
        return
    if options.edges:
        print(
            f"{'edge':>6} {'size':>5} {'n':>2} {'way':10} {'s':>8} {'cpu s':>8} {'MB':>7}", end=" "
        )
        print(f"{'speed':>7} {'cpu':>5} {'/ MB':>6} {'equal':>6}")
    for edge in options.edges:
        compare(edge, options)
    if options.tasks:
        count_tasks(*options.tasks)
    if options.endless:
        sieve_endless(options.endless, options.chunk)


if __name__ == "__main__":
    main()
