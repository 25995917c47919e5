"""Pieces that are maps: which there are, after what, where they lie, when they are made anew."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from osm4eo_xr.country.context import CountryRun, Piece
from osm4eo_xr.country.ledger import Ledger
from osm4eo_xr.country.pieces.layer_pieces import layer_path
from osm4eo_xr.country.pieces.map_pieces import beside, map_pieces, sees_around
from osm4eo_xr.country.settings_file import read_country
from osm4eo_xr.errors import InputError
from tests.cases.country_case import MODEL, make_country


@pytest.fixture(scope="module")
def country(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("maps") / "here"
    return make_country(folder, edge=60, overlap=12, learn=MODEL)


def opened(country: Path, *changes: tuple[str, str]) -> CountryRun:
    text = country.read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    other = country.with_name("changed.toml")
    other.write_text(text)
    out = country.parent / "x"
    return CountryRun(read_country(other), country.parent, Ledger(out), out)


def pieces(run: CountryRun, learned: str = "hash") -> tuple[list[Piece], Piece]:
    return map_pieces(run, learned, [])


def names(run: CountryRun) -> list[str]:
    return [f"{p.kind} {p.of}".strip() for p in pieces(run)[0]]


TILES = [f"T{i}{j}" for i in range(3) for j in range(3)]
SIZE = ("size = 20", 'size = 20\nwhen = "{}"')
CLASSIFY = "[classify]\n"


def when(word: str) -> tuple[str, str]:
    return SIZE[0], SIZE[1].format(word)


def test_each_map_comes_after_those_it_is_made_of(country: Path) -> None:
    made, final = pieces(opened(country))
    kinds = [p.kind for p in made]
    assert kinds == ["classified"] * 9 + ["mosaic", "sieved", "layer", "vector"]
    assert [p.of for p in made[:9]] == TILES
    assert final.kind == "sieved"
    assert final.outputs[0].name == "sieved.tif"


def test_a_sieve_before_the_mosaic_sieves_tiles(country: Path) -> None:
    run = opened(country, when("before"))
    assert names(run)[9:19] == [f"sieved {t}" for t in TILES] + ["mosaic"]
    made, final = pieces(run)
    assert final.kind == "mosaic"
    assert made[9].outputs == (run.out / "sieved" / "T00.tif",)


@pytest.mark.parametrize(
    ("changes", "files"),
    [
        ((), ["T00.tif"]),
        (((CLASSIFY, f"{CLASSIFY}probabilities = true\n"),), ["T00.tif", "T00_probabilities.tif"]),
        (
            (("[sieve]", '[mosaic]\nrule = "confidence"\n[sieve]'),),
            ["T00.tif", "T00_confidence.tif"],
        ),
        ((("[sieve]", '[mosaic]\nrule = "blend"\n[sieve]'),), ["T00.tif", "T00_probabilities.tif"]),
    ],
)
def test_a_tile_leaves_what_others_need_of_it(
    country: Path, changes: tuple[tuple[str, str], ...], files: list[str]
) -> None:
    run = opened(country, *changes)
    first = pieces(run)[0][0]
    assert [p.name for p in first.outputs] == files
    assert all(p.parent == run.out / "classified" for p in first.outputs)
    assert beside(run, run.tiles[0], "confidence").name == "T00_confidence.tif"


def test_fractions_are_named_by_their_cell(country: Path) -> None:
    run = opened(country, ("date = 2017-02-16", "date = 2017-02-16\nfractions = [100, 250.5]"))
    found = [p for p in pieces(run)[0] if p.kind == "fractions"]
    assert [(p.of, p.outputs[0].name) for p in found] == [
        ("100 m", "fractions_100m.tif"),
        ("250.5 m", "fractions_250.5m.tif"),
    ]


def keys(run: CountryRun, learned: str = "hash") -> dict[str, str]:
    return {f"{p.kind} {p.of}".strip(): p.key for p in pieces(run, learned)[0]}


@pytest.mark.parametrize(
    ("changes", "anew"),
    [
        ((), set()),
        ((("size = 20", "size = 21"),), {"sieved", "layer water", "vector water"}),
        ((("min_area = 1000", "min_area = 900"),), {"layer water", "vector water"}),
        ((('name = "Havelland in nine tiles"', 'name = "other"'),), set()),
        (
            (("[sieve]", '[mosaic]\nrule = "first"\n[sieve]'),),
            {"mosaic", "sieved", "layer water", "vector water"},
        ),
        ((("date = 2017-02-16", "date = 2017-02-17"),), None),
        (((CLASSIFY, f"{CLASSIFY}flips = true\n"),), None),
    ],
)
def test_only_what_a_setting_changes_is_made_anew(
    country: Path, changes: tuple[tuple[str, str], ...], anew: set[str] | None
) -> None:
    """None stands for all."""
    before, after = keys(opened(country)), keys(opened(country, *changes))
    assert before.keys() == after.keys()
    changed = {name for name in before if before[name] != after[name]}
    assert changed == (set(before) if anew is None else anew)


def test_another_model_makes_all_anew_and_keys_tell_tiles_apart(country: Path) -> None:
    run = opened(country)
    one, other = keys(run), keys(run, "another")
    assert not set(one.values()) & set(other.values())
    assert len(set(one.values())) == len(one)


def test_layers_are_called_after_their_classes_in_the_legends_order(country: Path) -> None:
    run = opened(country)
    for classes, name, expected in (
        (("water", "urban"), "", "urban-water.tif"),
        (("clc:5",), "", "water.tif"),
        (("water",), "Seen und Flüsse", "Seen und Flüsse.tif"),
    ):
        layer: Any = SimpleNamespace(classes=classes, name=name)
        assert layer_path(run, layer) == run.out / expected
    evil: Any = SimpleNamespace(classes=("water",), name="../water")
    with pytest.raises(InputError, match="is a path"):
        layer_path(run, evil)


@pytest.mark.parametrize(("kind", "expected"), [("fixed", True), ("scene range", False)])
def test_a_model_that_scales_each_scene_does_not_look_at_neighbors(
    kind: str, expected: bool
) -> None:
    model: Any = SimpleNamespace(normalization=SimpleNamespace(kind=kind))
    assert sees_around(model) is expected
