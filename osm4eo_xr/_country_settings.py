"""What a country file may say: a frozen tree of settings, checked key by key."""

from __future__ import annotations

import dataclasses
import difflib
import tomllib
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Literal

from osm4eo_xr.errors import InputError


def _check(holds: bool, key: str, value: object, expected: str) -> None:  # noqa: FBT001 - reads as a sentence
    if not holds:
        raise InputError(f"{key} = {value!r}; expected {expected}")


def _check_date(text: str, key: str) -> None:
    try:
        date.fromisoformat(text or "2000-01-01")
    except ValueError:
        raise InputError(f"{key} = {text!r}; expected a day, YYYY-MM-DD") from None


@dataclass(frozen=True)
class SceneFiles:
    """``[[scenes]]``: one tile, or one tile per file of a glob.

    Attributes
    ----------
    files : tuple of str
        Paths or globs, relative to the country file.
    tile : str
        Id of the tile; left out, every file is a tile called after its stem.
    date : str
        Day of acquisition, YYYY-MM-DD; left out, the country's.
    """

    files: tuple[str, ...]
    tile: str = ""
    date: str = ""

    def __post_init__(self) -> None:
        _check(bool(self.files), "scenes.files", self.files, "at least one path or glob")
        _check_date(self.date, "scenes.date")


@dataclass(frozen=True)
class LabelFiles:
    """``[labels]``: an OpenStreetMap extract, or class rasters.

    Attributes
    ----------
    osm : str
        Path of an .osm.pbf extract.
    rasters : tuple of str
        Class rasters that cover the tiles, one per tile, in the order of the tiles.
    """

    osm: str = ""
    rasters: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        one = bool(self.osm) != bool(self.rasters)
        _check(one, "labels", (self.osm, *self.rasters), "either osm or rasters")


@dataclass(frozen=True)
class Boundary:
    """``[boundary]``: where the map ends.

    Attributes
    ----------
    file : str
        Vector file.
    country : str
        Code, ISO code or name; picks that country's polygons from ``file``.
    """

    file: str = ""
    country: str = ""

    def __post_init__(self) -> None:
        _check(bool(self.file) or not self.country, "boundary.file", self.file, "a vector file")


@dataclass(frozen=True)
class Sampling:
    """``[samples]``.

    Attributes
    ----------
    per_class : int
        Pixels to draw per class and tile.
    patch : int
        Edge of the windows in pixels.
    """

    per_class: int = 5000
    patch: int = 32

    def __post_init__(self) -> None:
        _check(self.per_class > 0, "samples.per_class", self.per_class, "a positive number")
        _check(self.patch > 0, "samples.patch", self.patch, "a positive number of pixels")


@dataclass(frozen=True)
class Training:
    """``[train]``; what ``TrainSettings`` takes.

    Attributes
    ----------
    depth : int
        Layers of the network, 9n+2.
    mode : {"dense", "window"}
        Whether each pixel of a window is learned or its centre.
    epochs : int
        Passes over the samples.
    """

    depth: int = 29
    mode: Literal["dense", "window"] = "dense"
    epochs: int = 30

    def __post_init__(self) -> None:
        _check((self.depth - 2) % 9 == 0 and self.depth > 2, "train.depth", self.depth, "9n+2")  # noqa: PLR2004
        _check(self.epochs > 0, "train.epochs", self.epochs, "a positive number")


@dataclass(frozen=True)
class Inference:
    """``[classify]``.

    Attributes
    ----------
    model : str
        Folder of a trained model; left out, one is trained from the labels.
    pixels_per_second : float
        Speed of one device, for the plan's estimate; a CPU of two cores does 150,000.
    """

    model: str = ""
    pixels_per_second: float = 150_000.0

    def __post_init__(self) -> None:
        speed = self.pixels_per_second
        _check(speed > 0, "classify.pixels_per_second", speed, "a positive number")


@dataclass(frozen=True)
class Joining:
    """``[mosaic]``.

    Attributes
    ----------
    rule : {"majority", "confidence", "first"}
        Who wins where tiles overlap; "confidence" classifies each tile twice.
    """

    rule: Literal["majority", "confidence", "first"] = "majority"


@dataclass(frozen=True)
class Sieving:
    """``[sieve]``.

    Attributes
    ----------
    size : int
        Smallest region that is kept, in pixels.
    connectivity : {4, 8}
        Neighbours of a pixel.
    when : {"after", "before", "never"}
        After the mosaic (no seams between tiles), before it (tile by tile), or never.
    """

    size: int = 64
    connectivity: Literal[4, 8] = 8
    when: Literal["after", "before", "never"] = "after"

    def __post_init__(self) -> None:
        _check(self.size > 0, "sieve.size", self.size, "a positive number of pixels")


