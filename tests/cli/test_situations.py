"""Situations that users get into: each ends as it should, or in one line that says what to do."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
from rasterio.transform import from_origin

from osm4eo_xr.errors import InputError
from tests.cases.commands import attempt

LEFT, TOP = 4_321_000, 3_210_000
SIEVE = "sieve map.tif --out s.tif"
ASSESS = "assess map.tif --points p.csv --out r.json"
MOSAIC = "mosaic map.tif --boundary b.geojson --out m.tif"
SAMPLES = "samples --scene scene.tif --labels map.tif --out s.zarr"
COMPOSITE = "composite i.json --bbox 10 51 10.1 51.1 --out c.tif"
EXTRACT = "extract map.tif --layer water --out w.tif"

Prepare = Callable[[Path], object]


def write_map(path: Path, dtype: str = "uint8", bands: int = 1, value: int = 1) -> None:
    shape = {"count": bands, "height": 40, "width": 50, "dtype": dtype}
    place = from_origin(LEFT, TOP, 10, 10)
    with rasterio.open(path, "w", "GTiff", crs="EPSG:3035", transform=place, **shape) as file:
        file.write(np.full((bands, 40, 50), value, dtype))


def text(name: str, content: str, encoding: str = "utf-8") -> Prepare:
    return lambda folder: (folder / name).write_bytes(content.encode(encoding))


def outline(*coordinates: tuple[float, float]) -> Prepare:
    shapes = [shapely.Polygon(coordinates)] if coordinates else []
    tree = json.loads(gpd.GeoSeries(shapes, crs=4326).to_json())
    return text("b.geojson", json.dumps(tree))


def vrt(size: int, bands: int = 1, left: float = 0) -> Prepare:
    layers = "".join(f'<VRTRasterBand dataType="Byte" band="{b + 1}"/>' for b in range(bands))
    return text(
        "map.tif",
        f'<VRTDataset rasterXSize="{size}" rasterYSize="1"><SRS>EPSG:3035</SRS><GeoTransform>'
        f"{left},10,0,0,0,-10</GeoTransform>{layers}</VRTDataset>",
    )


def odd_header(path: Path) -> None:
    path.write_bytes('<VRTDataset rasterXSize="é"></VRTDataset>'.encode("latin-1"))


REFUSED = [
    ("a map of floats", SIEVE, lambda f: write_map(f / "map.tif", "float32"), "is float32"),
    ("a map of complex numbers", SIEVE, lambda f: write_map(f / "map.tif", "complex64"), "complex"),
    ("a picture of three bands", SIEVE, lambda f: write_map(f / "map.tif", bands=3), "3 bands"),
    ("a login page saved as raster", SIEVE, text("map.tif", "<!DOCTYPE html>"), "not a raster"),
    ("a pointer of Git LFS", SIEVE, text("map.tif", "version https://git-lfs"), "not a raster"),
    ("a header of 2e9 pixels", SIEVE, vrt(2 * 10**9), "claims 2,000,000,000 x 1 pixels"),
    ("a pipe as legend", f"{SIEVE} --legend l", lambda f: os.mkfifo(f / "l"), "is a pipe"),
    ("a pipe as points", ASSESS, lambda f: os.mkfifo(f / "p.csv"), "is a pipe"),
    ("a legend in UTF-16", f"{SIEVE} --legend l", text("l", "a=1", "utf-16"), "not a TOML file"),
    ("decimal commas", ASSESS, text("p.csv", "lon;lat;class\n10,1;51,9;1\n"), "no point with"),
    ("degrees swapped", ASSESS, text("p.csv", "lat,lon,class\n10,51.99,1\n"), "no point of p.csv"),
    ("no rows", ASSESS, text("p.csv", "lon,lat,class\n"), "no point with both"),
    ("a table in UTF-16", ASSESS, text("p.csv", "lon,lat,class\n1,2,3\n", "utf-16"), "cannot read"),
    ("a boundary without areas", MOSAIC, outline(), "boundary"),
    (
        "meters called degrees",
        MOSAIC,
        outline((4e6, 3e6), (5e6, 3e6), (5e6, 4e6)),
        "coordinates of 4e+06",
    ),
    ("shares that are no numbers", f"{SAMPLES} --shares nan 0.2 0.2", None, "finite"),
    ("a block that is no number", f"{SAMPLES} --block nan", None, "finite"),
    ("a gap below 0", f"{SAMPLES} --gap -50", None, "0 or more"),
    ("pixels of no size", f"{COMPOSITE} --resolution 0", None, "resolution is 0"),
    ("pixels of negative size", f"{COMPOSITE} --resolution -10", None, "resolution is -10"),
    ("pixels that are no number", f"{COMPOSITE} --resolution nan", None, "resolution is nan"),
    ("pixels of a micrometer", f"{COMPOSITE} --resolution 0.000001", None, "at most 16,777,216"),
    ("a box the wrong way round", COMPOSITE.replace("10 51", "11 51"), None, "bounds (11.0"),
    ("a least area without end", f"{EXTRACT} --min-area inf", None, "min_area is inf"),
    ("a tolerance without end", f"{EXTRACT} --simplify inf --vector w.gpkg", None, "simplify is"),
    ("a block beyond all maps", f"{SAMPLES} --block 99999999999999999999", None, "block is 1e+20"),
    (
        "more samples than pixels",
        f"{SAMPLES} --per-class 9999999999999 --cover 0",
        None,
        "per_class is",
    ),
    ("shares of more than all", f"{SAMPLES} --shares 0.9 0.3 0.3", None, "1 in all"),
    ("an item without assets", COMPOSITE, text("i.json", '{"type": "Feature", "id": "a"}'), "None"),
    ("a number as items", COMPOSITE, text("i.json", "5"), "i.json is 'int'"),
    (
        "a link that is none",
        COMPOSITE,
        text("i.json", '{"type": "Catalog", "links": [1]}'),
        "links",
    ),
    ("a catalog of nothing", COMPOSITE, text("i.json", '{"type": "Catalog"}'), "links is None"),
    ("ten thousand bands", SIEVE, vrt(1, bands=2000), "claims 2,000 bands"),
    ("a place beyond all places", SIEVE, vrt(1, left=1e30), "too far for its pixels"),
    ("a header in no encoding", SIEVE, lambda f: odd_header(f / "map.tif"), "not a raster"),
    ("a class of no legend", EXTRACT.replace("water", "moon"), None, "no class 'moon'"),
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_map(tmp_path / "map.tif")
    return tmp_path


@pytest.mark.parametrize(
    ("line", "prepare", "words"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED]
)
def test_what_cannot_be_used_is_refused(
    line: str, prepare: Prepare | None, words: str, folder: Path
) -> None:
    if line.startswith("samples"):
        write_map(folder / "scene.tif", "uint16", value=4500)
        with rasterio.open(folder / "scene.tif", "r+") as file:
            file.descriptions = ("red",)
    if prepare is not None:
        prepare(folder)
    before = sorted(folder.rglob("*"))
    result = attempt(*line.split())
    assert isinstance(result.exception, InputError), (result.exception, result.output)
    assert words in str(result.exception)
    assert "\n" not in str(result.exception)
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize("name", ["a #1 100%.tif", "a\nb.tif", "münchen?.tif"])
def test_names_of_files_mean_nothing_but_files(name: str, folder: Path) -> None:
    (folder / "map.tif").rename(folder / name)
    result = attempt("sieve", name, "--out", "s.tif")
    assert result.exit_code == 0, result.exception
    assert (folder / "s.tif").is_file()


def test_tables_may_begin_with_a_byte_order_mark(folder: Path) -> None:
    point = gpd.GeoSeries([shapely.Point(LEFT + 55, TOP - 55)], crs=3035).to_crs(4326).iloc[0]
    text("p.csv", f"lon,lat,class\n{shapely.get_x(point)},{shapely.get_y(point)},1\n", "utf-8-sig")(
        folder
    )
    result = attempt(*ASSESS.split())
    assert result.exit_code == 0, result.exception
    assert json.loads((folder / "r.json").read_text())
