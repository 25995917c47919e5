"""How long a new machine waits for classification and sieve to be compiled.

Each line comes from a process of its own that has imported what it needs, and then classifies and
sieves a scene of 512 x 512 pixels. It waits for what it takes longer with empty caches than with
full ones. The ways:

alone   nothing is compiled before it is needed
ahead   compiled in a thread while the process computes something else, as training does

CPU seconds are of the whole process, and what load on the machine touches less.

    python tests/benchmarks/cold_start.py --before 20 --repeats 3
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any

STEPS = ("classify", "sieve")
EDGE = 512


def compute_something(seconds: float) -> int:
    """Multiply matrices as training does; return how many."""
    import jax
    import jax.numpy as jnp

    work = jax.jit(lambda a: a @ a / jnp.linalg.norm(a))
    a, count, end = jnp.ones((1024, 1024)), 0, time.perf_counter() + seconds
    while time.perf_counter() < end:
        a = jax.block_until_ready(work(a))
        count += 1
    return count


def run_one(ahead: bool, before: float) -> dict[str, Any]:
    import dask.array as da
    import jax
    import numpy as np
    import xarray as xr

    from osm4eo_xr.geometry.grid import georeference, target_geobox
    from osm4eo_xr.inference.prediction import classify
    from osm4eo_xr.inference.worker import compile_inference
    from osm4eo_xr.models.model import Model
    from osm4eo_xr.models.record import Normalization
    from osm4eo_xr.networks import resnet
    from osm4eo_xr.networks.settings import NetSettings
    from osm4eo_xr.process.background import do_ahead
    from osm4eo_xr.sieving.lazy_sieve import compile_sieve, sieve

    net, bands = NetSettings(bands=4, classes=12), ("blue", "green", "red", "nir")
    scale = Normalization(center=(0.1,) * 4, scale=(0.1,) * 4)
    variables = resnet.init(net, jax.random.key(0))
    model = Model(net=net, variables=variables, bands=bands, normalization=scale)
    values = np.random.default_rng(0).random((4, EDGE, EDGE), np.float32)
    box = target_geobox((0, 0, EDGE * 10, EDGE * 10))
    names = {"coords": {"band": list(bands)}, "attrs": {"units": "1"}}
    scene = georeference(da.from_array(values), box, dims=("band", "y", "x"), **names)
    if ahead:
        do_ahead(compile_inference, compile_sieve)
    found: dict[str, Any] = {"computed": compute_something(before)}
    began, cpu = time.perf_counter(), time.process_time()
    classes = classify(scene, model).compute()
    found["classify"] = time.perf_counter() - began, time.process_time() - cpu
    chunked = xr.DataArray(classes.chunk(256).data, dims=("y", "x"))
    began, cpu = time.perf_counter(), time.process_time()
    sieve(chunked).compute()
    found["sieve"] = time.perf_counter() - began, time.process_time() - cpu
    return found


def in_process(way: str, before: float, caches: str) -> dict[str, Any]:
    environment = {
        **os.environ,
        "NUMBA_CACHE_DIR": f"{caches}/kernels",
        "JAX_COMPILATION_CACHE_DIR": f"{caches}/programs",
    }
    command = [sys.executable, __file__, "--one", way, "--before", str(before)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--before", type=float, default=20, help="seconds of other work")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--one", choices=("alone", "ahead"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(run_one(options.one == "ahead", options.before)))
        return
    runs: dict[str, list[dict[str, Any]]] = {"cold alone": [], "cold ahead": [], "warm": []}
    for _ in range(options.repeats):
        with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
            runs["cold alone"].append(in_process("alone", options.before, one))
            runs["cold ahead"].append(in_process("ahead", options.before, other))
            runs["warm"].append(in_process("alone", options.before, one))
    print(f"{'way':<12}{'step':<10}{'wall s':>8}{'wait s':>8}{'CPU s':>8}")
    for way, found in runs.items():
        for step in STEPS:
            wall, cpu = (statistics.median(r[step][k] for r in found) for k in (0, 1))
            wait = statistics.median(
                r[step][0] - w[step][0] for r, w in zip(found, runs["warm"], strict=True)
            )
            print(f"{way:<12}{step:<10}{wall:>8.1f}{wait:>8.1f}{cpu:>8.1f}")
        print(f"{way:<12}products computed before: {[r['computed'] for r in found]}")


if __name__ == "__main__":
    main()
