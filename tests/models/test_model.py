"""Models as folders: what is saved is what is loaded, and damage is named."""

import json
from pathlib import Path

import jax
import numpy as np
import pytest

from osm4eo_xr.errors import InputError
from osm4eo_xr.legend import default_legend
from osm4eo_xr.models.model import Model
from osm4eo_xr.models.model_folder import (
    JSON_FILE,
    WEIGHTS_FILE,
    load_model,
    read_saved,
    save_model,
)
from osm4eo_xr.models.record import Normalization
from osm4eo_xr.networks.resnet import init
from osm4eo_xr.networks.settings import NetSettings

NET = NetSettings(bands=2, classes=12, depth=11, width=4, decoder=6)


def tiny_model(seed: int = 0, **changes: object) -> Model:
    """A small model with random weights."""
    fields = {
        "net": NET,
        "variables": init(NET, jax.random.key(seed)),
        "bands": ("red", "nir"),
        "normalization": Normalization(center=(0.1, 0.2), scale=(0.05, 0.1)),
        "training": {"epochs": 3},
    }
    return Model(**{**fields, **changes})


def test_a_model_says_in_a_few_lines_what_it_is(tmp_path: Path) -> None:
    model = tiny_model()
    text = repr(load_model(save_model(model, tmp_path / "m")))
    assert len(text) < 700
    assert len(text.splitlines()) <= 20
    for word in (
        model.digest,
        model.name,
        ", ".join(model.bands),
        model.legend.name,
        str(tmp_path),
    ):
        assert word in text


def test_what_is_saved_is_what_is_loaded(tmp_path: Path) -> None:
    model = tiny_model()
    loaded = load_model(save_model(model, tmp_path / "models" / "one"))
    assert jax.tree.all(jax.tree.map(np.array_equal, loaded.variables, model.variables))
    for name in ("net", "bands", "normalization", "legend", "class_ids", "center", "digest"):
        assert getattr(loaded, name) == getattr(model, name)
    saved = read_saved(tmp_path / "models" / "one")
    for name in ("digest", "net", "normalization", "class_ids", "center", "footprint"):
        assert getattr(saved, name) == getattr(model, name)
    assert loaded.training == {"epochs": 3}
    assert loaded.path == tmp_path / "models" / "one"
    assert sorted(p.name for p in (tmp_path / "models").iterdir()) == ["one"]


def test_digest_follows_what_decides_the_map() -> None:
    model = tiny_model()
    assert tiny_model(training={}, name="other").digest == model.digest
    assert tiny_model(seed=1).digest != model.digest
    assert tiny_model(bands=("nir", "red")).digest != model.digest
    changed = Normalization(center=(0.1, 0.2), scale=(0.05, 0.11))
    assert tiny_model(normalization=changed).digest != model.digest


def test_saving_replaces_a_model_and_nothing_else(tmp_path: Path) -> None:
    save_model(tiny_model(), tmp_path / "m")
    save_model(tiny_model(seed=1), tmp_path / "m")
    assert load_model(tmp_path / "m").digest == tiny_model(seed=1).digest
    (tmp_path / "m" / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="is not a model folder"):
        save_model(tiny_model(), tmp_path / "m")
    assert (tmp_path / "m" / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("format", 99, "format is 99"),
        ("format", 1, "format is 1; expected 2; train it again"),  # had "offset", not "center"
        ("bands", ["red"], "1 bands .* for a network of 2"),
        ("bands", ["red", "red"], "name one twice"),
        ("bands", "red,nir", "1 bands .* for a network of 2"),
        ("units", "furlongs", "units is 'furlongs'; expected one of 'reflectance', 'digital"),
        ("class_ids", [1, 2], "2 class ids for 12 logits"),
        ("class_ids", [*range(1, 12), 99], "class id 99 is not in legend"),
        ("center", 12, "center 12 lies outside"),
        (
            "normalization",
            {"center": [0, 0], "kind": "fixed"},
            "normalization.scale is missing",
        ),
        (
            "normalization",
            {"center": [0, 0], "scale": [1, 0], "kind": "fixed"},
            "finite scales above 0",
        ),
        (
            "normalization",
            {"offset": [0, 0], "scale": [1, 1], "kind": "fixed"},
            "normalization.*offset",
        ),
        ("legend", {"name": "x", "classes": []}, "has no class"),
        ("mlm:hyperparameters", {"depth": 29}, "key mlm:hyperparameters.bands is missing"),
    ],
)
def test_a_wrong_field_is_named(tmp_path: Path, key: str, value: object, message: str) -> None:
    path = save_model(tiny_model(), tmp_path / "m")
    record = json.loads((path / JSON_FILE).read_text())
    (path / JSON_FILE).write_text(json.dumps({**record, key: value}))
    for read in (load_model, read_saved):
        with pytest.raises(InputError, match=message) as caught:
            read(path)
        assert str(path / JSON_FILE) in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "key", ["units", "bands", "legend", "training", "mlm:name", "center", "class_ids"]
)
def test_a_missing_field_is_named(tmp_path: Path, key: str) -> None:
    path = save_model(tiny_model(), tmp_path / "m")
    record = json.loads((path / JSON_FILE).read_text())
    del record[key]
    (path / JSON_FILE).write_text(json.dumps(record))
    with pytest.raises(InputError, match=f"key {key} is missing; save the model again"):
        load_model(path)


def test_damage_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no model in"):
        load_model(tmp_path / "nowhere")
    path = save_model(tiny_model(), tmp_path / "m")
    weights = (path / WEIGHTS_FILE).read_bytes()
    (path / WEIGHTS_FILE).write_bytes(weights[:-1] + b"\x00")
    for read in (load_model, read_saved):
        with pytest.raises(InputError, match="SHA-256"):
            read(path)
    (path / WEIGHTS_FILE).unlink()
    with pytest.raises(InputError, match=f"has no {WEIGHTS_FILE}"):
        load_model(path)
    (path / JSON_FILE).write_text("{")
    with pytest.raises(InputError, match="is not JSON"):
        load_model(path)


def test_weights_of_another_network_are_refused() -> None:
    other = NetSettings(bands=2, classes=12, depth=20, width=4, decoder=6)
    with pytest.raises(InputError, match="weights .* have shape .*, the network of depth 20"):
        tiny_model(net=other)


def test_class_ids_default_to_the_legend() -> None:
    assert tiny_model().class_ids == default_legend().ids
