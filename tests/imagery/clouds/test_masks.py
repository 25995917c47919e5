"""Masks of clouds by all methods: lazy, equal for every chunking, refused where nothing tells."""

import sys
from pathlib import Path
from typing import Any

import dask.array as da
import dask.config
import numpy as np
import pytest
import rasterio
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox

import osm4eo_xr as oxr
from osm4eo_xr.errors import InputError, MissingExtraError
from osm4eo_xr.geometry.grid import georeference
from osm4eo_xr.imagery.clouds.detector import BANDS, cloud_probability

NAMES = ("nir", "blue", "green", "red")  # not in the rule's own order
TIMES = np.array(["2023-08-10T10:00", "2023-08-13T10:00", "2023-08-18T10:00"], "datetime64[ns]")
GRID = GeoBox.from_bbox((500000, 5100000, 503600, 5102880), 32633, resolution=120)


def _series() -> xr.DataArray:
    """Meadows with clouds, shadows, haze and holes."""
    rng = np.random.default_rng(7)
    values = np.empty((3, 4, *GRID.shape), np.float32)
    values[:] = np.array([0.35, 0.04, 0.06, 0.04], np.float32)[:, np.newaxis, np.newaxis]
    values += rng.normal(0, 0.004, values.shape).astype(np.float32)
    for t in range(3):
        for row, col in rng.integers(0, (24, 30), (12, 2)):
            values[t, :, row : row + 3, col : col + 3] = 0.3 + 0.1 * t
        for row, col in rng.integers(0, (24, 30), (60, 2)):
            values[t, :, row, col] = [0.10, 0.02, 0.02, 0.015]
    values[1, :, 5:9, 3:8] = np.nan
    values[2, 1, 20] = np.nan
    coords: Any = {"time": TIMES, "band": list(NAMES)}
    return georeference(values, GRID, dims=("time", "band", "y", "x"), coords=coords)


SERIES = _series()


def _masked(cube: xr.DataArray, **options: Any) -> xr.DataArray:
    return oxr.mask_clouds(cube, method="threshold", level="2A", **options)


WHOLE = {radius: _masked(SERIES, dilation=radius) for radius in (0, 2)}


