"""What items may hold, field by field, and any JSON in their place."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osm4eo_xr.catalogs.item_form import check_item, items_of, links_of
from osm4eo_xr.errors import InputError

ITEM: dict[str, Any] = {
    "id": "A",
    "bbox": [9.0, 50.0, 10.0, 51.0],
    "geometry": None,
    "links": [{"rel": "self", "href": "a.json"}],
    "collection": "sentinel-2-l2a",
    "properties": {
        "datetime": "2024-06-01T10:00:00Z",
        "proj:epsg": 32632,
        "earthsearch:boa_offset_applied": True,
        "view:sun_elevation": 55.5,
    },
    "assets": {
        "red": {
            "href": "red.tif",
            "roles": ["data"],
            "proj:transform": [10, 0, 5e5, 0, -10, 5e6],
            "raster:bands": [{"scale": 1e-4, "offset": -0.1, "nodata": "nan"}],
        }
    },
}


def changed(path: str, value: Any) -> dict[str, Any]:
    """Return the item with another value at a path of keys."""
    item = copy.deepcopy(ITEM)
    *parents, last = path.split("/")
    at: Any = item
    for key in parents:
        at = at[int(key)] if isinstance(at, list) else at[key]
    at[last] = value
    return item


@pytest.mark.parametrize("version", ["raster:bands", "bands"])
def test_an_item_of_either_version_passes(version: str) -> None:
    item = copy.deepcopy(ITEM)
    item["assets"]["red"][version] = item["assets"]["red"].pop("raster:bands")
    check_item(item, "items.json")


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("id", 5, "id is 5; expected text"),
        ("assets", [], r"assets is \[\]; expected an object"),
        ("bbox", [1, 2, 3], "item A: bbox is .*; expected 4 or 6 numbers"),
        ("bbox", [1, 2, 3, float("nan")], "bbox is .*; expected 4 or 6 numbers"),
        ("bbox", [1, 2, 3, True], "bbox is .*; expected 4 or 6 numbers"),
        ("links", {}, "links is {}; expected a list of objects"),
        ("links", [3], "expected a list of objects"),
        ("properties/datetime", 2024, "item A, properties: datetime is 2024; expected text"),
        ("properties/proj:epsg", [1], r"proj:epsg is \[1\]; expected a number"),
        ("properties/earthsearch:boa_offset_applied", "yes", "expected true or false"),
        ("assets/red", "red.tif", "item A, assets: red is 'red.tif'; expected an object"),
        ("assets/red/href", None, "asset red: href is None; expected text"),
        ("assets/red/roles", "data", "roles is 'data'; expected a list of texts"),
        ("assets/red/proj:transform", [1, 2], "proj:transform is .*; expected 6 or 9 numbers"),
        ("assets/red/raster:bands/0", [], "raster:bands"),
        ("assets/red/raster:bands", [{"scale": "1e-4"}], "raster:bands: scale is '1e-4'"),
        ("assets/red/raster:bands", [{"nodata": False}], "nodata is False"),
    ],
)
def test_what_is_of_another_kind_is_named(path: str, value: Any, said: str) -> None:
    if path.endswith("/0"):
        item = changed("assets/red/raster:bands", [value])
    else:
        item = changed(path, value)
    with pytest.raises(InputError, match=said) as caught:
        check_item(item, "items.json")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("path", ["bbox", "collection", "properties", "assets/red/roles"])
def test_what_is_null_is_not_there(path: str) -> None:
    check_item(changed(path, None), "items.json")


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@given(JSON, st.sampled_from(["", "links", "properties", "assets", "assets/red", "bbox"]))
def test_any_json_passes_or_is_refused(value: Any, path: str) -> None:
    item = changed(path, value) if path else value
    try:
        check_item(item, "items.json")
    except InputError as error:
        assert error.expected  # noqa: PT017 - only what is refused says so


def test_links_and_items_of_a_catalog() -> None:
    links = [
        {"rel": "item", "href": "a"},
        {"rel": "self", "href": "b"},
        {"rel": "child", "href": "c"},
    ]
    assert links_of({"links": links}, "c.json", "item", "child") == ["a", "c"]
    assert items_of({"features": [ITEM]}, "c.json") == [ITEM]
    with pytest.raises(InputError, match="c.json: links is None; expected a list of objects"):
        links_of({}, "c.json", "item")
    with pytest.raises(InputError, match="c.json, link: href is 5"):
        links_of({"links": [{"rel": "item", "href": 5}]}, "c.json", "item")
    with pytest.raises(InputError, match="features is 3"):
        items_of({"features": 3}, "c.json")
