"""The whole way of the data on the scene and the OpenStreetMap extract in the package."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import xarray as xr

from osm4eo_xr.accuracy.held_out import evaluate
from osm4eo_xr.accuracy.random_forest import random_forest_report
from osm4eo_xr.cluster.clusters import open_cluster
from osm4eo_xr.cogs.cog import write_cog
from osm4eo_xr.cogs.levels import compile_overviews
from osm4eo_xr.demo import DEMO_TIME, attribution, demo_osm_path, demo_scene_paths
from osm4eo_xr.errors import MissingExtraError
from osm4eo_xr.imagery.clouds.masks import mask_clouds
from osm4eo_xr.imagery.clouds.rule import CloudRule
from osm4eo_xr.imagery.scenes import open_scene
from osm4eo_xr.inference.prediction import classify
from osm4eo_xr.inference.throughput import read_throughput
from osm4eo_xr.inference.worker import compile_inference
from osm4eo_xr.labels.rasterize import rasterize_labels
from osm4eo_xr.legend import Legend, default_legend
from osm4eo_xr.maps.country_mosaic import mosaic
from osm4eo_xr.maps.layers import extract_layer
from osm4eo_xr.models.model_folder import load_model, save_model
from osm4eo_xr.networks.gradients.network import compile_gradients
from osm4eo_xr.osm.landuse import read_landuse
from osm4eo_xr.plot.maps import quicklook
from osm4eo_xr.process.background import do_ahead
from osm4eo_xr.process.node import lacks_semaphores
from osm4eo_xr.progress import ERR, OUT, progress_bar
from osm4eo_xr.rasters.open import open_raster
from osm4eo_xr.samples.draw import draw_samples
from osm4eo_xr.samples.store import open_samples, write_samples
from osm4eo_xr.sieving.lazy_sieve import compile_sieve, sieve
from osm4eo_xr.tables import Table
from osm4eo_xr.training.fit import DEMO_SAMPLES, DEMO_SETTINGS, train

if TYPE_CHECKING:
    from distributed import Client

    from osm4eo_xr.accuracy.accuracy_report import AccuracyReport
    from osm4eo_xr.models.model import Model
    from osm4eo_xr.training.settings import TrainSettings

_CHUNK = 512
_MARGIN = 5  # pixels around clouds that are hazy still
_CONIFERS = 0.12  # nir of pine forests under the sun of February; what is darker lies in shadow
_OVERLAP = 64  # pixels that the two tiles of the mosaic step share
_PACKAGES = ("dask", "distributed", "xarray", "rasterio", "jax", "flax", "optax")


@dataclass
class _Demo:
    """One run of the demo: where it writes and how long its steps took."""

    out: Path
    seed: int
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Announce a step and record its seconds."""
        ERR.rule(f"[bold]{name}", align="left", style="dim")
        start = time.perf_counter()
        yield
        self.seconds[name] = round(time.perf_counter() - start, 1)

    def write(self, raster: xr.DataArray, name: str) -> xr.DataArray:
        """Write one product as COG and open it again, so the next step reads what was written."""
        path = self.out / name
        with progress_bar(name) as progress:
            write_cog(raster, path, legend=default_legend(), progress=progress)
        return open_raster(path, chunks=_CHUNK)

    def write_scene(self, scene: xr.DataArray) -> xr.DataArray:
        """Write the scene on its grid and open it again."""
        path = self.out / "scene.tif"
        with progress_bar(path.name) as progress:
            write_cog(scene, path, progress=progress)
        return open_scene(path, chunks=_CHUNK, geobox="native")


