"""Staging: local copies of what a composite reads of its items, made before it is made.

A copy has the original's grid and blocks and holds the blocks that a tile needs
(``rasters.staged``; of Zarr stores ``store_copies``), so that a composite of copies has the bytes
of one that reads the originals.
Items keep their links: a copy is a further member of an asset. Beside the copies of each item lies
a record with their hashes.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import rasterio
from odc.geo.geobox import GeoBox
from rasterio.enums import MaskFlags
from rasterio.errors import RasterioIOError
from rasterio.windows import Window

from osm4eo_xr.catalogs.asset_looks import UNREADABLE
from osm4eo_xr.catalogs.assets import Asset, asset_of
from osm4eo_xr.catalogs.items import asset_keys, class_key, witness_keys
from osm4eo_xr.catalogs.product_assets import STAGED
from osm4eo_xr.catalogs.store_copies import copy_of, fill
from osm4eo_xr.errors import InputError, InputWarning
from osm4eo_xr.files import replace_text, replaced, sha256_of, stamp_of
from osm4eo_xr.imagery.band_looks import middle_window
from osm4eo_xr.imagery.lossy_nodata import factor
from osm4eo_xr.names import check_name
from osm4eo_xr.rasters.files import is_store, open_image
from osm4eo_xr.rasters.remote.addresses import is_remote
from osm4eo_xr.rasters.staged import SUFFIX, TAG, Rectangle, merged, record_text
from osm4eo_xr.rasters.validity import Validity
from osm4eo_xr.rasters.warp import plan_warp
from osm4eo_xr.rasters.windows import read_hidden, read_window

if TYPE_CHECKING:
    from osm4eo_xr.imagery.reader import Band

_PAD = 16  # pixels of the original around what the tile needs
_PIECE = 16_000_000  # bytes read and written at once


@dataclass(frozen=True)
class Wanted:
    """What a composite reads of an item.

    Attributes
    ----------
    geobox : GeoBox
        Its grid.
    bands : tuple of str
        Common names.
    classes : bool
        Whether it reads the scene classification.
    corners : bool
        Whether it looks at the first and the last pixel, as ``leave_out_unreadable`` does.
    """

    geobox: GeoBox
    bands: tuple[str, ...]
    classes: bool
    corners: bool = False

    def keys(self, item: Mapping[str, Any]) -> dict[str, str]:
        """Return the keys of the item's assets by band; the classification is ``classes``."""
        found = asset_keys(item, self.bands, allow_missing=True)
        return found | (class_key(item, "scl", allow_missing=True) if self.classes else {})


def stage_item(item: Mapping[str, Any], wanted: Wanted, folder: Path) -> None:
    """Copy what a composite reads of an item's remote assets, as far as no copy is whole.

    Parameters
    ----------
    item : mapping
        Plain JSON, links unsigned.
    wanted : Wanted
        What is read of it.
    folder : Path
        Copies lie in its folder ID, the record in its ID.json.

    Raises
    ------
    InputError
        If an asset is no raster that GDAL reads and no Zarr store; where a composite leaves out
        what it cannot read, that is recorded instead.
    RemoteError
        If a server fails or refuses access; what was copied before stays.
    """
    place = folder / check_name(item["id"], "STAC item id")
    if is_staged_whole(item, wanted, folder):
        return
    place.mkdir(parents=True, exist_ok=True)
    tree: dict[str, Any] = {"grid": _grid_text(wanted)}
    try:
        tree["assets"] = _copy_stores(item, wanted, place) | _copy_files(item, wanted, place)
    except (InputError, RasterioIOError) as error:
        if not wanted.corners:
            raise
        tree["unreadable"] = " ".join(str(error).split())
    replace_text(_record_path(place), json.dumps(tree, indent=1, sort_keys=True) + "\n")


def with_copies(items: Sequence[dict[str, Any]], wanted: Wanted, folder: Path) -> list[Any]:
    """Return items whose assets name their copies, as far as there are whole ones for this grid.

    A copy that was changed since is not used, with a warning.
    """
    return [_with_copies(item, wanted, folder / item["id"]) for item in items]


def is_staged_whole(item: Mapping[str, Any], wanted: Wanted, folder: Path) -> bool:
    """Whether nothing of an item is left to copy; no server is asked."""
    place = folder / item["id"]
    tree = _read_record(_record_path(place), wanted)
    record = tree.get("assets", {})
    if "unreadable" in tree:
        return True
    links = {key: item["assets"][key]["href"] for key in wanted.keys(item).values()}
    return all(
        record.get(key, {}).get("href") == href and _is_whole(place, record[key])
        for key, href in links.items()
        if is_remote(href)
    )


