"""All files whose bytes decide what a run reads where its country file names one path."""

from __future__ import annotations

import hashlib
from itertools import takewhile
from pathlib import Path

from osm4eo_xr.files import sha256_of
from osm4eo_xr.imagery.products.eopf import is_eopf
from osm4eo_xr.imagery.products.safe_files import METADATA
from osm4eo_xr.rasters.companions import (
    decides,
    files_of_data,
    is_auxiliary,
    referred,
    said_beside,
)
from osm4eo_xr.rasters.store_paths import is_group, split_store

LOOKED_AT = "but for what viewers leave "
"""Before the hash of a file that changes where somebody looks at it."""

# SQLite's header: its first bytes, and those that say how a file is written, how often it was, and
# by which version (https://www.sqlite.org/fileformat.html). QGIS changes them in what it opens.
_SQLITE, _HEADER = b"SQLite format 3\x00", 100
_BOOKKEEPING = (slice(18, 20), slice(24, 28), slice(92, 100))
_OF_GROUP = ("zarr.json", ".zgroup", ".zattrs", ".zmetadata")  # what Zarr says of a group


def files_of_input(path: Path) -> tuple[list[Path], Path]:
    """Return the files that an input is read from, and the folder that their names begin at.

    A folder's are all in it but what viewers leave (``decides``); a product's are all of it, also
    where its metadata file or a part of it is named; a group of another Zarr store has what the
    groups around it say besides. What lies beside a file or is referred to counts too
    (``files_of_data``).

    Parameters
    ----------
    path : Path
        A file or folder that exists.
    """
    if path.is_file() and METADATA.search(path.name):
        path = path.parent
    if path.is_file():
        return files_of_data(path), path.parent
    if (store := split_store(str(path))) and is_eopf(str(path)):
        path = Path(store.root)
    around = takewhile(is_group, path.absolute().parents)
    told = [folder / name for folder in around for name in _OF_GROUP]
    return [*_with_referred(path), *(place for place in told if place.is_file())], path


def files_in(folder: Path) -> list[Path]:
    """Return all files in a folder and those in it, in order."""
    return sorted(p for p in folder.rglob("*") if p.is_file())


def hash_of_content(path: Path) -> str:
    """Return the SHA-256 of a file; ``LOOKED_AT`` stands before one that leaves something out.

    That are the statistics in an ``.aux.xml`` (``said_beside``), and what SQLite notes in the
    header of a GeoPackage where it is opened and closed: any edit changes other bytes too.
    """
    if is_auxiliary(path):
        return LOOKED_AT + hashlib.sha256(said_beside(path).encode()).hexdigest()
    with path.open("rb") as file:
        header = bytearray(file.read(_HEADER))
        if not header.startswith(_SQLITE):
            return sha256_of(path)
        for place in _BOOKKEEPING:
            header[place] = bytes(place.stop - place.start)
        digest = hashlib.sha256(header)
        return LOOKED_AT + hashlib.file_digest(file, lambda: digest).hexdigest()


def _with_referred(folder: Path) -> list[Path]:
    """Return the files in a folder, then those that they refer to elsewhere.

    What lies beside a file in the folder is in it too: a store has too many to look for that.
    """
    inside = [file for file in files_in(folder) if decides(file)]
    elsewhere = dict.fromkeys(target for file in inside for target in referred(file))
    return list(dict.fromkeys([*inside, *(f for file in elsewhere for f in files_of_data(file))]))
