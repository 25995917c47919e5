"""The ledger of a run: which piece was made from what, and whether it is still whole."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
from collections.abc import Container, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

from odc.geo.geobox import GeoBox

from osm4eo_xr.cogs.sidecars import sidecars_of
from osm4eo_xr.country.input_files import LOOKED_AT, files_in, files_of_input, hash_of_content
from osm4eo_xr.country.ledger_file import LEDGER_FILE, read_tree, set_aside, write_tree
from osm4eo_xr.errors import InputError
from osm4eo_xr.files import is_part, remove_part, sha256_of, stamp_of
from osm4eo_xr.geometry.grid import grid_text
from osm4eo_xr.names import OWN_WORDS

_LEFT = "but for figures "  # before the hash of an item that another piece puts figures into
_NO_LOCKS = (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK)
_LEFT_BEFORE = "changed later"  # of older ledgers, which hold no hash of it


class Ledger:
    """Records of finished pieces in ``ledger.json``, replaced whole after each entry.

    Parameters
    ----------
    folder : Path
        The folder of the results.
    hashing : bool
        Read input files that no run has read yet, whatever their size.
    verify : bool
        Trust no file's size and time: read each input and product once and compare its hash.
    """

    def __init__(self, folder: Path, *, hashing: bool = True, verify: bool = False) -> None:
        self._path = folder / LEDGER_FILE
        self._folder = folder
        self._hashing = hashing
        self._verify = verify
        self._hashes: dict[Path, tuple[list[int], str]] = {}
        self._pieces: dict[str, dict[str, Any]] = {}
        self._inputs: dict[str, dict[str, Any]] = {}
        self._used: set[str] = set()
        self._read: set[Path] = set()
        self._begun: dict[str, list[str]] = {}
        self._left: set[Path] = set()
        self._take_up(read_tree(self._path))

    def read(self) -> None:
        """Take up what the file says; another run may have written it meanwhile.

        A file that is no ledger is renamed, so that somebody can look at it, and all is made again.
        """
        tree = read_tree(self._path)
        if tree is None:
            set_aside(self._path)
        self._take_up(tree)

    def _take_up(self, tree: dict[str, Any] | None) -> None:
        tree = tree or {}
        self._pieces = tree.get("pieces", {})
        self._begun = tree.get("begun", {})
        self._inputs = tree.get("inputs", {}) | {k: self._inputs[k] for k in self._used}
        self._sizes = {known["stamp"][0] for known in self._inputs.values()}

    def fingerprint(self, path: Path) -> str:
        """Return the SHA-256 of an input file; read again only if its size or time changed.

        A folder, and a file that others are read with (``files_of_input``), have a hash over the
        names and hashes of all of them.

        Without ``hashing`` a file that no run has read yet is not read here either, unless a run
        read another of its size, which it may be under a new name: from any other nothing can have
        been made, so a plan needs no hash of a country's worth of scenes.

        Raises
        ------
        InputError
            If there is no such file.
        """
        if not path.exists():
            raise InputError(f"no file {path}", advice="correct its path in the country file")
        files, folder = files_of_input(path)
        return self._hash_of(path) if files == [path] else self._joint_hash(files, folder)

    def _joint_hash(self, files: Iterable[Path], folder: Path) -> str:
        """Return one hash over files, named from a folder."""
        parts = [f"{os.path.relpath(file, folder)} {self._hash_of(file)}" for file in files]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def _hash_of(self, path: Path) -> str:
        """Return the SHA-256 of one input file as ``fingerprint`` does."""
        stamp, name = stamp_of(path), os.path.relpath(path, self._folder)
        known = self._inputs.get(name)
        self._read.add(path.resolve())
        if known is None and not self._hashing and stamp[0] not in self._sizes:
            return "not read yet"
        if known is None or not self._trusts(known, stamp):
            known = {"stamp": stamp, "sha256": self._hash(path, stamp, known)}
            self._inputs[name] = known
        self._used.add(name)
        return known["sha256"]

    def reads(self, path: Path) -> bool:
        """Whether a file is an input of this run."""
        return path.resolve() in self._read

    def is_whole(self, piece: str, key: str, outputs: Sequence[Path]) -> bool:
        """Whether a piece was made from exactly this and all its files are as they were left.

        Outputs that it did not leave, such as a map that has another name by now, are still to be
        made.
        """
        record = self._pieces.get(piece)
        if record is None or record["key"] != key:
            return False
        left = {place for name in record["files"] for place in (Path(name), *Path(name).parents)}
        if not left.issuperset(output.relative_to(self._folder) for output in outputs):
            return False
        return all(self._is_unchanged(name, seen) for name, seen in record["files"].items())

    def _is_unchanged(self, name: str, seen: dict[str, Any]) -> bool:
        path = self._folder / name
        if not path.is_file():
            return False
        if seen["sha256"] == _LEFT_BEFORE:
            return True
        if seen["sha256"].startswith(_LEFT):
            return seen["sha256"] == _hash_but_for_figures(path)
        stamp = stamp_of(path)
        if self._trusts(seen, stamp):
            return True
        if self._hash(path, stamp, seen) != seen["sha256"]:
            return False
        seen["stamp"] = stamp  # of a folder that was copied: it is read once, not by each run
        return True

    def _trusts(self, seen: dict[str, Any], stamp: list[int]) -> bool:
        return not self._verify and seen["stamp"] == stamp

    def _hash(self, path: Path, stamp: list[int], before: dict[str, Any] | None) -> str:
        """Return a file's hash; read once by this ledger, unless its size or time changes.

        Older ledgers have the hash of all bytes, which stands as long as these are the same.
        """
        known = self._hashes.get(path)
        if known is None or known[0] != stamp:
            known = self._hashes[path] = (stamp, hash_of_content(path))
        if before and known[1].startswith(LOOKED_AT) and sha256_of(path) == before["sha256"]:
            return before["sha256"]
        return known[1]

    def leave(self, files: Iterable[Path]) -> None:
        """Hold pieces to what these items beside their products say but for the package's figures.

        The piece that puts figures into them names them as outputs and is held to their content.
        """
        self._left = set(files)

    def begin(self, piece: str, outputs: Sequence[Path]) -> None:
        """Enter what a piece is about to write, so that a later run knows its left-overs."""
        self._begun[piece] = [self._name_of(output) for output in outputs]
        self.save()

    def sweep(self) -> None:
        """Remove what a run that was killed left half-made; nobody else works in the folder."""
        for names in self._begun.values():
            for name in names:
                _remove_remains(self._folder / name, self._folder)
        self._begun = {}

    def _name_of(self, output: Path) -> str:
        """Return a product's path from the ledger's folder, which it never leaves."""
        return str(output.relative_to(self._folder))

    def record(self, piece: str, key: str, outputs: Sequence[Path]) -> None:
        """Enter a finished piece with the hashes of its files."""
        files = [
            f for out in outputs for f in (files_in(out) if out.is_dir() else _with_sidecars(out))
        ]
        left, before = self._left - set(outputs), self._pieces.get(piece, {})
        names = [self._name_of(output) for output in outputs]
        earlier = dict.fromkeys([*before.get("earlier", []), *before.get("outputs", [])])
        self._pieces[piece] = {
            "key": key,
            "outputs": names,
            "earlier": [n for n in earlier if n not in names and (self._folder / n).exists()],
            "files": {
                self._name_of(f): {
                    "stamp": stamp_of(f),
                    "sha256": _hash_but_for_figures(f) if f in left else hash_of_content(f),
                }
                for f in files
            },
        }
        self._begun.pop(piece, None)
        self.save()

    def left_over(self, pieces: Container[str], needed: Container[Path]) -> tuple[str, ...]:
        """Return what pieces left in the folder that none makes by now, unless it is an input.

        What lies beside a raster comes and goes with it and is not named.

        Parameters
        ----------
        pieces : container of str
            Names of all pieces that there are by now.
        needed : container of Path
            Products that these make or read.
        """
        names = {
            name
            for piece, record in self._pieces.items()
            for name in _left_by(record, current=piece in pieces)
        }
        places = {name: self._folder / name for name in sorted(names)}
        beside = {file for place in places.values() for file in sidecars_of(place)}
        return tuple(
            name
            for name, place in places.items()
            if place.exists()
            and place not in needed
            and place not in beside
            and not self.reads(place)
        )

    def save(self) -> None:
        """Write the ledger beside its place and rename it."""
        tree = {"pieces": self._pieces, "begun": self._begun, "inputs": self._inputs}
        write_tree(tree, self._path)

    def inputs(self) -> dict[str, str]:
        """SHA-256 of each input file of this run, by its path from the ledger's folder."""
        return {name: self._inputs[name]["sha256"] for name in sorted(self._used)}