def _with_copies(item: dict[str, Any], wanted: Wanted, place: Path) -> dict[str, Any]:
    assets, changed = dict(item["assets"]), []
    tree = _read_record(_record_path(place), wanted)
    if "unreadable" in tree:
        return {**item, UNREADABLE: tree["unreadable"]}
    for key, seen in tree.get("assets", {}).items():
        if assets.get(key, {}).get("href") != seen["href"]:
            continue
        if _is_whole(place, seen):
            assets[key] = {**assets[key], STAGED: str(place / seen["path"])}
        else:
            changed.append(seen["path"])
    if changed:
        more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
        warnings.warn(
            f"{place / changed[0]}{more}: not as fetched; the original is read instead",
            InputWarning,
            stacklevel=4,
        )
    return {**item, "assets": assets}


def _copy_stores(item: Mapping[str, Any], wanted: Wanted, place: Path) -> dict[str, Any]:
    """Copy what is read of an item's Zarr stores; return the record of their assets."""
    hrefs = {key: (name, item["assets"][key]["href"]) for name, key in wanted.keys(item).items()}
    copies = {
        key: (name, copy_of(href, place))
        for key, (name, href) in hrefs.items()
        if is_remote(href) and is_store(href)
    }
    for name, copy in copies.values():
        copy.begin()
        how = _resampling(name)
        band = Asset(name, copy.path).band(how)
        fill(band.path, band.index, _ground(band, wanted, how), band.block)
    for copy in {copy.root: copy for _, copy in copies.values()}.values():
        copy.end()
    hashes = {copy.root: _hashes(copy.files(), place) for _, copy in copies.values()}
    return {
        key: {
            "href": hrefs[key][1],
            "path": Path(copy.path).relative_to(place).as_posix(),
            "files": hashes[copy.root],
        }
        for key, (_, copy) in copies.items()
    }


def _copy_files(item: Mapping[str, Any], wanted: Wanted, place: Path) -> dict[str, Any]:
    """Copy what is read of an item's remote rasters; return the record of their assets."""
    record = {}
    for key, (windows, band) in sorted(_windows(item, wanted).items()):
        out = place / f"{check_name(key, 'asset key')}{SUFFIX}"
        href = item["assets"][key]["href"]
        blocks = merged(windows, band.block, tuple(band.geobox.shape))
        tag = record_text(href, blocks, band.block, lossy=band.lossy)
        if not _has_tag(out, tag):
            with replaced(out) as part:
                _copy(href, blocks, band.block, tag, part)
        record[key] = {"href": href, "path": out.name, "files": _hashes([out], place)}
    return record


def _windows(item: Mapping[str, Any], wanted: Wanted) -> dict[str, tuple[list[Rectangle], Band]]:
    """Return for each remote raster which windows are read, by the headers of the originals.

    The tile's ground; the middle, where numbers are looked at before work; and of the witnesses of
    a lossy band the same ground as of that band.
    """
    others = witness_keys(item)
    found: dict[str, tuple[list[Rectangle], Band]] = {}
    for name, key in wanted.keys(item).items():
        if is_store(item["assets"][key]["href"]):
            continue
        how = _resampling(name)
        band = asset_of(item, key, name, others).band(how, {})
        ground = _ground(band, wanted, how)
        for near in (band, *band.witnesses):
            ratio = factor(band.geobox, near.geobox) or 1
            near_key = key if near is band else others[near.name]
            if is_remote(near.path):
                rectangles, _ = found.setdefault(near_key, ([], near))
                rectangles += [
                    (t * ratio, b * ratio, lft * ratio, r * ratio) for t, b, lft, r in ground
                ]
    return found


def _resampling(name: str) -> str:
    """Return how a composite brings a band onto its grid."""
    return "nearest" if name == "classes" else "cubic"


