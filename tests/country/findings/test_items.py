"""Areas and accuracies in the STAC items of a run's maps, by the method that they are from."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pystac
import pytest

import osm4eo_xr as oxr
from osm4eo_xr.country.findings.items import COUNTED, describe_maps, described_items
from osm4eo_xr.errors import InputError

LEGEND = oxr.default_legend()
ITEM = {
    "type": "Feature",
    "stac_version": "1.1.0",
    "id": "map",
    "geometry": {"type": "Point", "coordinates": [8.0, 50.0]},
    "bbox": [8.0, 50.0, 8.0, 50.0],
    "properties": {"datetime": "2021-06-01T00:00:00Z"},
    "links": [],
    "assets": {},
}


def a_run(
    folder: Path,
    *,
    date: str = "2021-06-01",
    layers: tuple = (("water",),),
    min_area: float = 0.0,
) -> Any:
    made = [SimpleNamespace(classes=classes, name="", min_area=min_area) for classes in layers]
    return SimpleNamespace(
        settings=SimpleNamespace(date=date, layers=made),
        legend=LEGEND,
        out=folder,
        final_map=folder / "mosaic.tif",
    )


@pytest.fixture
def run(tmp_path: Path) -> Any:
    for name in ("mosaic", "water"):
        (tmp_path / f"{name}.stac.json").write_text(json.dumps(ITEM))
    return a_run(tmp_path)


def properties(run: Any, name: str) -> dict[str, Any]:
    return pystac.Item.from_file(str(run.out / f"{name}.stac.json")).properties


AREAS = [
    {"class": "forest", "km2": 12.5, "share": 0.5},
    {"class": "water", "km2": 2.5, "share": 0.1},
]
LAYERS = [{"file": "water.tif", "km2": 2.25}]


def test_each_map_is_described_by_the_classes_that_it_shows(tmp_path: Path) -> None:
    run = a_run(tmp_path, layers=(("water",), ("clc:31", "urban")))
    found = {path.name: slugs for path, slugs in described_items(run).items()}
    assert found == {
        "mosaic.stac.json": [c.slug for c in LEGEND.classes],
        "water.stac.json": ["water"],
        "urban-forest.stac.json": ["forest", "urban"],
    }
    assert described_items(a_run(tmp_path, date="")) == {}


def test_areas_without_a_design_are_counted_and_say_so(run: Any) -> None:
    describe_maps(run, {"areas": AREAS, "layers": LAYERS, "accuracy": {}})
    whole, water = properties(run, "mosaic"), properties(run, "water")
    assert whole["osm4eo_xr:areas"] == [
        {"class": "forest", "counted_km2": 12.5},
        {"class": "water", "counted_km2": 2.5},
    ]
    assert water["osm4eo_xr:areas"] == [{"class": "water", "counted_km2": 2.5}]
    assert water["osm4eo_xr:areas_method"] == COUNTED
    assert water["osm4eo_xr:accuracy"] == []
    assert water["datetime"] == "2021-06-01T00:00:00Z"


def test_a_layer_without_small_patches_says_its_own_area_and_what_the_others_are_of(
    run: Any,
) -> None:
    describe_maps(run, {"areas": AREAS, "layers": LAYERS, "accuracy": {}})
    whole = properties(run, "water")
    assert whole["osm4eo_xr:layer_km2"] == 2.25
    small = a_run(run.out, min_area=1000.0)
    describe_maps(small, {"areas": AREAS, "layers": LAYERS, "accuracy": {}})
    told = properties(small, "water")
    assert told["osm4eo_xr:layer_km2"] == 2.25
    assert told["osm4eo_xr:areas"] == [{"class": "water", "counted_km2": 2.5}]
    assert told["osm4eo_xr:areas_method"].startswith(f"{COUNTED}; areas and accuracy of the clas")
    assert "before min_area = 1000 m²" in told["osm4eo_xr:areas_method"]
    map_itself = properties(small, "mosaic")
    assert map_itself["osm4eo_xr:areas_method"] == COUNTED
    assert "osm4eo_xr:layer_km2" not in map_itself


def test_estimated_areas_stand_beside_the_counted_with_their_method(run: Any) -> None:
    estimate = {"value": 2.2, "standard_error": 0.2, "low": 1.8, "high": 2.6}
    areas = [a | {"estimated_km2": estimate, "estimated_by": "Olofsson et al. 2014"} for a in AREAS]
    describe_maps(run, {"areas": areas, "layers": LAYERS, "accuracy": {}})
    water = properties(run, "water")
    assert water["osm4eo_xr:areas"] == [
        {"class": "water", "counted_km2": 2.5, "estimated_km2": estimate}
    ]
    assert water["osm4eo_xr:areas_method"] == "Olofsson et al. 2014"


def test_scores_of_a_design_keep_their_intervals(run: Any) -> None:
    figure = {"value": 0.9, "standard_error": 0.01, "low": 0.88, "high": 0.92}
    scores = {
        "design": {"scheme": "stratified"},
        "method": "Olofsson et al. 2014",
        "intervals": "95 %, wilson",
        "overall_accuracy": figure,
        "classes": [
            {"slug": slug, "reference_points": n, "users_accuracy": figure}
            for slug, n in (("forest", 40), ("water", 0))
        ],
    }
    describe_maps(run, {"areas": AREAS, "layers": LAYERS, "accuracy": {"points": scores}})
    [found] = properties(run, "mosaic")["osm4eo_xr:accuracy"]
    assert found["of"] == "points"
    assert found["method"] == "Olofsson et al. 2014; intervals 95 %, wilson"
    assert found["overall_accuracy"] == figure
    assert found["classes"] == [  # nothing is said of a class that no point is of
        {"class": "forest", "reference_points": 40, "users_accuracy": figure}
    ]


def test_other_scores_have_limits_as_far_as_there_are_any(run: Any) -> None:
    rows = [{"slug": "water", "reference": 7, "f1": 0.5, "users_accuracy": None}]
    scores = {"caution": "without intervals", "overall_accuracy": 0.8, "classes": rows}
    limits = {"low": 0.7, "high": 0.9, "method": "block bootstrap"}
    intervals = {"f1": {"low": 0.4, "high": 0.6}}
    better = scores | {"overall_interval": limits, "classes": [rows[0] | {"intervals": intervals}]}
    both = {"plain": scores, "blocks": better}
    describe_maps(run, {"areas": AREAS, "layers": LAYERS, "accuracy": both})
    plain, blocks = properties(run, "water")["osm4eo_xr:accuracy"]
    assert plain["method"] == "without intervals"
    assert plain["overall_accuracy"] == {"value": 0.8, "low": None, "high": None}
    assert plain["classes"] == [
        {
            "class": "water",
            "reference": 7,
            "users_accuracy": {"value": None, "low": None, "high": None},
            "f1": {"value": 0.5, "low": None, "high": None},
        }
    ]
    assert blocks["method"] == "block bootstrap"
    assert blocks["overall_accuracy"] == {"value": 0.8, "low": 0.7, "high": 0.9}
    assert blocks["classes"][0]["f1"] == {"value": 0.5, "low": 0.4, "high": 0.6}


@pytest.mark.parametrize("text", ["", "{", "[]", '{"type": "Feature"}', '{"properties": 3}'])
def test_a_damaged_item_is_named_and_left(run: Any, text: str) -> None:
    path = run.out / "mosaic.stac.json"
    path.write_text(text)
    with pytest.raises(InputError) as refused:
        describe_maps(run, {"areas": AREAS, "layers": LAYERS, "accuracy": {}})
    assert refused.value.given == f"{path} is damaged"
    assert refused.value.advice == "remove it and run again"
    assert path.read_text() == text


def test_describing_twice_is_describing_once(run: Any) -> None:
    describe_maps(run, {"areas": AREAS, "layers": LAYERS, "accuracy": {}})
    first = (run.out / "mosaic.stac.json").read_bytes()
    describe_maps(run, {"areas": AREAS, "layers": LAYERS, "accuracy": {}})
    assert (run.out / "mosaic.stac.json").read_bytes() == first
