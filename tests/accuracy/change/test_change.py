"""Change between two years: rules beside brute force, lazy, any chunks, mapping unit, areas."""

from itertools import product
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import label

from osm4eo_xr.accuracy.assessment import assess
from osm4eo_xr.accuracy.change.change_map import ChangeMap
from osm4eo_xr.accuracy.change.decisions import judge_filtered
from osm4eo_xr.accuracy.change.detection import detect_change
from osm4eo_xr.errors import InputError
from osm4eo_xr.legend import change_legend, load_legend
from osm4eo_xr.rasters.shares import as_shares
from tests.cases.train_case import box, raster

SHAPE = (40, 50)
IDS = np.array([1, 5, 12], np.uint8)


def maps(seed: int = 0) -> list[np.ndarray]:
    """Return two years of classes in patches of four pixels, 0 in places, and confidences."""
    rng = np.random.default_rng(seed)
    small = (SHAPE[0] // 4 + 1, SHAPE[1] // 4 + 1)
    before = rng.choice([0, *IDS], small, p=[0.1, 0.3, 0.3, 0.3]).astype(np.uint8)
    after = np.where(rng.random(small) < 0.3, rng.choice(IDS, small), before).astype(np.uint8)
    sure = rng.integers(150, 251, (2, *SHAPE)).astype(np.uint8)
    sure[:, 3, 3] = 255  # no data
    grown = [m.repeat(4, axis=0).repeat(4, axis=1)[: SHAPE[0], : SHAPE[1]] for m in (before, after)]
    return [*grown, *sure]


def on_grid(pixels: np.ndarray, chunks: Any = None) -> xr.DataArray:
    return raster(pixels, box(*SHAPE), chunks)


def found(pixels: list[np.ndarray], chunks: Any = None, **how: Any) -> ChangeMap:
    before, after, *sure = (on_grid(p, chunks) for p in pixels)
    return detect_change(before, after, confidence=(sure[0], sure[1]), **how)


def expected(pixels: list[np.ndarray], size: int) -> np.ndarray:
    """Return what happened; patches of change of fewer pixels than ``size`` are small."""
    before, after, one, other = pixels
    both = (one != 255) & (other != 255) & (one >= 200) & (other >= 200)
    known = (before > 0) & (after > 0)
    happened = np.select([~known, before == after, both], [0, 1, 2], 3).astype(np.uint8)
    labeled: Any = label(happened == 2, np.ones((3, 3)))
    patches = labeled[0]
    happened[(happened == 2) & (np.bincount(patches.ravel())[patches] < size)] = 4
    return happened


@given(seed=st.integers(0, 99), rows=st.integers(7, 40), cols=st.integers(7, 50))
@settings(max_examples=6)
def test_any_chunks_give_what_was_worked_out_by_hand(seed: int, rows: int, cols: int) -> None:
    pixels = maps(seed)
    change = found(pixels, (rows, cols), size=6)
    np.testing.assert_array_equal(change.happened.to_numpy(), expected(pixels, 6))
    for year, made in zip(pixels[:2], (change.before, change.after), strict=True):
        np.testing.assert_array_equal(made.to_numpy(), year * (expected(pixels, 1) > 0))


@pytest.mark.parametrize("chunks", [None, 2, (3, 7)])
@pytest.mark.parametrize("around", [0, 8])
def test_change_that_touches_only_no_data_or_thin_ground_is_small(chunks: Any, around: int) -> None:
    before, after = np.zeros(SHAPE, np.uint8), np.zeros(SHAPE, np.uint8)
    before[10:13, 10:13] = after[10:13, 10:13] = around
    before[11, 11], after[11, 11] = 8, 1  # a pixel in a ring of no data, or of eight
    before[20:24, 20:24], after[20:24, 20:24] = 8, 1  # as large as the unit
    before[30:33, 30:35], after[30:33, 30:35] = 8, 1  # a pixel less
    sure = np.full(SHAPE, 250, np.uint8)
    change = found([before, after, sure, sure], chunks, size=16)
    happened = change.happened.to_numpy()
    np.testing.assert_array_equal(happened, expected([before, after, sure, sure], 16))
    assert (happened == 2).sum() == 16
    assert (happened == 4).sum() == 16
    assert change.transitions()[8, 1] == pytest.approx(16e-4)


def test_a_map_below_the_mapping_unit_has_no_change() -> None:
    before, after, *sure = (
        raster(np.full((3, 3), k, np.uint8), box(3, 3)) for k in (8, 1, 250, 250)
    )
    for size, code in ((9, 2), (10, 4)):
        change = detect_change(before, after, confidence=(sure[0], sure[1]), size=size)
        assert (change.happened == code).all()


@pytest.mark.usefixtures("no_compute")
def test_a_map_of_change_is_lazy() -> None:
    change = found(maps(), 20, size=6)
    assert change.happened.chunks is not None
    assert "both years sure" in repr(change)


def test_transitions_are_counted_in_square_kilometers() -> None:
    pixels = maps(1)
    change, happened = found(pixels, size=6), expected(pixels, 6)
    table = change.transitions()
    for i, j in product(IDS, IDS):
        pairs = (happened == 2) & (pixels[0] == i) & (pixels[1] == j)
        assert table[i, j] == pytest.approx(pairs.sum() * 1e-4)
    areas = change.areas()
    assert list(areas) == ["stable", "change", "unsure", "small"]
    assert list(areas.values()) == pytest.approx(
        [(happened == k).sum() * 1e-4 for k in range(1, 5)]
    )
    report = change.to_dict()
    assert sum(p["counted_km2"] for p in report["transitions"]) == pytest.approx(areas["change"])
    assert "interval" in report["note"]


def brute_force(p: np.ndarray, q: np.ndarray, stay: float, threshold: float) -> list[int]:
    """Judge one pixel over all pairs of classes."""
    joint = {
        (c, d): p[c] * q[d] * (stay if c == d else (1 - stay) / (len(p) - 1))
        for c, d in product(range(len(p)), repeat=2)
    }
    total = sum(joint.values())
    moved = sum(v for (c, d), v in joint.items() if c != d) / total
    same = {k: v for k, v in joint.items() if k[0] == k[1]}
    apart = {k: v for k, v in joint.items() if k[0] != k[1]}
    stable = moved < threshold and 1 - moved >= threshold
    best = max(same if stable else apart, key=(same if stable else apart).__getitem__)
    code = 2 if moved >= threshold else 1 if stable else 3
    return [code, *(int(IDS[k]) for k in best)]


def test_the_filter_is_that_over_all_pairs_of_classes() -> None:
    rng = np.random.default_rng(4)
    before, after = rng.dirichlet([0.25] * 3, (2, 300)).astype(np.float32).transpose(0, 2, 1)
    judged = judge_filtered(before[..., None], after[..., None], IDS, 0.9, 0.8)[..., 0]
    by_hand = [brute_force(before[:, i], after[:, i], 0.9, 0.8) for i in range(300)]
    np.testing.assert_array_equal(judged.T, by_hand)
    assert set(judged[0].tolist()) == {1, 2, 3}


def test_the_filter_reads_lazy_probabilities_by_name() -> None:
    rng = np.random.default_rng(2)
    years = rng.dirichlet([0.3] * 3, (2, *SHAPE)).transpose(0, 3, 1, 2)
    scaled = np.round(years * 250).astype(np.uint8)
    scaled[0, :, 2, 2] = 255
    names = ["urban", "5", "water"]
    stacks = [
        xr.concat([on_grid(layer, 16) for layer in year], "class").assign_coords({"class": names})
        for year in scaled
    ]
    classes = [on_grid(IDS[year.argmax(axis=0)], 16) for year in years]
    change = detect_change(*classes, probabilities=(stacks[0], stacks[1]), stay=0.9)
    by_hand = judge_filtered(as_shares(scaled[0]), as_shares(scaled[1]), IDS, 0.9, 0.8)
    np.testing.assert_array_equal(change.happened.to_numpy(), by_hand[0])
    np.testing.assert_array_equal(change.after.to_numpy(), by_hand[2])
    assert change.happened[2, 2] == 0


def test_the_filter_leaves_a_networks_class_of_unlabeled_ground_out() -> None:
    years = np.random.default_rng(3).dirichlet([0.3] * 3, (2, *SHAPE)).transpose(0, 3, 1, 2)
    names = [0, *IDS.tolist()]
    classes = [on_grid(IDS[year.argmax(axis=0)]) for year in years]
    ground = np.full((1, *SHAPE), 0.9)
    without, within = (
        [
            xr.concat([on_grid(v) for v in layers], "class").assign_coords({"class": named})
            for layers in stacks
        ]
        for stacks, named in ((years, names[1:]), ([[*ground, *year] for year in years], names))
    )
    expected, found = (detect_change(*classes, probabilities=(p, q)) for p, q in (without, within))
    for name in ("happened", "before", "after"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))