def _ground(band: Band, wanted: Wanted, resampling: str) -> list[Rectangle]:
    """Return the windows of a band that a composite on a grid reads."""
    target = wanted.geobox
    whole = (slice(0, target.shape[0]), slice(0, target.shape[1]))
    window = plan_warp(band.geobox, target, resampling).source_window(*whole)
    height, width = band.geobox.shape
    rows, cols = middle_window(band)
    found = [(rows.start, rows.stop, cols.start, cols.stop)]
    if wanted.corners:
        found += [(0, 1, 0, 1), (height - 1, height, width - 1, width)]
    if window is not None:
        rows, cols = window
        found.append(
            (
                max(rows.start - _PAD, 0),
                min(rows.stop + _PAD, height),
                max(cols.start - _PAD, 0),
                min(cols.stop + _PAD, width),
            )
        )
    return found


def _copy(
    href: str, blocks: Sequence[Rectangle], block: tuple[int, int], tag: str, out: Path
) -> None:
    """Copy rectangles of a file, row by row of blocks: the same bytes whatever else is done."""
    with open_image(href) as source:
        masked = any(
            MaskFlags.per_dataset in flags and MaskFlags.alpha not in flags
            for flags in source.mask_flag_enums
        )
        with rasterio.open(out, "w", **_profile(source, block)) as file:
            file.scales, file.offsets = source.scales, source.offsets
            file.descriptions, file.colorinterp = source.descriptions, source.colorinterp
            file.update_tags(**{**source.tags(), TAG: tag})
        indexes, size = list(source.indexes), np.dtype(source.dtypes[0]).itemsize * source.count
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK="YES"):
        for rectangle in blocks:  # closed after each: blocks lie in the order of their rows
            with rasterio.open(out, "r+") as file:
                for window in _strips(rectangle, block[0], size):
                    file.write(read_window(href, 0, indexes, window), window=window)
                    if masked:
                        hidden = read_hidden(href, 0, 1, Validity(mask=True), window)
                        assert hidden is not None  # noqa: S101 - there is a mask
                        file.write_mask(~hidden, window=window)


def _profile(source: Any, block: tuple[int, int]) -> dict[str, Any]:
    """Return how a copy is written: on the original's grid and in its blocks, without loss."""
    kept = {name: source.profile[name] for name in ("count", "height", "width", "dtype", "crs")}
    rows, cols = block
    tiled = rows % 16 == 0 and cols % 16 == 0
    shape = {"blockxsize": cols, "blockysize": rows} if tiled else {"blockysize": rows}
    how = {"driver": "GTiff", "compress": "deflate", "zlevel": 1, "sparse_ok": True}
    place = {"transform": source.transform, "nodata": source.nodata, "tiled": tiled}
    return {**how, **kept, **place, **shape, "bigtiff": "IF_SAFER"}


def _strips(rectangle: Rectangle, rows: int, size: int) -> Iterator[Window]:
    """Cut a rectangle into windows of whole rows of blocks."""
    top, bottom, left, right = rectangle
    step = max(1, _PIECE // (size * (right - left) * rows)) * rows
    for start in range(top, bottom, step):
        yield Window.from_slices((start, min(start + step, bottom)), (left, right))


def _has_tag(path: Path, tag: str) -> bool:
    """Whether a copy of just these windows is there; it has its name since it was whole."""
    if not path.is_file():
        return False
    with rasterio.open(path) as file:
        return file.tags().get(TAG) == tag


def _record_path(place: Path) -> Path:
    return place.with_name(f"{place.name}.json")


def _read_record(path: Path, wanted: Wanted) -> dict[str, Any]:
    """Return what is known of an item's copies for a grid; nothing if that is not known."""
    try:
        tree = json.loads(path.read_text(encoding="utf-8"))
        return dict(tree) if tree["grid"] == _grid_text(wanted) else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _grid_text(wanted: Wanted) -> str:
    box = wanted.geobox
    read = (wanted.bands, wanted.classes, wanted.corners)
    return f"{box.crs} {tuple(box.shape)} {tuple(box.affine)[:6]} {read}"


def _is_whole(place: Path, seen: Mapping[str, Any]) -> bool:
    """Whether a copy is as it was left; read again where size or time have changed."""
    return all(_is_same(place / name, file) for name, file in seen["files"].items())


def _is_same(path: Path, seen: Mapping[str, Any]) -> bool:
    return path.is_file() and (seen["stamp"] == stamp_of(path) or seen["sha256"] == sha256_of(path))


def _hashes(files: Sequence[Path], place: Path) -> dict[str, Any]:
    """Return what tells later whether files are as they were left, by their paths below a place."""
    return {
        path.relative_to(place).as_posix(): {"stamp": stamp_of(path), "sha256": sha256_of(path)}
        for path in files
    }
