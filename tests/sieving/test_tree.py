"""The tasks between the sieve's phases, for any number of chunks."""

from typing import Any

import dask
import pytest
from dask.core import get_dependencies, toposort
from hypothesis import given, settings
from hypothesis import strategies as st

from osm4eo_xr.sieving import tree
from osm4eo_xr.sieving.borders import NO_FATES, Rule
from osm4eo_xr.sieving.tree import plan_tree

RULE = Rule(size=4, diagonal=1, width=9, nodata=0, protected=())


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40))
def test_each_chunk_gets_a_fate_by_tasks_of_few_blocks(rows: int, columns: int) -> None:
    graph, _ = plan_tree("borders", "fates", (rows, columns), RULE)
    chunks = [(i, j) for i in range(rows) for j in range(columns)]
    assert {key[1:] for key in graph if key[0] == "fates"} == set(chunks)
    borders = {("borders", *chunk): 0 for chunk in chunks}
    whole = {**graph, **borders}
    assert set(toposort(whole)) == set(whole)  # no circle, and nothing asked for is missing
    assert all(len(get_dependencies(whole, key)) <= 17 for key in graph)  # 4 x 4 and one from above


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (5, 3), (17, 18)])
def test_fates_go_back_to_the_blocks_that_sent_their_borders(
    shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def merge(blocks: list[list[Any]], rule: Rule) -> tuple[Any, ...]:
        assert rule == RULE
        members = [block for row in blocks for block in row]
        return tuple(n for m in members for n in (m if isinstance(m, tuple) else (m,)))

    def settle(blocks: list[list[Any]], above: Any, rule: Rule) -> list[list[Any]]:
        assert above is NO_FATES or set(above) >= set(merge(blocks, rule))
        return [[merge([[block]], rule) for block in row] for row in blocks]

    monkeypatch.setattr(tree, "merge_borders", merge)
    monkeypatch.setattr(tree, "settle_borders", settle)
    graph, _ = plan_tree("borders", "fates", shape, RULE)
    chunks = [(i, j) for i in range(shape[0]) for j in range(shape[1])]
    graph |= {("borders", i, j): f"{i} {j}" for i, j in chunks}
    found = dask.get(graph, [("fates", i, j) for i, j in chunks])  # pyright: ignore[reportPrivateImportUsage] - documented there
    if shape == (1, 1):
        assert found[0] is NO_FATES  # nothing beyond it can change it
    else:
        assert list(found) == [(f"{i} {j}",) for i, j in chunks]
