"""The log of a command: a line of JSON per event, whatever happens in the block."""

import json
import logging
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from osm4eo_xr.cli.logs import logged
from osm4eo_xr.errors import InputError
from osm4eo_xr.progress import EVENTS


def events(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_start_notes_and_end_are_lines_of_json(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    with logged(path):
        logging.getLogger("osm4eo_xr.country.ledger_file").warning("kept as\n  %s", "größer")
        EVENTS.info("tile done", extra={"fields": {"tile": "T00", "share": 0.5, "at": Path("a")}})
        logging.getLogger("rasterio").warning("not ours")
    begin, note, done, end = events(path)
    assert begin["message"] == "command begins"
    assert (note["level"], note["message"]) == ("warning", "kept as größer")
    assert note["source"] == "osm4eo_xr.country.ledger_file"
    assert (done["tile"], done["share"], done["at"]) == ("T00", 0.5, "a")
    assert end["message"] == "command ends"
    assert end["seconds"] >= 0
    assert "error" not in end
    times = [datetime.fromisoformat(line["time"]) for line in (begin, note, done, end)]
    assert times == sorted(times)
    assert all(time.tzinfo is not None for time in times)


@pytest.mark.parametrize("error", [InputError("size is 0", expected="1"), KeyboardInterrupt("x")])
def test_an_error_is_the_last_line_and_passes_on(tmp_path: Path, error: BaseException) -> None:
    path = tmp_path / "log.jsonl"
    with pytest.raises(type(error)), logged(path):
        raise error
    told = events(path)[-1]["error"]
    assert told.startswith(type(error).__name__)
    assert str(error) in told


def test_a_second_command_appends_and_the_first_no_longer_listens(tmp_path: Path) -> None:
    path, other = tmp_path / "log.jsonl", tmp_path / "other.jsonl"
    for file in (path, path, other):
        with logged(file):
            EVENTS.info(file.name)
    EVENTS.info("after all")
    assert [line["message"] for line in events(path)] == [
        *("command begins", "log.jsonl", "command ends") * 2
    ]
    assert [line["message"] for line in events(other)][1] == "other.jsonl"


def test_a_place_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    with (
        pytest.raises(InputError, match=r"cannot write the log .*; give another --log-file"),
        logged(tmp_path / "none" / "log.jsonl"),
    ):
        pytest.fail("the command began")
