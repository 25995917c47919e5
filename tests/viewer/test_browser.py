"""The viewer in a browser: from disk, over HTTP behind a path, and as one page."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rasterio.warp import transform

import osm4eo_xr as oxr
from osm4eo_xr.geometry.grid import georeference, target_geobox
from osm4eo_xr.viewer.folder import write_viewer
from osm4eo_xr.viewer.overlays import class_overlay, legend_entries
from osm4eo_xr.viewer.serving import served
from osm4eo_xr.viewer.shown import write_map_viewer
from tests.cases.browser import Page, browser, needs_chromium

pytestmark = needs_chromium

LEGEND = oxr.default_legend()
BOX = target_geobox((4_320_000, 3_210_000, 4_324_000, 3_213_000))  # 300 x 400 pixels
READY = "window.osm4eoViewer && osm4eoViewer.map.loaded() && osm4eoViewer.map.areTilesLoaded()"
PLACE = "((b) => [(b[0] + b[2]) / 2, (b[1] + b[3]) / 2])(osm4eoAbout.overlays[0].bounds)"
MIDDLE = f"osm4eoViewer.map.project({PLACE})"


LON, LAT = (v[0] for v in transform("EPSG:3035", "EPSG:4326", [4_321_000], [3_211_500])[:2])


def rasters() -> dict[str, Any]:
    """Return forest in the west, water in the east, and what belongs to them."""
    halves = np.full((300, 400), 8, np.uint8)
    halves[:, 200:] = 12
    names: Any = {"band": ["red", "green", "blue"]}
    light = np.linspace(0.01, 0.3, 3 * 300 * 400, dtype=np.float32).reshape(3, 300, 400)
    return {
        "class_map": georeference(halves, BOX),
        "scene": georeference(light, BOX, dims=("band", "y", "x"), coords=names),
        "labels": georeference(np.where(halves == 12, 0, halves).astype(np.uint8), BOX),
        "provenance": georeference(np.where(halves == 12, 2, 1).astype(np.uint8), BOX),
        "confidence": georeference(np.where(halves == 12, 200, 100).astype(np.uint8), BOX),
    }


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("view") / "viewer"
    write_map_viewer(where, **rasters(), title="<Half> & half")
    return where


def answers(page: Page, east: float) -> dict[str, str]:
    """Click so many pixels east of the middle and return what pops up."""
    page.run("document.querySelectorAll('.maplibregl-popup').forEach((p) => p.remove())")
    x, y = page.run(f"[{MIDDLE}.x, {MIDDLE}.y]")
    page.click(x + east, y)
    page.wait("document.querySelector('.found')")
    rows = "[...document.querySelectorAll('.found tr')]"
    return dict(page.run(f"{rows}.map((r) => [...r.cells].map((c) => c.innerText))"))


def colors(page: Page, file: Path, *points: tuple[float, float]) -> list[tuple[int, ...]]:
    """Return the colors that are seen so many pixels east and south of the middle."""
    from PIL import Image

    page.wait(READY)
    page.picture(file)
    x, y = page.run(f"[{MIDDLE}.x, {MIDDLE}.y]")
    image = Image.open(file).convert("RGB")
    return [image.getpixel((round(x + i), round(y + j))) for i, j in points]  # type: ignore[misc]


def near(seen: tuple[int, ...], slug: str) -> bool:
    wanted = LEGEND.find(slug).color
    return max(abs(a - b) for a, b in zip(seen, wanted, strict=True)) <= 2


def test_from_disk_a_click_says_what_lies_there(page: Page, folder: Path, tmp_path: Path) -> None:
    page.open(f"{folder.as_uri()}/index.html", READY)
    assert page.run("document.getElementById('title').textContent") == "<Half> & half"
    west, east = answers(page, -40), answers(page, 40)
    assert west["Land use"] == west["OpenStreetMap labels"] == "Forests"
    assert (west["Confidence"], west["Provenance"]) == ("0.40", "openstreetmap")
    assert (east["Land use"], east["OpenStreetMap labels"]) == ("Water bodies", "no data")
    assert (east["Confidence"], east["Provenance"]) == ("0.80", "prediction")
    page.run("document.querySelectorAll('.maplibregl-popup').forEach((p) => p.remove())")
    forest, water = colors(page, tmp_path / "map.png", (-40, 0), (40, 0))
    assert near(forest, "forest")
    assert near(water, "water")
    assert not page.problems
    assert all(r.startswith(("file:", "blob:", "data:")) for r in page.requests)


@pytest.mark.parametrize("name", ["crops #1", "why?", "50%25", "a {z}"])
def test_overlays_of_any_name_are_shown_and_found(page: Page, name: str, tmp_path: Path) -> None:
    overlay = class_overlay(name, "Crops", [rasters()["class_map"]], legend_entries(LEGEND))
    index = write_viewer(tmp_path / "viewer", [overlay], title="x")
    page.open(index.as_uri(), READY)
    assert answers(page, -40)["Crops"] == "Forests"
    page.run("document.querySelectorAll('.maplibregl-popup').forEach((p) => p.remove())")
    forest, water = colors(page, tmp_path / "map.png", (-40, 0), (40, 0))
    assert near(forest, "forest")
    assert near(water, "water")


def test_classes_are_hidden_and_maps_swiped(page: Page, folder: Path, tmp_path: Path) -> None:
    page.open(f"{folder.as_uri()}/index.html?again", READY)
    page.run("document.getElementById('show-scene').click()")
    labels = "[...document.querySelectorAll('#legend label')]"
    row = f"{labels}.find((l) => l.innerText.startsWith('Forest'))"
    page.run(f"{row}.querySelector('input').click()")
    forest, water = colors(page, tmp_path / "hidden.png", (-40, 0), (40, 0))
    assert not near(forest, "forest")
    assert near(water, "water")
    page.run("osm4eoViewer.swipeWith('provenance')")
    page.wait("document.querySelectorAll('#swiped canvas').length")
    at = page.run("document.getElementById('divider').getBoundingClientRect().x")
    middle = page.run(f"{MIDDLE}.x")
    page.wait("osm4eoViewer.second().areTilesLoaded()")
    under, over = colors(page, tmp_path / "swiped.png", (at - middle - 20, 0), (300, 0))
    assert over == (189, 189, 189)  # predicted
    assert under != over
    assert not page.problems


def test_over_http_all_addresses_are_relative(page: Page, folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "proxy" / "8123")
    page.requests.clear()
    with served(tmp_path) as address:
        page.open(f"{address}proxy/8123/", READY)
        assert answers(page, 40)["Land use"] == "Water bodies"
    asked = [r for r in page.requests if not r.startswith(("blob:", "data:"))]
    assert len(asked) > 5
    assert all(r.startswith(f"{address}proxy/8123/") for r in asked)
    assert not page.problems


def test_one_page_asks_for_nothing_in_a_notebook(page: Page, tmp_path: Path) -> None:
    made = rasters()
    view = oxr.explore(made.pop("class_map"), **made, title="Inline")
    html = f"<!doctype html><meta charset=utf-8>{view._repr_html_()}"
    (tmp_path / "cell.html").write_text(html, encoding="utf-8")
    page.requests.clear()
    inner = "document.querySelector('iframe').contentWindow"
    ready = READY.replace("window.", f"{inner}.").replace("&& osm4eo", f"&& {inner}.osm4eo")
    page.open((tmp_path / "cell.html").as_uri(), f"document.querySelector('iframe') && {ready}")
    found = page.run(
        f"{inner}.osm4eoViewer.foundAt({{ lng: {LON}, lat: {LAT} }}).then(JSON.stringify)"
    )
    assert '["Land use","Forests"]' in found
    assert '["Provenance","openstreetmap"]' in found
    asked = [r for r in page.requests if not r.startswith(("blob:", "data:", "about:"))]
    assert asked == [(tmp_path / "cell.html").as_uri()]
    assert not page.problems
