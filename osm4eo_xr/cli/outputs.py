"""What a command writes: refused if it would eat an input, then put in place all at once."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from osm4eo_xr.errors import InputError
from osm4eo_xr.files import check_folder, put, real_place, workplace
from osm4eo_xr.geometry.vectors import VECTOR_SUFFIXES
from osm4eo_xr.progress import OUT
from osm4eo_xr.rasters.companions import read_with


@dataclass(frozen=True)
class Kind:
    """One kind of output.

    Attributes
    ----------
    name : str
        What it is, with its article.
    suffixes : tuple of str
        How a file of it ends; a folder may also have no suffix.
    marker : str
        The file that tells a folder of this kind; empty for files.
    makes_folders : bool
        Whether folders that are missing above it are made with it.
    """

    name: str
    suffixes: tuple[str, ...] = ()
    marker: str = ""
    makes_folders: bool = False


RASTER = Kind("a GeoTIFF", (".tif", ".tiff"))
VECTOR = Kind("a vector file", VECTOR_SUFFIXES)
GEOJSON = Kind("a GeoJSON file", (".geojson",))
REPORT = Kind("a JSON report", (".json",), makes_folders=True)
SETTINGS = Kind("a TOML file", (".toml",))
PICTURE = Kind("a picture", (".png", ".jpg", ".pdf", ".svg"))
PAGE = Kind("a web page", (".html",))
DESIGN = Kind("a sampling design", marker="design.json")
AREAS = Kind("a folder of land use", marker="_landuse.json")
SAMPLES = Kind("a sample set", (".zarr",), marker="zarr.json", makes_folders=True)
MODEL = Kind("a model folder", marker="model.json", makes_folders=True)
VIEWER = Kind("a viewer", marker="viewer.json")
RUN = Kind("a training run", marker="run.json", makes_folders=True)

Asked = Sequence[tuple[Path | None, Kind]]

_FORMATS = {*RASTER.suffixes, *VECTOR.suffixes, *REPORT.suffixes, *PICTURE.suffixes, *PAGE.suffixes}
_FORMATS |= {".zarr", ".nc", ".pbf", ".osm", ".jp2", ".vrt", ".toml", ".h5", ".zip"}


@contextmanager
def outputs(
    asked: Asked, inputs: Iterable[Path | None], *, overwrite: bool
) -> Iterator[Callable[[Path], Path]]:
    """Check a command's outputs and yield a function that says where each is to be written.

    When the block ends all of them take their places and are named on standard output; after an
    error none does.

    Raises
    ------
    InputError
        As ``check_outputs``.
    """
    check_outputs(asked, inputs, overwrite=overwrite)
    paths = [path for path, _ in asked if path is not None]
    with ExitStack() as stack:
        parts = {p: stack.enter_context(workplace(p)) / real_place(p).name for p in paths}
        yield parts.__getitem__
        made = {path: part for path, part in parts.items() if part.exists()}
        for path, part in made.items():
            _settle(part, real_place(path))
    for path in made:
        OUT.print(str(path), soft_wrap=True, highlight=False)


def _settle(part: Path, path: Path) -> None:
    """Put a whole output and what lies beside it in place; side files of an older one go."""
    beside = [entry for entry in part.parent.iterdir() if entry != part]
    if part.suffix.lower() in RASTER.suffixes:
        fresh = {entry.name for entry in beside}
        for old in side_files(path):
            if old.name not in fresh:
                old.unlink(missing_ok=True)
    for entry in (*beside, part):
        put(entry, path.with_name(entry.name))


def side_files(raster: Path) -> tuple[Path, ...]:
    """Return the places of all files that are written beside a raster."""
    from osm4eo_xr.cogs.sidecars import sidecars_of

    return sidecars_of(raster)


def check_outputs(asked: Asked, inputs: Iterable[Path | None], *, overwrite: bool) -> None:
    """Refuse outputs that cannot be written, eat an input or each other, or replace a file.

    Parameters
    ----------
    asked : sequence of (Path or None, Kind)
        What is to be written; None where it is not asked for.
    inputs : iterable of Path or None
        Files and folders that the command reads.
    overwrite : bool
        Whether other existing files may be replaced.

    Raises
    ------
    InputError
        If an input is a pipe or a device.
        If a path has the suffix of another format, is a folder where a file is due or the other
        way round, is an input or one of its side files (by inode or real path), or exists. If
        there is no folder to write it into.
    """
    wanted = [(path, kind) for path, kind in asked if path is not None]
    read = [path for path in inputs if path is not None]
    for path in read:
        _check_readable(path)
    for path, kind in wanted:
        _check_form(path, kind)
    _check_apart(wanted)
    for path, kind in wanted:
        there = [file for file in _written(path, kind) if file.exists()]
        if there:
            _check_no_input(path, there, read)
        if not overwrite:
            _check_free(path, kind, there)
        _check_place(real_place(path), kind)


def _check_readable(path: Path) -> None:
    """Refuse pipes and devices, on which libraries wait for ever."""
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise InputError(
            f"{path} is a pipe or a device",
            expected="a file or folder",
            advice="write what it gives to a file first",
        )


def _check_form(path: Path, kind: Kind) -> None:
    """Refuse a name or a thing in its place that is not of the kind."""
    suffix = path.suffix.lower()
    if not kind.marker:
        if path.is_dir():
            raise InputError(
                f"{path} is a folder", expected=kind.name, advice="give the name of a file"
            )
        if suffix not in kind.suffixes:
            raise InputError(
                f"{path} is to be {kind.name}", advice=f"end it in {' or '.join(kind.suffixes)}"
            )
        if path.exists() and not path.is_file():
            raise InputError(
                f"{path} is not a regular file",
                expected="one that can be replaced",
                advice="give another name",
            )
        return
    if path.name in ("", ".."):  # a folder is made beside its place and takes it
        raise InputError(
            f"{path} is to be {kind.name}, which needs a name", advice="give the name of a folder"
        )
    if suffix in _FORMATS - set(kind.suffixes) or path.is_file():
        raise InputError(f"{path} is to be {kind.name}", advice="give the name of a folder")
    if path.is_dir() and any(path.iterdir()) and not (path / kind.marker).is_file():
        raise InputError(f"{path} exists and is not {kind.name}", advice="give another folder")


def _check_apart(wanted: Sequence[tuple[Path, Kind]]) -> None:
    """Refuse outputs that would replace each other or each other's side files."""
    places = [{p.resolve() for p in _written(path, kind)} for path, kind in wanted]
    for k, (path, _) in enumerate(wanted):
        for other, taken in zip(wanted[:k], places[:k], strict=True):
            if any(_within(a, b) or _within(b, a) for a in places[k] for b in taken):
                raise InputError(
                    f"{path} and {other[0]} would replace each other", advice="name them apart"
                )


