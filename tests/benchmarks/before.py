"""Reading real scenes with this code and with an earlier checkout of it, turn by turn.

    git worktree add --detach ../before f89c2a0
    python tests/benchmarks/before.py ../before [--repeats 5] [--tiles FOLDER]

Tiles are the scenes of ``reading.py``, 10,980 x 10,980 pixels of four bands, which that benchmark
has written into the folder, and are read to sums; the other scenes are read whole, and small: what
counts there is opening them. One process for each code reads a case, once to warm up and then in
turns with the other, on one thread; what counts are the processor's seconds, which other load does
not stretch. Prints the least of all turns, for opening and for all, the ratio (this code over the
earlier) of all, and how many pixels differ.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

READ = """
import os, sys, time
from pathlib import Path
import dask.config, numpy as np
import osm4eo_xr as oxr
try:
    from osm4eo_xr.geometry.grid import target_geobox
except ModuleNotFoundError:  # before it was a folder
    from osm4eo_xr.grid import target_geobox
data = Path(os.environ["OSM4EO_XR_DATA"])
seam = target_geobox((15.2, 45.6, 15.9, 46.05), bounds_crs="EPSG:4326", resolution=120)
jp2 = sorted((data / "brandenburg" / "IMG_DATA").glob("*.jp2"))
tif = data / "slovenia" / "derived" / "S2_L1C_20150711_13band.tif"
catalog = data / "stac_33TW" / "catalog.json"
lossy = sorted((data / "stac_33TW/sentinel-2-l2a/S2A_33TWL_20230818_0_L2A").glob("B0*.tif"))
bands = ("blue", "green", "red", "nir")
tiles = Path(sys.argv[2])
reads = {
    "tile, COG": lambda: oxr.open_scene(tiles / "tile_10980.tif", geobox="native"),
    "tile, JP2": lambda: oxr.open_scene(sorted(tiles.glob("*_10980.jp2")), geobox="native"),
    "JP2, own grid": lambda: oxr.open_scene(jp2, bands=bands, geobox="native"),
    "JP2, EPSG:3035": lambda: oxr.open_scene(jp2, bands=bands),
    "GeoTIFF, own grid": lambda: oxr.open_scene(tif, geobox="native"),
    "lossy, own grid": lambda: oxr.open_scene(lossy, geobox="native", offset=0.0),
    "STAC, stackstac": lambda: oxr.stack_items(catalog, seam, bands),
    "STAC, odc": lambda: oxr.stack_items(catalog, seam, bands, backend="odc"),
}
with dask.config.set(scheduler="synchronous"):
    for case in map(str.strip, sys.stdin):
        began = time.process_time()
        scene = reads[case]()
        opened = time.process_time()
        if case.startswith("tile"):  # block by block: two of them whole would not fit
            scene = scene.sum(("y", "x"))
        values = scene.compute().to_numpy()
        print(opened - began, time.process_time() - began, flush=True)
        np.save(sys.argv[1], values)
        print("saved", flush=True)
"""
CASES = (
    "JP2, own grid",
    "JP2, EPSG:3035",
    "GeoTIFF, own grid",
    "lossy, own grid",
    "STAC, stackstac",
    "STAC, odc",
)
TILES = ("tile, COG", "tile, JP2")


def started(code: Path, out: Path, tiles: Path) -> subprocess.Popen[str]:
    """Start the process that imports the package from a checkout."""
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", READ, str(out), str(tiles)],
        cwd=code,
        env=os.environ | {"PYTHONPATH": str(code)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def turn(process: subprocess.Popen[str], case: str) -> list[float]:
    """Let a process read a case; return its seconds of opening and of all."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{case}\n")
    process.stdin.flush()
    took = [float(text) for text in process.stdout.readline().split()]
    process.stdout.readline()
    return took


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkout", type=Path)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--tiles", type=Path)
    args = parser.parse_args()
    codes = (Path(__file__).resolve().parents[2], args.checkout)
    heads = ("now / s", "opening", "before / s", "opening", "ratio", "differ")
    print(f"{'case':20} " + " ".join(f"{head:>10}" for head in heads))
    tiles = args.tiles.resolve() if args.tiles else Path()
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / name for name in ("now.npy", "before.npy")]
        both = [started(code, path, tiles) for code, path in zip(codes, paths, strict=True)]
        for case in (*CASES, *TILES) if args.tiles else CASES:
            turns = [[turn(p, case) for p in both] for _ in range(args.repeats + 1)][1:]
            (open_now, now), (open_before, before) = np.min(turns, axis=0)
            mine, other = (np.load(path) for path in paths)
            same = np.isclose(mine, other, rtol=0, atol=1e-6, equal_nan=True)
            seconds = f"{now:10.3f} {open_now:10.3f} {before:10.3f} {open_before:10.3f}"
            ratios = f"{now / before:10.3f} {1 - same.mean():10.2%}"
            print(f"{case:20} {seconds} {ratios}", flush=True)
        for process in both:
            process.kill()


if __name__ == "__main__":
    main()
