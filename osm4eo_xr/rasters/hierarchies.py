"""Zarr hierarchies opened: their groups, attributes and arrays, in folders, zips and at addresses.

Addresses by HTTP are read as rasters are (``rasters.remote``): signed, and again where a server
fails. Those of buckets (``s3://``) are left to fsspec, which wants a package for each kind.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xarray as xr

from osm4eo_xr.errors import InputError
from osm4eo_xr.rasters.remote.failures import RemoteError
from osm4eo_xr.rasters.staged import STORE_TAG
from osm4eo_xr.rasters.store_paths import StorePath, prefix_in

AS_STORED: dict[str, Any] = {
    "chunks": None,
    "cache": False,
    "mask_and_scale": False,
    "decode_times": False,
    "decode_coords": "all",
}
"""How xarray opens a store: no dask, no scaling, no decoded times."""

UNREADABLE = "is no Zarr store or NetCDF-4 file of arrays"
"""What a message says of a store that cannot be opened."""


@dataclass(frozen=True)
class Group:
    """What is in a group of a Zarr store.

    Attributes
    ----------
    attributes : dict
        Its own.
    groups : tuple of str
        Names of the groups in it.
    """

    attributes: dict[str, Any]
    groups: tuple[str, ...] = ()


def read_group(where: StorePath) -> Group | None:
    """Return what is in a group of a Zarr store; None if no group is there.

    Raises
    ------
    InputError
        If there is no such store or it is damaged.
    """
    with damage(where.within(where.inside), UNREADABLE):
        store, prefix = _opened(where)
        try:
            node = _node(where, store, prefix)
            if node is None or not hasattr(node, "group_keys"):
                return None
            return Group(dict(node.attrs), tuple(sorted(node.group_keys())))
        finally:
            _close(store)


def attributes_above(where: StorePath) -> list[dict[str, Any]]:
    """Return the attributes of the group that is meant and of all above it, the nearest first."""
    names = where.inside.split("/") if where.inside else []
    above = (
        read_group(StorePath(where.root, "/".join(names[:n]))) for n in range(len(names), -1, -1)
    )
    return [group.attributes for group in above if group is not None]


def open_arrays(where: StorePath) -> xr.Dataset:
    """Return a group's arrays as they are stored, or the one array that is meant.

    Raises
    ------
    InputError
        If there is no such group or array, or the store is damaged.
    """
    path = where.within(where.inside)
    if not where.exists:
        raise InputError(f"no file {where.root}", advice="give the path of a raster")
    with damage(path, UNREADABLE):
        store, prefix = _opened(where)
        try:
            group, name = _group_of(where, store, prefix)
            dataset = xr.open_dataset(
                store,
                engine="zarr",
                group=f"{prefix}{group}".rstrip("/") or None,
                consolidated=_consolidated(where, store),
                **AS_STORED,
            )
            # A folder lists its arrays in any order, another one each time; bands are counted.
            found = dataset[[name] if name else sorted(map(str, dataset.data_vars))]
        except BaseException:
            _close(store)
            raise
        found.set_close(lambda: _close(store))
        return found


def _group_of(where: StorePath, store: Any, prefix: str) -> tuple[str, str]:
    """Return the group that is meant and nothing, or an array's group and its name."""
    node = _node(where, store, prefix)
    if node is None:
        raise InputError(f"{where.root} has no group or array {where.inside or '(root)'}")
    if hasattr(node, "group_keys"):
        return where.inside, ""
    group, _, name = where.inside.rpartition("/")
    return group, name


@contextmanager
def damage(path: object, what: str = "is damaged") -> Iterator[None]:
    """Turn what Zarr, HDF5 and xarray raise on a damaged store into one line.

    Their metadata are parsed by many hands: a wrong type in it comes out as any error at all.
    """
    try:
        yield
    except (InputError, MemoryError, RemoteError):
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:  # the disk's, not the store's
            raise
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise InputError(f"{path} {what}: {reason}") from error


def _opened(where: StorePath) -> tuple[Any, str]:
    """Return what zarr opens, and the folder in it, "/" behind it, that is the root."""
    if where.root.startswith(("http://", "https://")):
        from osm4eo_xr.rasters.object_stores import RemoteStore

        return RemoteStore(where.root), ""
    if not where.remote and (Path(where.root) / STORE_TAG).is_file():
        from osm4eo_xr.rasters.object_stores import StagedStore

        return StagedStore(where.root), ""
    if where.remote or not where.zipped:
        return where.root, ""
    from zarr.storage import ZipStore

    prefix = prefix_in(Path(where.root))
    if prefix is None:
        raise zipfile.BadZipFile("it is no whole zip of a Zarr hierarchy")
    return ZipStore(where.root, mode="r"), f"{prefix}/" if prefix else ""


def _consolidated(where: StorePath, store: Any) -> bool | None:
    """Whether one file at the root describes all: it must where no one lists objects."""
    if not getattr(store, "supports_listing", True):
        return True
    return None if where.remote else False


def _close(store: Any) -> None:
    """Close a store that was opened here."""
    if not isinstance(store, str):
        store.close()


def _node(where: StorePath, store: Any, prefix: str) -> Any:
    """Return zarr's group or array, or None."""
    import zarr

    try:
        if _consolidated(where, store) is not False:
            root: Any = zarr.open_group(store, mode="r")
            return root[where.inside] if where.inside else root
        path = f"{prefix}{where.inside}".rstrip("/")
        options: Any = {"use_consolidated": False}
        try:
            return zarr.open_group(store, path=path, mode="r", **options)
        except (FileNotFoundError, ValueError):
            return zarr.open_array(store, path=path, mode="r")
    except (FileNotFoundError, KeyError):
        return None
