"""Objects at addresses, written to files piece by piece: bounded, and going on where cut off."""

from __future__ import annotations

import re
from functools import partial
from http.client import HTTPResponse
from typing import TYPE_CHECKING, BinaryIO

from rasterio.errors import RasterioIOError

from osm4eo_xr.errors import InputError
from osm4eo_xr.rasters.remote.addresses import without_query
from osm4eo_xr.rasters.remote.answers import PARTIAL, answer_to
from osm4eo_xr.rasters.remote.attempts import attempted
from osm4eo_xr.rasters.remote.objects import check_http

if TYPE_CHECKING:
    from osm4eo_xr.rasters.remote.access import Access

_PIECE = 2**20  # bytes read at once
_START = re.compile(r"bytes (\d+)-")


def download(address: str, file: BinaryIO, most: int) -> int:
    """Write an object to a file; where an answer is cut off, the next attempt goes on from there.

    A server that gives no parts of files gives all of it again.

    Parameters
    ----------
    address : str
        By HTTP or HTTPS, unsigned.
    file : binary file
        Empty, and open for writing.
    most : int
        Bytes that it may have.

    Returns
    -------
    int
        Bytes of the object.

    Raises
    ------
    InputError
        If nothing is there, or more than ``most`` bytes are.
    RemoteError
        If the server goes on failing or refuses access.
    """
    check_http(address)
    try:
        return attempted(
            address, partial(_go_on, shown=without_query(address), file=file, most=most)
        )
    except RasterioIOError as error:
        raise InputError(str(error)) from None


def _go_on(access: Access, *, shown: str, file: BinaryIO, most: int) -> int:
    """Ask for what is not yet there, and write it."""
    done = file.tell()
    header = {"Range": f"bytes={done}-"} if done else {}
    with answer_to(access, header) as response:
        if done and not _goes_on(response, done):
            done = 0
            file.seek(0)
            file.truncate()
            if response.status == PARTIAL:
                raise RasterioIOError("the server gave another part than was asked for")
        stated = response.headers.get("Content-Length", "")
        whole = done + int(stated) if stated.isdecimal() else None
        _check_size(shown, whole or 0, most)
        while piece := response.read(_PIECE):
            file.write(piece)
            _check_size(shown, file.tell(), most)
    if whole is not None and file.tell() < whole:
        raise RasterioIOError(f"cut off after {file.tell():,} of {whole:,} bytes")
    return file.tell()


def _goes_on(response: HTTPResponse, done: int) -> bool:
    """Whether an answer is the part that was asked for."""
    start = _START.match(response.headers.get("Content-Range", ""))
    return response.status == PARTIAL and start is not None and int(start[1]) == done


def _check_size(shown: str, found: int, most: int) -> None:
    if found > most:
        raise InputError(f"{shown} has more bytes than it may", expected=f"at most {most:,}")
