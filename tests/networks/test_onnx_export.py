"""Networks as ONNX graphs give the logits of jax in ONNX Runtime; parts those of SciPy."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from osm4eo_xr.networks import resnet
from osm4eo_xr.networks.fold_batch_norm import fold
from osm4eo_xr.networks.layers import ConvLayer
from osm4eo_xr.networks.settings import NetSettings
from tests.networks.test_resnet import random_variables

onnx: Any = pytest.importorskip("onnx")
ort: Any = pytest.importorskip("onnxruntime")

from osm4eo_xr.networks.onnx_export import _Graph, export_onnx  # noqa: E402 - of an extra

NETS = {
    "dense": NetSettings(bands=3, classes=5, depth=11, width=4, decoder=6),
    "deep": NetSettings(bands=2, classes=3, depth=29, width=4, kernel=3, decoder=5),
    "window": NetSettings(bands=3, classes=5, depth=20, width=4, mode="window"),
    "members": NetSettings(bands=3, classes=5, depth=11, width=4, decoder=6, members=3),
    "members, window": NetSettings(bands=3, classes=5, depth=11, width=4, mode="window", members=2),
}
RNG = np.random.default_rng(0)


def run(model: bytes, x: np.ndarray) -> np.ndarray:
    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    return session.run(["logits"], {"x": np.ascontiguousarray(np.moveaxis(x, -1, 1))})[0]


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("images", [1, 3])
def test_logits_are_jaxs(name: str, images: int) -> None:
    net = NETS[name]
    variables = random_variables(net, seed=3)
    shape = (net.window, net.window) if net.mode == "window" else (16, 24)
    x = RNG.normal(size=(images, *shape, net.bands)).astype(np.float32)
    expected = np.asarray(resnet.apply_eval(net, variables, jnp.asarray(x)))
    found = run(export_onnx(net, fold(net, variables)), x)
    if net.mode != "window":
        found = np.moveaxis(found, 1, -1)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=2e-5 * np.abs(expected).max())


@pytest.mark.parametrize("name", NETS)
def test_the_graph_is_valid_and_says_its_shapes(name: str) -> None:
    net = NETS[name]
    model = onnx.load_from_string(export_onnx(net, fold(net, random_variables(net))))
    onnx.checker.check_model(model, full_check=True)
    [given], [made] = model.graph.input, model.graph.output

    def shape(value: Any) -> list[Any]:
        return [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]

    window = net.mode == "window"
    edges = [net.window, net.window] if window else ["y", "x"]
    assert (given.name, shape(given)) == ("x", ["n", net.bands, *edges])
    assert (made.name, shape(made)) == (
        "logits",
        ["n", net.classes, *([] if window else ["y", "x"])],
    )


def piece(folded: dict[str, Any], build: Any, bands: int, classes: int) -> bytes:
    """Serialize a graph of one layer."""
    graph = _Graph(folded)
    graph.add("Identity", [build(graph)], output="logits")
    return graph.serialize(NetSettings(bands=bands, classes=classes, depth=11, width=4))


@pytest.mark.parametrize(("edge", "stride"), [(1, 1), (3, 1), (5, 1), (3, 2), (1, 2)])
def test_a_convolution_is_scipys_correlation_with_zeros_around(edge: int, stride: int) -> None:
    kernel = RNG.normal(size=(edge, edge, 3, 2)).astype(np.float32)
    bias = RNG.normal(size=2).astype(np.float32)
    layer = ConvLayer(path=("c",), kernel=edge, features=2, stride=stride)
    model = piece({"c": {"kernel": kernel, "bias": bias}}, lambda g: g.conv("x", layer), 3, 2)
    x = RNG.normal(size=(1, 9, 12, 3)).astype(np.float32)
    expected = np.stack(
        [
            bias[k]
            + sum(
                ndimage.correlate(x[0, ..., c], kernel[..., c, k], mode="constant")
                for c in range(3)
            )
            for k in range(2)
        ]
    )
    np.testing.assert_allclose(run(model, x)[0], expected[:, ::stride, ::stride], atol=1e-4)


def test_a_scale_and_bias_stand_before_a_rectifier() -> None:
    scale, bias = np.array([2.0, -1.0], np.float32), np.array([0.5, 0.0], np.float32)
    model = piece({"n": {"scale": scale, "bias": bias}}, lambda g: g.affine("x", ("n",)), 2, 2)
    x = RNG.normal(size=(1, 4, 5, 2)).astype(np.float32)
    expected = np.maximum(x * scale + bias, 0)
    np.testing.assert_allclose(np.moveaxis(run(model, x), 1, -1), expected, atol=1e-6)


@pytest.mark.parametrize("factor", [2, 3])
def test_pixels_are_repeated_as_numpy_does(factor: int) -> None:
    model = piece({}, lambda g: g.repeat("x", factor), 2, 2)
    x = RNG.normal(size=(1, 3, 5, 2)).astype(np.float32)
    expected = x.repeat(factor, axis=1).repeat(factor, axis=2)
    np.testing.assert_array_equal(np.moveaxis(run(model, x), 1, -1), expected)
