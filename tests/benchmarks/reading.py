"""A whole Sentinel-2 tile to sums: ours, rioxarray, odc-stac, and rasterio in a thread pool.

    python tests/benchmarks/reading.py FOLDER [--edge 10980] [--rounds 3] [--inputs COG JP2]

Writes a four-band COG (uint16, DEFLATE, 512 pixel blocks) and four JP2 files (lossless, blocks of
1024, as ESA's) into FOLDER if they are not there: the demo's scene, mirrored until it fills a tile.
Each reader turns them into reflectance with NaN and reduces every block to its sum and count, with
one and the same function, on the same number of threads; all must agree. rasterio in a thread pool
reads one block after the other with nothing around it and is the limit. MB are those of the
digital numbers (2 bytes each). Processor seconds stand beside those of the clock, which other load
stretches. GDAL's block cache holds 256 MB for all.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import dask.array as da
import dask.config
import numpy as np
import rasterio
from dask.base import compute
from dask.delayed import delayed
from rasterio.transform import from_origin
from rasterio.windows import Window

import osm4eo_xr as oxr
from osm4eo_xr.demo import demo_scene_paths

BANDS = {"B02": "blue", "B03": "green", "B04": "red", "B08": "nir"}
BLOCK = 1024
"""Rows and columns of each reader's chunks, and of a JP2's blocks."""

GRID = {"crs": "EPSG:32633", "transform": from_origin(300_000, 5_900_040, 10, 10)}


def sums(block: np.ndarray) -> np.ndarray:
    """Return (band, 2) float64, sum and count of valid reflectance, of (band, y, x) with NaN."""
    valid = np.isfinite(block)
    total = np.where(valid, block, 0).sum(axis=(1, 2), dtype=np.float64)
    return np.stack([total, valid.sum(axis=(1, 2))], axis=1)


def tile(band: str, edge: int) -> np.ndarray:
    """Return (edge, edge) uint16: the demo's band, mirrored."""
    (path,) = (p for p in demo_scene_paths() if band in p.name)
    with rasterio.open(path) as source:
        values = source.read(1)
    rng = np.random.default_rng(0)
    pad = [(0, max(edge - n, 0)) for n in values.shape]
    values = np.pad(values, pad, mode="symmetric")[:edge, :edge]
    noise = rng.integers(0, 24, values.shape, np.uint16)  # what quantization took away
    return values + noise


