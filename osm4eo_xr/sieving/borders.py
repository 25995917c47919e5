"""What a block of the raster tells its neighbors, and what comes back.

A block is a chunk or a rectangle of chunks. A region that touches an open side of the block, one
beyond which the raster goes on, is an *outer* region: its size may grow and its neighbors are
not all known. Everything else, an *inner* region, has its final size, and can matter outside only
where the chain of an outer region leads through it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from osm4eo_xr.sieving.kernels import NONE

if TYPE_CHECKING:
    from jaxtyping import Bool, Int32, Int64, UInt32


@dataclass(frozen=True)
class Rule:
    """What is sieved.

    Attributes
    ----------
    size : int
        Regions of at least so many pixels stay.
    diagonal : int
        1 when pixels that meet at a corner are connected, else 0.
    width : int
        Columns of the whole raster.
    nodata : int or None
        Value of pixels that take no part, as an unsigned bit pattern.
    protected : tuple of int
        Values whose regions always stay, as unsigned bit patterns.
    """

    size: int
    diagonal: int
    width: int
    nodata: int | None
    protected: tuple[int, ...]


@dataclass(frozen=True)
class Sides:
    """One entry per pixel along each side of a block: its region, or -1; empty if closed."""

    top: Int32[np.ndarray, " top"]
    bottom: Int32[np.ndarray, " bottom"]
    left: Int32[np.ndarray, " left"]
    right: Int32[np.ndarray, " right"]

    def renumber(self, number: Int32[np.ndarray, " old"]) -> Sides:
        """Return the sides with each region replaced by ``number[region]``."""
        return Sides(*(self._renumbered(s, number) for s in self.all()))

    def all(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return top, bottom, left and right."""
        return self.top, self.bottom, self.left, self.right

    @staticmethod
    def _renumbered(side: np.ndarray, number: np.ndarray) -> np.ndarray:
        out = np.full(side.shape, NONE, np.int32)
        inside = side != NONE
        out[inside] = number[side[inside]]
        return out


@dataclass(frozen=True)
class Links:
    """Links between regions in scan order.

    Attributes
    ----------
    a, b : int32 array
        The two regions of each.
    key : int64 array
        Where the link is first met: 4 * (row * raster width + column) of its later pixel, plus 0,
        1, 2, 3 for the earlier pixel above, above left, above right or left of it.
    """

    a: Int32[np.ndarray, " link"]
    b: Int32[np.ndarray, " link"]
    key: Int64[np.ndarray, " link"]

    def take(self, which: np.ndarray) -> Links:
        """Return a part of the links, in the order of ``which``."""
        return Links(self.a[which], self.b[which], self.key[which])

    def renumber(self, number: np.ndarray) -> Links:
        """Return the links with each region replaced by ``number[region]``."""
        return Links(number[self.a], number[self.b], self.key)

    def in_order(self) -> Links:
        """Return them sorted by key."""
        return self.take(np.argsort(self.key, kind="stable"))

    def firsts(self) -> Links:
        """Return the first link of each pair of regions; links must be in order."""
        low, high = np.minimum(self.a, self.b), np.maximum(self.a, self.b)
        _, first = np.unique(low.astype(np.int64) << 32 | high, return_index=True)
        return self.take(np.sort(first))

    @staticmethod
    def concatenate(parts: list[Links]) -> Links:
        """Return all links of the parts, part by part."""
        return Links(
            np.concatenate([p.a for p in parts]),
            np.concatenate([p.b for p in parts]),
            np.concatenate([p.key for p in parts]),
        )


@dataclass(frozen=True)
class Border:
    """What a block tells its neighbors.

    Attributes
    ----------
    row, column : int
        The block's first row and column in the raster.
    sides : Sides
    outer : int
        The regions 0 to ``outer - 1`` touch an open side; the rest are inner ones that chains of
        small outer regions may lead through.
    size : int64 array
        Pixels of each region inside the block.
    value : uint32 array
    protected : bool array
        Whether the region stays whatever its size.
    links : Links
        Of every region below the threshold: all that join it to outer regions, by their first
        place, and the one to its biggest inner neighbor.
    """

    row: int
    column: int
    sides: Sides
    outer: int
    size: Int64[np.ndarray, " region"]
    value: UInt32[np.ndarray, " region"]
    protected: Bool[np.ndarray, " region"]
    links: Links


@dataclass(frozen=True)
class Fates:
    """What the whole raster tells a block about its outer regions, in their order.

    Attributes
    ----------
    size : int32 array
        Size in the whole raster, saturated.
    target : int64 array
        Value the region ends with; -1 where its chain leads nowhere and it keeps its own.
    """

    size: Int32[np.ndarray, " outer"]
    target: Int64[np.ndarray, " outer"]


NO_FATES = Fates(np.empty(0, np.int32), np.empty(0, np.int64))
"""For a block without open sides."""


def number_told(
    outer: Bool[np.ndarray, " region"], told: Bool[np.ndarray, " region"]
) -> tuple[Int32[np.ndarray, " region"], Int64[np.ndarray, " told"]]:
    """Return the new number of each region (-1 if not told), and the old ones in new order.

    Outer regions come first, each kind in its old order.
    """
    order = np.concatenate([np.flatnonzero(outer), np.flatnonzero(told & ~outer)])
    number = np.full(outer.size, NONE, np.int32)
    number[order] = np.arange(order.size)
    return number, order
