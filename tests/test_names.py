"""Names that become paths."""

import re
from collections.abc import Callable

import pytest

from osm4eo_xr.catalogs.items import read_items
from osm4eo_xr.cluster.site_file import site_from_dict
from osm4eo_xr.country.scenes.settings import SceneFiles
from osm4eo_xr.errors import InputError
from osm4eo_xr.legend import legend_from_dict
from osm4eo_xr.names import check_name


@pytest.mark.parametrize("name", ["T33UUU", "A west", "Île-de-France", "tile.1", "a-b", "a..b"])
def test_plain_names_are_given_back(name: str) -> None:
    assert check_name(name, "tile id") == name


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("../../../x", "is a path"),
        ("/abs", "is a path"),
        ("a/b", "is a path"),
        ("a\\b", "is a path"),
        ("", "is empty"),
        (".", "begins with '.'"),
        ("..", "begins with '.'"),
        (".hidden", "begins with '.'"),
        ("-rf", "begins with '-'"),
        ("a\nb", "cannot be seen"),
        ("a\0b", "cannot be seen"),
        ("a\u202eb", "cannot be seen"),
        (" a", "begins or ends with a space"),
        ("ä" * 120, "longer than 200 bytes"),
        (7, "is not text"),
    ],
)
def test_other_names_are_refused_in_one_line(name: object, fault: str) -> None:
    with pytest.raises(InputError) as refused:
        check_name(name, "tile id")
    said = str(refused.value)
    assert said.startswith(f"tile id {name!r} ")
    assert fault in said
    assert "\n" not in said


def _class(slug: str) -> dict[str, object]:
    return {"id": 1, "clc": 5, "slug": slug, "name": "Water", "color": [0, 0, 9], "priority": 1}


def _item(name: str) -> dict[str, object]:
    corners = [[0, 0], [1, 0], [1, 1], [0, 0]]
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": name,
        "geometry": {"type": "Polygon", "coordinates": [corners]},
        "bbox": [0, 0, 1, 1],
        "properties": {"datetime": "2017-02-16T00:00:00Z"},
        "links": [],
        "assets": {},
    }


@pytest.mark.parametrize("name", ["../../../x", "/abs", "a/b", "a\nb", "-x"])
@pytest.mark.parametrize(
    ("read", "what"),
    [
        (lambda name: SceneFiles(files=("a.tif",), tile=name), "tile"),
        (lambda name: legend_from_dict({"class": [_class(name)]}), "legend 'unnamed': slug"),
        (lambda name: read_items(_item(name)), "STAC item id"),
        (lambda name: site_from_dict({"kind": "local", "cpu": {}, "name": name}), "cluster name"),
    ],
)
def test_names_are_checked_where_they_are_read(
    read: Callable[[str], object], what: str, name: str
) -> None:
    assert read("fine")
    with pytest.raises(InputError, match=re.escape(f"{what} {name!r}")):
        read(name)
