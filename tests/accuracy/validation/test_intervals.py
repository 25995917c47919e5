"""Intervals over blocks and folds: published formulas, scipy's bootstrap, coverage."""

import numpy as np
import pytest
from scipy import stats

from osm4eo_xr.accuracy.accuracy_report import AccuracyReport
from osm4eo_xr.accuracy.validation.intervals import (
    block_bootstrap,
    block_bootstraps,
    fold_interval,
)
from osm4eo_xr.errors import InputError
from osm4eo_xr.legend import Legend
from tests.cases.train_case import small_legend


def test_the_block_bootstrap_is_scipys_of_a_ratio() -> None:
    rng = np.random.default_rng(3)
    compared = rng.integers(20, 400, 30)
    right = rng.binomial(compared, rng.beta(6, 2, 30))
    ours = block_bootstrap(right, compared)
    theirs = stats.bootstrap(
        (right, compared),
        lambda a, b, axis: a.sum(axis=axis) / b.sum(axis=axis),
        paired=True,
        vectorized=True,
        method="percentile",
        n_resamples=4000,
        rng=np.random.default_rng(0),
    )
    limits = theirs.confidence_interval
    assert ours.value == right.sum() / compared.sum()
    assert ours.error == pytest.approx(theirs.standard_error, rel=0.05)
    assert (ours.low, ours.high) == pytest.approx((limits.low, limits.high), abs=0.008)


def test_intervals_of_blocks_hold_the_truth_about_as_often_as_they_say() -> None:
    rng, held = np.random.default_rng(5), 0
    for seed in range(100):
        rate = rng.beta(4, 2, 40)
        right, compared = rng.binomial(300, rate), np.full(40, 300)
        found = block_bootstrap(right, compared, seed=seed)
        held += found.low <= 4 / 6 <= found.high
    assert 0.88 <= held / 100 <= 0.99


def test_one_block_says_nothing_of_others() -> None:
    alone = block_bootstrap(np.array([7]), np.array([10]))
    assert alone.value == 0.7
    assert np.isnan((alone.error, alone.low, alone.high)).all()


def test_what_has_no_limits_is_written_without() -> None:
    alone = block_bootstrap(np.array([7]), np.array([10]))
    assert alone.percent() == "70.0 %"
    assert fold_interval(np.array([-0.02, np.nan]), 2).points() == "-2.0"
    assert fold_interval(np.array([0.5, 0.5]), 2).percent() == "50.0 % (50.0-50.0)"
    block = np.array([[[8, 2], [0, 0]]])
    legend = Legend("two", small_legend().classes[:2])
    report = AccuracyReport(block.sum(axis=0), legend, blocks=block)
    assert "overall accuracy 80.0 % by 1 block, average" in repr(report)


def test_folds_take_the_correction_of_nadeau_and_bengio() -> None:
    values = np.array([0.61, 0.66, 0.58, 0.7, 0.63, 0.65, 0.6, 0.69, 0.62, 0.66])
    found = fold_interval(values, 10)
    plain = stats.ttest_1samp(values, 0).confidence_interval()
    wider = np.sqrt(1 + 10 / 9)
    assert found.value == pytest.approx(values.mean())
    assert found.high - found.value == pytest.approx(wider * (plain.high - values.mean()))
    assert found.value - found.low == pytest.approx(wider * (values.mean() - plain.low))


def test_a_class_that_folds_lack_has_fewer_degrees_of_freedom() -> None:
    some = fold_interval(np.array([0.5, np.nan, 0.7, np.nan, np.nan]), 5)
    error = np.sqrt((1 / 2 + 1 / 4) * 0.02)
    assert (some.value, some.error) == pytest.approx((0.6, error))
    assert some.high - some.value == pytest.approx(stats.t.ppf(0.975, 1) * error)
    assert np.isnan(fold_interval(np.array([0.5, np.nan]), 2).low)
    assert np.isnan(fold_interval(np.array([np.nan, np.nan]), 2).value)


def report(right: list[int], compared: list[int]) -> AccuracyReport:
    blocks = np.zeros((len(right), 3, 3), np.int64)
    blocks[:, 0, 0], blocks[:, 0, 1] = right, np.subtract(compared, right)
    return AccuracyReport(blocks.sum(axis=0), small_legend(), name="some", blocks=blocks)


def test_reports_with_blocks_have_intervals_and_differences() -> None:
    a, b = report([8, 6, 9], [10, 10, 10]), report([7, 5, 8], [10, 10, 10])
    assert a.overall_interval is not None
    assert a.overall_interval.value == pytest.approx(a.overall_accuracy)
    apart = a.difference(b)
    assert apart is not None  # one pixel more in each block, whatever is drawn
    assert (apart.value, apart.low, apart.high) == pytest.approx((0.1, 0.1, 0.1))
    assert a.to_dict()["overall_interval"]["method"] == "95 % block bootstrap, 3 blocks"
    assert "other blocks" in a.to_dict()["caution"]
    both = a + b
    assert both.blocks is not None
    assert len(both.blocks) == 6
    with pytest.raises(InputError, match="not scored on the same pixels"):
        a.difference(report([7, 5], [10, 10]))
    without = AccuracyReport(a.counts, a.legend)
    assert without.overall_interval is without.difference(a) is None
    assert "overall_interval" not in without.to_dict()
    assert without.class_intervals == {}
    assert "intervals" not in without.to_dict()["classes"][0]


def test_scores_of_classes_have_intervals_of_the_blocks_that_have_them() -> None:
    rng = np.random.default_rng(2)
    blocks = rng.poisson(20, (30, 3, 3)) + 60 * np.eye(3, dtype=np.int64)
    blocks[2:, 2] = 0  # two blocks have the third class
    blocks[1:, :, 1] = 0  # one is mapped as the second
    one = AccuracyReport(blocks.sum(axis=0), small_legend(), name="some", blocks=blocks)
    for name, figures in one.class_intervals.items():
        assert [f.value for f in figures] == pytest.approx(getattr(one, name).tolist())
    right, reference, mapped = (
        blocks[:, 0, 0],
        blocks[:, 0].sum(axis=1),
        blocks[:, :, 0].sum(axis=1),
    )
    alone = (right, reference), (right, mapped), (2 * right, reference + mapped)
    for (part, whole), figures in zip(alone, one.class_intervals.values(), strict=True):
        assert figures[0] == block_bootstrap(part, whole)
        assert figures[0].low < figures[0].value < figures[0].high
    users, producers = (one.class_intervals[f"{n}_accuracy"] for n in ("users", "producers"))
    assert np.isnan(users[1].low)
    shares = np.sort(blocks[:2, 2, 2] / blocks[:2, 2].sum(axis=1))
    assert (producers[2].low, producers[2].high) == pytest.approx(tuple(shares))
    told = one.to_dict()["classes"]
    assert told[1]["intervals"]["users_accuracy"] == {"low": None, "high": None}
    assert told[2]["intervals"]["method"] == "95 % block bootstrap, 2 blocks"
    ones = np.ones((3, 1), np.int64)
    assert np.isnan(block_bootstraps(ones[:0], ones[:0])[0].value)


def test_draws_of_many_blocks_are_those_of_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(4)
    whole = rng.integers(1, 50, (40, 2))
    expected = block_bootstraps(whole // 2, whole)
    monkeypatch.setattr("osm4eo_xr.accuracy.validation.intervals._AT_ONCE", 700)
    assert block_bootstraps(whole // 2, whole) == expected
