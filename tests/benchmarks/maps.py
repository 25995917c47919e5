"""What a user could train instead of our network, on the same held-out blocks and for as long.

    pip install lightgbm segmentation-models-pytorch torch torchvision
    python tests/benchmarks/maps.py [--scenes demo slovenia] [--learners ours forest boosting …]
    python tests/benchmarks/maps.py --scenes SCENE EXTRACT [--seconds 150] [--folds 5]

Scenes are the demo's; "slovenia", five dates one by one and stacked, of OSM4EO_XR_DATA; or the file
of a scene and an OpenStreetMap extract. Folds are blocks, the same for all learners. Networks have
the seconds given, on the threads of this machine; a forest and boosting take what they take. With
``--seconds 0`` ours takes the epochs of its settings. Printed are, as means over folds with 95 %
intervals (Nadeau & Bengio 2003), the overall accuracy and its difference to ours, paired by fold;
mean F1; the calibration error, as a mean and of all folds' pixels together (a fold has few blocks,
and how lucky those are counts as error in the mean); accuracy within 2 pixels of another label and
farther inside; F1 of each class; seconds of training, and of prediction per million pixels. Folds
that are done are kept in a folder.
"""

import argparse
import json
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from scipy.ndimage import maximum_filter, minimum_filter

import osm4eo_xr as oxr
from osm4eo_xr.accuracy.validation.intervals import fold_interval
from osm4eo_xr.demo import demo_osm_path, demo_scene_paths
from osm4eo_xr.legend import legend_from_dict
from osm4eo_xr.samples.folds import block_folds
from osm4eo_xr.training.calibration import calibration_bins, expected_error
from osm4eo_xr.training.fit import DEMO_SAMPLES, DEMO_SETTINGS
from tests.cases.map_learners import (
    Network,
    Pixels,
    Predict,
    Segmentation,
    class_ids,
    windows_of,
)
from tests.cases.slovenia_case import features_of, files_of, labels_of, legend

OURS = "ours"
_NEAR = 2  # pixels to another label
_LEAST = 1e-7  # probability; logits are its logarithm

BEFORE = {"epochs": 12, "average": 0.0, "label_smoothing": 0.0, "cutmix": 0.0, "validate_every": 3}
BEFORE |= {"members": 1}
"""What the demo learned with before it had a preset; with ``--seconds 0`` as long as then."""

BEFORE_DEFAULT = {"depth": 29, "kernel": 5, "weight_decay": 0.01, "cutmix": 0.0}
"""What settings said before they were set from this table."""

LEARNERS: dict[str, Any] = {
    OURS: Network(DEMO_SETTINGS),
    "ours, before": Network(replace(DEMO_SETTINGS, **BEFORE)),
    "ours, alone": Network(replace(DEMO_SETTINGS, members=1)),
    "ours, last step": Network(replace(DEMO_SETTINGS, average=0.0)),
    "ours, hard labels": Network(replace(DEMO_SETTINGS, label_smoothing=0.0)),
    "ours, not mixed": Network(replace(DEMO_SETTINGS, cutmix=0.0)),
    "ours, balanced": Network(replace(DEMO_SETTINGS, class_weights="balanced")),
    "ours, wide": Network(replace(DEMO_SETTINGS, width=32)),
    "ours, deep": Network(replace(DEMO_SETTINGS, depth=20)),
    "ours, adjusted": Network(replace(DEMO_SETTINGS, logit_adjustment=1.0)),
    "ours, rate found": Network(replace(DEMO_SETTINGS, learning_rate=0.0)),
    "ours, turned": Network(replace(DEMO_SETTINGS, rotation=45.0)),
    "ours, scaled": Network(replace(DEMO_SETTINGS, scaling=0.25)),
    "default": Network(oxr.TrainSettings.preset("default")),
    "default, members": Network(oxr.TrainSettings.preset("default", members=3)),
    "default, depth 29": Network(oxr.TrainSettings.preset("default", depth=29)),
    "default, before": Network(replace(oxr.TrainSettings(), **BEFORE_DEFAULT)),
    "forest": Pixels("forest", around=False),
    "forest, around": Pixels("forest", around=True),
    "boosting": Pixels("boosting", around=False),
    "boosting, around": Pixels("boosting", around=True),
    "U-Net": Segmentation("Unet", DEMO_SETTINGS),
    "DeepLabV3+": Segmentation("DeepLabV3Plus", DEMO_SETTINGS),
}


