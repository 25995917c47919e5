"""What a catalog's item says of a model, read strictly: catalogs are written by others."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from osm4eo_xr.errors import InputError
from osm4eo_xr.models.applicability import ARRAYS_FILE, FACTS_FILE
from osm4eo_xr.models.exchange.model_names import check_model_name
from osm4eo_xr.models.model_folder import CARD_FILE, JSON_FILE, WEIGHTS_FILE
from osm4eo_xr.names import OWN_WORDS
from osm4eo_xr.settings_io import build

FILES = {
    "weights": WEIGHTS_FILE,
    "record": JSON_FILE,
    "applicability": ARRAYS_FILE,
    "applicability_facts": FACTS_FILE,
    "card": CARD_FILE,
}
"""Assets of an item and the files that they are; no other name is read or written."""

NEEDED = ("weights", "record", "card")
"""Assets that every item has."""

MULTIHASH = "1220"
"""Before a SHA-256 in hexadecimal digits, in the words of STAC's file extension."""

_SHA256 = re.compile(r"[0-9a-f]{64}")
_LICENSE = re.compile(r"[A-Za-z0-9(][A-Za-z0-9.+() -]{0,98}")
_HREF = "./"


def check_license(text: str) -> str:
    """Return a license by its SPDX expression, or ``other``; refuse what cannot be one."""
    if not _LICENSE.fullmatch(text):
        raise InputError(
            f"license {text!r}",
            expected="an SPDX expression such as MIT or CC-BY-4.0, or other",
        )
    return text


@dataclass(frozen=True)
class ModelFile:
    """One file of a model: its name, its bytes and their SHA-256."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class ModelAccuracy:
    """How right a model's maps are, as far as whoever published it says.

    Attributes
    ----------
    of : str
        What was compared with what.
    value, low, high : float
        Overall accuracy, 0 to 1, and its 95 % interval; None where there is none.
    interval : str
        How the interval was made.
    total : int
        Pixels or points that were compared.
    caution : str
        What a reader of the figure has to know.
    classes : mapping
        By class slug: producer's and user's accuracy, 0 to 1, or None.

    Examples
    --------
    >>> import osm4eo_xr as oxr
    >>> oxr.ModelAccuracy("held-out blocks", 0.913, 4000, low=0.88, high=0.94).percent()
    '91.3 % (88.0-94.0)'
    """

    of: str
    value: float
    total: int
    low: float | None = None
    high: float | None = None
    interval: str = ""
    caution: str = ""
    classes: Mapping[str, Mapping[str, float | None]] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        shares = (self.value, self.low, self.high)
        if not all(0 <= share <= 1 for share in shares if share is not None):
            raise InputError(f"accuracy {shares}", expected="shares of 0 to 1")

    def percent(self) -> str:
        """Write value and interval for people."""
        if self.low is None or self.high is None:
            return f"{100 * self.value:.1f} %"
        return f"{100 * self.value:.1f} % ({100 * self.low:.1f}-{100 * self.high:.1f})"


@dataclass(frozen=True)
class ModelEntry:
    """A model as its item in a catalog describes it.

    Attributes
    ----------
    name : str
        Its name in the catalog.
    title, description : str
        For people.
    license : str
        SPDX expression.
    digest : str
        SHA-256 over what decides the model's maps, as ``Model.digest``.
    bands : tuple of str
        Common names of its input features, in order.
    units : str
        Unit of the scenes that it takes.
    classes : tuple of str
        Slugs of the classes that it gives.
    geometry : mapping or None
        Where it was trained, as GeoJSON; None if nobody says.
    area_km2 : float or None
        Area of that ground.
    accuracy : ModelAccuracy or None
        None if nobody measured it.
    applicability : str
        What was measured of where it applies; empty if that was not fitted.
    files : tuple of ModelFile
        What is fetched.
    place : str
        Path or address of the item.

    Examples
    --------
    >>> import osm4eo_xr as oxr
    >>> from osm4eo_xr.demo import example_model
    >>> _ = oxr.push_model(example_model(), "catalog", name="untrained", license="MIT")
    >>> [entry] = oxr.read_model_catalog("catalog")
    >>> entry.bands, entry.classes[-1], [file.name for file in entry.files]
    (('red', 'nir'), 'water', ['weights.safetensors', 'model.json', 'MODEL_CARD.md'])
    """

    name: str
    title: str
    description: str
    license: str
    digest: str
    bands: tuple[str, ...]
    units: str
    classes: tuple[str, ...]
    geometry: Mapping[str, Any] | None = field(repr=False)
    area_km2: float | None
    accuracy: ModelAccuracy | None
    applicability: str
    files: tuple[ModelFile, ...] = field(repr=False)
    place: str

    @property
    def size(self) -> int:
        """Bytes of all its files."""
        return sum(file.size for file in self.files)


@dataclass(frozen=True)
class _Properties:
    """What is read of an item's properties."""

    title: str
    license: str
    digest: str = field(metadata={"key": f"{OWN_WORDS}digest"})
    units: str = field(metadata={"key": f"{OWN_WORDS}units"})
    description: str = ""
    area_km2: float | None = field(default=None, metadata={"key": f"{OWN_WORDS}area_km2"})
    accuracy: ModelAccuracy | None = field(default=None, metadata={"key": f"{OWN_WORDS}accuracy"})
    applicability: str = field(default="", metadata={"key": f"{OWN_WORDS}applicability"})

    def __post_init__(self) -> None:
        check_license(self.license)
        if not _SHA256.fullmatch(self.digest):
            raise InputError(
                f"{OWN_WORDS}digest is {self.digest!r}", expected="64 hexadecimal digits"
            )


