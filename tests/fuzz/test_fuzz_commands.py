"""Damaged inputs of every kind, for every command: an answer or one line, and nothing left behind.

OSM4EO_XR_FUZZ_SECONDS is the time for all targets together: some dozens of seconds in every run,
hours by hand. A finding names its target and input; ``python -m tests.fuzz replay "LINE" NUMBER``
tries that input again.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fuzz.driver import Target, Worker, explore
from tests.fuzz.inputs import write_inputs
from tests.fuzz.targets import TARGETS

SECONDS = float(os.environ.get("OSM4EO_XR_FUZZ_SECONDS", "60"))
FIRST = int(os.environ.get("OSM4EO_XR_FUZZ_FIRST", "1"))
LONG = 600.0
"""Seconds from which on targets are tried that compile for most of their time."""

CHOSEN = [t for t in TARGETS if SECONDS >= LONG or not t.compiles]
SHARE = SECONDS / sum(t.weight for t in CHOSEN)

pytestmark = pytest.mark.timeout(SECONDS + 2 * LONG)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


@pytest.fixture(scope="module")
def files(folder: Path) -> Path:
    return write_inputs(folder / "files")


@pytest.fixture(scope="module")
def worker(folder: Path) -> Iterator[Worker]:
    found = Worker(folder)
    yield found
    found.close()


@pytest.mark.parametrize("target", CHOSEN, ids=lambda target: target.line[:60])
def test_damaged_inputs_are_read_or_refused_in_one_line(
    target: Target, files: Path, worker: Worker
) -> None:
    outcome = explore(target, files, worker, seconds=SHARE * target.weight, first=FIRST)
    assert not outcome.findings, "\n".join(outcome.findings)
    assert outcome.codes.keys() <= {"0", "1", "2", "70"}


@pytest.mark.parametrize("target", [t for t in CHOSEN if "sieve" in t.line][:1], ids=["sieve"])
def test_whole_inputs_are_no_reason_to_refuse(target: Target, files: Path, worker: Worker) -> None:
    outcome = explore(target, files, worker, seconds=0, first=0)
    assert outcome.codes == {"0": 1}
