"""What a process must still do when it is ended from outside: a register of last duties."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

_duties: list[Callable[[], object]] = []


@contextmanager
def last_duty(duty: Callable[[], object]) -> Iterator[None]:
    """Have something closed by ``close_all`` if the process is ended within the block.

    The duty may run in another thread, and while the block's own exit does the same.
    """
    _duties.append(duty)
    try:
        yield
    finally:
        with suppress(ValueError):
            _duties.remove(duty)


def close_all() -> None:
    """Do what is still to be done, the newest first; errors do not hold up the rest."""
    while _duties:
        with suppress(Exception):
            _duties.pop()()
