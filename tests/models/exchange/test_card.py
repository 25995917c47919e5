"""A model's card, read as Markdown by its tables."""

from typing import Any

import pytest

from osm4eo_xr.models.exchange.card import card_of

CLASSES = [
    {"value": 8, "name": "forest", "description": "Forests"},
    {"value": 12, "name": "water", "description": "Seas | lakes\nand rivers"},
]


def item(**properties: Any) -> dict[str, Any]:
    known: dict[str, Any] = {
        "title": "a network",
        "license": "MIT",
        "mlm:architecture": "ResNet v2",
        "mlm:total_parameters": 1234567,
        "mlm:input": [
            {
                "bands": ["red", "nir"],
                "value_scaling": [{"mean": 0.1, "stddev": 0.05}, {"mean": 0.23456, "stddev": 1}],
            }
        ],
        "mlm:output": [{"classification:classes": CLASSES}],
        "osm4eo_xr:units": "reflectance",
        "osm4eo_xr:digest": "ab" * 32,
    }
    file = {
        "href": "./weights.safetensors",
        "file:size": 1234567,
        "file:checksum": "1220" + "c" * 64,
    }
    assets = {"weights": file, "other": {"href": "./x"}}
    return {"id": "m", "geometry": None, "properties": known | properties, "assets": assets}


def table(card: str, heading: str) -> list[list[str]]:
    """Return the cells of the first table whose head begins with a word."""
    lines = card.splitlines()
    start = next(k for k, line in enumerate(lines) if line.startswith(f"| {heading} |"))
    rows = []
    for line in lines[start:]:
        if not line.startswith("|"):
            break
        cells = line.replace("\\|", "\0").strip("|").split("|")
        rows.append([cell.strip().replace("\0", "|") for cell in cells])
    return rows


def facts(card: str) -> dict[str, str]:
    return dict(row for row in table(card, "what")[2:])


def test_each_table_has_as_many_cells_in_every_row() -> None:
    card = card_of(item())
    for heading in ("what", "value", "file"):
        rows = table(card, heading)
        assert len({len(row) for row in rows}) == 1
        assert set(rows[1]) == {"---"}


def test_facts_of_a_model_of_which_little_is_said() -> None:
    found = facts(card_of(item()))
    assert found["network"] == "ResNet v2; 1,234,567 parameters"
    assert found["scaling"] == "red (x - 0.1) / 0.05, nir (x - 0.2346) / 1"
    assert found["trained in"] == "not stated by whoever publishes it"
    assert found["digest"] == f"`{'ab' * 32}`"


def test_the_ground_is_told_by_size_and_box() -> None:
    given = item(**{"osm4eo_xr:area_km2": 357_600.4})
    given |= {"geometry": {"type": "Polygon"}, "bbox": [5.87, 47.27, 15.04, 55.06]}
    assert facts(card_of(given))["trained in"] == (
        "357,600 km² within 5.87 to 15.04° E, 47.27 to 55.06° N"
    )


def test_a_range_of_each_scene_is_told_by_its_expression() -> None:
    given = {"bands": ["red"], "pre_processing_function": {"expression": "x to -1 … 1"}}
    assert facts(card_of(item(**{"mlm:input": [given]})))["scaling"] == "x to -1 … 1"


def test_classes_stand_with_their_scores_and_a_bar_breaks_no_table() -> None:
    scores = {"water": {"producers_accuracy": 1.0, "users_accuracy": None}}
    accuracy = {
        "value": 0.9,
        "low": None,
        "high": None,
        "interval": "",
        "total": 7,
        "of": "points",
        "caution": "read this",
        "classes": scores,
    }
    card = card_of(item(**{"osm4eo_xr:accuracy": accuracy}))
    assert table(card, "value")[2:] == [
        ["8", "forest: Forests", "-", "-"],
        ["12", "water: Seas | lakes and rivers", "100.0 %", "-"],
    ]
    told = "Overall accuracy 90.0 %, without an interval, from 7 pixels or points: points."
    assert f"{told}\n\nread this" in card


def test_limits_stand_with_how_they_were_made() -> None:
    accuracy = {
        "value": 0.9,
        "low": 0.88,
        "high": 0.92,
        "interval": "wilson",
        "total": 4000,
        "of": "points",
        "caution": "",
    }
    card = card_of(item(**{"osm4eo_xr:accuracy": accuracy}))
    assert "Overall accuracy 90.0 %, 88.0 % to 92.0 % (wilson), from 4,000 pixels" in card


@pytest.mark.parametrize(
    ("said", "text"),
    [
        ("", "Not fitted: nothing tells whether a scene resembles"),
        (
            "covers 90 %\nof 3 classes",
            "maps where a scene is unlike the training:\n\n- covers 90 %\n- of 3",
        ),
    ],
)
def test_where_it_applies_is_told_or_that_nobody_knows(said: str, text: str) -> None:
    assert text in card_of(item(**{"osm4eo_xr:applicability": said}))


def test_only_files_that_are_fetched_are_listed() -> None:
    rows = table(card_of(item(description="for maps")), "file")[2:]
    assert rows == [["weights.safetensors", "1,234,567", f"`{'c' * 64}`"]]
    card = card_of(item(description="for maps"))
    assert card.startswith("# a network: m\n\nfor maps\n\n| what | how |")
    assert card.endswith("\n")
    assert "\n\n\n" not in card


@pytest.mark.parametrize(
    ("units", "bands", "opened"),
    [
        ("reflectance", ["red", "nir"], 'oxr.open_scene("SCENE.tif")'),
        (
            "digital number",
            ["red", "nir"],
            'oxr.open_scene("SCENE.tif", scale=1, offset=0).assign_attrs(units="digital number")',
        ),
        (
            "per feature",
            ["s2:red@2024-04", "dem:slope", "s2:nir@2024-04"],
            'oxr.open_features({"s2@2024-04": …, "dem": …})',
        ),
    ],
)
def test_it_opens_a_scene_in_the_unit_that_the_model_takes(
    units: str, bands: list[str], opened: str
) -> None:
    given = [{"bands": bands, "pre_processing_function": {"expression": "x"}}]
    card = card_of(item(**{"osm4eo_xr:units": units, "mlm:input": given}))
    assert f"\nscene = {opened}\nclasses = oxr.classify(scene, model)\n" in card
    assert ("`osm4eo-xr classify` do the same" in card) == (units == "reflectance")
