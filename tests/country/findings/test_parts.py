"""Parts of the report's page: tables and pictures, harmony, seams, and where the model applies."""

import base64
import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure
from PIL import Image

import osm4eo_xr as oxr
from osm4eo_xr.country.findings import page, radiometry, seams, trust
from osm4eo_xr.geometry.grid import georeference, target_geobox
from osm4eo_xr.maps.seams import Seam

LEGEND = oxr.default_legend()
ROWS, COLS = 120, 200
BOX = target_geobox((4_400_000, 2_700_000 - 10 * ROWS, 4_400_000 + 10 * COLS, 2_700_000))
NAN = float("nan")


def test_a_table_shows_numbers_shortly_and_text_as_text() -> None:
    found = page.table(("a", "b"), [("<x>", 0.123456), ("n", 7), ("m & n", "<b>")])
    assert found == (
        "<table><tr><th>a</th><th>b</th></tr>"
        "<tr><td>&lt;x&gt;</td><td><code>0.1235</code></td></tr>"
        "<tr><td>n</td><td><code>7</code></td></tr>"
        "<tr><td>m &amp; n</td><td><code>&lt;b&gt;</code></td></tr></table>"
    )
    assert page.folded("t", "c") == "<details><summary>t</summary>c</details>"


def test_a_picture_is_a_png_that_says_nothing_of_who_drew_it() -> None:
    figure = Figure((2, 1), dpi=50)
    figure.subplots().plot([0, 1])
    text = page.image(figure, 'a "map"')
    assert 'alt="a &quot;map&quot;"' in text
    data = text.partition("base64,")[2].partition('"')[0]
    with Image.open(io.BytesIO(base64.b64decode(data))) as picture:
        assert picture.size == (100, 50)
        assert "Software" not in picture.info
    assert page.image(figure, 'a "map"') == text


def test_harmony_tells_what_reflectance_becomes_and_from_which_overlaps() -> None:
    harmony = {
        "gain": {"T1": {"red": 1.0, "nir": 0.98765}, "T2": {"red": 1.02, "nir": 1.0}},
        "offset": {"T1": {"red": 0.0, "nir": -0.00123}, "T2": {"red": 0.01, "nir": 0.0}},
        "overlaps": [{"tiles": ["T1", "T2"], "pixels": 123456}],
    }
    text = "".join(radiometry.harmony_parts(harmony))
    assert "<code>red 1.000 r +0.0000, nir 0.988 r -0.0012</code>" in text
    assert "<code>red 1.020 r +0.0100, nir 1.000 r +0.0000</code>" in text
    assert "Overlaps used: 1" in text
    assert "<td>T1 and T2</td><td><code>123,456</code></td>" in text
    assert radiometry.harmony_parts({}) == []
    assert radiometry.find_harmony(SimpleNamespace(settings=SimpleNamespace(harmonize=False))) == {}  # type: ignore[arg-type]


