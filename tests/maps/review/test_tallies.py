"""Counts under a key that add up, beside pandas."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from osm4eo_xr.errors import InputError
from osm4eo_xr.geometry.grid import georeference, target_geobox
from osm4eo_xr.maps.review.tallies import add_up, check_grids, tally

BOX = target_geobox((4_320_000, 3_210_000, 4_320_400, 3_210_300))


def raster(seed: int, most: int) -> xr.DataArray:
    values = np.random.default_rng(seed).integers(0, most, BOX.shape).astype(np.uint8)
    return georeference(values, BOX)


def count(keys: np.ndarray, values: np.ndarray, top: int, left: int) -> np.ndarray:
    """Return per key its pixels, the sum of the values, and the sums of rows and columns."""
    rows, cols = np.indices(keys.shape)
    table = np.stack([keys, np.ones_like(keys), values, rows + top, cols + left], axis=-1)
    return add_up([table.reshape(-1, 5).astype(np.int64)])


@given(st.lists(st.lists(st.tuples(st.integers(-3, 3), st.integers(-9, 9)), min_size=1)))
def test_rows_of_equal_keys_are_added(tables: list[list[tuple[int, int]]]) -> None:
    if not tables:
        return
    found = add_up([np.array(table, np.int64) for table in tables])
    frame = pd.DataFrame([{"key": k, "n": n} for table in tables for k, n in table])
    expected = frame.groupby("key")["n"].sum()
    assert found.tolist() == [[k, n] for k, n in expected.items()]


@settings(max_examples=12, deadline=None)
@given(st.integers(2, 30), st.integers(2, 40), st.integers(5, 40))
def test_any_chunks_count_the_same(y: int, x: int, other: int) -> None:
    keys, values = raster(0, 6), raster(1, 200)
    rows, cols = np.indices(keys.shape)
    columns = {"key": keys, "n": np.ones_like(keys), "v": values, "row": rows, "col": cols}
    frame = pd.DataFrame({n: np.asarray(v).ravel().astype(np.int64) for n, v in columns.items()})
    expected = frame.groupby("key").sum().reset_index().to_numpy()
    found = tally(count, keys.chunk({"y": y, "x": x}), values.chunk({"y": other}))
    np.testing.assert_array_equal(found, expected)


def test_layers_of_classes_come_whole_beside_the_map() -> None:
    keys = raster(0, 3)
    layers = xr.concat([raster(k, 100) for k in range(4)], "class").chunk({"class": 2, "y": 11})

    def best(key: np.ndarray, shares: np.ndarray, top: int, left: int) -> np.ndarray:
        del top, left
        return add_up([np.stack([key, shares.max(axis=0)], axis=-1).reshape(-1, 2).astype(int)])

    found = dict(tally(best, keys.chunk({"y": 8, "x": 9}), layers).tolist())
    most = layers.max("class").to_numpy()
    assert found == {k: int(most[keys.to_numpy() == k].sum()) for k in range(3)}


def test_rasters_on_other_grids_are_named() -> None:
    here = raster(0, 3)
    check_grids(map=here, labels=raster(1, 3))
    there = target_geobox((4_321_000, 3_210_000, 4_321_400, 3_210_300))
    others: dict[str, Any] = {"smaller": here.isel(y=slice(9)), "moved": georeference(here, there)}
    for labels in others.values():
        with pytest.raises(InputError, match=r"map .* and labels .* are not on one grid"):
            check_grids(map=here, probabilities=here, labels=labels)
