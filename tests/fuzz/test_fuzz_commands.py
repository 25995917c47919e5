"""Damaged inputs of every kind, for every command: an answer or one line, and nothing left behind.

Each target gets the same few inputs in every run. ``python -m tests.fuzz MINUTES`` tries new ones
by hand, and the targets that compile for most of their time; a finding names its target and input,
which ``python -m tests.fuzz replay "LINE" NUMBER`` tries again.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fuzz.driver import Target, Worker, explore
from tests.fuzz.inputs import write_inputs
from tests.fuzz.targets import TARGETS

INPUTS = 3
"""Inputs per target of weight 1, numbered from 1."""

CHOSEN = [t for t in TARGETS if not t.compiles]


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
    outcome = explore(target, files, worker, first=1, count=round(INPUTS * target.weight))
    assert not outcome.findings, "\n".join(outcome.findings)
    assert outcome.codes.keys() <= {"0", "1", "2", "70"}


@pytest.mark.parametrize("target", [t for t in CHOSEN if "sieve" in t.line][:1], ids=["sieve"])
def test_whole_inputs_are_no_reason_to_refuse(target: Target, files: Path, worker: Worker) -> None:
    outcome = explore(target, files, worker, first=0)
    assert outcome.codes == {"0": 1}
