"""What dates and heights are worth on a square kilometer of Slovenia, by blocks that are held out.

    python tests/benchmarks/slovenia.py [--seeds 5] [--folds 5] [--epochs 20] [--per-class 100]

OSM4EO_XR_DATA has to name a folder with slovenia: five dates of ten bands, heights and slopes, four
classes of a land-use register. Each seed draws other samples and other folds, the same for all
learners. Printed are overall accuracy and mean F1 of the held-out windows: mean and standard
deviation over seeds, each a mean over folds, and the difference to one date, paired by seed, with
its 95 % interval (Student's t). A network's seconds hold those of the forest below it. Fifteen
minutes on one core.
"""

import argparse
import os
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from scipy import stats

import osm4eo_xr as oxr
from osm4eo_xr.accuracy.accuracy_report import AccuracyReport
from tests.cases.slovenia_case import features_of, files_of, labels_of, legend

CHOOSING = 0.2
"""Share of the 25 blocks that choose the epoch; a smaller one may hold no window."""

ONE = "one date"
PLAIN: dict[str, Any] = {
    "width": 8,
    "decoder": 16,
    "weight_decay": 1e-2,
    "cutmix": 0.0,
    "batch": 16,
    "learning_rate": 5e-3,
    "average": 0.98,
    "class_weights": "balanced",
}
NETWORKS: dict[str, tuple[str, dict[str, Any]]] = {
    ONE: ("one", {}),
    "five dates, early fusion": ("dates", {}),
    "five dates, temporal": ("dates", {"network": "temporal"}),
    "dates + DEM, early fusion": ("all", {}),
    "dates + DEM, coupled": ("all", {"network": "coupled", "shared": True}),
}
"""Which features each learns from, and how."""


def cubes_of(data: Path) -> dict[str, xr.DataArray]:
    """Return the features that learners see."""
    days = list(files_of(data))
    return {
        "one": features_of(data, days[2:3], dem=False).compute(),
        "dates": features_of(data, days, dem=False).compute(),
        "all": features_of(data, days, dem=True).compute(),
    }


def drawn(cubes: dict[str, xr.DataArray], labels: xr.DataArray, each: int, seed: int) -> Any:
    """Return the same windows of each cube."""
    whole = cubes["all"].notnull().all("band")  # slopes end a pixel before the scene
    how: Any = {"per_class": each, "patch": 8, "block": 200.0, "gap": 20.0, "shares": (1, 0, 0)}
    known = labels.where(whole, 0).astype(np.uint8)
    return {
        name: oxr.draw_samples(cube, known, legend=legend(), seed=seed, **how).compute()
        for name, cube in cubes.items()
    }


def scores(
    samples: dict[str, xr.Dataset], options: argparse.Namespace, seed: int
) -> Iterator[tuple[str, list[AccuracyReport], float]]:
    """Yield learner, its reports and the seconds that it took; a forest for each cube."""
    grown = set[str]()
    for name, (cube, change) in NETWORKS.items():
        settings = oxr.TrainSettings(
            **PLAIN, **change, epochs=options.epochs, validate_every=5, seed=seed
        )
        start = time.perf_counter()
        forest = cube not in grown
        how: Any = {"k": options.folds, "validation": CHOOSING, "forest": forest}
        found = oxr.crossvalidate(samples[cube], settings, **how)
        seconds = time.perf_counter() - start
        yield name, [fold.network for fold in found.folds], seconds
        if forest:
            grown.add(cube)
            yield f"forest, {cube}", [f.forest for f in found.folds if f.forest is not None], 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("seeds", 5), ("folds", 5), ("epochs", 20), ("per-class", 100)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    data = Path(os.environ["OSM4EO_XR_DATA"])
    cubes, labels = cubes_of(data), labels_of(data)
    values: dict[str, list[tuple[float, float, float]]] = defaultdict(list)
    for seed in range(options.seeds):
        samples = drawn(cubes, labels, options.per_class, seed)
        for name, reports, seconds in scores(samples, options, seed):
            overall = np.mean([report.overall_accuracy for report in reports])
            even = np.mean([np.nanmean(report.f1) for report in reports])
            values[name].append((float(overall), float(even), seconds))
            print(f"seed {seed} {name:28} {overall:.1%} {even:.1%} {seconds:.0f} s", flush=True)
    print(f"\n{'%, mean ± sd over seeds':28}{'overall':>14}{'mean F1':>14}", end="")
    print(f"{'overall - one date':>28}{'s':>6}")
    for name, rows in values.items():
        means, sd = np.mean(rows, axis=0), np.std(rows, axis=0, ddof=len(rows) > 1)
        pairs = zip(means[:2], sd, strict=False)
        told = "".join(f"{100 * m:8.1f} ± {100 * d:3.1f}" for m, d in pairs)
        print(f"{name:28}{told}{_apart(rows, values[ONE]):>28}{means[2]:6.0f}")


def _apart(rows: list[Any], others: list[Any]) -> str:
    """Say the mean difference of overall accuracy in points, with its 95 % interval."""
    apart = 100 * (np.array(rows)[:, 0] - np.array(others)[:, 0])
    if len(apart) == 1 or not apart.any():
        return f"{apart.mean():+.1f}"
    half = stats.t.ppf(0.975, len(apart) - 1) * stats.sem(apart)
    return f"{apart.mean():+.1f} ({apart.mean() - half:+.1f} to {apart.mean() + half:+.1f})"


if __name__ == "__main__":
    main()
