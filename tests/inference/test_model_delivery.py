"""How a model reaches the workers: by its folder while that holds it, else beside the tasks."""

from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest

from osm4eo_xr.inference.model_delivery import model_arguments
from osm4eo_xr.models.model import Model
from osm4eo_xr.models.model_folder import load_model, save_model
from osm4eo_xr.models.record import Normalization
from osm4eo_xr.networks import resnet
from osm4eo_xr.networks.settings import NetSettings

NET = NetSettings(bands=2, classes=12, depth=11, width=4, kernel=3, decoder=4)


def a_model(seed: int = 0) -> Model:
    scale = Normalization((0.1, 0.2), (0.1, 0.1))
    return Model(NET, resnet.init(NET, jax.random.key(seed)), ("red", "nir"), scale)


def kernels(model: Model) -> list[np.ndarray]:
    return [np.asarray(leaf) for leaf in jax.tree.leaves(model.variables)]


def test_a_model_in_a_folder_goes_by_its_path(tmp_path: Path) -> None:
    model = load_model(save_model(a_model(), tmp_path / "m"))
    source, content = model_arguments(model)
    assert content is None
    assert source.path == str((tmp_path / "m").absolute())
    assert source.load(None).digest == model.digest


@pytest.mark.usefixtures("no_compute")
def test_a_model_in_memory_goes_as_one_task() -> None:
    model = a_model()
    source, content = model_arguments(model)
    assert source.path is None
    assert content.key == f"model-{model.digest}"  # the same for all blocks


@pytest.mark.parametrize("change", ["other", "gone"])
def test_a_folder_that_holds_it_no_more_is_not_relied_on(tmp_path: Path, change: str) -> None:
    model = load_model(save_model(a_model(), tmp_path / "m"))
    (tmp_path / "m").rename(tmp_path / "old")
    if change == "other":
        save_model(a_model(1), tmp_path / "m")
    source, content = model_arguments(model)
    assert source.path is None
    loaded = source.load(content.compute(scheduler="synchronous"))
    assert loaded.digest == model.digest
    for found, expected in zip(kernels(loaded), kernels(model), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_what_was_changed_in_memory_is_what_goes(tmp_path: Path) -> None:
    model = load_model(save_model(a_model(), tmp_path / "m"))
    other = replace(model, variables=a_model(1).variables)
    source, content = model_arguments(other)
    assert source.digest != model.digest
    loaded = source.load(content.compute(scheduler="synchronous"))
    np.testing.assert_array_equal(kernels(loaded)[0], kernels(other)[0])
