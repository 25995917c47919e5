"""What networks with groups make of a country whose truth is known, with and without its groups.

    python tests/benchmarks/features.py [--seeds 1] [--epochs 30] [--size 128] [--subsets]

The ground is that of ``tests/cases/many_sensors.py``: crops differ in when they are green, roofs in
radar only. Each network is trained once with all groups, and maps other ground with all groups,
with each group missing, with one date of Sentinel-2 left, and with clouds over each period. Beside
it stands, with ``--subsets``, the same network trained on the groups that are left: what leaving
groups out in training holds is the gap between the two. After 10 epochs a temporal network has not
yet learned to do without its first date. Ten minutes on one core, with the subsets half an hour.
"""

import argparse
import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import xarray as xr

import osm4eo_xr as oxr
from osm4eo_xr.feature_ids.ids import groups_of
from tests.cases.many_sensors import (
    FEATURES,
    GROUPS,
    PERIODS,
    clouded,
    country,
    samples_of,
    scene_of,
    without,
)

NETWORKS = {
    "resnet": {"network": "resnet"},
    "coupled, sum": {"network": "coupled", "shared": True},
    "coupled, attention": {"network": "coupled", "shared": True, "fusion": "attention"},
    "coupled, decision": {"network": "coupled", "fusion": "decision"},
    "temporal": {"network": "temporal"},
}
CLOUDS = (0.2, 0.5)
SUBSETS_OF = ("coupled, sum", "temporal")  # networks that are also trained on each subset


def missing_cases() -> dict[str, tuple[str, ...]]:
    """Return which groups are missing, by what the column is called."""
    dates = tuple(f"s2@{period}" for period in PERIODS)
    cases = {f"no {group}": (group,) for group in GROUPS}
    return {"all": (), **cases, "one date": dates[1:], "no s2": dates}


def cases_of(features: np.ndarray, seed: int) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the features as they are seen, by what the column is called."""
    for name, groups in missing_cases().items():
        yield name, without(features, groups)
    for share in CLOUDS:
        yield f"clouds {share:.0%}", clouded(features, share, seed=seed)


def accuracy_of(model: oxr.Model, features: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Return the accuracy of a map, and the share of pixels that it has a class for."""
    found = oxr.classify(scene_of(features), model, engine="jax").to_numpy()
    known = found > 0
    return float((found == labels)[known].mean()) if known.any() else np.nan, float(known.mean())


def without_groups(samples: xr.Dataset, groups: tuple[str, ...]) -> xr.Dataset:
    """Return samples of the other groups alone."""
    gone = {c for group in groups_of(FEATURES) if group.name in groups for c in group.channels}
    left = samples.isel(band=[n for n in range(len(FEATURES)) if n not in gone])
    there = [group for group in samples.attrs.get("optional", []) if group not in groups]
    return left.assign_attrs(optional=there)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--size", type=int, default=128, help="edge of the ground in pixels")
    parser.add_argument("--subsets", action="store_true", help="train on what is left, too")
    parser.add_argument("--only", nargs="*", help="networks; all if left out")
    options = parser.parse_args()
    plain = oxr.TrainSettings(
        width=8,
        decoder=16,
        weight_decay=1e-2,
        cutmix=0.0,
        epochs=options.epochs,
        batch=16,
        learning_rate=5e-3,
        validate_every=3,
    )
    columns = [name for name, _ in cases_of(np.ones((len(FEATURES), 1, 1), np.float32), 0)]
    print(f"{'accuracy, %':24}" + "".join(f"{name:>17}" for name in columns) + "   training s")
    for seed in range(options.seeds):
        ground = country(options.size, options.size, seed=seed)
        samples = samples_of(*ground, per_class=100, seed=seed).compute()
        samples.attrs["optional"] = list(GROUPS)
        other = country(128, 128, seed=1000 + seed)
        for name, change in NETWORKS.items():
            if options.only and name not in options.only:
                continue
            settings, start = replace(plain, seed=seed, **change), time.perf_counter()
            model = oxr.train(samples, settings)
            seconds = time.perf_counter() - start
            row = [accuracy_of(model, seen, other[1]) for _, seen in cases_of(other[0], seed)]
            told = "".join(f"{100 * right:10.1f} ({share:4.0%})" for right, share in row)
            print(f"{name + f', seed {seed}':24}{told}{seconds:12.0f}", flush=True)
            if options.subsets and name in SUBSETS_OF:
                print_subsets(name, settings, samples, other, row)


def print_subsets(
    name: str,
    settings: oxr.TrainSettings,
    samples: xr.Dataset,
    other: tuple[np.ndarray, np.ndarray],
    row: list[tuple[float, float]],
) -> None:
    """Print the accuracy of the network trained on what is left, and the gap to it."""
    told = f"{'':17}"
    for (right, _), groups in zip(row[1:], list(missing_cases().values())[1:], strict=False):
        part = without_groups(samples, groups)
        sources = [group.source for group in groups_of([str(b) for b in part["band"].values])]
        single = settings.network == "temporal" and len(set(sources)) == len(sources)
        fitting = replace(settings, network="resnet") if single else settings
        model = oxr.train(part, replace(fitting, group_dropout=0.0))
        alone, _ = accuracy_of(model, without(other[0], groups), other[1])
        told += f"{100 * alone:9.1f} ({100 * (right - alone):+.1f})"
    print(f"{name[:14] + ' subset':24}{told}", flush=True)


if __name__ == "__main__":
    main()
