"""No data in lossy JPEG 2000: the edge of the orbit goes, dark water and shadow stay."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
import xarray as xr
from rasterio.transform import from_origin

import osm4eo_xr as oxr
from osm4eo_xr.imagery.lossy_nodata import SLACK

EDGE = 256  # pixels at 10 m
LAND = {"B02": 900, "B03": 1000, "B04": 900, "B08": 3200, "B11": 2400}
LAKE = {"B02": 420, "B03": 380, "B04": 120, "B08": 0, "B11": 0}
METERS = {"B11": 20}


def wedge_of(edge: int) -> np.ndarray:
    """Whether a pixel lies outside of the orbit: a slanted third of the scene."""
    rows, cols = np.mgrid[:edge, :edge] / edge
    return cols + 0.4 * rows < 0.5


def lake_of(edge: int) -> np.ndarray:
    """A dark lake, away from the orbit's edge."""
    rows, cols = np.mgrid[:edge, :edge] / edge
    return (rows - 0.6) ** 2 + (cols - 0.75) ** 2 < 0.02


@pytest.fixture(scope="module")
def lossy(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Write five bands with an orbit's edge and a dark lake as lossy JP2 without a tag."""
    folder = tmp_path_factory.mktemp("lossy")
    rng = np.random.default_rng(3)
    paths = []
    for band, land in LAND.items():
        meters = METERS.get(band, 10)
        edge = EDGE * 10 // meters
        numbers = rng.normal(land, 150, (edge, edge)).clip(200)
        numbers[lake_of(edge)] = LAKE[band] + rng.integers(0, 8, int(lake_of(edge).sum()))
        numbers[wedge_of(edge)] = 0
        paths.append(folder / f"T33UUU_20170216T102101_{band}.jp2")
        with rasterio.open(
            paths[-1],
            "w",
            driver="JP2OpenJPEG",
            height=edge,
            width=edge,
            count=1,
            dtype="uint16",
            crs="EPSG:32633",
            transform=from_origin(330_000, 5_822_040, meters, meters),
            QUALITY=35,
            REVERSIBLE="NO",
            BLOCKXSIZE=64,
            BLOCKYSIZE=64,
        ) as sink:
            sink.write(numbers.astype(np.uint16), 1)
    return paths


def test_compression_blurs_the_digital_numbers_of_no_data(lossy: list[Path]) -> None:
    for path in lossy[:4]:
        with rasterio.open(path) as source:
            numbers = source.read(1)
        inside = numbers[wedge_of(EDGE)]
        assert source.nodata is None
        assert (inside > 0).mean() > 0.01
    with rasterio.open(lossy[3]) as source:
        numbers = source.read(1)
    assert (numbers[lake_of(EDGE)] <= SLACK).mean() > 0.5  # infrared alone cannot tell


def test_the_orbits_edge_is_no_data_and_the_lake_is_not(lossy: list[Path]) -> None:
    scene = oxr.open_scene(lossy, geobox="native").compute()
    missing = np.isnan(scene.values)
    outside, lake = wedge_of(EDGE), lake_of(EDGE)
    assert missing[:4, outside].all()
    assert missing[4, outside].mean() > 0.99  # pixels of 20 m astride the edge
    assert not missing[:, lake].any()
    assert not missing[:, ~outside].any()
    assert float(scene.sel(band="nir").values[lake].min()) >= 0.0


def test_a_band_by_itself_and_any_chunk_are_the_same(lossy: list[Path]) -> None:
    whole = oxr.open_scene(lossy, geobox="native").compute()
    nir = oxr.open_scene(lossy, bands=["nir"], geobox="native", chunks=64).compute()
    xr.testing.assert_identical(nir.drop_attrs(), whole.sel(band=["nir"]).drop_attrs())
    coarse = oxr.open_scene(lossy, bands=["swir16"], geobox="native").compute()
    assert coarse.shape == (1, EDGE // 2, EDGE // 2)
    assert np.isnan(coarse.values[0])[wedge_of(EDGE // 2)].mean() > 0.98
    assert not np.isnan(coarse.values[0])[lake_of(EDGE // 2)].any()


def test_no_data_is_taken_out_before_resampling(lossy: list[Path]) -> None:
    warped = oxr.open_scene(lossy).compute()
    blue = warped.sel(band="blue")
    # were small numbers left, a thousand pixels along the edge would fall below 0.02
    assert float(blue.min()) > 0.03
    share = float(np.isfinite(warped.sel(band="nir")).sum()) / EDGE**2
    assert share == pytest.approx(1 - wedge_of(EDGE).mean(), abs=0.01)


def test_without_blue_and_green_only_the_exact_value_counts(lossy: list[Path]) -> None:
    (path,) = (p for p in lossy if "B08" in p.name)
    scene = oxr.open_scene(path, geobox="native").compute()
    with rasterio.open(path) as source:
        np.testing.assert_array_equal(np.isnan(scene.values[0]), source.read(1) == 0)


def test_the_demo_scene_has_no_missing_pixel(data_dir: Path) -> None:
    paths = sorted((data_dir / "brandenburg" / "IMG_DATA").glob("*.jp2"))
    scene = oxr.open_scene(paths, geobox="native").compute()
    assert not np.isnan(scene).any()  # B8A holds one 0, in a lake


def test_real_orbit_edges_follow_the_scene_classification(data_dir: Path) -> None:
    item = data_dir / "stac_33TW" / "sentinel-2-l2a" / "S2A_33TWL_20230818_0_L2A"
    files = [item / f"{band}.tif" for band in ("B02", "B03", "B04", "B08")]
    scene = oxr.open_scene(files, geobox="native", offset=0.0).compute()
    with rasterio.open(item / "SCL.tif") as source:
        outside = source.read(1) == 0
    with rasterio.open(files[0]) as source:
        assert (source.read(1)[outside] > 0).sum() > 1500  # exact zeros would not do
    missing = np.isnan(scene.values)
    assert missing[:, outside].all()
    assert missing[:, ~outside].any(axis=0).mean() < 0.0005
