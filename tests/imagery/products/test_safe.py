"""SAFE products: offsets of each level and baseline, files, tiles, clouds, zips."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import rasterio
import xarray as xr

import osm4eo_xr as oxr
from osm4eo_xr.errors import InputError
from osm4eo_xr.geometry.grid import geobox_of
from osm4eo_xr.imagery.bands import METHOD_BANDS, SENTINEL2_BANDS
from osm4eo_xr.imagery.clouds.masks import CLOUD_CLASSES
from tests.cases.safe_case import EDGE, LEFT, METERS, TOP, classes_of, numbers_of, write_safe

UNEVEN = {i: -1000 - 10 * i for i in range(13)}  # a swapped band would show


@pytest.fixture(scope="module")
def level_2a(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_safe(tmp_path_factory.mktemp("2a"), "2A", "05.09", offsets=UNEVEN)


@pytest.mark.parametrize(
    ("level", "baseline", "offsets"),
    [
        ("1C", "02.04", None),
        ("1C", "04.00", UNEVEN),
        ("2A", "03.01", None),
        ("2A", "05.09", UNEVEN),
    ],
)
def test_each_level_and_baseline_gives_reflectance(
    tmp_path: Path, level: str, baseline: str, offsets: dict[int, int] | None
) -> None:
    safe = write_safe(tmp_path, level, baseline, offsets=offsets, bands=("B02", "B04", "B8A"))
    scene = oxr.open_safe(safe, geobox="native").compute()
    assert list(scene["band"].values) == ["blue", "red", "nir08"]
    for name, band in (("blue", "B02"), ("red", "B04")):
        add = (offsets or {}).get(list(SENTINEL2_BANDS).index(band), 0)
        expected = (numbers_of(band, 10).astype(float) + add) / 10_000
        np.testing.assert_allclose(scene.sel(band=name), expected, atol=1e-6)
    add = (offsets or {}).get(list(SENTINEL2_BANDS).index("B8A"), 0)
    pairs = scene.sel(band="nir08").values.reshape(120, 2, 120, 2).mean(axis=(1, 3))
    coarse = (numbers_of("B8A", 20).astype(float) + add) / 10_000
    # a shift by half a 10 m pixel would show as 5e-5 along rows and 6e-3 along columns
    assert np.median(np.abs(pairs - coarse)) < 1e-5


@pytest.mark.usefixtures("no_compute")
def test_a_product_is_ten_lazy_bands_with_its_metadata(level_2a: Path) -> None:
    scene = oxr.open_safe(level_2a, mask=CLOUD_CLASSES, dilation=2)
    assert tuple(scene["band"].values) == METHOD_BANDS
    assert geobox_of(scene).crs == "EPSG:3035"
    assert scene.dtype == np.float32
    assert scene.attrs["level"] == "2A"
    assert scene.attrs["baseline"] == "05.09"
    assert scene.attrs["date"] == "2023-08-20T09:45:49.024Z"
    assert scene.attrs["footprint"].startswith("POLYGON ((16.38 49.65, 16.42 49.65, ")
    assert scene.attrs["product"] == level_2a.name


def test_of_each_band_the_finest_file_is_read(level_2a: Path) -> None:
    for band, name in SENTINEL2_BANDS.items():
        if band == "B10":
            continue
        own = METERS.get(band, 10)
        scene = oxr.open_safe(level_2a, bands=[band], geobox="native")
        assert abs(geobox_of(scene).resolution.x) == own
        add = UNEVEN[list(SENTINEL2_BANDS).index(band)]
        expected = (numbers_of(band, own).astype(float) + add) / 10_000
        np.testing.assert_allclose(scene.sel(band=name), expected, atol=1e-6)


def test_zip_folder_and_metadata_file_are_the_same_scene(level_2a: Path, tmp_path: Path) -> None:
    packed = tmp_path / "T33UXQ.zip"
    shutil.make_archive(str(packed.with_suffix("")), "zip", level_2a.parent, level_2a.name)
    plain = oxr.open_safe(level_2a, bands=["red", "swir16"]).compute()
    for path in (packed, level_2a / "MTD_MSIL2A.xml"):
        again = oxr.open_safe(path, bands=["red", "swir16"]).compute()
        xr.testing.assert_identical(again, plain)
    xr.testing.assert_identical(oxr.open_scene(packed, bands=["red", "swir16"]).compute(), plain)


def test_pixels_lie_where_rasterio_puts_them(level_2a: Path) -> None:
    scene = oxr.open_safe(level_2a, bands=["nir"], geobox="native").compute()
    (file,) = level_2a.rglob("*_B08_10m.jp2")
    with rasterio.open(file) as source:
        for row, col in ((0, 0), (17, 200), (239, 239)):
            x, y = source.xy(row, col)
            value = float(scene.sel(band="nir", x=x, y=y))
            dn = int(next(source.sample([(x, y)]))[0])
            assert value == pytest.approx((dn + UNEVEN[7]) / 10_000, abs=1e-6)
    assert (float(scene.x[0]), float(scene.y[0])) == (LEFT + 5, TOP - 5)
    assert scene.sizes["x"] == EDGE // 10


def test_clouds_go_where_the_classification_has_them(level_2a: Path) -> None:
    native = oxr.open_safe_classes(level_2a, geobox="native")
    assert native.dtype == np.uint8
    np.testing.assert_array_equal(native, classes_of())
    options = {"bands": ["red"], "geobox": "native"}
    masked = oxr.open_safe(level_2a, mask=(9,), **options).compute()[0]
    plain = oxr.open_safe(level_2a, **options).compute()[0]
    cloud = np.kron(classes_of() == 9, np.ones((2, 2), bool))
    np.testing.assert_array_equal(np.isnan(masked), cloud)
    np.testing.assert_array_equal(masked.values[~cloud], plain.values[~cloud])
    wider = oxr.open_safe(level_2a, mask=(9,), dilation=3, **options).compute()[0]
    assert np.isnan(wider.values)[77:123, 80].all()
    assert not np.isnan(wider.values)[75:77, 80].any()


def test_a_tile_of_an_old_product_is_chosen_by_name(tmp_path: Path) -> None:
    safe = write_safe(tmp_path, "1C", "02.04", tiles=("33UXQ", "33UYQ"), bands=("B04",))
    with pytest.raises(InputError, match=r"holds 33UXQ, 33UYQ; none was named; pass tile="):
        oxr.open_safe(safe)
    with pytest.raises(InputError, match="not 32UPU"):
        oxr.open_safe(safe, tile="32UPU")
    second = oxr.open_safe(safe, tile="T33UYQ", geobox="native")
    assert float(second.x[0]) == LEFT + 100_005


def refusal(path: Path, **options: object) -> str:
    """Return the one-line message of a refused product."""
    with pytest.raises(InputError) as caught:
        oxr.open_safe(path, **options)  # pyright: ignore[reportArgumentType] -- any of them
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_is_no_whole_product_is_refused(tmp_path: Path) -> None:
    safe = write_safe(tmp_path, "2A", "05.09", offsets={2: -1000}, bands=("B03", "B04"))
    assert "state none for B04; pass offset=-0.1" in refusal(safe)
    kept = oxr.open_safe(safe, offset=-0.1, bands=["red"], geobox="native")
    assert float(kept[0, 0, 0]) == pytest.approx((int(numbers_of("B04", 10)[0, 0]) - 1000) / 1e4)
    assert "has no band swir16; it has green, red" in refusal(safe, bands=["B11"], offset=-0.1)
    (tmp_path / "empty.SAFE").mkdir()
    assert "holds 0 files MTD_MSIL1C.xml or MTD_MSIL2A.xml" in refusal(tmp_path / "empty.SAFE")
    assert "no product" in refusal(tmp_path / "gone.zip")
    (tmp_path / "half.zip").write_bytes(b"PK")
    assert "neither a folder nor a whole zip" in refusal(tmp_path / "half.zip")
    first = write_safe(tmp_path, "1C", "02.04", bands=("B04",))
    assert "level 1C) has no scene classification" in refusal(first, mask=CLOUD_CLASSES)
    with pytest.raises(InputError, match="leave names= and nodata= out"):
        oxr.open_scene(first, nodata=0)
    metadata = first / "MTD_MSIL1C.xml"
    text = metadata.read_text()
    metadata.write_text(text.replace("QUANTIFICATION_VALUE", "OTHER"))
    assert "lack QUANTIFICATION_VALUE" in refusal(first)
    metadata.write_text(text[:500])
    assert "is no XML" in refusal(first)


@pytest.mark.parametrize("number", ["13", "99", "-1", "x"])
def test_offsets_of_bands_that_are_none_are_damage(tmp_path: Path, number: str) -> None:
    safe = write_safe(tmp_path, "2A", "05.09", offsets=UNEVEN, bands=("B04",))
    metadata = safe / "MTD_MSIL2A.xml"
    metadata.write_text(metadata.read_text().replace('band_id="12"', f'band_id="{number}"'))
    assert "MTD_MSIL2A.xml is damaged" in refusal(safe)


@pytest.mark.parametrize("level", ["1C", "2A"])
@pytest.mark.parametrize("value", ["0", "-10000", "nan", "inf", "many"])
def test_a_quantification_that_divides_nothing_is_damage(
    tmp_path: Path, level: str, value: str
) -> None:
    safe = write_safe(tmp_path, level, "05.09", offsets=UNEVEN, bands=("B04",))
    metadata = safe / f"MTD_MSIL{level}.xml"
    text = metadata.read_text()
    metadata.write_text(text.replace(">10000</", f">{value}</"))
    assert f"MTD_MSIL{level}.xml is damaged" in refusal(safe)
