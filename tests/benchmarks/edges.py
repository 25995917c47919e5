"""How right a map is near edges of the imagery, trained with and without missing data.

    python tests/benchmarks/edges.py [--missing 0 0.3] [--keep FOLDER]

A network is trained on the demo's samples per share. The demo's scene is then classified with
straight gaps and round holes in it; accuracy on the labels of the test blocks is told by distance
from the nearest missing pixel. The last row is the scene without gaps. Trainings, a third of the
demo's, are kept in a folder: a call that was stopped goes on where it was.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
from scipy.ndimage import distance_transform_edt

import osm4eo_xr as oxr
from osm4eo_xr.demo import demo_osm_path, demo_scene_paths
from tests.benchmarks.known import SAMPLES, SETTINGS, test_ground

BELTS = ((0, 2), (2, 8), (8, 10**6))


def gaps(shape: tuple[int, int]) -> np.ndarray:
    """Return where data are missing: stripes aslant, and holes between them."""
    y, x = np.indices(shape)
    stripes = (x + y // 3) % 96 < 12
    holes = ((y % 64 - 32) ** 2 + ((x + y // 3) % 96 - 54) ** 2) < 81
    return stripes | holes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--missing", type=float, nargs="+", default=[0.0, 0.3])
    parser.add_argument("--keep", type=Path, default=Path("build/edges"))
    arguments = parser.parse_args()
    arguments.keep.mkdir(parents=True, exist_ok=True)
    jax.config.update("jax_compilation_cache_dir", str(arguments.keep.absolute() / "programs"))
    scene = oxr.open_scene(demo_scene_paths(), chunks=512).compute()
    labels = oxr.rasterize_labels(oxr.read_landuse(demo_osm_path()), scene).compute()
    samples = oxr.draw_samples(scene, labels, **SAMPLES, seed=0).compute()
    gone = gaps((scene.sizes["y"], scene.sizes["x"]))
    tested = test_ground(samples, scene) & (labels.to_numpy() > 0) & ~gone
    distance = np.asarray(distance_transform_edt(~gone))
    belts = [tested & (distance > low) & (distance <= high) for low, high in BELTS]
    print("| missing | 0-2 pixels | 2-8 | 8 and more | whole scene, 0-2 | 2-8 | 8 and more |")
    for missing in arguments.missing:
        model = oxr.train(
            samples, replace(SETTINGS, missing=missing), folder=arguments.keep / f"{missing:g}"
        )
        found = []
        for image in (scene.where(~gone), scene):
            right = oxr.classify(image, model).to_numpy() == labels.to_numpy()
            found += [right[belt].mean() for belt in belts]
        print(f"| {missing:.0%} | " + " | ".join(f"{f:.1%}" for f in found) + " |", flush=True)
    print("pixels: " + ", ".join(f"{belt.sum():,}" for belt in belts))


if __name__ == "__main__":
    main()
