"""Search of STAC APIs: the items of a place and a period, clearest first."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any
from urllib.parse import urlparse

from osm4eo_xr.catalogs.acquisitions import when
from osm4eo_xr.errors import InputError, extra

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

_NO_NETWORK = re.compile(
    r"NameResolutionError|getaddrinfo|Name or service not known", re.IGNORECASE
)
_ATTEMPTS = 3  # of a whole search, beside the retries of each request
_RETRIES = 5
_PAUSE = 1.0  # seconds before a second attempt; doubled before each further one
_TIMEOUT = 60.0  # seconds without a byte
_PAGE = 100
_TRANSIENT = (429, 500, 502, 503, 504)
_CLOUDS = "eo:cloud_cover"


@dataclass(frozen=True)
class Catalog:
    """A STAC API that is known by name.

    Attributes
    ----------
    url : str
        Its root.
    collection : str
        Its Sentinel-2 surface reflectance.
    """

    url: str
    collection: str


CATALOGS: Mapping[str, Catalog] = {
    "earth-search": Catalog("https://earth-search.aws.element84.com/v1", "sentinel-2-c1-l2a"),
    "planetary-computer": Catalog(
        "https://planetarycomputer.microsoft.com/api/stac/v1", "sentinel-2-l2a"
    ),
    "cdse": Catalog("https://stac.dataspace.copernicus.eu/v1", "sentinel-2-l2a"),
}
"""Catalogs by name: Element 84's, Microsoft's and the Copernicus Data Space's."""


@dataclass(frozen=True)
class Query:
    """What to search for.

    Attributes
    ----------
    catalog : str
        A name of ``CATALOGS``, or the root of a STAC API.
    start, end : datetime.date
        First and last day, both included.
    collection : str
        Left out, the known catalog's; a URL needs one.
    months : tuple of int
        Only these months, 1 to 12; all if empty.
    max_cloud : float
        Most cloud cover of an item, per cent; items that state none are taken.
    """

    catalog: str
    start: date
    end: date
    collection: str = ""
    months: tuple[int, ...] = ()
    max_cloud: float = 100.0

    @property
    def url(self) -> str:
        """Root of the API."""
        known = CATALOGS.get(self.catalog)
        return known.url if known else self.catalog

    @property
    def collections(self) -> list[str]:
        """What to search in.

        Raises
        ------
        InputError
            If the catalog is not known and no collection is named.
        """
        known = CATALOGS.get(self.catalog)
        name = self.collection or (known.collection if known else "")
        if not name:
            raise InputError(
                f"catalog {self.catalog} without a collection",
                expected=f"a collection's id, or one of the catalogs {', '.join(CATALOGS)}",
            )
        return [name]


def search_items(
    query: Query, ground: BaseGeometry, *, pause: float = _PAUSE
) -> list[dict[str, Any]]:
    """Search the items that touch a place, clearest first.

    Parameters
    ----------
    query : Query
        Catalog, period and clouds.
    ground : geometry
        In degrees (EPSG:4326).
    pause : float
        Seconds before a search that failed is tried again; doubled each time.

    Returns
    -------
    list of dict
        Items as the API gives them, ordered by cloud cover, then from the latest, then by id.
        Links are those of the catalog, unsigned.

    Raises
    ------
    InputError
        If the catalog cannot be reached or answers with what is not STAC, or it lacks the
        collection.
    """
    found = _attempted(lambda: _search(query, ground, pause), query.url, pause)
    clear = [item for item in found if _wanted(item, query)]
    return sorted(clear, key=_clearest_first)


def cloud_cover(item: Mapping[str, Any]) -> float | None:
    """Return an item's cloud cover in per cent, if it states one."""
    stated = item["properties"].get(_CLOUDS)
    return stated if isinstance(stated, int | float) else None


def _clearest_first(item: Mapping[str, Any]) -> tuple[Any, ...]:
    cover = cloud_cover(item)
    latest = [-ord(c) for c in when(item)]
    return (101.0 if cover is None else cover, latest, str(item["id"]))


def _wanted(item: Mapping[str, Any], query: Query) -> bool:
    """Whether an item is of the months and clear enough; not every API can ask for that."""
    cover, day = cloud_cover(item), when(item)[:10]
    in_months = not query.months or int(day[5:7]) in query.months
    in_period = query.start.isoformat() <= day <= query.end.isoformat()
    return in_months and in_period and (cover is None or cover <= query.max_cloud)


def _search(query: Query, ground: BaseGeometry, pause: float) -> list[dict[str, Any]]:
    """Ask once for all pages."""
    with extra("search", "searching STAC APIs"):
        from pystac_client import Client
        from pystac_client.stac_api_io import StacApiIO
    from urllib3 import Retry

    retry = Retry(
        total=_RETRIES,
        connect=1,
        backoff_factor=pause / 5,
        status_forcelist=_TRANSIENT,
        allowed_methods=None,  # a search by POST changes nothing
    )
    client = Client.open(query.url, stac_io=StacApiIO(max_retries=retry, timeout=_TIMEOUT))
    asked = client.search(
        collections=query.collections,
        intersects=ground.__geo_interface__,
        datetime=f"{query.start}T00:00:00Z/{query.end}T23:59:59Z",
        limit=_PAGE,
    )
    return list(asked.items_as_dicts())


def _attempted(
    search: Callable[[], list[dict[str, Any]]], url: str, pause: float
) -> list[dict[str, Any]]:
    """Return what a search finds, tried again where the network or the server failed."""
    failure: Exception | None = None
    for attempt in range(_ATTEMPTS):
        if attempt:
            time.sleep(pause * 2 ** (attempt - 1))
        try:
            return search()
        except InputError:
            raise
        except Exception as error:  # noqa: BLE001 - of requests, urllib3, json and pystac
            failure = error
            if _is_final(error):
                break
    if _NO_NETWORK.search(str(failure)):
        raise InputError(
            f"the search at {url} failed: this machine cannot find {urlparse(url).netloc}",
            advice="search and fetch where there is a network; a run without one takes what they "
            "left, or files that are named",
        )
    raise InputError(
        f"the search at {url} failed: {_said(failure)}",
        advice="check the address and the collection, or try later; what was found before stays",
    )


def _is_final(error: Exception) -> bool:
    """Whether asking again cannot help: the server understood and refused."""
    status = getattr(error, "status_code", None)
    return isinstance(status, int) and 400 <= status < 500 and status not in _TRANSIENT  # noqa: PLR2004


def _said(error: Exception | None) -> str:
    """Return the first line of an error, without a page of HTML or a wall of nested causes."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) < 200 else f"{text[:200]} …"  # noqa: PLR2004 - letters
