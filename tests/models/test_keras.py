"""The original's networks, saved by Keras: the same logits here, and what is not theirs refused."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import jax
import numpy as np
import pytest

from osm4eo_xr.errors import InputError
from osm4eo_xr.imagery.bands import METHOD_BANDS
from osm4eo_xr.models.keras_import import import_keras
from osm4eo_xr.models.model import Model
from osm4eo_xr.models.model_folder import load_model, save_model
from osm4eo_xr.networks import resnet
from tests.cases import keras_case

APPLY = jax.jit(resnet.apply_eval, static_argnums=0)


def logits_here(model: Model, windows: np.ndarray) -> np.ndarray:
    return np.asarray(APPLY(model.net, model.variables, windows))


def test_imported_network_gives_the_logits_of_keras(tmp_path: Path) -> None:
    stored = np.load(keras_case.LOGITS_FILE)
    model = import_keras(keras_case.MODEL_FILE)
    assert np.abs(stored["logits"]).max() > 1
    np.testing.assert_allclose(
        logits_here(model, stored["windows"]), stored["logits"], rtol=0, atol=1e-4
    )
    again = load_model(save_model(model, tmp_path / "m"))
    assert again.digest == model.digest
    assert again.class_ids == tuple(range(13))
    assert again.bands == ("blue", "green", "red", "nir")
    assert (again.net.depth, again.net.mode, again.center) == (11, "window", 6)


@pytest.mark.parametrize(("depth", "bands"), [(11, 10), (20, 4)])
def test_networks_of_the_installed_keras(tmp_path: Path, depth: int, bands: int) -> None:
    tf = pytest.importorskip("tensorflow", reason="compares with Keras where it is installed")
    network = keras_case.build(tf.keras, depth=depth, bands=bands)
    keras_case.randomise(network)
    path = tmp_path / "network.h5"
    network.save(path)
    model = import_keras(path)
    assert len(model.bands) == bands
    assert bands != 10 or model.bands == METHOD_BANDS
    windows = keras_case.windows(bands)
    expected = keras_case.logits_of(tf.keras, network, windows)
    np.testing.assert_allclose(logits_here(model, windows), expected, rtol=0, atol=1e-4)


@pytest.fixture
def edit(tmp_path: Path) -> Callable[[str, str, Any], Path]:
    """Copy the file with one thing about one layer changed."""

    def change(name: str, key: str, value: Any) -> Path:
        path = tmp_path / "edited.h5"
        shutil.copy(keras_case.MODEL_FILE, path)
        with h5py.File(path, "r+") as file:
            graph = json.loads(str(file.attrs["model_config"]))
            layer = next(e for e in graph["config"]["layers"] if e["config"]["name"] == name)
            (layer if key in layer else layer["config"])[key] = value
            file.attrs["model_config"] = json.dumps(graph)
        return path

    return change


@pytest.mark.parametrize(
    ("layer", "key", "value", "message"),
    [
        ("batch_normalization", "epsilon", 1e-5, "'batch_normalization' has epsilon 1e-05"),
        ("conv2d", "padding", "valid", "'conv2d' has padding valid; expected same"),
        ("conv2d_2", "strides", [2, 2], r"'conv2d_2' has strides \[2, 2\]"),
        ("conv2d_3", "kernel_size", [3, 3], r"'conv2d_3' has kernels of \[3, 3\]"),
        ("conv2d_1", "dilation_rate", [2, 2], r"'conv2d_1' has dilation_rate \[2, 2\]; expected"),
        ("conv2d_1", "groups", 2, "'conv2d_1' has groups 2; expected 1"),
        ("conv2d_1", "data_format", "channels_first", "has data_format channels_first; expected"),
        ("conv2d_12", "inbound_nodes", [[["conv2d_12", 0, 0, {}]]], "_12' .* back to itself"),
        ("activation_1", "activation", "elu", "'activation_1' has activation elu"),
        ("average_pooling2d", "pool_size", [2, 2], r"pool_size \[2, 2\]; expected \[3, 3\]"),
        ("average_pooling2d", "strides", [1, 1], r"strides \[1, 1\]; expected \[3, 3\]"),
        ("average_pooling2d", "padding", "same", "'average_pooling2d' has padding same; expected"),
        ("average_pooling2d", "data_format", "channels_first", "has data_format channels_first"),
        ("flatten", "class_name", "GlobalMaxPooling2D", "'flatten' is GlobalMaxPooling2D"),
        ("add_2", "class_name", "Concatenate", "2 additions are not the same number"),
        ("dense", "inbound_nodes", [], "the graph has 2 outputs"),
        ("dense", "activation", "sigmoid", "'dense' has activation sigmoid; expected softmax"),
        ("batch_normalization_1", "axis", [1], "'batch_normalization_1' has axis 1; expected 3"),
    ],
)
def test_what_is_not_the_originals_network_is_named(
    edit: Callable[[str, str, Any], Path], layer: str, key: str, value: Any, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        import_keras(edit(layer, key, value))


def test_files_that_are_no_whole_model_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no file"):
        import_keras(tmp_path / "none.h5")
    text = tmp_path / "text.h5"
    text.write_text("not HDF5")
    with pytest.raises(InputError, match="is not an HDF5 file"):
        import_keras(text)
    with h5py.File(tmp_path / "weights.h5", "w") as file:
        file.create_group("conv2d")
    with pytest.raises(InputError, match="no whole Keras model"):
        import_keras(tmp_path / "weights.h5")
    with pytest.raises(InputError, match="3 bands"):
        import_keras(keras_case.MODEL_FILE, bands=["blue", "green", "red"])
