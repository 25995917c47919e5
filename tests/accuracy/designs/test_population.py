"""Pixels by stratum, counted and found again, beside a sort of the whole map."""

from typing import Any

import dask
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from osm4eo_xr.accuracy.designs.population import Population, check_aligned, check_map
from osm4eo_xr.errors import InputError
from osm4eo_xr.geometry.grid import georeference, target_geobox
from osm4eo_xr.legend import default_legend

SHAPE = (23, 31)
BOX = target_geobox((4_320_000, 3_210_000, 4_320_310, 3_210_230))


def rasters(chunks: Any = None) -> tuple[xr.DataArray, xr.DataArray]:
    """Return a map of classes 0 to 3 and a raster of strata 0 to 2 on its grid."""
    rng = np.random.default_rng(2)
    found = []
    for most, attrs in ((4, {}), (3, {"flag_values": [1, 2], "flag_meanings": "hills plains"})):
        values = rng.integers(0, most, SHAPE).astype(np.uint8)
        found.append(georeference(values, BOX, attrs=attrs, name="relief"))
    cut = (lambda r: r) if chunks is None else (lambda r: r.chunk(chunks))
    return cut(found[0]), cut(found[1])


def populations(chunks: Any = None) -> dict[str, Population]:
    classes, strata = rasters(chunks)
    return {
        "classes": Population(classes),
        "strata": Population(classes, strata),
        "crossed": Population(classes, strata, cross=True),
    }


def codes(kind: str) -> np.ndarray:
    """Return the code of each pixel as the class says it: class, 256 times stratum, or both."""
    classes, strata = (r.to_numpy().astype(int) for r in rasters())
    if kind == "classes":
        return classes
    found = 256 * strata + (classes if kind == "crossed" else 0)
    found[strata == 0] = 255
    found[classes == 0] = 0
    return found


@pytest.mark.parametrize("kind", ["classes", "strata", "crossed"])
def test_counts_are_those_of_the_whole_map(kind: str) -> None:
    values, numbers = np.unique(codes(kind), return_counts=True)
    expected = {int(v): int(n) for v, n in zip(values, numbers, strict=True) if v}
    for chunks in (None, {"y": 7, "x": 9}):
        population = populations(chunks)[kind]
        assert population.counts() == expected
        assert dict(population.row_counts().total) == expected


@settings(max_examples=12, deadline=None)
@given(
    y=st.integers(3, 23),
    x=st.integers(3, 31),
    kind=st.sampled_from(["classes", "strata", "crossed"]),
)
def test_ranks_in_row_major_order_lead_to_their_pixels(y: int, x: int, kind: str) -> None:
    population = populations({"y": y, "x": x})[kind]
    counts, blocks = population.row_counts(), population.blocks()
    whole, classes = codes(kind), rasters()[0].to_numpy()
    for code in counts.total:
        rows, cols = np.nonzero(whole == code)
        ranks = np.arange(len(rows))
        chunk, row, rank = counts.find(code, ranks)
        for k in np.unique(chunk):
            at = chunk == k
            (top, left), block = blocks[k]
            (found,) = dask.compute(  # pyright: ignore[reportPrivateImportUsage] - documented there
                population.locate(block, row[at], np.full(at.sum(), code), rank[at])
            )
            np.testing.assert_array_equal(top + row[at], rows[at])
            np.testing.assert_array_equal(left + found[0], cols[at])
            np.testing.assert_array_equal(found[1], classes[rows[at], cols[at]])


def test_strata_are_called_by_what_the_raster_says_and_by_class() -> None:
    legend, found = default_legend(), populations()
    assert found["classes"].name_of(12, legend) == "water"
    assert found["strata"].name_of(256 * 2, legend) == "plains"
    assert found["crossed"].name_of(256 + 12, legend) == "hills, water"
    bare = Population(rasters()[0], rasters()[1].drop_attrs())
    assert bare.name_of(256, legend) == "relief 1"


def test_what_is_no_map_or_lies_elsewhere_is_refused() -> None:
    classes, strata = rasters()
    check_map(classes)
    check_aligned(strata, classes, "strata")
    with pytest.raises(InputError, match="give uint8"):
        check_map(classes.astype(np.int16))
    with pytest.raises(InputError, match="class map is uint8 with dims"):
        check_map(classes.expand_dims("band"))
    with pytest.raises(InputError, match="strata"):
        check_aligned(strata.isel(y=slice(1, None)), classes, "strata")
