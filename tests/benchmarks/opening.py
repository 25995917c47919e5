"""Our readers of single rasters against ``rioxarray.open_rasterio``: opening and reading whole.

python tests/benchmarks/opening.py [--edge 10980] [--repeats 3]

Writes a class map, labels and probabilities of three classes as COGs, and reads each with dask's
threads in chunks of 2048 pixels, turn by turn. Both read without a lock, and GDAL keeps 16 MB of
blocks for both: with more, repeats would find the pixels that they read before.
Prints the least seconds of each, and rioxarray's over ours. The pixels must be equal.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import dask.config
import numpy as np
import rioxarray
import xarray as xr

import osm4eo_xr as oxr
from osm4eo_xr.geometry.grid import georeference, target_geobox

CHUNK = 2048
os.environ["GDAL_CACHEMAX"] = "16"  # MB; GDAL reads it when the first file is opened


def fields(edge: int, seed: int) -> np.ndarray:
    """Return classes 0 to 12 in fields of 30 pixels with noise, which compress like a map."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 13, (-(-edge // 30), -(-edge // 30)), dtype=np.uint8)
    pixels = coarse.repeat(30, 0).repeat(30, 1)[:edge, :edge].copy()
    noisy = rng.random((edge, edge), dtype=np.float32) < 0.05
    pixels[noisy] = rng.integers(0, 13, int(noisy.sum()), dtype=np.uint8)
    return pixels


def written(folder: Path, edge: int) -> dict[str, Path]:
    """Write the files."""
    box = target_geobox((4e6, 3e6, 4e6 + 10 * edge, 3e6 + 10 * edge))
    for name, seed in (("class map", 0), ("labels", 1)):
        raster = georeference(fields(edge, seed), box, attrs={"nodata": 0}, name=name)
        oxr.write_cog(raster.chunk({"y": CHUNK, "x": CHUNK}), folder / f"{name}.tif")
    shares = np.stack([fields(edge, seed) * 20 for seed in range(3)])
    raster = georeference(
        shares,
        box,
        dims=("class", "y", "x"),
        coords={"class": ["forest", "water", "arable"]},
        attrs={"nodata": 255},
    )
    oxr.write_cog(raster.chunk({"y": CHUNK, "x": CHUNK}), folder / "probabilities.tif")
    return {n: folder / f"{n}.tif" for n in ("class map", "labels", "probabilities")}


def theirs(path: Path) -> xr.DataArray:
    """Open with rioxarray, as it reads fastest: no lock, no masking, no cache of its own."""
    opened = rioxarray.open_rasterio(path, chunks={"y": CHUNK, "x": CHUNK}, lock=False)
    assert isinstance(opened, xr.DataArray)
    return opened.squeeze()


def least(run: Callable[[], object], repeats: int) -> float:
    """Return the least seconds."""
    found = []
    for _ in range(repeats):
        began = time.perf_counter()
        run()
        found.append(time.perf_counter() - began)
    return min(found)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--edge", type=int, default=10980)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    print(f"{'raster':14} {'step':16} {'ours / s':>9} {'rioxarray / s':>14} {'ratio':>6}")
    with tempfile.TemporaryDirectory() as folder, dask.config.set(scheduler="threads"):
        for name, path in written(Path(folder), args.edge).items():
            ours = oxr.open_probabilities if name == "probabilities" else oxr.open_raster
            np.testing.assert_array_equal(ours(path).to_numpy(), theirs(path).to_numpy())
            steps: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
                "open": (lambda: ours(path), lambda: theirs(path)),  # noqa: B023 - run at once
                "open and compute": (
                    lambda: ours(path).compute(),  # noqa: B023
                    lambda: theirs(path).compute(),  # noqa: B023
                ),
                "a corner of 100": (
                    lambda: ours(path)[..., :100, :100].sum().compute(),  # noqa: B023
                    lambda: theirs(path)[..., :100, :100].sum().compute(),  # noqa: B023
                ),
            }
            for step, (mine, other) in steps.items():
                pairs = [(least(mine, 1), least(other, 1)) for _ in range(args.repeats)]
                a, b = (min(times) for times in zip(*pairs, strict=True))
                print(f"{name:14} {step:16} {a:9.3f} {b:14.3f} {b / a:6.2f}", flush=True)


if __name__ == "__main__":
    main()
