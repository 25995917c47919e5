"""Kill a country run at random moments, resume it, compare its products with an undisturbed run's.

python tests/benchmarks/country.py --kills 10
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from osm4eo_xr.country.ledger import LEDGER_FILE
from tests.cases.country_case import LEARN, MODEL, make_country, products


def start(country: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "osm4eo_xr", "run", str(country)]
    quiet = subprocess.DEVNULL
    return subprocess.Popen(command, start_new_session=True, stdout=quiet, stderr=quiet)


def finished(country: Path) -> int:
    """Return how many pieces the ledger of a run holds."""
    ledger = country.parent / "result" / LEDGER_FILE
    return len(json.loads(ledger.read_text(encoding="utf-8"))["pieces"]) if ledger.exists() else 0


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
            # Pieces last for very different times: counting them spreads the kills over all.
            target = finished(shaken) + draw.randint(0, 2)
            run = start(shaken)
            while run.poll() is None and finished(shaken) < target:
                time.sleep(0.05)
            time.sleep(draw.uniform(0, 0.03) * took)
            killed = run.poll() is None
            if killed:
                os.killpg(run.pid, signal.SIGKILL)
            run.wait()
            state = "killed" if killed else "had finished"
            print(f"kill {k + 1}: {state}, {finished(shaken)} pieces whole", flush=True)
        if start(shaken).wait():
            sys.exit("the resumed run failed")
        got = products(shaken.parent / "result")
    differing = sorted(k for k in expected.keys() | got.keys() if expected.get(k) != got.get(k))
    print(f"files that differ: {differing or 'none'} of {len(expected)}")
    sys.exit(bool(differing))


if __name__ == "__main__":
    main()
