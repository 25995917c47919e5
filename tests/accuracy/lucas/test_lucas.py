"""LUCAS: files in the layouts of 2018 and 2022, what codes mean, filters, its own design."""

import json
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from odc.geo.crs import CRS

from osm4eo_xr.accuracy.assessment import assess
from osm4eo_xr.accuracy.lucas.crosswalk import class_of, read_rules
from osm4eo_xr.accuracy.lucas.grid_design import LABELS_FILE, lucas_design, write_lucas
from osm4eo_xr.accuracy.lucas.reading import read_lucas
from osm4eo_xr.cogs.cog import write_cog
from osm4eo_xr.errors import InputError
from osm4eo_xr.legend import default_legend, load_legend
from tests.cases.commands import call
from tests.cases.train_case import LEFT, TOP, box, raster

# point, LC1, LU1, OBS_TYPE, OBS_DIST, OBS_DIRECT, LC1_PERC, PARCEL_AREA_HA, weight, row, column
SEEN = [
    (1, "B11", "U111", 1, 10, 1, 100, 4, 2.0, 2, 2),
    (2, "B32", "U111", 1, 60, 1, 80, 3, 1.0, 2, 12),
    (3, "C10", "U120", 2, 140, 1, 100, 5, 4.0, 12, 2),
    (4, "C22", "U420", 7, "", 1, 100, 5, 1.0, 12, 12),
    (5, "G11", "U420", 3, 90, 2, 100, 2, 3.0, 12, 22),
    (6, "A21", "U354", 1, 5, 1, 100, 1, 1.0, 2, 22),
    (7, "E20", "U111", 1, 5, 3, 30, 6, 1.0, 22, 2),
    (8, "8", "8", 4, "", 8, 888, 8, 1.0, 22, 12),
]
NAMES = ("LC1", "LU1", "OBS_TYPE", "OBS_DIST", "OBS_DIRECT", "LC1_PERC", "PARCEL_AREA_HA")
COLUMNS = {2018: ["POINT_ID", *NAMES], 2022: ["POINT_ID", *(f"SURVEY_{n}" for n in NAMES)]}
PLACES = {2018: ("TH_LAT", "TH_LONG"), 2022: ("POINT_LAT", "POINT_LONG")}


def table(year: int, *, weights: bool = False) -> pd.DataFrame:
    """Return the points as a table of that year."""
    columns: Any = COLUMNS[year]
    made = pd.DataFrame([row[:8] for row in SEEN], columns=columns)
    east = np.array([LEFT + 10 * row[10] + 5 for row in SEEN], float)
    north = np.array([TOP - 10 * row[9] - 5 for row in SEEN], float)
    lon, lat = CRS(3035).transformer_to_crs(CRS(4326))(east, north)
    made[PLACES[year][0]], made[PLACES[year][1]] = lat, lon
    if weights:
        made["WGT_LUCAS"] = [row[8] for row in SEEN]
    return made


@pytest.fixture
def file(tmp_path: Path) -> Path:
    table(2018).to_csv(tmp_path / "EU_2018.csv", index=False, quoting=2)
    return tmp_path / "EU_2018.csv"


def class_map() -> xr.DataArray:
    classes = np.full((30, 30), 5, np.uint8)
    classes[10:20] = 8
    return raster(classes, box(30, 30), 7)


