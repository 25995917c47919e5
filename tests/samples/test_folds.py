"""Folds: what is held out, how far apart splits are, and that pixels are scored once."""

from itertools import combinations

import numpy as np
import pytest
import xarray as xr

from osm4eo_xr.errors import InputError
from osm4eo_xr.samples.draw import draw_samples
from osm4eo_xr.samples.folds import Fold, block_folds, tile_folds
from osm4eo_xr.samples.ground import ground_pixels
from tests.cases.train_case import box, ground, raster, small_legend, spectra

PATCH, GAP = 8, 8  # pixels


@pytest.fixture(scope="module")
def samples() -> xr.Dataset:
    """Return the samples of two tiles that overlap, all drawn for training."""
    tiles = [(0, 0), (0, 100)]
    labels = ground(160, 260)
    image = spectra(labels)
    grids = [box(160, 160, top, left) for top, left in tiles]
    cut = [(..., slice(0, 160), slice(left, left + 160)) for _, left in tiles]
    return draw_samples(
        [raster(image[part], grid) for part, grid in zip(cut, grids, strict=True)],
        [raster(labels[part], grid) for part, grid in zip(cut, grids, strict=True)],
        per_class=60,
        patch=PATCH,
        block=300.0,
        shares=(1, 0, 0),
        legend=small_legend(),
    ).compute()


def splits(fold: Fold) -> dict[int, np.ndarray]:
    """Return the drawn pixels (n, 2) of each split."""
    places = np.stack(ground_pixels(fold.samples), axis=1)
    return {s: places[fold.samples["split"].values == s] for s in range(3)}


def apart(a: np.ndarray, b: np.ndarray) -> int:
    """Return the least number of pixels between windows of two lists of drawn pixels."""
    centers = np.abs(a[:, None] - b[None]).max(axis=-1).min()
    return int(centers) - PATCH


@pytest.mark.parametrize("by", ["block", "tile"])
def test_windows_of_different_splits_keep_the_gap(samples: xr.Dataset, by: str) -> None:
    folds = list(block_folds(samples, 3) if by == "block" else tile_folds(samples))
    assert len(folds) == (3 if by == "block" else 2)
    for fold in folds:
        parts = splits(fold)
        assert all(len(part) for part in parts.values())
        assert min(apart(parts[a], parts[b]) for a, b in combinations(parts, 2)) >= GAP
        assert fold.left_out + sum(map(len, parts.values())) == samples.sizes["sample"]


def test_each_block_is_held_out_once(samples: xr.Dataset) -> None:
    held_out = [set(map(tuple, splits(fold)[2])) for fold in block_folds(samples, 5)]
    assert sum(map(len, held_out)) == len(set.union(*held_out)) > 100
    again = [set(map(tuple, splits(fold)[2])) for fold in block_folds(samples, 5)]
    other = [set(map(tuple, splits(fold)[2])) for fold in block_folds(samples, 5, seed=1)]
    assert held_out == again != other


def test_a_whole_tile_is_held_out(samples: xr.Dataset) -> None:
    for k, fold in enumerate(tile_folds(samples)):
        tile = fold.samples["tile"].values[fold.samples["split"].values == 2]
        assert fold.name == f"tile tile{k}"
        assert (tile == k).all()
        assert len(tile) == (samples["tile"].values == k).sum()
        assert not (fold.samples["tile"].values[fold.samples["split"].values < 2] == k).any()


def test_each_held_out_pixel_of_the_ground_is_labeled_once(samples: xr.Dataset) -> None:
    fold = next(iter(tile_folds(samples)))
    part = fold.samples.isel(sample=fold.samples["split"].values == 2).compute()
    row, col = ground_pixels(part)
    reach = np.arange(PATCH) - PATCH // 2
    at = np.nonzero(part["label"].values)
    seen = np.stack([(row[:, None] + reach)[at[0], at[1]], (col[:, None] + reach)[at[0], at[2]]])
    assert len(np.unique(seen, axis=1).T) == len(seen.T) > 500
    whole = samples["label"].values[samples["tile"].values == 0] > 0
    assert len(seen.T) < whole.sum()


def test_training_windows_keep_all_their_labels(samples: xr.Dataset) -> None:
    fold = next(iter(block_folds(samples, 3)))
    learned = fold.samples.isel(sample=fold.samples["split"].values == 0)
    places = {tuple(p): k for k, p in enumerate(np.stack(ground_pixels(samples), axis=1))}
    index = [places[tuple(p)] for p in np.stack(ground_pixels(learned), axis=1)]
    np.testing.assert_array_equal(learned["label"].values, samples["label"].values[index])


def test_folds_that_cannot_be_are_refused(samples: xr.Dataset) -> None:
    with pytest.raises(InputError, match=r"26 folds.*2 to 25"):
        list(block_folds(samples, 26))
    with pytest.raises(InputError, match="validation is 1"):
        list(block_folds(samples, 3, validation=1))
    with pytest.raises(InputError, match="blocks of 10 pixels are too small"):
        list(block_folds(samples, 3, block=100.0))
    with pytest.raises(InputError, match="has one tile"):
        list(tile_folds(samples.isel(sample=samples["tile"].values == 0)))
    with pytest.raises(InputError, match="fold 1 of 3 has no sample in"):
        list(block_folds(samples.isel(sample=[0, 1]), 3))
    nowhere = samples.assign(easting=("sample", np.full(samples.sizes["sample"], np.nan)))
    with pytest.raises(InputError, match="does not say where"):
        list(block_folds(nowhere, 3))
