"""From logits to the maps of a map: beside NumPy and SciPy, for every combination of outputs."""

import dataclasses
from itertools import combinations
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import softmax

from osm4eo_xr.errors import InputError
from osm4eo_xr.inference.applicability import reference_of
from osm4eo_xr.inference.outputs import OUTPUTS
from osm4eo_xr.inference.program import ProgramSpec, maps_of, prepare
from osm4eo_xr.inference.worker import ModelSource
from osm4eo_xr.models.applicability import Applicability
from osm4eo_xr.models.model_folder import model_to_bytes, save_model
from osm4eo_xr.networks.settings import NetSettings
from tests.inference.test_classify import DENSE, make_model

IDS = (2, 5, 7, 11)
NET = NetSettings(bands=2, classes=4, depth=11, width=4)
RNG = np.random.default_rng(0)
LOGITS = RNG.normal(0, 3, (4, 9, 7)).astype(np.float32)
VALID = RNG.random((9, 7)) < 0.8


FEATURES = RNG.normal(0, 1, (9, 7, 5)).astype(np.float32)
KNOWN = Applicability(
    prototypes=RNG.normal(0, 1, (6, 5)),
    counts=np.arange(1, 7),
    center=RNG.normal(0, 0.2, 5),
    factor=RNG.uniform(0.5, 1.5, 5),
    reach=1.7,
    mean_distance=2.0,
    least_probability=np.array([0.1, 0.4, 0.0, 2.0]),
)
OLD = ("classes", "confidence", "margin", "probabilities")


def spec_of(*outputs: str, **changes: Any) -> ProgramSpec:
    least = tuple(map(float, KNOWN.least_probability))
    spec = ProgramSpec(NET, IDS, outputs, 9, 7, 2, 0, "float32", "jax", least, KNOWN.digest)
    return dataclasses.replace(spec, **changes)


def expected(name: str) -> np.ndarray:
    """Return what an output holds, by SciPy: (map, y, x), 0-250, 255 or 0 = no data."""
    share = softmax(LOGITS.astype(np.float64), axis=0)
    if name == "classes":
        return np.where(VALID, np.array(IDS)[LOGITS.argmax(axis=0)], 0)[None]
    if name in ("sets", "set_size"):
        member = share >= KNOWN.least_probability[:, None, None]
        return np.where(VALID, member if name == "sets" else member.sum(axis=0, keepdims=True), 255)
    if name in ("dissimilarity", "density"):
        return np.where(VALID, by_brute_force()[name], 255)[None]
    ordered = np.sort(share, axis=0)
    measure = {
        "confidence": ordered[-1:],
        "margin": ordered[-1:] - ordered[-2:-1],
        "probabilities": share,
    }[name]
    return np.where(VALID, np.round(250 * measure), 255)


def by_brute_force() -> dict[str, np.ndarray]:
    """Compare each pixel with each prototype, one pair at a time."""
    index, near = np.zeros(VALID.shape), np.zeros(VALID.shape)
    for i, j in np.ndindex(VALID.shape):
        at = (FEATURES[i, j].astype(float) - KNOWN.center) * KNOWN.factor
        apart = [float(np.sqrt(sum((at - p) ** 2))) for p in KNOWN.prototypes.astype(float)]
        index[i, j] = min(250, np.ceil(100 * min(apart) / KNOWN.reach))
        inside = sum(n for n, d in zip(KNOWN.counts, apart, strict=True) if d <= KNOWN.reach)
        near[i, j] = np.ceil(250 * inside / sum(KNOWN.counts) - 1e-9)
    return {"dissimilarity": index, "density": near}


@pytest.mark.parametrize(
    "outputs",
    [
        *(c for n in range(1, 5) for c in combinations(OLD, n)),
        *((n,) for n in OUTPUTS[3:7]),
        OUTPUTS,
    ],
    ids="+".join,
)
def test_layers_are_scipys_in_the_order_of_the_plan(outputs: tuple[str, ...]) -> None:
    spec = spec_of(*outputs)
    pixels = jnp.asarray(LOGITS), jnp.asarray(VALID), jnp.asarray(FEATURES)
    found = np.asarray(maps_of(spec, *pixels, reference_of(KNOWN)))
    wanted = np.concatenate([expected(name) for name in outputs])
    assert found.dtype == np.uint8
    assert len(found) == spec.maps == len(wanted)
    off = np.abs(found.astype(int) - wanted)
    assert off.max() <= (0 if outputs == ("classes",) else 1)  # 1: halves that float32 rounds
    assert (off > 0).mean() < 0.02


def test_of_two_equal_logits_the_first_class_wins_and_the_margin_is_zero() -> None:
    logits = np.zeros((4, 1, 2), np.float32)
    logits[[1, 3], 0, 1] = 2.0
    found = maps_of(spec_of("classes", "margin"), jnp.asarray(logits), jnp.ones((1, 2), bool))
    assert np.asarray(found).tolist() == [[[2, 5]], [[0, 0]]]


def test_what_is_not_finite_in_any_band_enters_as_zero_and_is_no_data() -> None:
    block = RNG.normal(0.3, 0.1, (2, 13, 11)).astype(np.float32)
    block[0, 4, 5], block[1, 6, 6], block[:, 0, 0] = np.nan, np.inf, -np.inf
    center, scale = np.array([0.1, 0.2], np.float32), np.array([0.5, 0.25], np.float32)
    x, valid = prepare(spec_of("classes"), *map(jnp.asarray, (block, center, scale)))
    finite = np.asarray(np.isfinite(block).all(axis=0))
    wanted = (block - center[:, None, None]) / scale[:, None, None]
    np.testing.assert_allclose(x, np.where(finite, wanted, 0.0), rtol=1e-6)
    np.testing.assert_array_equal(valid, finite[2:11, 2:9])  # without the margin
    assert not np.asarray(valid)[[2, 4], [3, 4]].any()


@pytest.mark.parametrize(
    ("dtype", "platform", "settled"),
    [
        ("auto", "cpu", "float32"),
        ("auto", "gpu", "bfloat16"),
        ("auto", "tpu", "bfloat16"),
        ("float32", "gpu", "float32"),
        ("bfloat16", "cpu", "bfloat16"),
    ],
)
def test_the_precision_is_settled_where_the_block_is_computed(
    dtype: str, platform: str, settled: str
) -> None:
    spec = spec_of("classes", dtype=dtype).resolved(platform)
    assert spec == spec_of("classes", dtype=settled)


def test_a_block_has_its_margin_on_every_side() -> None:
    assert spec_of("classes").block_shape == (2, 13, 11)


def test_a_worker_checks_that_the_model_is_the_one_that_was_planned(tmp_path: Any) -> None:
    model = make_model(DENSE)
    path = str(save_model(model, tmp_path / "m"))
    assert ModelSource(model.digest, path).load(None).digest == model.digest
    assert ModelSource(model.digest, None).load(model_to_bytes(model)).digest == model.digest
    with pytest.raises(InputError, match="the map was planned with 0123456789ab…"):
        ModelSource("0123456789abcdef", path).load(None)
    with pytest.raises(InputError, match="came without its content"):
        ModelSource(model.digest, None).load(None)
