"""Maps of several members: the mean of their own maps, by every engine, in any chunks."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osm4eo_xr.inference.prediction import classify
from osm4eo_xr.legend import PROBABILITY_NO_DATA, PROBABILITY_SCALE
from osm4eo_xr.models.model import Model
from osm4eo_xr.models.model_folder import load_model, save_model
from osm4eo_xr.networks.grouped_layers import models_of
from tests.inference.test_classify import DENSE, WINDOW, chunked, make_model, make_scene

ENGINES: Any = ["jax", "onnx", "winograd"]
SEVERAL = replace(DENSE, members=3)


def _alone(model: Model) -> list[Model]:
    """The members as models of their own."""
    return [
        replace(model, net=model.net.single, variables=own)
        for own in models_of(model.net, model.variables)
    ]


def _probabilities(model: Model, scene: Any, **how: Any) -> np.ndarray:
    found = classify(scene, model, outputs=("probabilities",), block=64, **how)
    return found["probabilities"].values.astype(np.float64)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("flips", [False, True])
def test_a_map_is_the_mean_of_the_members_maps(engine: Any, *, flips: bool) -> None:
    if engine == "onnx":
        pytest.importorskip("onnxruntime")
    model, scene = make_model(SEVERAL), make_scene()
    found = _probabilities(model, scene, engine=engine, flips=flips)
    own = [_probabilities(alone, scene, engine="jax", flips=flips) for alone in _alone(model)]
    known = found != PROBABILITY_NO_DATA
    np.testing.assert_array_equal(known, own[0] != PROBABILITY_NO_DATA)
    apart = np.abs(found - np.mean(own, axis=0))[known]
    assert apart.max() <= 1.5  # of 250: each is rounded
    assert np.abs(own[0] - own[1])[known].max() > PROBABILITY_SCALE / 4
    classes = classify(scene, model, block=64, engine=engine, flips=flips).values
    sure = known.all(axis=0) & (np.diff(np.sort(found, axis=0)[-2:], axis=0)[0] > 2)
    best = np.array(model.class_ids)[found.argmax(axis=0)]
    np.testing.assert_array_equal(classes[sure], best[sure])


@pytest.mark.parametrize("engine", ["jax", "onnx"])
def test_windows_have_members_too(engine: Any) -> None:
    if engine == "onnx":
        pytest.importorskip("onnxruntime")
    model = make_model(replace(WINDOW, members=2))
    scene = make_scene((24, 30), holes=False)
    found = _probabilities(model, scene, engine=engine)
    own = [_probabilities(alone, scene, engine="jax") for alone in _alone(model)]
    assert np.abs(found - np.mean(own, axis=0)).max() <= 1.5


@settings(max_examples=6, deadline=None)
@given(rows=st.integers(9, 150), cols=st.integers(9, 205))
def test_chunks_change_nothing(rows: int, cols: int) -> None:
    model, scene = make_model(SEVERAL), make_scene()
    whole = classify(scene, model, block=64, engine="winograd").values
    parts = classify(chunked(scene, rows, cols), model, block=64, engine="winograd").values
    np.testing.assert_array_equal(parts, whole)


@pytest.mark.usefixtures("no_compute")
def test_nothing_is_computed_before_it_is_asked_for() -> None:
    lazy = classify(chunked(make_scene(), 40, 40), make_model(SEVERAL), block=64)
    assert lazy.shape == make_scene().shape[1:]


def test_a_model_of_members_is_saved_and_one_alone_is_as_before(tmp_path: Path) -> None:
    several, one = make_model(SEVERAL), make_model()
    for name, model in (("several", several), ("one", one)):
        save_model(model, tmp_path / name)
        again = load_model(tmp_path / name)
        assert again.net == model.net
        assert again.digest == model.digest
    assert '"members": 3' in (tmp_path / "several" / "model.json").read_text()
    assert '"members"' not in (tmp_path / "one" / "model.json").read_text()
    assert "3 members, each dense" in repr(several)
    assert several.footprint == one.footprint
