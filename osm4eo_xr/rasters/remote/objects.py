"""Whole objects at addresses, and members of zips there: what stores of many files are read from.

GDAL reads rasters; a Zarr store is a tree of objects. Both are signed, tried again and counted for
each host in the same way (``attempts``).
"""

from __future__ import annotations

import io
import re
import threading
import zipfile
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

from rasterio.errors import RasterioIOError

from osm4eo_xr.rasters.remote.addresses import without_query
from osm4eo_xr.rasters.remote.answers import PARTIAL, answer_to
from osm4eo_xr.rasters.remote.attempts import attempted
from osm4eo_xr.rasters.remote.failures import NO_PARTS, RemoteError

if TYPE_CHECKING:
    from osm4eo_xr.rasters.remote.access import Access

_TOTAL = re.compile(r"bytes \d+-\d+/(\d+)")
_BUFFER = 2**16  # bytes read at once of a zip's directory
_turn = threading.Lock()


@dataclass(frozen=True)
class Answer:
    """What a server gave.

    Attributes
    ----------
    body : bytes
        All of it.
    total : int
        Bytes of the whole object.
    """

    body: bytes = field(repr=False)
    total: int


def read_object(address: str, first: int = 0, count: int | None = None) -> Answer | None:
    """Return an object, or a part of it; None if nothing is there.

    Parameters
    ----------
    address : str
        By HTTP or HTTPS, unsigned.
    first : int
        Its first byte that is read.
    count : int, optional
        How many bytes; by default all.

    Raises
    ------
    RemoteError
        If the server goes on failing, cuts answers short, gives a page instead, or refuses access.
    """
    check_http(address)
    wanted = f"bytes={first}-{'' if count is None else first + count - 1}"
    header = {"Range": wanted} if first or count is not None else {}
    try:
        return attempted(address, lambda access: _once(access, header))
    except RasterioIOError as error:
        if "nothing is there" in str(error):
            return None
        raise


def check_http(address: str) -> None:
    """Refuse an address that is not by HTTP or HTTPS."""
    if not address.startswith(("http://", "https://")):
        raise RemoteError(f"{without_query(address)} is no address by HTTP")


def _once(access: Access, header: dict[str, str]) -> Answer:
    """Ask once; return all of the answer."""
    with answer_to(access, header) as response:
        body, stated = response.read(), response.headers
    if header and response.status != PARTIAL:
        raise RasterioIOError(NO_PARTS)
    total = _TOTAL.match(stated.get("Content-Range", ""))
    return Answer(body, int(total[1]) if total else len(body))


class _Ranges(io.RawIOBase):
    """An object as a file that is read in parts."""

    def __init__(self, address: str) -> None:
        self._address, self._place = address, 0
        seen = read_object(address, 0, 1)
        if seen is None:
            raise FileNotFoundError(without_query(address))
        self._size = seen.total

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = 0) -> int:
        start = (0, self._place, self._size)[whence]
        self._place = max(start + offset, 0)
        return self._place

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        count = min(len(buffer), self._size - self._place)
        if count <= 0:
            return 0
        answer = read_object(self._address, self._place, count)
        if answer is None or len(answer.body) != count:
            raise RemoteError(f"{without_query(self._address)} has changed; run again")
        buffer[:count] = answer.body
        self._place += count
        return count


def zip_at(address: str) -> zipfile.ZipFile:
    """Return a zip at an address, its directory read; once in a process.

    Raises
    ------
    FileNotFoundError
        If nothing is there.
    zipfile.BadZipFile
        If it is no whole zip.
    RemoteError
        As ``read_object``.
    """
    with _turn:  # one reads its directory, the others wait for it
        return _zip_at(address)


@lru_cache(maxsize=16)
def _zip_at(address: str) -> zipfile.ZipFile:
    return zipfile.ZipFile(io.BufferedReader(_Ranges(address), _BUFFER))