@settings(max_examples=6)
@given(
    st.tuples(*(st.integers(max(1, n // 4), n) for n in SERIES.shape)),
    st.sampled_from([0, 2]),
)
def test_any_chunking_gives_the_same(chunks: Any, radius: int) -> None:
    lazy = SERIES.copy(data=da.from_array(SERIES.values, chunks=chunks))
    with dask.config.set(scheduler="synchronous"):
        made = _masked(lazy, dilation=radius).compute()
    xr.testing.assert_identical(made, WHOLE[radius])


def test_clouds_and_shadows_go_and_what_was_no_data_stays() -> None:
    gone = np.isnan(WHOLE[0].values)
    assert (gone == gone.all(axis=1, keepdims=True))[:, :, :20].all()
    assert gone[np.isnan(SERIES.values)].all()
    blue = SERIES.values[:, 1]
    bright_once = (blue >= 0.29) & ((blue > 0.2).sum(axis=0) == 1)
    assert bright_once.sum() > 50
    assert gone[:, 0][bright_once].all()
    dark = SERIES.values[:, 0] == np.float32(0.10)
    plain = np.isnan(_masked(SERIES, rule=oxr.CloudRule(shadows=False)).values[:, 0])
    assert 0 < (gone[:, 0] & ~plain).sum() == (gone[:, 0] & ~plain & dark).sum() < dark.sum()
    assert (np.isnan(WHOLE[2].values) >= gone).all()
    assert (
        WHOLE[0]
        .attrs["clouds"]
        .startswith(
            "threshold rule of level 2A, blue - red / 2 above 0.060; shadows by the sun (azimuth 15"
        )
    )


def test_one_date_is_masked_by_itself_and_told_in_attrs() -> None:
    date = SERIES.isel(time=0).drop_vars("time").assign_attrs(level="2A", date="2023-08-10")
    made = oxr.mask_clouds(date, method="threshold")
    assert made.attrs["clouds"].endswith("no shadows: the sun is not known")  # a day has no hour
    assert made.attrs["level"] == "2A"
    timed = oxr.mask_clouds(date.assign_attrs(date="2023-08-10T10:00:00Z"), method="threshold")
    sun = oxr.mask_clouds(date, method="threshold", sun=(151.2, 33.5))
    told = oxr.mask_clouds(
        date.assign_attrs(sun_azimuth=151.2, sun_zenith=33.5), method="threshold"
    )
    assert np.isnan(sun.values).sum() > np.isnan(made.values).sum()
    np.testing.assert_array_equal(sun.values, told.values)
    assert "azimuth 15" in timed.attrs["clouds"]
    assert "(azimuth 151.2, zenith 33.5)" in sun.attrs["clouds"]


@pytest.mark.usefixtures("no_compute")
def test_masking_is_lazy() -> None:
    lazy = SERIES.chunk({"time": 1, "band": 1, "y": 10, "x": 7})
    made = _masked(lazy, dilation=1)
    assert isinstance(made.data, da.Array)
    chance = lazy.isel(band=0, drop=True)
    assert isinstance(oxr.mask_clouds(lazy, chance, method="probability").data, da.Array)


@pytest.mark.parametrize("chunks", [None, (1, 9, 11)])
def test_a_probability_in_per_cent_is_one_in_shares(chunks: Any) -> None:
    cent = np.random.default_rng(0).integers(0, 101, (3, *GRID.shape)).astype(np.uint8)
    like = SERIES.isel(band=0, drop=True)
    share = np.where(cent == 100, np.nan, cent / 100)
    made = []
    for values in (cent, share):
        data: Any = values if chunks is None else da.from_array(values, chunks=chunks)
        marks = like.copy(data=data)
        made.append(oxr.mask_clouds(SERIES, marks, method="probability", threshold=0.65))
    expected = np.isnan(SERIES.values) | ((cent > 65) & (cent < 100))[:, np.newaxis]
    np.testing.assert_array_equal(np.isnan(made[1].values), expected)
    expected |= (cent == 100)[:, np.newaxis]
    np.testing.assert_array_equal(np.isnan(made[0].values), expected)


@pytest.mark.parametrize("per_cent", [29, 57, 58])
def test_a_limit_in_per_cent_is_met_exactly(per_cent: int) -> None:
    """0.29 * 100 is less than 29 in floating point."""
    marks = SERIES.isel(band=0, drop=True).copy(
        data=np.full(SERIES.isel(band=0).shape, per_cent, np.uint8)
    )
    kept = oxr.mask_clouds(SERIES, marks, method="probability", threshold=per_cent / 100)
    np.testing.assert_array_equal(kept, SERIES)


def test_what_is_no_probability_is_refused() -> None:
    marks = SERIES.isel(band=0, drop=True)
    for wrong in ((marks.fillna(0) * 1000).astype(np.uint16), marks * 100):
        with pytest.raises(InputError, match="a cloud probability of"):
            oxr.mask_clouds(SERIES, wrong, method="probability").compute()


@pytest.mark.parametrize("chunks", [None, (1, 9, 11)])
@pytest.mark.parametrize("name", ["nodata", "_FillValue"])
def test_a_probability_of_stated_no_data_is_not_known(chunks: Any, name: str) -> None:
    cent = np.random.default_rng(0).integers(0, 101, (3, *GRID.shape)).astype(np.uint8)
    cent[:, :4] = 255
    data: Any = cent if chunks is None else da.from_array(cent, chunks=chunks)
    marks = SERIES.isel(band=0, drop=True).copy(data=data)
    made = oxr.mask_clouds(SERIES, marks.assign_attrs({name: 255}), method="probability")
    expected = np.isnan(SERIES.values) | ((cent > 40) & (cent < 255))[:, np.newaxis]
    np.testing.assert_array_equal(np.isnan(made.values), expected)
    with pytest.raises(InputError, match="a cloud probability of 255"):
        oxr.mask_clouds(SERIES, marks.assign_attrs({name: 0}), method="probability").compute()


@pytest.mark.parametrize(("method", "clouded"), [("scl", 9), ("probability", 90)])
def test_marks_may_have_one_band_as_files_have(method: Any, clouded: int) -> None:
    date = SERIES.isel(time=0, drop=True)
    plain = xr.full_like(date.isel(band=0, drop=True), 4, np.uint8)
    plain[3:9, 4:11] = clouded
    expected = oxr.mask_clouds(date, plain, method=method)
    assert 0 < int(expected.isnull().sum()) < expected.size
    for marks in (plain.expand_dims(band=[1]), plain.assign_coords(band=1)):
        xr.testing.assert_identical(oxr.mask_clouds(date, marks, method=method), expected)


@pytest.mark.parametrize("dims", [("y", "x", "time"), ("x", "time", "y")])
def test_clouds_grow_on_the_ground_in_whatever_order_dims_are(dims: tuple[str, ...]) -> None:
    marks = xr.full_like(SERIES.isel(band=0, drop=True), 4, np.uint8)
    marks[1, 12, 7] = 9
    expected = oxr.mask_clouds(SERIES, marks, dilation=2)
    assert int(expected.isnull().sum() - SERIES.isnull().sum()) == 13 * SERIES.sizes["band"]
    xr.testing.assert_identical(
        oxr.mask_clouds(SERIES, marks.transpose(*dims), dilation=2), expected
    )


@pytest.mark.parametrize("added", [{"band": [1, 2]}, {"layer": [1]}, {"time": TIMES}])
def test_marks_of_other_dims_than_the_scene_are_refused(added: Any) -> None:
    date = SERIES.isel(time=0, drop=True)
    marks = date.isel(band=0, drop=True).fillna(0).astype(np.uint8).expand_dims(added)
    with pytest.raises(InputError, match=f"what marks clouds has dims {next(iter(added))}, y, x"):
        oxr.mask_clouds(date, marks)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "threshold"}, "nothing tells the level"),
        ({"method": "threshold", "level": "3"}, "level='3' is not"),
        ({"method": "scl"}, "'scl' without marks"),
        ({"method": "probability"}, "'probability' without marks"),
        ({"method": "fmask"}, "method='fmask'; expected scl, probability"),
        ({"method": "threshold", "level": "2A", "sun": (400, 20)}, "sun 400, 20"),
        ({"method": "threshold", "level": "2A", "dilation": -1}, "is negative"),
        ({"method": "s2cloudless", "threshold": 40}, "threshold=40"),
        ({"method": "s2cloudless"}, "lacks coastal"),
    ],
)
def test_what_cannot_be_decided_is_refused(options: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        oxr.mask_clouds(SERIES, **options)


def test_marks_are_refused_where_none_are_read_and_bands_are_needed() -> None:
    with pytest.raises(InputError, match="with marks"):
        _masked(SERIES, marks=SERIES.isel(band=0))
    with pytest.raises(InputError, match="lacks blue"):
        _masked(SERIES.sel(band=["red", "green", "nir"]))


def _level_1c() -> xr.DataArray:
    values = np.random.default_rng(1).uniform(0, 0.6, (11, 12, 10)).astype(np.float32)
    values[:, 3, 4] = np.nan
    return xr.DataArray(values, dims=("band", "y", "x"), coords={"band": ["green", *BANDS[::-1]]})


def test_s2cloudless_judges_as_its_package_does() -> None:
    s2cloudless = pytest.importorskip("s2cloudless")
    cube = _level_1c()
    made = cloud_probability(cube.chunk({"band": 3, "y": 5, "x": 4}))
    assert isinstance(made.data, da.Array)
    pixels = cube.sel(band=list(BANDS)).values.transpose(1, 2, 0)[np.newaxis]
    theirs = s2cloudless.S2PixelCloudDetector().get_cloud_probability_maps(np.nan_to_num(pixels))
    theirs[0, 3, 4] = np.nan
    np.testing.assert_array_equal(made.values, theirs[0])
    masked = oxr.mask_clouds(cube, method="s2cloudless", threshold=0.5)
    np.testing.assert_array_equal(np.isnan(masked[0]), ~(theirs[0] <= 0.5))
    with pytest.raises(InputError, match="is of level 2A"):
        cloud_probability(cube.assign_attrs(level="2A"))


def test_without_s2cloudless_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from osm4eo_xr.imagery.clouds import detector

    detector.load_detector.cache_clear()
    monkeypatch.setitem(sys.modules, "s2cloudless", None)
    with pytest.raises(MissingExtraError, match=r'pip install "osm4eo-xr\[s2cloudless\]"'):
        oxr.mask_clouds(_level_1c(), method="s2cloudless")


def test_the_rule_agrees_with_real_scene_classifications(data_dir: Path) -> None:
    # tests/benchmarks/clouds.py has the whole of both tiles, by date.
    window = ((450, 750), (330, 630))

    def read(name: str) -> np.ndarray:
        paths = sorted((data_dir / "stac_33TW").rglob(f"*33TWM*/{name}.tif"))
        return np.stack([rasterio.open(path).read(1, window=window) for path in paths])

    numbers = np.stack([read(name) for name in ("B08", "B02", "B03", "B04")], axis=1)
    values = np.where(numbers > 0, numbers * np.float32(1e-4), np.float32("nan"))
    days = [f"2023-08-{day}" for day in (15, 18, 10, 13, 20)]  # S2A's, then S2B's
    coords = {"time": np.array(days, "datetime64[ns]"), "band": list(NAMES)}
    cube = xr.DataArray(values, dims=("time", "band", "y", "x"), coords=coords)
    scl = read("SCL")
    gone = np.isnan(_masked(cube, rule=oxr.CloudRule(shadows=False)).values[:, 0])
    known = np.isfinite(cube.values).all(axis=1) & ~np.isin(scl, (0, 1, 7))
    flagged, clouds = gone & known, np.isin(scl, (8, 9, 10)) & known
    assert known.sum() > 300_000
    assert (flagged & clouds).sum() / flagged.sum() > 0.85
    assert (flagged & clouds).sum() / clouds.sum() > 0.80
