"""Countries answer to all their names; where ISO and the original disagree, ISO wins."""

import pytest

from osm4eo_xr.errors import InputError, InputWarning
from osm4eo_xr.places.countries import countries, find_country


def test_country_table_has_28_countries_and_says_where_counts_disagree() -> None:
    assert len(countries()) == 28
    assert len({c.code for c in countries()} | {c.iso3 for c in countries()}) == 56
    differing = {c.name: (c.stated, len(c.tiles)) for c in countries() if c.stated != len(c.tiles)}
    assert differing == {"Austria": (9, 8), "Czechia": (9, 8)}
    assert all(len(t) == 3 and t.isdigit() for c in countries() for t in c.tiles)
    assert all(len(set(c.tiles)) == len(c.tiles) for c in countries())
    assert {len(find_country(c).tiles) for c in ("DE", "FI", "NL")} == {23, 32, 5}


@pytest.mark.parametrize("country", countries(), ids=lambda c: c.iso)
def test_the_28_countries_answer_to_every_alias(country) -> None:
    names = (country.iso, country.iso3, country.name, *country.also, f"original:{country.code}")
    assert {find_country(name).iso3 for name in names} == {country.iso3}
    assert {find_country(name.lower()).iso3 for name in names} == {country.iso3}


@pytest.mark.parametrize(
    ("name", "iso3"),
    [
        ("Deutschland", "DEU"),
        ("oesterreich", "AUT"),
        ("Osterreich", "AUT"),
        ("Niemcy", "DEU"),
        ("Ελλάδα", "GRC"),
        ("EL", "GRC"),
        ("UK", "GBR"),
        ("ETO", "EST"),
        ("DN", "DNK"),
        ("LIE", "LIE"),
        ("AUS", "AUS"),
        ("Kosovo", "KOS"),  # Natural Earth's; ISO has none
        ("XK", "KOS"),
        ("AX", "ALA"),
        ("Ashmore and Cartier Islands", "ATC"),  # they share Australia's ISO codes
        ("Australian Indian Ocean Territories", "IOA"),
    ],
)
def test_names_in_languages_of_europe_and_codes_beyond_the_table(name: str, iso3: str) -> None:
    assert find_country(name).iso3 == iso3


@pytest.mark.parametrize(
    ("code", "iso", "original"),
    [
        ("AU", "Australia", "Austria"),
        ("CR", "Costa Rica", "Croatia"),
        ("IR", "Iran", "Ireland"),
        ("LA", "Laos", "Latvia"),
        ("LI", "Liechtenstein", "Lithuania"),
        ("MA", "Morocco", "Malta"),
    ],
)
def test_where_codes_collide_iso_wins_and_it_is_said(code: str, iso: str, original: str) -> None:
    with pytest.warns(InputWarning, match=f"original:{code}"):
        assert find_country(code).name == iso
    assert find_country(f"original:{code}").name == original


def test_unknown_names_are_refused() -> None:
    with pytest.raises(InputError, match="did you mean Liechtenstein"):
        find_country("Lichtenstein")
    with pytest.raises(InputError, match="no country 'Atlantis'; expected an ISO.*name$"):
        find_country("Atlantis")
    with pytest.raises(InputError, match="'original:CH'; expected one of AU, BE"):
        find_country("original:CH")
