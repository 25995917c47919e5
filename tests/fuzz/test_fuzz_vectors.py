"""Damaged OpenStreetMap and vector files: an answer, or one line; never anything else.

Every run tries the same few; OSM4EO_XR_FUZZ, a number of inputs per kind of file, tries new ones.
"""

import os
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import geopandas as gpd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osm4eo_xr.errors import InputError
from osm4eo_xr.geometry.vectors import read_vector
from osm4eo_xr.osm.landuse import read_landuse
from tests.cases.osm_file import OsmFile, square

BY_HAND = os.environ.get("OSM4EO_XR_FUZZ")

Cut = tuple[float, int, bytes]
"""Where a file is cut, as a share of its length; how many bytes go; what comes instead."""

PIECES = st.one_of(
    st.binary(max_size=8),
    st.sampled_from([b'id="-1"', b"<way", b"</osm>", b"nan", b"1e999", b'"', b",", b"\n", b"\0"]),
)
CUTS = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 12), PIECES), min_size=1, max_size=4)


def damaged(whole: bytes, cuts: list[Cut]) -> bytes:
    for share, gone, piece in cuts:
        at = int(share * len(whole))
        whole = whole[:at] + piece + whole[at + gone :]
    return whole


def write_osm(path: Path) -> None:
    osm = OsmFile()
    members = [(osm.way(square(0, 0, 30)), "outer"), (osm.way(square(5, 5, 20)), "inner")]
    osm.relation(members, {"type": "multipolygon", "landuse": "forest"})
    osm.way(square(50, 0, 10), {"natural": "water"})
    osm.ways[-1].set("action", "modify")
    if path.suffix == ".osm":
        osm.write(path)
        return
    import osmium

    plain = osm.write(path.with_name("plain.osm"))
    with osmium.SimpleWriter(str(path)) as writer:
        for thing in osmium.FileProcessor(str(plain)):
            writer.add(thing)
    plain.unlink()


def write_points(path: Path) -> None:
    places = gpd.points_from_xy([9.5, 9.6], [47.1, 47.2])
    frame = gpd.GeoDataFrame({"class": [1, 2]}, geometry=places, crs=4326)
    if path.suffix == ".csv":
        frame.assign(lon=places.x, lat=places.y).drop(columns="geometry").to_csv(path)
    elif path.suffix == ".parquet":
        frame.to_parquet(path)
    else:
        frame.to_file(path)


def read_points(path: Path) -> object:
    return read_vector(path, "points")


@pytest.mark.parametrize(
    ("name", "write", "read"),
    [
        ("a.osm", write_osm, read_landuse),
        ("a.osm.gz", write_osm, read_landuse),
        ("a.osm.pbf", write_osm, read_landuse),
        ("a.csv", write_points, read_points),
        ("a.geojson", write_points, read_points),
        ("a.gpkg", write_points, read_points),
        ("a.parquet", write_points, read_points),
    ],
)
def test_damaged_files_are_read_or_refused_in_one_line(
    tmp_path: Path,
    name: str,
    write: Callable[[Path], None],
    read: Callable[[Path], object],
) -> None:
    write(tmp_path / name)
    whole = (tmp_path / name).read_bytes()

    @settings(max_examples=int(BY_HAND or 60), derandomize=not BY_HAND)
    @given(CUTS)
    def try_one(cuts: list[Cut]) -> None:
        given_bytes = damaged(whole, cuts)
        with TemporaryDirectory(dir=tmp_path) as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # GDAL's, on what it overlooks
            path = Path(folder) / name
            path.write_bytes(given_bytes)
            with suppress(InputError):
                read(path)
            assert path.read_bytes() == given_bytes
            assert [p.name for p in Path(folder).iterdir()] == [name]

    try_one()
