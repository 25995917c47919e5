"""Freed memory stays with the process within the block, and goes back to the system after it."""

import os
import subprocess
import sys

import pytest

from osm4eo_xr.process import heap
from osm4eo_xr.process.heap import kept_heap

_PROGRAM = """
import numpy as np
from osm4eo_xr.process.heap import kept_heap

def held():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096 >> 20  # MB

def used_and_freed():
    arrays = [np.ones(2 << 20) for _ in range(8)]  # 16 MB each
    del arrays
    return held()

start = held()
with kept_heap():
    with kept_heap():
        used_and_freed()
    within = used_and_freed()
after = held()
later = used_and_freed()
print(within - start, after - start, later - start)
"""

# The program uses 128 MB. The system's count of resident pages is off by some of them, and what the
# start left free is used first.
_MANY, _FEW = 96, 32


def _run(**variables: str) -> list[int]:
    """Return the memory in MB more than at first: within the block, after it, and used later."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("MALLOC_")}
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM],
        capture_output=True,
        text=True,
        check=True,
        env=clean | variables,
    )
    return [int(word) for word in done.stdout.split()]


glibc = pytest.mark.skipif(
    not hasattr(heap.library_of_c(), "mallopt"), reason="the C library is not glibc"
)


@glibc
def test_memory_is_kept_within_the_block_and_given_back_after_it() -> None:
    within, after, later = _run()
    assert within > _MANY
    assert after < _FEW
    assert later < _MANY  # glibc's usual rule: 64 MB at most


@glibc
def test_the_rule_that_the_environment_sets_holds_again_after_the_block() -> None:
    _, after, later = _run(MALLOC_TRIM_THRESHOLD_=str(1 << 30))
    assert after < _FEW
    assert later > _MANY


def test_other_c_libraries_are_left_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heap, "library_of_c", lambda: None)
    with kept_heap():
        pass
