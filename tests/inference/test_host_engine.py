"""What engines for CPUs share: normalization, no data and flips."""

from typing import Any

import numpy as np
import pytest

from osm4eo_xr.inference.host_engine import HostEngine
from osm4eo_xr.inference.program import ProgramSpec
from osm4eo_xr.models.model import Model
from osm4eo_xr.models.record import Normalization
from osm4eo_xr.networks.settings import NetSettings
from tests.networks.test_resnet import random_variables

NET = NetSettings(bands=2, classes=3, depth=11, width=4)
IDS = (8, 5, 12)


class Sums(HostEngine):
    """A network whose logits are the bands and their sum, cut to the block."""

    def _logits(self, x: Any) -> Any:
        margin = self._spec.margin
        inner = x[:, margin : margin + self._spec.rows, margin : margin + self._spec.cols]
        return np.concatenate([inner, -inner.sum(axis=0, keepdims=True)]).astype(np.float32)


def spec(*outputs: str, margin: int = 1, **how: Any) -> ProgramSpec:
    return ProgramSpec(NET, IDS, outputs or ("classes",), 4, 6, margin, 0, **how)


def block(margin: int = 1, seed: int = 0) -> np.ndarray:
    shape = (2, 4 + 2 * margin, 6 + 2 * margin)
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


CENTER, SCALE = np.array([0.1, -0.2], np.float32), np.array([0.5, 2.0], np.float32)


def run(engine: HostEngine, given: np.ndarray) -> np.ndarray:
    return engine.fetch(engine.compute(engine.stage(given, CENTER, SCALE)))


def logits(given: np.ndarray) -> np.ndarray:
    x = (given - CENTER[:, None, None]) / SCALE[:, None, None]
    inner = x[:, 1:-1, 1:-1]
    return np.concatenate([inner, -inner.sum(axis=0, keepdims=True)])


def test_classes_are_the_ids_of_the_greatest_logits_of_normalized_bands() -> None:
    expected = np.array(IDS, np.uint8)[logits(block()).argmax(axis=0)]
    found = run(Sums(spec()), block())
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found[0], expected)


def test_probabilities_are_softmax_in_steps_of_a_250th() -> None:
    found = run(Sums(spec("classes", "confidence", "probabilities")), block())
    powers = np.exp(logits(block()).astype(np.float64))
    shares = powers / powers.sum(axis=0)
    np.testing.assert_allclose(found[2:], np.rint(250 * shares), atol=1)
    np.testing.assert_array_equal(found[1], found[2:].max(axis=0))


def test_a_pixel_without_one_band_has_no_class_and_no_share() -> None:
    given = block()
    given[1, 2, 3] = np.nan
    given[0, 0, 0] = np.inf  # in the margin, which is not written
    found = run(Sums(spec("classes", "probabilities")), given)
    assert found[0, 1, 2] == 0
    assert (found[1:, 1, 2] == 255).all()
    rest = np.ones((4, 6), bool)
    rest[1, 2] = False
    assert (found[0][rest] > 0).all()
    assert (found[1:][:, rest] <= 250).all()


def test_an_engine_without_features_does_not_make_some_up() -> None:
    with pytest.raises(NotImplementedError):
        Sums(spec())._features()


def test_windows_are_cut_around_each_pixel_whatever_the_size_of_a_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """ONNX Runtime gets windows some hundred at a time; the last time fewer."""
    pytest.importorskip("onnxruntime")
    from osm4eo_xr.inference import onnx_engine

    net = NetSettings(bands=2, classes=12, depth=11, width=4, mode="window")
    model = Model(
        net,
        random_variables(net),
        bands=("red", "nir"),
        normalization=Normalization(center=(0.0, 0.0), scale=(1.0, 1.0)),
        center=5,
    )
    made = ProgramSpec(net, tuple(range(1, 13)), ("classes",), 4, 6, net.window, 5)
    engine = onnx_engine.OnnxEngine(model, made)
    x = block(net.window)
    whole = engine._logits(x)
    assert whole.shape == (12, 4, 6)
    first = net.window - 5
    one = engine._infer(x[None, :, first + 2 : first + 2 + 12, first + 3 : first + 3 + 12].copy())
    np.testing.assert_allclose(whole[:, 2, 3], one[0], atol=1e-5)
    for size in (1, 7, 24):
        monkeypatch.setattr(onnx_engine, "_WINDOWS_PER_RUN", size)
        np.testing.assert_allclose(engine._logits(x), whole, atol=1e-5)
