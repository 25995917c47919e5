"""What commands show: figures with their units, remarks, JSON that is JSON."""

import dataclasses
import io
import json
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from osm4eo_xr.cli import console
from osm4eo_xr.cluster.checks import Finding
from osm4eo_xr.country.scenes.fetching import TileFetch
from osm4eo_xr.country.scenes.searches import TileItems
from osm4eo_xr.inference.throughput import Throughput
from osm4eo_xr.training.status import Status


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")


def rows(text: str) -> list[list[str]]:
    """Return the cells of a table's rows."""
    lines = [line for line in text.splitlines() if line.startswith("│")]
    return [[cell.strip() for cell in line.strip("│").split("│")] for line in lines]


def test_dataclasses_paths_and_umlauts_are_json(capsys: pytest.CaptureFixture[str]) -> None:
    found = [TileFetch("32UNB", 4, 1, 0.5)]
    console.print_json({"plan": found, "folder": Path("a/Überblick"), "[b]": "[red]x[/]"})
    tree = json.loads(capsys.readouterr().out)
    assert tree == {
        "plan": [dataclasses.asdict(found[0])],
        "folder": "a/Überblick",
        "[b]": "[red]x[/]",
    }


def items(tile: str, days: tuple[str, ...], clouds: tuple, **looks: object) -> TileItems:
    return TileItems(tile, Path(f"{tile}.json"), days, clouds, 1.234, **looks)  # type: ignore[arg-type]


def test_a_search_shows_days_the_clearest_and_what_has_few_looks(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = [
        items("32UNB", ("2021-07-01", "2021-05-02"), (40.0, 3.14)),
        items("32UPB", ("2021-06-01",), (None,), clear_looks=(25, 75, 900), few_looks=100),
        items("31UGS", (), ()),
    ]
    console.print_found(found, 2)
    told = capsys.readouterr()
    shown = {row[0]: row[1:] for row in rows(told.out) if row[0]}
    assert shown["32UNB"] == ["2", "2021-05-02", "3.1", "1.23", "once fetched"]
    assert shown["32UPB"] == ["1", "2021-06-01", "-", "1.23", "100 (10.0%)"]
    assert shown["31UGS"] == ["0", "-", "-", "1.23", "once fetched"]
    assert "3 items for 3 tiles" in told.out
    assert "note: no item for 31UGS; the map has no data there" in " ".join(told.err.split())


def test_what_is_to_be_fetched_is_summed(capsys: pytest.CaptureFixture[str]) -> None:
    console.print_fetch([TileFetch("a", 4, 1, 0.25), TileFetch("b", 2, 2, 0.0)])
    text = capsys.readouterr().out
    assert "0.25 GB to fetch, uncompressed, for 2 tiles" in " ".join(text.split())
    assert rows(text) == [["a", "4", "1", "0.25"], ["b", "2", "2", "0.00"]]


def test_inference_is_told_in_pixels_a_second(capsys: pytest.CaptureFixture[str]) -> None:
    seen = Throughput(
        processes=1, blocks=2, pixels=4_000_000, bytes_read=64_000_000, compilations=1,
        compile_s=3.0, device_s=5.0, started=100.0, ended=110.0,
    )  # fmt: skip
    console.print_throughput(seen)
    text = capsys.readouterr().out
    assert "4,000,000 pixels in 10.0 s, 400,000 px/s, 64 MB of scene read" in text
    assert "1 compilations in 3.0 s, device computing 50% of the time" in text
    console.print_throughput(Throughput())  # nothing was classified
    assert "0 pixels in " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("states", "last"),
    [
        (("ok", "note"), "a run would work"),
        (("ok", "wrong", "wrong"), "a run would fail: 2 wrong"),
        ((), "a run would work"),
    ],
)
def test_the_doctor_ends_with_what_it_means(
    states: tuple, last: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = [Finding("here", f"check {k}", s, "[seen]", f"mend {k}") for k, s in enumerate(states)]
    console.print_findings(found)
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == last
    for k, state in enumerate(states):
        assert f"{state}: here, check {k}: [seen]. To mend it: mend {k}" in lines
    assert sum("[seen]" in line for line in lines) == 2 * len(states)


def test_samples_are_counted_by_split_and_what_is_short_is_told() -> None:
    counts = pd.DataFrame(
        {
            "class": ["forest", "forest", "water", "water"],
            "split": ["train", "test"] * 2,
            "drawn": [60, 20, 0, 0],
            "shortfall": [0, 5, 60, 20],
        }
    )
    terminal = Console(width=80, record=True, file=io.StringIO())
    terminal.print(console.sample_table(counts))
    assert rows(terminal.export_text()) == [
        ["forest", "60", "20", "5"],
        ["water", "-", "-", "none drawn: no label with a whole window"],
    ]


def test_without_a_terminal_an_epoch_is_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    monkeypatch.setattr(console, "draws_bars", lambda: False)
    monkeypatch.setattr(console, "print_progress", lines.append)
    with console.training_bar() as tell:
        for step in range(1, 4):
            tell(Status(0, 2, step, 3, 1.0, 0.25, 10.0, 3.0 - step))
        for step in range(1, 7):
            epoch = 1 + (step - 1) // 3
            tell(Status(epoch, 2, step, 6, 1 / step, 0.5, 12.4, 61.4 * (6 - step)))
    assert lines == [
        "learning rate: looked for in 3 steps",
        "epoch 1 of 2: loss 0.333, accuracy 50.0 %, 12 samples/s, 3:04 left",
        "epoch 2 of 2: loss 0.167, accuracy 50.0 %, 12 samples/s, 0:00 left",
    ]


def test_errors_and_notes_are_one_line_and_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    console.print_error("a\n  [red]b[/] c")
    console.print_note("see [x]")
    assert capsys.readouterr().err.splitlines() == ["error: a [red]b[/] c", "note: see [x]"]
