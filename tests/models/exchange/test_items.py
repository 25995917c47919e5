"""The item of a model: what is said of it, of its ground and of its files, and nothing else."""

import hashlib
from pathlib import Path
from typing import Any

import pystac
import pytest
import shapely

from osm4eo_xr.models.exchange.entries import ModelAccuracy, ModelFile, read_entry
from osm4eo_xr.models.exchange.items import (
    FILE_EXTENSION,
    Published,
    catalog_item,
    file_of,
    with_file,
)
from osm4eo_xr.models.model import Model
from osm4eo_xr.models.model_folder import load_model
from tests.cases.country_case import tiny_model

AREA = shapely.geometry.mapping(shapely.box(9, 47, 10, 48))
FILES = {
    "weights": ModelFile("weights.safetensors", 10, "ab" * 32),
    "record": ModelFile("model.json", 20, "cd" * 32),
    "card": ModelFile("MODEL_CARD.md", 30, "ef" * 32),
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return load_model(tiny_model(tmp_path_factory.mktemp("models") / "tiny"))


def made(model: Model, **said: Any) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "name": "landuse-XX",
        "license": "MIT",
        "description": "",
        "area": None,
        "accuracy": None,
    }
    return catalog_item(model, Published(**plain | said), FILES)


def test_what_is_written_is_read_again(model: Model) -> None:
    accuracy = ModelAccuracy("points", 0.9, 400, low=0.87, high=0.93, interval="wilson")
    item = made(model, description="for maps", area=AREA, accuracy=accuracy)
    entry = read_entry(item, "p")
    assert (entry.name, entry.license, entry.description) == ("landuse-XX", "MIT", "for maps")
    assert entry.accuracy == accuracy
    assert entry.digest == model.digest
    assert entry.bands == model.bands
    assert entry.files == tuple(FILES.values())
    assert entry.geometry == AREA
    assert entry.area_km2 == pytest.approx(8_354, rel=0.01)  # 75.1 by 111.2 km


def test_what_nobody_says_does_not_stand_there(model: Model) -> None:
    item = made(model)
    assert item["geometry"] is None
    assert "description" not in item["properties"] or item["properties"]["description"]
    said = {k for k in item["properties"] if k.startswith("osm4eo_xr:")}
    assert not said & {"osm4eo_xr:accuracy", "osm4eo_xr:area_km2", "osm4eo_xr:applicability"}
    entry = read_entry(item, "p")
    assert (entry.accuracy, entry.area_km2, entry.applicability) == (None, None, "")


def test_the_item_is_one_of_stac_with_its_files_extension(model: Model) -> None:
    item = made(model, area=AREA)
    assert FILE_EXTENSION in item["stac_extensions"]
    assert [link["rel"] for link in item["links"]] == ["root", "parent"]
    assert item["bbox"] == [9, 47, 10, 48]
    read = pystac.Item.from_dict(item, preserve_dict=True)
    assert read.id == "landuse-XX"
    assert all(asset.href.startswith("./") for asset in read.assets.values())


def test_an_asset_is_made_once_and_keeps_its_title(model: Model) -> None:
    item = made(model)
    before = dict(item["assets"]["card"])
    with_file(item, "card", ModelFile("MODEL_CARD.md", 99, "11" * 32))
    after = item["assets"]["card"]
    assert after["file:size"] == 99
    assert after["file:checksum"] == "1220" + "11" * 32
    assert {k: v for k, v in after.items() if not k.startswith("file:")} == {
        k: v for k, v in before.items() if not k.startswith("file:")
    }


def test_a_file_is_told_by_its_bytes(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"abc")
    found = file_of(tmp_path / "a.bin")
    assert found == ModelFile("a.bin", 3, hashlib.sha256(b"abc").hexdigest())
    (tmp_path / "a.bin").write_bytes(b"abd")
    assert file_of(tmp_path / "a.bin").sha256 != found.sha256
