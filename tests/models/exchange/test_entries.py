"""What an item says of a model, read strictly: catalogs are written by others."""

import copy
from typing import Any

import pytest

from osm4eo_xr.errors import InputError
from osm4eo_xr.models.exchange.entries import (
    FILES,
    ModelAccuracy,
    ModelFile,
    check_license,
    read_entry,
)

SHA256 = "ab" * 32


def asset(key: str) -> dict[str, Any]:
    return {"href": f"./{FILES[key]}", "file:size": 7, "file:checksum": f"1220{SHA256}"}


CLASSES = [{"name": "none", "nodata": True}, {"name": "forest"}, {"name": "water"}]
ITEM: dict[str, Any] = {
    "type": "Feature",
    "id": "landuse-DE",
    "geometry": None,
    "properties": {
        "title": "t",
        "license": "MIT",
        "osm4eo_xr:digest": SHA256,
        "osm4eo_xr:units": "reflectance",
        "mlm:input": [{"bands": ["red", "nir"]}],
        "mlm:output": [{"classification:classes": CLASSES}],
        "another:key": {"of": "others"},
    },
    "assets": {key: asset(key) for key in ("weights", "record", "card")},
}


def changed(*path: str, to: Any = None) -> dict[str, Any]:
    """Return the item with something else at a place, or without it."""
    item = copy.deepcopy(ITEM)
    inner = item
    for name in path[:-1]:
        inner = inner[name]
    if to is None:
        del inner[path[-1]]
    else:
        inner[path[-1]] = to
    return item


def test_an_item_is_read_and_what_others_add_is_left_alone() -> None:
    item = changed("assets", "thumbnail", to={"href": "https://elsewhere.org/x.png"})
    found = read_entry(item, "catalog/a.json")
    assert (found.name, found.bands, found.classes) == (
        "landuse-DE",
        ("red", "nir"),
        ("forest", "water"),  # what is no data is no class
    )
    assert [file.name for file in found.files] == [FILES[k] for k in ("weights", "record", "card")]
    assert found.files[0] == ModelFile(FILES["weights"], 7, SHA256)
    assert found.size == 21
    assert (found.accuracy, found.area_km2, found.description) == (None, None, "")
    assert found.place == "catalog/a.json"


@pytest.mark.parametrize(
    ("item", "given", "expected"),
    [
        (changed("properties", to=[]), "p is no STAC item", ""),
        (changed("properties", "title"), "title", ""),
        (
            changed("properties", "osm4eo_xr:digest", to="AB" * 32),
            "digest",
            "64 hexadecimal digits",
        ),
        (
            changed("properties", "osm4eo_xr:digest", to="ab" * 31),
            "digest",
            "64 hexadecimal digits",
        ),
        (changed("properties", "mlm:input"), "p: mlm:input does not name the bands", "a list of"),
        (
            changed("properties", "mlm:input", to=[{"bands": ["red", "n\x1b[2Jir"]}]),
            "p: mlm:input does not name the bands",
            "a list of names",
        ),
        (
            changed("properties", "mlm:input", to=[{"bands": [1, 2]}]),
            "p: mlm:input does not name the bands",
            "a list of names",
        ),
        (
            changed("properties", "mlm:output", to=[{"classification:classes": ["forest"]}]),
            "p: mlm:output does not name the classes",
            "their names",
        ),
        (
            changed("properties", "mlm:output", to=[{"classification:classes": [{"name": "\n"}]}]),
            "p: mlm:output does not name the classes",
            "their names",
        ),
        (changed("assets", to=[]), "p: asset weights is missing", "weights, record, card"),
        (changed("assets", "card", to="x"), "p: asset card has href None", "./MODEL_CARD.md"),
        (
            changed("assets", "card", to=asset("card") | {"file:size": True}),
            "p: asset card has file:size True",
            "its bytes",
        ),
        (
            changed("assets", "card", to=asset("card") | {"file:size": -1}),
            "p: asset card has file:size -1",
            "its bytes",
        ),
        (
            changed("assets", "card", to=asset("card") | {"file:checksum": SHA256}),
            "p: asset card has file:checksum",
            "1220 and a SHA-256",
        ),
        (
            changed("assets", "card", to=asset("card") | {"file:checksum": f"1220{SHA256}0"}),
            "p: asset card has file:checksum",
            "1220 and a SHA-256",
        ),
        (changed("id", to=7), "p: ", ""),
        (changed("id", to=".hidden"), "p: ", ""),
    ],
)
def test_each_lie_of_an_item_is_named_with_its_place(
    item: dict[str, Any], given: str, expected: str
) -> None:
    with pytest.raises(InputError) as refused:
        read_entry(item, "p")
    assert given in str(refused.value)
    assert expected in refused.value.expected
    assert str(refused.value).startswith("p")
    assert str(refused.value).isprintable()


@pytest.mark.parametrize(
    "text", ["MIT", "CC-BY-4.0", "GPL-2.0-or-later OR MIT", "(A AND B)", "other"]
)
def test_licenses_are_spdx_expressions(text: str) -> None:
    assert check_license(text) == text


@pytest.mark.parametrize("text", ["", " MIT", "MIT; rm", "M\nIT", "x" * 100, "\x1b[2J", "Ä"])
def test_what_cannot_be_a_license_is_refused(text: str) -> None:
    with pytest.raises(InputError) as refused:
        check_license(text)
    assert refused.value.given == f"license {text!r}"
    assert refused.value.expected.startswith("an SPDX expression such as MIT")


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [
        (0.88, 0.94, "91.3 % (88.0-94.0)"),
        (None, 0.94, "91.3 %"),
        (0.88, None, "91.3 %"),
    ],
)
def test_accuracies_are_written_with_both_limits_or_none(
    low: float | None, high: float | None, text: str
) -> None:
    assert ModelAccuracy("x", 0.913, 10, low=low, high=high).percent() == text


@pytest.mark.parametrize("share", [-0.01, 1.01, 91.3, float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["value", "low", "high"])
def test_accuracies_are_shares(share: float, name: str) -> None:
    given: Any = {"value": 0.5, "low": 0.4, "high": 0.6} | {name: share}
    with pytest.raises(InputError) as refused:
        ModelAccuracy("x", total=10, **given)
    assert refused.value.expected == "shares of 0 to 1"
