"""The viewer's folder: what its page is told, where tiles lie, and that all stands or nothing."""

import base64
import json
import zlib
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from osm4eo_xr.geometry.grid import georeference, target_geobox
from osm4eo_xr.legend import default_legend
from osm4eo_xr.viewer.folder import CREDITS, PAGE, is_current, one_page, write_viewer
from osm4eo_xr.viewer.overlays import Overlay, class_overlay, legend_entries
from osm4eo_xr.viewer.web_mercator import SIDE

LEFT, BOTTOM = 4_320_000, 3_210_000
BOX = target_geobox((LEFT, BOTTOM, LEFT + 9_000, BOTTOM + 6_000))
ENTRIES = legend_entries(default_legend())


def some_map(holes: bool = False) -> xr.DataArray:
    coarse = np.random.default_rng(0).integers(1, 13, (60, 90), dtype=np.uint8)
    if holes:
        coarse[:, 45:] = 0
    return georeference(coarse.repeat(10, 0).repeat(10, 1), BOX, attrs={"nodata": 0})


def overlay(name: str = "map", **how: Any) -> Overlay:
    return class_overlay(name, "Land use", [some_map(**how)], ENTRIES)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("viewer") / "v"
    write_viewer(folder, [overlay()], title="A <land>", note="a note", key="k1")
    return folder


def told(text: str) -> dict[str, Any]:
    """Return what the page is told."""
    start = text.index("window.osm4eoAbout = ") + len("window.osm4eoAbout = ")
    return json.JSONDecoder().raw_decode(text[start:])[0]


def tiles_told(zoom: str, whereabouts: list[Any]) -> set[tuple[int, int, int]]:
    """Return the tiles that the bits of a zoom say are there."""
    column, row, width, height, bits = whereabouts
    packed = np.frombuffer(base64.b64decode(bits), np.uint8)
    there = np.unpackbits(packed)[: width * height].reshape(height, width)
    return {(int(zoom), column + x, row + y) for y, x in zip(*np.nonzero(there), strict=True)}


def tiles_written(folder: Path, name: str = "map") -> set[tuple[int, int, int]]:
    paths = (folder / "tiles" / name).rglob("*.js")
    return {(int(p.parent.name), *map(int, p.stem.split("_"))) for p in paths}  # type: ignore[misc]


def test_each_tile_that_the_page_is_told_of_is_there_and_no_other(folder: Path) -> None:
    [shown] = told((folder / "about.js").read_text())["overlays"]
    expected = set().union(*(tiles_told(z, w) for z, w in shown["zooms"].items()))
    assert tiles_written(folder) == expected
    assert len(expected) > 2
    finest = max(int(z) for z in shown["zooms"])
    assert {z for z, *_ in expected} == set(range(min(map(int, shown["zooms"])), finest + 1))


def test_tiles_without_data_are_neither_written_nor_told_of(tmp_path: Path, folder: Path) -> None:
    write_viewer(tmp_path / "v", [overlay(holes=True)], title="x")
    [shown] = told((tmp_path / "v" / "about.js").read_text())["overlays"]
    expected = set().union(*(tiles_told(z, w) for z, w in shown["zooms"].items()))
    assert tiles_written(tmp_path / "v") == expected < tiles_written(folder)


def test_a_tile_calls_the_page_with_its_own_name_and_pixels(folder: Path) -> None:
    for path in (folder / "tiles" / "map").rglob("*.js"):
        text = path.read_text("ascii")
        assert text.startswith("osm4eoTile(")
        name, data = json.loads(f"[{text[len('osm4eoTile(') : text.rindex(')')]}]")
        assert name == path.relative_to(folder / "tiles").with_suffix("").as_posix()
        pixels = np.frombuffer(zlib.decompress(base64.b64decode(data)), np.uint8)
        assert pixels.size == SIDE * SIDE
        assert set(np.unique(pixels)) <= set(range(13))