def read_entry(item: Mapping[str, Any], place: str) -> ModelEntry:
    """Read an item of a catalog.

    Raises
    ------
    InputError
        If it is none of a model, its name or a link leads out of its folder, or a hash or a size
        is missing. The message begins with the item's place.
    """
    if item.get("type") != "Feature" or not isinstance(item.get("properties"), Mapping):
        raise InputError(f"{place} is no STAC item", advice="give a catalog or an item of it")
    keys = {f.metadata.get("key", f.name) for f in dataclasses.fields(_Properties)}
    known = {k: v for k, v in item["properties"].items() if k in keys}
    stated = build(_Properties, known, place)
    try:
        name = check_model_name(item.get("id"))
        bands, classes = _bands(item["properties"]), _classes(item["properties"])
        files = tuple(_files(item.get("assets")))
    except InputError as error:
        raise error.within(place) from None
    return ModelEntry(
        name=name,
        bands=bands,
        classes=classes,
        geometry=item.get("geometry"),
        files=files,
        place=place,
        **{f.name: getattr(stated, f.name) for f in dataclasses.fields(stated)},
    )


def _bands(properties: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of the input features."""
    try:
        return tuple(map(_word, properties["mlm:input"][0]["bands"]))
    except (LookupError, TypeError, ValueError):
        raise InputError("mlm:input does not name the bands", expected="a list of names") from None


def _classes(properties: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of the classes, without that of no data."""
    try:
        classes = properties["mlm:output"][0]["classification:classes"]
        return tuple(_word(c["name"]) for c in classes if not c.get("nodata"))
    except (AttributeError, LookupError, TypeError, ValueError):
        raise InputError("mlm:output does not name the classes", expected="their names") from None


def _word(text: object) -> str:
    """Return a short text without characters that move a terminal's cursor."""
    if not isinstance(text, str) or not text.isprintable():
        raise ValueError(text)
    return text


def _files(assets: Any) -> list[ModelFile]:
    """Read the assets that are known by name; others are not looked at."""
    given = assets if isinstance(assets, Mapping) else {}
    missing = [key for key in NEEDED if key not in given]
    if missing:
        raise InputError(f"asset {missing[0]} is missing", expected=", ".join(NEEDED))
    return [_file(key, given[key]) for key in FILES if key in given]


def _file(key: str, asset: Any) -> ModelFile:
    """Read an asset, whose link has to lead to the one file beside the item that it may be."""
    given = asset if isinstance(asset, Mapping) else {}
    href, size, stated = (given.get(k) for k in ("href", "file:size", "file:checksum"))
    if href != _HREF + FILES[key]:
        raise InputError(f"asset {key} has href {href!r}", expected=f"{_HREF}{FILES[key]}")
    if type(size) is not int or size < 0:
        raise InputError(f"asset {key} has file:size {size!r}", expected="its bytes")
    found = stated.removeprefix(MULTIHASH) if isinstance(stated, str) else ""
    if not isinstance(stated, str) or stated != MULTIHASH + found or not _SHA256.fullmatch(found):
        raise InputError(
            f"asset {key} has file:checksum {stated!r}",
            expected=f"{MULTIHASH} and a SHA-256 of 64 hexadecimal digits",
        )
    return ModelFile(FILES[key], size, found)
