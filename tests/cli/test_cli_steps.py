"""Options of the commands that make labels, samples, models and layers."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
from typer.main import get_command

import osm4eo_xr as oxr
from osm4eo_xr.cli.app import app
from osm4eo_xr.demo import demo_osm_path, demo_scene_paths
from osm4eo_xr.training.fit import DEMO_SAMPLES
from osm4eo_xr.training.settings import TrainSettings
from tests.cases.commands import attempt, call
from tests.cases.train_case import box, ground, raster, spectra

pytestmark = pytest.mark.steps


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make labels of the demo's place with everything beside them."""
    folder = tmp_path_factory.mktemp("steps")
    scene = demo_scene_paths()
    with rasterio.open(scene[0]) as source:
        left, bottom, right, top = source.bounds
    middle = (left + right) / 2
    halves = [shapely.box(left, bottom, middle, top), shapely.box(middle, bottom, right, top)]
    countries = gpd.GeoDataFrame({"ISO_A3": ["DEU", "POL"]}, geometry=halves, crs="EPSG:32633")
    countries.to_file(folder / "countries.gpkg")
    call(
        *("labels", demo_osm_path(), "--like", scene[0], "--out", folder / "labels.tif"),
        *("--polygons", folder / "areas", "--claims", folder / "claims.tif"),
        *("--report", folder / "report.json", "--picture", folder / "report.png"),
        *("--boundary", folder / "countries.gpkg", "--country", "DE"),
    )
    return folder


def read(path: Path) -> Any:
    with rasterio.open(path) as source:
        return source.read(1)


def test_labels_leave_polygons_claims_report_and_picture(made: Path) -> None:
    labels, claims = read(made / "labels.tif"), read(made / "claims.tif")
    np.testing.assert_array_equal(labels > 0, claims > 0)
    assert len(oxr.open_landuse(made / "areas")) == len(oxr.read_landuse(demo_osm_path()))
    assert (made / "report.png").stat().st_size > 10_000


def test_the_report_is_about_the_country_alone(made: Path) -> None:
    report = json.loads((made / "report.json").read_text())
    half = gpd.read_file(made / "countries.gpkg").to_crs("EPSG:3035").area.iloc[0]
    assert report["area_km2"] == pytest.approx(half / 1e6, rel=0.01)


def test_labels_of_kept_polygons_are_those_of_the_extract(made: Path, tmp_path: Path) -> None:
    out = tmp_path / "again.tif"
    call("labels", made / "areas", "--like", demo_scene_paths()[0], "--out", out)
    np.testing.assert_array_equal(read(out), read(made / "labels.tif"))


BANDS_GIVEN = ("red", "nir")


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, tuple[Any, ...]]:
    """Return samples of made-up ground, and the arguments that name its bands and labels."""
    folder = tmp_path_factory.mktemp("ground")
    labels = ground(240, 300)
    grid = box(*labels.shape)
    scene = raster(spectra(labels), grid)
    files = [oxr.write_cog(scene.sel(band=[b]), folder / f"{b}.tif") for b in BANDS_GIVEN]
    oxr.write_cog(raster(labels, grid), folder / "labels.tif")
    given = [part for file in files for part in ("--scene", file)]
    given += ["--labels", folder / "labels.tif", "--patch", 12]
    shares = ("--shares", *DEMO_SAMPLES["shares"])
    out = folder / "s.zarr"
    where = ("--block", 300, "--gap", 120, "--seed", 3)
    call("samples", *given, "--out", out, "--per-class", 10, *where, *shares)
    return out, tuple(given)


def test_samples_take_their_options(drawn: tuple[Path, Any]) -> None:
    samples = oxr.open_samples(drawn[0])
    assert samples["image"].shape[1:] == (12, 12, 2)
    assert samples["band"].to_numpy().tolist() == [*BANDS_GIVEN]
    centers = samples["label"][:, 6, 6].to_numpy()  # the drawn pixels
    assert np.bincount(centers[centers > 0]).max() <= 10
    counts = np.bincount(samples["split"].to_numpy(), minlength=3)
    assert counts[0] > counts[2] > 1.5 * counts[1] > 0


def test_train_takes_its_options_and_scores_what_was_held_out(
    drawn: tuple[Path, Any], tmp_path: Path
) -> None:
    out = call(
        *("train", drawn[0], "--out", tmp_path / "model", "--width", 4),
        *("--depth", 11, "--kernel", 3),
        *("--mode", "window", "--window", 12, "--epochs", 2, "--batch", 16, "--accumulate", 2),
        *("--loss", "generalized", "--class-weights", "balanced", "--optimizer", "nadam"),
        *("--label-smoothing", 0.1, "--band-jitter", 0.1, "--band-dropout", 0.1),
        *("--run", tmp_path / "run", "--seed", 1),
    )
    assert "overall" in out.lower()
    model = oxr.load_model(tmp_path / "model")
    told = model.training["settings"]
    assert (told["loss"], told["optimizer"], told["accumulate"]) == ("generalized", "nadam", 2)
    assert json.loads((tmp_path / "run" / "test.json").read_text())
    assert (tmp_path / "run" / "confusion.png").is_file()


def test_every_setting_of_a_training_is_an_option_with_help() -> None:
    command = get_command(app).commands["train"]  # pyright: ignore[reportAttributeAccessIssue]
    options = {p.name: p for p in command.params}
    for field in dataclasses.fields(TrainSettings):
        assert options[field.name].default == field.default
        assert options[field.name].help.endswith(".")
    misspelt = attempt("train", "s.zarr", "--out", "m", "--kernal", "3")
    assert misspelt.exit_code == 2
    assert "--kernel" in misspelt.output
    wrong = attempt("train", "s.zarr", "--out", "m", "--depth", "30")
    assert "depth 30 is not 9 n + 2" in str(wrong.exception)


def test_samples_are_counted_by_the_classes_of_the_legend(
    drawn: tuple[Path, tuple[Any, ...]], tmp_path: Path
) -> None:
    path = tmp_path / "legend.toml"
    rows = [
        f'[[class]]\nid = {i}\nclc = {i}\nslug = "c{i}"\nname = "Class {i}"\n'
        f"color = [{i}, 0, 0]\npriority = {i}\n"
        for i in range(1, 14)
    ]
    path.write_text('name = "others"\n' + "\n".join(rows))
    out = ("--out", tmp_path / "s.zarr", "--per-class", 6, "--block", 300)
    ended = attempt("samples", *drawn[1], *out, "--legend", path)
    assert ended.exit_code == 0, ended.output
    assert "c13" in ended.output
    assert "forest" not in ended.output
    samples = oxr.open_samples(tmp_path / "s.zarr")
    assert json.loads(samples.attrs["legend"])["name"] == "others"
    assert set(oxr.sample_counts(samples)["class"]) == {f"c{i}" for i in range(1, 14)}


def test_polygons_of_a_layer_of_corine_codes_have_their_class(made: Path, tmp_path: Path) -> None:
    raster, shapes = tmp_path / "two.tif", tmp_path / "shapes.gpkg"
    layers = ("--layer", "forest", "--layer", "water", "--codes", "clc")
    call("extract", made / "labels.tif", *layers, "--out", raster, "--vector", shapes)
    traced, pixels = gpd.read_file(shapes), read(raster)
    for value, slug in ((31, "forest"), (5, "water")):
        rows = traced[traced["slug"] == slug]
        assert set(rows["value"]) == {value}
        assert rows["area"].sum() == (pixels == value).sum() * 100
    assert set(traced["slug"]) == {"forest", "water"}
