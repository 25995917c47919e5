"""Groups of features from rasters that are no scenes: radar, heights, embeddings, any others."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from osm4eo_xr.errors import InputError
from osm4eo_xr.features.kernels import (
    AEF_NODATA,
    TERRAIN,
    AlphaEarth,
    Backscatter,
    Kernel,
    Plain,
    Terrain,
)
from osm4eo_xr.features.reader import RasterInput, plan_reader
from osm4eo_xr.features.sources import FeatureSource, Kind, Layer, chosen
from osm4eo_xr.geometry.geodesy import meters_per_unit
from osm4eo_xr.imagery.band_looks import middle_numbers
from osm4eo_xr.imagery.offsets import tagged_offset
from osm4eo_xr.imagery.reader import Band
from osm4eo_xr.imagery.reflectance import Scaling, to_reflectance
from osm4eo_xr.rasters.bands import RasterBand, describe_bands
from osm4eo_xr.rasters.validity import in_words
from osm4eo_xr.rasters.warp import refuse_apart
from osm4eo_xr.rasters.windows import lazy_array

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox

_RESAMPLING: dict[Kind, str] = {"terrain": "cubic", "alphaearth": "nearest", "tessera": "nearest"}
_POLARIZATION = re.compile(r"(?<![a-z])(vv|vh|hh|hv)(?![a-z])")
_ORBIT = re.compile(r"(?<![a-z])(asc|desc)(?:ending)?(?![a-z])")
_FEW = 100  # numbers from which nothing is concluded
_SOME = 0.01
AXES = tuple(f"A{k:02d}" for k in range(64))
"""Names of AlphaEarth's axes, which its files have as bands in this order."""

_TERRAIN_UNITS = dict(zip(TERRAIN, ("m", "degree", "1", "1"), strict=True))
_TERRAIN_SCALING = dict(
    zip(TERRAIN, ("height", "Horn 1981", "sine, Horn 1981", "cosine, Horn 1981"), strict=True)
)


def layer_of_files(
    source: str, period: str, kind: Kind, given: FeatureSource, target: GeoBox, chunks: int
) -> Layer:
    """Return the features of files on the target grid; lazy.

    Raises
    ------
    InputError
        If a file cannot be read or touches no ground of the grid, bands are unnamed or missing, or
        radar does not state its unit.
    """
    files = given.files
    described = [_bands_of(path, kind, given) for path in files]
    labels = _names(kind, described, given)
    known = list(dict.fromkeys(name for names in labels for name in names))
    offered = list(TERRAIN) if kind == "terrain" else known
    bands = chosen(given.bands, offered, f"{source} ({files[0]})")
    channels = ["height"] if kind == "terrain" else list(bands)
    inputs, first = _inputs(described, labels, channels)
    kernel = _kernel_of(kind, bands, first, given, target)
    method = method_of(kind, given)
    size = {"channels": len(channels), "features": len(bands)}
    reader = plan_reader(tuple(inputs), kernel, target, resampling=method, **size)
    refuse_apart(reader.warps, files[0] if len(files) == 1 else f"{source} ({len(files)} files)")
    rows, cols = (min(chunks, int(n)) for n in tuple(target.shape))
    data = lazy_array(reader, (len(bands), rows, cols))
    scalings = [band.scaling for band in first]
    units, scaling = meaning(kind, bands, kernel, given, scalings)
    told = in_words(band.validity for part in inputs for band in part.bands)
    return Layer(source, period, bands, data, units, scaling, (told,) * len(bands))


def method_of(kind: Kind, given: FeatureSource) -> str:
    """Return how a source is resampled.

    Raises
    ------
    InputError
        If embeddings are asked to be anything but the nearest.
    """
    method = _RESAMPLING.get(kind, "bilinear")
    if method == "nearest" and given.resampling not in ("", "nearest"):
        raise InputError(
            f"resampling {given.resampling!r} of embeddings, whose numbers are no amounts",
            expected="nearest",
        )
    return given.resampling or method


def _bands_of(path: str, kind: Kind, given: FeatureSource) -> list[Band]:
    """Describe the bands of a file, with the validity that it states, or the caller."""
    return [_band(band, kind, given) for band in describe_bands(path) if not band.alpha]


