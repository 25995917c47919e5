"""Which files a path names, and how one is opened or refused; no pixel is read."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import zarr
from rasterio.env import getenv
from rasterio.transform import from_origin

from osm4eo_xr.errors import InputError
from osm4eo_xr.rasters import files
from osm4eo_xr.rasters.files import GDAL_OPTIONS, is_store, list_files, open_image

PLACE: dict[str, Any] = {"crs": "EPSG:3035", "transform": from_origin(4_400_000, 2_700_000, 10, 10)}


def write(path: Path, **place: Any) -> Path:
    shape = {"height": 3, "width": 4, "count": 1, "dtype": "uint8"}
    with rasterio.open(path, "w", "GTiff", **shape, **place) as file:
        file.write(np.arange(12, dtype=np.uint8).reshape(1, 3, 4))
    return path


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_a_folder_names_its_images_in_order_and_nothing_hidden(tmp_path: Path) -> None:
    for name in ("b.tif", "a.TIFF", "c.Jp2", "d.vrt", "e.nc", "f.txt", "g.tif.aux.xml", "._b.tif"):
        (tmp_path / name).write_text("")
    (tmp_path / "h.zarr").mkdir()
    found = list_files(tmp_path)
    assert [Path(p).name for p in found] == ["a.TIFF", "b.tif", "c.Jp2", "d.vrt", "e.nc", "h.zarr"]
    assert list_files(str(tmp_path)) == found


def test_a_file_names_itself_and_several_keep_their_order(tmp_path: Path) -> None:
    assert list_files(tmp_path / "one.tif") == [str(tmp_path / "one.tif")]
    assert list_files(["b.tif", Path("a.tif")]) == ["b.tif", "a.tif"]
    assert list_files("https://x.org/a.tif") == ["https://x.org/a.tif"]


def test_a_store_is_one_file_though_it_is_a_folder(tmp_path: Path) -> None:
    store = tmp_path / "cube"  # known by what is in it
    zarr.open_group(store, mode="w").create_array("a", data=np.zeros((2, 2)))
    assert list_files(store) == [str(store)]


def test_nothing_is_no_scene(tmp_path: Path) -> None:
    with pytest.raises(InputError) as refused:
        list_files([])
    assert refused.value.given == "no file given"
    assert refused.value.advice == "give the path of a scene or of its band files"
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(InputError) as refused:
        list_files(tmp_path)
    assert refused.value.given == f"folder {tmp_path} has no .tif, .vrt, .jp2, .nc or .zarr"
    assert refused.value.advice == "name the scene's files"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("a.nc", True),
        ("A.NC4", True),
        ("a.cdf", True),
        ("a.zarr", True),
        ("a.zarr/r10m/b02", True),
        ("a.zarr.zip", True),
        ("https://x.org/a.zarr/r10m", True),
        ("a.tif", False),
        ("a.zarr.tif", False),
        ("zarr", False),
    ],
)
def test_stores_are_known_by_their_names(path: str, expected: bool) -> None:
    assert is_store(path) is expected


def test_an_image_is_opened_with_the_settings_of_every_read(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", **PLACE)
    with open_image(str(path)) as source:
        inside = getenv()
        assert source.transform == PLACE["transform"]
        assert source.read(1).tolist() == np.arange(12).reshape(3, 4).tolist()
    assert {name: inside[name] for name in GDAL_OPTIONS} == GDAL_OPTIONS
    assert source.closed


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize("lacks", ["crs", "transform"])
def test_an_image_without_its_place_is_refused(tmp_path: Path, lacks: str) -> None:
    path = write(tmp_path / "a.tif", **{k: v for k, v in PLACE.items() if k != lacks})
    with pytest.raises(InputError) as refused, open_image(str(path)):
        pytest.fail("it was opened")
    assert refused.value.given == f"{path} has no CRS or position"
    assert "gdal_translate -a_srs EPSG:3035" in refused.value.advice


def test_what_is_not_there_is_told_from_what_is_no_raster(tmp_path: Path) -> None:
    with pytest.raises(InputError) as refused, open_image(str(tmp_path / "a.tif")):
        pytest.fail("it was opened")
    assert str(refused.value) == f"no file {tmp_path / 'a.tif'}; give the path of a raster"
    (tmp_path / "a.tif").write_text("no raster")
    with (
        pytest.raises(InputError, match=r"a\.tif is not a raster that GDAL can read: "),
        open_image(str(tmp_path / "a.tif")),
    ):
        pytest.fail("it was opened")
    cut = write(tmp_path / "b.tif", **PLACE).read_bytes()[:60]
    (tmp_path / "b.tif").write_bytes(cut)
    with (
        pytest.raises(InputError, match=r"b\.tif is not a raster"),
        open_image(str(tmp_path / "b.tif")),
    ):
        pytest.fail("it was opened")
    with (
        pytest.raises(InputError, match="/vsizip/none.zip/a.tif is not a raster"),
        open_image("/vsizip/none.zip/a.tif"),
    ):
        pytest.fail("it was opened")


def test_words_of_gdal_that_are_no_text_are_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rasterio decodes what GDAL says of a file, which quotes the file's own bytes."""

    def broken(_path: str) -> None:
        b"\xff".decode()

    monkeypatch.setattr(files, "_opened", broken)
    with pytest.raises(InputError, match="is damaged$"), open_image(str(tmp_path / "a.tif")):
        pytest.fail("it was opened")


def test_an_error_while_it_is_open_is_the_callers_own(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", **PLACE)
    with pytest.raises(KeyError, match="mine"), open_image(str(path)) as source:
        raise KeyError("mine")
    assert source.closed
