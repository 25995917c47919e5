"""The whole way of the data on the scene and the OpenStreetMap extract in the package."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import xarray as xr

from osm4eo_xr.classify import classify
from osm4eo_xr.cluster import open_cluster
from osm4eo_xr.cog import write_cog
from osm4eo_xr.console import ERR, progress_bar
from osm4eo_xr.demo import demo_osm_path, demo_scene_paths
from osm4eo_xr.labels import rasterize_labels
from osm4eo_xr.layers import extract_layer
from osm4eo_xr.legend import Legend, default_legend
from osm4eo_xr.model import Model, load_model, save_model
from osm4eo_xr.mosaic import mosaic
from osm4eo_xr.osm import read_landuse
from osm4eo_xr.plot import quicklook
from osm4eo_xr.samples import draw_samples, open_samples, write_samples
from osm4eo_xr.scene import open_raster, open_scene
from osm4eo_xr.sieve import sieve
from osm4eo_xr.train import TrainSettings, train

_OVERLAP = 64  # pixels that the two tiles of the mosaic step share
_PACKAGES = ("dask", "distributed", "xarray", "rasterio", "jax", "flax", "optax", "scikit-learn")


@dataclass
class Demo:
    """One run of the demo: where it writes and what it measured.

    Attributes
    ----------
    out : Path
        Folder of the products.
    seed : int
        Seed of the draw, the split, the training and the forest.
    seconds : dict
        Wall time of each step in seconds.
    """

    out: Path
    seed: int = 0
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Announce a step and record how long it took."""
        ERR.rule(f"[bold]{name}", align="left", style="dim")
        start = time.perf_counter()
        yield
        self.seconds[name] = round(time.perf_counter() - start, 1)

    def write(self, raster: xr.DataArray, name: str) -> xr.DataArray:
        """Write one product as COG and open it again, so the next step reads what was written."""
        path = self.out / name
        with progress_bar(name) as progress:
            write_cog(raster, path, legend=default_legend(), progress=progress)
        return open_raster(path)


def run_demo(out: Path, *, seed: int = 0) -> dict[str, Any]:
    """Go from OpenStreetMap and Sentinel-2 to a water layer and say how good the map is.

    Parameters
    ----------
    out : Path
        Folder for ``labels.tif``, ``samples.zarr``, ``model/``, ``classified.tif``, ``sieved.tif``,
        ``mosaic.tif``, ``water.tif`` (COGs in EPSG:3035), ``map.png`` and ``report.json``.
    seed : int
        Seed of every random choice; the same seed gives the same products.

    Returns
    -------
    dict
        What ``report.json`` holds.

    Source
    ------
    Sentinel-2 L1C of Havelland, Germany, 2017-02-16, and the OpenStreetMap land use of the place.
    """
    out.mkdir(parents=True, exist_ok=True)
    demo = Demo(out, seed)
    legend = default_legend()
    with demo.step("OpenStreetMap → labels"):
        scene = open_scene(demo_scene_paths(), chunks=512)
        labels = demo.write(
            rasterize_labels(read_landuse(demo_osm_path(), legend), scene), "labels.tif"
        )
    with demo.step("scene + labels → samples"):
        samples = _draw(demo, scene, labels)
    with demo.step("samples → model"):
        model = _train(demo, samples, legend)
    with demo.step("scene + model → map → water"), open_cluster("local"):
        country = _map(demo, scene, model)
    with demo.step("accuracy on the held-out blocks"):
        report = _report(demo, samples, model)
    figure = quicklook(scene, labels, country, legend=legend)
    figure.savefig(out / "map.png", dpi=110)
    (out / "report.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    _print(report, out)
    return report


def _draw(demo: Demo, scene: xr.DataArray, labels: xr.DataArray) -> xr.Dataset:
    path = demo.out / "samples.zarr"
    with progress_bar(path.name) as progress:
        write_samples(draw_samples(scene, labels, seed=demo.seed), path, progress=progress)
    return open_samples(path)


def _train(demo: Demo, samples: xr.Dataset, legend: Legend) -> Model:
    with progress_bar("training") as progress:
        model = train(samples, TrainSettings(seed=demo.seed), legend=legend, progress=progress)
    return load_model(save_model(model, demo.out / "model"))


def _map(demo: Demo, scene: xr.DataArray, model: Model) -> xr.DataArray:
    """Classify, sieve, join two overlapping tiles and extract water."""
    classified = demo.write(classify(scene, model), "classified.tif")
    sieved = demo.write(sieve(classified), "sieved.tif")
    middle = sieved.sizes["x"] // 2
    west = sieved.isel(x=slice(None, middle + _OVERLAP // 2))
    east = sieved.isel(x=slice(middle - _OVERLAP // 2, None))
    country = demo.write(mosaic([west, east]), "mosaic.tif")
    demo.write(extract_layer(country, "water"), "water.tif")
    return country
