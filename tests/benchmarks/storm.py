"""Kill a random worker job every few seconds of a country run; compare its bytes with a calm run's.

Needs Debian's slurm-wlm and munge, and root (see ``tests/slurm/``).

python -m tests.benchmarks.storm --every 4
"""

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

from tests.cases.country_case import MODEL, make_country, products
from tests.cluster.slurm.controller import LocalSlurm, why_not

WORKERS = {
    "kind": "slurm",
    "title": "two jobs with a pretended GPU each, and one without",
    "interface": "lo",
    "lost_after": 2,
    "death_timeout": 30,
    "allowed_failures": 100,
    "lifetime_stagger": 0,
    "environment": {"JAX_PLATFORMS": "cpu"},
    "gpu": {"jobs": 2, "gpus": 1, "threads": 1, "memory": "1 GB", "walltime": "00:30:00"},
    "cpu": {"jobs": 1, "threads": 1, "memory": "1 GB", "walltime": "00:30:00"},
}


def start(country: Path, *options: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "osm4eo_xr", "run", str(country), *options]
    with (country.parent / "run.log").open("wb") as log:
        return subprocess.Popen(command, stdout=log, stderr=log)


def finish(run: subprocess.Popen[bytes], country: Path) -> dict[str, bytes]:
    if run.wait():
        sys.exit(f"the run failed:\n{(country.parent / 'run.log').read_text()}")
    return products(country.parent / "result")


def rage(slurm: LocalSlurm, run: subprocess.Popen[bytes], every: float, seed: int) -> int:
    """Kill a random running job every few seconds while the run goes on; return how many."""
    draw, killed = random.Random(seed), 0  # noqa: S311 - victims, not secrets
    while run.poll() is None:
        time.sleep(every)
        jobs = slurm.jobs("RUNNING")
        if jobs:
            slurm.cancel(draw.choice(jobs))
            killed += 1
    return killed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=float, default=4, help="seconds between two kills")
    parser.add_argument("--edge", type=int, default=240, help="pixels of a tile")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if why_not():
        sys.exit(why_not())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)  # munged wants it so
        calm = make_country(folder / "calm", edge=options.edge, learn=MODEL)
        began = time.monotonic()
        expected = finish(start(calm), calm)
        print(f"calm: {time.monotonic() - began:.0f} s, {len(expected)} product files", flush=True)
        shaken = make_country(folder / "shaken", edge=options.edge, learn=MODEL)
        site = folder / "site.yaml"
        site.write_text(yaml.safe_dump({**WORKERS, "logs": str(folder / "logs")}))
        slurm = LocalSlurm(folder / "slurm")
        slurm.script("up")
        os.environ.update(slurm.environment)
        try:
            began = time.monotonic()
            run = start(shaken, "--cluster", str(site))
            killed = rage(slurm, run, options.every, options.seed)
            got = finish(run, shaken)
            print(f"storm: {time.monotonic() - began:.0f} s, {killed} jobs killed")
            print(f"jobs left in the queue: {len(slurm.jobs()) if not slurm.is_empty() else 0}")
        finally:
            slurm.script("down")
    differing = sorted(k for k in expected.keys() | got.keys() if expected.get(k) != got.get(k))
    print(f"files that differ: {differing or 'none'} of {len(expected)}")
    sys.exit(bool(differing))


if __name__ == "__main__":
    main()
