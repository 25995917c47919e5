"""The ``models`` commands: what they tell of models, and what they say where there is none."""

import json
from pathlib import Path
from typing import Any

import pytest

import osm4eo_xr as oxr
from osm4eo_xr.cli.commands.models import _facts
from osm4eo_xr.models.model import Model
from osm4eo_xr.models.model_folder import JSON_FILE
from osm4eo_xr.models.record import Normalization
from osm4eo_xr.networks.settings import NetSettings
from tests.cases.commands import attempt, call, refused
from tests.cases.country_case import tiny_model
from tests.networks.test_resnet import random_variables


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    tiny_model(folder / "a")
    (folder / "deeper").mkdir()
    tiny_model(folder / "deeper" / "b")
    return folder


def window_model(**how: Any) -> Model:
    net = NetSettings(bands=2, classes=12, depth=11, width=4, mode="window")
    return Model(net, random_variables(net), bands=("red", "nir"), **how)


def test_models_are_found_in_and_below_a_folder(models: Path) -> None:
    listed = json.loads(call("models", "list", models, "--json"))
    assert [row["folder"] for row in listed] == [str(models / "a"), str(models / "deeper" / "b")]
    assert listed[0]["SHA-256"] == oxr.load_model(models / "a").digest
    table = call("models", "list", models)
    assert oxr.load_model(models / "a").digest[:12] in table


def test_a_damaged_model_is_named_and_the_others_are_listed(models: Path, tmp_path: Path) -> None:
    tiny_model(tmp_path / "good")
    tiny_model(tmp_path / "bad")
    (tmp_path / "bad" / JSON_FILE).write_text("{")

    ended = attempt("models", "list", str(tmp_path), "--json")
    assert ended.exit_code == 0
    [row] = json.loads(ended.stdout)
    assert row["folder"] == str(tmp_path / "good")
    assert "bad" in ended.stderr
    assert models


def test_no_models_are_an_empty_list_and_no_folder_is_an_error(tmp_path: Path) -> None:
    assert json.loads(call("models", "list", tmp_path, "--json")) == []
    error = refused("models", "list", tmp_path / "none")
    assert str(error) == f"no folder {tmp_path / 'none'}; name one that holds models"


def test_facts_name_bands_with_their_scaling_and_classes_with_their_ids(models: Path) -> None:
    facts = json.loads(call("models", "show", models / "a", "--json"))
    assert facts["normalization"].startswith("blue (0.12, 0.02), green (0.1, 0.02)")
    assert facts["classes"].startswith("1 urban, 2 industrial")
    assert facts["network"] == "ResNet v2, depth 11, dense, 5x5 kernels"
    assert "window" not in facts
    shown = "".join(call("models", "show", models / "a").split())  # long values take several lines
    for name, value in facts.items():
        assert "".join(f"{name}{value}".split()) in shown


def test_windows_are_told_around_the_classified_pixel() -> None:
    given = {"normalization": Normalization(kind="scene range"), "center": 5}
    facts = _facts(window_model(**given))
    assert facts["window"] == "rows r-5 … r+6"
    assert facts["normalization"] == "scene range to -1 … 1"
    first = _facts(window_model(**given | {"center": 0}))
    assert first["window"] == "rows r-0 … r+11"


def test_the_best_epoch_is_told_where_it_is_known() -> None:
    scale = Normalization(kind="scene range")
    trained = window_model(normalization=scale, center=5, training={"best_epoch": 7})
    assert _facts(trained)["best epoch"] == "7"
    assert "best epoch" not in _facts(window_model(normalization=scale, center=5))


def test_an_item_is_json_with_its_own_words(models: Path) -> None:
    item = json.loads(call("models", "show", models / "a", "--stac"))
    assert item["type"] == "Feature"
    assert item["properties"]["mlm:input"][0]["bands"] == ["blue", "green", "red", "nir"]


def test_a_whole_model_is_checked_line_by_line_and_a_changed_one_refused(tmp_path: Path) -> None:
    tiny_model(tmp_path / "m")
    lines = call("models", "verify", tmp_path / "m").splitlines()
    assert len(lines) >= 3
    assert all(line.startswith("ok ") for line in lines)
    weights = tmp_path / "m" / "weights.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    assert "weights" in str(refused("models", "verify", tmp_path / "m"))


@pytest.mark.parametrize(
    ("words", "given"),
    [
        (("show", "none"), "none"),
        (("verify", "none"), "none"),
        (("catalog", "none"), "no file none"),
        (("pull", "landuse-DE", "--catalog", "none"), "no file none"),
        (("pull", "./none.json"), "no file none.json"),
        (("push", "none", "--catalog", "c", "--license", "MIT"), "none"),
        (("import-keras", "none.h5", "--out", "m"), "none.h5"),
    ],
)
def test_what_is_not_there_is_named(
    words: tuple[str, ...], given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert given in refused("models", *words).given
    assert not any(tmp_path.iterdir())


def test_a_catalogs_table_says_what_is_not_stated(models: Path, tmp_path: Path) -> None:
    catalog = tmp_path / "c"
    call("models", "push", models / "a", "--catalog", catalog, "--license", "MIT", "--name", "one")
    table = call("models", "catalog", catalog)
    [row] = [line for line in table.splitlines() if "one" in line]
    cells = [cell.strip() for cell in row.strip("│").split("│")]
    size = oxr.read_model_catalog(catalog)[0].size
    assert cells == ["one", "4", "12", "not stated", "not stated", f"{size / 1e6:.1f}", "MIT"]
    countries = call("models", "catalog", catalog, "--countries")
    assert countries.count("landuse-") == 28
    assert "there" not in countries
