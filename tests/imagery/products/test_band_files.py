"""Files to named bands: labels, names, what is wanted, and what is of two scenes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from odc.geo.geobox import GeoBox
from rasterio.enums import ColorInterp
from rasterio.transform import from_origin

from osm4eo_xr.errors import InputError
from osm4eo_xr.imagery.products.band_files import (
    bands_of_file,
    check_whole_scenes,
    choose_bands,
    name_bands,
    read_bands_of,
)
from osm4eo_xr.imagery.reader import Band

HOW: dict[str, Any] = {"resampling": "cubic", "nodata": None}
TRANSFORM = from_origin(600_000, 5_500_020, 10, 10)


def write(
    path: Path, names: tuple[str | None, ...] = (None,), *, dtype: str = "uint16", **profile: Any
) -> Path:
    place: dict[str, Any] = {"crs": "EPSG:32633", "transform": TRANSFORM}
    shape = {"height": 32, "width": 48, "count": len(names), "dtype": dtype}
    with rasterio.open(path, "w", "GTiff", **shape, **place, **profile) as file:
        file.write(np.ones((len(names), 32, 48), dtype))
        for k, name in enumerate(names, 1):
            if name:
                file.set_band_description(k, name)
    return path


def names_of(bands: list[Band]) -> list[str]:
    return [band.name for band in bands]


def test_bands_have_the_files_names_grid_and_numbers(tmp_path: Path) -> None:
    path = write(tmp_path / "s.tif", ("B2", "B8", "dem"), nodata=7)
    with rasterio.open(path, "r+") as file:
        file.scales, file.offsets = (1e-4,) * 3, (-0.1,) * 3
    found = bands_of_file(str(path), **HOW)
    assert names_of(found) == ["B2", "B8", "dem"]
    assert [band.index for band in found] == [1, 2, 3]
    expected = GeoBox((32, 48), TRANSFORM, "EPSG:32633")
    assert all(band.geobox == expected for band in found)
    assert {(b.scaling.scale, b.scaling.offset) for b in found} == {(1e-4, -0.1)}
    assert all(7 in b.validity.values for b in found)
    assert names_of(name_bands(found, None)) == ["blue", "nir", "dem"]


def test_a_single_band_without_a_name_is_called_after_its_file(tmp_path: Path) -> None:
    for name, common in (
        ("T33UXQ_20230820T094549_B04_10m.tif", "red"),
        ("B8A.tif", "nir08"),
        ("elevation.tif", "elevation.tif"),
    ):
        found = bands_of_file(str(write(tmp_path / name)), **HOW)
        assert names_of(found) == [name]
        assert names_of(name_bands(found, None)) == [common]
    two = bands_of_file(str(write(tmp_path / "B02.tif", (None, None))), **HOW)
    assert names_of(two) == ["", ""]  # one name for two bands names none


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_numbers_that_are_no_reals_are_refused(tmp_path: Path, dtype: str) -> None:
    path = write(tmp_path / "radar.tif", dtype=dtype)
    with pytest.raises(InputError) as refused:
        bands_of_file(str(path), **HOW)
    assert refused.value.given == f"{path} holds {dtype} numbers"
    assert refused.value.expected == "integers or floats"
    assert "gdal_translate -ot Float32" in refused.value.advice


def test_an_alpha_band_is_a_band_where_names_count_it(tmp_path: Path) -> None:
    path = write(tmp_path / "s.tif", ("B4", "B3", "B2", None), dtype="uint8", photometric="RGB")
    with rasterio.open(path, "r+") as file:
        file.colorinterp = [*file.colorinterp[:3], ColorInterp.alpha]
    rgb = ["red", "green", "blue"]
    assert names_of(read_bands_of([str(path)], names=None, **HOW)) == rgb
    assert names_of(read_bands_of([str(path)], names=rgb, **HOW)) == rgb
    four = read_bands_of([str(path)], names=[*rgb, "nir"], **HOW)
    assert names_of(four) == [*rgb, "nir"]
    assert not any(band.validity.alpha for band in four)  # it hides nothing then
    with pytest.raises(InputError) as refused:
        read_bands_of([str(path)], names=[*rgb, "nir", "swir16"], **HOW)
    assert refused.value.given == "names has 5 entries for 3 bands"
    assert refused.value.advice == "name each band"


def test_the_callers_names_win_and_may_be_of_any_kind(tmp_path: Path) -> None:
    found = bands_of_file(str(write(tmp_path / "s.tif", ("B2", "B3"))), **HOW)
    assert names_of(name_bands(found, ["B04", "height"])) == ["red", "height"]
    with pytest.raises(InputError, match="names has 1 entries for 2 bands; name each band"):
        name_bands(found, ["red"])


@pytest.mark.parametrize(
    "name",
    [
        "LC08_L2SP_193023_20200101_SR_B4.tif",
        "LE07_B3.tif",
        "x_SR_B5.TIF",
        "scene_lt05_B1.tif",
        "HLS.L30.T32UMA.2024183T101559.v2.0.B05.tif",
    ],
)
def test_landsats_numbers_are_not_sentinels(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name)
    with pytest.raises(InputError) as refused:
        read_bands_of([str(path)], names=None, **HOW)
    assert refused.value.given.startswith(f"{path} is named as a Landsat file")
    assert refused.value.expected == "Sentinel-2"
    # The user guide of HLS 2.0 has 0.0001 for both of its satellites.
    collection2 = "HLS" not in name
    assert ("{scale=2.75e-5} and {offset=-0.2}" in refused.value.advice) is collection2
    assert "{names}" in refused.value.advice
    assert names_of(read_bands_of([str(path)], names=["red"], **HOW)) == ["red"]


@pytest.fixture
def named(tmp_path: Path) -> list[Band]:
    path = write(tmp_path / "s.tif", ("B11", "B4", "B2", "dem", "B3"))
    return name_bands(bands_of_file(str(path), **HOW), None)


def test_wanted_bands_come_in_the_wanted_order(named: list[Band]) -> None:
    assert names_of(choose_bands(named, ["dem", "B04", "swir16"], where="s")) == [
        "dem",
        "red",
        "swir16",
    ]
    assert names_of(choose_bands(named, None, where="s"))[:3] == ["blue", "green", "red"]
    assert "dem" not in names_of(choose_bands(named, None, where="s"))


@pytest.mark.parametrize(
    ("wanted", "given"),
    [
        (["red", "nir", "B12"], "s has no band nir, swir22; it has swir16, red, blue, dem, green"),
        ([], "s has no band (none asked); it has swir16, red, blue, dem, green"),
    ],
)
def test_bands_that_are_not_there_are_named_with_those_that_are(
    named: list[Band], wanted: list[str], given: str
) -> None:
    with pytest.raises(InputError) as refused:
        choose_bands(named, wanted, where="s")
    assert refused.value.given == given


def test_a_band_that_is_there_twice_is_a_question(tmp_path: Path) -> None:
    paths = [write(tmp_path / name, ("B4",)) for name in ("a.tif", "b.tif")]
    found = read_bands_of([str(p) for p in paths], names=None, **HOW)
    with pytest.raises(InputError) as refused:
        choose_bands(found, None, where="x")
    assert refused.value.given == f"x: band red is there twice ({paths[0]} and {paths[1]})"
    assert refused.value.advice == "name one file per band, or pass {names}"


def test_where_no_name_is_known_all_are_told(tmp_path: Path) -> None:
    path = write(tmp_path / "s.tif", ("one", None))
    found = read_bands_of([str(path)], names=None, **HOW)
    with pytest.raises(InputError) as refused:
        choose_bands(found, None, where="x")
    assert refused.value.given == "x: none of its 2 bands has a known name (one, unnamed)"
    assert "for example ['blue', 'green', 'red']" in refused.value.advice


ESA = "T33UXQ_20230820T094549_{}_10m.jp2"


def test_bands_of_two_moments_are_two_scenes(tmp_path: Path) -> None:
    first = tmp_path / ESA.format("B04").replace(".jp2", ".tif")
    second = tmp_path / "T33UXQ_20230825T094549_B03_10m.tif"
    found = read_bands_of([str(write(p)) for p in (first, second)], names=None, **HOW)
    with pytest.raises(InputError) as refused:
        choose_bands(found, ["green", "red"], where="x")
    assert refused.value.given == (
        f"band green is of T33UXQ_20230825T094549 ({second}) and band red of "
        f"T33UXQ_20230820T094549 ({first})"
    )
    assert refused.value.expected == "bands of one tile and one moment"
    assert names_of(choose_bands(found, ["red"], where="x")) == ["red"]


def test_files_that_are_bands_of_one_scene_are_no_scenes_of_their_own() -> None:
    whole = [Path("a.tif"), Path("b.tif"), Path(ESA.format("B04"))]
    check_whole_scenes(whole)
    check_whole_scenes([whole[2], Path("T33UYQ_20230820T094549_B04_10m.jp2")])
    with pytest.raises(InputError) as refused:
        check_whole_scenes([*whole, Path("elsewhere") / ESA.format("B8A").lower()])
    assert refused.value.given == (
        f"{ESA.format('B04')} and {ESA.format('B8A').lower()} are bands of one scene"
    )
    assert refused.value.expected == "a scene per file where [[scenes]] gives no tile"
    assert 'tile = "T33UXQ"' in refused.value.advice
