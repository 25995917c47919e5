"""Processes that inherit an environment start in turns; a script without a guard is told so."""

import asyncio
import multiprocessing
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from osm4eo_xr.cluster.local_processes import (
    UNGUARDED,
    SpawnTurns,
    end_if_starting,
    unguarded_error,
)

A, B = {"TEST_TURN": "a"}, {"TEST_TURN": "b"}


@pytest.fixture(autouse=True)
def no_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TEST_TURN", raising=False)


def setting(turns: SpawnTurns, environment: dict[str, str]) -> None:
    """Put an environment in place, as what spawns inside a turn does."""
    assert turns
    os.environ.update(environment)


def test_equal_environments_share_a_turn_and_others_wait() -> None:
    """Workers of one kind start together; the others begin when the last of them has started."""
    turns, seen = SpawnTurns(), list[str]()

    async def start(name: str, environment: dict[str, str], meet: asyncio.Barrier | None) -> None:
        async with turns.of(environment):
            seen.append(f"{name} in")
            if meet is not None:
                await meet.wait()
            seen.append(f"{name} out")

    async def run() -> None:
        meet = asyncio.Barrier(2)  # both are inside at once, or this never ends
        jobs = [start("a1", A, meet), start("b", B, None), start("a2", A, meet)]
        await asyncio.wait_for(asyncio.gather(*jobs), 30)

    asyncio.run(run())
    assert set(seen[:2]) == {"a1 in", "a2 in"}
    assert set(seen[2:4]) == {"a1 out", "a2 out"}
    assert seen[4:] == ["b in", "b out"]


@pytest.mark.parametrize("before", [None, "mine"])
def test_afterwards_this_process_has_its_own_environment_back(
    before: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if before is not None:
        monkeypatch.setenv("TEST_TURN", before)
    turns = SpawnTurns()

    async def run() -> list[str | None]:
        found = []
        for environment in (A, B):
            async with turns.of(environment):
                setting(turns, environment)
            found.append(os.environ.get("TEST_TURN"))
        return found

    assert asyncio.run(run()) == [before, before]


def test_a_start_that_fails_gives_the_turn_and_the_environment_back() -> None:
    turns = SpawnTurns()

    async def fails() -> None:
        async with turns.of(A):
            setting(turns, A)
            raise OSError("no memory")

    async def run() -> str | None:
        with pytest.raises(OSError, match="no memory"):
            await fails()

        async def next_one() -> str | None:
            async with turns.of(B):
                return os.environ.get("TEST_TURN")

        return await asyncio.wait_for(next_one(), 30)

    assert asyncio.run(run()) is None


def test_a_process_that_runs_a_script_of_its_own_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(UNGUARDED, "/nowhere/mark")
    end_if_starting()


@pytest.mark.parametrize("marked", [True, False])
def test_a_worker_that_runs_its_parents_script_ends_and_leaves_a_mark(
    marked: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    starting = SimpleNamespace(_inheriting=True)
    monkeypatch.setattr(multiprocessing, "current_process", lambda: starting)
    monkeypatch.delenv(UNGUARDED, raising=False)
    if marked:
        monkeypatch.setenv(UNGUARDED, str(tmp_path / "mark"))
    with pytest.raises(SystemExit) as ended:
        end_if_starting()
    assert ended.value.code == 1
    assert (tmp_path / "mark").exists() is marked


def test_only_its_own_error_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    passed: list[BaseException] = []
    monkeypatch.setattr(sys, "excepthook", lambda _kind, error, _trace: passed.append(error))
    error = unguarded_error()
    assert error.given.startswith("the script opens a cluster wherever it is imported")
    sys.excepthook(type(error), error, None)
    assert capsys.readouterr().err == f"error: {error}\n"
    assert passed == []
    other = KeyError("another")
    sys.excepthook(KeyError, other, None)
    assert passed == [other]
