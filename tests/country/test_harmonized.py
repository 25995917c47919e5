"""A country whose tiles have gains and offsets of their own is brought to one radiometry."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from distributed import Client

from osm4eo_xr.country.context import CountryRun
from osm4eo_xr.country.ledger import Ledger
from osm4eo_xr.country.run import plan_country, run_country
from osm4eo_xr.country.scenes.harmony import open_common
from osm4eo_xr.country.settings_file import read_country
from osm4eo_xr.errors import InputError
from osm4eo_xr.imagery.harmonization import Harmony, harmonize
from osm4eo_xr.imagery.scenes import open_scene
from tests.cases.country_case import MODEL, distort_tiles, make_country

Country = tuple[Path, np.ndarray, np.ndarray]
TILES = ["T00", "T01", "T10", "T11"]
FOUR = 'name = "Four tiles"\nharmonize = true\nscenes = [{ files = "tiles/T[01][01].tif" }]'


@pytest.fixture(scope="module")
def country(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Country]:
    """A country file whose run has finished, in small blocks, and what was done to its tiles."""
    path = make_country(tmp_path_factory.mktemp("alike"), edge=120, overlap=24, learn=MODEL)
    wrong = distort_tiles(path.parent, TILES)
    path.write_text(f"{FOUR}\nlayers = []\n{MODEL}\n[sieve]\nsize = 20\n")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("osm4eo_xr.inference.blocks.DENSE_BLOCK", 64)
        run_country(path)
        yield path, *wrong


def test_gains_and_offsets_are_found_and_reported(country: Country) -> None:
    path, gain, offset = country
    out = path.parent / "result"
    told = json.loads((out / "harmony.json").read_text())
    found = Harmony.from_dict(told)
    assert found.to_dict() == told
    assert found.gain["tile"].to_numpy().tolist() == TILES
    ratio = found.gain.to_numpy() * gain
    np.testing.assert_allclose(ratio / ratio[0], np.ones((4, 10)), atol=0.01)
    shift = found.gain.to_numpy() * offset + found.offset.to_numpy()
    np.testing.assert_allclose(shift - shift[0], np.zeros((4, 10)), atol=1e-3)
    assert json.loads((out / "report.json").read_text())["harmony"] == told
    assert len(told["overlaps"]) == 6  # of four sides and two corners
    page = (out / "report.html").read_text()
    assert f"blue {told['gain']['T11']['blue']:.3f} r " in page
    assert f"{told['overlaps'][0]['pixels']:,}" in page


def test_tiles_show_less_in_the_map(country: Country) -> None:
    path = country[0]
    plain = path.with_name("plain.toml")
    plain.write_text(path.read_text().replace("harmonize = true", 'out = "plain"'))
    run_country(plain)
    seams = [
        json.loads((path.parent / out / "report.json").read_text())["seams"][0]
        for out in ("plain", "result")
    ]
    assert seams[0]["low"] > 0
    assert seams[1]["low"] <= 0
    assert seams[1]["excess"] < seams[0]["excess"] / 4


def test_blocks_inside_of_tiles_do_not_show(country: Country) -> None:
    out = country[0].parent / "result"
    told = json.loads((out / "report.json").read_text())["block_edges"]
    assert told["pairs"] > 4 * 2 * 100  # a row and a column of each tile, but for no data
    assert told["low"] <= 0 <= told["high"]
    assert f"Excess: {told['excess']:+.2%}" in (out / "report.html").read_text()


def test_only_a_changed_scene_finds_them_anew(country: Country, tmp_path: Path) -> None:
    path = country[0]
    assert plan_country(path).todo == ()
    made: list[str] = []
    run_country(path, watch=lambda piece, *_: made.append(piece))
    assert made == []
    other = path.with_name("changed.toml")
    moved = 'T00.tif", offset = 0.01 }, { files = "tiles/T01.tif" }, { files = "tiles/T1[01].tif'
    other.write_text(path.read_text().replace("T[01][01].tif", moved))
    todo = [p.name for p in plan_country(other).todo]
    assert todo[:5] == ["harmony", *(f"classified {t}" for t in TILES)]
    line = plan_country(other).pieces[0]
    assert line.chunks >= 1
    assert line.read > 0
    apart = make_country(tmp_path / "apart", edge=60, overlap=0, learn=MODEL)
    apart.write_text("harmonize = true\n" + apart.read_text())
    with pytest.raises(InputError, match=r"harmonize = true, and no two of 9 tiles overlap"):
        plan_country(apart)


@pytest.mark.usefixtures("no_compute")
def test_scenes_stay_lazy(country: Country) -> None:
    path = country[0]
    out = path.parent / "result"
    run = CountryRun(read_country(path), path.parent, Ledger(out), out)
    scene = open_common(run, run.tiles[3])
    assert scene.chunks is not None
    assert [*scene.attrs] == [*run.open_scene(run.tiles[3]).attrs]


def test_a_cluster_finds_the_same_whatever_the_chunks(country: Country) -> None:
    folder = country[0].parent
    scenes = {t: open_scene(folder / "tiles" / f"{t}.tif", chunks=37) for t in TILES}
    with Client(processes=False, n_workers=1, threads_per_worker=2, dashboard_address=None):
        found = harmonize(scenes)
    assert found.to_dict() == json.loads((folder / "result" / "harmony.json").read_text())
