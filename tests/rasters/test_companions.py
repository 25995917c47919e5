"""Which files are read with another, and which of them decide what is read."""

import sqlite3
from pathlib import Path

import pytest

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
