"""The ledger of a run: what it trusts, what it sets aside, what it sweeps."""

import errno
import json
import os
import sqlite3
from datetime import date
from pathlib import Path
from typing import Any

import geopandas as gpd
import pyproj
import pytest
import rasterio
from odc.geo.geobox import GeoBox

from osm4eo_xr.cogs.cog import write_cog
from osm4eo_xr.country.ledger import Ledger, key_of, only_run
from osm4eo_xr.demo import example_class_map
from osm4eo_xr.errors import InputError
from osm4eo_xr.files import sha256_of
from osm4eo_xr.geometry.grid import grid_text, target_geobox
from osm4eo_xr.legend import default_legend


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """A folder with a product and the ledger that knows it."""
    (tmp_path / "map.tif").write_bytes(b"pixels")
    ledger = Ledger(tmp_path)
    ledger.fingerprint(tmp_path / "map.tif")
    ledger.begin("other", [tmp_path / "other.tif"])
    ledger.record("map", "key", [tmp_path / "map.tif"])
    return tmp_path


def changed(folder: Path, **changes: Any) -> bytes:
    return json.dumps(json.loads((folder / "ledger.json").read_text()) | changes).encode()


SEEN = {"stamp": [1, 2], "sha256": "x"}
BAD: dict[str, Any] = {
    "binary": b"\xff\xfe\x00\x01" * 99,
    "half": b'{"version": 1, "pieces": {"map": {"ke',
    "empty": b"",
    "deep": b"[" * 100_000,
    "list": b"[1, 2]",
    "another version": {"version": 2},
    "pieces of text": {"pieces": "map"},
    "piece without key": {"pieces": {"map": {"files": {}}}},
    "files as list": {"pieces": {"map": {"key": "k", "files": ["map.tif"]}}},
    "stamp of text": {"pieces": {"map": {"key": "k", "files": {"a": {**SEEN, "stamp": "x"}}}}},
    "path above": {"pieces": {"map": {"key": "k", "files": {"../a": SEEN}}}},
    "absolute path": {"begun": {"map": ["/etc/passwd"]}},
    "input of a number": {"inputs": {"a": 3}},
}


