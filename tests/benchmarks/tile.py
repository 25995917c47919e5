"""A whole Sentinel-2 tile, 10,980 x 10,980 pixels and four bands, from COG to COG.

    python tests/benchmarks/tile.py MODEL [--processes 2] [--threads 1] [--folder /tmp/tile]

The scene repeats the demo's real one. MODEL must take blue, green, red and nir. Worker processes
run on this machine; printed are wall time, pixels per second, and for each process its peak memory
and compilations. With ``--processes 0`` the tile is classified by threads of one process.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import time
from pathlib import Path
from typing import Any

import numpy as np
from distributed import Client, LocalCluster

import osm4eo_xr as oxr
from osm4eo_xr.cli.console import print_throughput
from osm4eo_xr.demo import demo_scene_paths
from osm4eo_xr.progress import progress_bar

EDGE = 10_980
BANDS = ("blue", "green", "red", "nir")


def main() -> None:
    """Make the scene if needed, classify it and print what it took."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--folder", type=Path, default=Path("/tmp/tile"))  # noqa: S108 - big
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2, help="task threads of each process")
    parser.add_argument("--edge", type=int, default=EDGE)
    arguments = parser.parse_args()
    arguments.folder.mkdir(exist_ok=True)
    scene = arguments.folder / f"scene-{arguments.edge}.tif"
    if not scene.exists():
        make_scene(scene, arguments.edge)
    if arguments.processes:
        cores = len(os.sched_getaffinity(0))
        os.environ["NPROC"] = str(max(cores // arguments.processes, 1))
        with (
            LocalCluster(
                n_workers=arguments.processes,
                threads_per_worker=arguments.threads,
                memory_limit="6GB",
                dashboard_address=":0",
            ) as cluster,
            Client(cluster) as client,
        ):
            measure(scene, arguments, client)
    else:
        measure(scene, arguments, None)


def make_scene(path: Path, edge: int) -> None:
    """Repeat the demo's scene over a tile."""
    small = oxr.open_scene(demo_scene_paths(), bands=list(BANDS), geobox="native")
    numbers = np.rint(small.fillna(0).clip(0, 6).values * 1e4).astype(np.uint16)
    rows, cols = numbers.shape[1:]
    repeated = np.tile(numbers, (1, -(-edge // rows), -(-edge // cols)))[:, :edge, :edge]
    geobox = oxr.target_geobox((4_300_000, 3_200_000, 4_300_000 + edge * 10, 3_200_000 + edge * 10))
    from osm4eo_xr.geometry.grid import georeference

    raster = georeference(
        repeated,
        geobox,
        dims=("band", "y", "x"),
        coords={"band": list(BANDS)},
        attrs={"nodata": 0},
    )
    oxr.write_cog(raster, path)


def measure(scene_path: Path, arguments: argparse.Namespace, client: Client | None) -> None:
    """Classify and print."""
    model = oxr.load_model(arguments.model)
    out = arguments.folder / "classes.tif"
    started = time.perf_counter()
    scene = oxr.open_scene(scene_path)
    with progress_bar("blocks") as progress:
        oxr.write_cog(oxr.classify(scene, model), out, progress=progress)
    seconds = time.perf_counter() - started
    pixels = scene.sizes["y"] * scene.sizes["x"]
    print(f"{scene.shape} from COG to COG in {seconds:.0f} s: {pixels / seconds:,.0f} px/s")
    print_throughput(oxr.read_throughput(client))
    if client is not None:
        counts: Any = client.run(of_process)
        for worker, seen in counts.items():
            print(f"  {worker}: {json.dumps(seen)}")
    print(f"  this process: {json.dumps(of_process())}")


def of_process() -> dict[str, Any]:
    """Peak memory of this process in GB, and what it compiled."""
    from osm4eo_xr.inference.throughput import read_throughput

    seen = read_throughput()
    return {
        "peak memory / GB": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 2),
        "blocks": seen.blocks,
        "compilations": seen.compilations,
        "device share": round(seen.device_share, 2),
    }


if __name__ == "__main__":
    main()
