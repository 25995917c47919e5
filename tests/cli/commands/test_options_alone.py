"""Options that do nothing without another are refused, and nothing is written."""

from pathlib import Path

import pytest

from osm4eo_xr.cli.given import refuse_alone
from osm4eo_xr.cli.options import open_checked, read_outline
from osm4eo_xr.errors import InputError
from tests.cases.commands import refused

LABELS = ("labels", "a.osm.pbf", "--like", "a.tif", "--out", "l.tif")
COMPOSITE = ("composite", "i.json", "--like", "a.tif", "--out", "c.tif")
DRAW = ("design-points", "a.tif", "--n", "100", "--out", "d")
ASSESS = ("assess", "a.tif", "--points", "p.csv", "--out", "r.json")
CHANGE = ("change", "a.tif", "b.tif", "--out", "c.tif")
SURE = ("--confidence", "a.tif", "b.tif")
ALONE = [
    ((*LABELS, "--boundary", "b.gpkg"), "--boundary without --report", "--boundary"),
    ((*LABELS, "--country", "DE"), "--country DE without --report", "--country"),
    (
        ("extract", "a.tif", "--layer", "water", "--out", "w.tif", "--simplify", "5"),
        "--simplify 5 without --vector",
        "--simplify",
    ),
    (
        (*COMPOSITE, "--resolution", "20"),
        "--resolution 20 without --bbox",
        "--resolution",
    ),
    (
        ("classify", "a.tif", "--model", "m", "--level", "1C", "--out", "c.tif"),
        "--level 1C without --mask-clouds threshold",
        "--level",
    ),
    ((*COMPOSITE, "--level", "1C"), "--level 1C without --mask-clouds threshold", "--level"),
    (
        (*COMPOSITE, "--mask-clouds", "scl", "--level", "1C"),
        "--level 1C without --mask-clouds threshold",
        "--level",
    ),
    (
        ("mosaic", "a.tif", "--boundary-layer", "land", "--out", "m.tif"),
        "--boundary-layer land without --boundary",
        "--boundary-layer",
    ),
    (
        ("tiles", "LU", "--boundary-layer", "land"),
        "--boundary-layer land without --boundary",
        "--boundary-layer",
    ),
    (("tiles", "LU", "--cut"), "--cut without --out", "--cut"),
    (
        (*DRAW, "--per-cluster", "10"),
        "--per-cluster 10 without --scheme cluster",
        "--per-cluster",
    ),
    ((*ASSESS, "--labels", "primary"), "--labels primary without --design", "--labels"),
    ((*ASSESS, "--intervals", "wald"), "--intervals wald without --design", "--intervals"),
    ((*CHANGE, *SURE, "--n", "500"), "--n 500 without --design", "--n"),
    ((*CHANGE, *SURE, "--seed", "0"), "--seed 0 without --design", "--seed"),
    ((*CHANGE, *SURE, "--stay", "0.9"), "--stay 0.9 without --probabilities", "--stay"),
    (
        (*CHANGE, *SURE, "--connectivity", "4"),
        "--connectivity 4 without --size",
        "--connectivity",
    ),
    (
        ("train", "s.zarr", "--out", "m", "--polygons", "p"),
        "--polygons without --noise",
        "--polygons",
    ),
]
BESIDE = [
    ((*DRAW, "--scheme", "systematic", "--allocation", "equal"), "--allocation equal"),
    ((*DRAW, "--scheme", "cluster", "--expected", "a=0.5"), "--expected a=0.5"),
    (("view", "a.tif", "--static", "--port", "8000"), "--port 8000"),
    (("init", "LU", "--scenes", "a.tif", "--year", "2024"), "--year 2024"),
    (("init", "LU", "--scenes", "a.tif", "--search", "cdse"), "--search cdse"),
    (("crossvalidate", "s.zarr", "--out", "c.json", "--by", "tile", "--k", "5"), "--k 5"),
    (("doctor", "--dry-run", "--json"), "--json"),
    (("doctor", "--keys", "--json"), "--json"),
    (("doctor", "--keys", "--dry-run"), "--dry-run"),
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


@pytest.mark.parametrize(("words", "option"), BESIDE, ids=lambda v: str(v)[:24])
def test_an_option_that_does_nothing_beside_another_is_refused(
    words: tuple[str, ...], option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    error = refused(*words)
    assert error.given.startswith(f"{option} with --")
    assert error.advice.startswith(f"leave {option.partition(' ')[0]} or --")
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