def _band(band: RasterBand, kind: Kind, given: FeatureSource) -> Band:
    dtype = np.dtype(band.dtype)
    if dtype.kind not in "iuf":
        raise InputError(f"{band.path} holds {dtype} numbers", expected="integers or floats")
    validity = band.validity
    if given.nodata is not None:
        validity = validity.instead([given.nodata], dtype, "nodata=")
    elif kind == "alphaearth" and dtype == np.int8 and AEF_NODATA not in validity.values:
        validity = validity.excluding(AEF_NODATA, dtype, "AlphaEarth's no data")  # its tag got lost
    return Band(
        name="".join(band.labels[:1]),
        path=band.path,
        stamp=band.stamp,
        index=band.index,
        geobox=band.geobox,
        dtype=band.dtype,
        block=band.block,
        scaling=_scaling(band, kind, given),
        validity=validity,
    )


def _scaling(band: RasterBand, kind: Kind, given: FeatureSource) -> Scaling:
    if kind == "alphaearth" and band.dtype == "int8":  # what these numbers mean is known
        return Scaling(1.0, 0.0)
    scale, offset = band.scale if given.scale is None else given.scale, given.offset
    if offset is None:
        offset = tagged_offset(scale, (band.scale, band.offset), band.path)
    return Scaling(scale, offset)


def _names(
    kind: Kind, described: Sequence[Sequence[Band]], given: FeatureSource
) -> list[list[str]]:
    """Return what each file's bands are called."""
    if given.names is not None:
        return given_names([len(bands) for bands in described], list(given.names))
    if kind == "terrain":
        for bands in described:
            if len(bands) != 1:
                raise InputError(
                    f"{bands[0].path} has {len(bands)} bands", expected="one of heights"
                )
        return [["height"] for _ in described]
    if kind == "alphaearth":
        return [_axes(bands) for bands in described]
    if kind == "radar":
        return _radar_names(described)
    return [[_plain(band) for band in bands] for bands in described]


def given_names(counts: list[int], names: list[str]) -> list[list[str]]:
    """Deal names out to files: one for each band of all files, or of each file."""
    if len({*counts}) == 1 and len(names) == counts[0]:
        return [names for _ in counts]
    if len(names) != sum(counts):
        raise InputError(
            f"names has {len(names)} entries for {sum(counts)} bands", advice="name each band"
        )
    ends = np.cumsum([0, *counts])
    return [names[a:b] for a, b in itertools.pairwise(ends)]


def _axes(bands: Sequence[Band]) -> list[str]:
    """Return AlphaEarth's axes of a file, by description or, of 64 bands, by order."""
    stated = [band.name for band in bands]
    if all(name in AXES for name in stated):
        return stated
    if len(bands) == len(AXES) and not any(stated):
        return list(AXES)
    raise InputError(
        f"{bands[0].path} has bands {', '.join(n or 'unnamed' for n in stated[:4])} …",
        expected="AlphaEarth's A00 to A63",
        advice="pass {names}",
    )


def _radar_names(described: Sequence[Sequence[Band]]) -> list[list[str]]:
    """Return polarization and orbit direction, as descriptions or names of files state them."""
    named = [[_radar_name(band) for band in bands] for bands in described]
    all_of = [name for names in named for name in names]
    loose = [name for name in all_of if "_" not in name and all_of.count(name) > 1]
    if loose:
        raise InputError(
            f"{described[0][0].path} and other files hold {loose[0]} without an orbit direction",
            expected=f"{loose[0]}_asc and {loose[0]}_desc, which differ on slopes, apart",
            advice="pass {names}",
        )
    return named


def _radar_name(band: Band) -> str:
    texts = [text.casefold().replace("_", " ") for text in (band.name, Path(band.path).stem)]
    found = [
        next((m[1] for text in texts if (m := what.search(text))), "")
        for what in (_POLARIZATION, _ORBIT)
    ]
    if not found[0]:
        raise InputError(
            f"band {band.index} of {band.path} does not say its polarization",
            expected="vv, vh, hh or hv in its description or in the file's name",
            advice="pass {names}, for example ['vv_asc', 'vh_asc']",
        )
    return "_".join(filter(None, found))


def _plain(band: Band) -> str:
    """Return a band's description as an id may hold it, or its number."""
    return plain(band.name) or f"b{band.index}"


