"""Tables say all that is in them, however narrow the terminal."""

import pytest
from rich.console import Console

from osm4eo_xr.tables import Table

INTERVAL, HASH = "81.6 % (71.3-91.4)", "cdf3da41c5971875499f0123456789abcdef"


@pytest.mark.parametrize("width", [30, 40, 80, 200])
def test_nothing_is_cut_off(width: int) -> None:
    table = Table()
    for heading in ("class", "user's, 95 %", "SHA-256"):
        table.add_column(heading)
    table.add_row("water", INTERVAL, HASH)
    console = Console(width=width, color_system=None)
    with console.capture() as captured:
        console.print(table)
    lines = [line.strip("│\n").split("│") for line in captured.get().splitlines() if "│" in line]
    rows = ["".join(cells).replace(" ", "") for cells in zip(*lines, strict=True)]
    assert rows == ["water", INTERVAL.replace(" ", ""), HASH]
    assert "…" not in captured.get()


def test_a_column_may_still_ask_for_less() -> None:
    table = Table()
    table.add_column("class", overflow="ellipsis", no_wrap=True)
    assert (table.columns[0].overflow, table.columns[0].no_wrap) == ("ellipsis", True)
