"""Calibration error beside scikit-learn's bins, and the temperature that undoes overconfidence."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import softmax
from scipy.stats import norm
from sklearn.calibration import calibration_curve
from sklearn.metrics import log_loss

from osm4eo_xr.training.calibration import (
    BINS,
    calibration_bins,
    expected_error,
    fit_temperature,
    mean_logits,
)


def drawn(temperature: float, n: int = 20_000) -> tuple[np.ndarray, np.ndarray]:
    """Return logits ``temperature`` times too sure, and labels."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (n, 4))
    edges = softmax(logits, axis=-1).cumsum(axis=-1)
    index = (rng.random((n, 1)) > edges).sum(axis=-1)
    return (logits * temperature).astype(np.float32), np.minimum(index, 3)


def test_the_error_is_that_of_scikit_learns_bins() -> None:
    logits, index = drawn(2.5, 3000)
    p = softmax(logits.astype(float), axis=-1)
    confidence, right = p.max(axis=-1), p.argmax(axis=-1) == index
    share, mean = calibration_curve(right, confidence, n_bins=BINS)
    counts = np.histogram(confidence, np.linspace(0, 1, BINS + 1))[0]
    expected = np.average(np.abs(share - mean), weights=counts[counts > 0])
    assert expected_error(calibration_bins(logits, index)) == pytest.approx(expected, abs=1e-9)


@given(st.integers(1, 299))
def test_bins_of_parts_add_up(cut: int) -> None:
    logits, index = drawn(1.5, 300)
    parts = calibration_bins(logits[:cut], index[:cut]) + calibration_bins(
        logits[cut:], index[cut:]
    )
    np.testing.assert_allclose(parts, calibration_bins(logits, index))


@pytest.mark.parametrize("temperature", [0.4, 1.0, 3.0])
def test_the_temperature_is_found_and_calibrates(temperature: float) -> None:
    logits, index = drawn(temperature)
    found = fit_temperature(logits, index)
    assert found == pytest.approx(temperature, rel=0.04)
    assert expected_error(calibration_bins(logits / np.float32(found), index)) < 0.015
    losses = [
        log_loss(index, softmax(logits.astype(float) / t, axis=-1))
        for t in (found * 0.97, found, found * 1.03)
    ]
    assert losses[1] == min(losses)


@pytest.mark.parametrize("temperature", [0.4, 3.0])
def test_members_are_divided_before_they_are_averaged(temperature: float) -> None:
    """As heads are; labels are drawn from the mean of calibrated members."""
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(3, 30_000, 4), scale=2.0)
    mean = softmax(logits, axis=-1).mean(axis=0)
    index = (rng.random((30_000, 1)) > mean.cumsum(axis=-1)[:, :-1]).sum(axis=-1)
    given = (logits * temperature).astype(np.float32)
    np.testing.assert_allclose(np.exp(mean_logits(logits)), mean)
    found = np.float32(fit_temperature(given, index))
    assert found == pytest.approx(temperature, rel=0.04)
    assert expected_error(calibration_bins(mean_logits(given / found), index)) < 0.015
    blended = fit_temperature(mean_logits(given).astype(np.float32), index)
    assert abs(blended / temperature - 1) > 0.1


def test_few_places_move_the_temperature_little() -> None:
    """Between none and many, it is the mode of the prior times the likelihood of so many."""
    logits, index = drawn(3.0)
    found = [fit_temperature(logits, index, independent=n) for n in (1, 10, 1000, 10**9)]
    assert 1.0 < found[0] < 1.15
    assert found == sorted(found)
    assert found[-1] == pytest.approx(fit_temperature(logits, index), rel=1e-3)

    def surprise(t: float) -> float:
        entropy = log_loss(index, softmax(logits.astype(float) / t, axis=-1))
        return float(10 * entropy - norm.logpdf(np.log(t), scale=0.2))

    surprises = [surprise(found[1] * by) for by in (0.97, 1.0, 1.03)]
    assert surprises[1] == min(surprises)


def test_without_predictions_nothing_is_known() -> None:
    nothing = np.zeros((0, 4), np.float32), np.zeros(0, np.int64)
    assert np.isnan(expected_error(calibration_bins(*nothing)))
    assert fit_temperature(*nothing) == 1.0