def _check_no_input(path: Path, there: list[Path], read: list[Path]) -> None:
    """Refuse to write over what the command reads."""
    for source in read:
        for held in read_with(source):
            if any(_eats(file, held) for file in there):
                beside = "" if held == source else f" ({held.name})"
                raise InputError(
                    f"{path} would replace {source}{beside}, which this command reads",
                    advice="give another name",
                )


def _check_free(path: Path, kind: Kind, there: list[Path]) -> None:
    """Refuse to replace what exists; an empty folder may be filled."""
    for file in there:
        if not (kind.marker and file.is_dir() and not any(file.iterdir())):
            own = file.name == real_place(path).name
            taken = path if own else f"{file.name}, a side file of {path},"
            raise InputError(f"{taken} exists already", advice="give another name or --overwrite")


def _check_place(path: Path, kind: Kind) -> None:
    """Refuse a place that has no folder, or below which none can be made."""
    if not kind.makes_folders:
        check_folder(path)
    above = next(place for place in path.absolute().parents if place.exists())
    if not (above.is_dir() and os.access(above, os.W_OK | os.X_OK)):
        raise InputError(
            f"{path} cannot be written: {above} is no folder that may be written into",
            advice="give another place",
        )


def _written(path: Path, kind: Kind) -> tuple[Path, ...]:
    real = real_place(path)
    return (real, *(side_files(real) if kind is RASTER else ()))


def _eats(file: Path, source: Path) -> bool:
    """Whether replacing an existing file or folder takes an input or a part of it away."""
    if not source.exists():
        return False
    return (
        file.samefile(source)
        or _within(source.resolve(), file.resolve())
        or (source.is_dir() and _within(file.resolve(), source.resolve()))
    )


def _within(path: Path, folder: Path) -> bool:
    return path == folder or folder in path.parents