def plain(text: str) -> str:
    """Return a text as an id may hold it; nothing if nothing of it is left."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", text).strip("_.-")


def _inputs(
    described: Sequence[Sequence[Band]], labels: Sequence[Sequence[str]], channels: Sequence[str]
) -> tuple[list[RasterInput], list[Band]]:
    """Return what is read of each file, and the first band of each channel."""
    inputs, first = [], {}
    for bands, names in zip(described, labels, strict=True):
        twice = [name for name in channels if list(names).count(name) > 1]
        if twice:
            raise InputError(
                f"{bands[0].path} has two bands called {twice[0]}", advice="pass {names}"
            )
        picked = {name: band for name, band in zip(names, bands, strict=True) if name in channels}
        for name, band in picked.items():
            first.setdefault(name, band)
        if picked:
            places = tuple(channels.index(name) for name in picked)
            inputs.append(RasterInput(tuple(picked.values()), places))
    missing = [name for name in channels if name not in first]
    if missing:
        raise InputError(
            f"{described[0][0].path} has bands {', '.join(labels[0])}", expected=missing[0]
        )
    return inputs, [first[name] for name in channels]


def _kernel_of(
    kind: Kind, bands: Sequence[str], first: Sequence[Band], given: FeatureSource, target: GeoBox
) -> Kernel:
    """Return what makes features of a source's numbers."""
    if kind == "terrain":
        return Terrain(tuple(bands), pixel_of(target))
    if kind == "radar":
        return Backscatter(radar_unit(given, first) == "dB")
    if kind == "alphaearth" and all(band.dtype == "int8" for band in first):
        return AlphaEarth()
    if any(band.dtype == "int8" and band.scaling == Scaling(1.0) for band in first):
        refuse_bare(kind)
    return Plain()


def refuse_bare(kind: Kind) -> None:
    """Refuse TESSERA's numbers of 8 bits, which nothing beside them scales.

    Raises
    ------
    InputError
        If the source is TESSERA's.
    """
    if kind == "tessera":
        raise InputError(
            "TESSERA's 8-bit numbers without their scales",
            expected="values, as float32",
            advice="give the tile's .npy, whose scales lie beside it, or the zone of a store",
        )


def pixel_of(target: GeoBox) -> tuple[float, float]:
    """Return width and height of a pixel, m; below 0 to the west and to the north.

    Raises
    ------
    InputError
        If the grid counts degrees.
    """
    if target.crs is None or not target.crs.projected:
        raise InputError(
            f"slopes on the grid of {target.crs}, which counts degrees",
            expected="a projected grid",
            advice="give a geobox in meters, such as that of target_geobox",
        )
    unit = meters_per_unit(target.crs)
    return target.resolution.x * unit, -target.resolution.y * unit


def radar_unit(given: FeatureSource, bands: Sequence[Band]) -> str:
    """Return what gamma0 is stored as; numbers that cannot be that are refused.

    Raises
    ------
    InputError
        If it is not stated, or the middle of the first band contradicts it.
    """
    if given.unit not in ("linear", "dB"):
        raise InputError(
            f"unit of radar is {given.unit or 'not stated'!s}",
            expected="'linear' power or 'dB'",
            advice="pass {unit=linear} or {unit=dB}",
        )
    for band in bands[:1]:
        numbers = to_reflectance(middle_numbers(band), band.scaling)
        below = float((numbers < 0).mean()) if numbers.size >= _FEW else None
        if below is not None and given.unit == "linear" and below > _SOME:
            raise InputError(
                f"{band.path}: {100 * below:.0f} % of numbers are below 0, which power is not",
                advice="pass {unit=dB}",
            )
        if below == 0 and given.unit == "dB":
            raise InputError(
                f"{band.path}: no number is below 0, as backscatter in dB is nearly everywhere",
                advice="pass {unit=linear}",
            )
    return given.unit


def meaning(
    kind: Kind,
    bands: Sequence[str],
    kernel: Kernel,
    given: FeatureSource,
    scalings: Sequence[Scaling] = (),
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return unit and scaling of each feature, in words; ``scalings`` are those of plain values."""
    if kind == "terrain":
        units, scaling = _TERRAIN_UNITS, _TERRAIN_SCALING
        return tuple(units[b] for b in bands), tuple(scaling[b] for b in bands)
    one: tuple[str, str]
    if kind == "radar":
        one = "dB", "10 log10 of gamma0"
    elif isinstance(kernel, AlphaEarth):
        one = "1", "(q / 127.5)² sign(q)"
    elif isinstance(kernel, Plain):
        unit = given.unit or ("1" if kind in ("alphaearth", "tessera") else "")
        texts = tuple(f"number * {s.scale:g} + {s.offset:g}" for s in scalings)
        return (unit,) * len(bands), texts
    else:
        one = "1", "q times the pixel's scale"
    return (one[0],) * len(bands), (one[1],) * len(bands)
