"""Nine tiles with everything on, killed again and again: are the bytes those of one run?

    python tests/benchmarks/killed.py

The made-up country of the tests, cut from the demo's scene, its tiles with gains and offsets of
their own: labels, noisy labels pruned, training, harmonization, blended mosaic, known ground,
applicability, sieve, layers, review, viewer. One run is left alone; another is killed when it
begins or ends a step, again and again, then finished. Exits with 1 where a product differs.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NoReturn

COUNTRY = """
name = "Nine tiles, everything on"
date = 2017-02-16
scenes = [{ files = "tiles/*.tif" }]
harmonize = true
fractions = [100]

[labels]
osm = "landuse.osm.pbf"

[samples]
per_class = 24
patch = 16
block = 400

[train]
depth = 11
width = 8
kernel = 3
epochs = 4
batch = 16
missing = 0.3
average = 0.9
noise = "prune"
noise_folds = 2
noise_epochs = 2

[classify]
probabilities = true
applicability = true

[mosaic]
rule = "blend"

[boundary]
file = "boundary.geojson"

[known]
rule = "osm"

[sieve]
size = 20
protected = ["water"]

[review]
sure = 0.1

[products]
viewer = true

[[layers]]
classes = ["water"]
vector = "gpkg"
min_area = 1000
"""


MOMENTS = (
    "labels/T11.tif",
    "samples.zarr",
    "model",
    "classified/T01.tif",
    "classified/T21.tif",
    "labels.tif",
    "mosaic.tif",
    "sieved.tif",
    "water.tif",
    "density.tif",
    "tasks.geojson",
    "report.json",
    ".viewer.part-*",
)
"""What a run has just made or begun when it is killed, by pattern in its folder."""


def start_run(country: Path) -> subprocess.Popen[str]:
    """Begin a run in a process group of its own."""
    with (country.parent / "log.txt").open("a") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "osm4eo_xr", "run", str(country)],
            start_new_session=True,
            stdout=log,
            stderr=log,
            text=True,
        )


def left_to_do(country: Path) -> int:
    """Return how many pieces the run has still to make."""
    from osm4eo_xr.country.run import plan_country

    return len(plan_country(country).todo)


def kill_and_finish(country: Path) -> int:
    """Kill a run at each moment, then let the next end; return how many were killed."""
    result, killed = country.parent / "result", 0
    print(f"| killed when there is | pieces left |\n|---|---|\n| | {left_to_do(country)} |")
    for moment in MOMENTS:
        process, before = start_run(country), matches(result, moment)
        while process.poll() is None and matches(result, moment) <= before:
            time.sleep(0.01)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            killed += 1
        elif process.returncode:
            fail(country)
        print(f"| {moment} | {left_to_do(country)} |", flush=True)
    if start_run(country).wait():
        fail(country)
    return killed


def matches(folder: Path, pattern: str) -> set[Path]:
    """Return what a pattern matches; nothing if a folder goes while it is looked through."""
    try:
        return {*folder.glob(pattern)}
    except FileNotFoundError:
        return set()


def fail(country: Path) -> NoReturn:
    """End with the last words of a run."""
    sys.exit((country.parent / "log.txt").read_text()[-2000:])


def main() -> None:
    """Run both countries and compare their files."""
    from tests.cases.country_case import distort_tiles, make_country, products

    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.parse_args()
    with TemporaryDirectory() as name:
        made = []
        for folder in (Path(name) / "alone" / "country", Path(name) / "killed" / "country"):
            country = make_country(folder)
            distort_tiles(folder, [f"T{k // 3}{k % 3}" for k in range(9)])
            country.write_text(COUNTRY)
            if made:
                print(f"killed {kill_and_finish(country)} times", flush=True)
            else:
                began = time.perf_counter()
                if start_run(country).wait():
                    fail(country)
                print(f"left alone: {time.perf_counter() - began:.0f} s", flush=True)
            made.append(products(country.parent / "result"))
    alone, again = made
    differing = [n for n in sorted({*alone, *again}) if alone.get(n) != again.get(n)]
    size = sum(map(len, alone.values()))
    print(f"{len(alone)} files, {size / 1e6:.1f} MB; {len(differing)} differ {differing[:20]}")
    sys.exit(bool(differing))


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))
    main()
