"""A caller's options, checked against the scene and the model: what is taken, what is refused."""

from dataclasses import replace
from typing import Any

import jax
import numpy as np
import pytest
import xarray as xr

from osm4eo_xr.errors import InputError
from osm4eo_xr.geometry.grid import georeference
from osm4eo_xr.inference.blocks import BlockGrid
from osm4eo_xr.inference.specification import bands_of, center_of, check_flips, specify
from osm4eo_xr.models.model import Model
from osm4eo_xr.models.record import Normalization
from osm4eo_xr.networks import resnet
from osm4eo_xr.networks.settings import NetSettings
from tests.cases.train_case import box

NET = NetSettings(bands=2, classes=12, depth=11, width=4, kernel=3, decoder=4)
WINDOW = NetSettings(bands=2, classes=12, depth=11, width=4, kernel=3, mode="window", window=8)


def a_model(net: NetSettings = NET, **how: Any) -> Model:
    scale = Normalization((0.1, 0.2), (0.1, 0.1))
    return Model(net, resnet.init(net, jax.random.key(0)), ("red", "nir"), scale, **how)


def scene(*bands: str, **attrs: Any) -> xr.DataArray:
    """A lazy scene whose bands are 0, 1, 2, …"""
    pixels = np.arange(len(bands), dtype=np.int16)[:, None, None] * np.ones((1, 9, 7), np.int16)
    made = georeference(
        pixels, box(9, 7), dims=("band", "y", "x"), coords={"band": list(bands)}, attrs=attrs
    )
    return made.chunk(y=4)


@pytest.mark.usefixtures("no_compute")
def test_bands_come_in_the_models_order_and_lazily() -> None:
    data = bands_of(scene("nir", "blue", "red"), a_model()).values
    assert data.shape == (2, 9, 7)
    assert data.dtype == np.float32
    assert data.chunks[1] == (4, 4, 1)


def test_bands_keep_their_numbers() -> None:
    data = bands_of(scene("nir", "blue", "red", units="1"), a_model()).values.compute()
    np.testing.assert_array_equal(data[:, 0, 0], [2, 0])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (scene("red", "nir").transpose("y", "x", "band"), r"dims \('y', 'x', 'band'\)"),
        (scene("red", "nir").drop_vars("band"), "band names as coordinate"),
        (scene("red", "blue"), "lacks band 'nir'; the model takes red, nir, the scene has red"),
        (scene("red", "nir", units="K"), "scene is in 'K', the model takes 'reflectance'"),
    ],
)
def test_scenes_that_do_not_fit_are_refused(given: xr.DataArray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        bands_of(given, a_model())


def test_the_center_is_the_models_unless_another_is_asked_for() -> None:
    model = a_model(WINDOW)
    assert center_of(model, None) == int(model.center or 0)
    # The original trains on the pixel before the middle and predicts the one behind it.
    assert center_of(model, "original-train") == 3
    assert center_of(model, "original-predict") == 4
    assert center_of(model, 7) == 7
    for wrong in (8, -1, "middle"):
        with pytest.raises(InputError, match="is unknown; give original-train, .* or 0 to 7"):
            center_of(model, wrong)
    with pytest.raises(InputError, match="for window models, this one is dense; leave it out"):
        center_of(a_model(), 3)


def test_flips_are_of_dense_models_and_of_no_sets() -> None:
    check_flips(a_model(), ["classes", "probabilities"])
    with pytest.raises(InputError, match="this one is in window mode"):
        check_flips(a_model(WINDOW), ["classes"])
    with pytest.raises(InputError, match="'set_size' with flips"):
        check_flips(a_model(), ["classes", "set_size"])


def spec(model: Model, **how: Any) -> Any:
    options = {"dtype": "auto", "engine": "jax", "outputs": ("classes",), "flips": False} | how
    grid = BlockGrid((1000, 900), 128, 64)
    return specify(
        model,
        options["outputs"],
        grid,
        20,
        0,
        options["dtype"],
        options["engine"],
        flips=options["flips"],
        stored=False,
    )


def test_a_specification_states_what_is_computed() -> None:
    made = spec(a_model(), flips=True)
    assert (made.net, made.margin, made.flips) == (NET, 20, True)
    assert made.outputs == ("classes",)
    assert hash(made) == hash(spec(a_model(), flips=True))  # programs are kept by it
    assert made != spec(a_model(), flips=False)


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        (a_model(), {"dtype": "float16"}, "dtype 'float16' is unknown; give auto, float32"),
        (a_model(), {"engine": "torch"}, "engine 'torch' is unknown; give one of "),
        (a_model(), {"engine": "onnx", "dtype": "bfloat16"}, "'onnx' computes in float32"),
        (a_model(WINDOW), {"engine": "winograd"}, "this one is in window mode with 3"),
        (a_model(replace(NET, kernel=1)), {"engine": "winograd"}, "in dense mode with 1"),
        (
            a_model(),
            {"engine": "onnx", "outputs": ("classes", "density")},
            "engine 'onnx' does not give density",
        ),
    ],
)
def test_what_cannot_be_computed_is_refused(
    model: Model, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        spec(model, **options)
