import errno
import hashlib
import os
import shutil
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

from osm4eo_xr.cli.failures import report_failure
from osm4eo_xr.errors import InputError
from osm4eo_xr.files import (
    full_disk,
    put,
    remove_unfinished,
    replace_text,
    replaced,
    sha256_of,
    stamp_of,
    sweep_below,
    workplace,
)
from tests.cases.commands import attempt
from tests.cases.small_disk import small_disk_at


def _names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_hash_and_stamp_tell_one_content_from_another(tmp_path):
    path = tmp_path / "a"
    content = b"abc" * 1_000_000
    path.write_bytes(content)
    assert sha256_of(path) == hashlib.sha256(content).hexdigest()
    before = stamp_of(path)
    assert before[0] == len(content)
    path.write_bytes(content[:-1])
    assert stamp_of(path) != before
    assert sha256_of(path) == hashlib.sha256(content[:-1]).hexdigest()


def test_a_file_appears_whole_or_not_at_all(tmp_path):
    path = tmp_path / "a.json"
    assert replace_text(path, "first") == path
    with replaced(path) as part:
        part.write_text("second")
        assert path.read_text() == "first"
    assert path.read_text() == "second"
    with pytest.raises(RuntimeError, match="broken off"):
        _break_off(path)
    assert (path.read_text(), _names(tmp_path)) == ("second", ["a.json"])


def _break_off(path: Path) -> None:
    with replaced(path) as part:
        part.write_text("half")
        raise RuntimeError("broken off")


def test_a_folder_takes_the_place_of_another(tmp_path):
    path = tmp_path / "model"
    for text in ("old", "new"):
        with replaced(path) as part:
            part.mkdir()
            (part / text).write_text(text)
    assert (_names(path), _names(tmp_path)) == (["new"], ["model"])


def test_a_symlink_stays_one(tmp_path):
    (tmp_path / "far").mkdir()
    link = tmp_path / "latest.json"
    link.symlink_to(tmp_path / "far" / "2024.json")
    replace_text(link, "here")
    assert link.is_symlink()
    assert (tmp_path / "far" / "2024.json").read_text() == "here"


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(InputError, match="no folder .*nowhere to write a.json into"):
        replace_text(tmp_path / "nowhere" / "a.json", "")


def _dead_process() -> int:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
        return process.pid


def test_only_what_the_dead_left_is_swept(tmp_path):
    host = socket.gethostname()
    dead = _dead_process()
    left = [
        f".a.tif.part-{host}-{dead}-swept",
        f".a.tif.old-{host}-{dead}-half~",
        f".a.tif.part-{host}-{os.getppid()}-lives",
        f".a.tif.part-other-{host}-{dead}-elsewhere",
        ".a.tif.part-unknown",
        ".a.tif.old-kept",
        f".a.tif.old-other-{dead}-far",
        f".b.tif.part-{host}-{dead}-another",
    ]
    for name in left:
        (tmp_path / name).mkdir()
    replace_text(tmp_path / "a.tif", "")
    assert _names(tmp_path) == sorted([*left[2:], "a.tif"])


@pytest.mark.parametrize("there", [True, False])
def test_what_a_dead_process_put_aside_is_brought_back(there, tmp_path):
    path = tmp_path / "a.zarr"
    aside = tmp_path / f".a.zarr.old-{socket.gethostname()}-{_dead_process()}-0a1b"
    for folder, text in ((aside, "old"), (path, "new")) if there else ((aside, "old"),):
        folder.mkdir()
        (folder / text).write_text("")
    with workplace(path):
        assert _names(path) == ["new" if there else "old"]
    assert _names(tmp_path) == ["a.zarr"]


def test_of_writers_at_once_one_wins_and_none_fails(tmp_path):
    path = tmp_path / "a.zarr"

    def write(number: int) -> None:
        for _ in range(30):
            with replaced(path) as part:
                part.mkdir()
                (part / str(number)).write_text("")

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(write, range(3)))
    assert _names(tmp_path) == ["a.zarr"]
    assert len(_names(path)) == 1


def test_a_folder_that_the_next_writer_has_moved_aside_already_counts_as_put(tmp_path, monkeypatch):
    path, part, aside = tmp_path / "a.zarr", tmp_path / "part", tmp_path / "aside"
    for folder in (path, part):
        folder.mkdir()
        (folder / folder.name).write_text("")
    rename = Path.rename

    def with_another_writer(entry: Path, target: Path) -> Path:
        found = rename(entry, target)
        if entry == part:
            rename(path, aside)
        return found

    monkeypatch.setattr(Path, "rename", with_another_writer)
    put(part, path)
    assert _names(tmp_path) == ["aside"]
    assert _names(aside) == ["part"]


