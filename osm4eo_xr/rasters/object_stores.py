"""Zarr stores that are read object by object: at addresses, and copies of what was read there.

A staged store is a folder with the objects of a store at an address that somebody has read, under
their own keys. While it is being filled, what is not there is fetched and kept; once it is whole,
it is refused, since Zarr would take a missing chunk for no data. Imports Zarr: only ``hierarchies``
imports this module, when it opens such a store.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections import OrderedDict, defaultdict
from collections.abc import AsyncIterator, Callable, Hashable, Iterable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from zarr.abc.store import OffsetByteRequest, RangeByteRequest, Store, SuffixByteRequest

from osm4eo_xr.errors import InputError
from osm4eo_xr.files import replaced
from osm4eo_xr.rasters.remote.objects import read_object, zip_at
from osm4eo_xr.rasters.staged import ABSENT, STORE_TAG
from osm4eo_xr.rasters.store_paths import MARKS, outermost

if TYPE_CHECKING:
    from zarr.core.buffer import Buffer, BufferPrototype

_METADATA = (*MARKS, ".zattrs")
_COORDINATES = {"x", "y"}
_DESCRIPTIONS = 128  # objects that a process keeps
_CHUNKS = 256_000_000  # bytes of chunks, as they are stored, that a process keeps

_turns: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)


class ObjectStore(Store):
    """A store that cannot be written, whose objects ``_get`` returns."""

    def __init__(self, root: str) -> None:
        super().__init__(read_only=True)
        self.root = root

    @property
    def supports_writes(self) -> bool:
        """It cannot be written."""
        return False

    @property
    def supports_partial_writes(self) -> Literal[False]:
        """It cannot be written."""
        return False

    @property
    def supports_deletes(self) -> bool:
        """It cannot be written."""
        return False

    @property
    def supports_listing(self) -> bool:
        """Servers of files do not list them."""
        return False

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other.root == self.root

    __hash__ = None

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.root,)

    def __str__(self) -> str:
        return self.root

    def _get(self, key: str, first: int = 0, count: int | None = None) -> bytes | None:
        """Return an object or its part; None if there is none. A first byte below 0 is a suffix."""
        raise NotImplementedError

    async def get(
        self, key: str, prototype: BufferPrototype, byte_range: Any = None
    ) -> Buffer | None:
        """Return an object or its part; None if there is none."""
        found = await asyncio.to_thread(self._get, key, *_span(byte_range))
        return None if found is None else prototype.buffer.from_bytes(found)

    async def get_partial_values(
        self, prototype: BufferPrototype, key_ranges: Iterable[tuple[str, Any]]
    ) -> list[Buffer | None]:
        """Return parts of objects."""
        return list(
            await asyncio.gather(*(self.get(key, prototype, part) for key, part in key_ranges))
        )

    async def exists(self, key: str) -> bool:
        """Whether there is such an object."""
        return await asyncio.to_thread(self._get, key) is not None

    async def set(self, key: str, value: Buffer) -> None:
        """Refuse to write."""
        raise NotImplementedError

    async def delete(self, key: str) -> None:
        """Refuse to delete."""
        raise NotImplementedError

    async def list(self) -> AsyncIterator[str]:
        """Refuse to list: servers of files do not."""
        raise NotImplementedError
        yield ""

    async def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        """Refuse to list."""
        raise NotImplementedError(prefix)
        yield ""

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        """Refuse to list."""
        raise NotImplementedError(prefix)
        yield ""


class RemoteStore(ObjectStore):
    """A store at an address, a tree of objects or a zip of them.

    EOPF's chunks are 5,490 pixels wide, so that one is read for many blocks of a scene: the last
    that were read are kept.
    """

    def _get(self, key: str, first: int = 0, count: int | None = None) -> bytes | None:
        if key.rpartition("/")[2] in _METADATA or _COORDINATES & set(key.split("/")):
            with _turns[self.root]:  # one asks, the others take what it gets
                return _part(_description(self.root, key), first, count)
        if first or count is not None:
            return _object(self.root, key, first, count)
        return _recent.get((self.root, key), lambda: _object(self.root, key, 0, None))


class StagedStore(ObjectStore):
    """A copy of what was read of a store at an address (see the module)."""

    def __init__(self, root: str) -> None:
        super().__init__(root)
        tag = json.loads((Path(root) / STORE_TAG).read_text(encoding="utf-8"))
        self._of, self._whole = str(tag["of"]), bool(tag["whole"])
        self._change = threading.Condition()
        self._reads, self._closed = 0, False

    def close(self) -> None:
        """Return once nothing is read any more, so that nobody writes into the copy either.

        Of objects that Zarr asks for at a time, one may fail: it does not wait for the others.
        """
        super().close()
        with self._change:
            self._closed = True
            self._change.wait_for(lambda: not self._reads)

    def _get(self, key: str, first: int = 0, count: int | None = None) -> bytes | None:
        with self._change:
            if self._closed:
                raise ValueError(f"{self.root} is closed")
            self._reads += 1
        try:
            return self._read(key, first, count)
        finally:
            with self._change:
                self._reads -= 1
                self._change.notify_all()

    def _read(self, key: str, first: int, count: int | None) -> bytes | None:
        path = Path(self.root) / key
        if path.is_file():
            return _part(path.read_bytes(), first, count)
        absent = path.with_name(path.name + ABSENT)
        if absent.is_file():
            return None
        if self._whole:
            if path.name in _METADATA:
                return None
            raise InputError(
                f"{path} was not fetched",
                advice="fetch again, or remove the folder of what was fetched",
            )
        body = _object(self._of, key, 0, None)
        path.parent.mkdir(parents=True, exist_ok=True)
        with replaced(absent if body is None else path) as part:
            part.write_bytes(body or b"")
        return _part(body, first, count)


class Recent:
    """The objects that were read last, as many as fit.

    Parameters
    ----------
    most : int
        Bytes that are kept.
    """

    def __init__(self, most: int) -> None:
        self._most, self._bytes = most, 0
        self._kept: OrderedDict[Hashable, bytes | None] = OrderedDict()
        self._lock = threading.Lock()
        self._turns = [threading.Lock() for _ in range(64)]

    def get(self, key: Hashable, read: Callable[[], bytes | None]) -> bytes | None:
        """Return what ``read`` gives; of threads that ask for one key at a time one reads."""
        with self._turns[hash(key) % len(self._turns)]:
            with self._lock:
                if key in self._kept:
                    self._kept.move_to_end(key)
                    return self._kept[key]
            found = read()
            with self._lock:
                self._kept[key] = found
                self._bytes += len(found or b"")
                while self._bytes > self._most:
                    self._bytes -= len(self._kept.popitem(last=False)[1] or b"")
            return found


_recent = Recent(_CHUNKS)


def _span(asked: Any) -> tuple[int, int | None]:
    """Return first byte and count of a request of Zarr's."""
    if isinstance(asked, RangeByteRequest):
        return asked.start, asked.end - asked.start
    if isinstance(asked, OffsetByteRequest):
        return asked.offset, None
    if isinstance(asked, SuffixByteRequest):
        return -asked.suffix, None
    return 0, None


