"""Paths into Zarr hierarchies: which part is the store, which the group or array in it.

A path may go on behind the store, as hrefs of STAC assets do: ``P.zarr/measurements/r10m`` is a
group, ``P.zarr.zip/measurements/r10m/b02`` an array in a zip. Light on purpose: no Zarr library.
"""

from __future__ import annotations

import os
import re
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath

MARKS = (".zgroup", ".zarray", ".zmetadata", "zarr.json")
"""Files that make a folder a Zarr group or array."""

_REMOTE = re.compile(
    r"(?P<root>[a-z0-9+]+://.+?\.zarr(?:\.zip)?)(?:/(?P<inside>[^?#]*))?$", re.IGNORECASE
)
_ZIPPED = ".zarr.zip"


@dataclass(frozen=True)
class StorePath:
    """A store and what is meant in it.

    Attributes
    ----------
    root : str
        Folder, zip or address of the whole hierarchy.
    inside : str
        Group or array, names joined by "/"; empty for all of it.
    """

    root: str
    inside: str = ""

    @property
    def zipped(self) -> bool:
        """Whether the store is a zip."""
        return self.root.casefold().endswith(".zip")

    @property
    def remote(self) -> bool:
        """Whether the store is an address."""
        return "://" in self.root

    @property
    def exists(self) -> bool:
        """Whether there is such a folder or zip; addresses are not asked."""
        return self.remote or Path(self.root).exists()

    def within(self, *names: str) -> str:
        """Return the path of a group or array of the store, from its root."""
        return "/".join([self.root.rstrip("/"), *(name for name in names if name)])


def split_store(path: str) -> StorePath | None:
    """Return the store of a path and what is meant in it; None if it leads to no Zarr store.

    The store is what is called ``.zarr`` or ``.zarr.zip``, a zip that holds a Zarr hierarchy, or
    else the outermost of the groups around a group.
    """
    if "://" in path:
        match = _REMOTE.match(path)
        return match and StorePath(match["root"], (match["inside"] or "").strip("/"))
    here = Path(path)
    for folder in (here, *here.parents):
        if _is_named(folder) or (_is_zip(folder) and prefix_in(folder) is not None):
            return StorePath(str(folder), here.relative_to(folder).as_posix().strip("."))
    if not is_group(here):
        return None
    whole = os.path.abspath(path)  # noqa: PTH100 - a link stays part of the hierarchy it lies in
    if whole != path:
        return split_store(whole)
    root = here
    while root != root.parent and is_group(root.parent):
        root = root.parent
    return StorePath(str(root), here.relative_to(root).as_posix().strip("."))


def is_group(folder: Path) -> bool:
    """Whether a folder is a Zarr group or array."""
    return any((folder / mark).is_file() for mark in MARKS)


def prefix_in(archive: Path) -> str | None:
    """Return the folder of a zip that is the root of a Zarr hierarchy, "" for the zip itself.

    None for a zip that holds none or is damaged.
    """
    try:
        status = archive.stat()
        return _prefix(str(archive), status.st_mtime_ns, status.st_size)
    except (OSError, zipfile.BadZipFile):
        return None


@lru_cache(maxsize=64)
def _prefix(archive: str, _changed: int, _size: int) -> str | None:
    """Read the names in a zip; once, as long as it stays the same."""
    with zipfile.ZipFile(archive) as opened:
        return outermost(opened.namelist())


def outermost(names: Iterable[str]) -> str | None:
    """Return the folder that is the root of a Zarr hierarchy of files; None if there is none."""
    marked = (PurePosixPath(n) for n in names if n.rpartition("/")[2] in MARKS)
    root = min((p.parent for p in marked), key=lambda p: len(p.parts), default=None)
    return None if root is None else root.as_posix().strip(".")


def _is_named(path: Path) -> bool:
    return path.suffix.casefold() == ".zarr" or path.name.casefold().endswith(_ZIPPED)


def _is_zip(path: Path) -> bool:
    return path.suffix.casefold() == ".zip" and path.is_file()