def seam(axis: str = "x", at: int = 100, *, pairs: int = 90, **more: Any) -> Seam:
    figures = {"across": 0.3, "beside": 0.1, "excess": 0.2, "low": 0.1, "high": 0.3}
    figures |= {"shift": 0.05, "shift_low": 0.0, "shift_high": 0.1}
    place: dict[str, Any] = {"start": 0, "end": ROWS if axis == "x" else COLS, "worst": 32}
    return Seam(**{"axis": axis, "at": at, "pairs": pairs, **place, **figures, **more})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a map of forest, arable from column 100 on, and what the model says of it."""
    folder = tmp_path_factory.mktemp("parts")
    values = np.full((ROWS, COLS), 8, np.uint8)
    values[:, 100:] = 5
    values[:10] = 0
    oxr.write_cog(georeference(values, BOX), folder / "final.tif")
    for name, made in (("dissimilarity", index()), ("set_size", sizes())):
        raster = georeference(made, BOX, attrs={"nodata": 255})
        oxr.write_cog(raster, folder / f"{name}.tif")
    return folder


def index() -> np.ndarray:
    """Return dissimilarity: outside (above 100) in a quarter of the forest; unknown in one row."""
    found = np.full((ROWS, COLS), 40, np.uint8)
    found[10:, :25] = 101
    found[10:, 100] = 100  # the limit itself is inside
    found[50] = 255
    return found


def sizes() -> np.ndarray:
    found = np.full((ROWS, COLS), 1, np.uint8)
    found[10:, 100:] = 3
    found[50] = 255
    return found


def a_run(folder: Path, *, applies: bool = True) -> Any:
    classify = SimpleNamespace(applicability=applies)
    return SimpleNamespace(
        settings=SimpleNamespace(classify=classify, seed=0),
        legend=LEGEND,
        out=folder,
        final_map=folder / "final.tif",
        tiles=["one"],
        boxes={"one": BOX},
    )


def test_trust_is_counted_by_class_and_leaves_out_what_nobody_knows(folder: Path) -> None:
    found = trust.find_trust(a_run(folder))
    rows = ROWS - 11  # ten without a class, one without an answer
    assert found["pixels"] == rows * COLS
    assert found["outside"] == pytest.approx(25 / COLS, abs=1e-6)
    assert found["set_size"] == pytest.approx(2.0)  # half of the ground 1, half 3
    assert found["set_sizes"] == {"1": 0.5, "3": 0.5}
    assert found["classes"] == {
        "arable": {"pixels": rows * 100, "outside": 0.0, "set_size": 3.0},
        "forest": {"pixels": rows * 100, "outside": 0.25, "set_size": 1.0},
    }
    text = "".join(trust.trust_parts(found))
    assert "<td>forest</td><td><code>25.0% outside, 1.00 classes</code></td>" in text
    assert "<td>all classes</td><td><code>12.5% outside, 2.00 classes</code></td>" in text


def test_a_run_that_does_not_ask_where_the_model_applies_says_nothing(folder: Path) -> None:
    run = a_run(folder, applies=False)
    assert trust.find_trust(run) == {}
    assert trust.trust_parts({}) == []
    assert trust.trust_pieces(run, []) == []


def test_a_single_tile_has_no_seams(folder: Path) -> None:
    assert seams.find_seams(a_run(folder)) == []
    assert seams.seam_parts(a_run(folder), [], None) == []


def test_seams_are_listed_with_intervals_and_the_worst_pictured(folder: Path) -> None:
    every = seam("", 0, pairs=5000, shift=NAN)
    found = seams.seam_parts(a_run(folder), [every, seam(), seam("y", 60, pairs=0)], seam("", 0))
    text = "".join(found)
    assert "<td>all edges</td><td><code>+20.00% (95 %: +10.00% to +30.00%) of 5,000</code>" in text
    assert "column 100, rows 0 to 120" in text
    assert "of 90; shares shift by +5.0%" in text
    assert "row 60" not in text  # no pixel has a class on both of its sides
    assert "edges of the blocks in which they were classified" in text
    assert "data:image/png;base64," in text


def test_edges_without_pairs_are_told_and_not_pictured(folder: Path) -> None:
    nothing = seam("", 0, pairs=0, excess=NAN, low=NAN, high=NAN, shift=NAN)
    text = "".join(seams.seam_parts(a_run(folder), [nothing, seam(pairs=0)], None))
    assert "no pixel with a class on both sides" in text
    assert "img" not in text
    only = "".join(seams.seam_parts(a_run(folder), [], seam("", 0, low=NAN, high=NAN)))
    assert "Excess: +20.00% of 90; shares shift by +5.0%." in only
    assert "95 %" not in only


@pytest.mark.parametrize("axis", ["x", "y"])
def test_the_picture_of_an_edge_has_it_in_its_middle(
    folder: Path, axis: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ticks mark the edge where it lies in the map's CRS, half way between two pixel centers."""
    seen: list[Any] = []
    monkeypatch.setattr(
        "osm4eo_xr.plot.maps.class_panels",
        lambda panels, **_: seen.extend(panels) or Figure((1, 1)),
    )
    at = 100 if axis == "x" else 60
    seams.seam_parts(a_run(folder), [seam("", 0), seam(axis, at)], None)
    [(title, part, across, place)] = seen
    assert title.endswith("+20.00%")
    assert across == axis
    assert place == (4_401_000 if axis == "x" else 2_700_000 - 600)
    assert part.sizes == ({"y": 96, "x": 48} if axis == "x" else {"y": 48, "x": 96})
    middle = float(part[axis].mean())
    assert middle == place
    assert isinstance(part, xr.DataArray)
