"""Groups, attributes and arrays of Zarr hierarchies, beside zarr's and xarray's own reading."""

import errno
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
import zarr

from osm4eo_xr.errors import InputError
from osm4eo_xr.rasters.hierarchies import (
    UNREADABLE,
    Group,
    attributes_above,
    damage,
    open_arrays,
    read_group,
)
from osm4eo_xr.rasters.remote.failures import RemoteError
from osm4eo_xr.rasters.store_paths import StorePath
from tests.cases.eopf_case import pack

NUMBERS = np.arange(48, dtype=np.int16).reshape(6, 8)


def write(path: Path, version: Any) -> Path:
    """Write /a/b with arrays y, x, red and blue; a is also the parent of an empty group."""
    root = zarr.open_group(path, mode="w", zarr_format=version, attributes={"level": "root"})
    middle = root.create_group("a", attributes={"level": "middle", "kept": 1})
    middle.create_group("empty")
    inner = middle.create_group("b", attributes={"level": "inner"})
    for name, values, dims in (
        ("red", NUMBERS, ("y", "x")),
        ("blue", NUMBERS + 100, ("y", "x")),
        ("y", np.arange(6.0)[::-1], ("y",)),
        ("x", np.arange(8.0), ("x",)),
    ):
        named: Any = {"dimension_names": dims} if version == 3 else {}
        made = inner.create_array(name, data=values, chunks=values.shape, **named)
        if version == 2:
            made.attrs["_ARRAY_DIMENSIONS"] = list(dims)
    inner["red"].attrs.update({"scale_factor": 0.5, "_FillValue": 7})
    return path


@pytest.fixture(params=[2, 3])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return write(tmp_path / "s.zarr", request.param)


@pytest.fixture(params=["folder", "zip", "zip of a folder"])
def root(request: pytest.FixtureRequest, folder: Path) -> str:
    if request.param == "folder":
        return str(folder)
    return str(pack(folder, within="_in" if request.param != "zip" else ""))


def test_a_group_has_its_attributes_and_the_names_of_its_groups(root: str) -> None:
    assert read_group(StorePath(root)) == Group({"level": "root"}, ("a",))
    assert read_group(StorePath(root, "a")) == Group({"level": "middle", "kept": 1}, ("b", "empty"))
    assert read_group(StorePath(root, "a/b")) == Group({"level": "inner"})


@pytest.mark.parametrize("inside", ["a/b/red", "a/c", "nothing", "a/b/red/more"])
def test_arrays_and_what_is_not_there_are_no_groups(root: str, inside: str) -> None:
    assert read_group(StorePath(root, inside)) is None


def test_attributes_are_those_of_all_groups_above_the_nearest_first(root: str) -> None:
    above = [found["level"] for found in attributes_above(StorePath(root, "a/b/red"))]
    assert above == ["inner", "middle", "root"]
    assert attributes_above(StorePath(root)) == [{"level": "root"}]
    assert [a["level"] for a in attributes_above(StorePath(root, "a/none"))] == ["middle", "root"]


def test_arrays_are_given_as_they_are_stored_in_the_order_of_their_names(root: str) -> None:
    with open_arrays(StorePath(root, "a/b")) as found:
        assert list(found.data_vars) == ["blue", "red"]
        assert found["red"].dtype == np.int16  # not scaled, 7 is no NaN
        np.testing.assert_array_equal(found["red"], NUMBERS)
        np.testing.assert_array_equal(found["blue"], NUMBERS + 100)
        assert found["y"].to_numpy().tolist() == [5, 4, 3, 2, 1, 0]


def test_an_array_is_itself_and_not_its_neighbors(root: str) -> None:
    with open_arrays(StorePath(root, "a/b/red")) as found:
        assert list(found.data_vars) == ["red"]
        np.testing.assert_array_equal(found["red"][1:3, 2], NUMBERS[1:3, 2])