@dataclass(frozen=True)
class Layer:
    """``[[layers]]``: one layer of the final map.

    Attributes
    ----------
    classes : tuple of str
        Slugs, names, ids or ``"clc:NN"``.
    codes : {"id", "clc", "mask"}
        What its pixels hold.
    vector : {"", "gpkg", "parquet"}
        Also write polygons, in this format.
    min_area : float
        Smallest patch, m².
    simplify : float
        Tolerance of the polygons' outlines, m.
    """

    classes: tuple[str, ...]
    codes: Literal["id", "clc", "mask"] = "id"
    vector: Literal["", "gpkg", "parquet"] = ""
    min_area: float = 0.0
    simplify: float = 0.0

    def __post_init__(self) -> None:
        _check(bool(self.classes), "layers.classes", self.classes, "at least one class")
        _check(self.min_area >= 0, "layers.min_area", self.min_area, "m², 0 or more")
        _check(self.simplify >= 0, "layers.simplify", self.simplify, "m, 0 or more")


@dataclass(frozen=True)
class CountrySettings:
    """A country file.

    Attributes
    ----------
    name : str
        Name of the run, for the report.
    scenes : tuple of SceneFiles
        The tiles.
    out : str
        Folder of the results, relative to the country file.
    date : str
        Day or first day of the imagery, YYYY-MM-DD; STAC items carry it.
    seed : int
        Of every random choice.
    legend : str
        Legend file; left out, the twelve classes of OSMlanduse.
    cluster : str
        Name or file of a cluster; left out, threads of this machine.
    labels, boundary, samples, train, classify, mosaic, sieve, layers
        Tables of the same names.
    """

    name: str
    scenes: tuple[SceneFiles, ...]
    out: str = "result"
    date: str = ""
    seed: int = 0
    legend: str = ""
    cluster: str = ""
    labels: LabelFiles | None = None
    boundary: Boundary = field(default_factory=Boundary)
    samples: Sampling = field(default_factory=Sampling)
    train: Training = field(default_factory=Training)
    classify: Inference = field(default_factory=Inference)
    mosaic: Joining = field(default_factory=Joining)
    sieve: Sieving = field(default_factory=Sieving)
    layers: tuple[Layer, ...] = (Layer(classes=("water",), vector="gpkg"),)

    def __post_init__(self) -> None:
        _check(bool(self.scenes), "scenes", self.scenes, "at least one [[scenes]] table")
        _check_date(self.date, "date")
        learns = bool(self.labels) or bool(self.classify.model)
        _check(learns, "labels", "nothing", "[labels] to learn from, or a model in [classify]")


def read_country(path: str | Path) -> CountrySettings:
    """Read a country file.

    Raises
    ------
    InputError
        If it is missing or no TOML, or if a key is unknown, missing or wrong; the message names
        the key and, for an unknown one, the nearest that exists.
    """
    path = Path(path)
    try:
        tree = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"no country file {path}; give the path of a TOML file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not a TOML file: {error}") from None
    return _build(CountrySettings, tree, path.name, "")


def _build(cls: type, table: Mapping[str, Any], file: str, where: str) -> Any:
    """Turn a table into a settings class."""
    known = {f.name: f for f in dataclasses.fields(cls)}
    for key in table:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]!r}?" if near else f"it may hold {', '.join(known)}"
            raise InputError(f"{file}: unknown key {where}{key}; {hint}")
    required = [n for n, f in known.items() if _is_required(f) and n not in table]
    if required:
        raise InputError(f"{file}: key {where}{required[0]} is missing; {cls.__name__} needs it")
    hints = typing.get_type_hints(cls)
    values = {k: _convert(hints[k], v, file, f"{where}{k}") for k, v in table.items()}
    try:
        return cls(**values)
    except InputError as error:
        raise InputError(f"{file}: {error}") from None


def _is_required(item: dataclasses.Field[Any]) -> bool:
    missing = dataclasses.MISSING
    return item.default is missing and item.default_factory is missing


def _convert(hint: Any, value: Any, file: str, where: str) -> Any:
    """Check one value against its annotation."""
    if isinstance(hint, types.UnionType):
        hint = next(a for a in typing.get_args(hint) if a is not types.NoneType)
    if dataclasses.is_dataclass(hint):
        if not isinstance(value, Mapping):
            raise InputError(f"{file}: {where} = {value!r} is not a table; write [{where}]")
        return _build(typing.cast("type", hint), value, file, f"{where}.")
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        if value not in arguments:
            allowed = ", ".join(repr(a) for a in arguments)
            raise InputError(f"{file}: {where} = {value!r}; choose one of {allowed}")
        return value
    if origin is tuple:
        items = value if isinstance(value, list) else [value]
        return tuple(_convert(arguments[0], item, file, where) for item in items)
    return _convert_plain(hint, value, file, where)


def _convert_plain(hint: type, value: Any, file: str, where: str) -> Any:
    """Check text and numbers; a day may be written as TOML's own date."""
    if hint is str and isinstance(value, date):
        return value.isoformat()[:10]
    accepted = (int, float) if hint is float else hint
    if not isinstance(value, accepted) or isinstance(value, bool):
        raise InputError(f"{file}: {where} = {value!r} is not of type {hint.__name__}; correct it")
    return hint(value)
