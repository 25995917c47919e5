"""Files to described bands: which there are, what they are called, what their numbers mean."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from osm4eo_xr.errors import InputError
from osm4eo_xr.imagery.bands import METHOD_BANDS, common_name
from osm4eo_xr.imagery.reader import Band
from osm4eo_xr.imagery.reflectance import Scaling
from osm4eo_xr.rasters.bands import describe_bands
from osm4eo_xr.rasters.remote.waiting import at_once
from osm4eo_xr.rasters.validity import scene_validity

_HLS = r"(?:^|\.)HLS\.L30\."
_LANDSAT = re.compile(rf"(?:^|_)L[COTEM]0[4-9]_|_(?:SR|ST|TOA)_B\d|{_HLS}", re.IGNORECASE)

_ACQUISITION = re.compile(r"(T\d\d[A-Z]{3}_\d{8}T\d{6})_B\d[\dA](?:_\d0m)?\.\w+$", re.IGNORECASE)
"""Tile and moment in the name of a band file of ESA's."""


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
    for band in described:
        if np.dtype(band.dtype).kind not in "iuf":
            raise InputError(
                f"{path} holds {band.dtype} numbers",
                expected="integers or floats",
                advice="write reflectance, for example with gdal_translate -ot Float32",
            )
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
    read = at_once(lambda i: bands_of_file(files[i], **how), dict(enumerate(files)))
    found = [band for bands in read for band in bands]
    if names is not None and len(names) > len(found):
        every = [b for f in files for b in bands_of_file(f, **how, alpha=True)]
        found = every if len(every) == len(names) else found
    return name_bands(found, names)


def name_bands(found: list[Band], names: Sequence[str] | None) -> list[Band]:
    """Give each band its common name, or keep its label where it has none."""
    if names is None:
        _refuse_landsat(found)
        return [replace(b, name=common_name(b.name) or b.name) for b in found]
    if len(names) != len(found):
        raise InputError(
            f"names has {len(names)} entries for {len(found)} bands", advice="name each band"
        )
    return [replace(b, name=common_name(n) or n) for b, n in zip(found, names, strict=True)]


def _refuse_landsat(found: list[Band]) -> None:
    """Refuse Landsat's files, whose band numbers and digital numbers mean other things."""
    for band in found:
        if _LANDSAT.search(Path(band.path).name):
            scaled = "for Collection 2 pass {names}, {scale=2.75e-5} and {offset=-0.2}"
            hls = re.search(_HLS, Path(band.path).name, re.IGNORECASE)
            raise InputError(
                f"{band.path} is named as a Landsat file, whose bands are numbered otherwise",
                expected="Sentinel-2",
                advice="pass {names}; its numbers are scaled as Sentinel-2's" if hls else scaled,
            )


def choose_bands(named: list[Band], wanted: Sequence[str] | None, *, where: str) -> list[Band]:
    """Pick the wanted bands in the wanted order."""
    by_name: dict[str, Band] = {}
    for band in named:
        if band.name in by_name and band.name:
            raise InputError(
                f"{where}: band {band.name} is there twice ({by_name[band.name].path} and "
                f"{band.path})",
                advice="name one file per band, or pass {names}",
            )
        by_name[band.name] = band
    if wanted is None:
        chosen = [by_name[n] for n in METHOD_BANDS if n in by_name]
        if not chosen:
            raise InputError(
                f"{where}: none of its {len(named)} bands has a known name "
                f"({', '.join(b.name or 'unnamed' for b in named[:13])})",
                advice="describe the file's bands, name its files after them, or pass {names}, for "
                f"example {list(METHOD_BANDS[:3])}",
            )
        return _of_one_acquisition(chosen)
    asked = [common_name(w) or w for w in wanted]
    missing = [w for w in asked if w not in by_name]
    if missing or not asked:
        has = ", ".join(n or "unnamed" for n in by_name)
        raise InputError(
            f"{where} has no band {', '.join(missing) or '(none asked)'}; it has {has}"
        )
    return _of_one_acquisition([by_name[w] for w in asked])


def check_whole_scenes(files: Iterable[Path]) -> None:
    """Refuse files that are to be a scene each, and are bands of one by their names."""
    seen: dict[str, Path] = {}
    for file in files:
        acquisition = _acquisition_of(file)
        if acquisition is not None and (other := seen.setdefault(acquisition, file)) is not file:
            raise InputError(
                f"{other.name} and {file.name} are bands of one scene",
                expected="a scene per file where [[scenes]] gives no tile",
                advice=f'give the folder, or tile = "{acquisition[:6]}" if all files are one scene',
            )


def _acquisition_of(path: str | Path) -> str | None:
    """Return tile and moment that the name of a band file of ESA's states; None for other names."""
    found = _ACQUISITION.search(Path(path).name)
    return found[1].upper() if found else None


def _of_one_acquisition(bands: list[Band]) -> list[Band]:
    """Refuse files whose names say that they are of several tiles or moments."""
    named = {name: b for b in bands if (name := _acquisition_of(b.path))}
    if len(named) > 1:
        (first, a), (other, b) = list(named.items())[:2]
        raise InputError(
            f"band {a.name} is of {first} ({a.path}) and band {b.name} of {other} ({b.path})",
            expected="bands of one tile and one moment",
            advice="open each by itself; composite joins dates",
        )
    return bands
