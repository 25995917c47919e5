"""A process that runs commands one after the other: lines of JSON in, lines of JSON out."""

from __future__ import annotations

import json
import os
import sys
import traceback
import warnings
from importlib import import_module
from pathlib import Path
from typing import Any

_HEAVY = ("geopandas", "jax", "matplotlib.pyplot", "osm4eo_xr.cli.app", "osm4eo_xr.country.run")


def main() -> None:
    """Run each command that standard input asks for and say how it ended."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    for module in _HEAVY:
        import_module(module)
    answers.write("{}\n")  # ready
    answers.flush()
    for line in sys.stdin:
        task = json.loads(line)
        answers.write(json.dumps(_run(task["folder"], task["arguments"])) + "\n")
        answers.flush()


def _run(folder: str, arguments: list[str]) -> dict[str, Any]:
    from osm4eo_xr.cli.app import main as command

    os.chdir(folder)
    said, before = Path(folder, "stderr"), os.dup(2)
    with said.open("wb") as file:
        os.dup2(file.fileno(), 2)
    _forget_peak()
    sys.argv = ["osm4eo-xr", *arguments]
    code: Any = 0
    try:
        with warnings.catch_warnings():  # which makes each warning new again
            command()
    except SystemExit as end:
        code = end.code or 0
    except BaseException:  # noqa: BLE001 - that one escapes is the finding
        code = traceback.format_exc()
    finally:
        sys.stderr.flush()
        sys.stdout.flush()
        os.dup2(before, 2)
        os.close(before)
    text = said.read_text(encoding="utf-8", errors="replace")
    said.unlink()
    return {"code": code, "stderr": text, "peak": _peak()}


def _forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def _peak() -> int:
    """Return the bytes that this process held at most since the peak was forgotten."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return 1024 * next(int(s.split()[1]) for s in status.splitlines() if s.startswith("VmHWM"))


if __name__ == "__main__":
    main()
