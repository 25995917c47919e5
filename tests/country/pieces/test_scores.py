"""A country run reports figures with intervals, and weighs the noise that its training found."""

import dataclasses
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd

import osm4eo_xr as oxr
from osm4eo_xr.accuracy.design_report import figure_km2
from osm4eo_xr.country.pieces.scores import _design_files, _make_noise, _of_points
from osm4eo_xr.country.report import _areas, _areas_note, _score, with_estimates
from osm4eo_xr.country.settings import Reference
from osm4eo_xr.geometry.grid import georeference, target_geobox
from osm4eo_xr.maps.known_rules import noise_table
from osm4eo_xr.models.model_folder import load_model
from tests.cases.country_case import tiny_model


def test_the_noise_that_training_found_is_weighed(tmp_path: Path) -> None:
    model = load_model(tiny_model(tmp_path / "tiny"))
    table = np.eye(12)
    table[7, [7, 6]] = 0.9, 0.1
    found = {"units": 50, "wrong": 3, "pixels": 900, "noise": table.tolist()}
    record = {**model.training, "label_noise": found}
    oxr.save_model(dataclasses.replace(model, training=record), tmp_path / "model")
    run: Any = SimpleNamespace(model_path=tmp_path / "model", legend=model.legend)
    _make_noise(run, tmp_path / "none.zarr", tmp_path / "noise.json", None)
    told = json.loads((tmp_path / "noise.json").read_text())
    np.testing.assert_allclose(noise_table(told["noise"], model.legend), table)
    assert told["wrong"] == 3


def test_points_of_a_design_give_intervals_in_the_report(tmp_path: Path) -> None:
    box = target_geobox((4_400_000, 2_699_000, 4_400_800, 2_700_000))
    classes = np.random.default_rng(0).choice(np.array([5, 8, 12], np.uint8), (100, 80))
    oxr.write_cog(georeference(classes, box), tmp_path / "map.tif")
    design = oxr.design_points(oxr.open_raster(tmp_path / "map.tif"), n=90, min_per_stratum=20)
    oxr.write_design(design, tmp_path / "design")
    labels = pd.DataFrame({"id": design.points["id"], "class": design.points["map_class"]})
    labels.loc[:9, "class"] = 8
    labels.assign(lon=0, lat=0).to_csv(tmp_path / "labels.csv", index=False)
    accuracy = Reference(points="labels.csv", design="design")
    run: Any = SimpleNamespace(
        final_map=tmp_path / "map.tif",
        base=tmp_path,
        legend=oxr.default_legend(),
        settings=SimpleNamespace(accuracy=accuracy, known=None),
    )
    report = _of_points(run)["reference points"]
    assert 0.8 < report["overall_accuracy"]["low"] < report["overall_accuracy"]["value"] < 1
    page = "".join(_score("reference points", report, {}))
    assert "counted km²" in page
    assert "estimated km², 95 %" in page
    assert report["explanation"] in page
    counted = [{"id": i, "name": "a", "km2": 1.0, "share": 0.1} for i in run.legend.ids]
    assert with_estimates(counted, {"held-out samples": {}}) == counted
    areas = with_estimates(counted, {"held-out samples": {}, "reference points": report})
    low, high = (areas[7]["estimated_km2"][k] for k in ("low", "high"))
    assert report["classes"][7]["counted_km2"] < low < high  # ten points of others were forest
    assert "Olofsson" in areas[7]["estimated_by"]
    table = _areas(run, areas)
    assert "estimated km², 95 %" in table
    assert figure_km2(areas[7]["estimated_km2"]) in table
    assert "estimated" not in _areas(run, counted)
    assert report["method"] in _areas_note(areas)
    assert "need labeled points" in _areas_note(counted)
    assert all((tmp_path / name).exists() for name in _design_files("design"))
