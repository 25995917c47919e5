"""What a group of features costs when a map is made: pixels per second of networks with groups.

    python tests/benchmarks/groups.py [--size 512] [--repeats 5] [--width 16] [--depth 11]

Random weights, random features, jax on whatever device it finds: its programs are the only ones
that run coupled and temporal networks. Each network maps the same scenes of one to four periods of
four bands each, in turns; printed are medians of million pixels per second without compilation, and
the ratio to the plain network on all channels of as many periods.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import xarray as xr

import osm4eo_xr as oxr
from osm4eo_xr.feature_ids.ids import groups_of
from osm4eo_xr.geometry.grid import georeference
from osm4eo_xr.models.record import Normalization
from osm4eo_xr.networks.resnet import init
from osm4eo_xr.networks.settings import NetSettings
from tests.cases.train_case import box

BANDS = ("blue", "green", "red", "nir")
NETWORKS: dict[str, dict[str, Any]] = {
    "plain": {},
    "temporal": {"network": "temporal"},
    "coupled, shared": {"network": "coupled", "shared": True},
    "coupled": {"network": "coupled"},
    "coupled, attention": {"network": "coupled", "fusion": "attention"},
    "coupled, decision": {"network": "coupled", "fusion": "decision"},
}


def features_of(periods: int) -> tuple[str, ...]:
    """Return the ids of all bands of some months."""
    return tuple(f"s2:{band}@2024-{month:02}" for month in range(4, 4 + periods) for band in BANDS)


def model_of(features: tuple[str, ...], how: dict[str, Any], size: dict[str, int]) -> oxr.Model:
    """Return a network with random weights."""
    groups: dict[str, Any] = {} if how.get("network") is None else {"groups": groups_of(features)}
    net = NetSettings(bands=len(features), classes=12, kernel=3, **size, **how, **groups)
    scale = Normalization((0.1,) * len(features), (0.05,) * len(features))
    return oxr.Model(net, init(net, jax.random.key(0)), features, scale, units="per feature")


def mapping_of(model: oxr.Model, scene: xr.DataArray) -> Callable[[], Any]:
    """Return what makes the map once more."""
    return lambda: oxr.classify(scene, model, engine="jax").compute(scheduler="sync")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("size", 512), ("repeats", 5), ("width", 16), ("depth", 11)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--decoder", type=int, default=32)
    options = parser.parse_args()
    size = {"depth": options.depth, "width": options.width, "decoder": options.decoder}
    print(f"{jax.devices()[0].device_kind}, {options.size} x {options.size} pixels, {size}")
    print(
        f"{'Mpx/s (of plain)':22}" + "".join(f"{n:>8} group{'s' * (n > 1):1}" for n in (1, 2, 3, 4))
    )
    speeds: dict[tuple[str, int], float] = {}
    for periods in (1, 2, 3, 4):
        features = features_of(periods)
        values = np.random.default_rng(0).normal(0.1, 0.05, (len(features), *[options.size] * 2))
        scene = georeference(
            values.astype(np.float32),
            box(options.size, options.size),
            dims=("band", "y", "x"),
            coords={"band": list(features)},
        )
        maps = {
            name: mapping_of(model_of(features, how, size), scene)
            for name, how in NETWORKS.items()
            if periods > 1 or name != "temporal"  # which attends to periods
        }
        took: dict[str, list[float]] = {name: [] for name in maps}
        for turn in range(options.repeats + 1):
            for name, make in maps.items():
                start = time.perf_counter()
                make()
                took[name] += [time.perf_counter() - start] if turn else []
        speeds |= {
            (name, periods): options.size**2 / 1e6 / statistics.median(s)
            for name, s in took.items()
        }
    for name in NETWORKS:
        row = f"{name:22}"
        for periods in (1, 2, 3, 4):
            speed = speeds.get((name, periods))
            told = f"{speed:.2f} ({speed / speeds['plain', periods]:.2f})" if speed else ""
            row += f"{told:>15}"
        print(row)


if __name__ == "__main__":
    main()
