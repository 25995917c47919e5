"""Quantities of site files: bytes, seconds and variables, as people write them."""

from __future__ import annotations

import re
from typing import Annotated, Any

from dask.utils import parse_bytes, parse_timedelta

from osm4eo_xr.settings_io import Reads

_CLOCK = re.compile(r"(\d+):(\d+):(\d+)")
_DAYS = re.compile(r"(\d+)-(\d+)(?::(\d+))?(?::(\d+))?")  # as --time of sbatch takes them


def _seconds(value: Any) -> int:
    """Read ``HH:MM:SS``, ``DAYS-HH:MM:SS``, a number of seconds or text with a unit."""
    if not isinstance(value, str):
        return int(parse_timedelta(value, default="seconds"))
    text = value.strip()
    if clock := _CLOCK.fullmatch(text):
        return _added_up(0, *map(int, clock.groups()))
    if days := _DAYS.fullmatch(text):
        return _added_up(*(int(part or 0) for part in days.groups()))
    return int(parse_timedelta(re.sub(r"min$", "minutes", text), default="seconds"))


def _added_up(days: int, hours: int, minutes: int, seconds: int) -> int:
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds


def _variable(value: Any) -> str:
    """Read a variable of the environment."""
    if not isinstance(value, str | int | float):
        raise TypeError
    return str(value)


Bytes = Annotated[int, Reads(parse_bytes, "bytes, or text like '16 GB'")]
Seconds = Annotated[
    int, Reads(_seconds, "seconds, or text like '04:00:00', '1-12:00:00' or '2 min'")
]
Variable = Annotated[str, Reads(_variable, "text or a number")]
