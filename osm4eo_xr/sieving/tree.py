"""The tree of tasks between the sieve's first and last phase."""

from __future__ import annotations

from functools import partial
from typing import Any

from osm4eo_xr.sieving.borders import NO_FATES, Fates, Rule
from osm4eo_xr.sieving.merging import merge_borders, settle_borders

_FAN = 4  # blocks per side that one task joins


def plan_tree(
    borders: str, fates: str, shape: tuple[int, int], rule: Rule
) -> tuple[dict[Any, Any], Any]:
    """Return the tasks that turn the borders of all chunks into their fates, and the top's key.

    Blocks of one level are joined ``_FAN`` by ``_FAN`` until one task sees all that is left of
    them; then fates go down the same tree, to each block its own only.

    Parameters
    ----------
    borders, fates : str
        Names of the chunks' borders and fates: keys are (name, i, j).
    shape : tuple of int
        Chunks along y and x.
    """
    graph: dict[Any, Any] = {}
    keys = {(i, j): (borders, i, j) for i in range(shape[0]) for j in range(shape[1])}
    ends = {(i, j): (fates, i, j) for i, j in keys}
    level = 0
    while len(keys) > 1:
        level += 1
        groups = _group(keys)
        merged = {at: (f"{fates}-merge", level, *at) for at in groups}
        below = {at: (f"{fates}-below", level, *at) for at in groups}
        for at, members in groups.items():
            blocks = [[keys[m] for m in row] for row in members]
            graph[merged[at]] = (partial(merge_borders, rule=rule), blocks)
            settle = (f"{fates}-settle", level, *at)
            graph[settle] = (partial(settle_borders, rule=rule), blocks, below[at])
            for i, row in enumerate(members):
                for j, member in enumerate(row):
                    graph[ends[member]] = (_pick, settle, i, j)
        keys, ends = merged, below
    # The top block has no open side: its border says nothing and no fates come from above.
    graph.pop(keys[0, 0], None)
    graph[ends[0, 0]] = NO_FATES
    return graph, (f"{fates}-settle", level, 0, 0) if level else ends[0, 0]


def _group(blocks: Any) -> dict[tuple[int, int], list[list[tuple[int, int]]]]:
    """Return the blocks of one level by the block of the next that they make, row by row."""
    rows = 1 + max(i for i, _ in blocks)
    columns = 1 + max(j for _, j in blocks)
    return {
        (i // _FAN, j // _FAN): [
            [(k, m) for m in range(j, min(j + _FAN, columns))]
            for k in range(i, min(i + _FAN, rows))
        ]
        for i in range(0, rows, _FAN)
        for j in range(0, columns, _FAN)
    }


def _pick(fates: list[list[Fates]], i: int, j: int) -> Fates:
    return fates[i][j]
