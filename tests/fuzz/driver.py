"""Runs commands on damaged inputs in a process of their own, and says what broke a promise.

The promises: exit code 0, 1, 2 or 70, at most three lines on standard error, no file but the named
outputs, inputs unchanged, an end within a minute, below 4 GB of memory.
"""

from __future__ import annotations

import json
import os
import random
import re
import select
import shlex
import shutil
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.fuzz.mutations import copy, mutate, mutate_arguments

CODES = (0, 1, 2, 70)
LINES = 3
SECONDS = 60
BYTES = 4 * 10**9

_PROGRESS = re.compile(r": \d+ of \d+ after \d+ s(, about \d+ s left)?$|^epoch \d+ of \d+: ")
_BESIDE = (".qml", ".stac.json", ".tif.aux.xml")
_QUICK = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
"""How XLA compiles: networks this small run for no time and would be optimized for a minute."""
_DEADLOCK = 240  # seconds by the clock, for machines that have much else to do
_WORN = 2_500_000_000  # bytes at which a worker is replaced
_IN_A_BOX = 500  # inputs until a worker is replaced


@dataclass(frozen=True)
class Target:
    """A command, and the inputs that are damaged.

    ``line`` is what follows ``osm4eo-xr``: ``in/NAME`` is an input, ``out/NAME`` an output. Inputs
    that the command finds by itself stand in ``more``. ``damage`` names what may be damaged, all
    inputs if left out. ``compiles`` says that most of its time goes into compiling networks.
    """

    line: str
    more: tuple[str, ...] = ()
    damage: tuple[str, ...] = ()
    weight: float = 1.0
    arguments: bool = True
    compiles: bool = False

    @property
    def words(self) -> list[str]:
        """The arguments."""
        return shlex.split(self.line)

    @property
    def inputs(self) -> list[str]:
        """Names of all inputs."""
        return [w.removeprefix("in/") for w in self.words if w.startswith("in/")] + [*self.more]

    @property
    def outputs(self) -> list[str]:
        """Names of the outputs."""
        return [w.removeprefix("out/") for w in self.words if w.startswith("out/")]


@dataclass
class Outcome:
    """What became of the inputs of a target."""

    codes: Counter[str] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)
    unforeseen: list[str] = field(default_factory=list)
    """Errors that nobody foresaw: one line and exit code 70, as promised, and yet to be mended."""
    peak: int = 0
    slowest: float = 0.0
    """Seconds by the clock."""


