"""The error of bad input: fields for programs, one line for people."""

import pickle

import pytest

from osm4eo_xr.errors import InputError, MissingExtraError, extra

FULL = InputError("size is 0", expected="1 or more pixels", advice="raise --size")


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (FULL, "size is 0; expected 1 or more pixels; raise --size"),
        (InputError("size is 0", advice="raise --size"), "size is 0; raise --size"),
        (InputError("size is 0", expected="1 or more"), "size is 0; expected 1 or more"),
        (InputError("no polygon"), "no polygon"),
        (InputError("a\r\n  b\u2028c\n", advice="d"), "a b c; d"),
    ],
)
def test_the_line_is_composed_of_the_parts_that_are_there(error: InputError, line: str) -> None:
    assert str(error) == line


def test_fields_survive_the_way_from_a_worker() -> None:
    back = pickle.loads(pickle.dumps(FULL))  # noqa: S301 - as dask does
    assert (back.given, back.expected, back.advice) == (FULL.given, FULL.expected, FULL.advice)
    assert str(back) == str(FULL)


def test_a_place_leads_what_was_given_and_leaves_the_rest() -> None:
    inside = FULL.within("country.toml")
    assert inside.given == "country.toml: size is 0"
    assert (inside.expected, inside.advice) == (FULL.expected, FULL.advice)


def test_a_missing_extra_says_what_needs_what_and_how_to_get_it() -> None:
    with pytest.raises(MissingExtraError) as caught, extra("forest", "the forest"):
        raise ModuleNotFoundError("No module", name="sklearn")
    assert caught.value.given == "the forest needs sklearn, which is not installed"
    assert caught.value.advice == 'pip install "osm4eo-xr[forest]"'
    moved = pickle.loads(pickle.dumps(caught.value))  # noqa: S301
    assert isinstance(moved, MissingExtraError)
    assert moved.advice == caught.value.advice