def _part(body: bytes | None, first: int, count: int | None) -> bytes | None:
    """Return the part of an object."""
    if body is None or (first == 0 and count is None):
        return body
    start = first if first >= 0 else max(len(body) + first, 0)
    return body[start : None if count is None else start + count]


@lru_cache(maxsize=_DESCRIPTIONS)
def _description(root: str, key: str) -> bytes | None:
    """Return metadata or coordinates, which are read at each opening; once in a process."""
    return _object(root, key, 0, None)


@lru_cache(maxsize=16)
def _prefix(root: str) -> str:
    """Return the folder of a zip at an address that is the root of its store."""
    return outermost(zip_at(root).namelist()) or ""


def _object(root: str, key: str, first: int, count: int | None) -> bytes | None:
    """Return an object of a store at an address, or a part of it."""
    if root.casefold().endswith(".zip"):
        archive, prefix = zip_at(root), _prefix(root)
        name = f"{prefix}/{key}" if prefix else key
        return _part(archive.read(name), first, count) if name in archive.NameToInfo else None
    address = f"{root.rstrip('/')}/{key}"
    if first < 0:  # a suffix: how long is it?
        seen = read_object(address, 0, 1)
        first = 0 if seen is None else max(seen.total + first, 0)
    answer = read_object(address, first, count)
    return None if answer is None else answer.body
