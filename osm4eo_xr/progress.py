"""Progress of long work: one protocol, ``progress(done, total)``, and bars that draw it."""

from __future__ import annotations

import functools
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import ParamSpec, TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bars
from rich.text import Text

OUT = Console()
"""Results: tables and the paths of what was written."""

if not (OUT.is_terminal or OUT.is_jupyter or "COLUMNS" in os.environ):
    OUT.width = 120  # of a file or a pipe; rich takes 80, which break intervals in two

ERR = Console(stderr=True)
"""Progress and errors, so that results can be piped."""

EVENTS = logging.getLogger("osm4eo_xr.command")
"""What a command shows, for those who log it; by itself it goes nowhere."""

EVENTS.propagate = False
EVENTS.addHandler(logging.NullHandler())

_EVERY = 60.0  # seconds between two lines of one piece in a log
_DONE = float("inf")  # when a piece that is done has its next line

_shown = True
_drawing = False

P = ParamSpec("P")
R = TypeVar("R")

Progress = Callable[[int, int], None]
"""Called with what is done and what there is in all."""

Watch = Callable[[str, int, int], None]
"""Called with the name of a piece of work, what of it is done and what there is in all."""


def show_progress(shown: bool) -> None:  # noqa: FBT001 - the one argument says it all
    """Draw bars and lines of progress from now on, or none."""
    global _shown  # noqa: PLW0603 - one terminal, one choice
    _shown = shown


def print_progress(line: str, **fields: object) -> None:
    """Log a line of progress with its fields, and print it unless nobody wants to see it."""
    EVENTS.info(line, extra={"fields": fields})
    if _shown:
        ERR.print(line, highlight=False, markup=False, soft_wrap=True)


def draws_bars() -> bool:
    """Whether progress is drawn as bars: at a terminal or in Jupyter, unless nobody wants it.

    In Jupyter rich draws with ipywidgets, which is no part of this package; without them, it would
    warn at each bar and draw none.
    """
    in_jupyter = ERR.is_jupyter and find_spec("ipywidgets") is not None
    return _shown and (ERR.is_terminal or in_jupyter)


def with_bars(*pieces: str, unless: str = "") -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Let a long step draw its progress by itself where somebody looks on and nobody draws it yet.

    Parameters
    ----------
    *pieces : str
        What the bar is called. None: the step takes ``watch(piece, done, total)``; one: it takes
        ``progress(done, total)``.
    unless : str
        Another argument by which callers follow the step; if it is given, nothing is drawn.
    """
    argument = "progress" if pieces else "watch"

    def decorate(step: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(step)
        def shown(*args: P.args, **kwargs: P.kwargs) -> R:
            followed = any(kwargs.get(name) is not None for name in (argument, unless))
            if followed or _drawing or not draws_bars():
                return step(*args, **kwargs)
            with progress_bar(*pieces) if pieces else piece_bars() as told:
                kwargs[argument] = told
                return step(*args, **kwargs)

        return shown

    return decorate


@contextmanager
def live_bars(*columns: ProgressColumn) -> Iterator[Bars]:
    """Draw bars of these columns; there is one such display at a time."""
    global _drawing  # noqa: PLW0603 - one terminal, one display
    with Bars(*columns, console=ERR) as bars:
        _drawing = True
        try:
            yield bars
        finally:
            _drawing = False


@contextmanager
def progress_bar(description: str) -> Iterator[Progress]:
    """Draw one bar on standard error; yields the callback ``progress(done, total)``."""
    with piece_bars() as watch:
        yield lambda done, total: watch(description, done, total)


@contextmanager
def piece_bars() -> Iterator[Watch]:
    """Draw one bar per piece of work; yields the callback ``watch(piece, done, total)``.

    Without a terminal, as in a batch job's log, a line a minute says how far a piece is, and one
    that it is done.
    """
    if not draws_bars():
        yield _LogLines()
        return
    columns = (
        SpinnerColumn(finished_text="✓"),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with live_bars(*columns) as bars:
        tasks: dict[str, TaskID] = {}

        def watch(piece: str, done: int, total: int) -> None:
            if piece not in tasks:
                tasks[piece] = bars.add_task(piece, total=total)
            bars.update(tasks[piece], completed=done, total=total)

        yield watch


class _Rate(ProgressColumn):
    """Steps per second, or per minute where they are slow."""

    def render(self, task: Task) -> Text:
        """Return the rate, nothing before it is known."""
        return Text(_rate(task.finished_speed or task.speed or 0.0))


def _rate(per_second: float) -> str:
    if not per_second:
        return ""
    return f"{per_second:.1f}/s" if per_second >= 1 else f"{60 * per_second:.1f}/min"


class _LogLines:
    """Prints a line when a minute has passed since a piece's last one, and when it is done."""

    def __init__(self) -> None:
        self.begun: dict[str, float] = {}
        self.printed: dict[str, float] = {}

    def __call__(self, piece: str, done: int, total: int) -> None:
        """Take note of ``done`` of ``total``."""
        if not total:
            return
        now = time.monotonic()
        begun = self.begun.setdefault(piece, now)
        if done < total and now - self.printed.setdefault(piece, begun) < _EVERY:
            return
        if done >= total and self.printed.get(piece) == _DONE:
            return
        self.printed[piece] = _DONE if done >= total else now
        line = f"{piece}: {done} of {total} after {now - begun:.0f} s"
        if 0 < done < total:
            line += f", about {(now - begun) * (total - done) / done:.0f} s left"
        fields = {"piece": piece, "done": done, "total": total, "seconds": round(now - begun, 1)}
        print_progress(line, **fields)