@pytest.mark.parametrize("kind", BAD)
def test_what_is_no_ledger_is_set_aside_with_a_line(
    written: Path, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    given = BAD[kind]
    text = given if isinstance(given, bytes) else changed(written, **given)
    (written / "ledger.json").write_bytes(text)
    ledger = Ledger(written)
    assert (written / "ledger.json").exists()  # a plan moves nothing
    ledger.read()
    aside = [p for p in written.iterdir() if p.name.startswith("ledger.json.set-aside-")]
    assert [p.read_bytes() for p in aside] == [text]
    assert not (written / "ledger.json").exists()
    assert not ledger.is_whole("map", "key", [written / "map.tif"])
    (line,) = caplog.messages
    assert aside[0].name in line
    assert "\n" not in line


def test_a_ledger_is_read_back(written: Path, caplog: pytest.LogCaptureFixture) -> None:
    ledger = Ledger(written)
    ledger.read()
    assert ledger.is_whole("map", "key", [written / "map.tif"])
    assert not ledger.is_whole("map", "another key", [written / "map.tif"])
    assert caplog.messages == []


def test_verifying_notices_a_flipped_byte_of_unchanged_size_and_time(written: Path) -> None:
    path = written / "map.tif"
    status = path.stat()
    path.write_bytes(b"pixelS")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    quick, thorough = Ledger(written), Ledger(written, verify=True)
    assert quick.is_whole("map", "key", [path])
    assert not thorough.is_whole("map", "key", [path])
    assert quick.fingerprint(path) != thorough.fingerprint(path)
    thorough.record("map", "key", [path])
    assert thorough.is_whole("map", "key", [path])


def test_files_that_are_read_with_another_count_too(tmp_path: Path) -> None:
    points, table = tmp_path / "points.shp", tmp_path / "points.dbf"
    scene, source = tmp_path / "scene.vrt", tmp_path / "below" / "a.tif"
    source.parent.mkdir()
    points.write_text("places")
    source.write_text("pixels")
    single = sha256_of(points)
    assert Ledger(tmp_path / "out").fingerprint(points) == single
    (tmp_path / "points.qml").write_text("says how to show them")
    assert Ledger(tmp_path / "out").fingerprint(points) == single
    table.write_text("classes")
    text = "<SourceFilename relativeToVRT='1'>below/a.tif</SourceFilename>"
    scene.write_text(f"<VRTDataset>{text}</VRTDataset>")
    for path, other, changed in (
        (points, table, "other classes"),
        (scene, source, "other pixels"),
        (scene, source.with_name("a.tif.msk"), "clouds"),
        (scene, tmp_path / "scene.vrt.aux.xml", "<NoDataValue>0</NoDataValue>"),
    ):
        ledger = Ledger(tmp_path / "out")
        before = ledger.fingerprint(path)
        other.write_text(changed)
        assert ledger.fingerprint(path) != before
        assert ledger.reads(other)


def test_a_folder_counts_with_what_its_files_refer_to(tmp_path: Path) -> None:
    folder, source = tmp_path / "scene", tmp_path / "a.tif"
    folder.mkdir()
    source.write_text("pixels")
    text = "<SourceFilename relativeToVRT='1'>../a.tif</SourceFilename>"
    (folder / "a.vrt").write_text(f"<VRTDataset>{text}</VRTDataset>")
    ledger = Ledger(tmp_path / "out")
    before = ledger.fingerprint(folder)
    source.write_text("other pixels")
    assert ledger.fingerprint(folder) != before


def test_nothing_is_looked_for_beside_each_of_the_many_files_of_a_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, asked = tmp_path / "a.zarr", []
    store.mkdir()
    chunks = [store / str(k) for k in range(40)]
    for chunk in chunks:
        chunk.write_text("pixels")
    is_file = Path.is_file
    monkeypatch.setattr(Path, "is_file", lambda p, **how: asked.append(p) or is_file(p, **how))
    Ledger(tmp_path / "out").fingerprint(store)
    assert {*chunks} <= {*asked}
    assert len(asked) < 3 * len(chunks)


def test_a_plan_reads_what_may_have_been_read_under_another_name(tmp_path: Path) -> None:
    scene, other = tmp_path / "scene.tif", tmp_path / "other.tif"
    scene.write_text("pixels")
    other.write_text("more pixels")
    ledger = Ledger(tmp_path / "out")
    seen = ledger.fingerprint(scene)
    (tmp_path / "out").mkdir()
    ledger.save()
    moved = scene.rename(tmp_path / "moved.tif")
    plan = Ledger(tmp_path / "out", hashing=False)
    assert plan.fingerprint(moved) == seen
    assert plan.fingerprint(other) == "not read yet"
    assert Ledger(tmp_path / "no run", hashing=False).fingerprint(moved) == "not read yet"


def test_a_product_counts_whole_by_whichever_of_its_parts_it_is_named(tmp_path: Path) -> None:
    safe, store = tmp_path / "S2A_MSIL2A_20220601.SAFE", tmp_path / "year.zarr"
    eopf = tmp_path / "S02MSIL2A.zarr"
    image = safe / "GRANULE" / "L2A" / "IMG_DATA" / "B02.jp2"
    bands = eopf / "measurements" / "reflectance" / "r10m"
    metadata = safe / "MTD_MSIL2A.xml"
    for place in (image, bands / "b02" / "c", store / "utm33" / "c", store / "utm34" / "c"):
        place.parent.mkdir(parents=True)
        place.write_text("pixels")
    metadata.write_text("<offsets/>")
    for group in (eopf, bands.parents[1], bands.parent, bands, store, store / "utm33"):
        (group / ".zgroup").write_text('{"zarr_format": 2}')
    for path, other, counts in (
        (metadata, image, True),
        (bands, eopf / ".zattrs", True),
        (bands.parent, eopf / "conditions", True),
        (store / "utm33", store / ".zattrs", True),
        (store / "utm33", store / "utm34" / "c", False),
    ):
        before = Ledger(tmp_path / "out").fingerprint(path)
        other.write_text("other")
        assert (Ledger(tmp_path / "out").fingerprint(path) != before) is counts


def test_a_product_whose_bands_were_looked_at_is_the_same_input(tmp_path: Path) -> None:
    safe = tmp_path / "S2A_MSIL2A_20220601.SAFE"
    image = safe / "GRANULE" / "L2A" / "IMG_DATA" / "B02.jp2"
    image.parent.mkdir(parents=True)
    image.write_text("pixels")
    (safe / "MTD_MSIL2A.xml").write_text("<offsets/>")
    before = Ledger(tmp_path / "out").fingerprint(safe)
    band = '<PAMDataset><PAMRasterBand band="1">{}</PAMRasterBand></PAMDataset>'
    mean = '<Metadata><MDI key="STATISTICS_MEAN">7</MDI></Metadata>'
    stored = '<Metadata domain="IMAGE_STRUCTURE"><MDI key="COMPRESSION">JPEG2000</MDI></Metadata>'
    beside = image.with_name("B02.jp2.aux.xml")
    for name in ("B02.jp2.ovr", "B02.qml"):
        image.with_name(name).write_text("how it looks")
    beside.write_text(band.format(mean + stored))
    assert Ledger(tmp_path / "out").fingerprint(safe) == before
    beside.write_text(band.format("<NoDataValue>7</NoDataValue>"))
    assert Ledger(tmp_path / "out").fingerprint(safe) != before


def test_only_left_overs_of_what_was_begun_are_swept(written: Path) -> None:
    part = "part-some-node-123-a_b1"  # also of another host: nobody else works in the folder
    ours = [written / f".other.tif.{part}", written / f".other.tif.{part}~"]
    names = (
        f".map.tif.{part}",
        ".other.tif.part-1",
        ".other.tif-abc",
        ".other.tiffany",
        "other.tif",
    )
    theirs = [written / n for n in names]
    for path in (*ours, *theirs):
        path.mkdir()
        (path / "file").touch()
    outside = written.parent / "kept"
    outside.mkdir()
    link = written / ".other.tif.part-node-1-link"
    link.symlink_to(outside)
    ledger = Ledger(written)
    ledger.sweep()
    assert not any(p.exists() for p in ours)
    assert all(p.exists() for p in (*theirs, outside))
    assert not os.path.lexists(link)


def test_nothing_is_swept_through_a_link_out_of_the_folder(written: Path) -> None:
    outside = written.parent / "outside"
    (outside / ".a.tif.part-node-1-abc").mkdir(parents=True)
    (written / "layers").symlink_to(outside)
    ledger = Ledger(written)
    ledger.begin("layer a", [written / "layers" / "a.tif"])
    ledger.sweep()
    assert (outside / ".a.tif.part-node-1-abc").is_dir()


def test_no_product_lies_outside_the_folder(written: Path) -> None:
    with pytest.raises(ValueError, match="not in the subpath"):
        Ledger(written / "below").begin("map", [written / "map.tif"])


def test_a_product_that_is_called_otherwise_by_now_is_still_to_come(written: Path) -> None:
    ledger = Ledger(written)
    assert not ledger.is_whole("map", "key", [written / "DE_10m_3035_classified.tif"])
    assert not ledger.is_whole("map", "key", [written / "map.tif", written / "confidence.tif"])
    store = written / "samples.zarr" / "band"
    store.mkdir(parents=True)
    (store / "zarr.json").touch()
    ledger.record("samples", "key", [store.parent])
    assert ledger.is_whole("samples", "key", [store.parent])
    assert not ledger.is_whole("samples", "key", [written / "samples"])


def test_an_item_that_another_piece_puts_figures_into_is_held_to_the_rest(tmp_path: Path) -> None:
    raster, path = tmp_path / "map.tif", tmp_path / "map.stac.json"
    raster.write_bytes(b"pixels")
    item = {"id": "map", "bbox": [0, 0, 1, 1], "properties": {"datetime": "2021-06-01"}}
    path.write_text(json.dumps(item))
    ledger = Ledger(tmp_path)
    ledger.leave([path])
    ledger.record("map", "key", [raster])
    described = item | {"properties": {"datetime": "2021-06-01", "osm4eo_xr:areas": [1]}}
    path.write_text(json.dumps(described, indent=1))
    ledger.record("report", "key", [path])
    for again in (Ledger(tmp_path), Ledger(tmp_path, verify=True)):
        assert again.is_whole("map", "key", [raster])
        assert again.is_whole("report", "key", [path])
    path.write_text(json.dumps(item))
    assert Ledger(tmp_path).is_whole("map", "key", [raster])
    assert not Ledger(tmp_path).is_whole("report", "key", [path])
    for changed in (
        json.dumps(item | {"bbox": [0, 0, 2, 2]}),
        json.dumps(item | {"properties": {"datetime": "1999-01-01"}}),
        '{"properties": 3}',
        "{",
    ):
        path.write_text(changed)
        assert not Ledger(tmp_path).is_whole("map", "key", [raster])
    path.unlink()
    assert not Ledger(tmp_path).is_whole("map", "key", [raster])


def test_a_key_takes_what_has_one_text_in_each_process() -> None:
    box = target_geobox((4e6, 3e6, 4.001e6, 3.001e6))
    assert key_of("labels", Path("a"), date(2024, 5, 1)) == key_of("labels", "a", "2024-05-01")
    words = GeoBox(box.shape, box.affine, pyproj.CRS(3035).to_wkt())  # as a file has them
    assert str(words) != str(box)
    assert key_of("labels", words) == key_of("labels", box) == key_of("labels", grid_text(box))
    with pytest.raises(TypeError, match="CRS in a key"):
        key_of("labels", box.crs)


@pytest.mark.filterwarnings("ignore::rasterio.errors.RasterioDeprecationWarning")
def test_a_product_that_was_looked_at_is_whole(tmp_path: Path) -> None:
    path = write_cog(example_class_map(), tmp_path / "map.tif", legend=default_legend())
    Ledger(tmp_path).record("map", "key", [path])
    with rasterio.open(path) as file:
        file.statistics(1)
    beside = path.with_name("map.tif.aux.xml")
    assert "STATISTICS_MEAN" in beside.read_text()
    for verify in (False, True):
        assert Ledger(tmp_path, verify=verify).is_whole("map", "key", [path])
    beside.write_text(beside.read_text().replace("Water bodies", "Sea"))
    assert not Ledger(tmp_path).is_whole("map", "key", [path])


def test_a_geopackage_that_was_looked_at_is_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "areas.gpkg"
    gpd.GeoDataFrame({"id": [1]}, geometry=gpd.points_from_xy([9], [47]), crs=4326).to_file(path)
    ledger = Ledger(tmp_path)
    before, content = ledger.fingerprint(path), path.read_bytes()
    ledger.record("areas", "key", [path])
    viewer = sqlite3.connect(path)  # does as QGIS
    for mode in ("WAL", "DELETE"):
        viewer.execute(f"PRAGMA journal_mode = {mode}")
        viewer.execute("SELECT id FROM areas").fetchall()
        assert path.read_bytes() != content
        for verify in (False, True):
            seen = Ledger(tmp_path, verify=verify)
            assert seen.fingerprint(path) == before
            assert seen.is_whole("areas", "key", [path])
    viewer.execute("UPDATE gpkg_contents SET identifier = 'others'")
    viewer.commit()
    viewer.close()
    assert Ledger(tmp_path).fingerprint(path) != before
    assert not Ledger(tmp_path).is_whole("areas", "key", [path])


def test_hashes_of_all_bytes_in_older_ledgers_stand(tmp_path: Path) -> None:
    path = tmp_path / "areas.gpkg"
    gpd.GeoDataFrame({"id": [1]}, geometry=gpd.points_from_xy([9], [47]), crs=4326).to_file(path)
    ledger = Ledger(tmp_path)
    known = ledger.fingerprint(path)
    ledger.record("areas", "key", [path])
    note = tmp_path / "ledger.json"
    note.write_text(note.read_text().replace(known, sha256_of(path)))
    for verify in (False, True):
        older = Ledger(tmp_path, verify=verify)
        assert older.fingerprint(path) == sha256_of(path)
        assert older.is_whole("areas", "key", [path])


def test_a_copied_folder_is_read_once(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written / "map.tif"
    os.utime(path, (1, 1))
    ledger = Ledger(written)
    assert ledger.is_whole("map", "key", [path])
    ledger.save()
    monkeypatch.delattr("osm4eo_xr.country.ledger.hash_of_content")
    assert Ledger(written).is_whole("map", "key", [path])


@pytest.mark.parametrize(
    ("number", "told"), [(errno.ENOSYS, "no locks on the file system"), (errno.EAGAIN, "another")]
)
def test_a_folder_that_cannot_be_locked_says_why(
    number: int, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("fcntl.flock", refuse)
    with pytest.raises(InputError, match=told), only_run(tmp_path):
        pass
