"""Nested variables and their dotted names lead to each other."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from osm4eo_xr.errors import InputError
from osm4eo_xr.models.variables import as_numpy, flatten, flatten_any, nest

NAMES = st.text("abz_0", min_size=1, max_size=4)
TREES = st.recursive(
    st.integers(0, 99).map(lambda k: np.full((2, 3), k, np.float32)),
    lambda inner: st.dictionaries(NAMES, inner, min_size=1, max_size=3),
    max_leaves=8,
).filter(lambda tree: isinstance(tree, dict))


def leaves(tree: Any) -> list[tuple[tuple[str, ...], np.ndarray]]:
    if not isinstance(tree, dict):
        return [((), tree)]
    return [((k, *path), leaf) for k, sub in tree.items() for path, leaf in leaves(sub)]


@given(TREES)
def test_a_flat_tree_is_nested_again(tree: dict[str, Any]) -> None:
    flat = flatten(tree)
    assert list(flat) == sorted(".".join(path) for path, _ in leaves(tree))
    again = dict(leaves(nest(flat)))
    assert again.keys() == dict(leaves(tree)).keys()
    for path, leaf in leaves(tree):
        np.testing.assert_array_equal(again[path], leaf)


@given(TREES)
def test_arrays_are_copied_to_contiguous_float32(tree: dict[str, Any]) -> None:
    turned: Any = {**tree, "a": {"b": np.arange(6.0).reshape(2, 3).T}}
    host = as_numpy(turned)
    assert all(leaf.dtype == np.float32 for _, leaf in leaves(host))
    assert all(array.flags.c_contiguous for array in flatten(host).values())
    np.testing.assert_array_equal(host["a"]["b"], turned["a"]["b"])


def test_leaves_of_any_kind_keep_their_order_of_nesting() -> None:
    assert flatten_any({"b": {"x": 1}, "a": "leaf"}) == {"b.x": 1, "a": "leaf"}
    assert nest({}) == {}


@pytest.mark.parametrize("names", [("a", "a.b"), ("a.b", "a"), ("x.a.b.c", "x.a")])
def test_a_name_of_an_array_and_of_a_group_is_refused(names: tuple[str, ...]) -> None:
    with pytest.raises(InputError, match=r"variable '(a|x\.a)' is an array and holds others"):
        nest({name: np.zeros(1, np.float32) for name in names})
