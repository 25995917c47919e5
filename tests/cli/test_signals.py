"""Commands that a signal ends: the exit code, one line, and nothing half-made."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

from osm4eo_xr.cli import signals
from osm4eo_xr.demo import demo_osm_path
from osm4eo_xr.models.model_folder import save_model
from tests.cases.country_case import make_country
from tests.inference.test_classify import make_model

SECONDS = 5  # promised; the command's own timers give up after 3.5, so a busy machine keeps it too
CODES = {signal.SIGTERM: 143, signal.SIGINT: 130}


def write_map(path: Path, bands: int = 1) -> Path:
    rng = np.random.default_rng(0)
    shape = {"height": 6000, "width": 6000, "count": bands, "dtype": "uint8", "nodata": 0}
    place = from_origin(4_400_000, 3_280_000, 10, 10)
    with rasterio.open(path, "w", "GTiff", crs="EPSG:3035", transform=place, **shape) as file:
        if bands > 1:
            file.descriptions = ("blue", "green", "red", "nir")
        for band in range(1, bands + 1):
            file.write(rng.integers(1, 13, (6000, 6000), dtype=np.uint8), band)
    return path


def end(number: signal.Signals, begun: str, folder: Path, *arguments: object) -> str:
    """Start a command, send a signal when a file of this pattern is there; return its last line."""
    command = [sys.executable, "-m", "osm4eo_xr", *map(str, arguments)]
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        while not _is_there(folder, begun) and process.poll() is None:
            time.sleep(0.05)
        process.send_signal(number)
        began = time.monotonic()
        _, said = process.communicate(timeout=60)
        took = time.monotonic() - began
    assert took < SECONDS
    assert process.returncode == CODES[number], said
    assert "Traceback" not in said
    return said.strip().splitlines()[-1]


def _is_there(folder: Path, pattern: str) -> bool:
    with suppress(FileNotFoundError):  # folders pass away while they are looked through
        return any(folder.rglob(pattern))
    return False


@pytest.mark.parametrize("number", CODES)
@pytest.mark.parametrize("command", ["sieve", "classify", "labels"])
def test_a_command_leaves_nothing(number: signal.Signals, command: str, tmp_path: Path) -> None:
    source = write_map(tmp_path / "in.tif", 4 if command == "classify" else 1)
    arguments = {
        "sieve": [source],
        "classify": [source, "--model", tmp_path / "model"],
        "labels": [demo_osm_path(), "--like", source],
    }[command]
    if command == "classify":
        save_model(make_model(), tmp_path / "model")
    before = sorted(tmp_path.iterdir())
    said = end(
        number, ".out.tif.part-*", tmp_path, command, *arguments, "--out", tmp_path / "out.tif"
    )
    assert said == f"error: ended by {number.name}; outputs are as they were before"
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("number", CODES)
@pytest.mark.parametrize("where", [(), ("--cluster", "local")])
def test_a_run_can_go_on(number: signal.Signals, where: tuple[str, ...], tmp_path: Path) -> None:
    country = make_country(tmp_path / "here", edge=120, overlap=30)
    said = end(number, ".*.part-*/*", tmp_path / "here", "run", country, *where)
    assert said.endswith("finished pieces stay; run the same command again to go on")
    assert not list((tmp_path / "here").rglob(".*.part-*"))


LEAVES_A_SEMAPHORE = """
import multiprocessing, os, signal, time
from osm4eo_xr.cli.signals import ended_by_signals
with ended_by_signals():
    kept = multiprocessing.get_context("spawn").Semaphore()
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(60)
"""


def test_what_is_left_to_the_system_is_removed_without_a_word() -> None:
    command = [sys.executable, "-c", LEAVES_A_SEMAPHORE]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stderr == "error: ended by SIGTERM; outputs are as they were before\n"


def test_other_filters_of_warnings_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONWARNINGS", "error")
    with signals.ended_by_signals():
        assert os.environ["PYTHONWARNINGS"] == "error,ignore:resource_tracker:UserWarning"
    assert os.environ["PYTHONWARNINGS"] == "error"


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Note the signals that would end this process."""
    numbers: list[int] = []
    monkeypatch.setattr(signals, "_end", numbers.append)
    return numbers


def test_what_was_there_before_is_there_afterwards(ended: list[int]) -> None:
    before = [signal.getsignal(number) for number in signals.SIGNALS], sys.unraisablehook
    with signals.ended_by_signals():
        assert signal.getsignal(signal.SIGTERM) != before[0][0]
    assert ([signal.getsignal(number) for number in signals.SIGNALS], sys.unraisablehook) == before
    with pytest.raises(KeyError), signals.ended_by_signals():
        raise KeyError
    assert ([signal.getsignal(number) for number in signals.SIGNALS], sys.unraisablehook) == before
    assert ended == []


@pytest.mark.parametrize("number", signals.SIGNALS)
def test_a_signal_unwinds_the_main_thread_once_and_ends_the_process(
    number: signal.Signals, ended: list[int]
) -> None:
    closed: list[str] = []

    def work() -> None:
        try:
            signal.raise_signal(number)
        finally:
            signal.raise_signal(number)  # while things are being closed: they go on closing
            closed.append("all")

    with pytest.raises(signals.Ended), signals.ended_by_signals():
        work()
    assert closed == ["all"]
    assert ended == [number]


def test_a_command_that_was_done_already_ends_as_it_would(ended: list[int]) -> None:

    def work() -> None:
        try:
            signal.raise_signal(signal.SIGTERM)
        except signals.Ended:
            raise SystemExit(0) from None

    with pytest.raises(SystemExit) as out, signals.ended_by_signals():
        work()
    assert out.value.code == 0
    assert ended == []


def test_what_remains_is_told_for_one_command_alone(ended: list[int]) -> None:
    with signals.ended_by_signals():
        signals.on_signal_stays("finished pieces stay")
        assert signals._stays == "finished pieces stay"
    with signals.ended_by_signals():
        assert signals._stays == "outputs are as they were before"
    assert ended == []


def test_only_our_own_exceptions_and_gdals_words_are_left_unsaid() -> None:
    said: list[Any] = []
    report = signals._silent_on_ended(said.append)
    quiet = [
        SimpleNamespace(object="callback", exc_value=signals.Ended(15)),
        SimpleNamespace(
            object="<function rasterio log>", exc_value=UnicodeDecodeError("utf-8", b"x", 0, 1, "?")
        ),
    ]
    loud = [
        SimpleNamespace(object="callback", exc_value=KeyError("mine")),
        SimpleNamespace(object="mine", exc_value=UnicodeDecodeError("utf-8", b"x", 0, 1, "?")),
        SimpleNamespace(object="<function rasterio log>", exc_value=ValueError()),
    ]
    for event in quiet + loud:
        report(event)
    assert said == loud


def test_a_forked_process_dies_of_signals_as_others_do() -> None:
    """Handlers are this process's: a child that kept them would answer for its parent."""
    with signals.ended_by_signals():
        child = os.fork()
        if child == 0:
            handlers = [signal.getsignal(number) for number in signals.SIGNALS]
            os._exit(7 if handlers == [signal.SIG_DFL] * 2 else 1)
        _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 7
