"""Files to described bands: which there are, what they are called, what their numbers mean."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from rasterio.errors import RasterioIOError

from osm4eo_xr.errors import InputError
from osm4eo_xr.imagery.bands import METHOD_BANDS, common_name
from osm4eo_xr.imagery.reader import Band, read_bands
from osm4eo_xr.imagery.reflectance import Scaling, check_numbers, default_scaling, refuse_dim
from osm4eo_xr.rasters.bands import describe_bands
from osm4eo_xr.rasters.validity import scene_validity

_ESA_NAME = re.compile(r"_(\d{8})T\d{6}_B\w\w")
_OFFSET_SINCE = "20220125"  # processing baseline 04.00 adds 1000 to all digital numbers
_LOOK_ORDER = ("nir", "nir08", "swir16", "rededge3", "red", "blue")  # brightest over land first


def refuse_unknown_offset(files: Sequence[str]) -> None:
    """Refuse loose ESA band files of a time when digital numbers may carry an offset."""
    for file in files:
        match = _ESA_NAME.search(Path(file).name)
        if match and match.group(1) >= _OFFSET_SINCE:
            raise InputError(
                f"{file} is of {match.group(1)}, when digital numbers carry an offset (processing "
                f"baseline 04.00) that the file does not state; open the SAFE folder with "
                f"open_safe, or pass offset=-0.1 (or 0 if it was removed)"
            )


def bands_of_file(
    path: str,
    *,
    resampling: str,
    nodata: float | None,
    stated: Sequence[float] = (),
    alpha: bool = False,
) -> list[Band]:
    """Describe the bands of a file; names are raw labels, scaling holds the file's tags.

    ``nodata`` is the caller's and replaces what the file states; ``stated`` is a STAC item's and
    counts beside it. With ``alpha`` a band of that color interpretation is one like the others;
    without, it says where the others hold data.
    """
    described = describe_bands(path)
    if alpha:
        described = [replace(b, validity=b.validity.without_alpha()) for b in described]
    else:
        described = [b for b in described if not b.alpha]
    return [
        Band(
            name=_label(band.labels) or (Path(path).name if len(described) == 1 else ""),
            path=path,
            stamp=band.stamp,
            index=band.index,
            geobox=band.geobox,
            dtype=band.dtype,
            block=band.block,
            scaling=Scaling(band.scale, band.offset),
            validity=scene_validity(band.validity, np.dtype(band.dtype), nodata, stated),
            resampling=resampling,
            lossy=band.lossy,
        )
        for band in described
    ]


def _label(labels: Sequence[str]) -> str:
    """Return the first label that names a band, else the first of all, else nothing."""
    return next((label for label in labels if common_name(label)), "".join(labels[:1]))


def read_bands_of(
    files: Sequence[str],
    *,
    names: Sequence[str] | None,
    resampling: str,
    nodata: float | None,
) -> list[Band]:
    """Describe the bands of files; an alpha band is one of them if ``names`` counts it."""
    how: Any = {"resampling": resampling, "nodata": nodata}
    found = [b for f in files for b in bands_of_file(f, **how)]
    if names is not None and len(names) > len(found):
        every = [b for f in files for b in bands_of_file(f, **how, alpha=True)]
        found = every if len(every) == len(names) else found
    return name_bands(found, names)


def name_bands(found: list[Band], names: Sequence[str] | None) -> list[Band]:
    """Give each band its common name, or keep its label where it has none."""
    if names is None:
        return [replace(b, name=common_name(b.name) or b.name) for b in found]
    if len(names) != len(found):
        raise InputError(f"names has {len(names)} entries for {len(found)} bands; name each band")
    return [replace(b, name=common_name(n) or n) for b, n in zip(found, names, strict=True)]


def choose_bands(named: list[Band], wanted: Sequence[str] | None, *, where: str) -> list[Band]:
    """Pick the wanted bands in the wanted order."""
    by_name: dict[str, Band] = {}
    for band in named:
        if band.name in by_name and band.name:
            raise InputError(
                f"{where}: band {band.name} is there twice ({by_name[band.name].path} and "
                f"{band.path}); name one file per band, or pass names="
            )
        by_name[band.name] = band
    if wanted is None:
        chosen = [by_name[n] for n in METHOD_BANDS if n in by_name]
        if not chosen:
            raise InputError(
                f"{where}: none of its {len(named)} bands has a known name "
                f"({', '.join(b.name or 'unnamed' for b in named[:13])}); pass names=, for example "
                f"names={list(METHOD_BANDS[:3])}"
            )
        return chosen
    asked = [common_name(w) or w for w in wanted]
    missing = [w for w in asked if w not in by_name]
    if missing or not asked:
        has = ", ".join(n or "unnamed" for n in by_name)
        raise InputError(
            f"{where} has no band {', '.join(missing) or '(none asked)'}; it has {has}"
        )
    return [by_name[w] for w in asked]


def with_scaling(band: Band, scale: float | None, offset: float | None) -> Band:
    """Settle a band's scaling from the caller's words, the file's tags and its data type."""
    tags = (band.scaling.scale, band.scaling.offset)
    if scale is None:
        where = f"{band.path} ({band.name})"
        tags = default_scaling(np.dtype(band.dtype), tags, where=where)
    scaling = Scaling(
        tags[0] if scale is None else scale,
        (tags[1] if scale is None else 0.0) if offset is None else offset,
    )
    return replace(band, scaling=scaling)


def look_at_numbers(bands: Sequence[Band]) -> None:
    """Read middle blocks, brightest bands first, until the numbers are known to be reflectance."""
    order = sorted(bands, key=lambda b: (*_LOOK_ORDER, b.name).index(b.name))
    highest = 0.0
    for band in order:
        integer = np.issubdtype(np.dtype(band.dtype), np.integer)
        try:
            valid = _middle_numbers(band)
        except RasterioIOError:  # whoever reads those pixels is told; nothing is known of them here
            continue
        scaling = band.scaling
        if check_numbers(
            valid,
            scaling.scale,
            scaling.offset,
            integer=integer,
            where=f"{band.path} ({band.name})",
        ):
            return
        highest = max(highest, float(np.percentile(valid, 99)) if valid.size else 0.0)
    untagged = all((b.scaling.scale, b.scaling.offset) == (1e-4, 0.0) for b in bands)
    if highest > 0 and untagged:
        refuse_dim(highest, where=name_files([b.path for b in bands]))


def _middle_numbers(band: Band) -> np.ndarray:
    """Return the valid digital numbers of up to 512 x 512 pixels at a band's middle.

    They begin where the middle block does: a large block, as of JPEG 2000, is decoded whole.
    """
    starts = [n // 2 // b * b for n, b in zip(tuple(band.geobox.shape), band.block, strict=True)]
    rows, cols = (
        slice(start, min(start + 512, n))
        for start, n in zip(starts, tuple(band.geobox.shape), strict=True)
    )
    numbers = read_bands([band], rows, cols)
    return numbers[np.isfinite(numbers)]


def name_files(files: Sequence[str]) -> str:
    """Name the input in a message."""
    return str(files[0]) if len(set(files)) == 1 else f"{files[0]} and {len(set(files)) - 1} more"