def test_points_of_a_design_give_the_area_of_change_an_interval() -> None:
    change = found(maps(3), 20, size=6)
    design = change.design_points(400, min_per_stratum=60, seed=1)
    assert [s.name for s in design.strata] == ["stable", "change", "unsure", "small"]
    points = design.points.assign(class_id=np.where(design.points["map_class"] == 2, 2, 1))
    legend = load_legend("change")
    report = assess(change.happened, points, design=design, legend=legend)
    assert "read the figures of change, not the overall accuracy" in report.notes[-1]
    area = report.figures.areas[1]
    assert area.value == pytest.approx(change.areas()["change"])
    missed = points.assign(class_id=np.where(points["id"] % 7 == 0, 2, points["class_id"]))
    wider = assess(change.happened, missed, design=design, legend=legend).figures.areas[1]
    assert wider.low < wider.value < wider.high
    assert wider.value > area.value
    assert legend == change_legend()


def test_what_cannot_be_judged_is_refused() -> None:
    before, after, *sure = (on_grid(p) for p in maps())
    pair: Any = tuple(sure)
    with pytest.raises(InputError, match="either confidence or probabilities"):
        detect_change(before, after)
    with pytest.raises(InputError, match=r"threshold is 0\.4"):
        detect_change(before, after, confidence=pair, threshold=0.4)
    with pytest.raises(InputError, match="other year"):
        detect_change(before, after[1:], confidence=pair)
    strange = detect_change(on_grid(np.full(SHAPE, 40, np.uint8)), after, confidence=pair)
    with pytest.raises(InputError, match="holds class 40"):
        strange.transitions()
    same = on_grid(np.full(SHAPE, 40, np.uint8))
    with pytest.raises(InputError, match="holds class 40"):  # though nothing changed
        detect_change(same, same, confidence=pair).areas()
    per_cent: Any = tuple(on_grid(np.full(SHAPE, 90, np.float32)) for _ in pair)
    with pytest.raises(InputError, match="range from 0 to 90; expected 0 to 1"):
        detect_change(before, after, confidence=per_cent).areas()
