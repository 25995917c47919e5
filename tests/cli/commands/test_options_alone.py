"""Options that do nothing without another are refused, and nothing is written."""

from pathlib import Path

import pytest

from osm4eo_xr.cli.options import open_checked, read_outline, refuse_alone
from osm4eo_xr.errors import InputError
from tests.cases.commands import refused

LABELS = ("labels", "a.osm.pbf", "--like", "a.tif", "--out", "l.tif")
ALONE = [
    ((*LABELS, "--boundary", "b.gpkg"), "--boundary without --report", "--boundary"),
    ((*LABELS, "--country", "DE"), "--country DE without --report", "--country"),
    (
        ("extract", "a.tif", "--layer", "water", "--out", "w.tif", "--simplify", "5"),
        "--simplify 5 without --vector",
        "--simplify",
    ),
    (
        ("composite", "i.json", "--like", "a.tif", "--resolution", "20", "--out", "c.tif"),
        "--resolution 20 without --bbox",
        "--resolution",
    ),
    (
        ("classify", "a.tif", "--model", "m", "--level", "1C", "--out", "c.tif"),
        "--level 1C without --mask-clouds",
        "--level",
    ),
    (
        ("mosaic", "a.tif", "--boundary-layer", "land", "--out", "m.tif"),
        "--boundary-layer land without --boundary",
        "--boundary-layer",
    ),
]


@pytest.mark.parametrize(("words", "given", "option"), ALONE, ids=lambda v: str(v)[:24])
def test_an_option_that_would_do_nothing_is_refused(
    words: tuple[str, ...],
    given: str,
    option: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    if words[0] == "classify":  # which loads its model first
        with pytest.raises(InputError) as raised:
            open_checked([Path("a.tif")], None, None, None, level="1C")
        error = raised.value
    else:
        error = refused(*words)
    assert error.given == given
    assert error.advice.endswith(f", or leave {option} out")
    assert not any(tmp_path.iterdir())


def test_the_other_option_is_named() -> None:
    with pytest.raises(InputError) as raised:
        refuse_alone("--a 3", "--b")
    assert str(raised.value) == "--a 3 without --b; add --b, or leave --a out"


def test_without_a_boundary_there_is_no_outline_and_a_file_stays_a_path(tmp_path: Path) -> None:
    assert read_outline(None, None, None) is None
    assert read_outline(tmp_path / "b.gpkg", None, None) == tmp_path / "b.gpkg"
    country = read_outline(None, "LI", None)
    assert country is not None
    assert not isinstance(country, Path)
    assert len(country) == 1
