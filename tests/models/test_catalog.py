"""Folders of models: found, checked by running them, described for catalogs."""

import json
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pystac
import pytest

from osm4eo_xr.errors import InputError
from osm4eo_xr.models.catalog import find_models, verify_model
from osm4eo_xr.models.model_folder import JSON_FILE, load_model, save_model
from osm4eo_xr.models.record import Normalization
from osm4eo_xr.models.stac_mlm import mlm_fields, stac_item
from osm4eo_xr.networks.resnet import init
from osm4eo_xr.networks.settings import NetSettings
from tests.models.test_model import tiny_model

WINDOW = NetSettings(bands=2, classes=12, depth=11, width=4, mode="window", window=8)


def window_model(**changes: Any) -> Any:
    return tiny_model(net=WINDOW, variables=init(WINDOW, jax.random.key(1)), center=4, **changes)


def test_models_are_found_at_any_depth_in_order(tmp_path: Path) -> None:
    for name in ("b", "a/deep/er", "a/one"):
        save_model(tiny_model(), tmp_path / name)
    (tmp_path / "notes").mkdir()
    found = [str(path.relative_to(tmp_path)) for path in find_models(tmp_path)]
    assert found == ["a/deep/er", "a/one", "b"]
    assert find_models(tmp_path / "notes") == []
    with pytest.raises(InputError, match="no folder .*gone; name one that holds models"):
        find_models(tmp_path / "gone")


@pytest.mark.parametrize("make", [tiny_model, window_model])
def test_a_whole_model_passes_and_says_what_was_checked(tmp_path: Path, make: Any) -> None:
    model = make()
    said = "\n".join(verify_model(save_model(model, tmp_path / "m")))
    assert f"digest {model.digest}" in said
    assert "12 finite logits" in said
    assert f"receptive field {model.receptive_field} px, stride {model.stride} px" in said


def test_a_record_that_was_changed_is_found(tmp_path: Path) -> None:
    path = save_model(tiny_model(), tmp_path / "m")
    record = json.loads((path / JSON_FILE).read_text())
    record["normalization"]["center"] = [0.3, 0.2]
    (path / JSON_FILE).write_text(json.dumps(record))
    with pytest.raises(InputError, match="the record was changed, save the model again"):
        verify_model(path)


def test_weights_that_give_no_numbers_are_found(tmp_path: Path) -> None:
    variables = init(tiny_model().net, jax.random.key(0))
    head = dict(variables["params"]["head"], bias=np.full(12, np.nan, np.float32))
    broken = {**variables, "params": {**variables["params"], "head": head}}
    path = save_model(tiny_model(variables=broken), tmp_path / "m")
    with pytest.raises(InputError, match="logits of the neutral input are not finite"):
        verify_model(path)


@pytest.mark.parametrize("make", [tiny_model, window_model])
def test_an_item_is_one_that_pystac_reads_back(tmp_path: Path, make: Any) -> None:
    model = load_model(save_model(make(), tmp_path / "m"))
    described = stac_item(model)
    item = pystac.Item.from_dict(json.loads(json.dumps(described)))
    assert item.id == model.digest[:16]
    assert item.to_dict()["properties"] == described["properties"]
    assert model.path is not None
    assert (model.path / item.assets["weights"].href).is_file()
    assert (model.path / item.assets["record"].href).is_file()
    [given] = described["properties"]["mlm:input"]
    [found] = described["properties"]["mlm:output"]
    edge = -1 if model.net.mode == "dense" else 8
    assert given["input"]["shape"] == [-1, edge, edge, 2]
    assert len(given["input"]["shape"]) == len(given["input"]["dim_order"])
    assert len(found["result"]["shape"]) == len(found["result"]["dim_order"])
    assert [c["value"] for c in found["classification:classes"]] == list(model.class_ids)


def test_a_model_in_memory_has_no_item() -> None:
    with pytest.raises(InputError, match="is in memory only; save it before describing it"):
        stac_item(tiny_model())


def test_parameters_are_counted_without_statistics() -> None:
    model = tiny_model()
    fields = mlm_fields(model)
    params, all_of = (
        sum(np.size(leaf) for leaf in jax.tree.leaves(tree))
        for tree in (model.variables["params"], model.variables)
    )
    assert fields["mlm:total_parameters"] == params
    assert fields["mlm:memory_size"] == 4 * all_of > 4 * params


def test_scaling_is_told_per_band_or_as_an_expression() -> None:
    [given] = mlm_fields(tiny_model())["mlm:input"]
    assert given["value_scaling"] == [
        {"type": "z-score", "mean": 0.1, "stddev": 0.05},
        {"type": "z-score", "mean": 0.2, "stddev": 0.1},
    ]
    by_scene = tiny_model(normalization=Normalization(kind="scene range"))
    [given] = mlm_fields(by_scene)["mlm:input"]
    assert given["value_scaling"] is None
    assert "min(scene)" in given["pre_processing_function"]["expression"]