def test_the_page_is_told_title_note_credits_and_legend(folder: Path) -> None:
    about = told((folder / "about.js").read_text())
    assert (about["title"], about["note"], about["credits"]) == ("A <land>", "a note", CREDITS)
    assert about["side"] == SIDE
    [shown] = about["overlays"]
    assert [e["value"] for e in shown["entries"]] == list(default_legend().ids)
    assert [e["color"] for e in shown["entries"]] == [c.hex_color for c in default_legend().classes]
    west, south, east, north = shown["bounds"]
    assert 8 < west < east < 12
    assert 50 < south < north < 53
    assert (shown["nodata"], shown["kind"], shown["shown"]) == (0, "classes", True)


class Links(HTMLParser):
    """Collects what a page asks for."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.title = ""
        self._last = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self._last = tag
        self.found += [v for k, v in attrs if k in ("src", "href") and v]

    def handle_data(self, data: str) -> None:
        if self._last == "title":
            self.title += data.strip()


def test_all_that_the_page_asks_for_lies_beside_it(folder: Path) -> None:
    links = Links((folder / PAGE).read_text())
    beside = [link for link in links.found if not link.startswith(("data:", "#"))]
    assert beside
    assert all((folder / link).is_file() for link in beside if "://" not in link)
    assert not [link for link in beside if link.endswith((".js", ".css")) and "://" in link]
    assert links.title.startswith("A <land>")
    assert any("LICENSE" in p.name for p in folder.iterdir())


def test_a_folder_is_current_by_its_key_alone(folder: Path, tmp_path: Path) -> None:
    assert is_current(folder, "k1") == folder / PAGE
    assert is_current(folder, "k2") is None
    assert is_current(tmp_path, "k1") is None
    for text in ("", "{", "[]", '{"key": "k1", "more": 1}'):
        (tmp_path / "viewer.json").write_text(text)
        assert is_current(tmp_path, "k1") is None


def test_a_viewer_that_fails_leaves_the_old_one(tmp_path: Path) -> None:
    out = tmp_path / "v"
    write_viewer(out, [overlay()], title="old", key="old")
    before = {p: p.read_bytes() for p in out.rglob("*") if p.is_file()}

    def stop(done: int, total: int) -> None:
        raise OSError(f"{done} of {total}")

    with pytest.raises(OSError, match=r"\d of 6"):  # threads: whichever comes first
        write_viewer(out, [overlay()], title="new", key="new", progress=stop)
    assert {p: p.read_bytes() for p in out.rglob("*") if p.is_file()} == before
    assert [p.name for p in tmp_path.iterdir()] == ["v"]


def test_progress_counts_the_finest_tiles_of_all_overlays(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    both = [overlay("map"), overlay("labels")]
    write_viewer(tmp_path / "v", both, title="x", progress=lambda *at: seen.append(at))
    total = sum(o.cells.count for o in both)
    assert seen == [(k, total) for k in range(1, total + 1)]


def test_one_page_holds_the_same_tiles_inside(folder: Path) -> None:
    page = one_page([overlay()], title="A <land>")
    inside = told(page)["inside"]
    names = {f"map/{z}/{x}_{y}" for z, x, y in tiles_written(folder)}
    assert inside.keys() == names
    assert page.count("</script>") == page.count("<script")  # none is ended early
    assert not [link for link in Links(page).found if link.endswith((".js", ".css"))]


@pytest.mark.parametrize("tag", ["</SCRIPT>", "</script >", "</ScRiPt/", "<!--<script>"])
def test_titles_and_names_end_no_script(tag: str) -> None:
    named = {k: replace(e, name=f"{tag}<img>") for k, e in ENTRIES.items()}
    shown = class_overlay("map", f"{tag}<b>", [some_map()], named)
    page = one_page([shown], title="x", note=f"{tag}<i>")
    plain = one_page([overlay()], title="x")
    for start in ("<script", "</script", "<!--", "<img", "<b>", "<i>"):
        assert page.lower().count(start) == plain.lower().count(start)
    about = told(page)
    assert about["note"] == f"{tag}<i>"
    assert about["overlays"][0]["title"] == f"{tag}<b>"
    assert about["overlays"][0]["entries"][0]["name"] == f"{tag}<img>"
