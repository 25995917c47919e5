"""Points are drawn by the design that was asked for, and any chunking draws the same."""

from typing import Any

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from osm4eo_xr.accuracy.designs.allocation import (
    Allocation,
    allocate,
    allocate_for,
    size_for_mean,
    size_for_share,
    standard_error,
)
from osm4eo_xr.accuracy.designs.design import SamplingDesign, Scheme
from osm4eo_xr.accuracy.designs.points import design_points
from osm4eo_xr.accuracy.reference_pairs import values_at
from osm4eo_xr.errors import InputError
from osm4eo_xr.geometry.grid import georeference, target_geobox

LEFT, TOP = 4_400_000, 2_700_000
ROWS, COLS = 90, 70
BOX = target_geobox((LEFT, TOP - 10 * ROWS, LEFT + 10 * COLS, TOP))


def raster(seed: int = 0, classes: int = 5) -> xr.DataArray:
    """Return a map with no data in a corner and more of the lower classes."""
    rng = np.random.default_rng(seed)
    values = np.minimum(rng.geometric(0.5, (ROWS, COLS)), classes).astype(np.uint8)
    values[:20, :30] = 0
    return georeference(values, BOX, name="map")


def same(a: SamplingDesign, b: SamplingDesign) -> bool:
    return a.points.equals(b.points) and a.to_dict() == b.to_dict()


def test_olofsson_2014_sizes() -> None:
    """Olofsson et al. 2014, section 5.1.1 and table 5: 641 points, and two allocations of them.

    As R's drift transcribes them from the paper; its Alloc1 has 149 and 292 points for the stable
    classes, where the rule that the paper states gives 146 and 295.
    """
    sizes = np.array([200_000, 150_000, 3_200_000, 6_450_000])
    users = np.array([0.7, 0.6, 0.9, 0.95])
    assert size_for_mean(sizes, users, 0.01) == 641
    none = np.zeros(4, np.int64)
    assert allocate(641, sizes, users, "proportional", none).tolist() == [13, 10, 205, 413]
    assert sorted(allocate(641, sizes, users, "equal", none).tolist()) == [160, 160, 160, 161]
    floor = np.array([100, 100, 0, 0])
    assert allocate(641, sizes, users, "proportional", floor).tolist() == [100, 100, 146, 295]
    neyman = allocate(641, sizes, users, "neyman", none)
    ideal = sizes * np.sqrt(users * (1 - users))
    assert np.abs(neyman - 641 * ideal / ideal.sum()).max() < 1


@given(
    sizes=st.lists(st.integers(1, 5000), min_size=1, max_size=8),
    n=st.integers(1, 3000),
    least=st.integers(0, 200),
    how=st.sampled_from(["neyman", "proportional", "equal"]),
)
def test_allocations_add_up_between_their_limits(
    sizes: list[int], n: int, least: int, how: str
) -> None:
    pixels = np.array(sizes)
    expected = np.linspace(0, 1, len(sizes))
    floor = np.full(len(sizes), least)
    found = allocate(n, pixels, expected, how, floor)  # type: ignore[arg-type]
    lower = np.minimum(np.maximum(floor, 2), pixels)
    assert (found >= lower).all()
    assert (found <= pixels).all()
    assert found.sum() == min(max(n, lower.sum()), pixels.sum())


@settings(max_examples=12)
@given(
    rows=st.integers(7, ROWS),
    cols=st.integers(7, COLS),
    scheme=st.sampled_from(["stratified", "systematic", "cluster"]),
)
def test_any_chunking_draws_the_same_points(rows: int, cols: int, scheme: str) -> None:
    how = {"n": 120, "min_per_stratum": 4, "scheme": scheme, "cluster_pixels": 13, "seed": 5}
    chunked = design_points(raster().chunk(y=rows, x=cols), **how)
    assert same(chunked, design_points(raster(), **how))


def test_points_lie_in_their_strata_and_none_twice() -> None:
    classes = raster()
    design = design_points(classes, n=200, min_per_stratum=10, allocation="proportional")
    points = design.points
    assert (values_at(classes, points.geometry) == points["map_class"]).all()
    assert (points["map_class"] == points["stratum_code"]).all()
    assert not points.geometry.duplicated().any()
    assert points["id"].tolist() == list(range(1, 201))
    for stratum in design.strata:
        chosen = points[points["stratum"] == stratum.name]
        assert len(chosen) == stratum.points
        assert stratum.pixels == int((classes == stratum.code).sum())
        assert np.allclose(chosen["inclusion_probability"], stratum.points / stratum.pixels)
    assert abs(np.corrcoef(points["id"], points["stratum_code"])[0, 1]) < 0.2  # ids tell nothing


