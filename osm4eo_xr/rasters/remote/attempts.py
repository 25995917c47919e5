"""Attempts at an address: signed, few at a time for each host, again where a server fails."""

from __future__ import annotations

import random
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from typing import TypeVar

from rasterio.errors import RasterioError, RasterioIOError

from osm4eo_xr.rasters.remote.access import Access, access_to, give_up, hide
from osm4eo_xr.rasters.remote.addresses import host_of, plain_address, without_query
from osm4eo_xr.rasters.remote.answers import gives_parts
from osm4eo_xr.rasters.remote.failures import NO_PARTS, Failure, RemoteError, innermost, status_in

T = TypeVar("T")

_ATTEMPTS = 5
_NO_PARTS_OF_GDAL = "Range downloading not supported"
_PER_HOST = 8  # reads of this process at a time; each is several requests

pause = 1.0
"""Seconds before a second attempt; doubled before each further one."""

_slots: defaultdict[str, threading.BoundedSemaphore] = defaultdict(
    lambda: threading.BoundedSemaphore(_PER_HOST)
)


def attempted(path: str, work: Callable[[Access], T]) -> T:
    """Do something with an address, again where a server fails or a signature has expired.

    Parameters
    ----------
    path : str
        The address, unsigned.
    work : callable
        Takes the ``Access`` and opens and reads through GDAL.

    Raises
    ------
    RasterioIOError
        If nothing is there (HTTP 404).
    RemoteError
        If the server goes on failing, giving what is no raster, gives no parts of files, or
        refuses access. No message holds a secret.
    """
    shown = without_query(plain_address(path))
    failure = Failure("")
    for attempt in range(_ATTEMPTS):
        refused = failure.is_refusal or failure.is_missing
        if attempt and not refused:  # a fresh signature need not wait
            _wait(attempt)
        access = access_to(path)
        with _slots[host_of(plain_address(path))]:
            done = _once(access, work)
        if not isinstance(done, Failure):
            return done[0]
        failure = done
        give_up(path, access)
        again = failure.is_refusal or failure.is_missing
        if failure.is_whole or (again and (refused or not access.scope)):
            break  # a fresh grant has not helped, or none can
    if failure.is_missing:
        raise RasterioIOError(f"{shown}: nothing is there (HTTP {failure.status})")
    raise RemoteError(_told(shown, failure))


def _once(access: Access, work: Callable[[Access], T]) -> tuple[T] | Failure:
    """Try once; an error becomes a text here, so that no traceback carries a secret on."""
    try:
        with access.entered():
            return (work(access),)
    except RasterioError as error:
        said = innermost(error)
    if _NO_PARTS_OF_GDAL in said and access.name.startswith("/vsicurl/"):
        # GDAL also says so where a page stands in for a while.
        said = NO_PARTS if gives_parts(access) is False else said
    return Failure(hide(said), status_in(said))


def _wait(attempt: int) -> None:
    """Wait longer before each attempt, and not all threads equally long."""
    time.sleep(pause * 2 ** (attempt - 1) * random.uniform(0.75, 1.25))  # noqa: S311 - no secret


def _told(shown: str, failure: Failure) -> str:
    if failure.is_refusal:
        return (
            f"{shown}: access is refused (HTTP {failure.status}); give credentials for "
            f"{host_of(shown)}, see osm4eo_xr.rasters.remote, and run again"
        )
    if failure.is_whole:
        return f"{shown}: {NO_PARTS}; download the file, or use a server that gives them"
    reason = f"HTTP {failure.status}" if failure.status else failure.reason
    return f"{shown}: {_ATTEMPTS} attempts failed ({reason}); run again later"
