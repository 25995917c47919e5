"""Which files are read with another, and which of them decide what is read."""

from pathlib import Path

import pytest

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
