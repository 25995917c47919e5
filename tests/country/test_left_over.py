"""Products of pieces that a run no longer has: named, kept, and in none of its maps."""

from pathlib import Path

import pytest

from osm4eo_xr.country.ledger import Ledger
from osm4eo_xr.country.run import plan_country, run_country
from osm4eo_xr.errors import InputWarning
from osm4eo_xr.rasters.open import open_raster
from tests.cases.commands import call
from tests.cases.country_case import MODEL, make_country

ALL = 'files = "tiles/*.tif"'
MOST = 'files = ["tiles/T[01]*.tif", "tiles/T2[01].tif"]'


def test_what_other_pieces_left_is_told_unless_it_is_needed(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    for name in ("here", "gone", "removed", "input", "needed"):
        (tmp_path / f"{name}.tif").touch()
        (tmp_path / f"{name}.qml").touch()  # comes and goes with it
        ledger.record(name, "key", [tmp_path / f"{name}.tif"])
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a").touch()
    ledger.record("folder", "key", [tmp_path / "folder"])
    (tmp_path / "removed.tif").unlink()
    ledger.fingerprint(tmp_path / "input.tif")
    needed = {tmp_path / "here.tif", tmp_path / "needed.tif"}
    assert ledger.left_over({"here"}, needed) == ("folder", "gone.tif")


def test_what_a_piece_left_before_is_told_as_long_as_it_is_there(tmp_path: Path) -> None:
    ledger, before = Ledger(tmp_path), tmp_path / "sure.tif"
    tile, later = tmp_path / "tile.tif", tmp_path / "later.tif"
    for path in (tile, before, later, before.with_suffix(".qml")):
        path.touch()
    ledger.record("tile", "key", [tile, before])
    assert ledger.left_over({"tile"}, {tile, before}) == ()
    assert ledger.left_over({"tile"}, {tile}) == ("sure.tif",)  # before it is made again
    for outputs in ([tile], [tile, later], [tile]):
        ledger.record("tile", "another", outputs)
    ledger = Ledger(tmp_path)
    assert ledger.left_over({"tile"}, {tile}) == ("later.tif", "sure.tif")
    assert ledger.left_over((), ()) == ("later.tif", "sure.tif", "tile.tif")
    before.unlink()
    assert ledger.left_over({"tile"}, {tile}) == ("later.tif",)
    ledger.record("tile", "key", [tile, later])
    assert ledger.left_over({"tile"}, {tile, later}) == ()


@pytest.mark.filterwarnings("ignore:.* states no offset")
def test_products_of_a_tile_that_is_taken_out_stay_and_are_named(tmp_path: Path) -> None:
    country = make_country(tmp_path / "here", edge=60, overlap=12, learn=MODEL)
    out = run_country(country)
    assert plan_country(country).left_over == ()
    left = out / "classified" / "T22.tif"
    kept = left.read_bytes()
    country.write_text(country.read_text().replace(ALL, MOST))
    plan = plan_country(country)
    assert plan.left_over == ("classified/T22.tif",)
    said = "1 product of earlier settings, in none of the maps: classified/T22.tif"
    assert plan.leftovers == said
    assert said in call("run", country, "--dry-run")
    with pytest.warns(InputWarning, match=f"{out} holds {said}; remove what nobody needs"):
        run_country(country)
    assert left.read_bytes() == kept
    fresh = tmp_path / "fresh.toml"
    fresh.write_text(country.read_text().replace('"tiles/', f'"{country.parent}/tiles/'))
    other = fresh.read_text().replace('"tiny"', f'"{country.parent}/tiny"')
    fresh.write_text(other.replace('"boundary', f'"{country.parent}/boundary'))
    assert open_raster(out / "mosaic.tif").equals(open_raster(run_country(fresh) / "mosaic.tif"))
    country.write_text(country.read_text().replace(MOST, ALL))
    plan = plan_country(country)
    assert plan.left_over == ()
    assert "classified T22" not in [piece.name for piece in plan.todo]
