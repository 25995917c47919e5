"""What the sieve is asked for, as its kernels take it."""

from typing import Any

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from osm4eo_xr.errors import InputError
from osm4eo_xr.sieving.arguments import codes_of, rule_of
from osm4eo_xr.sieving.chunks import PROTECTED

TYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32")


def class_map(dtype: str = "uint8", shape: tuple[int, int] = (3, 5)) -> xr.DataArray:
    return xr.DataArray(np.zeros(shape, dtype), dims=("y", "x"))


@given(st.sampled_from(TYPES), st.integers(-(2**31), 2**32 - 1))
def test_classes_become_the_bits_that_their_type_stores(dtype: str, value: int) -> None:
    kept = rule_of(class_map(dtype), 4, 8, value, ()).nodata
    info = np.iinfo(dtype)
    if not info.min <= value <= info.max:
        assert kept is None  # no pixel can have it
        with pytest.raises(InputError, match=f"classes that {dtype} can hold"):
            rule_of(class_map(dtype), 4, 8, None, (value,))
        return
    stored = np.array([value], dtype).view(f"u{np.dtype(dtype).itemsize}")
    assert kept == int(stored[0])
    assert rule_of(class_map(dtype), 4, 8, None, (value,)).protected == (kept,)


def test_a_rule_knows_the_maps_width_and_its_neighbors() -> None:
    found = [rule_of(class_map(), 64, connectivity, 0, ()) for connectivity in (4, 8)]
    assert [rule.diagonal for rule in found] == [0, 1]
    assert {(rule.size, rule.width, rule.nodata) for rule in found} == {(64, 5, 0)}
    assert rule_of(class_map(), 1, 4, 0.5, ()).nodata is None
    numpys: Any = np.int64(7)
    assert rule_of(class_map(), numpys, 4, None, np.array([3, 4])).protected == (3, 4)


MASK = np.array([[1, 1, 0, 1, 1]] * 3, bool)
KEPT = np.array([[0, 1, 1, 0, 0]] * 3, bool)


@pytest.mark.parametrize("lazy", [False, True])
def test_flags_of_a_pixel_are_one_code(lazy: bool) -> None:
    whole = class_map()
    make: Any = (lambda a: da.from_array(a).rechunk(2)) if lazy else (lambda a: a)
    assert codes_of(None, None, whole) is None
    alone = codes_of(make(MASK), None, whole)
    assert alone is not None
    np.testing.assert_array_equal(alone.compute(), MASK)
    both = codes_of(make(MASK), make(KEPT), whole)
    assert both is not None
    expected = np.where(MASK, np.where(KEPT, PROTECTED, 1), 0)
    np.testing.assert_array_equal(both.compute(), expected)
    kept = codes_of(None, xr.DataArray(make(KEPT), dims=("y", "x")), whole)
    assert kept is not None
    np.testing.assert_array_equal(kept.compute(), np.where(KEPT, PROTECTED, 1))


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (MASK.T, "shape"),
        (xr.DataArray(MASK, dims=("x", "y")), "dims"),
        (MASK.astype(float), "float64; expected booleans"),
        (MASK.astype("datetime64[s]"), "expected booleans"),
    ],
)
def test_flags_of_another_kind_are_named(flags: Any, said: str) -> None:
    with pytest.raises(InputError, match=f"the mask .*{said}"):
        codes_of(flags, None, class_map())
    with pytest.raises(InputError, match=f"protected_pixels .*{said}"):
        codes_of(None, flags, class_map())
