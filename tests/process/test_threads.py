"""Threads that a step may compute with: those that were asked for, else all cores."""

import os
import subprocess
import sys

import dask.config
import numpy as np  # noqa: F401 - its BLAS is looked at
import pytest
from threadpoolctl import threadpool_info

from osm4eo_xr.process.threads import allowed_threads, at_most_threads, compute_threads, core_count

COMPUTES = """
import os
from pathlib import Path
from osm4eo_xr.process.threads import at_most_threads

with at_most_threads({threads}):
    import jax

    jax.numpy.ones((600, 600)).sum().block_until_ready()
    names = [(task / "comm").read_text() for task in Path("/proc/self/task").iterdir()]
    print(sum("XLAEigen" in name for name in names))
"""


def test_threads_are_those_that_were_asked_for_or_the_cores() -> None:
    with dask.config.set(num_workers=3):
        assert allowed_threads() == 3
    with dask.config.set(num_workers=None):
        assert allowed_threads() == core_count() == len(os.sched_getaffinity(0))


@pytest.mark.parametrize(("stated", "expected"), [("3", 3), ("1", 1)])
def test_computing_takes_the_threads_that_are_stated(
    stated: str, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NPROC", stated)
    assert compute_threads() == expected


@pytest.mark.parametrize("stated", ["", "many", "-2", "0", "\N{SUPERSCRIPT TWO}", None])
def test_or_all_that_this_process_may_use(
    stated: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NPROC", raising=False)
    if stated is not None:
        monkeypatch.setenv("NPROC", stated)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {0, 3, 5})
    assert compute_threads() == 3


def _blas() -> list[int]:
    return [lib["num_threads"] for lib in threadpool_info() if lib["user_api"] == "blas"]


def test_threads_are_bounded_for_dask_engines_and_blas_within_the_block_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("NPROC", raising=False)
    before, blas = dict(os.environ), _blas()
    with at_most_threads(3):
        assert allowed_threads() == compute_threads() == 3
        assert os.environ["OMP_NUM_THREADS"] == "1"
        assert set(_blas()) == {1}
    assert dict(os.environ) == before
    assert _blas() == blas


@pytest.mark.parametrize("count", [1, 5])
def test_jax_keeps_to_the_threads(count: int) -> None:
    script = COMPUTES.format(threads=count)
    environment = {**os.environ, "JAX_PLATFORMS": "cpu"}
    ran = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment
    )
    assert int(ran.stdout) == count
