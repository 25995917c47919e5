"""Confident learning against its definitions, and against noise that is known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osm4eo_xr.training.label_noise import confident


def case(seed: int, n: int = 60, k: int = 4) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    shares = rng.dirichlet(np.full(k, 0.4), n)
    return shares, rng.integers(0, k - 1, n)  # nothing is labeled as the last class


@settings(max_examples=20)
@given(seed=st.integers(0, 10**6))
def test_thresholds_and_joint_are_those_of_the_equations(seed: int) -> None:
    shares, labels = case(seed)
    k, ones = shares.shape[1], np.ones(len(labels))
    limits = confident.thresholds(shares, labels, ones)
    for j in range(k):
        own = shares[labels == j, j]
        assert limits[j] == (pytest.approx(own.mean()) if len(own) else np.inf)
    counts = np.zeros((k, k))
    for p, i in zip(shares, labels, strict=True):
        reached = [j for j in range(k) if p[j] >= limits[j]]
        if reached:
            counts[i, max(reached, key=lambda j: p[j])] += 1
    joint = np.zeros((k, k))
    for i in range(k):
        size = (labels == i).sum()
        if counts[i].sum():
            joint[i] = counts[i] / counts[i].sum() * size
        elif size:
            joint[i, i] = size
    np.testing.assert_allclose(
        confident.joint(shares, labels, ones, limits), joint / joint.sum(), atol=1e-12
    )


def test_a_worked_example() -> None:
    # Labeled 0: p(0) is 0.9, 0.8, 0.1 -> threshold 0.6; labeled 1: p(1) is 0.7, 0.9 -> 0.8.
    p = np.array([0.9, 0.8, 0.1, 0.3, 0.1])
    shares, labels = np.stack([p, 1 - p], axis=1), np.array([0, 0, 0, 1, 1])
    limits = confident.thresholds(shares, labels, np.ones(5))
    np.testing.assert_allclose(limits, [0.6, 0.8])
    # The third is surely 1 (0.9), the fourth reaches neither (0.3, 0.7).
    assert confident.likely_class(shares, limits).tolist() == [0, 0, 1, -1, 1]
    table = confident.joint(shares, labels, np.ones(5), limits)
    np.testing.assert_allclose(table, [[0.4, 0.2], [0.0, 0.4]])
    np.testing.assert_allclose(confident.noise_of(table), [[1.0, 0.0], [1 / 3, 2 / 3]])
    assert confident.wrong(shares, labels, table).tolist() == [False, False, True, False, False]
    np.testing.assert_allclose(confident.quality(shares, labels), [0.9, 0.8, 0.1, 0.7, 0.9])
    # Bayes for the third: 0.1 x p(0 | 0) against 0.9 x p(0 | 1).
    assert confident.right(shares, labels, confident.noise_of(table))[2] == pytest.approx(0.25)


def test_weights_count_as_repeated_examples() -> None:
    shares, labels = case(3)
    weight = np.random.default_rng(0).integers(1, 4, len(labels))
    limits = confident.thresholds(shares, labels, weight.astype(float))
    again = np.repeat(shares, weight, axis=0), np.repeat(labels, weight)
    np.testing.assert_allclose(limits, confident.thresholds(*again, np.ones(weight.sum())))
    np.testing.assert_allclose(
        confident.joint(shares, labels, weight.astype(float), limits),
        confident.joint(*again, np.ones(weight.sum()), limits),
    )


def test_noise_that_was_put_in_is_found() -> None:
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 3, 3000)
    noise = np.array([[0.8, 0.2, 0.0], [0.0, 0.9, 0.1], [0.3, 0.0, 0.7]])
    said = np.array([rng.choice(3, p=noise[t]) for t in truth])
    shares = np.full((3000, 3), 0.05)
    shares[np.arange(3000), truth] = 0.9
    ones = np.ones(3000)
    table = confident.joint(shares, said, ones, confident.thresholds(shares, said, ones))
    np.testing.assert_allclose(confident.noise_of(table), noise, atol=0.03)
    np.testing.assert_array_equal(confident.wrong(shares, said, table), truth != said)


def test_nothing_is_wrong_where_classes_are_missing() -> None:
    shares, labels = np.array([[0.9, 0.1], [0.6, 0.4]]), np.array([0, 0])
    limits = confident.thresholds(shares, labels, np.ones(2))
    table = confident.joint(shares, labels, np.ones(2), limits)
    np.testing.assert_array_equal(confident.noise_of(table), np.eye(2))
    assert not confident.wrong(shares, labels, table).any()