def key_of(*parts: Any) -> str:
    """Return one hash over settings, input hashes and the keys of other pieces.

    Raises
    ------
    TypeError
        If a part is of a type whose text may be another in another process.
    """
    text = json.dumps(parts, sort_keys=True, default=_text_of)
    return hashlib.sha256(text.encode()).hexdigest()


def _text_of(part: object) -> str:
    if isinstance(part, GeoBox):
        return grid_text(part)
    if isinstance(part, Path | date):
        return str(part)
    raise TypeError(f"{type(part).__name__} in a key: give what states it in each process")


@contextmanager
def only_run(folder: Path) -> Iterator[None]:
    """Hold the folder for this run alone; the lock ends with the process, however it ends.

    Raises
    ------
    InputError
        If another run holds it, or its file system has no locks.
    """
    with (folder / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(
                f"another run is working in {folder}", advice="wait for it or choose another folder"
            ) from None
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            raise InputError(
                f"no locks on the file system of {folder} ({error.strerror}), so that two runs "
                "might share it",
                advice="work on another, or have it mounted with locks (Lustre: option flock)",
            ) from None
        yield


def _remove_remains(output: Path, folder: Path) -> None:
    """Remove a product's parts, under the names that writers give them, below the folder alone."""
    parent = output.parent
    if not parent.is_dir() or not parent.resolve().is_relative_to(folder.resolve()):
        return
    for entry in list(parent.iterdir()):
        if is_part(entry, output):
            remove_part(entry)


def _hash_but_for_figures(item: Path) -> str:
    """Return the hash of a STAC item without the package's own properties, named as that."""
    text = item.read_bytes()
    try:
        tree = json.loads(text)
        said = {k: v for k, v in tree["properties"].items() if not k.startswith(OWN_WORDS)}
        text = json.dumps(tree | {"properties": said}, sort_keys=True).encode()
    except (ValueError, LookupError, TypeError, AttributeError):
        pass  # what is no item has its own hash
    return _LEFT + hashlib.sha256(text).hexdigest()


def _left_by(record: dict[str, Any], *, current: bool) -> Iterator[str]:
    """Yield the products that a record names; older ledgers have nothing but their files."""
    yield from record.get("earlier", [])
    yield from record.get("outputs", [] if current else record["files"])


def _with_sidecars(path: Path) -> list[Path]:
    return [path, *(p for p in sidecars_of(path) if p.is_file())]
