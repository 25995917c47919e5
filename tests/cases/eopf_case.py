"""EOPF stores of SAFE products: the layout, attributes and types of ESA's Zarr, and of GeoZarr."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import zarr

from osm4eo_xr.imagery.bands import SENTINEL2_BANDS
from osm4eo_xr.imagery.products.safe import SafeProduct, read_product

_FILE = re.compile(r"^T\w+_(?P<layer>B\w\w|SCL)(?:_\d\dm)?\.jp2$|MSK_(?P<mask>CLDPRB)_\d\dm\.jp2$")
REFLECTANCE = "measurements/reflectance"
_PLACES = {
    "SCL": ("conditions/mask/l2a_classification", "scl"),
    "CLDPRB": ("quality/probability", "cld"),
}


def write_eopf(
    safe: Path,
    folder: Path,
    *,
    version: int = 2,
    chunks: int = 64,
    stated: Mapping[str, Any] | None = None,
    geozarr: bool = False,
) -> Path:
    """Write the store of a SAFE product.

    Parameters
    ----------
    safe, folder : Path
        The product, and where the store goes.
    version : int
        Of Zarr. In format 2 each array says where it lies; in format 3, as in ESA's, the root does.
    chunks : int
        Rows and columns per chunk.
    stated : mapping, optional
        Attributes of reflectances in the place of the usual ones; None as value leaves one out.
    geozarr : bool
        Whether reflectances are scaled floats and the root says nothing.
    """
    product = read_product(safe)
    store = folder / f"{safe.stem}.zarr"
    root = zarr.open_group(store, mode="w", zarr_format=3 if geozarr or version == 3 else 2)
    for path in sorted(safe.rglob("*.jp2")):
        match = _FILE.search(path.name)
        if match:
            _write_layer(root, path, match, product, chunks, stated or {}, geozarr=geozarr)
    if not geozarr:
        with rasterio.open(next(safe.rglob("*_B*.jp2"))) as source:
            root.attrs["stac_discovery"] = _item(product, source)
        angle = "mean_sun_{}_angle_in_deg_for_all_bands_all_detectors"
        azimuth, zenith = next(iter(product.suns.values()))
        said = {angle.format("azimuth"): azimuth, angle.format("zenith"): zenith}
        root.attrs["other_metadata"] = said
    return store


def pack(store: Path, *, within: str = "") -> Path:
    """Zip a store, its root at the zip's or in a folder of it; with the suffix .zarr.zip."""
    packed = shutil.make_archive(
        str(store.with_suffix("")) + within + ".zarr",
        "zip",
        store.parent if within else store,
        store.name if within else ".",
    )
    return Path(packed)


def store_of_item(item: Mapping[str, Any], files: Mapping[str, Path], folder: Path) -> Path:
    """Write files of a STAC item (by its keys) as the store of its product, in chunks of 128."""
    store = folder / item["properties"]["s2:product_uri"].replace(".SAFE", ".zarr")
    root = zarr.open_group(store, mode="w", zarr_format=2)
    names = {"blue": "b02", "green": "b03", "red": "b04", "nir": "b08", "scl": "scl"}
    for key, path in files.items():
        with rasterio.open(path) as source:
            numbers, grid, epsg = source.read(1), source.transform, source.crs.to_epsg()
        said = {"units": "digital_counts", "scale_factor": 1e-4, "add_offset": 0.0}
        place = f"{REFLECTANCE}/r10m"
        if key == "scl":
            said, place = {}, "conditions/mask/l2a_classification/r20m"
        said |= {"proj:epsg": epsg, "proj:transform": [*grid[:6], 0.0, 0.0, 1.0]}
        group = root.require_group(place)
        _write(group, names[key], numbers, ("y", "x"), said, 128)
        _write_coordinates(group, numbers.shape, grid)
    properties = {"eopf:baseline": item["properties"]["s2:processing_baseline"]}
    root.attrs["stac_discovery"] = {"id": store.stem, "properties": properties}
    zarr.consolidate_metadata(store)
    return store


