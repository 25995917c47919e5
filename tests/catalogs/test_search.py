"""Searches of a STAC API: all pages, clearest first, through the failures of a server."""

import json
from collections import deque
from collections.abc import Iterator
from datetime import date

import pytest
import shapely

from osm4eo_xr.catalogs.search import Query, search_items
from osm4eo_xr.errors import InputError
from tests.cases.stac_server import Api, serving

PLACE = shapely.box(15.0, 46.0, 15.5, 46.5)


def item(number: int, day: str, cloud: float | None, west: float = 15.0) -> dict:
    clouds = {} if cloud is None else {"eo:cloud_cover": cloud}
    ground = shapely.box(west, 46, west + 1, 47)
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": f"item-{number}",
        "collection": "sentinel-2-l2a",
        "geometry": ground.__geo_interface__,
        "bbox": list(ground.bounds),
        "properties": {"datetime": f"{day}T10:00:00Z", **clouds},
        "links": [],
        "assets": {},
    }


@pytest.fixture
def api() -> Iterator[Api]:
    items = [item(n, f"2023-08-{n:02d}", 100 - 10 * n) for n in range(1, 9)]
    items += [
        item(20, "2023-08-20", 20.0),
        item(21, "2023-08-21", None),
        item(22, "2023-07-31", 0.0),
        item(23, "2023-08-23", 0.0, west=20.0),
        item(24, "2023-09-01", 0.0),
    ]
    with serving(Api(items)) as server:
        yield server


def query(api: Api, **changes) -> Query:
    asked = {"collection": "sentinel-2-l2a", "max_cloud": 60.0, **changes}
    return Query(api.url, date(2023, 8, 1), date(2023, 8, 31), **asked)


def ids(items: list[dict]) -> list[int]:
    return [int(i["id"].removeprefix("item-")) for i in items]


def test_all_pages_come_clearest_first_then_latest(api: Api) -> None:
    found = search_items(query(api), PLACE)
    # Item 20 and item 8 are as clear; the later comes first, what states no clouds last.
    assert ids(found) == [20, 8, 7, 6, 5, 4, 21]
    assert len(api.asked) == 4
    assert found[0] == json.loads(json.dumps(api.items[8]))


def test_months_choose_among_the_days(api: Api) -> None:
    whole = Query(api.url, date(2023, 1, 1), date(2023, 12, 31), "sentinel-2-l2a", (7, 9))
    assert ids(search_items(whole, PLACE)) == [24, 22]


@pytest.mark.parametrize(
    "failures", [[429], [500, 503], [503] * 5, ["truncated"], ["html", "truncated"]]
)
def test_a_server_that_fails_for_a_while_is_asked_again(api: Api, failures: list) -> None:
    whole = ids(search_items(query(api), PLACE))
    api.failures = deque(failures)
    assert ids(search_items(query(api), PLACE, pause=0)) == whole
    assert not api.failures


def test_a_machine_without_a_network_is_told_where_to_search() -> None:
    wanted = Query("https://stac.invalid/v1", date(2023, 8, 1), date(2023, 8, 2), "sentinel-2-l2a")
    with pytest.raises(InputError) as caught:
        search_items(wanted, PLACE, pause=0)
    assert "this machine cannot find stac.invalid" in str(caught.value)
    assert "search and fetch where there is a network" in caught.value.advice


def test_a_server_that_goes_on_failing_is_one_line(api: Api) -> None:
    api.failures = deque(["html"] * 50)
    with pytest.raises(InputError) as caught:
        search_items(query(api), PLACE, pause=0)
    assert api.url in caught.value.given
    assert len(str(caught.value).splitlines()) == 1
    assert len(api.failures) == 47  # three attempts and no more


def test_a_refusal_is_not_repeated(api: Api) -> None:
    api.failures = deque([400, 400, 400])
    with pytest.raises(InputError, match="the search at .* failed"):
        search_items(query(api), PLACE, pause=0)
    assert len(api.failures) == 2


def test_nobody_there() -> None:
    gone = Query("http://127.0.0.1:9", date(2023, 8, 1), date(2023, 8, 2), "sentinel-2-l2a")
    with pytest.raises(InputError, match="try later; what was found before stays"):
        search_items(gone, PLACE, pause=0)


def test_a_catalog_of_ones_own_needs_a_collection(api: Api) -> None:
    with pytest.raises(InputError, match="one of the catalogs earth-search, planetary-computer"):
        search_items(query(api, collection=""), PLACE)
    assert Query("cdse", date(2023, 8, 1), date(2023, 8, 2)).collections == ["sentinel-2-l2a"]
