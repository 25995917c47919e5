"""Tables on a terminal and in logs, and in HTML, which Jupyter shows in the place of a text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from rich.table import Table as _RichTable

_MOST_ROWS = 40  # a notebook's page


class Table(_RichTable):
    """A table whose cells go on in the next line where rich would end them with an ellipsis.

    What is cut off at 80 columns is the end of an interval or of a hash, which one came to read.
    """

    def add_column(self, header: Any = "", *details: Any, **settings: Any) -> None:
        """Add a column, as rich does."""
        super().add_column(header, *details, **({"overflow": "fold"} | settings))


def html_table(
    title: str,
    rows: Iterable[Sequence[object]],
    *,
    header: Sequence[str] = (),
    colors: Sequence[str] = (),
) -> str:
    """Return one table as HTML, without scripts or outside files.

    Parameters
    ----------
    title : str
        Caption above the table.
    rows : iterable of sequences
        Cells as ``str`` shows them; numbers to the right, thousands apart. After 40 rows a line
        says how many more there are.
    header : sequence of str
        Names of the columns; none by default.
    colors : sequence of str
        A CSS color per row, for example ``"#4682b4"``, shown as a square in a column of its own.

    Returns
    -------
    str
        HTML whose cells are escaped.

    Examples
    --------
    >>> "<td style='text-align:right'>2</td>" in html_table("a", [["b", 2]])
    True
    """
    rows = list(rows)
    shown = [_row(row, colors[k : k + 1]) for k, row in enumerate(rows[:_MOST_ROWS])]
    names = [*([""] if colors else []), *header] if header else []
    head = "".join(f"<th style='text-align:left'>{escape(name)}</th>" for name in names)
    more = len(rows) - len(shown)
    last = f"<p>and {more} more rows</p>" if more else ""
    return (
        f"<table><caption style='text-align:left;font-weight:bold'>{escape(title)}</caption>"
        f"{f'<thead><tr>{head}</tr></thead>' if head else ''}"
        f"<tbody>{''.join(shown)}</tbody></table>{last}"
    )


def _row(row: Sequence[object], color: Sequence[str]) -> str:
    square = "display:inline-block;width:1em;height:1em;border:1px solid #888;background:"
    first = [f"<td><span style='{square}{escape(c)}'></span></td>" for c in color]
    return f"<tr>{''.join([*first, *map(_cell, row)])}</tr>"


def _cell(value: object) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"<td style='text-align:right'>{value:,}</td>"
    return f"<td style='text-align:left'>{escape(str(value))}</td>"
