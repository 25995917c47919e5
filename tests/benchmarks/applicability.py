"""What it costs to say where a model applies, beside the classes alone.

    python tests/benchmarks/applicability.py [--edge 2048] [--prototypes 128] [--repeat 3]

The network is the default one (depth 29, 4 bands), its training points are random: neither changes
the time. Seconds are the best of the repeats; "more" is the share that the outputs add.
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from typing import Any

import jax
import numpy as np

import osm4eo_xr as oxr
from osm4eo_xr.geometry.grid import georeference, target_geobox
from osm4eo_xr.models.applicability import Applicability
from osm4eo_xr.networks import resnet

BANDS = ("blue", "green", "red", "nir")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--edge", type=int, default=2048)
    parser.add_argument("--prototypes", type=int, default=128)
    parser.add_argument("--repeat", type=int, default=3)
    given = parser.parse_args()
    model = made(given.prototypes)
    side = 10 * given.edge
    box = target_geobox((4_000_000, 2_000_000, 4_000_000 + side, 2_000_000 + side))
    pixels = np.random.default_rng(0).normal(0.1, 0.05, (4, given.edge, given.edge))
    named: Any = {"dims": ("band", "y", "x"), "coords": {"band": list(BANDS)}}
    scene = georeference(pixels.astype(np.float32), box, **named)
    for engine in ("winograd", "jax"):
        alone = None
        for outputs in (
            ["classes"],
            ["classes", "set_size"],
            ["classes", "dissimilarity", "density", "set_size"],
        ):
            seconds = best(scene, model, outputs, engine, given.repeat)
            alone = alone or seconds
            print(f"{engine:9} {'+'.join(outputs):45} {seconds:7.2f} s {seconds / alone - 1:+.1%}")


def made(prototypes: int) -> oxr.Model:
    """Return an untrained model with training points."""
    net = oxr.NetSettings(bands=4, classes=12)
    scale = oxr.Normalization(center=(0.1,) * 4, scale=(0.05,) * 4)
    model = oxr.Model(net, resnet.init(net, jax.random.key(0)), BANDS, scale)
    rng = np.random.default_rng(1)
    known = Applicability(
        prototypes=rng.normal(size=(prototypes, net.decoder)),
        counts=np.ones(prototypes),
        center=np.zeros(net.decoder),
        factor=np.ones(net.decoder),
        reach=3.0,
        mean_distance=6.0,
        least_probability=np.full(12, 0.05),
    )
    return dataclasses.replace(model, applicability=known)


def best(scene: Any, model: oxr.Model, outputs: list[str], engine: Any, repeat: int) -> float:
    """Return the least seconds of some runs after one that compiles."""
    seconds = []
    for _ in range(repeat + 1):
        lazy = scene.chunk({"y": 1024, "x": 1024})
        maps = oxr.classify(lazy, model, outputs=outputs, engine=engine)
        start = time.perf_counter()
        maps.compute(scheduler="synchronous")
        seconds.append(time.perf_counter() - start)
    return min(seconds[1:])


if __name__ == "__main__":
    main()
