"""Estimators from samples: published worked examples, and all samples of small populations."""

from itertools import combinations, product

import numpy as np
import pytest
from scipy import stats

from osm4eo_xr.accuracy.estimators import interval, power_tuned, ratio
from osm4eo_xr.accuracy.figures import figures_of, unseen_areas, unseen_errors
from osm4eo_xr.accuracy.sampling import Clustered, PostStratified, Stratified, Weighted

PIXEL_HA = 0.09  # Landsat's 30 m


def labels_of(matrix: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
    """Return map and reference class of each point of a matrix (map, reference)."""
    counts = np.array(matrix)
    row, col = np.indices(counts.shape)
    return np.repeat(row.ravel(), counts.ravel()), np.repeat(col.ravel(), counts.ravel())


def test_olofsson_2014_deforestation() -> None:
    """Olofsson et al. 2014, tables 8 and 9 and section 5.2.

    The matrix and areas stand in the examples of R's mapaccuracy (``olofsson``), the printed
    figures in the tests of R's drift. Three printed figures contradict the paper's own equations
    and are not tested: the half-widths 0.23 and 0.01 of producer's accuracy (0.25 and 0.02 by eq.
    7), and 34,097 pixels as a standard error, of which 1.96 times is not the 68,418 beside it.
    """
    matrix = [[66, 0, 5, 4], [0, 55, 8, 12], [1, 0, 153, 11], [2, 1, 9, 313]]
    mapped, reference = labels_of(matrix)
    sizes = np.array([200_000, 150_000, 3_200_000, 6_450_000])
    sample = Stratified(mapped, sizes, finite=False)
    km2 = sizes * PIXEL_HA / 100
    found = figures_of(sample, reference, mapped, np.ones(640), km2, "wald")

    def half(figures: tuple) -> list[float]:
        return [(f.high - f.low) / 2 for f in figures]

    def values(figures: tuple) -> list[float]:
        return [f.value for f in figures]

    assert values(found.areas) == pytest.approx([211.58, 116.86, 2857.70, 5813.86], abs=0.005)
    assert half(found.areas) == pytest.approx([61.58, 37.56, 155.10, 162.82], abs=0.0075)
    assert found.areas[0].value * 100 / PIXEL_HA == pytest.approx(235_086, abs=0.5)
    error = 1.96 * found.areas[0].error * 100 / PIXEL_HA
    assert error == pytest.approx(68_418, abs=0.5)
    assert np.round(values(found.users), 2).tolist() == [0.88, 0.73, 0.93, 0.96]
    assert np.round(half(found.users), 2).tolist() == [0.07, 0.10, 0.04, 0.02]
    assert np.round(values(found.producers), 2).tolist() == [0.75, 0.85, 0.93, 0.96]
    assert np.round(half(found.producers), 2).tolist() == [0.21, 0.25, 0.03, 0.02]
    assert round(found.overall.value, 2) == 0.95
    assert round(half((found.overall,))[0], 2) == 0.02
    table9 = [
        [0.0176, 0, 0.0013, 0.0011],
        [0, 0.0110, 0.0016, 0.0024],
        [0.0019, 0, 0.2967, 0.0213],
        [0.0040, 0.0020, 0.0179, 0.6212],
    ]
    assert np.round(found.confusion.T, 4).tolist() == table9


def test_stehman_2014_numerical_example() -> None:
    """Stehman 2014, section 4, from the examples of R's mapaccuracy (``stehman2014``).

    The paper prints 0.35, 0.20, 0.63, 0.574, 0.794, 0.08, 0.082, 0.064, 0.085, 0.125 and 0.114. The
    last is the standard error of B's producer's accuracy; mapaccuracy's formula gives 0.1165, since
    the paper sets the variance of x in stratum D to 0 where its table 3 has 0.1.
    """
    stratum = np.repeat(np.arange(4), 10)
    mapped = np.array([*[0] * 7, *[1] * 3, 0, *[1] * 11, *[2] * 6, 1, 1, *[3] * 10])
    text = "AAAAACBABC" + "ABBBBBAABB" + "CCCCCDDBBA" + "DDDDDDDCCB"
    reference = np.array(["ABCD".index(letter) for letter in text])
    sizes = np.array([40_000, 30_000, 20_000, 10_000])
    sample = Stratified(stratum, sizes)
    found = figures_of(sample, reference, mapped, np.ones(40), sizes / sizes.sum(), "wald")
    printed = {
        0.35: found.areas[0].value,
        0.20: found.areas[2].value,
        0.63: found.overall.value,
        0.574: found.users[1].value,
        0.794: found.producers[1].value,
        0.08: found.confusion[2, 1],
        0.082: found.areas[0].error,
        0.064: found.areas[2].error,
        0.085: found.overall.error,
        0.125: found.users[1].error,
    }
    for paper, ours in printed.items():
        assert round(ours, 3) == paper
    assert found.producers[1].error == pytest.approx(0.1165479, abs=1e-7)  # as mapaccuracy


def test_a_stratum_that_was_counted_in_full_adds_no_error() -> None:
    values = np.array([0.0, 1, 0, 1, 1])[:, None]
    sample = Stratified(np.array([0, 0, 0, 1, 1]), np.array([90, 2]), finite=False)
    assert sample.variance(values)[0] == pytest.approx(90**2 / 3 * (1 / 3))


@pytest.mark.parametrize("kind", [Stratified, PostStratified])
def test_what_a_stratum_may_hold_unseen_is_clopper_and_pearsons_limit(kind: type) -> None:
    """Three strata: of the first all is seen but 960 pixels, the last was counted in full."""
    sample = kind(np.repeat([0, 1, 2], [40, 10, 3]), np.array([1000, 100, 3]))
    some, none = np.zeros(53), np.zeros(53)
    some[[0, 41]] = 1
    in_first = np.zeros(53)
    in_first[0] = 1
    found = sample.unseen(np.stack([some, none, in_first], axis=1))
    limits = [stats.binomtest(0, n).proportion_ci(0.9).high for n in (40, 10)]  # one-sided 95 %
    assert found == pytest.approx([0, 960 * limits[0], 90 * limits[1]])


def test_rare_classes_whose_intervals_fail_are_those_with_more_room_unseen() -> None:
    """A class of 1 %, of which the map misses most: intervals of areas that are not named hold."""
    rng = np.random.default_rng(4)
    sizes, points = np.array([600_000, 396_000, 4_000]), np.array([150, 100, 50])
    chances = np.array([[0.92, 0.07, 0.01], [0.1, 0.89, 0.01], [0.2, 0.1, 0.7]])
    stratum, km2 = np.repeat(np.arange(3), points), sizes * 1e-4
    true = km2 @ chances
    held: dict[bool, list[bool]] = {True: [], False: []}
    bounded, places = [], set()
    for _ in range(300):
        drawn = [rng.choice(3, n, p=p) for n, p in zip(points, chances, strict=True)]
        reference, ones = np.concatenate(drawn), np.ones(300)
        sample = Stratified(stratum, sizes, finite=False)
        found = figures_of(sample, reference, stratum, ones, km2, "wilson")
        named = unseen_areas(sample, reference, ones, found)
        places |= set(named)
        for k, area in enumerate(found.areas):
            held[k in named].append(area.low <= true[k] <= area.high)
            if k in named:
                bounded.append(true[k] <= area.value + named[k])
    assert places == {2}
    assert np.mean(held[False]) > 0.93
    assert np.mean(held[True]) < 0.8
    assert np.mean(bounded) > 0.93


def test_accuracies_whose_intervals_fail_are_those_of_strata_that_may_be_wrong_unseen() -> None:
    """A forest of 90 % of the map that is right in 99 %: often none of its points is wrong."""
    rng = np.random.default_rng(5)
    sizes, points = np.array([900_000, 80_000, 20_000]), np.array([100, 50, 50])
    right = np.array([0.99, 0.9, 0.8])
    stratum, ones = np.repeat(np.arange(3), points), np.ones(200)
    true = sizes @ right / sizes.sum()
    held: dict[bool, list[bool]] = {True: [], False: []}
    for _ in range(300):
        wrong = rng.random(200) > right[stratum]
        sample = Stratified(stratum, sizes, finite=False)
        reference = np.where(wrong, (stratum + 1) % 3, stratum)
        found = figures_of(sample, reference, stratum, ones, sizes * 1e-4, "wilson").overall
        room = unseen_errors(sample, wrong, ones, found)
        held[room > 0].append(found.low <= true <= found.high)
        assert not room or room == pytest.approx(0.9 * (1 - 0.05**0.01), rel=1e-3)
    assert np.mean(held[False]) > 0.93
    assert np.mean(held[True]) < 0.8


def test_what_fills_the_map_or_was_counted_in_full_hides_nothing() -> None:
    stratum, sizes = np.repeat([0, 1, 2], [40, 2, 1]), np.array([9_997, 2, 1])
    sample, ones = Stratified(stratum, sizes, finite=False), np.ones(43)
    found = figures_of(sample, np.zeros(43, np.int64), stratum, ones, sizes * 1e-4, "wilson")
    assert found.areas[0].value == 1
    assert unseen_areas(sample, np.zeros(43, np.int64), ones, found) == {}
    assert unseen_errors(sample, stratum > 0, ones, found.overall) == 0


@pytest.mark.parametrize("finite", [True, False])
def test_over_all_stratified_samples_totals_and_variances_are_unbiased(finite: bool) -> None:
    strata = [np.array([0.0, 1, 1, 0]), np.array([1.0, 2, 4, 1, 0])]
    draws = [list(combinations(s, 2)) for s in strata]
    sizes = np.array([len(s) for s in strata])
    totals, variances = [], []
    for first, second in product(*draws):
        sample = Stratified(np.array([0, 0, 1, 1]), sizes, finite=finite)
        values = np.array([*first, *second])[:, None]
        totals.append(sample.total(values)[0])
        variances.append(sample.variance(values)[0])
    assert np.mean(totals) == pytest.approx(sum(s.sum() for s in strata))
    if finite:
        assert np.mean(variances) == pytest.approx(np.var(totals))
    else:
        assert np.mean(variances) > np.var(totals)


def test_over_all_two_stage_samples_totals_and_variances_are_unbiased() -> None:
    clusters = [np.array([0.0, 1, 1]), np.array([2.0, 0, 1, 1]), np.array([1.0, 0, 3])]
    totals, variances = [], []
    for drawn in combinations(clusters, 2):
        for first, second in product(*(combinations(c, 2) for c in drawn)):
            sizes = np.array([len(c) for c in drawn])
            sample = Clustered(np.array([0, 0, 1, 1]), sizes, 3)
            weight = 1 / np.prod([len(list(combinations(c, 2))) for c in drawn])
            values = np.array([*first, *second])[:, None]
            totals.append((weight, sample.total(values)[0]))
            variances.append((weight, sample.variance(values)[0]))
    weight, total = np.array(totals).T
    mean = (weight @ total) / weight.sum()
    assert mean == pytest.approx(sum(c.sum() for c in clusters))
    true = weight @ (total - mean) ** 2 / weight.sum()
    assert weight @ np.array(variances)[:, 1] / weight.sum() == pytest.approx(true)


def test_post_stratified_variance_holds_over_many_samples() -> None:
    rng = np.random.default_rng(3)
    stratum = np.repeat([0, 1], [700, 300])
    values = rng.random(1000) + 2 * stratum
    totals, variances = [], []
    for _ in range(800):
        at = rng.choice(1000, 60, replace=False)
        sample = PostStratified(stratum[at], np.array([700, 300]))
        totals.append(sample.total(values[at, None])[0])
        variances.append(sample.variance(values[at, None])[0])
    assert np.mean(totals) == pytest.approx(values.sum(), rel=0.004)
    assert np.mean(variances) == pytest.approx(np.var(totals), rel=0.15)


def test_equal_weights_are_a_simple_random_sample_with_replacement() -> None:
    values = np.array([1.0, 0, 0, 1, 1, 0])[:, None]
    share, error = ratio(Weighted(np.full(6, 7.0)), values, np.ones((6, 1)))
    assert share[0] == pytest.approx(0.5)
    assert error[0] == pytest.approx(np.sqrt(0.25 / 5))


def test_power_tuning_is_regression_on_the_predictions() -> None:
    rng = np.random.default_rng(0)
    predicted = rng.random(400)
    y = (rng.random(400) < 0.1 + 0.8 * predicted).astype(float)
    sample = Stratified(np.zeros(400, np.int64), np.array([10**9]))
    one = np.ones((400, 1))
    share, error, tuned = power_tuned(sample, y[:, None], predicted[:, None], one, np.array([0.5]))
    slope = np.cov(y, predicted)[0, 1] / predicted.var(ddof=1)
    assert tuned[0] == pytest.approx(slope)
    assert share[0] == pytest.approx(y.mean() + slope * (0.5 - predicted.mean()))
    off = y - slope * predicted
    assert error[0] == pytest.approx(off.std(ddof=1) / np.sqrt(400), rel=1e-6)
    assert error[0] < y.std(ddof=1) / 20


def test_useless_predictions_are_not_used() -> None:
    y = np.array([0.0, 1, 0, 1] * 5)[:, None]
    sample = Stratified(np.zeros(20, np.int64), np.array([1000]))
    _, error, tuned = power_tuned(sample, y, 1 - y, np.ones((20, 1)), np.array([0.5]))
    assert tuned[0] == 0
    assert error[0] == pytest.approx(ratio(sample, y, np.ones((20, 1)))[1][0])


def test_score_intervals_are_those_of_scipy() -> None:
    from scipy.stats import binomtest

    for right, n in ((50, 50), (0, 30), (41, 60)):
        share = np.array([right / n])
        error = np.sqrt(share * (1 - share) / n)
        found = interval(share, error, np.array([float(n)]), np.inf)
        expected = binomtest(right, n).proportion_ci(method="wilson")
        assert [f[0] for f in found] == pytest.approx([expected.low, expected.high])


def test_a_class_that_is_always_right_still_has_an_interval() -> None:
    mapped = np.repeat([0, 1], 50)
    sample = Stratified(mapped, np.array([900, 100]))
    found = figures_of(sample, mapped, mapped, np.ones(100), np.array([9.0, 1.0]), "wilson")
    assert found.users[1].value == 1
    assert found.users[1].low == pytest.approx(50 / (50 + 1.959964**2))
    assert found.areas[1].low < 1 < found.areas[1].high
