"""Reading real scenes with this code and with an earlier checkout of it, turn by turn.

python tests/benchmarks/before.py CHECKOUT [--repeats 5]

    git worktree add --detach ../before f89c2a0

One process for each code reads a case whole, once to warm up and then in turns with the other, on
one thread; what counts are the processor's seconds, which other load does not stretch. Prints the
least of all turns and their ratio (this code over the earlier), and how many pixels differ.
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
reads = {
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
        values = reads[case]().compute().to_numpy()
        print(time.process_time() - began, flush=True)
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


def started(code: Path, out: Path) -> subprocess.Popen[str]:
    """Start the process that imports the package from a checkout."""
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", READ, str(out)],
        cwd=code,
        env=os.environ | {"PYTHONPATH": str(code)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def turn(process: subprocess.Popen[str], case: str) -> float:
    """Let a process read a case; return its seconds."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{case}\n")
    process.stdin.flush()
    took = float(process.stdout.readline())
    process.stdout.readline()
    return took


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkout", type=Path)
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    codes = (Path(__file__).resolve().parents[2], args.checkout)
    print(f"{'case':20} {'now / s':>8} {'before / s':>11} {'ratio':>6} {'differ':>8}")
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / name for name in ("now.npy", "before.npy")]
        both = [started(code, path) for code, path in zip(codes, paths, strict=True)]
        for case in CASES:
            turns = [[turn(p, case) for p in both] for _ in range(args.repeats + 1)][1:]
            now, before = (min(seconds) for seconds in zip(*turns, strict=True))
            mine, other = (np.load(path) for path in paths)
            same = np.isclose(mine, other, rtol=0, atol=1e-6, equal_nan=True)
            row = f"{case:20} {now:8.3f} {before:11.3f} {now / before:6.2f}"
            print(f"{row} {1 - same.mean():8.2%}", flush=True)
        for process in both:
            process.kill()


if __name__ == "__main__":
    main()
