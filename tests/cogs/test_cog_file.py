"""How a COG comes into its place: what goes beside it, what goes away, and what fails whole."""

import json
import shutil
from pathlib import Path
from typing import Any

import dask.config
import numpy as np
import pytest
import rasterio

from osm4eo_xr.cogs import cog_file
from osm4eo_xr.cogs.cog_file import Contents, colors_of, new_cog
from osm4eo_xr.cogs.levels import Layout, shrink_block
from osm4eo_xr.cogs.sidecars import Category
from osm4eo_xr.geometry.grid import target_geobox

BOX = target_geobox((4_400_000, 2_700_000, 4_406_000, 2_707_000))  # 700 x 600 pixels
CLASSES = (Category(8, "Forests", "forest", (0, 100, 0)), Category(12, "Water", "water", (0, 0, 9)))
LAYOUT = Layout(BOX, "uint8", ("",), 0, classes=True, colors=colors_of(CLASSES))
PIXELS = np.random.default_rng(0).choice(np.array([0, 8, 12], np.uint8), (1, *BOX.shape))


def write(path: Path, contents: Contents = Contents(CLASSES), **how: Any) -> None:  # noqa: B008 - frozen
    with new_cog(path, LAYOUT, contents, **how) as levels:
        for top in range(0, BOX.shape[0], 512):
            for left in range(0, BOX.shape[1], 512):
                block = PIXELS[:, top : top + 512, left : left + 512]
                levels.write(top, left, shrink_block(block, LAYOUT))


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_colors_beyond_a_tables_room_are_left_out() -> None:
    many = (*CLASSES, Category(255, "x", "x", (1, 2, 3)), Category(256, "y", "y", (4, 5, 6)))
    assert colors_of(many) == ((8, (0, 100, 0)), (12, (0, 0, 9)), (255, (1, 2, 3)))
    assert colors_of(()) == ()


@pytest.mark.parametrize("compression", ["zstd", "deflate", "lzw"])
def test_the_file_holds_pixels_tags_and_packing(tmp_path: Path, compression: str) -> None:
    contents = Contents(CLASSES, {"legend": "two"})
    write(tmp_path / "a.tif", contents, compression=compression)
    with rasterio.open(tmp_path / "a.tif") as file:
        np.testing.assert_array_equal(file.read(), PIXELS)
        assert file.tags()["legend"] == "two"
        assert file.compression.value == compression.upper()
        assert file.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert file.overviews(1) == [2]
        assert file.colormap(1)[8] == (0, 100, 0, 255)
        assert file.nodata == 0


@pytest.mark.parametrize(
    ("contents", "beside"),
    [
        (Contents(), ["a.tif", "a.tif.aux.xml"]),
        (Contents(CLASSES), ["a.qml", "a.tif", "a.tif.aux.xml"]),
        (
            Contents(CLASSES, datetime="2021-06-01T00:00:00Z", digest="ab"),
            ["a.qml", "a.stac.json", "a.tif", "a.tif.aux.xml"],
        ),
    ],
)
def test_beside_it_lies_what_is_known_and_nothing_of_before(
    tmp_path: Path, contents: Contents, beside: list[str]
) -> None:
    for old in ("a.qml", "a.stac.json", "a.tif.aux.xml", "a.tif"):
        (tmp_path / old).write_text("old")
    (tmp_path / "a.prj").write_text("mine")
    write(tmp_path / "a.tif", contents)
    assert names(tmp_path) == sorted([*beside, "a.prj"])
    assert all((tmp_path / name).read_bytes() != b"old" for name in beside)


def test_a_failure_while_it_is_filled_leaves_everything_as_it_was(tmp_path: Path) -> None:
    for old in ("a.qml", "a.tif"):
        (tmp_path / old).write_text("old")
    with pytest.raises(ZeroDivisionError), new_cog(tmp_path / "a.tif", LAYOUT, Contents(CLASSES)):
        raise ZeroDivisionError
    assert names(tmp_path) == ["a.qml", "a.tif"]
    assert (tmp_path / "a.tif").read_text() == "old"


def test_a_file_that_came_out_as_no_cog_is_not_put_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GDAL says of each file it wrote whether it is one."""

    def plain(source: Path, target: Path, **_: Any) -> None:
        with rasterio.open(source) as file:
            profile = file.profile | {"driver": "GTiff"}
            with rasterio.open(target, "w", **profile) as out:
                out.write(file.read())

    monkeypatch.setattr(cog_file.rasterio.shutil, "copy", plain)
    with pytest.raises(RuntimeError, match=r"a\.tif came out as a GeoTIFF that is no COG"):
        write(tmp_path / "a.tif")
    assert names(tmp_path) == []


def test_gdal_compresses_with_the_threads_that_were_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy, asked = cog_file.rasterio.shutil.copy, []

    def seen(source: Path, target: Path, **how: Any) -> None:
        asked.append(how["num_threads"])
        copy(source, target, **how)

    monkeypatch.setattr(cog_file.rasterio.shutil, "copy", seen)
    with dask.config.set(num_workers=3):
        write(tmp_path / "a.tif")
    assert asked == ["3"]


def test_a_link_leads_on_to_the_file_that_is_written(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "here").mkdir()
    link = tmp_path / "here" / "a.tif"
    link.symlink_to(tmp_path / "far" / "b.tif")
    write(link)
    assert link.is_symlink()
    assert names(tmp_path / "far") == ["b.qml", "b.tif", "b.tif.aux.xml"]
    assert names(tmp_path / "here") == ["a.tif"]


def test_the_same_pixels_are_the_same_bytes_whatever_the_order(tmp_path: Path) -> None:
    write(tmp_path / "a.tif")
    with new_cog(tmp_path / "b.tif", LAYOUT, Contents(CLASSES)) as levels:
        for top in (512, 0):
            for left in (512, 0):
                block = PIXELS[:, top : top + 512, left : left + 512]
                levels.write(top, left, shrink_block(block, LAYOUT))
    assert (tmp_path / "a.tif").read_bytes() == (tmp_path / "b.tif").read_bytes()


def test_the_item_of_a_moved_map_still_names_it(tmp_path: Path) -> None:
    """Its link is relative: folders are copied and mounted elsewhere."""
    write(tmp_path / "a.tif", Contents(CLASSES, datetime="2021-06-01T00:00:00Z"))
    moved = Path(shutil.copytree(tmp_path, tmp_path.with_name("moved")))
    item = json.loads((moved / "a.stac.json").read_text())
    assert (moved / item["assets"]["data"]["href"]).is_file()
