"""Where loose band files come from: the metadata around them, and the numbers these settle.

A band file of ESA's does not state its offset. What does lies around it:

- ``MTD_MSIL1C.xml`` or ``MTD_MSIL2A.xml`` (before December 2016 ``S2A_OPER_MTD_SAFL1C_*.xml``) up
  to five folders above, as in a SAFE product
- ``_Nxxyy_`` in the name of a product that the file or one of those folders bears
- ``productInfo.json`` or ``tileInfo.json`` up to three folders above, as on AWS
- the attributes of a Zarr store or NetCDF file

They feed the table of ``offsets``; only where none tells, the darkest bands are looked at.
"""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from osm4eo_xr.errors import InputError, InputWarning
from osm4eo_xr.imagery.band_looks import darkest
from osm4eo_xr.imagery.bands import SENTINEL2_BANDS, common_name
from osm4eo_xr.imagery.offsets import (
    DARK,
    Evidence,
    Look,
    baseline_in,
    baseline_of,
    processed_in,
    settle_offset,
    tagged_offset,
)
from osm4eo_xr.imagery.products.band_files import bands_of_file
from osm4eo_xr.imagery.products.safe import (
    SafeProduct,
    is_safe,
    metadata_in,
    product_evidence,
    read_product,
)
from osm4eo_xr.imagery.reflectance import DN_SCALE, Scaling, default_scaling
from osm4eo_xr.rasters.files import is_store, list_files
from osm4eo_xr.rasters.remote.addresses import text_of
from osm4eo_xr.rasters.store_paths import split_store
from osm4eo_xr.rasters.stores import store_attributes

if TYPE_CHECKING:
    from osm4eo_xr.imagery.reader import Band
    from osm4eo_xr.rasters.files import PathLike

_ABOVE = 5  # folders: R10m, IMG_DATA, the granule's, GRANULE, the product's
_INFO_ABOVE = 3
_INFO = ("productInfo.json", "tileInfo.json")
_ORIGINAL = re.compile(
    r"(?:_\d{8}T\d{6}_|^)(?P<band>B\d[\dA])(?:_\d0m)?\.(?:jp2|tif)$", re.IGNORECASE
)
_ESA_NAME = re.compile(r"_\d{8}T\d{6}_B\d[\dA]", re.IGNORECASE)
_LEVEL = re.compile(r"MSI_?L(1C|2A)|_L(1C|2A)(?:_|\b)")
_DARK_FIRST = ("B10", "B12", "B11", "B05", "B04", "B01", "B02")  # over land, cirrus before all
_BASELINE_KEYS = ("processing_baseline", "processing:version")


@dataclass(frozen=True)
class Origin:
    """What lies around a band file: its product's metadata, or what else is known."""

    product: SafeProduct | None
    known: Evidence

    @property
    def tells(self) -> bool:
        """Whether it says anything about the offset."""
        known = self.known
        return bool(self.product or known.baseline or known.processed or known.stated is not None)


_kept: ContextVar[list[InputError] | None] = ContextVar("open offsets", default=None)


@contextmanager
def kept_doubts() -> Iterator[list[InputError]]:
    """Yield a list that takes, in place of warnings, which plain files leave their offset open.

    Of this thread alone, unlike ``warnings.catch_warnings``: others may compile meanwhile.
    """
    found: list[InputError] = []
    token = _kept.set(found)
    try:
        yield found
    finally:
        _kept.reset(token)


def settle_numbers(
    bands: Sequence[Band],
    found: Sequence[Band],
    scale: float | None,
    offset: float | None,
) -> list[Band]:
    """Return bands with the scaling that caller, tags, data type and origin give, in this order.

    Parameters
    ----------
    bands : sequence of Band
        What is to be read.
    found : sequence of Band
        All bands of the input; a look at pixels may use any.
    scale, offset : float, optional
        The caller's words.

    Raises
    ------
    InputError
        If a file is a display image, or nothing tells the offset of a band file of ESA's; where
        it is another's, this is a warning.
    """
    look = cache(lambda: darkest(_darkest_first(bands, found)))
    origins = {path: origin_of(path) for path in {b.path for b in bands}}
    settled = [_settled(b, origins[b.path], look, scale, offset) for b in bands]
    if scale is None and offset is None:
        _warn_if_open(next((b for b in bands if _is_plain(b, origins[b.path])), None), look)
    return settled


def _is_untagged(band: Band) -> bool:
    """Whether a band is of digital numbers whose file states neither scale nor offset."""
    tags = (band.scaling.scale, band.scaling.offset)
    return np.issubdtype(np.dtype(band.dtype), np.integer) and tags == (1.0, 0.0)


def _is_original(band: Band, origin: Origin) -> bool:
    """Whether digital numbers are as ESA wrote them, so that the table of offsets is for them."""
    return _is_untagged(band) and (origin.tells or is_original(band.path))


def _is_plain(band: Band, origin: Origin) -> bool:
    """Whether nothing is known of the offset of digital numbers."""
    return _is_untagged(band) and not _is_original(band, origin)


def _warn_if_open(band: Band | None, look: Look) -> None:
    """Warn of a plain file whose pixels do not tell whether they carry the offset."""
    dark = look() if band else None
    if band and dark is not None and dark >= DARK:
        doubt = InputError(
            f"{band.path} states no offset, and 5 % of its darkest band's numbers reach {dark:g}, "
            "so pixels do not tell; it is taken for 0",
            advice="pass {offset=-0.1} if they carry that of processing baseline 04.00, else "
            "{offset=0}",
        )
        if (kept := _kept.get()) is not None:
            kept.append(doubt)
        else:
            warnings.warn(InputWarning(doubt), stacklevel=4)


