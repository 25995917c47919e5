"""Case A9: a class map whose no-data value is 255 is understood alike by every step."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
import xarray as xr
from rasterio.features import sieve as gdal_sieve
from rasterio.transform import from_origin

import osm4eo_xr as oxr
from osm4eo_xr.geometry.grid import geobox_of, zero_nodata
from osm4eo_xr.maps.known_ground import agreement, merge_known
from tests.cases.commands import attempt

EDGE = 96
FOREST, WATER = 9, 12


def ids(nodata: int) -> np.ndarray:
    """Return forest, some water, 40 rows and a hole of 9 pixels without data."""
    classes = np.full((EDGE, EDGE), FOREST, np.uint8)
    classes[60:80, 20:50] = WATER
    classes[:40] = nodata
    classes[50:53, 70:73] = nodata
    return classes


def write(path: Path, nodata: int, left: float = 4_500_000) -> Path:
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        count=1,
        height=EDGE,
        width=EDGE,
        dtype="uint8",
        crs="EPSG:3035",
        transform=from_origin(left, 3_260_000, 10, 10),
        nodata=nodata,
    ) as sink:
        sink.write(ids(nodata), 1)
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """Write one map twice, with 0 and with 255 for no data."""
    folder = tmp_path_factory.mktemp("nodata")
    return {nodata: write(folder / f"map{nodata}.tif", nodata) for nodata in (0, 255)}


@pytest.fixture(params=[True, False], ids=["lazy", "in memory"])
def maps(request: pytest.FixtureRequest, files: dict[int, Path]) -> dict[int, xr.DataArray]:
    opened = {n: oxr.open_raster(path, chunks=40) for n, path in files.items()}
    return opened if request.param else {n: m.compute() for n, m in opened.items()}


def same(other: xr.DataArray, usual: xr.DataArray) -> None:
    """Check that two maps are the same apart from their no-data value."""
    xr.testing.assert_equal(zero_nodata(other).compute(), zero_nodata(usual).compute())


def test_the_sieve_leaves_it_as_gdal_does(maps: dict[int, xr.DataArray]) -> None:
    sieved = {n: oxr.sieve(m, size=64, connectivity=4) for n, m in maps.items()}
    assert sieved[255].attrs["nodata"] == 255
    same(sieved[255], sieved[0])
    expected = gdal_sieve(ids(255), size=64, connectivity=4, mask=ids(255) != 255)
    np.testing.assert_array_equal(sieved[255], expected)
    assert (sieved[255].to_numpy()[50:53, 70:73] == 255).all()


@pytest.mark.parametrize("rule", ["majority", "first"])
def test_a_mosaic_keeps_it(files: dict[int, Path], tmp_path: Path, rule: str) -> None:
    beside = {n: write(tmp_path / f"b{n}.tif", n, left=4_500_500) for n in (0, 255)}
    joined = {
        n: oxr.mosaic([oxr.open_raster(files[n]), oxr.open_raster(beside[n])], rule=rule, chunks=33)
        for n in (0, 255)
    }
    assert joined[255].attrs["nodata"] == 255
    assert not (joined[255] == 0).any()
    same(joined[255], joined[0])
    mixed = oxr.mosaic([oxr.open_raster(files[255]), oxr.open_raster(beside[0])], rule=rule)
    assert mixed.attrs["nodata"] == 0
    same(mixed, joined[0])


def test_a_mosaic_of_masks_keeps_their_zeros(maps: dict[int, xr.DataArray]) -> None:
    mask = oxr.extract_layer(maps[0], "water", codes="mask")
    joined = oxr.mosaic([mask])
    xr.testing.assert_equal(joined.compute(), mask.compute().rename("class_map"))
    assert joined.attrs["nodata"] == 255


@pytest.mark.parametrize("codes", ["id", "clc", "mask"])
@pytest.mark.parametrize("min_area", [0.0, 2_000.0])
def test_layers_vectors_and_fractions(
    maps: dict[int, xr.DataArray], codes: str, min_area: float
) -> None:
    found = {
        n: oxr.extract_layer(m, "water", codes=codes, min_area=min_area) for n, m in maps.items()
    }
    xr.testing.assert_identical(found[255].compute().drop_attrs(), found[0].compute().drop_attrs())
    assert found[255].attrs["nodata"] == found[0].attrs["nodata"]
    if codes == "id" and not min_area:
        both = [oxr.to_vector(m) for m in maps.values()]
        assert both[0].geometry.area.sum() == both[1].geometry.area.sum()
        shares = [oxr.fraction(m, 80).compute() for m in maps.values()]
        xr.testing.assert_equal(shares[0], shares[1])


def test_accuracy_agreement_and_known_ground(maps: dict[int, xr.DataArray]) -> None:
    truth = xr.where(maps[0] == FOREST, np.uint8(WATER), maps[0]).astype(np.uint8)
    truth = maps[0].copy(data=truth.data)
    reports = [oxr.assess(m, truth).to_dict() for m in maps.values()]
    assert reports[0] == reports[1]
    labels = maps[255].copy(data=truth.data)  # labels without 255 that say that it is no data
    assert oxr.assess(maps[0], labels).to_dict() == reports[0]
    same(agreement(maps[255], maps[255]), agreement(maps[0], maps[0]))
    mine, usual = (merge_known(m, m) for m in (maps[255], maps[0]))
    for name in ("classes", "provenance"):
        xr.testing.assert_equal(mine[name].compute(), usual[name].compute())
        assert mine[name].attrs["nodata"] == 0


def test_the_commands(files: dict[int, Path], tmp_path: Path) -> None:
    """Sieve, mosaic and extract at the command line, compared pixel by pixel."""
    for step in (
        ["sieve", "{map}", "--out", "{out}"],
        ["mosaic", "{map}", "--out", "{out}"],
        ["extract", "{map}", "--layer", "water", "--out", "{out}"],
    ):
        written = {}
        for n, path in files.items():
            out = tmp_path / f"{step[0]}{n}.tif"
            words = [word.format(map=path, out=out) for word in step]
            result = attempt(*words)
            assert result.exit_code == 0, result.output
            written[n] = oxr.open_raster(out)
        same(written[255], written[0])
        assert geobox_of(written[255]) == geobox_of(written[0])
