"""Losses beside optax's and closed forms; masks; wrong labels."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from osm4eo_xr.training.step.losses import (
    bootstrap_cross_entropy,
    cross_entropy,
    forward_cross_entropy,
    generalized_cross_entropy,
)

RNG = np.random.default_rng(0)
LOGITS = jnp.asarray(RNG.normal(0, 3, (40, 6, 5)).astype(np.float32))
INDEX = jnp.asarray(RNG.integers(0, 5, (40, 6)).astype(np.int32))
ALL = jnp.ones((40, 6), bool)
CHOSEN = jax.nn.one_hot(INDEX, 5)
LOSSES = (cross_entropy, generalized_cross_entropy, bootstrap_cross_entropy)


def close(found: Any, expected: Any, tolerance: float = 1e-5) -> None:
    np.testing.assert_allclose(np.asarray(found), np.asarray(expected), tolerance, tolerance)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.6])
def test_cross_entropy_is_that_of_optax(smoothing: float) -> None:
    found = cross_entropy(LOGITS, INDEX, where=ALL, smoothing=smoothing)
    close(found, optax.softmax_cross_entropy(LOGITS, optax.smooth_labels(CHOSEN, smoothing)))


def test_what_is_smoothed_can_be_spread_over_some_classes_alone() -> None:
    spread = jnp.asarray([0.5, 0.0, 0.25, 0.25, 0.0])
    found = cross_entropy(LOGITS, INDEX, where=ALL, smoothing=0.1, spread=spread)
    labels = 0.9 * CHOSEN + 0.1 * jnp.broadcast_to(spread, CHOSEN.shape)
    close(found, optax.softmax_cross_entropy(LOGITS, labels))


def test_bootstrapping_is_cross_entropy_with_the_likeliest_class_mixed_in() -> None:
    likeliest = jax.nn.one_hot(LOGITS.argmax(axis=-1), 5)
    expected = optax.softmax_cross_entropy(LOGITS, 0.7 * CHOSEN + 0.3 * likeliest)
    close(bootstrap_cross_entropy(LOGITS, INDEX, where=ALL, beta=0.7), expected)


def test_generalized_cross_entropy_lies_between_its_two_ends() -> None:
    p = (jax.nn.softmax(LOGITS) * CHOSEN).sum(axis=-1)
    close(generalized_cross_entropy(LOGITS, INDEX, where=ALL, q=1.0), 1.0 - p)
    close(
        generalized_cross_entropy(LOGITS, INDEX, where=ALL, q=1e-4),
        optax.softmax_cross_entropy(LOGITS, CHOSEN),
        1e-2,
    )
    close(generalized_cross_entropy(LOGITS, INDEX, where=ALL, q=0.7), (1.0 - p**0.7) / 0.7)


@pytest.mark.parametrize("loss", LOSSES)
def test_unlabeled_pixels_cost_nothing_and_teach_nothing(loss: Callable[..., Any]) -> None:
    where = jnp.asarray(RNG.random((40, 6)) < 0.5)
    expected = jnp.where(where, loss(LOGITS, INDEX, where=ALL), 0.0)
    close(loss(LOGITS, INDEX, where=where), expected)
    slope = jax.grad(lambda x: loss(x, INDEX, where=where).sum())(LOGITS)
    assert (np.asarray(slope)[~np.asarray(where)] == 0).all()


@pytest.mark.parametrize("loss", LOSSES)
def test_extreme_logits_give_numbers(loss: Callable[..., Any]) -> None:
    logits = jnp.asarray([[1e4, -1e4, 0.0]], jnp.float32)
    for k in range(3):
        index = jnp.asarray([k], jnp.int32)
        slope = jax.grad(lambda x, i=index: loss(x, i, where=jnp.ones(1, bool)).sum())(logits)
        assert np.isfinite(np.asarray(slope)).all()
        assert np.isfinite(np.asarray(loss(logits, index, where=jnp.ones(1, bool)))).all()


def test_generalized_cross_entropy_bears_wrong_labels_better() -> None:
    """Two overlapping classes, 40 % of one class labeled as the other: a linear classifier."""
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 2, 4000).astype(np.int32)
    x = (rng.normal(0, 1.0, (4000, 2)) + 1.5 * truth[:, None]).astype(np.float32)
    given = np.where((truth == 1) & (rng.random(4000) < 0.4), 0, truth).astype(np.int32)

    def accuracy(loss: Callable[..., Any]) -> float:
        def total(w: Any) -> Any:
            logits = jnp.asarray(x) @ w[:2] + w[2:]
            return loss(logits, jnp.asarray(given), where=jnp.ones(4000, bool)).mean()

        step = jax.jit(lambda w: w - jax.grad(total)(w))
        w = jnp.zeros((3, 2), jnp.float32)
        for _ in range(300):
            w = step(w)
        return float((np.asarray(jnp.asarray(x) @ w[:2] + w[2:]).argmax(axis=-1) == truth).mean())

    assert accuracy(generalized_cross_entropy) > accuracy(cross_entropy) + 0.02


def test_forward_correction_is_the_cross_entropy_of_what_labels_say() -> None:
    noise = RNG.dirichlet(np.ones(5), 5).astype(np.float32)
    where = jnp.asarray(RNG.random(INDEX.shape) > 0.2)
    shares = np.asarray(jax.nn.softmax(LOGITS)) @ noise
    given = np.take_along_axis(shares, np.asarray(INDEX)[..., None], -1)
    found = forward_cross_entropy(LOGITS, INDEX, jnp.asarray(noise), where=where)
    expected = np.where(where, -np.log(given[..., 0]), 0)
    np.testing.assert_allclose(found, expected, rtol=2e-5, atol=1e-6)
    right = forward_cross_entropy(LOGITS, INDEX, jnp.eye(5), where=where)
    plain = cross_entropy(LOGITS, INDEX, where=where)
    near = np.asarray(plain) < 8  # a confusion that was never seen counts as 1e-6
    np.testing.assert_allclose(right[near], plain[near], rtol=1e-2, atol=1e-4)
