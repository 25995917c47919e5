"""Grants: what lets this process read from a server for a while."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from osm4eo_xr.rasters.remote.addresses import without_query
from osm4eo_xr.rasters.remote.failures import RemoteError

_ATTEMPTS = 4
_TIMEOUT = 30.0  # seconds without a byte
_MOST = 2**20  # bytes of an answer
_PASSING = (429, 500, 502, 503, 504)
_LONG = 16  # letters of a part of a signature that is secret by itself
_PLAIN = 5  # letters of what is no secret; hiding it would spoil texts
_MARGIN = 60.0  # seconds before its end that a grant is given up, but no more than a tenth of it

pause = 1.0
"""Seconds before a second attempt; doubled before each further one."""


@dataclass(frozen=True)
class Grant:
    """What a provider gives; it stays in this process.

    Attributes
    ----------
    query : str
        What is added to an address.
    options : mapping
        GDAL's settings.
    keys : mapping
        Settings that rasterio takes from a session alone.
    until : float
        Seconds of ``time.time`` when to ask anew.
    """

    query: str = field(default="", repr=False)
    options: Mapping[str, str] = field(default_factory=dict, repr=False)
    keys: Mapping[str, str] = field(default_factory=dict, repr=False)
    until: float = math.inf

    @property
    def secrets(self) -> tuple[str, ...]:
        """What nobody may read."""
        header = self.options.get("GDAL_HTTP_HEADERS", "").rpartition(" ")[2]
        parts = [part.partition("=")[2] for part in self.query.split("&")]
        long = [part for part in parts if len(part) >= _LONG]
        return tuple(s for s in (self.query, *long, header, *self.keys.values()) if len(s) > _PLAIN)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a grant holds secrets; it is not pickled")


@dataclass(frozen=True)
class Provider:
    """Who grants access to a part of the world's addresses.

    Attributes
    ----------
    scope : str
        Names that part: one grant serves all of it.
    ask : callable
        Returns a grant; raises ``RemoteError`` without secrets if there is none.
    """

    scope: str
    ask: Callable[[], Grant]


def lasting(seconds: float) -> float:
    """Return when a grant of so many seconds is to be asked for anew."""
    return time.time() + seconds - min(_MARGIN, seconds / 10)


def ask_json(
    url: str, *, form: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Return what a token endpoint answers, asked again where it fails for a while.

    Raises
    ------
    RemoteError
        If it refuses, or goes on failing; ``errno`` is None, the message holds no secret.
    FileNotFoundError
        If it knows nothing of that place (404).
    """
    data = urlencode(form).encode() if form else None
    failed = ""
    for attempt in range(_ATTEMPTS):
        if attempt:
            time.sleep(pause * 2 ** (attempt - 1))
        answer, failed, final = _asked(Request(url, data, dict(headers or {})))  # noqa: S310 - of our table
        if answer is not None:
            return answer
        if failed == "404":
            raise FileNotFoundError(without_query(url))
        if final:
            break
    raise RemoteError(f"{without_query(url)} gives no token: {failed}")


def _asked(request: Request) -> tuple[dict[str, Any] | None, str, bool]:
    """Ask once; return the answer, or why there is none, and whether that is final."""
    try:
        with urlopen(request, timeout=_TIMEOUT) as response:  # noqa: S310 - of our table
            tree = json.loads(response.read(_MOST))
    except HTTPError as error:
        text = "404" if error.code == 404 else f"it answers {error.code} {error.reason}"  # noqa: PLR2004
        return None, text, error.code not in _PASSING
    except (URLError, OSError) as error:
        return None, str(getattr(error, "reason", error)), False
    except Exception as error:  # noqa: BLE001 - of json and http.client, bodies cut short among them
        return None, f"its answer is no JSON ({type(error).__name__})", False
    return (tree, "", True) if isinstance(tree, dict) else (None, "its answer is no token", True)
