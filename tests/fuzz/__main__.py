"""Fuzz by hand: ``python -m tests.fuzz MINUTES [FIRST [WORD]]`` or ``replay "LINE" NUMBER``.

All targets, or those whose line holds WORD, share the minutes; inputs are numbered from FIRST.
Findings are printed as they come, then the table of inputs per target and exit code.
"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.fuzz.driver import Outcome, Worker, attempt, explore
from tests.fuzz.inputs import write_inputs
from tests.fuzz.targets import TARGETS


def main(arguments: list[str]) -> None:
    """Explore, or try one input again."""
    with TemporaryDirectory(prefix="osm4eo-fuzz-") as name:
        files, worker = write_inputs(Path(name, "files")), Worker(Path(name))
        try:
            if arguments[0] == "replay":
                target = next(t for t in TARGETS if t.line.startswith(arguments[1]))
                outcome = Outcome()
                print(
                    attempt(target, files, worker, int(arguments[2]), outcome),
                    *outcome.findings,
                    *outcome.unforeseen,
                )
                return
            first, word = (
                int((*arguments, "0")[1]),
                (*arguments, "", "")[2] if arguments[2:] else "",
            )
            chosen = [t for t in TARGETS if word in t.line]
            share = 60 * float(arguments[0]) / sum(t.weight for t in chosen)
            for target in chosen:
                outcome = explore(target, files, worker, first=first, seconds=share * target.weight)
                _report(target.line, outcome)
        finally:
            worker.close()


def _report(line: str, outcome: Outcome) -> None:
    for finding in (*outcome.findings, *outcome.unforeseen):
        print(f"  {finding[:3000]}", flush=True)
    codes = ", ".join(f"{n} x {code}" for code, n in sorted(outcome.codes.items()))
    print(
        f"{sum(outcome.codes.values())} | {line} | {codes} | slowest {outcome.slowest:.1f} s | "
        f"peak {outcome.peak / 1e9:.2f} GB | {len(outcome.findings)} findings, "
        f"{len(outcome.unforeseen)} unforeseen",
        flush=True,
    )


if __name__ == "__main__":
    main(sys.argv[1:])
