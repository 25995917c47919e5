"""Kill a country run at random moments, resume it, compare its products with an undisturbed run's.

python tests/benchmarks/country.py --kills 10
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.country_case import LEARN, MODEL, make_country, products


def start(country: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "osm4eo_xr", "run", str(country)]
    quiet = subprocess.DEVNULL
    return subprocess.Popen(command, start_new_session=True, stdout=quiet, stderr=quiet)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--edge", type=int, default=240, help="pixels of a tile")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model", action="store_true", help="random weights instead of learning")
    options = parser.parse_args()
    learn = MODEL if options.model else LEARN
    draw = random.Random(options.seed)  # noqa: S311 - moments, not secrets
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        calm = make_country(folder / "calm", edge=options.edge, learn=learn)
        began = time.monotonic()
        if start(calm).wait():
            sys.exit("the undisturbed run failed")
        took = time.monotonic() - began
        expected = products(calm.parent / "result")
        print(f"undisturbed: {took:.1f} s, {len(expected)} product files")
        shaken = make_country(folder / "shaken", edge=options.edge, learn=learn)
        for k in range(options.kills):
            run = start(shaken)
            # Starting takes a while, so that some kills fall before the first piece and most later.
            time.sleep(draw.uniform(0.2, 0.6) * took)
            killed = run.poll() is None
            if killed:
                os.killpg(run.pid, signal.SIGKILL)
            run.wait()
            whole = len(list((shaken.parent / "result").rglob("*.tif")))
            print(f"kill {k + 1}: {'killed' if killed else 'had finished'}, {whole} rasters whole")
        if start(shaken).wait():
            sys.exit("the resumed run failed")
        got = products(shaken.parent / "result")
    differing = sorted(k for k in expected.keys() | got.keys() if expected.get(k) != got.get(k))
    print(f"files that differ: {differing or 'none'} of {len(expected)}")
    sys.exit(bool(differing))


if __name__ == "__main__":
    main()
