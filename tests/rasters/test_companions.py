"""Which files are read with another, and which of them decide what is read."""

import json
import sqlite3
from html import escape
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.shutil import copy

from osm4eo_xr.country.ledger import Ledger
from osm4eo_xr.rasters.companions import files_of_data, read_with


@pytest.mark.parametrize(
    ("auxiliary", "decides"),
    [
        ('<PAMDataset><PAMRasterBand band="1"><Metadata/></PAMRasterBand></PAMDataset>', False),
        ("<PAMDataset><Histograms/></PAMDataset>", False),
        ("<PAMDataset><SRS>EPSG:3035</SRS></PAMDataset>", True),
        ('<PAMDataset><PAMRasterBand band="1"><NoDataValue>0</NoDataValue>', True),
    ],
)
def test_statistics_beside_a_file_decide_nothing(
    auxiliary: str, tmp_path: Path, *, decides: bool
) -> None:
    scene = tmp_path / "scene.tif"
    for name in ("scene.tif", "scene.tif.ovr", "scene.qml", "scene.tif.msk", "other.tfw"):
        (tmp_path / name).touch()
    (tmp_path / "scene.tif.aux.xml").write_text(auxiliary)
    found = {path.name for path in files_of_data(scene)}
    assert found == {"scene.tif", "scene.tif.msk", *(["scene.tif.aux.xml"] if decides else [])}
    assert {p.name for p in read_with(scene)} == {p.name for p in tmp_path.iterdir()} - {
        "other.tfw"
    }


def test_an_edit_of_a_geopackage_that_is_still_in_its_log_decides(tmp_path: Path) -> None:
    path = tmp_path / "areas.gpkg"
    editor = sqlite3.connect(path)
    editor.execute("PRAGMA journal_mode = WAL")
    editor.execute("CREATE TABLE areas (id INTEGER)")
    editor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert [p.name for p in files_of_data(path)] == ["areas.gpkg"]
    ledger = Ledger(tmp_path)
    before = ledger.fingerprint(path)
    editor.execute("INSERT INTO areas VALUES (1)")
    editor.commit()
    assert [p.name for p in files_of_data(path)] == ["areas.gpkg", "areas.gpkg-wal"]
    assert {p.name for p in read_with(path)} == {p.name for p in tmp_path.iterdir()}
    assert ledger.fingerprint(path) != before
    editor.close()


@pytest.mark.parametrize(
    "form",
    [
        "{}/a & b.zip/in.tif",
        "/vsizip/{}/a & b.zip/in.tif",
        "/vsizip/{{{}/a & b.zip}}/in.tif",
        "/vsitar/{}/a & b.zip/below/in.tif",
        "/vsigzip/{}/a & b.zip",
        'NETCDF:"{}/a & b.zip":red',
        "SENTINEL2_L2A:/vsizip/{}/a & b.zip/MTD_MSIL2A.xml:10m:EPSG_32633",
        "vrt://{}/a & b.zip?bands=1",
        "a & b.zip",
    ],
)
def test_what_a_vrt_names_in_gdals_ways_is_found(form: str, tmp_path: Path) -> None:
    path, source = tmp_path / "scene.vrt", tmp_path / "a & b.zip"
    source.touch()
    name = escape(form.format(tmp_path), quote=True)
    path.write_text(f"<VRTDataset><SourceFilename>{name}</SourceFilename></VRTDataset>")
    assert files_of_data(path) == [path, source]


def test_no_address_is_looked_for_among_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catalogs name thousands of them."""
    path, asked = tmp_path / "catalog.json", []
    (tmp_path / "here.tif").touch()
    hrefs = [f"{at}://host/a/b/c/{k}.tif?x=1" for k in range(50) for at in ("https", "s3")]
    assets = [{"href": href} for href in [*hrefs, "/vsicurl/https://host/a.tif", "./here.tif"]]
    path.write_text(json.dumps({"assets": assets}))
    is_file = Path.is_file
    monkeypatch.setattr(Path, "is_file", lambda p, **how: asked.append(p) or is_file(p, **how))
    assert files_of_data(path) == [path, tmp_path / "here.tif"]
    assert len(asked) < len(hrefs)


def test_a_vrt_of_gdals_own_names_its_source_as_xml_does(tmp_path: Path) -> None:
    source, path = tmp_path / "a & b.tif", tmp_path / "scene.vrt"
    place = {"crs": "EPSG:3035", "transform": Affine(10, 0, 4_320_000, 0, -10, 3_210_000)}
    shape = {"width": 2, "height": 2, "count": 1, "dtype": "uint8"}
    with rasterio.open(source, "w", driver="GTiff", **shape, **place) as file:
        file.write(np.ones((1, 2, 2), np.uint8))
    copy(source, path, driver="VRT")
    assert files_of_data(path) == [path, source]


def test_a_tile_of_tessera_is_read_with_its_scales_and_its_place(tmp_path: Path) -> None:
    names = ("grid_9_52.npy", "grid_9_52_scales.npy", "grid_9_52.tiff")
    for name in (*names, "grid_9_53_scales.npy", "grid_9_52.txt"):
        (tmp_path / name).touch()
    assert [path.name for path in files_of_data(tmp_path / names[0])] == [*names]


@pytest.fixture
def named(tmp_path: Path) -> Path:
    """A scene whose bands have names."""
    path, profile = tmp_path / "scene.tif", {"count": 2, "height": 9, "width": 9, "dtype": "uint16"}
    pixels = np.arange(2 * 81, dtype=np.uint16).reshape(2, 9, 9)
    transform = Affine(10, 0, 4321000, 0, -10, 3210000)
    with rasterio.open(path, "w", **profile, crs=3035, transform=transform) as file:
        file.write(pixels)
        file.descriptions = ("blue", "nir")
    return path


def look_at(raster: Path) -> None:
    """Do as QGIS does where it stretches a raster: GDAL keeps the statistics beside it."""
    with rasterio.open(raster) as file:
        for band in file.indexes:
            file.statistics(band)


@pytest.mark.filterwarnings("ignore::rasterio.errors.RasterioDeprecationWarning")
def test_a_scene_that_was_looked_at_is_the_same_input(named: Path) -> None:
    before = Ledger(named.parent / "out").fingerprint(named)
    look_at(named)
    auxiliary = named.with_name("scene.tif.aux.xml")
    assert "<Description>nir</Description>" in auxiliary.read_text()
    assert files_of_data(named) == [named]
    assert Ledger(named.parent / "out").fingerprint(named) == before
    auxiliary.write_text(auxiliary.read_text().replace(">nir<", ">red<"))
    assert files_of_data(named) == [named, auxiliary]


@pytest.mark.filterwarnings("ignore::rasterio.errors.RasterioDeprecationWarning")
def test_what_lies_beside_a_scene_decides_but_for_statistics(named: Path) -> None:
    auxiliary = named.with_name("scene.tif.aux.xml")
    stated = '<PAMDataset><PAMRasterBand band="2"><NoDataValue>{}</NoDataValue></PAMRasterBand>'
    found = []
    for value in ("8.10000000000000E+01", "8.20000000000000E+01"):  # as GDAL writes them
        auxiliary.write_text(stated.format(value) + "</PAMDataset>")
        found.append(Ledger(named.parent / "out").fingerprint(named))
        look_at(named)
        assert "STATISTICS_MEAN" in auxiliary.read_text()
        assert Ledger(named.parent / "out").fingerprint(named) == found[-1]
    assert found[0] != found[1]
