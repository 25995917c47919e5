"""The demo from end to end, on a cut of its data and with a network of the smallest depth."""

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest
import rasterio
from PIL import Image
from rio_cogeo.cogeo import cog_validate

import osm4eo_xr as oxr
from osm4eo_xr.demo import demo_scene_paths
from osm4eo_xr.demo import run as demo_run
from osm4eo_xr.demo.run import run_demo
from osm4eo_xr.training.fit import DEMO_SAMPLES

PRODUCTS = ("labels.tif", "classified.tif", "sieved.tif", "mosaic.tif", "water.tif")
TINY = oxr.TrainSettings(width=4, decoder=8, epochs=1, batch=8)
CUT = (slice(160, 640), slice(320, 1120))


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    out = tmp_path_factory.mktemp("demo")
    return out, run_demo(out, settings=TINY, per_class=20, window=CUT)


@pytest.mark.parametrize("name", PRODUCTS)
def test_products_are_valid_cogs_with_colors_and_names(demo: Any, name: str) -> None:
    path = demo[0] / name
    valid, errors, _ = cog_validate(path)
    assert valid, errors
    with rasterio.open(path) as product:
        assert product.crs == "EPSG:3035"
        assert product.res == (10, 10)
        assert product.nodata == 0
        assert product.colormap(1)[12][:3] == (0, 204, 242)
        assert product.overviews(1) == [2]
        assert product.shape == (480, 800)
    root = ET.parse(path.with_name(f"{name}.aux.xml")).getroot()  # noqa: S314 - just written by us
    named = [e.text for e in root.iterfind("PAMRasterBand/CategoryNames/Category")]
    water = oxr.default_legend().by_id[12].name
    assert named[12] == water
    assert len(list(filter(None, named))) == (1 if name == "water.tif" else 12)


def test_the_scene_is_a_valid_cog_of_ten_bands(demo: Any) -> None:
    assert cog_validate(demo[0] / "scene.tif")[0]
    scene = oxr.open_scene(demo[0] / "scene.tif", geobox="native")
    assert scene.sizes["band"] == 10


def test_water_is_the_water_of_the_map(demo: Any) -> None:
    country = oxr.open_raster(demo[0] / "mosaic.tif").to_numpy()
    water = oxr.open_raster(demo[0] / "water.tif").to_numpy()
    np.testing.assert_array_equal(water, np.where(country == 12, 12, 0))


def test_the_mosaic_of_two_tiles_is_the_sieved_map(demo: Any) -> None:
    sieved, country = (
        oxr.open_raster(demo[0] / f"{name}.tif").to_numpy() for name in ("sieved", "mosaic")
    )
    np.testing.assert_array_equal(country, sieved)


def test_the_map_holds_a_class_wherever_the_scene_has_data(demo: Any) -> None:
    scene = oxr.open_scene(demo[0] / "scene.tif", geobox="native")
    classified = oxr.open_raster(demo[0] / "classified.tif")
    valid = np.isfinite(scene.to_numpy()).all(axis=0)
    np.testing.assert_array_equal(classified.to_numpy() > 0, valid)


def test_clouds_have_no_label_no_sample_and_no_class(demo: Any) -> None:
    out, _ = demo
    whole = oxr.open_scene(demo_scene_paths(), bands=["blue"])[:, CUT[0], CUT[1]].to_numpy()[0]
    scene = oxr.open_scene(out / "scene.tif", bands=["blue"], geobox="native").to_numpy()[0]
    clouds = np.isnan(scene) & np.isfinite(whole)
    assert 0.05 < clouds.mean() < 0.3
    assert whole[clouds].mean() > whole[~clouds & np.isfinite(whole)].mean() + 0.01
    for name in ("labels", "classified", "sieved", "mosaic"):
        assert not oxr.open_raster(out / f"{name}.tif").to_numpy()[clouds].any()
    samples = oxr.open_samples(out / "samples.zarr").compute()
    unseen = samples["image"].isnull().any("band").to_numpy()
    assert not samples["label"].to_numpy()[unseen].any()


def test_the_report_scores_network_and_forest_on_the_same_pixels(demo: Any) -> None:
    out, report = demo
    assert json.loads((out / "report.json").read_text(encoding="utf-8")) == report
    network, forest = report["test"]["network"], report["test"]["random_forest"]
    assert network["total"] == forest["total"] > 1000
    for scores in (network, forest):
        assert 0 < scores["overall_accuracy"] <= 1
        assert -1 <= scores["kappa"] <= 1
        assert {"producers_accuracy", "users_accuracy"} <= set(scores["classes"][0])
        assert scores["overall_interval"]["low"] <= scores["overall_accuracy"]
        assert "block bootstrap" in scores["overall_interval"]["method"]
    apart = network["overall_accuracy"] - forest["overall_accuracy"]
    assert report["test"]["network_minus_forest"]["value"] == pytest.approx(apart, abs=2e-6)
    samples = oxr.open_samples(out / "samples.zarr").compute()
    assert network["total"] == int((samples["label"][samples["split"] == 2] > 0).sum())


def test_the_picture_shows_scene_labels_and_map_side_by_side(demo: Any) -> None:
    with Image.open(demo[0] / "map.png") as picture:
        assert picture.width > 2 * picture.height


def test_a_seed_repeats_the_model_and_its_samples(demo: Any) -> None:
    out, _ = demo
    scene = oxr.open_scene(out / "scene.tif", chunks=96, geobox="native")
    labels = oxr.read_labels(out / "labels.tif", chunks=128)
    again = oxr.draw_samples(scene, labels, **{**DEMO_SAMPLES, "per_class": 20})
    first = oxr.open_samples(out / "samples.zarr")
    np.testing.assert_array_equal(again["label"], first["label"])
    model = oxr.load_model(out / "model")
    same = oxr.train(again, TINY)
    np.testing.assert_array_equal(
        model.variables["params"]["head"]["kernel"], same.variables["params"]["head"]["kernel"]
    )


def test_the_map_is_made_in_threads_where_no_processes_can_start(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Containers without /dev/shm told so only after the training."""
    monkeypatch.setattr(demo_run, "lacks_semaphores", lambda: "Function not implemented")
    with demo_run._workers() as client:
        assert client is None
    assert "no worker processes" in capsys.readouterr().err
