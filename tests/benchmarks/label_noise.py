"""Wrong labels put into the demo's: which are found, and what training bears.

    python tests/benchmarks/label_noise.py [--noises 0.1 0.2 0.4 pair] [--seeds 3] [--keep FOLDER]
    python tests/benchmarks/label_noise.py --reduced [--noises 0.2 pair] [--seeds 1]

A share of OpenStreetMap's objects gets another class, drawn by the classes' numbers of objects;
"pair" makes 20 % of the meadows farmland. Networks learn from these labels. Found is the share of
the wrong objects that stand before the place in the list of quality up to which 90 % are wrong;
mean F1 is that of the test blocks against the labels as they were.

Trainings and figures are kept in a folder, so that a call that was stopped goes on where it was.
``--reduced`` makes small trainings: three minutes for a seed of a noise, on one core.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import geopandas as gpd
import jax
import numpy as np
import xarray as xr

import osm4eo_xr as oxr
from osm4eo_xr.demo import demo_osm_path, demo_scene_paths
from osm4eo_xr.geometry.grid import geobox_of
from osm4eo_xr.training.fit import DEMO_SAMPLES, DEMO_SETTINGS
from osm4eo_xr.training.label_noise.correction import applied
from osm4eo_xr.training.settings import TrainSettings
from osm4eo_xr.training.single_fit import fit_network
from tests.benchmarks.known import relabeled

PRECISION = 0.9
PAIR = ("arable", "pasture")
WAYS = ("none", "prune", "reweight", "forward", "generalized", "bootstrap")


def with_noise(areas: gpd.GeoDataFrame, noise: str, seed: int) -> gpd.GeoDataFrame:
    """Return land use of which some objects have another class."""
    if noise != "pair":
        return relabeled(areas, float(noise), seed)
    said, true = (oxr.default_legend().find(name).id for name in PAIR)
    given = areas["class_id"].to_numpy()
    wrong = (given == true) & (np.random.default_rng(seed).random(len(given)) < 0.2)
    changed = areas.copy()
    changed["class_id"] = np.where(wrong, said, given).astype(given.dtype)
    return changed


def found_at(found: oxr.LabelNoise, areas: gpd.GeoDataFrame, truth: gpd.GeoDataFrame) -> Any:
    """Return recall at the precision, and precision and recall of those called wrong."""
    key = ["osm_kind", "osm_id"]
    changed = areas["class_id"].to_numpy() != truth["class_id"].to_numpy()
    table = found.table().merge(areas[key].assign(changed=changed), on=key)
    right = np.cumsum(table["changed"].to_numpy())
    good = np.flatnonzero(right / np.arange(1, len(right) + 1) >= PRECISION)
    total = max(int(table["changed"].sum()), 1)
    hit = int((table["changed"] & table["wrong"]).sum())
    return {
        "objects": len(table),
        "changed": total,
        "found": float(right[good[-1]] / total) if len(good) else 0.0,
        "precision": hit / max(int(table["wrong"].sum()), 1),
        "recall": hit / total,
    }


def figures(noise: str, seed: int, sizes: tuple[dict[str, Any], TrainSettings], keep: Path) -> Any:
    """Return what was found, and mean F1 by what is done about it; kept once it is known."""
    file = keep / "found.json"
    known: dict[str, Any] = json.loads(file.read_text()) if file.is_file() else {}
    drawing, settings = sizes[0], replace(sizes[1], seed=seed)
    scene = oxr.open_scene(demo_scene_paths(), chunks=512).compute()
    truth = oxr.read_landuse(demo_osm_path())
    areas = with_noise(truth, noise, seed)
    labels = [oxr.rasterize_labels(a, scene).compute() for a in (areas, truth)]
    # What is tested on are the labels as they were, at the places where others are learned.
    drawn = oxr.draw_samples(scene, labels[0], **drawing, seed=seed).compute()
    samples = oxr.name_objects(drawn, areas)
    tested = drawn.assign(label=_labels_at(drawn, labels[1]))
    noises = oxr.find_label_noise(samples, settings, k=2, folder=keep / "folds")
    known |= found_at(noises, areas, truth)
    for way in WAYS:
        if way in known:
            continue
        robust = way in ("generalized", "bootstrap")
        how = replace(settings, loss=way) if robust else replace(settings, noise=way)
        plain = robust or way == "none"
        made, table = (samples, ()) if plain else applied(samples, way, noises)
        made = made.drop_vars("object")
        model = fit_network(made, how, folder=keep / way, noise=table)
        known[way] = oxr.evaluate(model, tested, "test").to_dict()["mean_f1"]
        file.write_text(json.dumps(known))
        print(f"{keep.name} {way}: {known[way]:.1%}", flush=True)
    return known


def _labels_at(samples: xr.Dataset, labels: xr.DataArray) -> Any:
    """Return other labels under the windows of a set, where it has some."""
    half, edge = samples.sizes["y"] // 2, samples.sizes["y"]
    box, values = geobox_of(labels), labels.to_numpy()
    a, east, north = ~box.affine, samples["easting"].to_numpy(), samples["northing"].to_numpy()
    x, y = a.a * east + a.b * north + a.c, a.d * east + a.e * north + a.f
    windows = [
        values[row - half : row - half + edge, column - half : column - half + edge]
        for row, column in zip(np.floor(y).astype(int), np.floor(x).astype(int), strict=True)
    ]
    there = samples["label"].to_numpy() > 0
    return (("sample", "y", "x"), np.where(there, np.stack(windows), 0).astype(np.uint8))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--noises", nargs="+", default=["0.1", "0.2", "0.4", "pair"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--keep", type=Path, default=Path("build/label_noise"))
    parser.add_argument("--reduced", action="store_true")
    arguments = parser.parse_args()
    sizes = {**DEMO_SAMPLES, "per_class": 300}, replace(DEMO_SETTINGS, epochs=8, validate_every=2)
    if arguments.reduced:
        sizes = {**sizes[0], "per_class": 100}, replace(sizes[1], epochs=5, width=8, decoder=16)
    jax.config.update("jax_compilation_cache_dir", str(arguments.keep.absolute() / "programs"))
    rows = []
    for noise in arguments.noises:
        each = []
        for seed in range(arguments.seeds):
            keep = arguments.keep / f"{'reduced_' * arguments.reduced}{noise}_{seed}"
            keep.mkdir(parents=True, exist_ok=True)
            each.append(figures(noise, seed, sizes, keep))
        names = ("objects", "changed", "found", "precision", "recall", *WAYS)
        rows.append((noise, {name: np.mean([f[name] for f in each]) for name in names}))
    print("| noise | objects | wrong | found at 90 % | called wrong: precision | recall | ", end="")
    print(" | ".join(WAYS) + " |")
    for noise, means in rows:
        shown = [f"{means[n]:.0f}" for n in ("objects", "changed")]
        shown += [f"{means[n]:.1%}" for n in ("found", "precision", "recall", *WAYS)]
        print(f"| {noise} | " + " | ".join(shown) + " |")


if __name__ == "__main__":
    main()
