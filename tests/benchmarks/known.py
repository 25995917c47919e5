"""Four rules for known ground, on the demo's scene with labels of which some objects are wrong.

    python tests/benchmarks/known.py [--shares 0 0.1 0.2 0.4] [--seeds 1] [--keep FOLDER]

A share of OpenStreetMap's objects gets another class, drawn by the classes' numbers of objects. The
network learns from these labels, the noise is estimated from their validation blocks, and the merge
sees them alone. Accuracy is that of the test blocks against the labels as they were, which nothing
of this has seen. With ``--shares 0`` labels are the reference itself, so that "osm" is right by
construction; "model" is what a merge gives where labels are hidden altogether.

Trainings, a third of the demo's, and figures are kept in a folder: a call that was stopped goes on
where it was, and prints the table at the end.
"""

import argparse
import json
import time
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import geopandas as gpd
import jax
import numpy as np
import xarray as xr

import osm4eo_xr as oxr
from osm4eo_xr.demo import demo_osm_path, demo_scene_paths
from osm4eo_xr.geometry.grid import geobox_of
from osm4eo_xr.maps.settings import KnownRule
from osm4eo_xr.samples.store import read_split
from osm4eo_xr.training.fit import DEMO_SAMPLES, DEMO_SETTINGS

SAMPLES = {**DEMO_SAMPLES, "per_class": 200}
SETTINGS = replace(DEMO_SETTINGS, epochs=8, validate_every=2, checkpoint_every=40)


def relabeled(areas: gpd.GeoDataFrame, share: float, seed: int) -> gpd.GeoDataFrame:
    """Return land use in which a share of the objects has another class."""
    rng, given = np.random.default_rng(seed), areas["class_id"].to_numpy()
    wrong = rng.random(len(given)) < share
    drawn = rng.choice(given, (50, len(given)))
    other = drawn[(drawn != given).argmax(axis=0), np.arange(len(given))]
    changed = areas.copy()
    changed["class_id"] = np.where(wrong, other, given).astype(given.dtype)
    return changed


def test_ground(samples: xr.Dataset, scene: xr.DataArray) -> np.ndarray:
    """Return the pixels (y, x) of the test windows."""
    mask, box = np.zeros(scene.shape[1:], bool), geobox_of(scene)
    part = samples.isel(sample=read_split(samples, 2))
    half = samples.sizes["y"] // 2
    for x, y in zip(part["easting"].to_numpy(), part["northing"].to_numpy(), strict=True):
        column, row = (int(np.floor(v)) for v in ~box.affine @ (float(x), float(y)))
        mask[max(row - half, 0) : row + half, max(column - half, 0) : column + half] = True
    return mask


def accuracies(share: float, seed: int, keep: Path) -> dict[str, float]:
    """Return overall accuracy in the test blocks by rule; kept once it is known."""
    file = keep / f"{share:g}_{seed}.json"
    if not file.is_file():
        file.write_text(json.dumps(_accuracies(share, seed, keep / f"{share:g}_{seed}")))
    return json.loads(file.read_text())


def _accuracies(share: float, seed: int, run: Path) -> dict[str, float]:
    scene = oxr.open_scene(demo_scene_paths(), chunks=512).compute()
    areas = oxr.read_landuse(demo_osm_path())
    truth = oxr.rasterize_labels(areas, scene).to_numpy()
    labels = oxr.rasterize_labels(relabeled(areas, share, seed), scene)
    samples = oxr.draw_samples(scene, labels, **SAMPLES, seed=seed).compute()
    model = oxr.train(samples, replace(SETTINGS, seed=seed), folder=run)
    names = ["classes", "confidence", "probabilities"]
    maps = oxr.classify(scene, model, outputs=names).compute()
    how: Any = {name: maps[name] for name in names[1:]}
    how["noise"] = oxr.estimate_label_noise(model, samples)
    counted = test_ground(samples, scene) & (truth > 0)
    found = {"labels right": float((labels.to_numpy() == truth)[counted].mean())}
    for rule in get_args(KnownRule):
        merged = oxr.merge_known(labels, maps["classes"], rule=rule, **how)["classes"].to_numpy()
        found[rule] = float((merged == truth)[counted].mean())
    return {**found, "pixels": float(counted.sum())}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shares", type=float, nargs="+", default=[0.0, 0.1, 0.2, 0.4])
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--keep", type=Path, default=Path("build/known"))
    arguments = parser.parse_args()
    arguments.keep.mkdir(parents=True, exist_ok=True)
    jax.config.update("jax_compilation_cache_dir", str(arguments.keep.absolute() / "programs"))
    rows: dict[float, list[dict[str, float]]] = defaultdict(list)
    for share in arguments.shares:
        for seed in range(arguments.seeds):
            start = time.perf_counter()
            rows[share].append(accuracies(share, seed, arguments.keep))
            print(
                f"{share:.0%} wrong, seed {seed}: {time.perf_counter() - start:.0f} s", flush=True
            )
    names = [name for name in rows[arguments.shares[0]][0] if name != "pixels"]
    print("| objects wrong | test pixels | " + " | ".join(names) + " |")
    for share, found in rows.items():
        means = [np.mean([f[name] for f in found]) for name in names]
        pixels = int(np.mean([f["pixels"] for f in found]))
        print(f"| {share:.0%} | {pixels:,} | " + " | ".join(f"{m:.1%}" for m in means) + " |")


if __name__ == "__main__":
    main()