class Worker:
    """The process in which commands run; a new one after a crash, a hang or long use."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.process: subprocess.Popen[str] | None = None
        self.done = 0

    def ask(self, place: Path, arguments: list[str]) -> dict[str, Any]:
        """Run a command in ``place`` and return its code, what it said and its peak memory."""
        process = self._process()
        assert process.stdin is not None
        assert process.stdout is not None
        task = {"folder": str(place), "arguments": arguments}
        process.stdin.write(json.dumps(task) + "\n")
        process.stdin.flush()
        started, used = time.monotonic(), _cpu_seconds(process.pid)
        while not select.select([process.stdout], [], [], 0.2)[0]:
            if _cpu_seconds(process.pid) - used > SECONDS:
                return self._broke(f"no end after {SECONDS} s of computing")
            if time.monotonic() - started > _DEADLOCK:
                return self._broke(f"no end after {_DEADLOCK} s")
            if process.poll() is None and _resident(process.pid) > BYTES:
                return self._broke(f"more than {BYTES / 1e9:.0f} GB of memory")
        answer = process.stdout.readline()
        if not answer:
            return self._broke(f"the process died with {process.wait()}")
        told = json.loads(answer)
        self.done += 1
        if self.done >= _IN_A_BOX or told["peak"] > _WORN:
            self.close()
        return told

    def close(self) -> None:
        """End the process."""
        if self.process is not None:
            self.process.kill()
            self.process.communicate()
        self.process, self.done = None, 0

    def _broke(self, how: str) -> dict[str, Any]:
        self.close()
        return {"code": how, "stderr": "", "peak": 0}

    def _process(self) -> subprocess.Popen[str]:
        if self.process is None:
            (self.folder / "tmp").mkdir(exist_ok=True)
            programs = str(self.folder / "programs")
            environment = {
                **os.environ,
                "TMPDIR": str(self.folder / "tmp"),
                "JAX_COMPILATION_CACHE_DIR": programs,
                "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
                "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
                "COLUMNS": "200",
                "XLA_FLAGS": _QUICK,
            }
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.fuzz.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                env=environment,
                cwd=Path(__file__).parents[2],
            )
            assert self.process.stdout is not None
            self.process.stdout.readline()  # all is imported
        return self.process


def explore(
    target: Target, files: Path, worker: Worker, *, first: int, count: int = 1, seconds: float = 0
) -> Outcome:
    """Try ``count`` damaged inputs, numbered from ``first``, and more until time is over."""
    outcome, end, seed = Outcome(), time.monotonic() + seconds, first
    while seed < first + count or time.monotonic() < end:
        attempt(target, files, worker, seed, outcome)
        seed += 1
    return outcome


def attempt(target: Target, files: Path, worker: Worker, seed: int, outcome: Outcome) -> str:
    """Try one damaged input, note what it broke, and return what was done and said."""
    rng = random.Random(f"{target.line} {seed}")  # noqa: S311 - not for secrets
    place = worker.folder / "place"
    shutil.rmtree(place, ignore_errors=True)
    for name in target.inputs:
        copy(files / name, place / "in" / name)
    (place / "out").mkdir(parents=True)
    words, done = target.words, "as it is"
    if seed and target.arguments and (not target.inputs or rng.random() < 0.1):
        words = mutate_arguments(words, rng)
        done = f"arguments {words}"
    elif (
        seed and target.inputs
    ):  # the first is whole, so that a target that only refuses is noticed
        done = mutate(place / "in" / rng.choice(target.damage or tuple(target.inputs)), rng)
    before = _contents(place / "in")
    started = time.monotonic()
    told = worker.ask(place, words)
    outcome.slowest = max(outcome.slowest, time.monotonic() - started)
    outcome.peak = max(outcome.peak, told["peak"])
    code = told["code"]
    outcome.codes[str(code) if isinstance(code, int) else "broke"] += 1
    broken = [*_broken(target, told), *_misplaced(target, place, worker, code, before)]
    what = f"[{target.line}] input {seed} ({done}): {code}: {told['stderr'].strip()}"
    outcome.findings += [f"{b}: {what}" for b in broken]
    if code == 70 and not broken:
        outcome.unforeseen.append(f"unforeseen: {what}\n{_traceback(worker)}")
    for left in (worker.folder / "tmp").glob("*"):
        _remove(left)
    return what


def _broken(target: Target, told: dict[str, Any]) -> list[str]:
    code, text = told["code"], told["stderr"]
    said = [line for line in text.splitlines() if line.strip() and not _PROGRESS.search(line)]
    wrong = []
    if code not in CODES:
        wrong.append("wrong end")
    if len(said) > LINES and code != 2:
        wrong.append(f"{len(said)} lines on standard error")
    if "Traceback" in text:
        wrong.append("traceback")
    if code in (1, 70) and "error:" not in text and "doctor" not in target.line:
        wrong.append("no line of an error")
    if told["peak"] > BYTES:
        wrong.append("too much memory")
    return wrong


def _misplaced(
    target: Target, place: Path, worker: Worker, code: Any, before: dict[str, Any]
) -> list[str]:
    """Say which inputs changed and which files appeared that nobody named."""
    wrong = []
    if (after := _contents(place / "in")) != before:
        changed = sorted(k for k in {*before, *after} if before.get(k) != after.get(k))
        if not all(target.line.startswith("run ") and "country/result" in k for k in changed):
            wrong.append(f"inputs changed: {changed[:4]}")
    made = {p.name for p in (place / "out").iterdir()}
    if code == 0 and (lacking := [n for n in target.outputs if n not in made]):
        wrong.append(f"no output {lacking} and no error")
    stems = [Path(n).stem for n in target.outputs]
    named = {
        *target.outputs,
        *(s + e for s in stems for e in _BESIDE),
        *(f"{n}.run" for n in stems),
    }
    if code != 0 and target.line.split()[0] != "train":
        named = set()
    if made - named:
        wrong.append(f"left in the output's folder: {sorted(made - named)}")
    stray = [p.name for p in place.iterdir() if p.name not in ("in", "out")]
    left = [p.name for p in (worker.folder / "tmp").glob("*")]
    stray += [n for n in left if not (code == 70 and n.endswith(".traceback.txt"))]
    if stray:
        wrong.append(f"left elsewhere: {stray}")
    return wrong


def _contents(folder: Path) -> dict[str, Any]:
    """Return what each thing of a folder holds."""
    held: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_symlink() or not path.is_file():
            held[name] = "link" if path.is_symlink() else "folder"
        else:
            held[name] = path.read_bytes()
    return held


def _traceback(worker: Worker) -> str:
    saved = list((worker.folder / "tmp").glob("*.traceback.txt"))
    return saved[0].read_text(encoding="utf-8") if saved else ""


def _resident(pid: int) -> int:
    try:
        pages = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]
    except (OSError, IndexError):
        return 0
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def _cpu_seconds(pid: int) -> float:
    """Return the seconds that a process computed."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