def write_inputs(folder: Path, edge: int) -> tuple[Path, list[Path]]:
    """Write COG and JP2s where they are missing; return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    cog = folder / f"tile_{edge}.tif"
    files = [folder / f"T33UUU_20170216T102101_{band}_{edge}.jp2" for band in BANDS]
    shape = {"height": edge, "width": edge, "dtype": "uint16", **GRID}
    for band, path in zip(BANDS, files, strict=True):
        if not path.exists():
            jp2: Any = {"driver": "JP2OpenJPEG", "QUALITY": 100, "REVERSIBLE": "YES"}
            part = path.with_name(f"part-{path.name}")
            with rasterio.open(
                part, "w", count=1, BLOCKXSIZE=BLOCK, BLOCKYSIZE=BLOCK, **jp2, **shape
            ) as sink:
                sink.write(tile(band, edge), 1)
            part.replace(path)
    if not cog.exists():
        scene = oxr.open_scene(files, geobox="native", chunks=BLOCK)
        numbers = (scene.fillna(0) * 1e4).round().astype(np.uint16).assign_attrs(nodata=0)
        oxr.write_cog(numbers, cog)
    return cog, files


def ours(files: list[Path]) -> Callable[[], np.ndarray]:
    """Read with open_scene."""

    def read() -> np.ndarray:
        scene = oxr.open_scene(files, geobox="native", chunks=BLOCK)
        return reduce_blocks(scene.data)

    return read


def with_rioxarray(files: list[Path]) -> Callable[[], np.ndarray]:
    """Read with rioxarray on dask, without its lock."""
    import rioxarray

    def read() -> np.ndarray:
        chunks = {"band": -1, "y": BLOCK, "x": BLOCK}
        opened: Any = [rioxarray.open_rasterio(f, chunks=chunks, lock=False) for f in files]
        layers = da.concatenate([o.data for o in opened]).rechunk({0: -1})
        return reduce_blocks(da.where(layers == 0, np.float32(np.nan), layers * np.float32(1e-4)))

    return read


def with_odc(files: list[Path]) -> Callable[[], np.ndarray]:
    """Read with odc-stac, every file as an asset."""
    import odc.stac
    import pystac

    item = item_of(files)
    names = [*item["assets"]]
    if len(files) == 1:
        names = [f"scene.{i + 1}" for i in range(len(BANDS))]

    def read() -> np.ndarray:
        cube = odc.stac.load(
            [pystac.Item.from_dict(item)],
            bands=names,
            chunks={"y": BLOCK, "x": BLOCK},
            crs="EPSG:32633",
            resolution=10,
            dtype="uint16",
            nodata=0,
        )
        layers = cube.to_dataarray("band").isel(time=0).data.rechunk({0: -1})
        return reduce_blocks(da.where(layers == 0, np.float32(np.nan), layers * np.float32(1e-4)))

    return read


def item_of(files: list[Path]) -> dict[str, Any]:
    """Return a STAC item of the files."""
    from rasterio.warp import transform_bounds

    with rasterio.open(files[0]) as source:
        box = transform_bounds(source.crs, "EPSG:4326", *source.bounds)
        shape, transform = list(source.shape), list(source.transform)[:6]
        count = source.count
    corners = ((0, 1), (2, 1), (2, 3), (0, 3), (0, 1))
    band = {"data_type": "uint16", "nodata": 0}
    names = ["scene"] if len(files) == 1 else list(BANDS)
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "stac_extensions": [
            "https://stac-extensions.github.io/projection/v1.1.0/schema.json",
            "https://stac-extensions.github.io/raster/v1.1.0/schema.json",
        ],
        "id": "tile",
        "geometry": {"type": "Polygon", "coordinates": [[[box[i], box[j]] for i, j in corners]]},
        "bbox": list(box),
        "properties": {"datetime": "2017-02-16T10:21:01Z", "proj:epsg": 32633},
        "links": [],
        "assets": {
            name: {
                "href": str(path),
                "type": "image/tiff",
                "roles": ["data"],
                "proj:shape": shape,
                "proj:transform": transform,
                "raster:bands": [band] * count,
            }
            for name, path in zip(names, files, strict=True)
        },
    }


def with_rasterio(files: list[Path], threads: int) -> Callable[[], np.ndarray]:
    """Read blocks with rasterio in a thread pool; each thread has its own handles."""
    import threading

    local = threading.local()

    def block(window: Window) -> np.ndarray:
        if not hasattr(local, "sources"):
            local.sources = [rasterio.open(f) for f in files]
        numbers = np.concatenate([s.read(window=window) for s in local.sources])
        values = numbers.astype(np.float32)
        values[numbers == 0] = np.nan
        values *= np.float32(1e-4)
        return sums(values)

    def read() -> np.ndarray:
        with rasterio.open(files[0]) as source:
            rows, cols = source.shape
        windows = [
            Window.from_slices((y, min(y + BLOCK, rows)), (x, min(x + BLOCK, cols)))
            for y in range(0, rows, BLOCK)
            for x in range(0, cols, BLOCK)
        ]
        with ThreadPoolExecutor(threads) as pool:
            return np.sum(list(pool.map(block, windows)), axis=0)

    return read


def reduce_blocks(values: Any) -> np.ndarray:
    """Sum the sums of all chunks of a dask array (band, y, x)."""
    (parts,) = compute([delayed(sums)(b) for b in values.to_delayed().ravel()])
    return np.sum(parts, axis=0)


def timed(read: Callable[[], np.ndarray]) -> tuple[float, float, np.ndarray]:
    """Return seconds on the clock and of the processor, and what was read."""
    start, busy = time.perf_counter(), time.process_time()
    result = read()
    return time.perf_counter() - start, time.process_time() - busy, result


def medians(rounds: list[tuple[float, float, np.ndarray]]) -> tuple[float, float]:
    """Return the medians of seconds on the clock and of the processor."""
    return statistics.median(r[0] for r in rounds), statistics.median(r[1] for r in rounds)


def main() -> None:
    """Parse the command line, time all readers in turn and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--edge", type=int, default=10_980)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--inputs", nargs="+", choices=["COG", "JP2"], default=["COG", "JP2"])
    args = parser.parse_args()
    os.environ["GDAL_CACHEMAX"] = "256"  # MB; by default it could hold all, and be read from
    cog, jp2 = write_inputs(args.folder, args.edge)
    megabytes = args.edge**2 * len(BANDS) * 2 / 1e6
    print(f"{args.edge} x {args.edge} pixels, {len(BANDS)} bands, {args.threads} threads")
    print(f"{'input':6}{'reader':12}{'seconds':>9}{'MB/s':>8}{'ratio':>7}{'CPU s':>8}{'ratio':>7}")
    for kind in args.inputs:
        files = {"COG": [cog], "JP2": jp2}[kind]
        readers = {
            "rasterio": with_rasterio(files, args.threads),
            "osm4eo_xr": ours(files),
            "rioxarray": with_rioxarray(files),
            "odc-stac": with_odc(files),
        }
        with dask.config.set(scheduler="threads", num_workers=args.threads):
            rounds = [[timed(read) for read in readers.values()] for _ in range(args.rounds)]
        limit, least = medians([r[0] for r in rounds])
        for i, name in enumerate(readers):
            for one in rounds:
                np.testing.assert_allclose(one[i][2], one[0][2], rtol=1e-6)
            wall, cpu = medians([r[i] for r in rounds])
            row = f"{kind:6}{name:12}{wall:9.2f}{megabytes / wall:8.0f}{wall / limit:7.2f}"
            print(f"{row}{cpu:8.2f}{cpu / least:7.2f}", flush=True)


if __name__ == "__main__":
    main()