def test_years_and_polygons_give_the_same_points(file: Path, tmp_path: Path) -> None:
    found = read_lucas(file)
    assert dict(zip(found["id"], found["class"], strict=True)) == {
        1: "arable",
        2: "arable",
        3: "forest",
        4: "forest",
        5: "water",
        6: "",
        7: "pasture",
    }
    assert found.crs == "EPSG:3035"
    assert found.geometry[0].x == pytest.approx(LEFT + 25, abs=0.01)
    assert found.attrs["left_out"]["without land cover"] == 1
    assert list(found.attrs["undecided"].values()) == [1]
    assert "community services" in found["why"][5]
    newer = tmp_path / "2022.csv"
    table(2022, weights=True).to_csv(newer, index=False)
    again = read_lucas(newer)
    assert again["class"].tolist() == found["class"].tolist()
    assert again["weight"].tolist() == [row[8] for row in SEEN[:7]]
    plain = table(2018).drop(columns=["TH_LAT", "TH_LONG"]).rename(columns=str.lower)
    around = gpd.GeoSeries([found.geometry[k].buffer(20) for k in range(7)], crs=3035)
    shapes = gpd.GeoDataFrame(plain[:7], geometry=around.reset_index(drop=True))
    shapes.to_file(tmp_path / "polygons.gpkg")
    polygons = read_lucas(tmp_path / "polygons.gpkg")
    assert polygons["class"].tolist() == found["class"].tolist()
    assert max(polygons.distance(found.geometry)) < 20


@pytest.mark.parametrize(("name", "separator"), [("a.csv", ";"), ("a.tsv", "\t"), ("a.TXT", ",")])
def test_tables_are_read_whatever_divides_their_columns(
    name: str, separator: str, tmp_path: Path
) -> None:
    table(2018).to_csv(tmp_path / name, index=False, sep=separator)
    found = read_lucas(tmp_path / name)
    assert found["class"].tolist() == ["arable", "arable", *["forest"] * 2, "water", "", "pasture"]


@pytest.mark.parametrize(
    ("how", "left"),
    [
        ({"observed": "field"}, [1, 2, 3, 5, 6, 7]),
        ({"observed": "near"}, [1, 2, 6, 7]),
        ({"max_distance": 60}, [1, 2, 6, 7]),
        ({"min_parcel": 0.5}, [1, 2, 3, 4]),
        ({"min_share": 0.8}, [1, 2, 3, 4, 5, 6]),
        ({"on_the_point": True}, [1, 2, 3, 4, 6]),
        ({"on_the_point": True, "min_parcel": 1, "observed": "near"}, [1]),
    ],
)
def test_filters_leave_out_what_they_say(file: Path, how: Any, left: list[int]) -> None:
    found = read_lucas(file, **how)
    assert found["id"].tolist() == left
    assert sum(found.attrs["left_out"].values()) == len(SEEN) - len(left)


def test_of_a_point_that_stands_twice_the_first_row_that_passes_counts(tmp_path: Path) -> None:
    once = table(2018)
    unseen = once[:2].assign(OBS_TYPE=4, LC1="A11")
    path = tmp_path / "twice.csv"
    pd.concat([unseen, once, once[1:3].assign(LC1="A11")]).to_csv(path, index=False)
    found = read_lucas(path)
    assert found["id"].tolist() == [1, 2, 3, 4, 5, 6, 7]
    assert found["lc1"].tolist() == [row[1] for row in SEEN[:7]]
    assert found.attrs["left_out"]["not observed so"] == 2
    assert found.attrs["left_out"]["twice"] == 2


@pytest.mark.parametrize(
    ("cover", "use", "expected"),
    [
        ("A11", "U370", "urban"),
        ("E20", "U370", "urban"),
        ("A22", "U312", "industrial"),
        ("A30", "U140", "mine"),
        ("F40", "U330", "mine"),
        ("E20", "U362", "artificial-green"),
        ("B55", "U111", "arable"),
        ("F40", "U112", "arable"),
        ("B82", "U111", "permanent-crops"),
        ("BX2", "U111", "permanent-crops"),
        ("BX1", "U111", "arable"),
        ("D10", "U420", "shrub"),
        ("F10", "U420", "open-space"),
        ("G50", "U420", "open-space"),
        ("G40", "U420", "water"),
        ("H12", "U420", "wetland"),
        ("H22", "U420", ""),
        ("C10", "U111", ""),
        ("E30", "U112", ""),
        ("A13", "U111", ""),
        ("Z99", "U999", ""),
    ],
)
def test_codes_mean_classes_or_say_why_not(cover: str, use: str, expected: str) -> None:
    legend = default_legend()
    class_id, why = class_of(read_rules(None, legend), cover, use)
    assert (legend.by_id[class_id].slug if class_id else "") == expected
    assert bool(why) == (class_id == 0)


