"""Tiles of a country: none is missing, none too many, and each knows its ground."""

from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import shapely

from osm4eo_xr.errors import InputError, InputWarning
from osm4eo_xr.places.mgrs import mgrs_geobox
from osm4eo_xr.places.outlines import country_boundary
from osm4eo_xr.places.tilings import country_tiles


def place(west: float, south: float, east: float, north: float) -> gpd.GeoDataFrame:
    return gpd.GeoDataFrame(geometry=[shapely.box(west, south, east, north)], crs=4326)


@pytest.mark.parametrize("grid", ["mgrs", "laea"])
@pytest.mark.parametrize("country", ["Austria", "NL", "Portugal"])
def test_tiles_cover_the_country_and_each_touches_it(grid, country: str) -> None:
    outline = country_boundary(country).geometry.union_all()
    if country == "Portugal":  # the Azores lie at the end of EPSG:3035
        outline = outline.intersection(shapely.box(-20, 35, 0, 45))
    if country == "NL":  # as does not the Caribbean
        outline = outline.intersection(shapely.box(0, 50, 10, 60))
    frame = gpd.GeoDataFrame(geometry=[outline], crs=4326)
    tiles = country_tiles(frame, grid)
    missed = outline.difference(tiles.union_all())
    assert missed.area < 1e-6 * outline.area
    assert tiles.intersects(outline).all()
    assert tiles["tile"].is_unique
    assert tiles["share"].between(0, 1, inclusive="right").all()


def test_squares_of_equal_area_share_out_the_country() -> None:
    tiles = country_tiles("Austria", "laea")
    area = country_boundary("Austria").to_crs(3035).area.sum()
    assert (tiles["share"] * 1e10).sum() == pytest.approx(area, rel=2e-3)
    cut = country_tiles("Austria", "laea", cut=True)
    assert cut.to_crs(3035).area.sum() == pytest.approx(area, rel=2e-3)
    first = tiles.iloc[0]
    name = f"100kmE{first['left'] // 100_000:.0f}N{first['bottom'] // 100_000:.0f}"
    assert first["tile"] == name


def test_each_tile_states_the_grid_of_its_products() -> None:
    for _, row in country_tiles("Slovenia").iterrows():
        box = mgrs_geobox(str(row["tile"]))
        assert row["crs"] == str(box.crs)
        assert tuple(row[["left", "bottom", "right", "top"]]) == tuple(box.boundingbox)
        ground = box.extent.to_crs("EPSG:4326", resolution=5000).geom
        differing = shapely.symmetric_difference(ground, row["geometry"])
        assert shapely.area(differing) < 1e-3 * ground.area


def test_a_place_at_the_antimeridian_gets_tiles_of_both_sides() -> None:
    fiji = country_tiles("Fiji")
    assert {t[:2] for t in fiji["tile"]} == {"59", "60", "01"}
    widths = fiji.geometry.bounds["maxx"] - fiji.geometry.bounds["minx"]
    split = widths > 180
    assert split.any()
    # A tile in two parts covers the ground of one tile, not the world's width.
    assert (fiji.to_crs(6933).area < 1.3e10).all()


@pytest.mark.parametrize(
    "across",
    [
        place(177.0, -18.0, 182.0, -16.0),
        place(-183.0, -18.0, -178.0, -16.0),
        place(177.0, -18.0, 182.0, -16.0).to_crs(3832),
    ],
    ids=["degrees beyond 180", "degrees beyond -180", "meters"],
)
def test_polygons_across_the_antimeridian_get_the_tiles_of_their_halves(across) -> None:
    halves = [shapely.box(177, -18, 180, -16), shapely.box(-180, -18, -178, -16)]
    split = country_tiles(gpd.GeoDataFrame(geometry=halves, crs=4326))
    tiles = country_tiles(across)
    assert list(tiles["tile"]) == list(split["tile"])
    np.testing.assert_allclose(tiles["share"], split["share"], atol=1e-6)


def test_a_hole_across_the_antimeridian_stays_one() -> None:
    ring = shapely.box(170, -20, 190, -5) - shapely.box(175, -15, 185, -10)
    outline = gpd.GeoDataFrame(geometry=[ring], crs=4326).to_crs(3832)
    cut = country_tiles(outline, cut=True).dissolve().to_crs(6933).area.sum()
    elsewhere = gpd.GeoSeries([ring], crs=4326).translate(-30).to_crs(6933)
    assert cut == pytest.approx(elsewhere.area.sum(), rel=1e-6)


def test_names_of_the_tiles_around_a_point_agree_with_the_products() -> None:
    at = country_tiles(place(15.0, 46.6, 15.4, 46.8))
    assert "33TWM" in set(at["tile"])  # a scene of that tile has this ground


def test_what_the_grid_does_not_reach_is_told() -> None:
    with pytest.warns(InputWarning, match=r"% of the country lies outside EPSG:3035"):
        tiles = country_tiles("France", "laea")
    assert len(tiles) > 60
    with pytest.raises(InputError, match="no tile of grid 'laea' touches Fiji"):
        country_tiles("Fiji", "laea")
    with pytest.raises(InputError, match="expected one of mgrs, laea"):
        country_tiles("Fiji", "utm")  # pyright: ignore[reportArgumentType]


def test_polygons_without_area_or_crs_are_refused() -> None:
    line = gpd.GeoDataFrame(geometry=[shapely.LineString([(0, 0), (1, 1)])], crs=4326)
    with pytest.raises(InputError, match="holds no polygon"):
        country_tiles(line)
    with pytest.raises(InputError, match="has no CRS"):
        country_tiles(gpd.GeoDataFrame(geometry=[shapely.box(0, 0, 1, 1)]))


def test_a_long_edge_in_degrees_keeps_its_ground() -> None:
    """On EPSG:3035 a parallel is an arc: its middle lies south of the line between its ends."""
    tiles = country_tiles(place(5.9, 47.3, 15.0, 55.1), "laea")
    left, bottom = tiles["left"].to_numpy(), tiles["bottom"].to_numpy()
    middle = bottom[(left >= 4.2e6) & (left < 4.4e6)].min()
    ends = [gpd.GeoSeries.from_xy([x], [47.3], crs=4326).to_crs(3035).y[0] for x in (5.9, 10.5)]
    assert ends[1] < ends[0] - 8000
    assert middle == np.floor(ends[1] / 1e5) * 1e5


def test_a_finer_file_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "b.gpkg"
    place(9.0, 47.0, 9.1, 47.1).assign(ISO_A2="AT").to_file(path)
    assert list(country_tiles("AT", boundaries=path)["tile"]) == ["32TMT", "32TNT"]
