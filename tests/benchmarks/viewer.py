"""Time, memory and size of a viewer's web tiles: ``python tests/benchmarks/viewer.py [SIDE]``."""

import re
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import osm4eo_xr as oxr
from osm4eo_xr.geometry.grid import georeference
from osm4eo_xr.viewer.shown import write_map_viewer


def held(name: str) -> float:
    """Return what the system counts of this process's memory, MB."""
    found = re.search(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) / 1024


def main(side: int) -> None:
    """Write the viewer of a sieved-looking map of ``side`` pixels, from its COG."""
    left, bottom = 4_320_000, 3_000_000
    box = oxr.target_geobox((left, bottom, left + 10 * side, bottom + 10 * side))
    coarse = np.random.default_rng(0).integers(1, 13, (-(-side // 8),) * 2, dtype=np.uint8)
    pixels = coarse.repeat(8, 0).repeat(8, 1)[:side, :side]
    with tempfile.TemporaryDirectory() as folder:
        path = oxr.write_cog(georeference(pixels, box), f"{folder}/map.tif")
        del pixels
        before = held("VmRSS")
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
        started = time.perf_counter()
        page = write_map_viewer(Path(folder) / "viewer", oxr.open_raster(path))
        seconds = time.perf_counter() - started
        peak = held("VmHWM")
        files = [p for p in page.parent.rglob("*.js") if "tiles" in p.parts]
        size = sum(p.stat().st_size for p in files) / 1e6
        cog = path.stat().st_size / 1e6
    print(f"{side} x {side}: {seconds:.1f} s, peak {peak:.0f} MB ({before:.0f} before)")
    print(f"{len(files)} tiles, {size:.0f} MB; the COG has {cog:.0f} MB")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000)
