"""What the command line shows: progress bars, tables and the one line of an error."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
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
    """Draw one bar on standard error; yields the callback ``progress(done, total)``.

    Without a terminal (a batch job's log) only the finished bar is printed.
    """
    columns = (
        SpinnerColumn(finished_text="✓"),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=ERR) as bar:
        task = bar.add_task(description, total=None)

        def advance(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        yield advance


def print_error(message: object) -> None:
    """Print ``message`` as the one line of an error, whatever line breaks it holds."""
    text = " ".join(str(message).split())
    ERR.print(f"[bold red]error:[/] {escape(text)}", soft_wrap=True, highlight=False)
