"""Flips and turns averaged: beside NumPy's turns and SciPy's probabilities, on each engine."""

from typing import Any

import jax
import numpy as np
import pytest
import xarray as xr
from scipy.special import softmax

from osm4eo_xr.country.settings import Inference
from osm4eo_xr.errors import InputError
from osm4eo_xr.geometry.grid import geobox_of, georeference
from osm4eo_xr.geometry.views import VIEWS, view, view_back
from osm4eo_xr.inference.prediction import classify
from osm4eo_xr.inference.views import average_on_device, average_on_host
from osm4eo_xr.models.applicability import Applicability
from osm4eo_xr.models.model import Model
from tests.inference.test_classify import DENSE, WINDOW, chunked, make_model, make_scene, whole_pass

EDGE = 96
TURNS = [(turns, mirrored) for turns in range(4) for mirrored in (False, True)]


def turned(x: np.ndarray, turns: int, *, mirrored: bool, axes: tuple[int, int] = (1, 2)) -> Any:
    flipped = np.flip(x, axes[1]) if mirrored else x
    return np.rot90(flipped, turns, axes)


def turned_back(x: np.ndarray, turns: int, *, mirrored: bool, axes: tuple[int, int]) -> Any:
    straight = np.rot90(x, -turns, axes)
    return np.flip(straight, axes[1]) if mirrored else straight


@pytest.fixture(scope="module")
def model() -> Model:
    return make_model()


@pytest.fixture(scope="module")
def scene() -> xr.DataArray:
    return make_scene((EDGE, EDGE))


@pytest.fixture(scope="module")
def expected(model: Model, scene: xr.DataArray) -> np.ndarray:
    """Mean probabilities (y, x, class) of whole passes over the eight turned scenes."""
    total = np.zeros((EDGE, EDGE, model.net.classes))
    for turns, mirrored in TURNS:
        seen = scene.copy(data=turned(scene.values, turns, mirrored=mirrored))
        share = softmax(whole_pass(seen, model).astype(np.float64), axis=-1)
        total += turned_back(share, turns, mirrored=mirrored, axes=(0, 1))
    return total / len(TURNS)


def test_views_are_the_eight_flips_and_turns_and_come_back() -> None:
    x = np.arange(2 * 5 * 5).reshape(2, 5, 5)
    found = {view(number, x).tobytes() for number in range(VIEWS)}
    assert found == {turned(x, t, mirrored=m).tobytes() for t, m in TURNS}
    assert len(found) == VIEWS
    for number in range(VIEWS):
        np.testing.assert_array_equal(view_back(number, view(number, x)), x)


def test_host_and_device_average_alike_and_the_block_itself_runs_last() -> None:
    kernel = np.random.default_rng(0).normal(size=(3, 2, 8, 8)).astype(np.float32)
    x = np.random.default_rng(1).normal(size=(2, 8, 8)).astype(np.float32)
    runs: list[np.ndarray] = []

    def run(seen: Any) -> Any:  # answers otherwise to each view
        return (kernel * seen[None]).sum(axis=1)[:, 1:-1, 1:-1]

    def noted(seen: np.ndarray) -> np.ndarray:
        runs.append(seen)
        return run(seen)

    on_host = average_on_host(noted, x)
    share = [view_back(n, softmax(run(view(n, x)), axis=0)) for n in range(VIEWS)]
    np.testing.assert_allclose(on_host, np.log(np.mean(share, axis=0)), atol=1e-5)
    np.testing.assert_array_equal(runs[-1], x)
    on_device = jax.jit(lambda a: average_on_device(run, a))(x)
    np.testing.assert_allclose(on_device, on_host, atol=1e-5)


@pytest.mark.parametrize("engine", ["jax", "winograd", "onnx"])
def test_probabilities_are_the_mean_over_turned_scenes(
    model: Model, scene: xr.DataArray, expected: np.ndarray, engine: Any
) -> None:
    if engine == "onnx":
        pytest.importorskip("onnxruntime")
    outputs = ["classes", "probabilities"]
    made = classify(scene, model, outputs=outputs, engine=engine, block=64, flips=True).compute()
    valid = np.isfinite(scene.values).all(axis=0)
    shares = made["probabilities"].values.transpose(1, 2, 0)[valid]
    assert np.abs(shares - 250 * expected[valid]).max() < 0.5 + 1e-2  # what rounding makes
    sure = np.diff(np.sort(expected, axis=-1)[..., -2:], axis=-1)[..., 0] > 1e-4
    best = np.asarray(model.class_ids)[expected.argmax(axis=-1)]
    np.testing.assert_array_equal(made["classes"].values[valid & sure], best[valid & sure])
    assert (made["classes"].values[~valid] == 0).all()
    once = classify(scene, model, engine=engine, block=64).values
    assert (made["classes"].values != once).mean() > 0.01  # the mean is another answer


@pytest.mark.usefixtures("no_compute")
def test_flips_are_lazy(model: Model, scene: xr.DataArray) -> None:
    assert classify(scene.chunk({"y": 40, "x": 50}), model, flips=True).shape == (EDGE, EDGE)


def test_any_blocks_and_chunks_give_the_same_map(model: Model) -> None:
    scene = make_scene((70, 130))
    first, *others = (
        classify(chunked(scene, *chunks), model, block=block, flips=True).values
        for chunks, block in (((70, 130), 128), ((23, 41), 32), ((70, 50), 64))
    )
    for other in others:
        assert (first != other).mean() < 1e-3  # ties alone
    assert len(np.unique(first)) > 3


def test_a_turned_scene_has_the_turned_map(model: Model, scene: xr.DataArray) -> None:
    named: Any = {"dims": ("band", "y", "x"), "coords": {"band": scene["band"].values}}
    on_its_side = georeference(
        np.rot90(scene.values, 1, (1, 2)).copy(), geobox_of(scene), attrs=scene.attrs, **named
    )
    as_it_is, turned_map = (classify(s, model, flips=True).values for s in (scene, on_its_side))
    assert (np.rot90(as_it_is) != turned_map).mean() < 1e-3  # ties alone
    once, turned_once = (classify(s, model).values for s in (scene, on_its_side))
    assert (np.rot90(once) != turned_once).mean() > 0.01


def test_flips_are_refused_where_they_say_nothing(scene: xr.DataArray) -> None:
    with pytest.raises(InputError, match="flips are of dense models"):
        classify(scene, make_model(WINDOW), flips=True)
    width, classes = DENSE.decoder, DENSE.classes
    known = Applicability(
        prototypes=np.zeros((1, width)),
        counts=np.ones(1),
        center=np.zeros(width),
        factor=np.ones(width),
        reach=1.0,
        mean_distance=1.0,
        least_probability=np.full(classes, 0.1),
    )
    trusted = make_model(applicability=known)
    with pytest.raises(InputError, match="'set_size' with flips: sets were calibrated"):
        classify(scene, trusted, outputs=["classes", "set_size"], flips=True)
    with pytest.raises(InputError, match="flips"):
        Inference(flips=True, applicability=True)
