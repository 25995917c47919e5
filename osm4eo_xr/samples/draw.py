"""Scene and labels → a stratified, spatially split sample set.

The ground is cut into square blocks on the grid's own CRS. Each block belongs to training,
validation or test, whatever tile it is seen in. Per tile, class and split the labeled pixels with
the least hash of (seed, row, column) are drawn, each with a window around it; windows of different
splits are at least ``gap`` apart.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import dask.array as da
import numpy as np
import xarray as xr
from dask.base import compute
from dask.delayed import Delayed, delayed

from osm4eo_xr.errors import InputError, check_number
from osm4eo_xr.feature_ids.channels import Channels, channels_of
from osm4eo_xr.feature_ids.ids import canonical, parse_feature
from osm4eo_xr.geometry.geodesy import crs_text, meters_per_unit
from osm4eo_xr.geometry.known_classes import legend_of, refuse_others
from osm4eo_xr.samples.counts import count_drawn
from osm4eo_xr.samples.labeled_tiles import LabeledTile, holds_window, labeled_tiles, tile_units
from osm4eo_xr.samples.spatial_split import (
    CELL,
    SPLITS,
    Drawn,
    DrawSettings,
    apportion,
    combine,
    draw_from_block,
)
from osm4eo_xr.samples.store import STORE_CHUNK
from osm4eo_xr.samples.windows import cut_images, cut_labels, keep_owned

if TYPE_CHECKING:
    from osm4eo_xr.legend import Legend

__all__ = ["draw_samples"]

_MERGED_AT_ONCE = 16
_SHARE_SLACK = 1e-6
_MOST_PER_CLASS = 2**31 - 1  # more than a tile has pixels
_LONGEST_BLOCK = 2**24  # pixels, as rasters


def draw_samples(
    scene: xr.DataArray | Sequence[xr.DataArray],
    labels: xr.DataArray | Sequence[xr.DataArray],
    *,
    per_class: int = 5000,
    seed: int = 0,
    patch: int = 32,
    block: float = 1600.0,
    gap: float | None = None,
    shares: tuple[float, float, float] = (0.6, 0.2, 0.2),
    legend: Legend | None = None,
    names: Sequence[str] | None = None,
    optional: Sequence[str] = (),
) -> xr.Dataset:
    """Draw windows around labeled pixels, per class, from spatial blocks that are kept apart.

    The labels and the scene's no-data are read to choose the pixels; the windows stay lazy. The
    draw does not depend on chunks, and ground seen in two overlapping tiles is in one split.

    Parameters
    ----------
    scene : DataArray or sequence of DataArray
        Dims (band, y, x), float32, NaN = no data; one per tile, all on one CRS and pixel size, with
        the same bands or features. A pixel has data where it has that of all groups of features
        (``open_features``); plain bands are one.
    labels : DataArray or sequence of DataArray
        Dims (y, x), uint8, 0 = unlabeled; one per scene, on its grid.
    per_class : int
        Pixels to draw per class and tile, divided among the splits by ``shares``. In a scene below
        some 28 km the default's windows show the same ground again and again; give fewer there.
    seed : int
        Another seed gives other blocks and other pixels.
    patch : int
        Edge of a window in pixels; the drawn pixel is at index ``patch // 2`` of both axes.
    block : float
        Edge of a spatial block in meters.
    gap : float, optional
        Least distance in meters between windows of different splits; by default the edge of a
        window, which is what one prediction on a sample can see.
    shares : tuple of float
        Shares of train, validation and test, of both blocks and drawn pixels.
    legend : Legend, optional
        By default the package's that the labels state, or the twelve classes of OSMlanduse.
    names : sequence of str, optional
        Names of the tiles.
    optional : sequence of str
        Groups, such as ``s1@2024-summer``, that a pixel may lack if it has another one's data. The
        model that is trained on the samples does without them.

    Returns
    -------
    Dataset
        image (sample, y, x, band) float32 and label (sample, y, x) uint8, lazy; split (sample)
        uint8: 0 train, 1 validation, 2 test; tile (sample) int16, index into ``attrs["tiles"]``;
        easting, northing (sample) float64: center of the drawn pixel. A label is 0 where the image
        has no data; in validation and test also where another sample counts the pixel, so that
        every pixel of a tile is scored once. Samples are in order of split, then of ground.

    Raises
    ------
    InputError
        If grids differ or do not overlap, an argument is out of range, or nothing can be drawn.

    Examples
    --------
    >>> import numpy as np, osm4eo_xr as oxr
    >>> from osm4eo_xr.geometry.grid import georeference
    >>> box = oxr.target_geobox((4320000, 3210000, 4322000, 3212000))
    >>> pixels, bands = np.full((1, 200, 200), 0.1, dtype="float32"), {"band": ["nir"]}
    >>> scene = georeference(pixels, box, dims=("band", "y", "x"), coords=bands)
    >>> labels = georeference(np.full((200, 200), 8, dtype="uint8"), box)
    >>> samples = oxr.draw_samples(scene, labels, per_class=10, patch=8, block=200)
    >>> dict(samples["image"].sizes), np.bincount(samples["split"]).tolist()
    ({'sample': 10, 'y': 8, 'x': 8, 'band': 1}, [6, 2, 2])
    """
    tiles = labeled_tiles(scene, labels, names)
    bands = _bands_of(tiles)
    channels = channels_of(bands, optional)
    legend = legend_of(*(tile.labels for tile in tiles), given=legend)
    first = tiles[0].geobox
    resolution = abs(first.resolution.x) * meters_per_unit(first.crs)
    settings = _settings(per_class, seed, patch, block, gap, shares, resolution)
    drawn = compute(*(_draw_tile(tile, settings, channels) for tile in tiles))
    _check_drawn(drawn, legend)
    parts = [
        _windows(tile, _in_order(found, settings), settings.patch, index, channels)
        for index, (tile, found) in enumerate(zip(tiles, drawn, strict=True))
        if found.label.size
    ]
    drawn_set = xr.concat(parts, dim="sample", combine_attrs="override").chunk(sample=STORE_CHUNK)
    told = _attrs(tiles, drawn, settings, resolution, legend)
    return drawn_set.assign_attrs(told | {"bands": bands, "optional": [*map(str, optional)]})


def _settings(
    per_class: int,
    seed: int,
    patch: int,
    block: float,
    gap: float | None,
    shares: tuple[float, float, float],
    resolution: float,
) -> DrawSettings:
    """Check the arguments and turn ground units into pixels."""
    check_number("seed", seed)
    if per_class < 1 or patch < 1:
        raise InputError(f"per_class {per_class} and patch {patch} have to be 1 or more")
    if per_class > _MOST_PER_CLASS:
        raise InputError(f"per_class is {per_class}", expected=f"at most {_MOST_PER_CLASS:,}")
    if not np.isfinite((*shares, block, gap or 0.0)).all() or (gap or 0.0) < 0:
        raise InputError(
            f"shares are {shares}, block {block} and gap {gap}",
            expected="finite numbers, 0 or more",
        )
    valid = len(shares) == len(SPLITS) and min(shares) >= 0 and shares[0] > 0
    if not valid or abs(sum(shares) - 1) > _SHARE_SLACK:
        raise InputError(
            f"shares are {shares}", expected="shares of train, validation and test, 1 in all"
        )
    blocks = apportion(CELL * CELL, shares)
    lost = [
        f"{share:g}" for share, count in zip(shares, blocks, strict=True) if share and not count
    ]
    if lost:
        raise InputError(
            f"a share of {lost[0]} gets none of the {CELL * CELL} blocks of a cell",
            expected=f"0, or {1 / CELL**2:g} or more",
        )
    gap = patch * resolution if gap is None else gap
    margin = max(0, int(np.ceil(gap / resolution / 2)))
    edge = round(block / resolution)
    if edge > _LONGEST_BLOCK:
        raise InputError(f"block is {block:g}", expected=f"at most {_LONGEST_BLOCK * resolution:g}")
    if edge < patch + 2 * margin:
        raise InputError(
            f"block {block:g} is too small for windows of {patch * resolution:g} that stay "
            f"{gap:g} apart",
            advice=f"give at least {(patch + 2 * margin) * resolution:g}",
        )
    return DrawSettings(
        seed=seed,
        patch=patch,
        block=edge,
        margin=margin,
        blocks=blocks,
        quotas=apportion(per_class, shares),
    )


def _bands_of(tiles: Sequence[LabeledTile]) -> list[str]:
    """Return the ids of the features, which all tiles have.

    Raises
    ------
    InputError
        If a tile has others, one is there twice, or an id is none.
    """
    found = [
        [str(parse_feature(str(name))) for name in tile.scene["band"].to_numpy()] for tile in tiles
    ]
    twice = [name for name in found[0] if found[0].count(name) > 1]
    if twice:
        raise InputError(f"band {twice[0]!r} is there twice", advice="give each band one name")
    for tile, names in zip(tiles, found, strict=True):
        if names != found[0]:
            raise InputError(
                f"tile {tile.name} has bands {', '.join(names)}",
                expected=f"{', '.join(found[0])}, as {tiles[0].name} has",
                advice="open all scenes with the same bands",
            )
    return found[0]


def _draw_tile(tile: LabeledTile, settings: DrawSettings, channels: Channels) -> Delayed:
    """Draw per chunk and combine what was drawn."""
    labels = tile.labels.chunk() if tile.labels.chunks is None else tile.labels
    finite: xr.DataArray = xr.apply_ufunc(np.isfinite, tile.scene, dask="allowed")
    data = xr.DataArray(channels.usable(finite.data, axis=0), dims=finite.dims[1:])
    usable = data & holds_window(tile, settings.patch)
    usable = usable.chunk(dict(zip(labels.dims, labels.chunks or (), strict=True)))
    tops, lefts = (np.cumsum((0, *sizes[:-1])) for sizes in labels.chunks or ())
    blocks = labels.data.to_delayed()
    masks = usable.data.to_delayed()
    draw = delayed(draw_from_block)
    parts = [
        draw(blocks[i, j], masks[i, j], int(tile.top + top), int(tile.left + left), settings)
        for i, top in enumerate(tops)
        for j, left in enumerate(lefts)
    ]
    while len(parts) > 1:
        groups = [parts[i : i + _MERGED_AT_ONCE] for i in range(0, len(parts), _MERGED_AT_ONCE)]
        parts = [delayed(combine)(group, settings.quotas) for group in groups]
    return parts[0]


def _in_order(drawn: Drawn, settings: DrawSettings) -> Drawn:
    """Sort by split, then by cell of blocks, within it by hash: local, but classes mixed."""
    cell = settings.block * CELL
    return drawn.take(
        np.lexsort(
            (
                drawn.col,
                drawn.row,
                drawn.key,
                np.floor_divide(drawn.col, cell),
                np.floor_divide(drawn.row, cell),
                drawn.split,
            )
        )
    )


def _windows(
    tile: LabeledTile, drawn: Drawn, patch: int, index: int, channels: Channels
) -> xr.Dataset:
    """Return the lazy windows of one tile's drawn pixels."""
    row, col = drawn.row - tile.top, drawn.col - tile.left
    images, labels = [], []
    for first in range(0, row.size, STORE_CHUNK):
        part = slice(first, first + STORE_CHUNK)
        image, label = _cut(tile, row[part] - patch // 2, col[part] - patch // 2, patch)
        images.append(image)
        labels.append(label)
    image, label = da.concatenate(images), keep_owned(da.concatenate(labels), drawn, patch)
    label = da.where(channels.usable(da.isfinite(image), axis=-1), label, np.uint8(0))
    affine = tile.geobox.affine
    return xr.Dataset(
        {
            "image": (("sample", "y", "x", "band"), image),
            "label": (("sample", "y", "x"), label),
            "split": ("sample", drawn.split),
            "tile": ("sample", np.full(row.size, index, np.int16)),
            "easting": ("sample", affine.c + (col + 0.5) * affine.a),
            "northing": ("sample", affine.f + (row + 0.5) * affine.e),
        },
        coords={"band": [canonical(str(name)) for name in tile.scene["band"].to_numpy()]},
    )


def _cut(
    tile: LabeledTile, row: np.ndarray, col: np.ndarray, patch: int
) -> tuple[da.Array, da.Array]:
    """Cut some windows out of the part of the tile that holds them all."""
    rows = slice(int(row.min()), int(row.max()) + patch)
    cols = slice(int(col.min()), int(col.max()) + patch)
    row, col = row - rows.start, col - cols.start
    pixels = tile.scene[:, rows, cols].data
    classes = tile.labels[rows, cols].data
    shape = (row.size, patch, patch)
    image = delayed(cut_images)(pixels, row, col, patch)
    label = delayed(cut_labels)(classes, row, col, patch)
    return (
        da.from_delayed(image, (*shape, tile.scene.sizes["band"]), dtype=np.float32),
        da.from_delayed(label, shape, dtype=np.uint8),
    )


def _check_drawn(drawn: Sequence[Drawn], legend: Legend) -> None:
    """Refuse an empty draw and labels that the legend does not know."""
    found = np.concatenate([part.label for part in drawn])
    if not found.size:
        raise InputError(
            "no labeled pixel has a whole window of valid pixels inside one block",
            advice="check that the labels cover the scene, or give a smaller patch or gap",
        )
    refuse_others(Counter(found.tolist()), legend, "the label raster", "the windows")


def _attrs(
    tiles: Sequence[LabeledTile],
    drawn: Sequence[Drawn],
    settings: DrawSettings,
    resolution: float,
    legend: Legend,
) -> dict[str, Any]:
    """Return what the sample set says of itself, as JSON types."""
    return {
        "seed": settings.seed,
        "patch": settings.patch,
        "block": settings.block * resolution,
        "gap": settings.margin * 2 * resolution,
        "resolution": resolution,
        "crs": crs_text(tiles[0].geobox.crs),
        "tiles": [tile.name for tile in tiles],
        "units": tile_units(tiles),
        "splits": list(SPLITS),
        "legend": json.dumps(legend.to_dict()),
        "counts": json.dumps(count_drawn(tiles, drawn, settings, legend)),
    }
