"""Periods in ids of features: which days they mean."""

from __future__ import annotations

import re
from calendar import monthrange
from datetime import date, timedelta

from osm4eo_xr.errors import InputError

__all__ = ["days_of", "middle_day"]

_YEAR = re.compile(r"(\d{4})(?:-(.+))?", re.ASCII)
_IN_NUMBERS = re.compile(r"(\d\d)(?:-(\d\d))?", re.ASCII)
_SEASONS = {"winter": 12, "spring": 3, "summer": 6, "autumn": 9, "fall": 9}  # first months
_QUARTERS = {"q1": 1, "q2": 4, "q3": 7, "q4": 10}
_THREE = 3  # months of a season


def days_of(period: str) -> tuple[date, date] | None:
    """Return the first and the last day of a period; None if it is a word of one's own.

    Seasons are the meteorological ones; a year's winter begins in December of the year before.

    Raises
    ------
    InputError
        If it is written as a month or a day, and the calendar has none such.

    Examples
    --------
    >>> [day.isoformat() for day in days_of("2024-winter")]
    ['2023-12-01', '2024-02-29']
    >>> days_of("wet") is None
    True
    """
    found = _YEAR.fullmatch(period)
    if found is None:
        return None
    year, part = int(found[1]), (found[2] or "").casefold()
    if in_numbers := _IN_NUMBERS.fullmatch(part):
        return _of_calendar(period, year, int(in_numbers[1]), int(in_numbers[2] or 0))
    if not year:
        return None
    if not part:
        return date(year, 1, 1), date(year, 12, 31)
    if part in _SEASONS or part in _QUARTERS:
        first = (_SEASONS | _QUARTERS)[part]
        return _months(year - (part == "winter"), first, _THREE)
    return None


def _of_calendar(period: str, year: int, month: int, day: int) -> tuple[date, date] | None:
    """Return the first and last day of a month or, unless ``day`` is 0, of a day."""
    try:
        first = date(year, month, day or 1)
    except ValueError:
        raise InputError(
            f"period {period!r}",
            expected="a month or day that the calendar has",
            advice="correct it, or make it a word such as 2024-w05",
        ) from None
    return (first, first) if day else _months(year, month, 1)


def _months(year: int, first: int, count: int) -> tuple[date, date] | None:
    """Return the first and last day of some months in a row."""
    if not year:
        return None
    last = first + count - 1
    end = year + (last - 1) // 12, (last - 1) % 12 + 1
    return date(year, first, 1), date(*end, monthrange(*end)[1])


def middle_day(period: str) -> date | None:
    """Return the middle day of a period, the earlier of two; None for a word of one's own.

    Examples
    --------
    >>> middle_day("2024-04").isoformat()
    '2024-04-15'
    """
    days = days_of(period)
    return None if days is None else days[0] + timedelta(days=(days[1] - days[0]).days // 2)
