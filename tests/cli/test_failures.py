"""How a command ends that fails: which line, which exit code, and where a traceback is kept."""

import errno
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pyogrio
import pytest
import rasterio

from osm4eo_xr._version import __version__
from osm4eo_xr.cli.console import show_warning
from osm4eo_xr.cli.failures import FAILED, UNFORESEEN, report_failure
from osm4eo_xr.errors import InputError, InputWarning
from osm4eo_xr.progress import EVENTS


@pytest.fixture(autouse=True)
def tracebacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def caught(function: object, *arguments: object) -> Exception:
    """Return what a library raises by itself."""
    assert callable(function)
    try:
        function(*arguments)
    except Exception as error:  # noqa: BLE001 - whatever it is
        return error
    raise AssertionError


def line_of(error: Exception, capsys: pytest.CaptureFixture[str], code: int) -> str:
    assert report_failure(error) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    return captured.err


def test_bad_input_is_its_own_line(capsys: pytest.CaptureFixture[str], tracebacks: Path) -> None:
    error = InputError("a.tif\nis [red]", expected="blue", advice="paint it")
    line = line_of(error, capsys, FAILED)
    assert line == "error: a.tif is [red]; expected blue; paint it\n"  # no markup, one line
    assert not list(tracebacks.iterdir())


@pytest.mark.parametrize(
    ("function", "arguments", "words"),
    [
        (rasterio.open, ("none.tif",), "none.tif"),
        (pyogrio.read_dataframe, ("none.gpkg",), "none.gpkg"),
        (Path("none.toml").read_text, (), "No such file or directory: none.toml"),
        (Path("/proc").rename, ("/proc2",), "/proc"),
        (Path("x" * 300).touch, (), "File name too long: xxx"),
    ],
)
def test_what_libraries_say_of_files_is_said_on(
    function: object, arguments: tuple[str, ...], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert words in line_of(caught(function, *arguments), capsys, FAILED)


def test_what_another_library_makes_of_a_readers_error_is_said_on(
    capsys: pytest.CaptureFixture[str],
) -> None:
    outer = RuntimeError("Error opening 'blue.tif'")  # as stackstac puts it
    outer.__cause__ = caught(rasterio.open, "blue.tif")
    assert "error: Error opening 'blue.tif'\n" in line_of(outer, capsys, FAILED)


def test_a_full_disk_is_named_by_its_folder_whichever_library_met_it(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    full = OSError(errno.ENOSPC, "No space left on device", str(tmp_path / "a.tif"))
    outer = RuntimeError("Write failed. See previous exception for details.")
    outer.__cause__ = full
    for error in (full, outer):
        line = line_of(error, capsys, FAILED)
        assert f"the disk is full: no space left in {tmp_path}; make room" in line


def test_memory_that_is_not_there_is_no_mistake_of_ours(
    capsys: pytest.CaptureFixture[str],
) -> None:
    error = caught(np.empty, (2**29, 2**29), np.uint8)
    assert "out of memory" in line_of(error, capsys, FAILED)


def test_what_nobody_foresaw_is_one_line_with_its_traceback_kept(
    capsys: pytest.CaptureFixture[str], tracebacks: Path
) -> None:
    error = caught({}.__getitem__, "a\nb")
    line = line_of(error, capsys, UNFORESEEN)
    (kept,) = tracebacks.iterdir()
    assert f"unforeseen KeyError: 'a\\nb'; this is a mistake of osm4eo-xr {__version__}" in line
    assert line.endswith(f"please report it with {kept}\n")
    text = kept.read_text(encoding="utf-8")
    assert text.startswith(f"osm4eo_xr {__version__}\nTraceback")
    assert "test_failures.py" in text


def test_without_a_folder_for_it_the_traceback_is_not_lost(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/proc/none")
    assert report_failure(ZeroDivisionError("by zero")) == UNFORESEEN
    assert "ZeroDivisionError: by zero" in capsys.readouterr().err


def test_an_error_without_words_is_named_by_its_kind(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert "TimeoutError" in line_of(TimeoutError(), capsys, FAILED)


def test_warnings_are_one_line_each(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(warnings, "showwarning", show_warning)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("one ring was\nmended", InputWarning, stacklevel=1)
        warnings.warn("no geotransform", RuntimeWarning, stacklevel=1)
    assert capsys.readouterr().err == (
        "note: one ring was mended\nnote: no geotransform (RuntimeWarning)\n"
    )


def test_a_library_that_warns_of_each_object_takes_one_line_and_the_log_has_all(
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(EVENTS, "handlers", [caplog.handler])
    seen: set[type[Warning]] = set()
    for name in ("r10m", "r20m", "r60m"):
        show_warning(f"{name} is strange", UserWarning, seen=seen)
    show_warning("ours", InputWarning, seen=seen)
    show_warning("ours too", InputWarning, seen=seen)
    shown = "note: r10m is strange (UserWarning)\nnote: ours\nnote: ours too\n"
    assert capsys.readouterr().err == shown
    assert [m for m in caplog.messages if "strange" in m] == [
        f"{name} is strange (UserWarning)" for name in ("r10m", "r20m", "r60m")
    ]
