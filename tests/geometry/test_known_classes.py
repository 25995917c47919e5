"""Classes that the legend lacks are refused by every step and command, and nothing is written."""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import osm4eo_xr as oxr
from osm4eo_xr.errors import InputError
from osm4eo_xr.geometry.grid import geobox_of, georeference, target_geobox
from osm4eo_xr.geometry.known_classes import legend_of, refuse_others, with_known_classes
from osm4eo_xr.legend import default_legend, load_legend
from osm4eo_xr.maps.known_ground import agreement
from osm4eo_xr.maps.layers import fraction
from osm4eo_xr.plot.maps import class_panels, label_figure
from tests.cases.commands import call, refused

STRANGE, EDGE = 77, 64
LEGEND = default_legend()


def class_map(strange: int = STRANGE, nodata: int = 0) -> xr.DataArray:
    """Return forest with 32 pixels of another class and 64 without data."""
    values = np.full((EDGE, EDGE), 8, np.uint8)
    values[40:44, 50:58], values[0] = strange, nodata
    box = target_geobox((4321000, 3210000, 4321000 + 10 * EDGE, 3210000 + 10 * EDGE))
    return georeference(values, box, attrs={"nodata": nodata}, name="clc")


def sure(raster: xr.DataArray) -> tuple[xr.DataArray, xr.DataArray]:
    one = georeference(np.ones(raster.shape, np.float32), geobox_of(raster))
    return one, one


STEPS: dict[str, Callable[[xr.DataArray], xr.DataArray]] = {
    "sieve": lambda m: oxr.sieve(m, legend=LEGEND),
    "sieve, read twice": lambda m: oxr.sieve(m.chunk(32), legend=LEGEND, reread=True),
    "mosaic": lambda m: oxr.mosaic([m], legend=LEGEND),
    "extract": lambda m: oxr.extract_layer(m, "water"),
    "extract without patches": lambda m: oxr.extract_layer(m, "water", min_area=5000),
    "fraction": lambda m: fraction(m, 20),
    "agreement": lambda m: agreement(m, class_map(8), legend=LEGEND),
    "merge": lambda m: oxr.merge_known(class_map(8), m, legend=LEGEND)["classes"],
    "change": lambda m: oxr.detect_change(m, m, confidence=sure(m)).happened,
    "compare": lambda m: oxr.compare(m, class_map(8)).agreement,
    "compare with it": lambda m: oxr.compare(class_map(8), m).agreement,
}


