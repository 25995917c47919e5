"""The command ``tiles``."""

from pathlib import Path

import geopandas as gpd
import pytest

from osm4eo_xr.cli.app import main
from osm4eo_xr.places.countries import find_country


def call(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr("sys.argv", ["osm4eo-xr", *words])
    with pytest.raises(SystemExit) as end:
        main()
    return int(end.value.code or 0)


def test_tiles_are_listed_and_written(monkeypatch, capsys, tmp_path: Path) -> None:
    path = tmp_path / "t.geojson"
    assert call(monkeypatch, "tiles", "LU", "--out", str(path)) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].split() == ["31UFQ", "31UFR", "31UGQ", "31UGR", "32ULA", "32ULV"]
    assert list(gpd.read_file(path)["tile"]) == printed[0].split()


def test_the_originals_numbers_stay(monkeypatch, capsys, tmp_path: Path) -> None:
    assert call(monkeypatch, "tiles", "original:AU", "--grid", "original") == 0
    told = capsys.readouterr()
    assert told.out.split() == list(find_country("AT").tiles)
    assert "states 9 tiles" in told.err
    assert call(monkeypatch, "tiles", "CH", "--grid", "original") == 1
    assert "no tiles of Switzerland" in capsys.readouterr().err
    path = tmp_path / "t.gpkg"
    assert call(monkeypatch, "tiles", "AT", "--grid", "original", "--out", str(path)) == 1
    assert "numbers without ground" in capsys.readouterr().err
    assert not path.exists()
