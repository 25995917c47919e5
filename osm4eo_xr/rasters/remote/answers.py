"""One answer of a server by HTTP, signed; what fails is told in GDAL's words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException, HTTPResponse
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from rasterio.errors import RasterioIOError

from osm4eo_xr.files import full_disk
from osm4eo_xr.rasters.remote.access import OPTIONS, Access

PARTIAL = 206
"""Status of an answer that holds the part that was asked for."""

_PAGES = ("text/html", "application/xhtml+xml")


@contextmanager
def answer_to(access: Access, header: dict[str, str]) -> Iterator[HTTPResponse]:
    """Yield what a server answers, its body unread.

    What fails, in the block too, is raised in the words that ``attempted`` understands.
    """
    url = access.name.removeprefix("/vsicurl/").partition("#")[0]
    request = Request(url, headers=header)  # noqa: S310 - HTTP alone, as callers see to
    name, _, value = access.grant.options.get("GDAL_HTTP_HEADERS", "").partition(": ")
    if name:
        request.add_unredirected_header(name, value)  # no other host gets the token
    try:
        with urlopen(request, timeout=float(OPTIONS["GDAL_HTTP_LOW_SPEED_TIME"])) as response:  # noqa: S310
            _refuse_page(response)
            yield response
    except HTTPError as error:
        error.close()
        raise RasterioIOError(f"HTTP response code: {error.code}") from None
    except RasterioIOError:
        raise
    except (URLError, HTTPException, OSError) as error:
        if full_disk(error):  # of the caller, who writes what is read
            raise
        raise RasterioIOError(
            str(getattr(error, "reason", error)) or type(error).__name__
        ) from None


def gives_parts(access: Access) -> bool | None:
    """Whether a server gives parts of a file; None if it does not say."""
    try:
        with answer_to(access, {"Range": "bytes=0-0"}) as response:
            return response.status == PARTIAL
    except RasterioIOError:
        return None


def _refuse_page(response: HTTPResponse) -> None:
    """Refuse a page for people, which stands for no object."""
    kind = response.headers.get_content_type()
    if kind in _PAGES:
        raise RasterioIOError(f"the answer is a page ({kind})")