def test_the_same_arrays_as_xarray_opens(folder: Path) -> None:
    theirs: Any = {"group": "a/b", "consolidated": False, "mask_and_scale": False}
    expected = xr.open_zarr(folder, chunks=None, **theirs)
    with open_arrays(StorePath(str(folder), "a/b")) as found:
        xr.testing.assert_equal(found.load(), expected[["blue", "red"]])


@pytest.mark.parametrize("inside", ["a/b/green", "c"])
def test_what_is_not_in_a_store_is_named(root: str, inside: str) -> None:
    with pytest.raises(InputError) as refused:
        open_arrays(StorePath(root, inside))
    assert refused.value.given == f"{root} has no group or array {inside}"


def test_a_store_that_is_not_there_is_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError) as refused:
        open_arrays(StorePath(str(tmp_path / "none.zarr")))
    assert refused.value.given == f"no file {tmp_path / 'none.zarr'}"
    assert refused.value.advice == "give the path of a raster"


def test_a_zip_that_holds_no_hierarchy_or_half_of_one_is_named(folder: Path) -> None:
    packed = pack(folder)
    packed.write_bytes(packed.read_bytes()[:-40])  # its list of contents is at its end
    with pytest.raises(InputError, match="no whole zip of a Zarr hierarchy"):
        open_arrays(StorePath(str(packed), "a/b"))
    other = folder.parent / "other"
    other.mkdir()
    (other / "notes.txt").write_text("")
    empty = shutil.make_archive(str(folder.parent / "e.zarr"), "zip", other)
    with pytest.raises(InputError, match="no whole zip of a Zarr hierarchy"):
        read_group(StorePath(empty))


@pytest.mark.parametrize("text", ["", "{", "[]", '{"zarr_format": 9}', '{"node_type": 3}'])
def test_damaged_metadata_are_one_line_that_names_the_store(tmp_path: Path, text: str) -> None:
    store = write(tmp_path / "s.zarr", 3)
    (store / "a" / "b" / "zarr.json").write_text(text)
    with pytest.raises(InputError) as refused:
        open_arrays(StorePath(str(store), "a/b"))
    assert refused.value.given.startswith(f"{store}/a/b {UNREADABLE}: ")
    assert "\n" not in str(refused.value)


def test_a_zip_is_closed_with_its_arrays_and_where_they_cannot_be_opened(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from zarr.storage import ZipStore

    closed: list[str] = []
    own = ZipStore.close
    monkeypatch.setattr(ZipStore, "close", lambda s: (closed.append(str(s.path)), own(s))[1])
    packed = str(pack(folder))
    found = open_arrays(StorePath(packed, "a/b"))
    assert closed == []
    found.close()
    with pytest.raises(InputError):
        open_arrays(StorePath(packed, "none"))
    read_group(StorePath(packed))
    assert closed == [packed] * 3


@pytest.mark.parametrize(
    ("raised", "text"),
    [
        (ValueError("first line\nsecond"), "s is damaged: first line"),
        (KeyError(), "s is damaged: KeyError"),
        (OSError("HDF5 has no such dataset"), "s is damaged: HDF5 has no such dataset"),
        (json.JSONDecodeError("no value", "x", 0), "s is damaged: no value: line 1 column 1"),
    ],
)
def test_any_error_of_a_damaged_store_is_one_line(raised: Exception, text: str) -> None:
    with pytest.raises(InputError) as refused, damage("s"):
        raise raised
    assert str(refused.value).startswith(text)


@pytest.mark.parametrize(
    "raised",
    [
        InputError("own words"),
        RemoteError("the server fails"),
        MemoryError(),
        OSError(errno.ENOSPC, "no space left"),  # the disk's, not the store's
        PermissionError(errno.EACCES, "not yours"),
    ],
)
def test_errors_that_are_not_of_the_store_pass_unchanged(raised: BaseException) -> None:
    with pytest.raises(type(raised)) as passed, damage("s"):
        raise raised
    assert passed.value is raised