def test_every_pixel_of_a_stratum_is_as_likely_as_the_others() -> None:
    classes = raster()[:30, 30:50]
    hits = np.zeros(classes.shape, int)
    for seed in range(80):
        design = design_points(classes, n=60, min_per_stratum=10, seed=seed)
        box = classes.odc.geobox
        col, row = ~box.affine * np.stack([design.points.geometry.x, design.points.geometry.y])
        hits[row.astype(int), col.astype(int)] += 1
    for class_id in (1, 2):
        of_class = hits[classes.values == class_id]
        expected = of_class.mean()
        assert of_class.var() == pytest.approx(expected * (1 - expected / 80), rel=0.35)


def test_only_chunks_that_hold_points_are_read_again() -> None:
    values, reads = raster().values, []

    def read(block: np.ndarray, block_id: tuple[int, int]) -> np.ndarray:
        reads.append(block_id)
        return block

    chunked: Any = da.from_array(values).rechunk((10, 10))
    lazy = chunked.map_blocks(read, dtype=np.uint8, meta=np.empty((0, 0), np.uint8))
    design = design_points(georeference(lazy, BOX), n=10, min_per_stratum=2)
    places = np.stack([design.points.geometry.y, design.points.geometry.x])
    blocks = set(map(tuple, np.floor_divide(np.abs(places.T - (TOP, LEFT)), 100).astype(int)))
    assert len(reads) == 9 * 7 + len(blocks)
    assert set(reads[63:]) == blocks


def test_strata_of_another_raster_may_be_divided_by_class() -> None:
    classes = raster()
    halves = np.repeat(np.array([[1, 2]], np.uint8), COLS // 2, axis=1).repeat(ROWS, axis=0)
    attrs = {"flag_values": [1, 2], "flag_meanings": "openstreetmap prediction"}
    known = georeference(halves, BOX, attrs=attrs)
    apart = design_points(classes, n=100, strata=known, min_per_stratum=20)
    assert [s.name for s in apart.strata] == ["openstreetmap", "prediction"]
    assert not apart.by_class
    crossed = design_points(classes, n=100, strata=known, cross=True, min_per_stratum=2)
    assert [s.name for s in crossed.strata][:2] == [
        "openstreetmap, urban",
        "openstreetmap, industrial",
    ]
    assert sum(s.pixels for s in crossed.strata) == sum(s.pixels for s in apart.strata)
    with pytest.raises(InputError, match="no value on 2,450 pixels"):
        design_points(classes[20:], n=100, strata=known.where(known != 2, 0)[20:])


def test_targets_ask_for_as_many_points_as_cochran_says() -> None:
    target = {"overall": 0.02, "users": 0.05}
    design = design_points(raster(), target=target, min_per_stratum=5, expected=0.8)
    for stratum in design.strata:
        endless = 0.8 * 0.2 / 0.05**2
        assert stratum.points >= min(endless / (1 + (endless - 1) / stratum.pixels), stratum.pixels)
    assert len(design.points) >= size_for_mean(
        np.array([s.pixels for s in design.strata]), np.full(5, 0.8), 0.02
    )


@pytest.mark.parametrize("allocation", ["neyman", "proportional", "equal"])
@pytest.mark.parametrize("least", [2, 50, 400])
def test_targets_are_reached_with_the_fewest_points(allocation: Allocation, least: int) -> None:
    sizes = np.array([600_000, 350_000, 40_000, 8_000, 900, 300])
    expected, floor = np.array([0.8, 0.9, 0.7, 0.5, 0.6, 0.8]), np.full(6, least)
    points = allocate_for({"overall": 0.02}, sizes, expected, allocation, floor)
    weight, variance = sizes / sizes.sum(), expected * (1 - expected)
    error = float(np.sqrt((weight**2 * variance / points * (1 - points / sizes)).sum()))
    assert error == pytest.approx(standard_error(points, sizes, expected))
    assert error <= 0.02 * 1.005
    fewer = allocate(int(points.sum()) - 1, sizes, expected, allocation, floor)
    if fewer.sum() < points.sum():  # more than the floors alone ask for
        assert standard_error(fewer, sizes, expected) > 0.02 * 1.005
    whole = allocate_for({"overall": 1e-9}, sizes[4:], expected[4:], allocation, floor[4:])
    assert whole.tolist() == [900, 300]


def test_a_design_tells_the_error_to_expect() -> None:
    design = design_points(raster(), target={"overall": 0.02}, min_per_stratum=50)
    assert design.made["expected_error"] <= 0.02 * 1.005
    assert design.describe().endswith(
        f"standard error of overall accuracy {100 * design.made['expected_error']:.2g} %"
    )


def test_systematic_points_are_a_grid_and_clusters_lie_in_squares() -> None:
    classes = raster()
    grid = design_points(classes, n=150, scheme="systematic", seed=2)
    step = grid.made["step"]
    assert set(np.diff(np.unique(grid.points.geometry.x)) / 10) == {step}
    assert 1 / grid.points["inclusion_probability"].iloc[0] == step**2
    clusters = design_points(
        classes, n=60, scheme="cluster", cluster_pixels=15, per_cluster=6, seed=2
    )
    groups = clusters.points.groupby("cluster")
    assert len(groups) == 10
    for _, members in groups:
        assert np.ptp(members.geometry.x) < 150
        assert np.ptp(members.geometry.y) < 150
        assert len(members) <= 6


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({}, "either n .* or target"),
        ({"n": 10}, "n 10 is less than 5 strata of 50 points .* give 2[0-9]{2} or"),
        ({"n": 300, "scheme": "random"}, "not drawn by scheme 'random'; use one of strat"),
        ({"n": 300, "scheme": "weighted"}, "not drawn by scheme 'weighted'; use one of strat"),
        ({"n": 300, "allocation": "best"}, "allocation 'best' is unknown"),
        ({"n": 300, "expected": {"lake": 0.5}}, "expected names 'lake'"),
        ({"n": 300, "cross": True}, "give strata"),
        ({"target": {"kappa": 0.1}}, "target 'kappa' is unknown"),
        ({"target": {"overall": 5}}, "no standard error of a share"),
        ({"target": {"overall": 0.1}, "scheme": "cluster"}, "are for stratified designs"),
        ({"n": 5000, "scheme": "cluster", "cluster_pixels": 60}, "needs 500 clusters"),
    ],
)
def test_what_does_not_go_together_is_refused(how: dict, words: str) -> None:
    with pytest.raises(InputError, match=words):
        design_points(raster(), **how)


