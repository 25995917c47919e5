"""Addresses of rasters: which paths are some, where they lead, how GDAL names them."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import quote, urlsplit

SCHEMES = ("http://", "https://", "s3://", "gs://", "az://")
"""What addresses begin with."""

_GDAL = {"s3://": "/vsis3/", "gs://": "/vsigs/", "az://": "/vsiaz/"}
_VIRTUAL = ("/vsicurl/", *_GDAL.values())
_KEPT = "%/:?#[]@!$&'()*+,;=~"  # what means something in an address, and escapes that are there
_SQUEEZED = re.compile(rf"({'|'.join(s.removesuffix('//') for s in SCHEMES)})/(?!/)")
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def is_remote(path: str) -> bool:
    """Whether a path is an address."""
    return path.startswith((*SCHEMES, *_VIRTUAL))


def text_of(path: str | Path) -> str:
    """Return a path as text: an address as it was before a ``Path`` made one slash of its two."""
    return _SQUEEZED.sub(r"\1//", str(path), count=1) if _SQUEEZED.match(str(path)) else str(path)


def plain_address(path: str) -> str:
    """Return an address by its scheme, also where GDAL's name of it was given."""
    for scheme, virtual in _GDAL.items():
        if path.startswith(virtual):
            return scheme + path.removeprefix(virtual)
    return path.removeprefix("/vsicurl/")


def gdal_name(address: str, query: str = "", attempt: int = 0) -> str:
    """Return what GDAL opens.

    Parameters
    ----------
    address : str
        As ``plain_address`` gives it.
    query : str
        Its signature.
    attempt : int
        GDAL remembers what it saw of a name, also that it was refused. Another attempt gets
        another name of the same place: a fragment, which no server is sent.
    """
    for scheme, virtual in _GDAL.items():
        if address.startswith(scheme):
            return virtual + address.removeprefix(scheme)
    address = quote(address, safe=_KEPT)  # umlauts and spaces, as browsers send them
    joint = "&" if "?" in address else "?"
    signed = f"{address}{joint}{query}" if query else address
    return f"/vsicurl/{signed}" + (f"#{attempt}" if attempt else "")


def host_of(address: str) -> str:
    """Return the host, with its port, or the bucket that an address leads to."""
    return urlsplit(address).netloc.rpartition("@")[2].casefold()


def folders_of(address: str) -> list[str]:
    """Return the parts of an address's path."""
    return [part for part in urlsplit(address).path.split("/") if part]


def is_private(address: str) -> bool:
    """Whether nobody between can read what is sent to an address."""
    parts = urlsplit(address)
    return parts.scheme != "http" or parts.hostname in _LOOPBACK


def without_query(address: str) -> str:
    """Return an address as it may be shown: without query, which may be a signature, and user."""
    parts = urlsplit(address)
    return parts._replace(netloc=host_of(address), query="", fragment="").geturl()