def test_all_in_the_making_is_removed_while_threads_write(tmp_path):
    stop, writing = threading.Event(), threading.Event()

    def write(folder: Path) -> None:
        number = 0
        while not stop.is_set():
            number += 1
            try:
                (folder / str(number)).write_text("")
            except FileNotFoundError:
                return
            writing.set()

    with workplace(tmp_path / "a.tif") as folder:
        thread = threading.Thread(target=write, args=(folder,))
        thread.start()
        try:
            assert writing.wait(60)
            remove_unfinished()
            assert _names(tmp_path) == []
        finally:
            stop.set()
            thread.join()


def test_what_dead_processes_left_is_removed_at_any_depth_and_beside_whole_products(tmp_path):
    below = tmp_path / "tile" / "item"
    (below / ".map.tif.part-node7-12-a1b2~").mkdir(parents=True)
    (below / ".map.tif.part-node7-12-a1b2~" / "map.tif").write_text("")
    (below / "..zattrs.part-vm-1-c3d4").mkdir()
    (tmp_path / ".a.part-b").mkdir()  # somebody else's
    (below / "map.tif").write_text("")
    sweep_below(tmp_path)
    assert _names(below) == ["map.tif"]
    assert _names(tmp_path) == [".a.part-b", "tile"]


@pytest.mark.parametrize(
    "error", [OSError(errno.EDQUOT, "?"), ValueError("database or DISK is full")]
)
def test_a_full_disk_is_known_by_number_and_by_text(error):
    outer = RuntimeError("write failed")
    outer.__cause__ = error
    assert full_disk(outer)
    assert not full_disk(ValueError("space"))


@pytest.fixture
def small_disk(tmp_path):
    with small_disk_at(tmp_path / "small", "256k") as place:
        yield place


def _fill(path: Path) -> None:
    try:
        path.write_bytes(b"1" * 1_000_000)
    except OSError:
        raise RuntimeError("a library's own words") from None


def test_a_full_disk_is_named_whatever_the_library_says(small_disk):
    with (
        pytest.raises(OSError, match="No space left") as raised,
        replaced(small_disk / "a") as part,
    ):
        _fill(part)
    assert (raised.value.errno, raised.value.filename) == (errno.ENOSPC, str(small_disk))
    assert _names(small_disk) == []


def test_a_command_that_fills_a_disk_names_the_folder(small_disk, tmp_path, capsys):
    values = np.random.default_rng(0).integers(1, 13, (900, 900), dtype=np.uint8)
    place = {"crs": "EPSG:3035", "transform": from_origin(4_400_000, 3_280_000, 10, 10)}
    shape = {"count": 1, "dtype": "uint8", "height": 900, "width": 900, "nodata": 0}
    with rasterio.open(tmp_path / "in.tif", "w", "GTiff", **place, **shape) as file:
        file.write(values, 1)
    words = ("sieve", tmp_path / "in.tif", "--out", small_disk / "out.tif", "--size", 2)
    error = attempt(*words).exception
    assert isinstance(error, Exception)
    assert report_failure(error) == 1
    said = "".join(capsys.readouterr().err.split())
    assert "".join(f"the disk is full: no space left in {small_disk}; make".split()) in said
    assert _names(small_disk) == []


class _Ended(BaseException):
    """As a signal raises it, wherever the main thread is."""


def test_a_signal_may_come_as_soon_as_a_folder_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = Path.mkdir

    def interrupted(folder: Path, **how: Any) -> None:
        make(folder, **how)
        raise _Ended

    monkeypatch.setattr(Path, "mkdir", interrupted)
    with pytest.raises(_Ended), replaced(tmp_path / "map.tif"):
        pass
    assert len(list(tmp_path.iterdir())) == 1
    remove_unfinished()
    assert not list(tmp_path.iterdir())


def test_a_signal_may_come_while_a_folder_is_removed_and_others_make_it_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Path] = []

    def interrupted(_folder: Path, **_how: Any) -> None:
        made[0].mkdir()  # a writer of another process
        (made[0] / "chunk").write_text("")
        raise _Ended

    def work(patched: pytest.MonkeyPatch) -> None:
        with workplace(tmp_path / "a") as folder:
            (folder / "chunk").write_text("")
            made.append(folder)
            patched.setattr(shutil, "rmtree", interrupted)

    with monkeypatch.context() as patched, pytest.raises(_Ended):
        work(patched)
    assert _names(tmp_path) == [made[0].name, f"{made[0].name}~"]
    remove_unfinished()
    assert _names(tmp_path) == []


@pytest.mark.parametrize("renames", [1, 2])
def test_a_signal_between_the_renames_leaves_one_version_whole(
    renames: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.zarr"
    path.mkdir()
    (path / "version").write_text("old")
    rename, done = Path.rename, []

    def interrupted(source: Path, target: Path) -> Path:
        place = rename(source, target)
        done.append(source)
        if len(done) == renames:
            raise _Ended
        return place

    def write() -> None:
        with replaced(path) as part:
            part.mkdir()
            (part / "version").write_text("new")

    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(_Ended):
        write()
    assert (path / "version").read_text() == ("old" if renames == 1 else "new")
    assert _names(tmp_path) == ["a.zarr"]