def test_maps_in_degrees_and_unknown_classes_are_refused() -> None:
    from odc.geo.geobox import GeoBox

    box = GeoBox.from_bbox((9, 47, 10, 48), shape=(10, 10), crs="EPSG:4326")
    with pytest.raises(InputError, match="pixels of one size on the ground"):
        design_points(georeference(np.ones((10, 10), np.uint8), box), n=5)
    with pytest.raises(InputError, match="holds class 77"):
        design_points(raster().where(raster() != 1, 77).astype(np.uint8), n=300)


@pytest.mark.parametrize("scheme", ["stratified", "systematic", "cluster"])
def test_an_unstated_no_data_value_is_called_a_class(scheme: Scheme) -> None:
    classes = raster().where(raster() != 1, 255).astype(np.uint8)
    words = r"the map holds class 255 in .*; state its no-data value \(attrs\[\"nodata\"\]\) if "
    with pytest.raises(InputError, match=words):
        design_points(classes, n=300, scheme=scheme, cluster_pixels=5)
    stated = classes.assign_attrs(nodata=255)
    design = design_points(stated, n=300, scheme=scheme, cluster_pixels=5)
    assert design.pixels == ((classes > 0) & (classes < 255)).sum()


@pytest.mark.parametrize(
    ("share", "error", "population", "expected"),
    [
        (0.5, 0.05 / 2, 3200, 356),  # Cochran 1977, section 4.4
        (0.5, 0.025, 10**9, 400),  # 0.25 / 0.000625
        (0.9, 0.03, 10**9, 100),  # 0.09 / 0.0009
        (0.9, 0.03, 50, 34),  # 100 / (1 + 99 / 50) = 33.6
        (0.5, 0.01, 1, 1),
        (1.0, 0.05, 1000, 0),
        (1.0, 0.05, 1, 0),
        (0.0, 0.05, 1, 0),
        (0.5, 0.05, 0, 0),
    ],
)
def test_one_share_needs_as_many_points_as_cochran_says(
    share: float, error: float, population: int, expected: int
) -> None:
    assert size_for_share(share, error, population) == expected


def test_both_targets_are_met_in_all_and_in_each_stratum() -> None:
    sizes, shares = np.array([1000, 10**6]), np.array([0.5, 0.9])
    least = np.zeros(2, np.int64)
    alone = allocate_for({"users": 0.05}, sizes, shares, "neyman", least)
    assert alone.tolist() == [size_for_share(0.5, 0.05, 1000), 36]  # 0.09 / 0.0025
    both = allocate_for({"overall": 0.01, "users": 0.05}, sizes, shares, "neyman", least)
    assert (both >= alone).all()
    most = 0.01 * 1.005  # strata hold whole points
    assert standard_error(both, sizes, shares) <= most
    assert standard_error(both - np.array([0, 1]), sizes, shares) > most
