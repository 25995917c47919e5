"""Work done in a thread of its own while the main path reads, learns or waits."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from threading import Thread


def do_ahead(*works: Callable[[], object]) -> Thread:
    """Begin some works, one after the other, whose results the main path will want.

    Whoever wants one earlier does it, or waits for it. Errors are left to those: what fails here
    fails there again, where it can be told.

    Returns
    -------
    Thread
        Ends with the last work.
    """
    thread = Thread(target=_do_all, args=(works,), name="ahead")
    thread.start()
    return thread


def _do_all(works: tuple[Callable[[], object], ...]) -> None:
    for work in works:
        with suppress(Exception):
            work()
