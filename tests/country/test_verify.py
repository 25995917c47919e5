"""A country run that reads its products again."""

import os
from pathlib import Path

import pytest

from osm4eo_xr.cli.app import main
from osm4eo_xr.country.run import plan_country, run_country
from tests.cases.country_case import MODEL, make_country, products


def flip(path: Path) -> None:
    """Flip a bit in the middle of a file and leave its size and time as they are."""
    status, content = path.stat(), bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def test_flipped_bits_are_found_and_mended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    country = make_country(tmp_path / "land", edge=60, overlap=12, learn=MODEL)
    out = run_country(country)
    whole = products(out)
    flip(out / "classified" / "T11.tif")
    flip(out / "water.tif")
    assert plan_country(country).todo == ()
    differs = ["classified T11", "layer water"]
    assert [p.name for p in plan_country(country, verify=True).todo] == differs
    monkeypatch.setattr("sys.argv", ["osm4eo-xr", "run", str(country), "--verify"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    assert products(out) == whole
    made: list[str] = []
    run_country(country, watch=lambda piece, *_: made.append(piece), verify=True)
    assert made == []