def sample_sets(scenes: list[str], seed: int) -> Iterator[tuple[str, xr.Dataset, float]]:
    """Yield scenes' names, their windows, and the share of blocks that choose the epoch."""
    if "demo" in scenes:
        yield "demo", _drawn_of(demo_scene_paths(), demo_osm_path(), seed), 0.1
    if "slovenia" in scenes:
        data = Path(os.environ["OSM4EO_XR_DATA"])
        days = list(files_of(data))
        for chosen in (*([day] for day in days), days):
            name = f"Slovenia, {chosen[0] if len(chosen) == 1 else 'five dates'}"
            cube = features_of(data, chosen, dem=False).compute()
            how: Any = {"per_class": 400, "patch": 8, "block": 200.0, "gap": 20.0}
            drawn = oxr.draw_samples(
                cube, labels_of(data), legend=legend(), shares=(1, 0, 0), seed=seed, **how
            )
            yield name, drawn.compute(), 0.2
    others = [scene for scene in scenes if scene not in ("demo", "slovenia")]
    if others:
        scene, extract = others
        yield Path(scene).name, _drawn_of(scene, extract, seed), 0.1


def _drawn_of(scene: Any, extract: Any, seed: int) -> xr.Dataset:
    """Return the windows of a scene and an OpenStreetMap extract, all of them for folds."""
    opened = oxr.open_scene(scene, chunks=512).compute()
    labels = oxr.rasterize_labels(oxr.read_landuse(extract), opened)
    how = {**DEMO_SAMPLES, "shares": (1, 0, 0), "seed": seed}
    return oxr.draw_samples(opened, labels, **how).compute()


def scored(predict: Predict, samples: xr.Dataset) -> dict[str, Any]:
    """Return the figures of a fold's test windows."""
    ids = class_ids(samples)
    test = windows_of(samples, 2, ids)
    start = time.perf_counter()
    chances = predict(test.image)
    seconds = time.perf_counter() - start
    known = test.index >= 0
    truth, found = test.index[known], chances.argmax(axis=-1)[known]
    counts = np.zeros((len(ids), len(ids)), np.int64)
    np.add.at(counts, (truth, found), 1)
    near = _near_others(test.index)[known]
    right = found == truth
    logits = np.log(np.maximum(chances[known], _LEAST))
    return {
        "counts": counts.tolist(),
        "bins": calibration_bins(logits, truth).tolist(),
        "near": float(right[near].mean()) if near.any() else np.nan,
        "inside": float(right[~near].mean()) if (~near).any() else np.nan,
        "predicting": seconds / (test.index.size / 1e6),
    }


def _near_others(index: np.ndarray) -> np.ndarray:
    """Return which pixels have another label within reach; what is unlabeled is none."""
    size = (1, 2 * _NEAR + 1, 2 * _NEAR + 1)
    high = maximum_filter(index, size, mode="nearest")
    low = minimum_filter(np.where(index < 0, index.max() + 1, index), size, mode="nearest")
    return high != low


def folds_of(
    name: str, samples: xr.Dataset, learner: str, validation: float, options: argparse.Namespace
) -> list[dict[str, Any]]:
    """Return the figures of each fold, from the folder where they are known."""
    rows = []
    folds = block_folds(samples, options.folds, validation=validation, seed=options.seed)
    for n, fold in enumerate(folds):
        key = f"{name}_{options.seconds:g}_{options.seed}_{n}_{options.folds}_{learner}.json"
        file = options.keep / key.replace("/", "-")
        if not file.is_file():
            start = time.perf_counter()
            predict = LEARNERS[learner].fit(fold.samples, options.seconds, options.seed)
            took = time.perf_counter() - start
            file.write_text(json.dumps(scored(predict, fold.samples) | {"training": took}))
        rows.append(json.loads(file.read_text()))
    return rows