def test_coastal_wetlands_have_their_class_where_the_legend_has_it(tmp_path: Path) -> None:
    thirteen = load_legend("osmlanduse-13")
    class_id, why = class_of(read_rules(None, thirteen), "H21", "U420")
    assert (thirteen.by_id[class_id].slug, why) == ("coastal-wetland", "")
    class_id, why = class_of(read_rules(None, default_legend()), "H21", "U420")
    assert (class_id, why) == (0, "coastal wetlands (CLC 42) are not in the legend")
    rules = tmp_path / "rules.toml"
    rules.write_text('rules = [{ cover = ["A"], class = "moon", why = "far" }]')
    assert class_of(read_rules(rules, thirteen), "A11", "U370") == (0, "far")


def test_a_vector_file_without_a_code_is_a_table_without_it(tmp_path: Path) -> None:
    names = ["POINT_ID", "TH_LAT", "TH_LONG", "OBS_TYPE", "LC1", "LU1"]
    rows = [[1, 50.86, 3.81, 1, None, "U140"], [2, 50.86, 3.82, 1, "A11", None]]
    rows += [[3, 50.86, 3.83, 1, "", "U140"], [4, 50.86, 3.84, 1, "A11", "U370"]]
    given = pd.DataFrame(rows, columns=pd.Index(names))
    given.to_csv(tmp_path / "l.csv", index=False)
    places = gpd.points_from_xy(given["TH_LONG"], given["TH_LAT"])
    gpd.GeoDataFrame(given, geometry=places, crs=4326).to_file(tmp_path / "l.gpkg")
    expected, found = (read_lucas(tmp_path / name) for name in ("l.csv", "l.gpkg"))
    assert found["id"].tolist() == [2, 4]
    assert found["lu1"].tolist() == ["", "U370"]
    assert found.attrs["left_out"]["without land cover"] == 2
    pd.testing.assert_frame_equal(found.drop(columns="geometry"), expected.drop(columns="geometry"))


def test_weights_are_those_of_the_survey(tmp_path: Path) -> None:
    path = tmp_path / "2022.csv"
    table(2022, weights=True).to_csv(path, index=False)
    points = read_lucas(path)
    report = assess(class_map(), points, design=lucas_design(points, class_map()))
    # arable 2 + 1, forest 4 + 1, water 3 and pasture 1; the map is right on 1, 2, 3 and 4.
    assert report.figures.overall.value == pytest.approx(8 / 12)
    names = [c.slug for c in report.legend.classes]
    assert report.figures.users[names.index("forest")].value == pytest.approx(5 / 8)
    assert report.figures.areas[names.index("water")].value == pytest.approx(0.09 * 3 / 12)
    expanded = np.array([2, 1, 4, 1, 3, 1]) * (np.array([1, 1, 1, 1, 0, 0]) - 8 / 12)
    error = np.sqrt(6 * expanded.var(ddof=1)) / 12
    assert report.figures.overall.error == pytest.approx(error)
    assert "survey weights" in report.method
    assert any("grid of 2 km" in note and "Left out: 1 " in note for note in report.notes)


