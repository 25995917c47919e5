"""Stores read object by object: part reads, what is not there, staged copies that refuse."""

import asyncio
import pickle
import threading
import time
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st
from zarr.abc.store import OffsetByteRequest, RangeByteRequest, SuffixByteRequest
from zarr.core.buffer import default_buffer_prototype

from osm4eo_xr.catalogs.store_copies import _steps, copy_of
from osm4eo_xr.errors import InputError
from osm4eo_xr.rasters import object_stores
from osm4eo_xr.rasters.hierarchies import read_group
from osm4eo_xr.rasters.object_stores import Recent, RemoteStore, StagedStore
from osm4eo_xr.rasters.remote import attempts
from osm4eo_xr.rasters.remote.failures import RemoteError
from osm4eo_xr.rasters.remote.objects import read_object
from osm4eo_xr.rasters.store_paths import StorePath
from tests.cases.asset_server import Store, serving_files
from tests.cases.eopf_case import pack


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(attempts, "pause", 0.0)
    root = zarr.open_group(tmp_path / "s.zarr", mode="w", zarr_format=3)
    numbers = np.arange(64, dtype=np.uint16).reshape(8, 8)
    numbers[4:, 4:] = 0
    root.create_array("a", data=numbers, chunks=(2, 2), shards=(4, 4), fill_value=0)
    zarr.consolidate_metadata(tmp_path / "s.zarr")
    with serving_files(Store(tmp_path)) as server:
        yield server


def got(store: Any, key: str, part: Any = None) -> bytes | None:
    found = asyncio.run(store.get(key, default_buffer_prototype(), part))
    return None if found is None else found.to_bytes()


@pytest.mark.filterwarnings("ignore:Consolidated metadata")
def test_parts_of_objects_and_of_zips_are_those_of_the_file(store: Store) -> None:
    whole = (store.folder / "s.zarr" / "a" / "c" / "0" / "0").read_bytes()
    pack(store.folder / "s.zarr")
    staged = copy_of(f"{store.url}/s.zarr", store.folder / "copies")
    staged.begin()
    for found in (
        RemoteStore(f"{store.url}/s.zarr"),
        RemoteStore(f"{store.url}/s.zarr.zip"),
        StagedStore(str(staged.root)),
    ):
        for part, expected in (
            (None, whole),
            (RangeByteRequest(3, 9), whole[3:9]),
            (OffsetByteRequest(5), whole[5:]),
            (SuffixByteRequest(7), whole[-7:]),
        ):
            assert got(found, "a/c/0/0", part) == expected
        assert got(found, "a/c/1/1") is None  # all of it is the fill value
        read: Any = zarr.open_group(found, mode="r")["a"]
        np.testing.assert_array_equal(read[:, :4], np.arange(64).reshape(8, 8)[:, :4])


def test_a_chunk_is_asked_for_once_as_long_as_it_is_kept(store: Store) -> None:
    for _ in range(3):  # opened anew by each thread and block
        found = RemoteStore(f"{store.url}/s.zarr")
        with ThreadPoolExecutor(8) as pool:
            read = set(pool.map(got, [found] * 8, ["a/c/0/0"] * 8))
        assert len(read) == 1
        assert got(found, "a/c/1/1") is None
    assert [path for _, path, _ in store.requests] == ["/s.zarr/a/c/0/0", "/s.zarr/a/c/1/1"]


@given(st.lists(st.integers(0, 6), max_size=30))
def test_what_was_read_last_is_kept_as_far_as_it_fits(keys: list[int]) -> None:
    recent, kept, read = Recent(10), OrderedDict[int, int](), []
    for key in keys:
        assert recent.get(key, lambda key=key: read.append(key) or bytes(key)) == bytes(key)
        assert (key in kept) == (not read)
        kept[key] = key
        kept.move_to_end(key)
        while sum(kept.values()) > 10:
            kept.popitem(last=False)
        read.clear()


def test_a_staged_store_keeps_what_was_read_and_refuses_the_rest(store: Store) -> None:
    staged = copy_of(f"{store.url}/s.zarr", store.folder / "copies")
    staged.begin()
    assert got(StagedStore(str(staged.root)), "a/c/1/1") is None
    first = got(StagedStore(str(staged.root)), "a/c/0/0")
    staged.end()
    asked, whole = len(store.requests), StagedStore(str(staged.root))
    assert got(whole, "a/c/0/0") == first
    assert got(whole, "a/c/1/1") is None
    assert got(whole, ".zgroup") is None
    with pytest.raises(InputError, match="a/c/0/1 was not fetched; fetch again, or remove the"):
        got(whole, "a/c/0/1")
    assert len(store.requests) == asked


def test_a_read_that_fails_leaves_no_other_one_writing(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    staged = copy_of(f"{store.url}/s.zarr", store.folder / "copies")
    staged.begin()
    read, both = object_stores._object, threading.Barrier(2)

    def slow(root: str, key: str, first: int, count: int | None) -> bytes | None:
        if key in (".zattrs", "zarr.json"):
            both.wait(10)  # asked for at a time
            if key == ".zattrs":
                raise RemoteError("the server is down")
            time.sleep(0.3)
        return read(root, key, first, count)

    monkeypatch.setattr(object_stores, "_object", slow)
    with pytest.raises(RemoteError, match="the server is down"):
        read_group(StorePath(str(staged.root)))
    there = staged.files()
    assert staged.root / "zarr.json" in there
    time.sleep(0.5)
    assert staged.files() == there
    closed = StagedStore(str(staged.root))
    closed.close()
    with pytest.raises(ValueError, match="is closed"):
        got(closed, "zarr.json")
    assert pickle.loads(pickle.dumps(closed)) == closed  # noqa: S301 - our own


def test_servers_that_fail_or_refuse_are_told(store: Store) -> None:
    where = f"{store.url}/s.zarr/zarr.json"
    store.failures.extend([503, "truncated", "html"])
    answer = read_object(where, 0, 20)
    assert answer is not None
    assert answer.body == (store.folder / "s.zarr" / "zarr.json").read_bytes()[:20]
    assert read_object(f"{store.url}/none") is None
    store.access = "bearer"
    with pytest.raises(RemoteError, match="access is refused .HTTP 401.; give credentials"):
        read_object(where)
    with pytest.raises(RemoteError, match="s3://b/c is no address by HTTP"):
        read_object("s3://b/c")


@pytest.mark.parametrize(("start", "stop", "size"), [(0, 10, 4), (3, 4, 8), (5, 29, 7), (2, 18, 1)])
def test_every_chunk_is_touched_wherever_chunks_begin(start: int, stop: int, size: int) -> None:
    steps = _steps(start, stop, size)
    for shift in range(size):
        assert {(s + shift) // size for s in steps} == {
            (s + shift) // size for s in range(start, stop)
        }