def _settled(
    band: Band, origin: Origin, look: Look, scale: float | None, offset: float | None
) -> Band:
    tags = (band.scaling.scale, band.scaling.offset)
    esa = _is_original(band, origin)
    if esa and origin.product is not None and np.dtype(band.dtype).itemsize > 1:
        band, stated = _by_product(band, origin.product), 1 / origin.product.quantification
        known = product_evidence(origin.product, _band_id(band))
    else:
        stated, known = DN_SCALE, origin.known
        if scale is None:
            stated = default_scaling(
                np.dtype(band.dtype), tags, where=f"{band.path} ({band.name})"
            )[0]
    scale = stated if scale is None else scale
    if offset is None:
        offset = settle_offset(known, look) if esa else tagged_offset(scale, tags, band.path)
    return replace(band, scaling=Scaling(scale, offset))


def _by_product(band: Band, product: SafeProduct) -> Band:
    """Return a band with the special values of its product's metadata."""
    if band.validity.settled and "no-data tag" in " ".join(band.validity.sources):
        return band
    said = "special value of the product"
    validity = band.validity.instead(product.invalid, np.dtype(band.dtype), said)
    return replace(band, validity=validity)


def _band_id(band: Band) -> str:
    return next((i for i, name in SENTINEL2_BANDS.items() if name == band.name), "")


def is_original(path: str) -> bool:
    """Whether a file is named as ESA names band files, and AWS after it."""
    name = Path(path).name
    return bool(_ESA_NAME.search(name)) or bool(re.fullmatch(r"B\d[\dA](_\d0m)?\.jp2", name))


def _darkest_first(bands: Sequence[Band], found: Sequence[Band]) -> Iterator[Band]:
    """Yield the bands to look at: those of the input, then files of other bands beside them."""
    order = [*_DARK_FIRST, *SENTINEL2_BANDS]
    yield from sorted(found, key=lambda b: order.index(_band_id(b) or "B09"))
    yield from _siblings(bands[0].path, {b.path for b in found})


def _siblings(path: str, known: Collection[str]) -> Iterator[Band]:
    """Describe the other bands' files beside a band file, each when it is asked for."""
    here = Path(path)
    match = _ORIGINAL.search(here.name)
    if match is None:
        return
    for band_id in _DARK_FIRST:
        name = here.name[: match.start("band")] + band_id + here.name[match.end("band") :]
        file = here.with_name(name)
        if str(file) not in known and file.is_file():
            yield from bands_of_file(str(file), resampling="nearest", nodata=None)


def origin_of(path: str) -> Origin:
    """Look up what the folders around a file, its name or its attributes say of its numbers."""
    here = Path(path.replace("/vsizip/", "").replace("{", "").replace("}", ""))
    folders = list(here.absolute().parents)[:_ABOVE]
    if _ORIGINAL.search(here.name) or here.suffix.casefold() == ".jp2":
        for folder in folders:
            if metadata_in(folder):
                product = read_product(folder)
                return Origin(product, Evidence(where=path))
    texts = [here.name, *(folder.name for folder in folders)]
    if is_original(path):
        infos = (folder / name for folder in folders[:_INFO_ABOVE] for name in _INFO)
        texts += [_text_of(info) for info in infos if info.is_file()]
    baseline, processed = baseline_in(texts), processed_in(texts)
    if is_store(path):
        attributes = store_attributes(path)
        said = json.dumps(attributes, default=str)
        baseline = _stated_baseline(attributes) or baseline_in([said]) or baseline
    return Origin(None, Evidence(where=path, baseline=baseline, processed=processed))


def level_of(path: str) -> str:
    """Return the level of a file's product, "1C" or "2A", if a name around it tells, else ""."""
    here = Path(path)
    for text in (here.name, *(p.name for p in list(here.absolute().parents)[:_ABOVE])):
        match = _LEVEL.search(text)
        if match:
            return match[1] or match[2]
    return ""


def told_around(path: PathLike) -> list[Any]:
    """Return what names and metadata around a scene's files say of them, as plain JSON types.

    That is all that decides, beside the bytes of the files, which bands they are and what their
    numbers mean. It is the same wherever the files lie, as long as that is; no pixel is read.

    Parameters
    ----------
    path : path
        As ``open_scene`` takes one.

    Raises
    ------
    InputError
        If the metadata of the files' product are damaged.
    """
    given = text_of(path)
    if split_store(given) is None and is_safe(given):
        return []  # its own metadata say all, and are among its bytes
    told = []
    for file in list_files(given):
        origin = origin_of(file)
        product, known = origin.product, origin.known
        names = (common_name(Path(file).name), level_of(file), is_original(file))
        stated: tuple[object, ...] = ()
        if product is not None:
            stated = (product.quantification, product.offsets, product.invalid)
            stated += (product.baseline, product.processed)
        told.append([*names, known.baseline, known.processed, *stated])
    return told


def _text_of(path: Path) -> str:
    """Return a small file's text; AWS's names of data strips end the baseline with a quote."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""


def _stated_baseline(attributes: object) -> tuple[int, int] | None:
    """Return the baseline of the first attribute, at any depth, that is named like one."""
    if isinstance(attributes, dict):
        for name, value in attributes.items():
            if str(name).endswith(_BASELINE_KEYS) and (found := baseline_of(str(value))):
                return found
        attributes = list(attributes.values())
    if isinstance(attributes, list):
        return next((found for value in attributes if (found := _stated_baseline(value))), None)
    return None
