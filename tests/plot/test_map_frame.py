"""What stands around a map, beside the ellipsoid and the tick labels."""

import re

import numpy as np
import pytest
from affine import Affine
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Annotation
from odc.geo.geobox import GeoBox
from pyproj import Geod, Transformer

from osm4eo_xr.legend import default_legend
from osm4eo_xr.plot.figures import draw_legend, new_figure, wrapped
from osm4eo_xr.plot.map_frame import frame_map

GRIDS = {
    "germany": ((4_200_000, 3_000_000, 4_400_000, 3_150_000), "EPSG:3035"),
    "village": ((4_320_000, 3_210_000, 4_320_700, 3_210_500), "EPSG:3035"),
    "degrees": ((10.0, 50.0, 12.0, 51.0), "EPSG:4326"),
    "fiji": ((800_000, 8_090_000, 840_000, 8_120_000), "EPSG:32760"),
    "new york": ((980_000, 190_000, 1_012_800, 212_000), "EPSG:2263"),
    "south": ((300_000, 6_200_000, 340_000, 6_230_000), "EPSG:32719"),
}


def framed(name: str):
    box, crs = GRIDS[name]
    grid = GeoBox.from_bbox(box, crs=crs, shape=(60, 80))
    return draw_frame(new_figure((5, 4)), grid), grid


def draw_frame(figure: Figure, grid: GeoBox) -> Axes:
    axis = figure.add_subplot()
    left, bottom, right, top = grid.boundingbox
    axis.set_xlim(left, right)
    axis.set_ylim(bottom, top)
    frame_map(axis, grid)
    figure.canvas.draw()
    return axis


@pytest.mark.parametrize("name", GRIDS)
def test_the_bar_is_of_a_round_length_as_it_is_on_the_ground(name: str) -> None:
    axis, grid = framed(name)
    bar = next(line for line in axis.lines if line.get_color() == "black")
    ends = np.asarray(bar.get_xdata())
    (told,) = (t.get_text() for t in axis.texts if re.fullmatch(r"[\d.]+ k?m", t.get_text()))
    number, unit = told.split()
    meters = float(number) * (1000 if unit == "km" else 1)
    assert str(int(meters)).rstrip("0") in {"1", "2", "5"}
    box = grid.boundingbox
    at = [box.left + end * box.span_x for end in ends]
    lon, lat = zip(*(to_degrees(grid, x, box.bottom) for x in at), strict=True)
    found = Geod(ellps="WGS84").inv(lon[0], lat[0], lon[1], lat[1])[2]
    assert found == pytest.approx(meters, rel=0.01)
    assert 0.05 < ends[1] - ends[0] <= 0.26


def to_degrees(grid: GeoBox, x: float, y: float) -> tuple[float, float]:
    transformer = Transformer.from_crs(str(grid.crs), "EPSG:4326", always_xy=True)
    return transformer.transform(x, y)


@pytest.mark.parametrize("name", GRIDS)
def test_the_arrow_points_to_the_pole(name: str) -> None:
    axis, grid = framed(name)
    tail, head = (t for t in axis.texts if isinstance(t, Annotation))
    east, north = np.subtract(head.get_position(), tail.get_position())
    x, y = head.xy
    lon, lat = to_degrees(grid, x, y)
    ahead = np.array(to_places(grid, lon, lat + 1e-3)) - (x, y)
    apart = np.arctan2(east, north) - np.arctan2(*ahead)
    assert abs(np.degrees(apart)) < 0.2


def to_places(grid: GeoBox, lon: float, lat: float) -> tuple[float, float]:
    return Transformer.from_crs("EPSG:4326", str(grid.crs), always_xy=True).transform(lon, lat)


@pytest.mark.parametrize("name", GRIDS)
def test_each_line_of_the_graticule_lies_where_its_label_says(name: str) -> None:
    axis, grid = framed(name)
    box = grid.boundingbox
    span = np.abs(np.subtract(to_degrees(grid, box.left, box.bottom), to_degrees(grid, *box[2:])))
    span[0] = min(span[0], 360 - span[0])
    found = set()
    for text in axis.texts:
        match = re.fullmatch(r"(\d+)°(?:(\d\d)')?(?:(\d\d)\")?([EWNS])", text.get_text())
        if match is None:
            continue
        degrees, minutes, seconds = (int(n or 0) for n in match.groups()[:3])
        value = (degrees + minutes / 60 + seconds / 3600) * (-1 if match[4] in "WS" else 1)
        which = 0 if match[4] in "EW" else 1
        there = to_degrees(grid, *text.get_position())[which]
        assert abs((there - value + 180) % 360 - 180) < 0.02 * span[which]
        assert value <= 180
        found.add(match[4])
    sides = {"south": "WS", "fiji": "EWS", "new york": "WN"}
    assert found == set(sides.get(name, "EN"))


def test_meridians_are_told_apart_where_an_edge_lies_on_the_antimeridian() -> None:
    """Rows on either side of 180° differ by a turn: eleven meridians went through one row."""
    edge = to_places(GeoBox((1, 1), Affine.identity(), "EPSG:32760"), 180.0, -17.0)[0]
    box = (edge, 8_090_000, edge + 40_000, 8_120_000)
    axis = draw_frame(new_figure((5, 4)), GeoBox.from_bbox(box, crs="EPSG:32760", shape=(60, 80)))
    named = [t.get_text() for t in axis.texts if t.get_text().endswith(("E", "W"))]
    assert 1 <= len(named) <= 4
    assert all(text.startswith(("179°", "180°")) for text in named)


def test_axes_count_kilometers_also_on_grids_in_feet() -> None:
    axis, _ = framed("new york")
    texts = [label.get_text() for label in axis.get_xticklabels()]
    ticks = np.array([float(text) for text in texts if text])
    places = axis.get_xticks()
    np.testing.assert_allclose(ticks, places * 0.3048006 / 1000, rtol=1e-6)
    assert axis.get_xlabel() == "easting / km"
    assert 2 <= len(places) <= 6
    np.testing.assert_array_equal(ticks % 5, 0)


@pytest.mark.parametrize("shift", [0, 700, 1400])
@pytest.mark.parametrize("size", [(8000, 5000), (21_000, 13_000)])
def test_no_degrees_are_cut_at_an_edge(size: tuple[int, int], shift: int) -> None:
    left, bottom = 4_492_700 + shift, 3_265_500 + shift
    grid = GeoBox.from_bbox(
        (left, bottom, left + size[0], bottom + size[1]), crs="EPSG:3035", resolution=100
    )
    figure = new_figure((4, 2.5))
    axis = draw_frame(figure, grid)
    within = axis.get_window_extent()
    degrees = [t.get_window_extent() for t in axis.texts if "°" in t.get_text()]
    assert len(degrees) >= 3
    for found in degrees:
        assert within.x0 <= found.x0 <= found.x1 <= within.x1
        assert within.y0 <= found.y0 <= found.y1 <= within.y1


def test_names_are_broken_and_every_class_has_its_color() -> None:
    assert wrapped("Road and rail networks and associated land", 20) == (
        "Road and rail\nnetworks and\nassociated land"
    )
    figure = new_figure((3, 4))
    axis = figure.add_subplot()
    draw_legend(axis, default_legend())
    drawn = axis.get_legend()
    assert drawn is not None
    faces = [to_rgb(patch.get_facecolor()) for patch in drawn.get_patches()]
    expected = [np.array(c.color) / 255 for c in default_legend().classes]
    np.testing.assert_allclose(faces, expected, atol=1e-3)
