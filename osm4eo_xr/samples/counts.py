"""Wanted and drawn samples per tile, class and split."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from osm4eo_xr.errors import check_number
from osm4eo_xr.samples.spatial_split import SPLITS

if TYPE_CHECKING:
    import pandas as pd

    from osm4eo_xr.legend import Legend
    from osm4eo_xr.samples.labeled_tiles import LabeledTile
    from osm4eo_xr.samples.spatial_split import Drawn, DrawSettings


def sample_counts(samples: xr.Dataset) -> pd.DataFrame:
    """Return wanted and drawn samples per tile, class and split, with the shortfall.

    Parameters
    ----------
    samples : Dataset
        As ``draw_samples`` or ``open_samples`` returns it.

    Returns
    -------
    DataFrame
        Columns tile, class_id, class, split, wanted, drawn, shortfall (samples); classes without
        any labeled pixel are listed too.

    Examples
    --------
    >>> import numpy as np, osm4eo_xr as oxr
    >>> from osm4eo_xr.geometry.grid import georeference
    >>> box = oxr.target_geobox((4320000, 3210000, 4322000, 3212000))
    >>> pixels, bands = np.full((1, 200, 200), 0.1, dtype="float32"), {"band": ["nir"]}
    >>> scene = georeference(pixels, box, dims=("band", "y", "x"), coords=bands)
    >>> labels = georeference(np.full((200, 200), 8, dtype="uint8"), box)
    >>> samples = oxr.draw_samples(scene, labels, per_class=10, patch=8, block=200)
    >>> table = oxr.sample_counts(samples)
    >>> table.loc[table["class"] == "forest", ["split", "wanted", "drawn"]].values.tolist()
    [['train', 6, 6], ['validation', 2, 2], ['test', 2, 2]]
    """
    rows = json.loads(samples.attrs["counts"])
    columns = {name: ("row", [row[name] for row in rows]) for name in rows[0]}
    return xr.Dataset(columns).to_dataframe().rename_axis(None)


def limit_by_cover(per_class: int, cover: float, *, pixels: float, patch: int, classes: int) -> int:
    """Return how many windows of a class are drawn, so that all do not cover the ground too often.

    Parameters
    ----------
    per_class : int
        Windows of a class that are wanted.
    cover : float
        How often the windows of all classes may cover the ground; 0 sets no limit.
    pixels : float
        Pixels of the ground.
    patch : int
        Edge of a window in pixels.
    classes : int
        Classes of the legend.

    Raises
    ------
    InputError
        If ``cover`` is below 0 or not finite.
    """
    check_number("cover", cover)
    if not cover:
        return per_class
    side_by_side = pixels / patch**2
    return min(per_class, math.ceil(cover * side_by_side / classes))


def count_drawn(
    tiles: Sequence[LabeledTile], drawn: Sequence[Drawn], settings: DrawSettings, legend: Legend
) -> list[dict[str, Any]]:
    """Count samples per tile, class and split."""
    rows = []
    for tile, found in zip(tiles, drawn, strict=True):
        for c in legend.classes:
            for split, wanted in enumerate(settings.quotas):
                n = int(np.sum((found.label == c.id) & (found.split == split)))
                rows.append(
                    {
                        "tile": tile.name,
                        "class_id": c.id,
                        "class": c.slug,
                        "split": SPLITS[split],
                        "wanted": wanted,
                        "drawn": n,
                        "shortfall": wanted - n,
                    }
                )
    return rows
