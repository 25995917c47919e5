"""Tasks, scheduler memory and seconds for a tile, Germany and the EU, with tiny arrays as pixels.

Every block of 1024 x 1024 pixels becomes one of a few pixels, so graphs, scheduler and workers do
what they do in a real run while reading and inference cost next to nothing.

python tests/benchmarks/scale.py tile germany eu
"""

import argparse
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dask.array as da
import psutil
import xarray as xr
from distributed.diagnostics.plugin import SchedulerPlugin

from osm4eo_xr.cluster.clusters import open_cluster
from osm4eo_xr.cogs.cog import write_cog
from osm4eo_xr.geometry.grid import georeference, target_geobox
from osm4eo_xr.inference.prediction import classify
from osm4eo_xr.models.model import Model
from osm4eo_xr.models.model_folder import load_model
from osm4eo_xr.sieving.lazy_sieve import sieve
from tests.cases.country_case import BANDS, tiny_model

BLOCK = 1024  # pixels of a real block
TILE = (10980, 10980)
SIZES = {"tile": (1, TILE), "germany": (1, (90_000, 60_000)), "eu": (252, TILE)}


@dataclass
class Seen:
    """What a scheduler was given and how large its process grew."""

    graphs: list[int] = field(default_factory=list)
    peak: int = 0


class Counter(SchedulerPlugin):
    """Notes the tasks of each graph."""

    def __init__(self, seen: Seen) -> None:
        self.seen = seen

    def update_graph(self, scheduler: Any, *, tasks: Any, **_: Any) -> None:
        del scheduler
        self.seen.graphs.append(len(tasks))


def watch_memory(seen: Seen, stop: threading.Event) -> None:
    process = psutil.Process()  # the scheduler is a thread of this process
    while not stop.wait(0.1):
        seen.peak = max(seen.peak, process.memory_info().rss)


def scene(shape: tuple[int, int], edge: int) -> xr.DataArray:
    """Return a scene of as many blocks as the real one has, each of edge x edge pixels."""
    rows, columns = (-(-n // BLOCK) * edge for n in shape)
    box = (4_000_000, 3_000_000, 4_000_000 + 10 * columns, 3_000_000 + 10 * rows)
    data = da.zeros((len(BANDS), rows, columns), chunks=(-1, edge, edge), dtype="float32")
    return georeference(
        data, target_geobox(box), dims=("band", "y", "x"), coords={"band": list(BANDS)}
    )


def one_map(shape: tuple[int, int], model: Model, folder: Path) -> None:
    """Classify, sieve and write a map, as a country run does."""
    edge = -(-model.footprint.halo // 32) * 32
    classes = classify(scene(shape, edge), model, block=edge)
    sieved = sieve(classes.chunk({"y": 2 * edge, "x": 2 * edge}), 64, 8)
    for name, raster in (("classified", classes), ("sieved", sieved)):
        write_cog(raster, folder / f"{name}.tif")


def measure(name: str, tiles: int) -> str:
    number, shape = SIZES[name]
    runs, seen, stop = min(number, tiles), Seen(), threading.Event()
    with (
        tempfile.TemporaryDirectory() as folder,
        open_cluster("local", gpu=None, cpu={"processes": 1, "threads": 2}) as client,
    ):
        model = load_model(tiny_model(Path(folder) / "model"))
        one_map((BLOCK, BLOCK), model, Path(folder))  # the first compiles
        client.cluster.scheduler.add_plugin(Counter(seen))  # pyright: ignore[reportOptionalMemberAccess] - there is one
        before = psutil.Process().memory_info().rss
        thread = threading.Thread(target=watch_memory, args=(seen, stop))
        thread.start()
        began = time.perf_counter()
        for _ in range(runs):
            one_map(shape, model, Path(folder))
        took = time.perf_counter() - began
        stop.set()
        thread.join()
    blocks = -(-shape[0] // BLOCK) * -(-shape[1] // BLOCK)
    share = number / runs
    return (
        f"{name:8s} {number:5d} {blocks * number:9,d} {len(seen.graphs) * share:7.0f} "
        f"{sum(seen.graphs) * share:11,.0f} {max(seen.graphs):9,d} "
        f"{(seen.peak - before) / 1e6:7.0f} {took * share:8.0f} {runs:9d}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sizes", nargs="*", default=list(SIZES), choices=list(SIZES))
    parser.add_argument("--tiles", type=int, default=5, help="tiles of the EU that are measured")
    options = parser.parse_args()
    print("size     tiles    blocks  graphs       tasks   largest      MB  seconds  measured")
    for name in options.sizes:
        print(measure(name, options.tiles), flush=True)


if __name__ == "__main__":
    main()
