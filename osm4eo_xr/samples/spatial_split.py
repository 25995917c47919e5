"""Spatial blocks, their splits, and the hashed draw of pixels: arrays only.

Rows and columns here are global: counted in pixels from the origin of the CRS, rows southward. They
name the same ground in every tile of a grid, whatever its extent and chunks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Bool, Int, UInt8, UInt64

SPLITS = ("train", "validation", "test")
"""Names of the values 0, 1 and 2 of ``split``."""

CELL = 5
"""Blocks along each side of a cell; every cell holds the same number of blocks of each split."""

_NO_SPLIT = 255
_SALT_OF_BLOCKS = 0x5F3759DF


@dataclass(frozen=True)
class DrawSettings:
    """What decides a draw, in pixels.

    Attributes
    ----------
    seed : int
        Seed of both hashes.
    patch : int
        Edge of a sample's window; the drawn pixel is at index ``patch // 2``.
    block : int
        Edge of a spatial block.
    margin : int
        Ground around a window that belongs to its split too: half the gap.
    blocks : tuple of int
        Blocks of train, validation and test in each cell of ``CELL`` by ``CELL``.
    quotas : tuple of int
        Pixels to draw per class for train, validation and test.
    """

    seed: int
    patch: int
    block: int
    margin: int
    blocks: tuple[int, int, int]
    quotas: tuple[int, int, int]


@dataclass(frozen=True)
class Drawn:
    """Drawn pixels: class, split, global row and column, hash; all of one length."""

    label: UInt8[np.ndarray, " n"]
    split: UInt8[np.ndarray, " n"]
    row: Int[np.ndarray, " n"]
    col: Int[np.ndarray, " n"]
    key: UInt64[np.ndarray, " n"]

    def take(self, index: np.ndarray) -> Drawn:
        """Return the pixels at ``index``."""
        parts = (self.label, self.split, self.row, self.col, self.key)
        return Drawn(*(part[index] for part in parts))


def hash_pixels(
    seed: int, row: Int[np.ndarray, "*shape"], col: Int[np.ndarray, "*shape"]
) -> UInt64[np.ndarray, "*shape"]:
    """Hash (seed, row, column) to 64 bits with SplitMix64 (Steele et al. 2014), chained."""
    state = _mix(np.full(row.shape, seed & (2**64 - 1), np.uint64))
    state = _mix(state ^ row.astype(np.int64).view(np.uint64))
    return _mix(state ^ col.astype(np.int64).view(np.uint64))


def _mix(state: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        z = state + np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def apportion(total: int, shares: tuple[float, float, float]) -> tuple[int, int, int]:
    """Divide ``total`` in whole numbers by largest remainder."""
    exact = np.asarray(shares) * total / sum(shares)
    whole = np.floor(exact + 1e-9).astype(int)
    order = np.argsort(whole - exact, kind="stable")
    whole[order[: total - whole.sum()]] += 1
    return int(whole[0]), int(whole[1]), int(whole[2])


def split_of_blocks(
    row: Int[np.ndarray, " r"],
    col: Int[np.ndarray, " c"],
    *,
    seed: int,
    blocks: tuple[int, int, int],
) -> UInt8[np.ndarray, "r c"]:
    """Return the split of each block, by the rank of its hash within its cell.

    Ranks keep the numbers of blocks per split fixed in every cell, so that even a scene of a few
    cells has all three splits, without looking at any label.
    """
    rank = rank_of_blocks(*np.meshgrid(row, col, indexing="ij"), seed=seed)
    return np.searchsorted(np.cumsum(blocks), rank, side="right").astype(np.uint8)


def rank_of_blocks(
    row: Int[np.ndarray, "*shape"], col: Int[np.ndarray, "*shape"], *, seed: int
) -> Int[np.ndarray, "*shape"]:
    """Return the rank of each block's hash among the blocks of its cell, 0 to ``CELL``² - 1."""
    own = hash_pixels(seed ^ _SALT_OF_BLOCKS, row, col)
    top, left = row - row % CELL, col - col % CELL
    rank = np.zeros(row.shape, np.int64)
    for step in range(CELL * CELL):
        other = hash_pixels(seed ^ _SALT_OF_BLOCKS, top + step // CELL, left + step % CELL)
        rank += other < own
    return rank


def split_of_pixels(
    row: Int[np.ndarray, " r"], col: Int[np.ndarray, " c"], settings: DrawSettings
) -> UInt8[np.ndarray, "r c"]:
    """Return the split of each pixel whose window, margin included, lies in one split; else 255."""
    before = settings.patch // 2 + settings.margin
    after = settings.patch - settings.patch // 2 - 1 + settings.margin
    row_ends = [np.floor_divide(row + reach, settings.block) for reach in (-before, after)]
    col_ends = [np.floor_divide(col + reach, settings.block) for reach in (-before, after)]
    rows = np.arange(row_ends[0].min(), row_ends[1].max() + 1)
    cols = np.arange(col_ends[0].min(), col_ends[1].max() + 1)
    table = split_of_blocks(rows, cols, seed=settings.seed, blocks=settings.blocks)
    corners = [table[np.ix_(r - rows[0], c - cols[0])] for r in row_ends for c in col_ends]
    one = np.logical_and.reduce([corner == corners[0] for corner in corners])
    return np.where(one, corners[0], np.uint8(_NO_SPLIT))


def draw_from_block(
    labels: UInt8[np.ndarray, "r c"],
    usable: Bool[np.ndarray, "r c"],
    top: int,
    left: int,
    settings: DrawSettings,
) -> Drawn:
    """Draw from one block of a raster whose first pixel is global (``top``, ``left``).

    Returns at most the quota per class and split: the pixels of least hash.
    """
    row = np.arange(top, top + labels.shape[0])
    col = np.arange(left, left + labels.shape[1])
    split = split_of_pixels(row, col, settings)
    i, j = np.nonzero(usable & (labels > 0) & (split != _NO_SPLIT))
    key = hash_pixels(settings.seed, row[i], col[j])
    return least(Drawn(labels[i, j], split[i, j], row[i], col[j], key), settings.quotas)


def least(drawn: Drawn, quotas: tuple[int, int, int]) -> Drawn:
    """Keep the quota of least hash per class and split, in ascending order of all three."""
    order = np.lexsort((drawn.col, drawn.row, drawn.key, drawn.split, drawn.label))
    drawn = drawn.take(order)
    stratum = drawn.label.astype(np.int64) * len(SPLITS) + drawn.split
    starts = np.searchsorted(stratum, stratum, side="left")
    rank = np.arange(stratum.size) - starts
    return drawn.take(np.nonzero(rank < np.asarray(quotas)[drawn.split])[0])


def combine(parts: list[Drawn], quotas: tuple[int, int, int]) -> Drawn:
    """Merge draws from several blocks."""
    names = ("label", "split", "row", "col", "key")
    joined = [np.concatenate([getattr(part, name) for part in parts]) for name in names]
    return least(Drawn(*joined), quotas)
