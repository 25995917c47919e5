"""Progress of long work: one protocol, ``progress(done, total)``, and bars that draw it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

OUT = Console()
"""Results: tables and the paths of what was written."""

ERR = Console(stderr=True)
"""Progress and errors, so that results can be piped."""

ProgressCallback = Callable[[int, int], None]


@contextmanager
def progress_bar(description: str) -> Iterator[ProgressCallback]:
    """Draw one bar on standard error; yields the callback ``progress(done, total)``."""
    with piece_bars() as watch:
        yield lambda done, total: watch(description, done, total)


@contextmanager
def piece_bars() -> Iterator[Callable[[str, int, int], None]]:
    """Draw one bar per piece of work; yields the callback ``watch(piece, done, total)``.

    Without a terminal, as in a batch job's log, each quarter of a piece is a line.
    """
    if not ERR.is_terminal:
        yield _LogLines()
        return
    columns = (
        SpinnerColumn(finished_text="✓"),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=ERR) as bars:
        tasks: dict[str, TaskID] = {}

        def watch(piece: str, done: int, total: int) -> None:
            if piece not in tasks:
                tasks[piece] = bars.add_task(piece, total=total)
            bars.update(tasks[piece], completed=done, total=total)

        yield watch


class _LogLines:
    """Prints a line when a piece of work passes the next quarter."""

    def __init__(self) -> None:
        self.start = time.monotonic()
        self.printed: dict[str, int] = {}

    def __call__(self, piece: str, done: int, total: int) -> None:
        """Take note of ``done`` of ``total``."""
        quarter = 4 * done // max(total, 1)
        if quarter > self.printed.get(piece, 0):
            self.printed[piece] = quarter
            seconds = time.monotonic() - self.start
            line = f"{piece}: {done} of {total} after {seconds:.0f} s"
            ERR.print(line, highlight=False, markup=False, soft_wrap=True)
