"""Members train, stop, go on, are calibrated and map; what a network labels itself is told."""

import dataclasses
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
import xarray as xr

from osm4eo_xr.accuracy.held_out import evaluate
from osm4eo_xr.accuracy.validation.training_points import fit_applicability
from osm4eo_xr.errors import InputError
from osm4eo_xr.inference.prediction import classify
from osm4eo_xr.models.model import Model
from osm4eo_xr.networks.grouped_layers import heads_of
from osm4eo_xr.networks.layers import arrays_at, with_arrays
from osm4eo_xr.training.fit import train
from tests.cases.train_case import TINY, small_samples
from tests.inference.test_classify import chunked, make_scene

pytestmark = pytest.mark.steps  # steps of the kernels and of jax, on the lowest versions too
SETTINGS = dataclasses.replace(TINY, members=2, epochs=3, accumulate=2, self_training=0.5)


@pytest.fixture(scope="module")
def samples() -> xr.Dataset:
    return small_samples()


@pytest.fixture(scope="module")
def model(samples: xr.Dataset) -> Model:
    return train(samples, SETTINGS)


def test_members_learn_and_tell_what_they_label_themselves(
    model: Model, samples: xr.Dataset
) -> None:
    assert evaluate(model, samples, "test").overall_accuracy > 0.85
    shares = [row["self_labeled"] for row in model.training["history"]]
    assert shares[0] == 0  # it begins in the middle of the training
    assert 0 < shares[1] < shares[2] <= 1


def test_the_mean_of_the_members_is_calibrated(model: Model, samples: xr.Dataset) -> None:
    calibration, params = model.training["calibration"], model.variables["params"]
    factor = np.float32(calibration["temperature"])
    assert abs(factor - 1) > 1e-3
    for path in heads_of(model.net):
        head = {name: leaf * factor for name, leaf in arrays_at(params, path).items()}
        params = with_arrays(params, path, head)
    raw = dataclasses.replace(model, variables={**model.variables, "params": params})
    before, after = (evaluate(m, samples, "validation") for m in (raw, model))
    assert calibration["ece_before"] == pytest.approx(before.calibration["ece"], abs=1e-3)
    assert calibration["ece"] == pytest.approx(after.calibration["ece"], abs=1e-3)


def test_a_stopped_run_of_members_ends_with_the_same_weights(
    model: Model, samples: xr.Dataset, tmp_path: Path
) -> None:
    half = model.training["history"][0]["step"] + 3
    settings = dataclasses.replace(SETTINGS, checkpoint_every=2)

    def stop(done: int, _: int) -> None:
        if done == half:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(samples, settings, folder=tmp_path / "run", progress=stop)
    resumed = train(samples, settings, folder=tmp_path / "run")
    trees = (jax.tree.leaves(m.variables) for m in (resumed, model))
    assert all(map(np.array_equal, *trees))
    losses = ([row["loss"] for row in m.training["history"]] for m in (resumed, model))
    assert next(losses) == next(losses)


def test_members_start_from_as_many(model: Model, samples: xr.Dataset) -> None:
    again = train(samples, dataclasses.replace(SETTINGS, epochs=1), start=model)
    assert evaluate(again, samples, "test").overall_accuracy > 0.85
    with pytest.raises(InputError, match="has members 2, the settings say 3"):
        train(samples, dataclasses.replace(SETTINGS, members=3), start=model)


def test_engines_measure_how_far_members_are_from_what_they_learned(
    model: Model, samples: xr.Dataset
) -> None:
    fitted, scene = fit_applicability(model, samples), make_scene((60, 72))
    names: Any = ["dissimilarity", "density"]
    cut = chunked(scene, 17, 31)
    wanted = classify(scene, fitted, outputs=names, engine="jax", block=32).compute()
    found = classify(scene, fitted, outputs=names, engine="winograd", block=32).compute()
    parts = classify(cut, fitted, outputs=names, engine="jax", block=32).compute()
    assert np.ptp(wanted["dissimilarity"].values) > 20
    for name in names:
        apart = np.abs(found[name].values.astype(int) - wanted[name].values)
        assert apart.max() <= 1
        np.testing.assert_array_equal(parts[name], wanted[name])
