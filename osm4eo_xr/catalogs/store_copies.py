"""Copies of what a composite reads of Zarr stores at addresses, made by reading it.

The objects of a store are kept as they are, under their own keys (``rasters.object_stores``), so
that a copy says of itself what its original does.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from rasterio.windows import Window

from osm4eo_xr.errors import InputError
from osm4eo_xr.files import replace_text
from osm4eo_xr.rasters.staged import STORE_TAG, Rectangle
from osm4eo_xr.rasters.store_paths import StorePath, split_store
from osm4eo_xr.rasters.stores import ArraySource

_ZIP = ".zip"


@dataclass(frozen=True)
class StoreCopy:
    """The copy of a store at an address.

    Attributes
    ----------
    original : StorePath
        The store, and what is meant in it.
    root : Path
        Folder of the copy; it bears the store's name, which may tell what the product is.
    """

    original: StorePath
    root: Path

    @property
    def path(self) -> str:
        """What is opened in the place of the original's path."""
        return StorePath(str(self.root)).within(self.original.inside)

    def begin(self) -> None:
        """From now on, what is read of the copy and is not there is fetched and kept."""
        self.root.mkdir(parents=True, exist_ok=True)
        self._say(whole=False)

    def end(self) -> None:
        """From now on, what is not there is refused."""
        self._say(whole=True)

    def files(self) -> list[Path]:
        """Return all files of the copy, in order."""
        return sorted(p for p in self.root.rglob("*") if p.is_file())

    def _say(self, *, whole: bool) -> None:
        tag = {"of": self.original.root, "whole": whole}
        replace_text(self.root / STORE_TAG, json.dumps(tag) + "\n")


def copy_of(href: str, folder: Path) -> StoreCopy:
    """Return where the copy of a store lies in an item's folder.

    Raises
    ------
    InputError
        If the href leads to no Zarr store.
    """
    where = split_store(href)
    if where is None:
        raise InputError(
            f"{href} is no Zarr store, and is not fetched",
            expected="rasters that GDAL reads, or Zarr",
            advice="copy the file and give its path",
        )
    name = where.root.rstrip("/").rpartition("/")[2]
    name = name[: -len(_ZIP)] if name.casefold().endswith(_ZIP) else name
    mark = hashlib.sha256(where.root.encode()).hexdigest()[:8]  # stores of one name
    return StoreCopy(where, folder / mark / name)


def fill(path: str, index: int, windows: Iterable[Rectangle], block: tuple[int, int]) -> None:
    """Read a pixel of each chunk that windows of a band touch, so that a copy holds them all.

    Parameters
    ----------
    path, index
        The copy of an array or group, and the band in it, from 1.
    windows : iterable of Rectangle
        In pixels.
    block : tuple of int
        Rows and columns of the chunks.
    """
    source = ArraySource(path)
    try:
        for top, bottom, left, right in windows:
            for row in _steps(top, bottom, block[0]):
                for col in _steps(left, right, block[1]):
                    source.read(index, Window.from_slices((row, row + 1), (col, col + 1)))
    finally:
        source.close()


def _steps(start: int, stop: int, size: int) -> list[int]:
    """Return places of which each piece of ``size`` has one, wherever pieces begin."""
    return sorted({*range(start, stop, size), stop - 1})
