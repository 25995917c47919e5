"""A country run that meets a bad tile: what is finished, what is said, how it goes on."""

from pathlib import Path
from typing import Any

import pytest
import rasterio
from affine import Affine

from osm4eo_xr.cli.app import main
from osm4eo_xr.country.context import CountryRun
from osm4eo_xr.country.pieces import map_pieces
from osm4eo_xr.country.run import plan_country, run_country
from osm4eo_xr.country.scenes.tiles import Tile
from osm4eo_xr.errors import InputError, InputWarning
from tests.cases.country_case import MODEL, make_country, products


@pytest.mark.parametrize("last", [2, 9])
def test_a_corrupt_tile_is_named_when_the_others_are_finished(
    last: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    country = make_country(tmp_path / "land", edge=60, overlap=12, learn=MODEL)
    bad = country.parent / "tiles" / "T01.tif"
    with rasterio.open(bad, "r+") as file:
        profile, pixels, names = dict(file.profile), file.read(), file.descriptions
    with rasterio.open(
        bad, "w", **{**profile, "compress": "deflate", "interleave": "band"}
    ) as file:
        file.write(pixels)
        file.descriptions = names
    whole = bad.read_bytes()
    tenth = len(whole) // 10  # a header that is well, pixels of one or all bands that are not
    bad.write_bytes(whole[:tenth] + bytes((last - 1) * tenth) + whole[last * tenth :])
    monkeypatch.setattr("sys.argv", ["osm4eo-xr", "run", str(country)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert f"1 of 9 tiles cannot be read: T01 ({bad}" in said
    assert "mend what is told here and run again" in said
    out = country.parent / "result"
    assert len(list((out / "classified").glob("T??.tif"))) == 8
    assert not (out / "mosaic.tif").exists()
    bad.write_bytes(whole)
    made: list[str] = []
    run_country(country, watch=lambda piece, *_: made.append(piece))
    again = [p.split()[1] for p in dict.fromkeys(made) if p.startswith("classified")]
    assert again == ["T00", "T01", "T02", "T10", "T11", "T12"]  # it and those that see it
    assert (out / "water.tif").exists()


@pytest.mark.parametrize("times", [1, 2])
def test_a_neighbor_that_could_not_be_read_for_a_while_leaves_no_trace(
    times: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(run: CountryRun, tile: Tile, path: Path, around: list[Tile], *how: Any) -> None:
        if tile.id == "T11" and around and failed:
            raise OSError(failed.pop())
        writes(run, tile, path, around, *how)

    whole = make_country(tmp_path / "whole", edge=60, overlap=12, learn=MODEL)
    country = make_country(tmp_path / "land", edge=60, overlap=12, learn=MODEL)
    expected = products(run_country(whole))
    failed, writes = ["T01.tif: read failed"] * times, map_pieces._write_classified
    monkeypatch.setattr(map_pieces, "_write_classified", write)
    out, tile = country.parent / "result", "classified/T11.tif"
    if times > 1:
        told = r"1 of 9 tiles are classified without .*: T11 \(T01.tif: read failed\)"
        with pytest.raises(InputError, match=told):
            run_country(country)
        assert (out / tile).read_bytes() != expected[tile]
        assert not (out / "mosaic.tif").exists()
        assert "classified T11" in [piece.name for piece in plan_country(country).todo]
    run_country(country)
    assert not failed
    assert products(out) == expected


def test_a_tile_of_which_the_extract_says_nothing_is_classified_all_the_same(
    tmp_path: Path,
) -> None:
    country = make_country(tmp_path / "here", edge=60, overlap=12)
    tile = country.parent / "tiles" / "T22.tif"
    with rasterio.open(tile, "r+") as file:  # out at sea
        file.transform = Affine.translation(0, 300_000) @ file.transform
    with pytest.warns(InputWarning, match="no land use of the extract meets tile T22: nothing is"):
        run_country(country)
    out = country.parent / "result"
    with rasterio.open(out / "labels" / "T22.tif") as labels:
        assert not labels.read(1).any()
    with rasterio.open(out / "classified" / "T22.tif") as classified:
        assert classified.read(1).any()


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ('file = "boundary.geojson"', 'country = "PT"', "do not overlap"),
        ("size = 20", 'size = 20\nprotected = ["watr"]', "'watr'"),
        ("date = 2017-02-16", "date = 2017-02-16\nfractions = [15]", "15"),
    ],
)
def test_what_cannot_be_is_refused_before_the_first_piece(
    before: str, after: str, message: str, tmp_path: Path
) -> None:
    country = make_country(tmp_path / "here", edge=60, overlap=12, learn=MODEL)
    text = country.read_text()
    assert before in text
    country.write_text(text.replace(before, after))
    with pytest.raises(InputError, match=message):
        run_country(country)
    assert not list((country.parent / "result").rglob("*.tif"))
