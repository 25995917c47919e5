"""Threads that a step may compute with: those that were asked for, else all cores."""

import os

import dask.config

from osm4eo_xr.process.threads import allowed_threads, core_count


def test_threads_are_those_that_were_asked_for_or_the_cores() -> None:
    with dask.config.set(num_workers=3):
        assert allowed_threads() == 3
    with dask.config.set(num_workers=None):
        assert allowed_threads() == core_count() == len(os.sched_getaffinity(0))
