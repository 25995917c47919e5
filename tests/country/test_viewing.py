"""Where a run's inputs lie, told from the folder of its results, and what its viewer shows."""

import dataclasses
import json
from pathlib import Path

import pytest

from osm4eo_xr.country.context import CountryRun
from osm4eo_xr.country.ledger import Ledger
from osm4eo_xr.country.pieces.map_pieces import beside
from osm4eo_xr.country.settings_file import read_country
from osm4eo_xr.country.viewing import _base_of, _stamps, _sureness, open_run
from tests.cases.country_case import MODEL, make_country


def test_a_link_to_a_country_file_opens_the_run_where_the_file_lies(tmp_path: Path) -> None:
    path = make_country(tmp_path / "here", edge=60, overlap=12, learn=MODEL)
    out, link = path.parent / "result", tmp_path / "link.toml"
    out.mkdir()
    told = {"settings": dataclasses.asdict(read_country(path)), "tiles": ["T00"]}
    (out / "report.json").write_text(json.dumps(told))
    link.symlink_to(path)
    run = open_run(link)
    assert (run.base, run.out) == (path.parent, out)
    assert len(run.tiles) == 9


def test_confidences_are_shown_where_the_run_makes_them(tmp_path: Path) -> None:
    path = make_country(tmp_path / "here", edge=60, overlap=12, learn=MODEL)
    text, out = path.read_text(), path.parent / "result"
    for more, end in (
        ("", None),
        ('[mosaic]\nrule = "confidence"\n', "confidence"),
        ('[mosaic]\nrule = "blend"\n', "probabilities"),
    ):
        path.write_text(text.replace("[sieve]", f"{more}[sieve]"))
        run = CountryRun(read_country(path), path.parent, Ledger(out), out)
        for tile in run.tiles:  # also of earlier settings
            for name in ("confidence", "probabilities"):
                beside(run, tile, name).parent.mkdir(parents=True, exist_ok=True)
                beside(run, tile, name).touch()
        wanted = [beside(run, tile, end) for tile in run.tiles] if end else []
        assert _sureness(run) == wanted
        assert {p for p in _stamps(run) if "classified" in p} == set(map(str, wanted))
    wanted[-1].unlink()  # the maps of a finished run are shown without its tiles too
    assert _sureness(run) == []


@pytest.mark.parametrize(
    ("folder", "out", "base"),
    [
        ("land/result", "result", "land"),
        ("land/maps/2023", "maps/2023", "land"),
        ("land", ".", "land"),
        ("moved/elsewhere", "result", "moved"),
        ("land/result", "../result", "land"),
        ("land/result", "/data/result", "land"),
    ],
)
def test_paths_of_the_settings_begin_where_the_country_file_lay(
    tmp_path: Path, folder: str, out: str, base: str
) -> None:
    assert _base_of(tmp_path / folder, out) == (tmp_path / base).resolve()
