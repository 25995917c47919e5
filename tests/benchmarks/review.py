"""What ``review`` costs and finds over a whole country's extract, on a made-up scene.

    python tests/benchmarks/review.py liechtenstein.osm.pbf [--share 0.05] [--keep FOLDER]

The scene is drawn from the extract's own land use, a color per class and noise; a share of the
objects is drawn in the color of another class, as if OpenStreetMap were wrong there. A country run
learns from the extract and maps the scene; then ``osm4eo-xr review`` lists what to look at. Printed
are seconds and peak memory of that command, and which of the listed objects were drawn wrong.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import geopandas as gpd
import numpy as np
import rasterio

import osm4eo_xr as oxr
from osm4eo_xr.geometry.grid import target_geobox
from tests.benchmarks.known import relabeled

BANDS = ("blue", "green", "red", "nir")
COUNTRY = """
name = "A country drawn from its extract"
scenes = [{{ files = "scene.tif" }}]
date = 2022-07-21

[labels]
osm = "{extract}"

[samples]
per_class = 150
patch = 32
block = 1000

[train]
depth = 11
width = 8
kernel = 3
epochs = 6
batch = 32

[review]
objects = 1000
places = 100
"""


def draw_scene(areas: gpd.GeoDataFrame, path: Path) -> tuple[int, int]:
    """Write the scene in digital numbers, unmapped land in colors of classes; return its size."""
    west, south, east, north = areas.to_crs(4326).total_bounds
    box = target_geobox((west, south, east, north), bounds_crs="EPSG:4326")
    classes = oxr.rasterize_labels(areas, box).to_numpy()
    rng = np.random.default_rng(0)
    coarse = rng.integers(1, 13, [size // 40 + 1 for size in classes.shape])
    elsewhere = np.kron(coarse, np.ones((40, 40), int))[: classes.shape[0], : classes.shape[1]]
    shown = np.where(classes > 0, classes, elsewhere)
    colors = rng.uniform(300, 4000, (13, len(BANDS)))
    profile = {"driver": "GTiff", "dtype": "uint16", "count": len(BANDS), "nodata": 0}
    place = {"crs": str(box.crs), "transform": box.affine}
    place |= dict(zip(("height", "width"), classes.shape, strict=True))
    with rasterio.open(path, "w", **profile, **place, tiled=True) as file:
        for band, name in enumerate(BANDS):
            light = colors[shown, band] + rng.normal(0, 150, classes.shape)
            file.write(light.clip(1, 10000).round().astype(np.uint16), band + 1)
            file.set_band_description(band + 1, name)
    return classes.shape


def main() -> None:
    """Make the country, run it, time the review and compare it with what was drawn wrong."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("extract", type=Path)
    parser.add_argument("--share", type=float, default=0.05)
    parser.add_argument("--keep", type=Path)
    given = parser.parse_args()
    with ExitStack() as stack:
        folder = given.keep or Path(stack.enter_context(TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        areas = oxr.read_landuse(given.extract)
        drawn = relabeled(areas, given.share, seed=0)
        print("pixels:", draw_scene(drawn, folder / "scene.tif"), "objects:", len(areas))
        (folder / "country.toml").write_text(COUNTRY.format(extract=given.extract.absolute()))
        command, tasks = [sys.executable, "-m", "osm4eo_xr"], folder / "tasks.geojson"
        subprocess.run([*command, "run", str(folder / "country.toml")], check=True)
        asked = ["--out", str(tasks), "--overwrite", "--objects", "1000", "--places", "100"]
        began = time.perf_counter()
        process = subprocess.Popen([*command, "review", str(folder / "result"), *asked])
        _, status, used = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        if status:
            sys.exit("review failed")
        print(f"review: {seconds:.1f} s, peak {used.ru_maxrss / 2**20:.2f} GiB")
        wrong = areas.loc[areas["class_id"].to_numpy() != drawn["class_id"].to_numpy()]
        keys = {*zip(wrong["osm_kind"], wrong["osm_id"], strict=True)}
        found = json.loads(tasks.read_text())["features"]
        print(f"{tasks.stat().st_size:,} bytes; fields: {', '.join(found[0]['properties'])}")
        objects = [f["properties"] for f in found if "osm_id" in f["properties"]]
        right = sum((p["osm_kind"], p["osm_id"]) in keys for p in objects)
        print(f"drawn wrong: {len(keys)}; listed {len(objects)}, of which {right} were")
        print(Counter(p["task"] for p in (f["properties"] for f in found)))


if __name__ == "__main__":
    main()