def run_demo(
    out: Path,
    *,
    seed: int = 0,
    settings: TrainSettings = DEMO_SETTINGS,
    per_class: int = DEMO_SAMPLES["per_class"],
    window: tuple[slice, slice] = (slice(None), slice(None)),
) -> dict[str, Any]:
    """Go from OpenStreetMap and Sentinel-2 to a water layer and say how good the map is.

    Parameters
    ----------
    out : Path
        Folder for ``scene.tif``, ``labels.tif``, ``samples.zarr``, ``model/``,
        ``classified.tif``, ``sieved.tif``, ``mosaic.tif``, ``water.tif`` (COGs in EPSG:3035),
        ``map.png`` and ``report.json``.
    seed : int
        Seed of every random choice; the same seed gives the same products.
    settings : TrainSettings
        Network and training; their seed is replaced by ``seed``.
    per_class : int
        Samples to draw per class.
    window : tuple of slice
        Rows and columns of the scene to use, by default all.

    Returns
    -------
    dict
        What ``report.json`` holds.

    Source
    ------
    Sentinel-2 L1C of Havelland, Germany, 2017-02-16, and the OpenStreetMap land use of the place.
    """
    out.mkdir(parents=True, exist_ok=True)
    # Done by the time that labels are written and a model is trained.
    do_ahead(compile_overviews, compile_gradients, compile_inference, compile_sieve)
    demo, legend = _Demo(out, seed), default_legend()
    with demo.step("ten bands of two resolutions → scene without clouds"):
        scene = _clear(open_scene(demo_scene_paths(), chunks=_CHUNK))[:, window[0], window[1]]
        # Later steps read the ground several times; a COG spares them decoding JP2 and warping.
        scene = demo.write_scene(scene)
    with demo.step("OpenStreetMap → labels"):
        polygons = read_landuse(demo_osm_path(), legend)
        seen = scene.notnull().all("band")
        labels = demo.write(rasterize_labels(polygons, scene).where(seen, 0), "labels.tif")
    with demo.step("scene + labels → samples"):
        samples = _draw(demo, scene, labels, per_class)
    with demo.step("samples → model"):
        model = _train(demo, samples, replace(settings, seed=seed), legend)
    with demo.step("scene + model → map → water"):
        country, speed = _map(demo, scene, model)
    with demo.step("accuracy on the held-out blocks"):
        network = evaluate(model, samples, "test")
        forest = _forest(samples, seed)
    quicklook(scene, labels, country, legend=legend).savefig(out / "map.png", dpi=110)
    report = _report(demo, settings, network, forest) | {"inference": speed}
    (out / "report.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    _print(demo, network, forest)
    return report


def _clear(scene: xr.DataArray) -> xr.DataArray:
    """Return the scene without clouds and shadows; level 1C has no classification to tell them."""
    rule = CloudRule(dark=_CONIFERS)
    timed = scene.assign_attrs(date=DEMO_TIME)
    return mask_clouds(timed, method="threshold", level="1C", rule=rule, dilation=_MARGIN)


def _forest(samples: xr.Dataset, seed: int) -> AccuracyReport | None:
    """Score the random forest; None, and a hint, without its extra."""
    try:
        return random_forest_report(samples, seed=seed)
    except MissingExtraError as error:
        ERR.print(f"no comparison: {error}", soft_wrap=True, highlight=False, markup=False)
        return None


def _draw(demo: _Demo, scene: xr.DataArray, labels: xr.DataArray, per_class: int) -> xr.Dataset:
    path = demo.out / "samples.zarr"
    wanted = {**DEMO_SAMPLES, "per_class": per_class, "seed": demo.seed}
    drawn = draw_samples(scene, labels, **wanted)
    with progress_bar(path.name) as progress:
        write_samples(drawn, path, progress=progress)
    return open_samples(path)


def _train(demo: _Demo, samples: xr.Dataset, settings: TrainSettings, legend: Legend) -> Model:
    with progress_bar("training steps") as progress:
        model = train(samples, settings, legend=legend, progress=progress)
    return load_model(save_model(model, demo.out / "model"))


@contextmanager
def _workers() -> Iterator[Client | None]:
    """Open a local cluster; where no processes can start, tasks run in threads of this one."""
    if (why := lacks_semaphores()) is None:
        with open_cluster("local") as client:
            yield client
    else:
        ERR.print(f"no worker processes, as there are no semaphores: {why}", markup=False)
        yield None


def _map(demo: _Demo, scene: xr.DataArray, model: Model) -> tuple[xr.DataArray, dict[str, Any]]:
    """Classify, sieve, join two overlapping tiles and extract water, on a local cluster."""
    with _workers() as client:
        classified = demo.write(classify(scene, model), "classified.tif")
        speed = asdict(read_throughput(client))
        sieved = demo.write(sieve(classified), "sieved.tif")
        middle = sieved.sizes["x"] // 2
        west = sieved.isel(x=slice(None, middle + _OVERLAP // 2))
        east = sieved.isel(x=slice(middle - _OVERLAP // 2, None))
        country = demo.write(mosaic([west, east]), "mosaic.tif")
        demo.write(extract_layer(country, "water"), "water.tif")
    return country, speed


def _report(
    demo: _Demo, settings: TrainSettings, network: AccuracyReport, forest: AccuracyReport | None
) -> dict[str, Any]:
    return {
        "seed": demo.seed,
        "settings": asdict(settings),
        "test": {"network": network.to_dict()} | (_beside(network, forest) if forest else {}),
        "seconds": demo.seconds,
        "versions": {name: version(name) for name in ("osm4eo-xr", *_PACKAGES)},
        "attribution": attribution(),
    }


def _beside(network: AccuracyReport, forest: AccuracyReport) -> dict[str, Any]:
    """Return the forest's scores and the paired difference of both."""
    apart = network.difference(forest)
    return {
        "random_forest": forest.to_dict(),
        "network_minus_forest": apart.to_dict() if apart else None,
    }


def _print(demo: _Demo, network: AccuracyReport, forest: AccuracyReport | None) -> None:
    """Print both reports, the time of each step, what was written and whose data it is."""
    OUT.print(_scores(network, forest))
    steps = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in demo.seconds.items())
    OUT.print(f"{sum(demo.seconds.values()):.0f} s in all: {steps}", highlight=False)
    OUT.print(attribution(), highlight=False)
    for name in ("map.png", "report.json", "water.tif"):
        OUT.print(str(demo.out / name), soft_wrap=True, highlight=False)
    maps = [demo.out / name for name in ("scene.tif", "labels.tif", "mosaic.tif")]
    shown = "to look at the maps in a browser: osm4eo-xr view --scene {} --labels {} {}"
    OUT.print(shown.format(*maps), soft_wrap=True, highlight=False)


def _scores(network: AccuracyReport, forest: AccuracyReport | None) -> Table:
    """Set both reports side by side, in percent; kappa is no share."""
    title = "dense network | random forest, same pixels, %" if forest else "dense network, %"
    table = Table(title=f"Held-out blocks: {title}", caption=_intervals(network, forest))
    table.add_column("class")
    for heading in ("pixels", "overall", "kappa", "producer's", "user's"):
        table.add_column(heading, justify="right")
    both = [network, forest] if forest else [network]
    overall = _percent(r.overall_accuracy for r in both)
    table.add_row("all", f"{network.total:,}", overall, " | ".join(f"{r.kappa:.3f}" for r in both))
    for k, (c, pixels) in enumerate(
        zip(network.legend.classes, network.counts.sum(axis=1).tolist(), strict=True)
    ):
        if pixels:
            producers = _percent(r.producers_accuracy[k] for r in both)
            users = _percent(r.users_accuracy[k] for r in both)
            table.add_row(c.slug, f"{pixels:,}", "", "", producers, users)
    return table


def _intervals(network: AccuracyReport, forest: AccuracyReport | None) -> str | None:
    """Say how far other held-out blocks would move the overall accuracies."""
    if network.overall_interval is None or network.blocks is None:
        return None
    text = f"overall, 95 % by {len(network.blocks)} blocks: {network.overall_interval.percent()}"
    if forest is None or forest.overall_interval is None:
        return text
    apart = network.difference(forest)
    text += f" | {forest.overall_interval.percent()}"
    return f"{text}, difference {apart.points()}" if apart else text


def _percent(shares: Iterable[float]) -> str:
    return " | ".join(f"{100 * share:.1f}" for share in shares)
