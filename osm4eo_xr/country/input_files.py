"""All files whose bytes decide what a run reads where its country file names one path."""

from __future__ import annotations

from itertools import takewhile
from pathlib import Path

from osm4eo_xr.imagery.products.eopf import is_eopf
from osm4eo_xr.imagery.products.safe_files import METADATA
from osm4eo_xr.rasters.companions import files_of_data, referred
from osm4eo_xr.rasters.store_paths import is_group, split_store

_OF_GROUP = ("zarr.json", ".zgroup", ".zattrs", ".zmetadata")  # what Zarr says of a group


def files_of_input(path: Path) -> tuple[list[Path], Path]:
    """Return the files that an input is read from, and the folder that their names begin at.

    A folder's are all in it; a product's are all of it, also where its metadata file or a part of
    it is named; a group of another Zarr store has what the groups around it say besides. What lies
    beside a file or is referred to counts too (``files_of_data``).

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


def _with_referred(folder: Path) -> list[Path]:
    """Return the files in a folder, then those that they refer to elsewhere.

    What lies beside a file in the folder is in it too: a store has too many to look for that.
    """
    inside = files_in(folder)
    elsewhere = dict.fromkeys(target for file in inside for target in referred(file))
    return list(dict.fromkeys([*inside, *(f for file in elsewhere for f in files_of_data(file))]))
