"""Rates of class changes at tile edges, against plain counting; seams that are there or not."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osm4eo_xr.errors import InputError
from osm4eo_xr.geometry.grid import georeference, target_geobox
from osm4eo_xr.maps.seams import BESIDE, block_seam, seam_certificate

BOX = target_geobox((4_321_000, 3_210_000, 4_323_000, 3_211_600))  # 160 rows, 200 columns
TILES = {
    f"{i}{j}": BOX[i * 80 : i * 80 + 80, j * 100 : j * 100 + 100] for i in (0, 1) for j in (0, 1)
}


def patches(seed: int) -> np.ndarray:
    """Return classes that know nothing of tiles, with some no data."""
    rng = np.random.default_rng(seed)
    values = rng.integers(1, 5, BOX.shape, dtype=np.uint8)
    values[rng.random(values.shape) < 0.02] = 0
    return values


def rate(values: np.ndarray, column: int) -> tuple[int, int]:
    a, b = values[:, column - 1], values[:, column]
    both = (a > 0) & (b > 0)
    return int((both & (a != b)).sum()), int(both.sum())


@settings(max_examples=10)
@given(y=st.integers(20, 160), x=st.integers(20, 200))
def test_rates_are_counted_on_the_line_and_beside_it_for_any_chunks(y: int, x: int) -> None:
    values = patches(0)
    lazy = georeference(values, BOX).chunk(y=y, x=x)
    found = seam_certificate(lazy, TILES)
    assert found == seam_certificate(georeference(values, BOX), TILES)
    vertical = [s for s in found if (s.axis, s.at) == ("x", 100)]
    assert [(s.start, s.end) for s in vertical] in ([(0, 80), (80, 160)], [(80, 160), (0, 80)])
    changes, pairs = rate(values, 100)
    assert sum(s.pairs for s in vertical) == pairs
    assert sum(s.across * s.pairs for s in vertical) == pytest.approx(changes)
    for s in vertical:
        part = values[s.start : s.end]
        counted = np.sum([rate(part, 100 + d) for n in BESIDE for d in (-n, n)], axis=0)
        assert s.beside == pytest.approx(counted[0] / counted[1])
        assert s.excess == pytest.approx(s.across - s.beside)


def test_a_map_without_seams_is_certified_and_one_with_seams_is_not() -> None:
    certified = 0
    for seed in range(20):
        whole = seam_certificate(georeference(patches(seed), BOX), TILES)[0]
        certified += whole.low <= 0 <= whole.high
    assert certified >= 16
    values = patches(0)
    values[:, 100:] += 4 * (values[:, 100:] > 0).astype(np.uint8)  # other classes in the east
    whole, worst, *_ = seam_certificate(georeference(values, BOX), TILES)
    assert worst.axis == "x"
    assert worst.excess > whole.excess > 0
    shifted = np.where(np.arange(200) < 100, 3, 4).astype(np.uint8) * np.ones((160, 1), np.uint8)
    found = seam_certificate(georeference(shifted, BOX), TILES)
    line = next(s for s in found if s.axis == "x")
    assert (line.across, line.beside, line.low, line.high) == (1, 0, 1, 1)


def test_shares_of_classes_shift_where_tiles_differ() -> None:
    rng = np.random.default_rng(0)
    values = (rng.random(BOX.shape) < 0.2).astype(np.uint8) + np.uint8(1)
    values[:, 100:] = (rng.random((160, 100)) < 0.6).astype(np.uint8) + np.uint8(1)
    found = seam_certificate(georeference(values, BOX), TILES)
    for line in found[1:]:
        strips = values if line.axis == "y" else values.T
        parts = [
            strips[line.at + k : line.at + k + 8, line.start : line.end] == 1
            for k in (-16, -8, 0, 8)
        ]
        a, b, c, d = (part.mean() for part in parts)
        assert line.shift == pytest.approx(abs(b - c) - (abs(a - b) + abs(c - d)) / 2)
        assert line.shift_low <= line.shift <= line.shift_high
        assert (line.shift_low > 0.2) == (line.axis == "x")
    assert found[0].shift == pytest.approx(0.2, abs=0.06)  # half of the lines


def test_a_seam_names_its_worst_part() -> None:
    values = np.ones(BOX.shape, np.uint8)
    values[120:150, 100:] = 2
    worst = seam_certificate(georeference(values, BOX), TILES)[1]
    assert (worst.axis, worst.at, worst.start, worst.worst) == ("x", 100, 80, 112)


def test_edges_of_the_map_are_none_and_other_grids_are_refused() -> None:
    whole = seam_certificate(georeference(patches(0), BOX), {"all": BOX})
    assert len(whole) == 1
    assert whole[0].pairs == 0
    assert whole[0].to_dict()["excess"] is None
    with pytest.raises(InputError, match="tile a lies on another grid"):
        seam_certificate(georeference(patches(0), BOX), {"a": BOX.translate_pix(0.5, 0)})


def test_blocks_of_a_network_s_cells_show_only_where_they_differ() -> None:
    def cells(seed: int) -> np.ndarray:
        rng = np.random.default_rng(seed)
        return rng.integers(1, 4, (40, 50), dtype=np.uint8).repeat(4, axis=0).repeat(4, axis=1)

    certified, mistaken, edges = 0, 0, ([64, 128], [96])
    for seed in range(20):
        tile = (georeference(cells(seed), BOX), *edges)
        found = block_seam([tile], stride=4)
        certified += found.low <= 0 <= found.high
        assert found.pairs == 2 * 200 + 160
        mistaken += block_seam([tile]).low > 0  # beside lines within cells
    assert certified >= 16
    assert mistaken >= 10
    values = cells(0)
    values[64:128, 96:] += 3
    lazy = georeference(values, BOX).chunk(y=70, x=50)
    found = block_seam([(lazy, *edges), (lazy, [], [])], stride=4)
    assert found == block_seam([(georeference(values, BOX), *edges)], stride=4)
    assert found.low > 0
    assert block_seam([], stride=4).pairs == 0
