"""Handles that threads keep open."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import rasterio

READ = """if True:
    import atexit, sys
    kept = []
    atexit.register(lambda: print([handle.closed for handle in kept]))  # runs last
    from osm4eo_xr.rasters.windows import dataset
    kept.append(dataset(sys.argv[1], 0))
    assert not kept[0].closed
"""


def test_a_process_closes_its_handles_while_libraries_still_work(tmp_path: Path) -> None:
    path, place = tmp_path / "a.tif", rasterio.Affine(10, 0, 5e5, 0, -10, 5e6)
    size = {"width": 4, "height": 4, "count": 1, "dtype": "uint8", "transform": place}
    with rasterio.open(path, "w", "GTiff", crs="EPSG:32633", **size) as file:
        file.write(np.ones((1, 4, 4), np.uint8))
    command = [sys.executable, "-c", READ, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("[True]\n", "")
