"""Tiles with wrong gains and offsets: what the seam certificate finds, what blending leaves.

    python tests/benchmarks/seams.py [--gain 0.08] [--offset 0.008] [--keep FOLDER]

The demo's scene is cut into nine tiles that overlap by 40 pixels. Each band of each tile gets a
gain and an offset of its own. Tiles are classified alone, joined, and certified. The last column is
the share of pixels whose class is that of the whole scene's map. The network is that of
``known.py --shares 0``, whose folder may be given.
"""

import argparse
import itertools
from pathlib import Path

import numpy as np
import xarray as xr

import osm4eo_xr as oxr
from osm4eo_xr.demo import demo_osm_path, demo_scene_paths
from osm4eo_xr.geometry.grid import geobox_of
from tests.benchmarks.known import SAMPLES, SETTINGS

OVERLAP = 40


def cut(scene: xr.DataArray) -> dict[str, xr.DataArray]:
    """Return nine tiles."""
    edges = []
    for size in scene.shape[1:]:
        edge = (size + 2 * OVERLAP) // 3
        edges.append([(k * (edge - OVERLAP), k * (edge - OVERLAP) + edge) for k in range(3)])
    return {
        f"T{i}{j}": scene[:, slice(*edges[0][i]), slice(*edges[1][j])]
        for i, j in itertools.product(range(3), repeat=2)
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gain", type=float, default=0.08)
    parser.add_argument("--offset", type=float, default=0.008)
    parser.add_argument("--keep", type=Path, default=Path("build/known"))
    arguments = parser.parse_args()
    scene = oxr.open_scene(demo_scene_paths(), chunks=512).compute()
    labels = oxr.rasterize_labels(oxr.read_landuse(demo_osm_path()), scene)
    samples = oxr.draw_samples(scene, labels, **SAMPLES, seed=0).compute()
    model = oxr.train(samples, SETTINGS, folder=arguments.keep / "0_0")
    tiles = cut(scene)
    whole = oxr.classify(scene, model).compute()
    rng, wrong = np.random.default_rng(0), {}
    for name, tile in tiles.items():
        shape = (tile.sizes["band"], 1, 1)
        gain = rng.normal(1, arguments.gain, shape).astype(np.float32)
        offset = rng.normal(0, arguments.offset, shape).astype(np.float32)
        wrong[name] = tile * gain + offset
    found = oxr.harmonize(wrong)
    alike = {name: found.apply(tile, name) for name, tile in wrong.items()}
    print("| tiles | rule | excess | 95 % | as the whole scene's map |")
    sets = (("as they are", tiles), ("wrong", wrong), ("wrong, harmonized", alike))
    for name, images in sets:
        maps = {
            t: oxr.classify(image, model, outputs=["classes", "probabilities"]).compute()
            for t, image in images.items()
        }
        classes = {t: m["classes"] for t, m in maps.items()}
        for rule in ("majority", "blend"):
            shares = {t: m["probabilities"] for t, m in maps.items()} if rule == "blend" else None
            joined = oxr.mosaic(classes, rule=rule, probabilities=shares).compute()
            seam = oxr.seam_certificate(joined, {t: geobox_of(m) for t, m in classes.items()})[0]
            height, width = joined.shape
            agree = (joined.to_numpy() == whole.to_numpy()[:height, :width]).mean()
            span = f"{seam.low:+.2%} to {seam.high:+.2%}"
            print(f"| {name} | {rule} | {seam.excess:+.2%} | {span} | {agree:.1%} |", flush=True)


if __name__ == "__main__":
    main()