def f1_of(counts: np.ndarray) -> np.ndarray:
    """Return F1 per class of counts (reference, found); NaN where a class is in neither."""
    both = counts.sum(axis=0) + counts.sum(axis=1)
    return np.where(both > 0, 2 * np.diag(counts) / np.maximum(both, 1), np.nan)


def overall_of(rows: list[dict[str, Any]]) -> np.ndarray:
    """Return the overall accuracy of each fold."""
    counts = np.array([row["counts"] for row in rows])
    return np.trace(counts, axis1=1, axis2=2) / counts.sum(axis=(1, 2))


def print_table(name: str, slugs: list[str], known: dict[str, list[dict[str, Any]]]) -> None:
    """Print a scene's rows, those that are best overall first."""
    heads = (
        *("overall", "minus ours", "mean F1", "ECE", "together"),
        *("near", "inside", "train s", "s / Mpx"),
    )
    widths = (19, 20, 8, 6, 9, 6, 7, 8, 8)
    print(
        f"\n{name}, %".ljust(21) + "".join(f"{h:>{w}}" for h, w in zip(heads, widths, strict=True))
    )
    ours = overall_of(known[OURS]) if OURS in known else None
    for learner in sorted(known, key=lambda k: -overall_of(known[k]).mean()):
        rows, overall = known[learner], overall_of(known[learner])
        apart = "" if ours is None else _interval(overall - ours, sign="+")
        even = np.nanmean([np.nanmean(f1_of(np.array(row["counts"]))) for row in rows])
        bins = np.array([row["bins"] for row in rows])
        errors = [np.nanmean([expected_error(b) for b in bins]), expected_error(bins.sum(axis=0))]
        means = [np.nanmean([row[k] for row in rows]) for k in ("near", "inside")]
        times = [np.mean([row[k] for row in rows]) for k in ("training", "predicting")]
        told = [_interval(overall), apart, *(f"{100 * v:.1f}" for v in (even, *errors, *means))]
        told += [f"{v:.1f}" for v in times]
        print(f"{learner:20}" + "".join(f"{t:>{w}}" for t, w in zip(told, widths, strict=True)))
    counts = {
        learner: np.sum([r["counts"] for r in rows], axis=0) for learner, rows in known.items()
    }
    seen = np.any([n.sum(axis=1) > 0 for n in counts.values()], axis=0)
    print(f"{'F1, %':20}" + "".join(f"{s[:9]:>10}" for s, k in zip(slugs, seen, strict=True) if k))
    for learner, found in counts.items():
        print(f"{learner:20}" + "".join(f"{100 * v:10.1f}" for v in f1_of(found)[seen]), flush=True)


def _interval(values: np.ndarray, sign: str = "") -> str:
    """Say a mean over folds in per cent, with its interval."""
    if len(values) == 1:
        return f"{100 * values[0]:{sign}.1f}"
    found = fold_interval(values, len(values))
    low, high = (f"{100 * v:{sign}.1f}" for v in (found.low, found.high))
    return f"{100 * found.value:{sign}.1f} ({low} {high})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", nargs="+", default=["demo"])
    parser.add_argument("--learners", nargs="+", default=list(LEARNERS), choices=list(LEARNERS))
    parser.add_argument("--seconds", type=float, default=150.0)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, default=Path("build/maps"))
    options = parser.parse_args()
    options.keep.mkdir(parents=True, exist_ok=True)
    means: dict[str, list[float]] = {}
    for name, samples, validation in sample_sets(options.scenes, options.seed):
        classes = legend_from_dict(json.loads(samples.attrs["legend"]), source="samples")
        slugs = [classes.by_id[k].slug for k in class_ids(samples)]
        known = {}
        for learner in options.learners:
            known[learner] = folds_of(name, samples, learner, validation, options)
            print(f"{name}, {learner}: {overall_of(known[learner]).mean():.1%}", flush=True)
            means.setdefault(learner, []).append(float(overall_of(known[learner]).mean()))
        print_table(name, slugs, known)
    if len(next(iter(means.values()))) > 1:
        print("\nmean over scenes, %")
        for learner, values in sorted(means.items(), key=lambda item: -np.mean(item[1])):
            print(f"{learner:20}{100 * np.mean(values):8.1f}")


if __name__ == "__main__":
    main()
