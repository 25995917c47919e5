"""Access to addresses: grants kept while they last, and texts without their secrets."""

from __future__ import annotations

import logging
import threading
import time
from collections import defaultdict, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NoReturn

import rasterio
from rasterio.session import Session

from osm4eo_xr.rasters.remote.addresses import gdal_name, plain_address
from osm4eo_xr.rasters.remote.grants import Grant
from osm4eo_xr.rasters.remote.providers import provider_of

OPTIONS: dict[str, Any] = {
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",  # only the file itself counts, no file beside it
    "GDAL_INGESTED_BYTES_AT_OPEN": "32768",  # a COG's header is read at once
    "GDAL_HTTP_CONNECTTIMEOUT": "20",
    "GDAL_HTTP_LOW_SPEED_LIMIT": "1000",  # bytes a second, or less
    "GDAL_HTTP_LOW_SPEED_TIME": "30",  # for so many seconds are none
    "GDAL_HTTP_MAX_RETRY": "2",  # of a single request; whole reads are tried again by us
    "GDAL_HTTP_RETRY_DELAY": "0.5",
    "GDAL_HTTP_MERGE_CONSECUTIVE_RANGES": "YES",
    "GDAL_HTTP_MULTIPLEX": "YES",
}
"""GDAL's settings for every address (``tests/benchmarks/remote.py``)."""

_KEPT = 200  # secrets that texts are searched for

_lock = threading.Lock()
_asking: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
_grants: dict[str, Grant] = {}
_attempts: defaultdict[str, int] = defaultdict(int)
_secrets: deque[str] = deque(maxlen=_KEPT)


class _Keys(Session):
    """Keys as rasterio wants to be handed them."""

    def __init__(self, keys: dict[str, str]) -> None:
        self._keys = keys

    def get_credential_options(self) -> Any:
        """Return GDAL's settings."""
        return self._keys


@dataclass(frozen=True)
class Access:
    """An address as GDAL may open it now; it stays in this process.

    Attributes
    ----------
    name : str
        What GDAL opens; with a signature, if that is how access is granted.
    scope : str
        What the grant is for; nothing where no grant is needed.
    grant : Grant
        What lets us read.
    """

    name: str = field(repr=False)
    scope: str
    grant: Grant

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Hold GDAL's settings for this address."""
        options: dict[str, Any] = {**OPTIONS, **self.grant.options}
        if self.grant.keys:
            options["session"] = _Keys(dict(self.grant.keys))
        if not self.name.startswith("/vsicurl/"):
            options["CPL_VSIL_CURL_NON_CACHED"] = self.name
        with rasterio.Env(**options):
            yield

    def __reduce__(self) -> NoReturn:
        raise TypeError("access holds secrets; it is not pickled")


def access_to(path: str) -> Access:
    """Return how to open an address now; asks for a grant where none lasts.

    Raises
    ------
    RemoteError
        If access is not granted.
    """
    address = plain_address(path)
    provider = provider_of(address)
    if provider is None:
        return Access(gdal_name(address, attempt=_attempts[address]), "", Grant())
    with _lock:
        turn = _asking[provider.scope]
    with turn:  # one asks, the others wait for its grant
        grant = _grants.get(provider.scope)
        if grant is None or grant.until < time.time():
            grant = _grants[provider.scope] = provider.ask()
            _keep_secret(grant)
    name = gdal_name(address, grant.query, _attempts[address])
    return Access(name, provider.scope, grant)


def give_up(path: str, access: Access) -> None:
    """Never use this grant again, nor what GDAL remembers of the address."""
    with _lock:
        _attempts[plain_address(path)] += 1
        if _grants.get(access.scope) is access.grant:
            del _grants[access.scope]


def hide(text: str) -> str:
    """Return a text without the secrets of this process."""
    for secret in tuple(_secrets):
        text = text.replace(secret, "…")
    return text


def _keep_secret(grant: Grant) -> None:
    """Hide a grant's secrets in what rasterio logs, which names the files that it opens."""
    _secrets.extend(grant.secrets)
    for name in [name for name in logging.root.manager.loggerDict if name.startswith("rasterio")]:
        logger = logging.getLogger(name)
        if _hidden not in logger.filters:
            logger.addFilter(_hidden)


def _hidden(record: logging.LogRecord) -> bool:
    """Take secrets out of a record; keep it."""
    text = record.getMessage()
    if hide(text) != text:
        record.msg, record.args = hide(text), ()
    return True
