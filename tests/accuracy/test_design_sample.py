"""Which points of a design stand for the map, with which estimators; too few are refused."""

from typing import Any

import geopandas as gpd
import numpy as np
import pytest

import osm4eo_xr as oxr
from osm4eo_xr.accuracy.design_sample import sample_of
from osm4eo_xr.accuracy.designs.design import SamplingDesign, Scheme, Stratum
from osm4eo_xr.accuracy.sampling import Clustered, PostStratified, Stratified, Weighted
from osm4eo_xr.errors import InputError

LEGEND = oxr.default_legend()
FOREST, ARABLE, WATER = 8, 5, 12


def design(
    scheme: Scheme,
    classes: list[int],
    *,
    strata: tuple[Stratum, ...] = (),
    by_class: bool = True,
    clusters: int = 0,
    **columns: Any,
) -> SamplingDesign:
    """Return a design whose points have these classes; strata are the classes unless given."""
    places = gpd.points_from_xy(10.0 * np.arange(len(classes)), np.zeros(len(classes)))
    told = {"stratum_code": classes, "map_class": classes} | columns
    points = gpd.GeoDataFrame(told, geometry=places, crs=3035)
    made = {"notes": ["as drawn"]}
    return SamplingDesign(
        scheme, strata, points, 100.0, clusters=clusters, by_class=by_class, made=made
    )


def strata_of(counts: dict[int, int], points: int = 3) -> tuple[Stratum, ...]:
    return tuple(Stratum(c, LEGEND.by_id[c].slug, n, points) for c, n in counts.items())


def ids(*classes: int) -> np.ndarray:
    return np.array(classes, np.uint8)


def yes(n: int) -> np.ndarray:
    return np.ones(n, bool)


def test_strata_that_are_the_maps_classes_are_olofssons() -> None:
    counts = {ARABLE: 40, FOREST: 60}
    drawn = [ARABLE, FOREST, ARABLE, FOREST, FOREST]
    made = design("stratified", drawn, strata=strata_of(counts))
    found = sample_of(made, ids(*drawn), yes(5), counts, LEGEND)
    assert found.method == "Olofsson et al. 2014"
    assert found.notes == ()
    assert isinstance(found.sample, Stratified)
    assert not found.sample.finite
    # 40 pixels by 2 points, 60 by 3
    assert found.sample.weights.tolist() == [20, 20, 20, 20, 20]
    assert found.sample.total(np.ones((5, 1))) == pytest.approx([100])


@pytest.mark.parametrize(
    ("mapped", "counts"),
    [
        ((ARABLE, FOREST, ARABLE, FOREST, ARABLE), {ARABLE: 40, FOREST: 60}),  # a point moved
        ((ARABLE, FOREST, ARABLE, FOREST, FOREST), {ARABLE: 41, FOREST: 59}),  # the map changed
    ],
)
def test_another_map_than_the_points_were_drawn_from_is_stehmans(
    mapped: tuple[int, ...], counts: dict[int, int]
) -> None:
    drawn = [ARABLE, FOREST, ARABLE, FOREST, FOREST]
    made = design("stratified", drawn, strata=strata_of({ARABLE: 40, FOREST: 60}))
    found = sample_of(made, ids(*mapped), yes(5), counts, LEGEND)
    assert found.method == "Stehman 2014"
    assert "not the one that the points were drawn from" in found.notes[0]
    assert isinstance(found.sample, Stratified)
    assert found.sample.finite
    assert found.sample.sizes.tolist() == [40, 60]  # of the strata, whatever the map shows now


def test_strata_of_another_raster_need_no_word_on_the_map() -> None:
    made = design(
        "stratified",
        [FOREST] * 4,
        strata=(Stratum(256, "old", 70, 2), Stratum(512, "new", 30, 2)),
        by_class=False,
        stratum_code=[256, 512, 256, 512],
    )
    found = sample_of(made, ids(*[FOREST] * 4), yes(4), {FOREST: 100}, LEGEND)
    assert (found.method, found.notes) == ("Stehman 2014", ())
    assert found.sample.weights.tolist() == [35, 15, 35, 15]


def test_points_off_the_map_are_used_and_unlabeled_ones_are_not() -> None:
    counts = {FOREST: 90}
    made = design("stratified", [FOREST] * 4, strata=strata_of(counts, 4))
    mapped, labeled = ids(FOREST, 0, FOREST, FOREST), np.array([True, False, False, True])
    found = sample_of(made, mapped, labeled, counts, LEGEND)
    assert found.used.tolist() == [True, True, False, True]
    assert found.sample.weights.tolist() == [30, 30, 30]


