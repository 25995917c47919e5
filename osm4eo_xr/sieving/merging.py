"""Blocks become larger blocks, and the fates of large blocks those of small ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from osm4eo_xr.sieving.borders import Border, Fates, Links, Rule, Sides, number_told
from osm4eo_xr.sieving.chains import biggest_links, follow_chains, mark_chains
from osm4eo_xr.sieving.kernels import NONE, SATURATION, unite_pairs

if TYPE_CHECKING:
    from jaxtyping import Int32


@dataclass(frozen=True)
class _Joined:
    """The regions of several blocks after those of one value that touch have become one."""

    number: np.ndarray  # of each block's regions, block after block
    sides: Sides
    size: np.ndarray
    value: np.ndarray
    protected: np.ndarray
    links: Links

    @property
    def outer(self) -> np.ndarray:
        """Whether each region touches an open side."""
        outer = np.zeros(self.size.size, bool)
        for side in self.sides.all():
            outer[side[side != NONE]] = True
        return outer


def merge_borders(blocks: list[list[Border]], rule: Rule) -> Border:
    """Return the border of a rectangle of blocks, given row by row."""
    joined = _join(blocks, rule)
    outer = joined.outer
    asks = (joined.size < rule.size) & ~joined.protected
    links = joined.links
    best = biggest_links(links.a, links.b, np.where(outer, 0, _saturate(joined.size)), asks)
    told = outer | mark_chains(_other_end(best, links), outer & asks)
    asks &= told
    kept = (asks[links.a] & outer[links.b]) | (asks[links.b] & outer[links.a])
    kept[best[asks & (best != NONE)]] = True
    number, order = number_told(outer, told)
    return Border(
        row=blocks[0][0].row,
        column=blocks[0][0].column,
        sides=joined.sides.renumber(number),
        outer=int(outer.sum()),
        size=joined.size[order],
        value=joined.value[order],
        protected=joined.protected[order],
        links=links.take(kept).renumber(number).firsts(),
    )


def settle_borders(blocks: list[list[Border]], fates: Fates, rule: Rule) -> list[list[Fates]]:
    """Return the fates of each block's outer regions, given those of their rectangle's."""
    joined = _join(blocks, rule)
    outer = joined.outer
    size = _saturate(joined.size)
    size[outer] = fates.size
    stays = (size >= rule.size) | joined.protected
    target = np.where(stays, joined.value.astype(np.int64), NONE)
    target[outer] = fates.target
    known = outer | stays
    links = joined.links
    best = biggest_links(links.a, links.b, size, ~known)
    follow_chains(_other_end(best, links), target, known)
    out, start = [], 0
    for row in blocks:
        out.append([])
        for block in row:
            regions = joined.number[start : start + block.outer]
            out[-1].append(Fates(size[regions].astype(np.int32), target[regions]))
            start += block.size.size
    return out


def _saturate(size: np.ndarray) -> np.ndarray:
    return np.minimum(size, SATURATION)


def _other_end(best: np.ndarray, links: Links) -> np.ndarray:
    """Return the region at the other end of each region's link ``best`` (int32), -1 without one."""
    own = np.arange(best.size, dtype=np.int32)
    ends = links.a[best] + links.b[best] - own if links.key.size else best
    return np.where(best == NONE, NONE, ends).astype(np.int32)


def _join(blocks: list[list[Border]], rule: Rule) -> _Joined:
    """Join blocks along their seams."""
    flat = [block for row in blocks for block in row]
    starts = np.cumsum([0, *(b.size.size for b in flat)]).tolist()
    sides = iter(_shifted(b.sides, n) for b, n in zip(flat, starts, strict=False))
    grid = [[next(sides) for _ in row] for row in blocks]
    value = np.concatenate([b.value for b in flat])
    touching = _seams(blocks, grid, rule)
    same = value[touching.a] == value[touching.b]
    number, count = unite_pairs(starts[-1], touching.a[same], touching.b[same])
    size = np.zeros(count, np.int64)
    np.add.at(size, number, np.concatenate([b.size for b in flat]))
    inside = [
        Links(b.links.a + n, b.links.b + n, b.links.key) for b, n in zip(flat, starts, strict=False)
    ]
    links = Links.concatenate([*inside, touching.take(~same)])
    return _Joined(
        number=number,
        sides=_outline(grid).renumber(number),
        size=size,
        value=_gathered(value, number, count),
        protected=_protected(np.concatenate([b.protected for b in flat]), number, count),
        links=links.renumber(number).in_order(),
    )