REPORT = {"classes": [{"share": 0.1}] * 12, "labeled": 1.0, "conflicts": 0.0}
PICTURES: dict[str, Callable[[xr.DataArray], object]] = {
    "plot_classes": oxr.plot_classes,
    "plot_classes, thinned": lambda m: oxr.plot_classes(m, pixels=EDGE // 2),
    "quicklook": oxr.quicklook,
    "label_figure": lambda m: label_figure(m, REPORT),
    "class_panels": lambda m: class_panels([("a", m, "x", 4321100.0)], legend=LEGEND),
}


@pytest.mark.parametrize("picture", PICTURES)
@pytest.mark.parametrize("chunks", [None, 40])
def test_pictures_refuse_what_the_legend_lacks(picture: str, chunks: int | None) -> None:
    """Drawn white as no data is, it would look as if nothing were there."""
    strange, known = (
        m if chunks is None else m.chunk(chunks) for m in (class_map(), class_map(5, nodata=255))
    )
    with pytest.raises(InputError, match=r"clc holds class 77 in .* % of .*which legend 'osm"):
        PICTURES[picture](strange)
    PICTURES[picture](known)


def test_a_no_data_value_that_is_no_number_is_none() -> None:
    checked = with_known_classes(class_map(5).assign_attrs(nodata=float("nan")), LEGEND)
    assert checked.equals(class_map(5))


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("chunks", [None, 40])
def test_steps_refuse_what_the_legend_lacks(step: str, chunks: int | None) -> None:
    strange, known = (m if chunks is None else m.chunk(chunks) for m in (class_map(), class_map(5)))
    with pytest.raises(InputError, match=r"holds class 77 in .* % of .*which legend 'osm"):
        STEPS[step](strange).compute()
    STEPS[step](known).compute()


@pytest.mark.parametrize("step", [name for name in STEPS if "compare" not in name])
@pytest.mark.usefixtures("no_compute")
def test_lazy_steps_stay_lazy(step: str) -> None:
    STEPS[step](class_map().chunk(40))


@settings(max_examples=20, deadline=None)
@given(rows=st.integers(1, EDGE), cols=st.integers(1, EDGE), nodata=st.sampled_from([0, 255]))
def test_any_chunks_are_checked_alike(rows: int, cols: int, nodata: int) -> None:
    known = class_map(12, nodata)
    checked = with_known_classes(known.chunk({"y": rows, "x": cols}), LEGEND)
    assert checked.chunks is not None
    assert checked.attrs == known.attrs
    np.testing.assert_array_equal(checked, known)
    strange = with_known_classes(class_map(nodata=nodata).chunk({"y": rows, "x": cols}), LEGEND)
    with pytest.raises(InputError, match="clc holds class 77 in"):
        strange.compute()


def test_tags_of_the_legend_are_no_part_of_a_lazy_map() -> None:
    """Dask looks at each of hundreds, in each of a country's tiles, wherever they stand."""
    checked = with_known_classes(class_map(12).chunk(40), LEGEND)
    graph: Any = checked.__dask_graph__()
    text = pickle.dumps(dict(graph))
    assert b"LandUseClass" in text
    assert b"TagRule" not in text


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.usefixtures("no_compute")
def test_steps_refuse_a_map_of_another_legend(step: str) -> None:
    own = class_map(5).assign_attrs(legend="four classes").chunk(40)
    with pytest.raises(InputError, match="was made with legend 'four classes', this is 'osm"):
        STEPS[step](own)


def test_a_map_of_a_legend_of_the_package_needs_no_option() -> None:
    marsh = load_legend("osmlanduse-13").classes[-1]
    coast = class_map(marsh.id).assign_attrs(legend="osmlanduse-13")
    assert (oxr.extract_layer(coast, marsh.slug) == marsh.id).sum() == 32
    assert legend_of(coast).name == "osmlanduse-13"
    with pytest.raises(InputError, match="'osmlanduse-13', this is 'osmlanduse-12'"):
        legend_of(coast, given=LEGEND)
    with pytest.raises(InputError, match=r"^labels was made with legend 'osmlanduse-13'"):
        legend_of(class_map(5).assign_attrs(legend="osmlanduse-12"), coast.rename("labels"))


def test_the_message_names_values_share_and_way_out() -> None:
    values = class_map().to_numpy()
    values[10, :7] = range(90, 97)
    with pytest.raises(InputError) as refused:
        with_known_classes(class_map().copy(data=values), LEGEND)
    assert str(refused.value) == (
        "clc holds classes 77, 90, 91, 92, 93 and 3 more in 0.97 % of a block's pixels, which "
        "legend 'osmlanduse-12' does not have; give the legend it was made with, legend="
    )
    assert with_known_classes(class_map(), None).equals(class_map())
    for count, share in ((1, "0.52"), (20, "10"), (192, "100")):
        with pytest.raises(InputError, match=f"class 77 in {share} % of pixels"):
            refuse_others({77: count, 8: 192 - count}, LEGEND, "it", "pixels")


OWN = """
name = "four classes"
class = [
    {id = 8, clc = 31, slug = "trees", name = "Trees", color = [0, 68, 0], priority = 1},
    {id = 5, clc = 21, slug = "fields", name = "Fields", color = [255, 255, 0], priority = 2},
]
"""

COMMANDS = [
    "sieve clc.tif --out o.tif",
    "mosaic clc.tif --out o.tif",
    "extract clc.tif --layer water --out o.tif",
    "assess clc.tif --points points.gpkg --out o.json",
    "compare clc.tif known.tif --agreement o.tif --out o.json",
    "compare known.tif clc.tif --out o.json",
    "change clc.tif clc.tif --confidence sure.tif sure.tif --out o.tif",
    "agree known.tif clc.tif --merged m.tif --out o.tif",
    "view clc.tif --out o --static",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("classes")
    for name, raster in (("clc", class_map()), ("known", class_map(8))):
        oxr.write_cog(raster, folder / f"{name}.tif")
    oxr.write_cog(sure(class_map())[0], folder / "sure.tif")
    (folder / "own.toml").write_text(OWN)
    oxr.write_cog(class_map(5), folder / "own.tif", legend=load_legend(folder / "own.toml"))
    place = gpd.points_from_xy([4321000 + 10 * 54], [3210000 + 10 * EDGE - 10 * 42])
    points = gpd.GeoDataFrame({"class": ["water"]}, geometry=place, crs=3035)
    points.to_file(folder / "points.gpkg")
    return folder


@pytest.mark.parametrize("line", COMMANDS, ids=lambda line: line[:18])
def test_commands_refuse_what_the_legend_lacks(line: str, folder: Path, monkeypatch) -> None:
    monkeypatch.chdir(folder)
    before = sorted(folder.iterdir())
    error = refused(*line.split())
    assert "class 77" in str(error)
    assert "{legend}" in error.advice  # --legend, as test_advice shows
    assert sorted(folder.iterdir()) == before


@pytest.mark.parametrize("line", [*COMMANDS, "design-points clc.tif --out o"], ids=lambda x: x[:18])
def test_commands_refuse_a_map_of_another_legend(line: str, folder: Path, monkeypatch) -> None:
    monkeypatch.chdir(folder)
    before = sorted(folder.iterdir())
    error = refused(*line.replace("clc.tif", "own.tif").split())
    assert "was made with legend 'four classes'" in str(error)
    assert "{legend}" in error.advice
    assert sorted(folder.iterdir()) == before


@pytest.mark.parametrize("line", ["sieve own.tif", "mosaic own.tif", "extract own.tif --layer 8"])
def test_its_own_legend_stays_with_a_map(
    line: str, folder: Path, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.chdir(folder)
    out = tmp_path / "out.tif"
    command = [*line.split(), "--legend", "own.toml", "--out", str(out)]
    call(*command)
    assert oxr.open_raster(out).attrs["legend"] == "four classes"
    assert "Urban" not in out.with_suffix(".qml").read_text()


MADE: dict[str, Callable[[xr.DataArray, xr.DataArray], xr.DataArray]] = {
    "agreement": agreement,
    "comparison": lambda one, other: oxr.compare(one, other).agreement,
    "provenance": oxr.provenance_of,
}


@pytest.mark.parametrize("kind", MADE)
def test_what_says_where_two_maps_agree_is_taken_for_no_class_map(
    kind: str, tmp_path: Path
) -> None:
    """Its 1, 2 and 3 are OSMlanduse's urban fabric, industry and mines."""
    one, other = class_map(12), class_map(8)
    made = MADE[kind](one.assign_attrs(legend=LEGEND.name), other)
    again = oxr.open_raster(oxr.write_cog(made, tmp_path / "made.tif"))
    for raster in (made, again):
        for step in ("extract", "fraction", "change"):
            with pytest.raises(InputError, match=f"made as {kind}; expected class ids"):
                STEPS[step](raster)
    assert not {"urban", "industrial", "mine"} & set(oxr.to_vector(again)["slug"])
    error = refused("extract", tmp_path / "made.tif", "--layer", "1", "--out", tmp_path / "x.tif")
    assert f"made as {kind}" in error.given
    if kind == "agreement":
        assert set(oxr.to_vector(again)["slug"]) == {"equal", "different"}


def test_a_map_of_change_brings_its_own_legend(tmp_path: Path) -> None:
    before, after = class_map(12), class_map(8)
    found = oxr.detect_change(before, after, confidence=sure(before))
    path = oxr.write_cog(found.happened, tmp_path / "change.tif")
    assert set(oxr.to_vector(oxr.open_raster(path))["slug"]) == {"stable", "change"}
    call("extract", path, "--layer", "change", "--out", tmp_path / "layer.tif")
    assert int((oxr.open_raster(tmp_path / "layer.tif") > 0).sum()) == 32
    other = ["--legend", "osmlanduse-12", "--out", tmp_path / "x.tif"]
    error = refused("extract", path, "--layer", "1", *other)
    assert "made with legend 'change', this is 'osmlanduse-12'" in error.given