def as_eopf(item: Mapping[str, Any], store: str) -> dict[str, Any]:
    """Return an item whose assets lie in a store, as ESA's STAC API names them."""
    bands = [{"name": name} for name in ("b02", "b03", "b04", "b08")]
    scl = "conditions/mask/l2a_classification/r20m/scl"
    assets = {
        "SR_10m": {"href": f"{store}/{REFLECTANCE}/r10m", "bands": bands, "roles": ["data"]},
        "SCL_20m": {"href": f"{store}/{scl}", "roles": ["data"]},
    }
    return {**item, "assets": assets}


def _write_layer(
    root: Any,
    path: Path,
    match: re.Match[str],
    product: SafeProduct,
    chunks: int,
    stated: Mapping[str, Any],
    *,
    geozarr: bool,
) -> None:
    with rasterio.open(path) as source:
        numbers, grid, epsg = source.read(1), source.transform, source.crs.to_epsg()
    layer = match["layer"] or match["mask"]
    place, name = _PLACES.get(layer, (REFLECTANCE, layer.lower()))
    attributes: dict[str, Any] = {}
    if place == REFLECTANCE:
        attributes, numbers = _reflectance(product, layer, numbers, geozarr=geozarr)
        attributes = {k: v for k, v in (attributes | dict(stated)).items() if v is not None}
    if root.metadata.zarr_format == 2 or geozarr:
        attributes |= {"proj:epsg": epsg, "proj:shape": list(numbers.shape)}
        attributes["proj:transform"] = [*grid[:6], 0.0, 0.0, 1.0]
    group = root.require_group(f"{place}/r{round(grid.a)}m")
    _write(group, name, numbers, ("y", "x"), attributes, chunks)
    _write_coordinates(group, numbers.shape, grid)


def _write_coordinates(group: Any, shape: tuple[int, ...], grid: Any) -> None:
    if "x" not in group:
        rows, cols = shape
        _write(group, "x", _ints(grid.c + grid.a * (np.arange(cols) + 0.5)), ("x",), {}, cols)
        _write(group, "y", _ints(grid.f + grid.e * (np.arange(rows) + 0.5)), ("y",), {}, rows)


def _ints(values: np.ndarray) -> np.ndarray:
    return values.astype(np.int64)


def _reflectance(
    product: SafeProduct, band: str, numbers: np.ndarray, *, geozarr: bool
) -> tuple[dict[str, Any], np.ndarray]:
    """Return the attributes and numbers of a band."""
    offset = product.offsets.get(band, 0.0) / product.quantification
    if geozarr:
        valid = ~np.isin(numbers, product.invalid)
        scaled = numbers.astype(np.float32) * np.float32(1 / product.quantification)
        return {"units": "1"}, np.where(valid, scaled + np.float32(offset), np.float32(np.nan))
    number = list(SENTINEL2_BANDS).index(band)
    return {
        "long_name": f"BOA reflectance from MSI acquisition at spectral band {number:02d}",
        "units": "digital_counts",
        "dtype": "<u2",
        "fill_value": 0,
        "scale_factor": 1 / product.quantification,
        "add_offset": offset,
        "valid_min": 1,
        "valid_max": 65535,
    }, numbers


def _write(
    group: Any,
    name: str,
    numbers: np.ndarray,
    dims: tuple[str, ...],
    attributes: dict[str, Any],
    chunks: int,
) -> None:
    modern = group.metadata.zarr_format == 3
    array = group.create_array(
        name,
        shape=numbers.shape,
        dtype=numbers.dtype,
        chunks=tuple(min(chunks, n) for n in numbers.shape),
        fill_value=0,
        **({"dimension_names": dims} if modern else {}),
    )
    array[:] = numbers
    array.attrs.update(attributes if modern else attributes | {"_ARRAY_DIMENSIONS": list(dims)})


def _item(product: SafeProduct, source: Any) -> dict[str, Any]:
    """Return the STAC item at a store's root."""
    ring = [[float(v) for v in p.split()] for p in product.footprint[10:-2].split(", ")]
    properties = {
        "start_datetime": product.date.replace("Z", "000+00:00"),
        "datetime": None,
        "platform": "sentinel-2b",
        "processing:level": f"L{product.level}",
        "eopf:baseline": product.baseline,
        "proj:epsg": source.crs.to_epsg(),
        "proj:bbox": list(source.bounds),
    }
    geometry = {"type": "Polygon", "coordinates": [ring]}
    return {"id": product.name, "geometry": geometry, "properties": properties}
