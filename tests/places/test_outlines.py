"""Boundaries of countries: the country's own rows, never those of a place that shares its name."""

from pathlib import Path

import geopandas as gpd
import pytest
import shapely

from osm4eo_xr.errors import InputError
from osm4eo_xr.places.countries import _world
from osm4eo_xr.places.outlines import country_boundary


def write_rows(path: Path, **columns: list[str]) -> Path:
    """Write a file whose row number i lies at longitude i."""
    count = len(next(iter(columns.values())))
    boxes = [shapely.box(i, 49, i + 1, 50) for i in range(count)]
    gpd.GeoDataFrame(columns, geometry=boxes, crs=4326).to_file(path)
    return path


def rows_of(country: str, path: Path) -> list[int]:
    return [int(west) for west in country_boundary(country, path).bounds["minx"]]


@pytest.fixture
def gadm(tmp_path: Path) -> Path:
    """As GADM 4.1 has regions: the first of them are called as other countries are."""
    return write_rows(
        tmp_path / "gadm.gpkg",
        GID_0=["BEL", "USA", "LUX", "GEO"],
        COUNTRY=["Belgium", "United States", "Luxembourg", "Georgia"],
        NAME_1=["Luxembourg", "Georgia", "Diekirch", "Tbilisi"],
    )


@pytest.mark.parametrize(("country", "row"), [("Luxembourg", 2), ("LU", 2), ("Georgia", 3)])
def test_a_region_of_that_name_is_not_the_country(country: str, row: int, gadm: Path) -> None:
    assert rows_of(country, gadm) == [row]


@pytest.mark.parametrize(
    ("columns", "row"),
    [
        ({"COUNTRY": ["Belgium", "Luxembourg"]}, 1),
        ({"GID_0": ["LUX", "BEL"]}, 0),
        ({"NAME_0": ["Belgium", "Luxembourg"], "NAME_1": ["Luxembourg", ""]}, 1),
        ({"name": ["Belgium", "Luxembourg"]}, 1),
        ({"NAME": ["Luxembourg", "Diekirch"], "ADMIN": ["Belgium", "Luxembourg"]}, 1),
        ({"CNTR_ID": ["LU", "BE"]}, 0),
        ({"ISO3166-1:alpha2": ["BE", "LU"]}, 1),
    ],
)
def test_columns_of_countries_are_known(columns: dict, row: int, tmp_path: Path) -> None:
    assert rows_of("Luxembourg", write_rows(tmp_path / "b.gpkg", **columns)) == [row]


def test_a_file_of_regions_of_other_countries_has_no_such_country(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "b.gpkg", name=["Georgia"], iso_a2=["US"], iso_3166_2=["US-GA"])
    with pytest.raises(InputError, match=r"has no row for Georgia \(GEO\)"):
        country_boundary("Georgia", path)


@pytest.mark.parametrize(
    ("country", "row"), [("Greece", 0), ("EL", 0), ("GR", 0), ("United Kingdom", 1), ("GB", 1)]
)
def test_eurostats_codes_are_known(country: str, row: int, tmp_path: Path) -> None:
    path = write_rows(tmp_path / "b.gpkg", CNTR_ID=["EL", "UK"], CNTR_NAME=["Ελλάδα", "Britain"])
    assert rows_of(country, path) == [row]


def test_what_was_typed_is_looked_for_as_it_is(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "b.gpkg", NAME=["Österreich", "Deutschland"])
    assert rows_of("deutschland", path) == [1]


def test_geometries_may_be_called_otherwise(tmp_path: Path) -> None:
    path = tmp_path / "b.parquet"
    frame = gpd.GeoDataFrame({"NAME": ["Luxembourg"]}, geometry=[shapely.box(6, 49, 7, 50)])
    frame.set_crs(4326).rename_geometry("geom").to_parquet(path)
    assert country_boundary("LU", path).geometry.name == "geometry"


def test_places_that_are_no_country_are_found_by_their_name(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "b.gpkg", NAME=["Wales", "England"], ADM0_A3=["GBR", "GBR"])
    assert rows_of("England", path) == [1]


@pytest.mark.parametrize(
    ("country", "km2"),
    [
        ("Ashmore and Cartier Islands", 5),
        ("Australian Indian Ocean Territories", 150),
        ("Australia", 7.69e6),
        ("Åland", 1500),
        ("Palestine", 6000),
    ],
)
def test_islands_that_share_a_countrys_iso_code_have_their_own_outline(
    country: str, km2: float
) -> None:
    [row] = country_boundary(country).to_crs(6933).area
    assert row / 1e6 == pytest.approx(km2, rel=0.5)


def test_each_outline_answers_to_its_own_name() -> None:
    for row in _world():
        [found] = country_boundary(row.name)["english"]
        assert found == row.name
