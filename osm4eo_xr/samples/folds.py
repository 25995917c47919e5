"""A sample set divided anew into folds, each with training, validation and test of its own.

Folds are made of whole spatial blocks, or of whole tiles. The rule that keeps splits apart is the
one of the draw: a window belongs to a split if it and half the gap around it lie in blocks of that
split, so windows of different splits are at least the set's gap apart.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import dask.array as da
import numpy as np
from scipy.spatial import KDTree

from osm4eo_xr.errors import InputError
from osm4eo_xr.samples.ground import block_side, check_places, ground_pixels
from osm4eo_xr.samples.spatial_split import CELL, SPLITS, Drawn, rank_of_blocks
from osm4eo_xr.samples.store import STORE_CHUNK
from osm4eo_xr.samples.windows import keep_owned

if TYPE_CHECKING:
    import xarray as xr
    from jaxtyping import Int, UInt8

_RANKS = CELL * CELL
_NO_SPLIT = 255
_LEAST = 2  # folds, and tiles, without which nothing would be left to learn from


@dataclass(frozen=True)
class Fold:
    """One division of a sample set.

    Attributes
    ----------
    name : str
        What is held out.
    samples : Dataset
        The set without the windows that are too near another split; its ``split`` is the fold's.
    left_out : int
        Such windows.
    """

    name: str
    samples: xr.Dataset
    left_out: int

    def size(self, split: str) -> int:
        """Return the windows of a split."""
        return int((self.samples["split"].values == SPLITS.index(split)).sum())


def block_folds(
    samples: xr.Dataset,
    k: int,
    *,
    validation: float = 0.1,
    block: float | None = None,
    seed: int = 0,
) -> Iterator[Fold]:
    """Yield ``k`` folds of spatial blocks; each block is held out once.

    Parameters
    ----------
    samples : Dataset
        As ``draw_samples`` or ``open_samples`` returns it.
    k : int
        Folds, 2 to 25.
    validation : float
        Share of the blocks that choose the best epoch of each fold.
    block : float, optional
        Edge of a block in meters; by default that of the set.
    seed : int
        Another seed gives other folds.

    Raises
    ------
    InputError
        If an argument is out of range, the samples have no places, or a fold lacks a split.
    """
    check_places(samples)
    if not _LEAST <= k <= _RANKS:
        raise InputError(f"{k} folds", expected=f"{_LEAST} to {_RANKS}")
    held = _validation_ranks(validation, most=_RANKS - -(-_RANKS // k) - 1)
    rank, ground = _corner_ranks(samples, block, seed), ground_pixels(samples)
    edges = np.linspace(0, _RANKS, k + 1).round().astype(int)
    for f, (first, last) in enumerate(pairwise(edges)):
        turned = (np.arange(_RANKS) - first) % _RANKS
        test, stop = last - first, last - first + held
        table = np.where(turned < test, 2, np.where(turned < stop, 1, 0)).astype(np.uint8)
        yield _fold(f"fold {f + 1} of {k}", samples, _agreed(table[rank]), ground)


def tile_folds(
    samples: xr.Dataset, *, validation: float = 0.1, block: float | None = None, seed: int = 0
) -> Iterator[Fold]:
    """Yield a fold per tile, which is held out whole; the arguments are those of ``block_folds``.

    Windows of other tiles that overlap the tile or are nearer than the gap are left out.
    """
    check_places(samples)
    tiles = np.unique(samples["tile"].values)
    if len(tiles) < _LEAST:
        raise InputError(
            "the sample set has one tile; leave-one-tile-out needs two or more",
            advice="draw from more tiles, or cross-validate by block",
        )
    held = _validation_ranks(validation, most=_RANKS - 1)
    table = (np.arange(_RANKS) < held).astype(np.uint8)
    rank, ground = _corner_ranks(samples, block, seed), ground_pixels(samples)
    within, reach = _agreed(table[rank]), _patch(samples) + 2 * _margin(samples)
    for tile in tiles.tolist():
        own = samples["tile"].values == tile
        split = np.where(_near(ground, own, reach), np.uint8(_NO_SPLIT), within)
        split[own] = 2
        yield _fold(f"tile {samples.attrs['tiles'][tile]}", samples, split, ground)


def _validation_ranks(share: float, *, most: int) -> int:
    """Return how many of a cell's blocks are for validation."""
    if not 0 < share < 1:
        raise InputError(f"validation is {share}", expected="a share above 0 and below 1")
    return min(max(1, round(share * _RANKS)), most)


def _corner_ranks(samples: xr.Dataset, block: float | None, seed: int) -> Int[np.ndarray, "4 n"]:
    """Return the ranks of the blocks under the corners of each window with half the gap."""
    patch, margin, edge = _patch(samples), _margin(samples), block_side(samples, block)
    if edge < patch + 2 * margin:
        raise InputError(
            f"blocks of {edge} pixels are too small for windows of {patch} that stay "
            f"{2 * margin} apart",
            advice="give a greater block",
        )
    before, after = patch // 2 + margin, patch - patch // 2 - 1 + margin
    row, col = ground_pixels(samples)
    corners = [
        ((row + down) // edge, (col + right) // edge)
        for down in (-before, after)
        for right in (-before, after)
    ]
    return np.stack([rank_of_blocks(r, c, seed=seed) for r, c in corners])


def _patch(samples: xr.Dataset) -> int:
    return int(samples.sizes["y"])


def _margin(samples: xr.Dataset) -> int:
    """Return half the gap in pixels."""
    return round(float(samples.attrs["gap"]) / float(samples.attrs["resolution"]) / 2)


def _agreed(corners: UInt8[np.ndarray, "4 n"]) -> UInt8[np.ndarray, " n"]:
    """Return the split that all corners of a window are in, 255 where they differ."""
    return np.where((corners == corners[0]).all(axis=0), corners[0], np.uint8(_NO_SPLIT))


def _near(ground: tuple[np.ndarray, np.ndarray], own: np.ndarray, reach: int) -> np.ndarray:
    """Whether a window's center is nearer than ``reach`` pixels to one of ``own``, both ways."""
    places = np.stack(ground, axis=1)
    distance, _ = KDTree(places[own]).query(places, p=np.inf)
    return np.asarray(distance) < reach


def _fold(
    name: str, samples: xr.Dataset, split: np.ndarray, ground: tuple[np.ndarray, np.ndarray]
) -> Fold:
    """Return the samples that have a split; each held-out pixel is labeled in one of them."""
    missing = [known for k, known in enumerate(SPLITS) if not (split == k).any()]
    if missing:
        raise InputError(
            f"{name} has no sample in {missing[0]}: all lie too near another split, or none there",
            advice="draw more samples, or give fewer folds or a smaller gap",
        )
    kept = np.flatnonzero(split != _NO_SPLIT)
    part, split = samples.isel(sample=kept), split[kept].astype(np.uint8)
    row, col = (axis[kept] for axis in ground)
    drawn = Drawn(np.zeros(len(kept), np.uint8), split, row, col, np.zeros(len(kept), np.uint64))
    patch = _patch(samples)
    label = da.asarray(part["label"].data).rechunk((STORE_CHUNK, patch, patch))
    owned = keep_owned(label, drawn, patch)
    part = part.assign(split=("sample", split), label=(("sample", "y", "x"), owned))
    return Fold(name, part, len(samples["split"]) - len(kept))
