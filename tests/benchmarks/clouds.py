"""How far the rule for clouds agrees with the scene classification, by tile and date.

    python tests/benchmarks/clouds.py FOLDER/stac_33TW/catalog.json

Precision and recall of classes 8, 9 and 10 (clouds) and of class 3 (shadows) over all pixels that
the classification decides: 0 (no data), 1 (defective) and 7 (unclassified) are left out. "alone"
looks at each date by itself, "dates" at all dates of the tile.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import xarray as xr
from odc.geo.geobox import GeoBox

import osm4eo_xr as oxr
from osm4eo_xr.catalogs.items import read_items

CLOUDS, SHADOWS, UNDECIDED = (8, 9, 10), (3,), (0, 1, 7)


def agreement(flagged: np.ndarray, marked: np.ndarray, known: np.ndarray) -> tuple[float, float]:
    """Return precision and recall, per cent; NaN where nothing is flagged or marked."""
    both = int((flagged & marked & known).sum())
    ends = (int((flagged & known).sum()), int((marked & known).sum()))
    precision, recall = (100 * both / end if end else float("nan") for end in ends)
    return precision, recall


def masks(cube: xr.DataArray, shadows: bool) -> np.ndarray:
    """Return (time, y, x) of what the rule takes out."""
    rule = oxr.CloudRule(shadows=shadows)
    gone = oxr.mask_clouds(cube, method="threshold", level="2A", rule=rule)
    return np.isnan(gone.isel(band=0).values) & np.isfinite(cube.isel(band=0).values)


def row(name: str, flags: list[np.ndarray], scl: np.ndarray, seen: np.ndarray) -> None:
    """Print one row: clouds alone and with dates, shadows with dates."""
    known = seen & ~np.isin(scl, UNDECIDED)
    cloud, shadow = np.isin(scl, CLOUDS), np.isin(scl, SHADOWS)
    alone, dates, everything = flags
    cells = [
        *agreement(alone, cloud, known),
        *agreement(dates, cloud, known),
        *agreement(everything & ~dates, shadow, known),
        100 * (cloud & known).sum() / max(known.sum(), 1),
        100 * (dates & known).sum() / max(known.sum(), 1),
    ]
    print(f"| {name} | " + " | ".join(f"{c:.1f}" for c in cells) + " |")


def main() -> None:
    """Parse the command line and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("catalog", type=Path)
    items = read_items(parser.parse_args().catalog)
    print("| tile, date | alone P | R | dates P | R | shadows P | R | SCL cloud % | rule % |")
    print("|---|---|---|---|---|---|---|---|---|")
    for tile in sorted({i["id"].split("_")[1] for i in items}):
        own = [i for i in items if i["id"].split("_")[1] == tile]
        grid = GeoBox.from_bbox(_bounds(own[0]), own[0]["properties"]["proj:epsg"], resolution=120)
        cube = oxr.stack_items(own, grid, resampling="nearest").compute()
        scl = oxr.stack_classes(own, grid).values
        seen = np.asarray(np.isfinite(cube.values).all(axis=1))
        alone = np.stack([masks(one, shadows=False) for one in cube])
        flags = [alone, masks(cube, shadows=False), masks(cube, shadows=True)]
        for t, day in enumerate(cube["time"].values.astype("datetime64[D]")):
            row(f"{tile} {day}", [f[t] for f in flags], scl[t], seen[t])
        row(f"**{tile} all**", flags, scl, seen)


def _bounds(item: dict) -> tuple[float, float, float, float]:
    """Return the bounds of an item's tile in its own CRS."""
    band = item["assets"]["red"]
    (height, width), (size, _, left, _, _, top, *_) = band["proj:shape"], band["proj:transform"]
    return left, top - height * size, left + width * size, top


if __name__ == "__main__":
    main()
