"""A log of one command: a line of JSON per event, for batch jobs and those who watch them."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from osm4eo_xr._version import __version__
from osm4eo_xr.errors import InputError
from osm4eo_xr.progress import EVENTS

_PACKAGE = "osm4eo_xr"


class _JsonLines(logging.Formatter):
    """Time (UTC), level, where it is from, and what happened, as one JSON object."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record; its ``fields`` are entries of their own."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "source": record.name,
            "message": " ".join(record.getMessage().split()),
            **getattr(record, "fields", {}),
        }
        return json.dumps(line, ensure_ascii=False, default=str)


def show_debug() -> None:
    """Print what the package's modules log, and what commands do, on standard error."""
    shown = logging.StreamHandler(sys.stderr)
    shown.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    _attach(shown)
    logging.getLogger(_PACKAGE).setLevel(logging.DEBUG)


@contextmanager
def logged(path: Path) -> Iterator[None]:
    """Append the events of the block to a file: its start, notes, errors, progress and end.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    try:
        handler = logging.FileHandler(path, encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"cannot write the log {path}: {error.strerror}", advice="give another --log-file"
        ) from error
    handler.setFormatter(_JsonLines())
    _attach(handler)
    started = time.monotonic()
    _event("command begins", arguments=sys.argv[1:], version=__version__)
    try:
        yield
    except BaseException as error:
        said = f"{type(error).__name__}: {error}"
        _event("command ends", error=" ".join(said.split()), seconds=_since(started))
        raise
    else:
        _event("command ends", seconds=_since(started))
    finally:
        for name in (_PACKAGE, EVENTS.name):
            logging.getLogger(name).removeHandler(handler)
        handler.close()


def _attach(handler: logging.Handler) -> None:
    """Listen to the package's modules and to what commands show; the latter do not pass upward."""
    for name in (_PACKAGE, EVENTS.name):
        logger = logging.getLogger(name)
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)


def _event(text: str, **fields: Any) -> None:
    EVENTS.info(text, extra={"fields": fields})


def _since(started: float) -> float:
    return round(time.monotonic() - started, 3)