@pytest.mark.parametrize("weight", ["", "3,5", "inf", "0", "-1", "nan"])
def test_weights_that_are_none_are_refused(weight: str, tmp_path: Path) -> None:
    path = tmp_path / "2022.csv"
    given = table(2022, weights=True).astype({"WGT_LUCAS": str})
    given.loc[7, "WGT_LUCAS"] = weight  # of a point that no filter lets pass
    given.to_csv(path, index=False)
    points = read_lucas(path)
    assert points["weight"].dtype == np.float64
    given.loc[2, "WGT_LUCAS"] = weight
    given.to_csv(path, index=False)
    with pytest.raises(InputError, match=r"weight \(WGT_LUCAS\) in row 2 is .* 1 of 7 points"):
        read_lucas(path)
    points["weight"] = [1.0, weight, *[1.0] * 5]
    with pytest.raises(InputError, match=r"points on the map, weight \(WGT_LUCAS\) in row 1 is"):
        lucas_design(points, class_map())


def test_without_weights_the_report_says_what_that_hides(file: Path) -> None:
    points = read_lucas(file)
    design = lucas_design(points, class_map())
    report = assess(class_map(), points, design=design)
    assert design.scheme == "systematic"
    assert "post-stratified" in report.method
    assert any("Without the survey's weights" in note for note in report.notes)
    assert report.figures.overall.low < report.figures.overall.value


def test_a_folder_serves_assess(file: Path, tmp_path: Path) -> None:
    write_cog(class_map(), tmp_path / "map.tif", legend=default_legend())
    asked: list[Any] = ["lucas", file, "--map", tmp_path / "map.tif", "--out", tmp_path / "lucas"]
    assert "1 without land cover" in call(*asked)
    folder, out = tmp_path / "lucas", tmp_path / "report.json"
    asked = ["assess", tmp_path / "map.tif", "--points", folder / LABELS_FILE, "--design", folder]
    call(*asked, "--out", out)
    points = read_lucas(file)
    direct = assess(class_map(), points, design=lucas_design(points, class_map()))
    wanted = direct.to_dict()["overall_accuracy"]
    assert json.loads(out.read_text())["overall_accuracy"] == wanted
    assert write_lucas(points, class_map(), tmp_path / "again").is_dir()


def test_what_is_no_lucas_is_refused(file: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="observed 'seen'"):
        read_lucas(file, observed="seen")
    with pytest.raises(InputError, match="has no point left"):
        read_lucas(file, max_distance=-1)
    other = tmp_path / "other.csv"
    for missing in ("LC1", "TH_LAT", "PARCEL_AREA_HA"):
        table(2018).drop(columns=missing).to_csv(other, index=False)
        with pytest.raises(InputError, match=f"no column .*{missing}"):
            read_lucas(other, min_parcel=1)
    table(2018).assign(POINT_ID="x").to_csv(other, index=False)
    with pytest.raises(InputError, match="POINT_ID in row 0"):
        read_lucas(other)
    with pytest.raises(InputError, match=r"no LUCAS table .*none\.csv"):
        read_lucas(tmp_path / "none.csv")
    far = raster(np.full((9, 9), 5, np.uint8), box(9, 9, 500, 500))
    with pytest.raises(InputError, match="lies on the class map"):
        lucas_design(read_lucas(file), far)
    rules = tmp_path / "rules.toml"
    rules.write_text('rules = [{ cover = ["A"], class = "moon" }]')
    with pytest.raises(InputError, match="rule 1"):
        read_lucas(file, crosswalk=rules)
    rules.write_text('rules = [{ cover = ["A"] }]')
    with pytest.raises(InputError, match="class or why"):
        read_lucas(file, crosswalk=rules)


def test_points_on_stated_no_data_lie_on_no_class(file: Path) -> None:
    """Counted as a class, 255 would swell the population and take points of nowhere in."""
    usual = class_map()
    usual[:, 20:] = 0
    other = usual.copy(data=np.where(usual == 0, np.uint8(255), usual)).assign_attrs(nodata=255)
    points = read_lucas(file)
    designs = [lucas_design(points, made) for made in (usual, other)]
    assert designs[0].points.equals(designs[1].points)
    assert designs[0].pixels == designs[1].pixels == 600
    assert len(designs[0].points) < len(lucas_design(points, class_map()).points)