def test_a_stratum_of_one_pixel_needs_one_label_and_a_larger_one_two() -> None:
    counts = {FOREST: 50, WATER: 1}
    made = design("stratified", [FOREST, FOREST, WATER], strata=strata_of(counts))
    found = sample_of(made, ids(FOREST, FOREST, WATER), yes(3), counts, LEGEND)
    values = np.array([[1.0], [1.0], [0.0]])
    assert found.sample.variance(values) == pytest.approx([0])
    with pytest.raises(InputError) as refused:
        sample_of(made, ids(FOREST, FOREST, WATER), np.array([True, False, True]), counts, LEGEND)
    assert refused.value.given == (
        "stratum forest has 1 labeled points of 3, which tells nothing of its 50 pixels"
    )
    assert refused.value.advice == "label 2 or more"
    with pytest.raises(InputError, match="water has 0 .* of its 1 pixel; label all of them"):
        sample_of(made, ids(FOREST, FOREST, WATER), np.array([True, True, False]), counts, LEGEND)


def test_weights_are_the_surveys_and_points_off_the_map_go() -> None:
    made = design("weighted", [FOREST] * 4, weight=[10.0, 20.0, 30.0, 40.0])
    labeled = np.array([True, True, True, False])
    found = sample_of(made, ids(FOREST, 0, WATER, FOREST), labeled, {FOREST: 9, WATER: 1}, LEGEND)
    assert isinstance(found.sample, Weighted)
    assert found.sample.weights.tolist() == [10, 30]
    assert found.notes == ("as drawn",)
    with pytest.raises(InputError, match="1 labeled points tell nothing; label 2 or more"):
        sample_of(made, ids(FOREST, 0, 0, FOREST), labeled, {FOREST: 9}, LEGEND)


def test_clusters_stand_for_those_that_were_not_drawn() -> None:
    made = design(
        "cluster",
        [FOREST] * 5,
        clusters=6,
        cluster=[7, 7, 3, 3, 3],
        cluster_pixels=[40, 40, 25, 25, 25],
    )
    found = sample_of(made, ids(*[FOREST] * 5), yes(5), {FOREST: 200}, LEGEND)
    assert isinstance(found.sample, Clustered)
    # Clusters are told apart by name, whatever their order; 6 / 2 clusters times pixels / points.
    assert found.sample.weights.tolist() == [60, 60, 25, 25, 25]
    assert found.sample.degrees == 1
    unlabeled = np.array([True, True, False, False, False])
    with pytest.raises(InputError) as refused:
        sample_of(made, ids(*[FOREST] * 5), unlabeled, {FOREST: 200}, LEGEND)
    assert refused.value.given == "1 of 2 clusters have no labeled point"
    assert refused.value.advice == "label some in each"


def test_a_single_cluster_tells_nothing_of_the_others_and_no_label_helps() -> None:
    made = design("cluster", [FOREST] * 3, clusters=6, cluster=[1] * 3, cluster_pixels=[9] * 3)
    with pytest.raises(InputError) as refused:
        sample_of(made, ids(*[FOREST] * 3), yes(3), {FOREST: 54}, LEGEND)
    assert refused.value.given == "the design has 1 cluster, which tells nothing of the others"
    assert refused.value.expected == "2 or more"
    assert refused.value.advice == "draw points again"


def test_a_grid_is_stratified_afterwards_by_the_maps_classes() -> None:
    counts = {ARABLE: 30, FOREST: 70}
    mapped = ids(ARABLE, ARABLE, FOREST, FOREST, FOREST, 0)
    made = design("systematic", [0] * 6, by_class=False)
    found = sample_of(made, mapped, yes(6), counts, LEGEND)
    assert isinstance(found.sample, PostStratified)
    assert found.used.tolist() == [True] * 5 + [False]
    # By size the post-strata are in the order of their points: 30 / 2 and 70 / 3 pixels a point.
    assert found.sample.weights == pytest.approx([15, 15, 70 / 3, 70 / 3, 70 / 3])
    assert found.notes[-1] == "as drawn"
    assert len(found.notes) == 2


def test_rare_classes_of_a_grid_go_together_until_two_points_tell_of_them() -> None:
    counts = {ARABLE: 500, FOREST: 400, WATER: 3, 1: 7}
    mapped = ids(*[ARABLE] * 5, *[FOREST] * 3, 1)
    found = sample_of(design("systematic", [0] * 9), mapped, yes(9), counts, LEGEND)
    # Water has no point and urban one: the next in the number of points, forest, joins them.
    assert "one post-stratum: water, urban, forest." in found.notes[1]
    assert found.sample.weights == pytest.approx([100] * 5 + [410 / 4] * 4)
    assert found.sample.total(np.ones((9, 1))) == pytest.approx([910])


def test_a_grid_with_one_label_is_refused_and_two_of_two_classes_are_one_stratum() -> None:
    made, counts = design("systematic", [0] * 2), {ARABLE: 10, FOREST: 30}
    with pytest.raises(InputError, match="1 labeled points tell nothing; label 2 or more"):
        sample_of(made, ids(ARABLE, FOREST), np.array([True, False]), counts, LEGEND)
    found = sample_of(made, ids(ARABLE, FOREST), yes(2), counts, LEGEND)
    assert found.sample.weights.tolist() == [20, 20]