def _gathered(values: np.ndarray, number: np.ndarray, count: int) -> np.ndarray:
    """Return per union the value its members share."""
    out = np.empty(count, values.dtype)
    out[number] = values
    return out


def _protected(flags: np.ndarray, number: np.ndarray, count: int) -> np.ndarray:
    """Return whether a member of each union is protected: a pixel of one block protects all."""
    out = np.zeros(count, bool)
    out[number[flags]] = True
    return out


def _shifted(sides: Sides, start: int) -> Sides:
    """Return sides whose regions count from ``start``."""
    return Sides(*(np.where(s == NONE, NONE, s + start).astype(np.int32) for s in sides.all()))


def _outline(grid: list[list[Sides]]) -> Sides:
    """Return the sides of the rectangle that the blocks make."""
    return Sides(
        top=np.concatenate([s.top for s in grid[0]]),
        bottom=np.concatenate([s.bottom for s in grid[-1]]),
        left=np.concatenate([row[0].left for row in grid]),
        right=np.concatenate([row[-1].right for row in grid]),
    )


def _seams(blocks: list[list[Border]], grid: list[list[Sides]], rule: Rule) -> Links:
    """Return the links across all seams between the blocks, equal values included."""
    parts = [Links(np.empty(0, np.int32), np.empty(0, np.int32), np.empty(0, np.int64))]
    for borders, sides in zip(blocks, grid, strict=True):
        for border, left, right in zip(borders[1:], sides[:-1], sides[1:], strict=True):
            parts += _links_across_columns(left.right, right.left, border, rule)
    for borders, above, below in zip(blocks[1:], grid[:-1], grid[1:], strict=True):
        upper = np.concatenate([s.bottom for s in above])
        lower = np.concatenate([s.top for s in below])
        parts += _links_across_rows(upper, lower, borders[0], rule)
    return Links.concatenate(parts)


def _links_across_rows(
    upper: Int32[np.ndarray, " x"], lower: Int32[np.ndarray, " x"], below: Border, rule: Rule
) -> list[Links]:
    """Return the links from the row ``lower``, the first of ``below``, to the one above it."""
    key = 4 * (below.row * rule.width + below.column + np.arange(lower.size, dtype=np.int64))
    parts = [_real(lower, upper, key)]
    if rule.diagonal:
        parts.append(_real(lower[1:], upper[:-1], key[1:] + 1))
        parts.append(_real(lower[:-1], upper[1:], key[:-1] + 2))
    return parts


def _links_across_columns(
    left: Int32[np.ndarray, " y"], right: Int32[np.ndarray, " y"], block: Border, rule: Rule
) -> list[Links]:
    """Return the links between the column ``right``, the first of ``block``, and that before."""
    rows = block.row + np.arange(right.size, dtype=np.int64)
    key = 4 * (rows * rule.width + block.column)
    parts = [_real(right, left, key + 3)]
    if rule.diagonal:
        parts.append(_real(right[1:], left[:-1], key[1:] + 1))
        parts.append(_real(left[1:], right[:-1], key[1:] - 4 + 2))
    return parts


def _real(later: np.ndarray, earlier: np.ndarray, key: np.ndarray) -> Links:
    """Return the links whose two pixels both belong to a region."""
    both = (later != NONE) & (earlier != NONE)
    return Links(later[both], earlier[both], key[both])
