"""Write one class map as a COG with our writer and three peers: time, peak memory, validity.

Every writer reads the same chunked GeoTIFF, in a process of its own, and writes 512 blocks, ZSTD
and mode overviews. Peak memory is the process's own, less what it had after its imports.

    python tests/benchmarks/cog.py --edge 20000 --repeats 3

odc-geo's writer needs tifffile beside the package and is left out without it.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import rasterio
from rasterio.windows import Window
from rio_cogeo.cogeo import cog_validate

from osm4eo_xr.geometry.grid import target_geobox
from osm4eo_xr.legend import default_legend

WRITERS = ("ours", "gdal-cog", "rio-cogeo", "odc-geo")
OPTIONS = {"blocksize": 512, "compress": "ZSTD", "num_threads": "ALL_CPUS"}


def make_map(path: Path, edge: int) -> None:
    """Write a class map whose patches look like sieved land use, strip by strip."""
    from scipy.ndimage import uniform_filter

    rng, size = np.random.default_rng(0), min(edge, 4000)
    field = uniform_filter(rng.normal(size=(size, size)), 25)
    cuts = np.quantile(field, np.linspace(0, 1, 13)[1:-1])
    stamp = (np.digitize(field, cuts) + 1).astype(np.uint8)
    box = target_geobox((4_000_000, 2_800_000, 4_000_000 + 10 * edge, 2_800_000 + 10 * edge))
    profile = {"driver": "GTiff", "dtype": "uint8", "count": 1, "nodata": 0, "tiled": True}
    profile |= {"blockxsize": 512, "blockysize": 512, "compress": "ZSTD", "zstd_level": 1}
    place = {"height": edge, "width": edge, "crs": "EPSG:3035", "transform": box.affine}
    with rasterio.open(path, "w", **profile, **place) as file:
        for row in range(0, edge, size):
            for column in range(0, edge, size):
                h, w = min(size, edge - row), min(size, edge - column)
                window = Window(column, row, w, h)  # pyright: ignore[reportCallIssue] # attrs
                file.write(np.rot90(stamp, row // size)[:h, :w], 1, window=window)


def write(writer: str, source: str, target: str) -> None:
    """Write ``target`` and print seconds and megabytes."""
    import odc.geo.xr  # noqa: F401
    import rasterio.shutil
    from odc.geo.cog import save_cog_with_dask
    from rio_cogeo.cogeo import cog_translate

    from osm4eo_xr.cogs.cog import write_cog
    from osm4eo_xr.rasters.open import open_raster

    before = peak_memory()
    began = time.perf_counter()
    if writer == "ours":
        write_cog(open_raster(source), target, legend=default_legend())
    elif writer == "gdal-cog":
        rasterio.shutil.copy(source, target, driver="COG", overview_resampling="MODE", **OPTIONS)
    elif writer == "rio-cogeo":
        profile = {"driver": "GTiff", "tiled": True, "blockxsize": 512, "blockysize": 512}
        profile |= {"compress": "ZSTD", "num_threads": "ALL_CPUS"}
        cog_translate(
            source, target, profile, overview_resampling="mode", in_memory=False, quiet=True
        )
    else:
        raster = open_raster(source)
        task = save_cog_with_dask(
            raster, target, compression="ZSTD", blocksize=512, overview_resampling="mode"
        )
        task.compute()
    seconds = time.perf_counter() - began
    print(seconds, peak_memory() - before)


def peak_memory() -> float:
    """Return the most memory that this process has held, MB; ``ru_maxrss`` counts its parent's."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def measure(writer: str, source: Path, folder: Path) -> tuple[float, float, bool, float]:
    target = folder / f"{writer}.tif"
    command = [sys.executable, __file__, "--one", writer, str(source), str(target)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    seconds, memory = map(float, output.split()[-2:])
    with rasterio.open(target) as ours, rasterio.open(source) as given:
        window = Window(0, 0, min(4096, given.width), min(4096, given.height))  # pyright: ignore[reportCallIssue] - attrs class
        same = np.array_equal(ours.read(1, window=window), given.read(1, window=window))
    valid = cog_validate(target, strict=True)[0] and same
    size = target.stat().st_size / 1e6
    target.unlink()
    return seconds, memory, valid, size


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--edge", type=int, default=6000, help="pixels")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--writers", nargs="+", default=WRITERS, choices=WRITERS)
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        write(*options.one)
        return
    writers = list(options.writers)
    if "odc-geo" in writers and find_spec("tifffile") is None:
        print("odc-geo left out: tifffile is not installed")
        writers.remove("odc-geo")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_map(folder / "map.tif", options.edge)
        runs: dict[str, list[tuple[float, float, bool, float]]] = {w: [] for w in writers}
        for _ in range(options.repeats):
            for writer in writers:
                runs[writer].append(measure(writer, folder / "map.tif", folder))
    seconds = {w: statistics.median(r[0] for r in found) for w, found in runs.items()}
    ours = seconds.get("ours", float("nan"))
    print(f"{options.edge} x {options.edge} uint8, {options.repeats} interleaved runs, medians")
    print(f"{'writer':10} {'s':>7} {'/ ours':>7} {'peak MB':>8} {'valid':>6} {'MB':>7}")
    for writer, found in runs.items():
        memory = statistics.median(r[1] for r in found)
        valid, size = all(r[2] for r in found), found[0][3]
        ratio = seconds[writer] / ours
        figures = f"{seconds[writer]:7.1f} {ratio:7.2f} {memory:8.0f} {valid!s:>6} {size:7.1f}"
        print(f"{writer:10} {figures}")


if __name__ == "__main__":
    main()
