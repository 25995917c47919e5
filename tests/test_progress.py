"""Progress: a line a minute in a log, bars at a terminal."""

import io
import re
from collections.abc import Callable

import pytest
from rich.console import Console

from osm4eo_xr import progress
from osm4eo_xr.progress import piece_bars, progress_bar, with_bars


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What standard error gets in a batch job, which has no terminal."""
    text = io.StringIO()
    monkeypatch.setattr(progress, "ERR", Console(file=text, width=200))
    return text


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What a terminal gets."""
    text = io.StringIO()
    monkeypatch.setattr(progress, "ERR", Console(file=text, width=200, force_terminal=True))
    return text


def lines(log: io.StringIO) -> list[str]:
    return [line.rpartition(" after ")[0] for line in log.getvalue().splitlines()]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds that the progress believes to have passed: the one entry."""
    now = [1000.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_a_log_gets_a_line_a_minute_with_the_time_left(
    log: io.StringIO, clock: list[float]
) -> None:
    with progress_bar("mosaic") as told:
        for done in range(11):
            told(done, 10)
            clock[0] += 25
    assert log.getvalue().splitlines() == [
        "mosaic: 3 of 10 after 75 s, about 175 s left",
        "mosaic: 6 of 10 after 150 s, about 100 s left",
        "mosaic: 9 of 10 after 225 s, about 25 s left",
        "mosaic: 10 of 10 after 250 s",
    ]


def test_a_terminal_gets_the_rate(screen: io.StringIO) -> None:
    with progress_bar("sieve") as told:
        for done in range(4):
            told(done, 3)
    assert re.search(r"\d/(s|min)", screen.getvalue())


def test_who_wants_no_progress_gets_none(log: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_shown", True)  # put back at the end
    progress.show_progress(False)
    with progress_bar("sieve") as told:
        told(3, 3)
    assert log.getvalue() == ""


def test_pieces_are_told_apart_and_each_ends_once(log: io.StringIO) -> None:
    with piece_bars() as watch:
        watch("labels", 1, 2)
        watch("scene A", 9, 9)
        watch("labels", 2, 2)
        watch("labels", 2, 2)
    assert lines(log) == ["scene A: 9 of 9", "labels: 2 of 2"]


def test_nothing_to_do_is_no_line_and_no_error(log: io.StringIO) -> None:
    with progress_bar("empty") as told:
        told(0, 0)
    assert log.getvalue() == ""


NAMES = ("tile T[/1]", "tile [red]A", "a" * 300)


@pytest.mark.parametrize("name", NAMES)
def test_a_line_has_the_name_as_it_is(log: io.StringIO, name: str) -> None:
    with piece_bars() as watch:
        watch(name, 1, 1)
    assert lines(log) == [f"{name}: 1 of 1"]


@pytest.mark.parametrize("name", NAMES[:2])
def test_a_bar_has_the_name_as_it_is(screen: io.StringIO, name: str) -> None:
    with piece_bars() as watch:
        watch(name, 1, 1)
    assert name in screen.getvalue()


def test_a_terminal_gets_a_bar_per_piece(screen: io.StringIO) -> None:
    with piece_bars() as watch:
        watch("scene A", 1, 4)
        watch("scene B", 2, 2)
        watch("scene A", 4, 4)
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen.getvalue())
    ends = [line.strip() for line in plain.splitlines() if "✓" in line][-2:]
    assert [re.findall(r"scene .|\d/\d", line) for line in ends] == [
        ["scene A", "4/4"],
        ["scene B", "2/2"],
    ]


def test_a_bar_names_its_work(screen: io.StringIO) -> None:
    with progress_bar("reading hessen.osm.pbf") as told:
        told(30, 60)
    assert "reading hessen.osm.pbf" in screen.getvalue()
    assert "30/60" in screen.getvalue()


@with_bars("steps", unless="watch")
def step(
    n: int,
    *,
    progress: Callable[[int, int], None] | None = None,
    watch: Callable[[int], None] | None = None,
) -> int:
    """Count to ``n``, as long steps do."""
    for done in range(1, n + 1):
        if progress:
            progress(done, n)
        if watch:
            watch(done)
    return n


def test_a_step_draws_itself_where_somebody_looks_on(screen: io.StringIO) -> None:
    assert step(3) == 3
    assert "steps" in screen.getvalue()
    assert "3/3" in screen.getvalue()


def test_a_step_is_silent_in_a_log(log: io.StringIO) -> None:
    assert step(3) == 3
    assert log.getvalue() == ""


def test_a_step_that_is_followed_draws_nothing_of_its_own(screen: io.StringIO) -> None:
    seen: list[object] = []
    step(2, progress=lambda *told: seen.append(told))
    step(2, watch=seen.append)
    assert seen == [(1, 2), (2, 2), 1, 2]
    assert screen.getvalue() == ""


def test_a_step_within_drawn_work_draws_no_second_display(screen: io.StringIO) -> None:
    with piece_bars() as watch:
        watch("outer", 1, 2)
        step(3)
    assert "outer" in screen.getvalue()
    assert "steps" not in screen.getvalue()


@pytest.mark.parametrize("found", [None, "ipywidgets"])
def test_jupyter_draws_bars_only_with_what_draws_them(
    monkeypatch: pytest.MonkeyPatch, found: str | None
) -> None:
    monkeypatch.setattr(progress, "ERR", Console(force_jupyter=True, force_terminal=False))
    monkeypatch.setattr(progress, "find_spec", lambda _: found)
    assert progress.draws_bars() == (found is not None)
