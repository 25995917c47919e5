"""EOPF products: Sentinel-2 in ESA's Zarr layout, which replaces SAFE, and GeoZarr made from it.

Bands lie in ``measurements/reflectance/rXXm``, the scene classification in
``conditions/mask/l2a_classification``, probabilities in ``quality/probability``. The root's
attribute ``stac_discovery`` is a STAC item of the product; conversions may lack it, then the name
of the store tells. What the numbers mean is settled in ``eopf_numbers``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from odc.geo.geobox import GeoBox

from osm4eo_xr.errors import InputError
from osm4eo_xr.imagery.band_looks import darkest
from osm4eo_xr.imagery.bands import SENTINEL2_BANDS, common_name
from osm4eo_xr.imagery.offsets import baseline_in, baseline_of, processed_in
from osm4eo_xr.imagery.products.angles import eopf_sun
from osm4eo_xr.imagery.products.band_files import bands_of_file
from osm4eo_xr.imagery.products.eopf_numbers import settled_band
from osm4eo_xr.imagery.reflectance import Scaling
from osm4eo_xr.rasters.hierarchies import damage, read_group
from osm4eo_xr.rasters.store_paths import StorePath, split_store
from osm4eo_xr.rasters.stores import store_names, store_variables

if TYPE_CHECKING:
    from osm4eo_xr.imagery.reader import Band
    from osm4eo_xr.rasters.files import PathLike

_REFLECTANCE = ("measurements", "reflectance")
_CLASSES = ("conditions", "mask", "l2a_classification")
_PROBABILITY = ("quality", "probability")
_RESOLUTION = re.compile(r"r(\d+)m")
_LEVEL = re.compile(r"L(1C|2A)")
_NAME = re.compile(r"S2[A-D]_MSIL(?:1C|2A)_(\d{8}T\d{6})_\w+")
_TILE = re.compile(r"_T(\d\d[A-Z]{3})(?:_|$)")


@dataclass(frozen=True)
class EopfProduct:
    """What an EOPF product's metadata say.

    Attributes
    ----------
    where : StorePath
        The store, and the group or array of it that is meant.
    name : str
        The product's name, which the STAC item of the root bears.
    level : str
        "1C" (top of atmosphere) or "2A" (surface); empty if nothing tells.
    baseline : str
        Processing baseline, for example "05.11"; empty if nothing tells.
    date : str
        Start of sensing, ISO 8601.
    footprint : str
        Polygon in lon/lat, WKT; empty if that is not said.
    processed : str
        When it was processed, ISO 8601; empty if that is not said.
    tile : str
        MGRS tile.
    bounds : tuple of float
        Outer edges of the tile in its CRS; empty if they are not said.
    sun : tuple of float or None
        The sun's mean azimuth and zenith, degrees.
    """

    where: StorePath
    name: str
    level: str
    baseline: str
    date: str
    footprint: str
    processed: str
    tile: str
    bounds: tuple[float, ...]
    sun: tuple[float, float] | None = None


def is_eopf(path: PathLike) -> bool:
    """Whether a path is an EOPF product: its store, or what holds its bands in there."""
    where = split_store(str(path))
    if where is None or not _means_bands(where):
        return False
    if where.remote:
        return True
    found = where.exists and read_group(StorePath(where.root, "/".join(_REFLECTANCE)))
    return bool(found)


def _means_bands(where: StorePath) -> bool:
    """Whether a path inside a store is that of bands or of a group around them."""
    names = tuple(where.inside.split("/")) if where.inside else ()
    return names[:2] == _REFLECTANCE[: len(names)]


def read_eopf(path: PathLike) -> EopfProduct:
    """Read an EOPF product's metadata.

    Raises
    ------
    InputError
        If there is no such product or its store is damaged.
    """
    where = split_store(str(path))
    if where is None or not where.exists:
        raise InputError(f"no product {path}", advice="give an EOPF store (.zarr, .zarr.zip)")
    root = read_group(StorePath(where.root))
    held = read_group(StorePath(where.root, "/".join(_REFLECTANCE)))
    if root is None or held is None:
        raise InputError(
            f"{where.root} has no group {'/'.join(_REFLECTANCE)}",
            expected="a Sentinel-2 product in EOPF's layout",
            advice="open another cube with open_scene",
        )
    item = root.attributes.get("stac_discovery")
    with damage(where.root):
        product = _product_of(where, item if isinstance(item, Mapping) else {})
    return replace(product, sun=eopf_sun(root.attributes))


def _product_of(where: StorePath, item: Mapping[str, Any]) -> EopfProduct:
    """Return what a product's STAC item says, and where it is silent its store's name."""
    properties = item.get("properties") or {}
    stem = Path(where.root).name
    for suffix in (".zip", ".zarr"):
        stem = stem.removesuffix(suffix)
    name = str(item.get("id") or stem)
    kind = " ".join(str(properties.get(n, "")) for n in ("processing:level", "product:type"))
    level = _LEVEL.search(f"{kind} {name}")
    tile, named = _TILE.search(name.removesuffix(".SAFE")), _NAME.search(name)
    stated = (str(properties.get(n, "")) for n in ("eopf:baseline", "processing:version"))
    pair = next((b for text in stated if (b := baseline_of(text))), None) or baseline_in([name])
    start = properties.get("start_datetime") or properties.get("datetime")
    bounds = np.ravel(properties.get("proj:bbox") or ()).astype(float)
    if not np.isfinite(bounds).all():
        raise InputError(f"{where.root}: proj:bbox is {properties['proj:bbox']}")
    return EopfProduct(
        where=where,
        name=name,
        level=level[1] if level else "",
        baseline="" if pair is None else f"{pair[0]:02d}.{pair[1]:02d}",
        date=_moment(str(start or (named[1] if named else ""))),
        footprint=_polygon(item.get("geometry")),
        processed=str(properties.get("created") or processed_in([name])),
        tile=tile[1] if tile else "",
        bounds=tuple(bounds.tolist()) if bounds.size == 4 else (),  # noqa: PLR2004 - four edges
    )


def eopf_bands(
    product: EopfProduct,
    *,
    tile: str | None,
    scale: float | None,
    offset: float | None,
    resampling: str,
) -> list[Band]:
    """Describe the product's bands (finest array each) with the scaling of its metadata.

    Parameters
    ----------
    product : EopfProduct
        From ``read_eopf``.
    tile : str, optional
        Which tile; a product has one.
    scale, offset, resampling
        As for ``safe_bands``.

    Raises
    ------
    InputError
        If there are no bands, the tile is another, or nothing tells what the numbers mean.
    """
    _check_tile(product, tile)
    found: dict[str, tuple[Band, Mapping[str, Any]]] = {}
    for path in _band_groups(product.where):
        described = bands_of_file(path, resampling=resampling, nodata=None)
        for band, said in zip(described, store_variables(path), strict=True):
            name = common_name(band.name)
            if name in SENTINEL2_BANDS.values():
                placed = replace(_placed(band, product.bounds), name=str(name))
                found.setdefault(str(name), (placed, said))
    if not found:
        raise InputError(
            f"{product.where.within(product.where.inside)} has no bands in "
            f"{'/'.join(_REFLECTANCE)}",
            advice="download the whole product",
        )
    look = cache(lambda: darkest([band for band, _ in found.values()][::-1]))
    with damage(product.where.root):
        return [
            settled_band(band, said, product, look=look, scale=scale, offset=offset)
            for band, said in found.values()
        ]


def _band_groups(where: StorePath) -> list[str]:
    """Return the paths of groups or the array that hold bands, the finest first."""
    names = where.inside.split("/") if where.inside else []
    if len(names) > len(_REFLECTANCE):
        return [where.within(where.inside)]
    return [where.within(group) for group in resolutions(where, _REFLECTANCE)]


def array_paths(where: StorePath) -> list[str]:
    """Return the paths of a product's arrays that are bands, and of its scene classification.

    Of each the finest; of a group inside the store what it holds.
    """
    groups = _band_groups(where)
    if not where.inside:
        groups += [where.within(group) for group in resolutions(where, _CLASSES)[:1]]
    found: dict[str, str] = {}
    for group in groups:
        for name in store_names(group):
            if common_name(name) or name == "scl":
                found.setdefault(name, f"{group}/{name}")
    return list(found.values())


def resolutions(where: StorePath, names: tuple[str, ...]) -> list[str]:
    """Return the groups of resolutions (r10m, r20m, …) in a group of a store, the finest first."""
    held = read_group(StorePath(where.root, "/".join(names)))
    found = [m for g in (held.groups if held else ()) if (m := _RESOLUTION.fullmatch(g))]
    return ["/".join((*names, m[0])) for m in sorted(found, key=lambda m: int(m[1]))]


def _placed(band: Band, bounds: tuple[float, ...]) -> Band:
    """Return a band where the product's bounds put it, if its coordinates are pixels' corners.

    Coordinates are centers of pixels (CF); some arrays count from the upper left corner instead,
    which the product's bounds show.
    """
    if not bounds:
        return band
    box, found = band.geobox, band.geobox.boundingbox
    left, top = bounds[0] - found.left, bounds[3] - found.top
    half = (abs(box.resolution.x) / 2, -abs(box.resolution.y) / 2)
    if not np.allclose((left, top), half, atol=1e-3):
        return band
    moved = box.affine * box.affine.translation(0.5, 0.5)
    return replace(band, geobox=GeoBox(box.shape, moved, box.crs))


def layer_band(product: EopfProduct, kind: str, *, tile: str | None) -> Band:
    """Describe a layer beside the bands, its finest array: "scl", "cld" (clouds) or "snw" (snow).

    Raises
    ------
    InputError
        If the product has none, as level 1C.
    """
    _check_tile(product, tile)
    for group in resolutions(product.where, _CLASSES if kind == "scl" else _PROBABILITY):
        for band in bands_of_file(product.where.within(group), resampling="nearest", nodata=None):
            if band.name == kind:
                return replace(_placed(band, product.bounds), scaling=Scaling(1.0))
    raise InputError(
        f"{product.name} (level {product.level or 'unknown'}) has no layer {kind}; only products "
        f"of level 2A have one"
    )


def _check_tile(product: EopfProduct, tile: str | None) -> None:
    wanted = None if tile is None else tile.upper().removeprefix("T")
    if wanted is not None and product.tile and wanted != product.tile:
        raise InputError(
            f"{product.name} holds {product.tile}; not {tile}", advice="leave {tile} out"
        )


def _moment(text: str) -> str:
    """Return a date and time as SAFE products write it, to the millisecond in UTC."""
    try:
        stated = datetime.fromisoformat(text)
    except ValueError:
        return text
    stated = stated.replace(tzinfo=UTC) if stated.tzinfo is None else stated.astimezone(UTC)
    return f"{stated.isoformat(timespec='milliseconds').partition('+')[0]}Z"


def _polygon(geometry: Any) -> str:
    """Return the outer ring of a GeoJSON polygon as WKT."""
    if not isinstance(geometry, Mapping) or geometry.get("type") != "Polygon":
        return ""
    ring = geometry["coordinates"][0]
    return f"POLYGON (({', '.join(f'{float(p[0]):.10g} {float(p[1]):.10g}' for p in ring)}))"
