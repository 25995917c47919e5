"""Files and folders that appear whole: written beside their place, renamed when done.

What is in the making lies in a hidden folder ``.NAME.part-HOST-PID-RANDOM`` beside its place, so
that a later process can tell what a dead one left from what a living one still writes.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import secrets
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from osm4eo_xr.errors import InputError

_PART = ".part-"
_OLD = ".old-"
_GOING = "~"  # ends the name of what is being removed
_LOST_RACES = 5  # a file that another thread was just about to open appears after the rename
_RANDOM = 4  # bytes by which folders in the making differ
_NO_ROOM = 2**16  # bytes free; a library that fails to write with less has met a full disk
_FULL = (errno.ENOSPC, errno.EDQUOT)
_FULL_TEXTS = ("no space left on device", "disk quota exceeded", "disk is full")

_RACES = (errno.ENOENT, errno.ENOTEMPTY, errno.EEXIST)  # another writer was there in between

_OWNER = re.compile(r".+-\d+-\w+~?")  # HOST-PID-RANDOM; with ~ while it is removed

_unfinished: dict[Path, int] = {}  # folders in the making → process that makes them


@contextmanager
def replaced(path: str | Path) -> Iterator[Path]:
    """Yield where to write a file or folder that takes its place when the block ends.

    An error in the block leaves things as they were. A symlink stays one: what it points to is
    replaced.

    Raises
    ------
    InputError
        If the folder that ``path`` is to lie in does not exist.
    OSError
        With ``errno.ENOSPC`` and the folder's name if the disk is full, whichever library met it.
    """
    path = real_place(path)
    with workplace(path) as folder:
        part = folder / path.name
        yield part
        put(part, path)


def replace_text(path: str | Path, text: str) -> Path:
    """Write a text file (UTF-8), whole or not at all; raises as ``replaced``."""
    with replaced(path) as part:
        part.write_text(text, encoding="utf-8")
    return Path(path)


def replace_json(path: str | Path, tree: object) -> Path:
    """Write plain types as JSON for people to read, whole or not at all; raises as ``replaced``."""
    return replace_text(path, json.dumps(tree, indent=1) + "\n")


@contextmanager
def workplace(path: str | Path) -> Iterator[Path]:
    """Yield a hidden folder beside ``path``, on the same file system; it is gone afterwards.

    What dead processes of this host left beside ``path`` is removed first, or brought back, as
    ``sweep`` does. Raises as ``replaced``.
    """
    path = real_place(path)
    check_folder(path)
    sweep(path)
    with _passing_folder(f".{path.name}{_PART}{_owner()}", path.parent) as folder:
        yield folder


def check_folder(path: Path) -> None:
    """Refuse a path whose folder is not there."""
    if not path.parent.is_dir():
        raise InputError(
            f"no folder {path.parent} to write {path.name} into", advice="make it first"
        )


@contextmanager
def scratch_folder(prefix: str, parent: str | Path | None = None) -> Iterator[Path]:
    """Yield a folder for what only this process needs, by default in ``TMPDIR``; it goes after."""
    with _passing_folder(prefix, None if parent is None else Path(parent)) as folder:
        yield folder


@contextmanager
def _passing_folder(prefix: str, parent: Path | None) -> Iterator[Path]:
    within = Path(parent or tempfile.gettempdir()).absolute()
    folder = within / f"{prefix}{_random()}"
    _unfinished[folder] = os.getpid()  # before it is there: a signal may come in between
    try:
        folder.mkdir(mode=0o700)
    except OSError as error:
        del _unfinished[folder]
        raise OSError(error.errno, os.strerror(error.errno or 0), str(within)) from None
    try:
        yield folder
    except Exception as error:
        if _named_full(error) or not _is_full(error, folder):
            raise
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder.parent)) from error
    finally:
        _remove(folder)
        _unfinished.pop(folder, None)


def _owner() -> str:
    """Return ``HOST-PID-`` of this process."""
    return f"{socket.gethostname()}-{os.getpid()}-"


def _random() -> str:
    return secrets.token_hex(_RANDOM)


def real_place(path: str | Path) -> Path:
    """Return the place that a symlink points to; other paths stay as they are."""
    path = Path(path)
    return path.resolve() if path.is_symlink() else path


def put(part: Path, path: Path) -> None:
    """Rename a whole file or folder to its place; a folder there is swapped for it.

    Of two writers at once the later wins.
    """
    for others in reversed(range(_LOST_RACES)):
        try:
            _swap(part, path)
        except OSError as error:
            if error.errno not in _RACES or not others:
                raise
        else:
            return


def _swap(part: Path, path: Path) -> None:
    if not (part.is_dir() and path.is_dir()):
        os.replace(part, path)  # noqa: PTH105 - replaces, where Path.rename would not
        return
    # Not among the parts: if the process dies between the renames, this is the only version, which
    # the next writer brings back.
    old = path.with_name(f".{path.name}{_OLD}{_owner()}{_random()}")
    try:
        path.rename(old)
        part.rename(path)
    finally:  # also where a signal comes between the renames
        # A part that has gone has been at its place, whoever has moved it aside since.
        if part.exists() and old.exists() and not path.exists():
            with suppress(OSError):  # another writer was there first
                old.rename(path)
        _unfinished[old] = os.getpid()
        _remove(old)
        _unfinished.pop(old, None)


def is_part(entry: Path, path: Path) -> bool:
    """Whether an entry has the name of something that this package had in the making for a path."""
    owner = entry.name.removeprefix(f".{path.name}{_PART}")
    return owner != entry.name and _OWNER.fullmatch(owner) is not None


def remove_part(entry: Path) -> None:
    """Remove what ``is_part`` told of; of a symlink, the link."""
    if entry.is_symlink():
        entry.unlink(missing_ok=True)
    else:
        _remove(entry)


def sweep(path: Path) -> None:
    """Remove what processes of this host that are dead left of ``path`` in the making.

    One that died while it swapped a folder left the only version aside: that is brought back.
    """
    part, old = (f".{path.name}{kind}" for kind in (_PART, _OLD))
    for entry in list(path.parent.iterdir()):
        prefix = old if entry.name.startswith(old) else part
        if not (entry.name.startswith(prefix) and _is_orphan(entry.name.removeprefix(prefix))):
            continue
        whole = prefix == old and not entry.name.endswith(_GOING)
        if whole and not path.exists():
            entry.rename(path)
        else:
            _remove(entry)


def sweep_below(folder: Path) -> None:
    """Remove what others had in the making anywhere below a folder that this process alone holds.

    Also beside what became whole: a process may die between putting a product to its place and
    removing the folder it was made in, and nobody writes that product again.
    """
    for entry in list(folder.rglob(f".*{_PART}*")):
        if _OWNER.fullmatch(entry.name.rpartition(_PART)[2]):
            remove_part(entry)


def _is_orphan(owner: str) -> bool:
    """Whether HOST-PID-RANDOM names a process of this host that is no more."""
    host, _, rest = owner.rpartition("-")[0].rpartition("-")
    if host != socket.gethostname() or not rest.isdigit():
        return False
    try:
        os.kill(int(rest), 0)
    except ProcessLookupError:
        return True
    except OSError:  # it lives and is somebody else's
        return False
    return False


def remove_unfinished() -> None:
    """Remove all that this process has in the making; for a process about to end."""
    for folder, owner in list(_unfinished.items()):
        if owner == os.getpid():
            _remove(folder)


def _remove(folder: Path) -> None:
    """Remove a folder, also while others still write into it by its name, or remove it as well."""
    # Renamed first: a thread that writes faster than its files are removed would win each race.
    gone = folder.with_name(f"{folder.name}{_GOING}")
    with suppress(OSError):
        folder.rename(gone)
    # Both names: a thread that a signal ends may have come as far as the renaming, and a writer may
    # have made the first one anew.
    for left in (gone, folder):
        for _ in range(_LOST_RACES):
            if not left.is_dir():
                break
            shutil.rmtree(left, ignore_errors=True)
        with suppress(OSError):
            left.unlink(missing_ok=True)


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal digits, read in bounded memory."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def stamp_of(path: Path) -> list[int]:
    """Return size and time of a file, which change with its content."""
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]


def full_disk(error: BaseException) -> bool:
    """Whether an error, or one that it came from, says that a disk or quota is full."""
    seen: BaseException | None = error
    while seen is not None:
        if getattr(seen, "errno", None) in _FULL:
            return True
        if any(text in str(seen).lower() for text in _FULL_TEXTS):
            return True
        seen = seen.__cause__ or seen.__context__
    return False


def _named_full(error: BaseException) -> bool:
    """Whether an error says already which place is full."""
    return isinstance(error, OSError) and error.errno in _FULL and error.filename is not None


def _is_full(error: BaseException, folder: Path) -> bool:
    """Whether an error tells that the disk of a folder is full, if only by the disk itself."""
    if isinstance(error, InputError) or not folder.is_dir():
        return False
    room = shutil.disk_usage(folder).free
    return room < _NO_ROOM or (full_disk(error) and room < 2**24)
