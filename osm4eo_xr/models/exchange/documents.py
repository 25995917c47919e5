"""Documents and files of catalogs, in a folder or at an address, in bounded memory."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import urljoin, urlsplit, urlunsplit

from osm4eo_xr.errors import InputError
from osm4eo_xr.files import sha256_of
from osm4eo_xr.rasters.remote.addresses import is_remote
from osm4eo_xr.rasters.remote.downloads import download

if TYPE_CHECKING:
    from osm4eo_xr.models.exchange.entries import ModelFile

CATALOG_FILE = "catalog.json"
DO_NOT_USE = "do not use it, and tell whoever publishes it"
"""What to do with a model that is not the one that its item states, or no model."""

_LARGEST = 2**23  # bytes of a document; a catalog of ten thousand models has two million


def document_place(source: str) -> str:
    """Return where the document lies that a folder, a file or an address means."""
    if is_remote(source):
        parts = urlsplit(source)
        if parts.path.endswith(".json"):
            return source
        return urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/{CATALOG_FILE}"))
    path = Path(source)
    return str(path / CATALOG_FILE if path.is_dir() else path)


def is_document(source: str) -> bool:
    """Whether a source is a path or an address, and no name in a catalog."""
    return is_remote(source) or "/" in source or source.endswith(".json")


def beside(place: str, *names: str) -> str:
    """Return the place of a file in or below a document's folder; names are checked already."""
    if is_remote(place):
        return urljoin(place, "/".join(names))
    return str(Path(place).parent.joinpath(*names))


def read_document(place: str) -> dict[str, Any]:
    """Read a JSON object.

    Raises
    ------
    InputError
        If nothing is there, it is larger than 8 MiB, or it is no JSON object.
    RemoteError
        If a server goes on failing or refuses access.
    """
    held = io.BytesIO()
    _copy(place, held, _LARGEST)
    try:
        tree = json.loads(held.getvalue())
    except (ValueError, RecursionError) as error:
        raise InputError(f"{place} is not JSON: {error}") from None
    if not isinstance(tree, dict):
        raise InputError(f"{place} holds a {type(tree).__name__}", expected="a JSON object")
    return tree


def bring(place: str, file: ModelFile, out: Path) -> None:
    """Copy a file of a model, and refuse it if it is not the one that the item describes.

    Raises
    ------
    InputError
        If it is missing, or its size or its SHA-256 is another.
    RemoteError
        As ``read_document``.
    """
    with out.open("wb") as held:
        found = _copy(place, held, file.size)
    if found != file.size:
        raise InputError(f"{place} has {found:,} bytes", expected=f"{file.size:,}")
    sha256 = sha256_of(out)
    if sha256 != file.sha256:
        raise InputError(
            f"{place} has SHA-256 {sha256[:12]}…",
            expected=f"{file.sha256[:12]}… as its item states",
            advice=DO_NOT_USE,
        )


def _copy(place: str, held: BinaryIO, most: int) -> int:
    """Copy what is at a place, at most so many bytes; return how many it has."""
    if is_remote(place):
        return download(place, held, most)
    path = Path(place)
    if not path.is_file():
        raise InputError(f"no file {path}", advice="name a catalog or an item of it")
    size = path.stat().st_size
    if size > most:
        raise InputError(f"{path} has {size:,} bytes", expected=f"at most {most:,}")
    with path.open("rb") as source:
        shutil.copyfileobj(source, held)
    return size
