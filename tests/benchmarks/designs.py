"""Seconds and memory of points drawn from a map of any size, and of figures from their labels.

    python tests/benchmarks/designs.py [--edge 20000] [--chunk 2048] [--points 1000]

The map is made chunk by chunk and written as a COG once; the line "one pass" is dask's own count of
the file's classes, without which neither step can do.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dask.array as da
import pandas as pd
from class_maps import lazy_class_map

import osm4eo_xr as oxr
from osm4eo_xr.geometry.grid import georeference, target_geobox


def main() -> None:
    """Write the map, draw, assess and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--edge", type=int, default=20_000)
    parser.add_argument("--chunk", type=int, default=2048)
    parser.add_argument("--points", type=int, default=1000)
    given = parser.parse_args()
    side = 10 * given.edge
    box = target_geobox((4_000_000, 2_000_000, 4_000_000 + side, 2_000_000 + side))
    legend = oxr.default_legend(coastal=True)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "map.tif"
        with timed("write the map"):
            made = lazy_class_map(given.edge, given.edge, given.chunk)
            oxr.write_cog(georeference(made, box), path, legend=legend)
        classes = oxr.open_raster(path, chunks=given.chunk)
        with timed("one pass"):
            da.bincount(classes.data.ravel(), minlength=256).compute()
        for scheme in ("stratified", "systematic", "cluster"):
            with timed(f"design_points {scheme}"):
                design = oxr.design_points(classes, n=given.points, scheme=scheme, legend=legend)
            labels = pd.DataFrame({"id": design.points["id"], "class": design.points["map_class"]})
            with timed(f"assess {scheme}"):
                oxr.assess(classes, labels, design=design, legend=legend)


@contextmanager
def timed(name: str) -> Iterator[None]:
    """Print seconds, and the process's highest memory so far."""
    start = time.perf_counter()
    yield
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{name:26} {time.perf_counter() - start:8.1f} s   peak {peak:6.2f} GiB", flush=True)


if __name__ == "__main__":
    main()
