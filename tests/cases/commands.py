"""The command line in this process: what a command prints, and how it refuses.

What it prints is taken from its own consoles, and from those that typer makes, rather than from
``sys.stdout`` and ``sys.stderr`` alone, in whose place pytest and libraries put others at times.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from unittest.mock import patch

import typer
import typer.main
from rich.console import Console
from typer import rich_utils

from osm4eo_xr.cli.app import app
from osm4eo_xr.errors import InputError
from osm4eo_xr.progress import ERR, OUT

WIDE = {"COLUMNS": "200"}


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    exit_code: int
    stdout: str
    stderr: str
    exception: BaseException | None

    @property
    def output(self) -> str:
        """Results, and behind them progress and errors."""
        return self.stdout + self.stderr


def attempt(*words: object, commands: typer.Typer = app) -> Ended:
    """Run a command, of ours or of others; what it raises comes back with the rest."""
    out, err = io.StringIO(), io.StringIO()
    code: object = 0
    raised = None
    with (
        patch.dict(os.environ, WIDE),
        patch.object(OUT, "_file", out),
        patch.object(ERR, "_file", err),
        patch.object(rich_utils, "_get_rich_console", _consoles(out, err)),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        try:
            typer.main.get_command(commands).main(list(map(str, words)), prog_name="osm4eo-xr")
        except SystemExit as asked:
            code, raised = asked.code or 0, asked if asked.code else None
        except Exception as error:  # noqa: BLE001 - any; tests look at it
            code, raised = 1, error
    return Ended(code if isinstance(code, int) else 1, out.getvalue(), err.getvalue(), raised)


def _consoles(out: io.StringIO, err: io.StringIO) -> Callable[..., Console]:
    """Return typer's maker of consoles, whose consoles write there."""
    made = rich_utils._get_rich_console

    def make(stderr: bool = False) -> Console:
        console = made(stderr)
        console.file = err if stderr else out
        return console

    return make


def call(*words: object) -> str:
    """Return what a command prints; raise what it raises."""
    ended = attempt(*words)
    if ended.exception is not None and not isinstance(ended.exception, SystemExit):
        raise ended.exception
    assert ended.exit_code == 0, ended.output
    return ended.stdout


def refused(*words: object) -> InputError:
    """Return the error with which a command refuses its input."""
    ended = attempt(*words)
    assert isinstance(ended.exception, InputError), (ended.exception, ended.output)
    return ended.exception


def misused(*words: object) -> str:
    """Return what is said of options that are none, as typer does, with exit code 2."""
    ended = attempt(*words)
    assert ended.exit_code == 2, ended.output
    return " ".join(ended.output.split())
