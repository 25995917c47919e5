"""What each thread of a GPU worker does while a scene is classified from COG to COG.

    python -m tests.benchmarks.worker_threads [--edge 5120] [--threads 2] [--picture FILE.png]
    python -m tests.benchmarks.worker_threads --real MODEL    # on a machine with a GPU

A worker with the threads of a GPU worker makes the map twice: with one thread for its device, which
brought a block there, waited for it and brought it back, as before; and as now. Where there is no
GPU, an engine that only waits stands for it, as long for a block of 1024 x 1024 pixels as told in
milliseconds. Threads are looked at every other millisecond, so a step of a thread that holds
Python's lock counts a little less. Printed are, of each kind of thread, what share of the time it
was in which step, and its processor seconds; and how long the device computed. The picture shows a
second of both.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dask.config
import numpy as np
import psutil
from distributed import Client, LocalCluster, Worker

import osm4eo_xr as oxr
from osm4eo_xr.cluster.device_tasks import DEVICE_EXECUTOR, device_settings
from osm4eo_xr.cluster.worker import WORKER_SETUP
from osm4eo_xr.inference import worker
from osm4eo_xr.inference.throughput import COUNTER
from osm4eo_xr.models.model_folder import load_model
from tests.benchmarks.host import Idle, any_model
from tests.benchmarks.tile import make_scene

if TYPE_CHECKING:
    from types import FrameType


STEPS = ("reads", "margins", "to device", "in line", "computes", "back", "writes", "other")
"""What a thread can be seen doing; the rest of the time it waits for a task."""

_PLACES = (
    ("imagery/reader.py", None, "reads"),
    ("osm4eo_xr/cogs/", None, "writes"),
    ("rasters/", None, "reads"),
    ("inference/blocks.py", None, "margins"),
    ("inference/surroundings.py", None, "margins"),
    ("inference/worker.py", "stage", "to device"),
    ("inference/worker.py", "fetch", "back"),
    ("inference/worker.py", "compute", "computes"),
    ("inference/worker.py", "classify_block", "in line"),
    ("benchmarks/worker_threads.py", "stage", "to device"),
    ("benchmarks/worker_threads.py", "fetch", "back"),
    ("benchmarks/worker_threads.py", "compute", "computes"),
)
"""Path and function of a frame, and the step it means; the innermost that fits counts."""

_WAITING = {"select", "_worker", "wait", "get", "poll"}
"""Innermost functions of threads that have nothing to do."""

_LOOK = 0.002  # seconds


class Waiting(Idle):
    """An engine that takes its time without the host's processors, as a device does."""

    milliseconds: tuple[float, float, float] = (4.0, 5.0, 1.0)
    _device = threading.Lock()  # it computes one block at a time

    def _wait(self, step: int) -> None:
        pixels = float(np.prod(self._maps.shape[1:]))
        time.sleep(self.milliseconds[step] / 1e3 * pixels / 1024**2)

    def stage(self, block: Any, _center: Any, _scale: Any) -> Any:
        self._wait(0)
        return block

    def compute(self, staged: Any) -> Any:
        with self._device:
            self._wait(1)
        return staged

    def fetch(self, computed: Any) -> Any:
        self._wait(2)
        return super().fetch(computed)


class OneByOne(Waiting):
    """The same, where no block waits on the device behind another."""

    at_once = 1


@dataclass
class Profile:
    """Where threads were at each look."""

    seen: dict[str, list[tuple[float, str]]] = field(default_factory=dict)
    seconds: float = 0.0
    device_seconds: float = 0.0
    processor: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    def look_until(self, over: threading.Event) -> None:
        """Note what threads do, until told to end."""
        own = threading.get_ident()
        while not over.wait(_LOOK):
            now = time.perf_counter()
            names = {thread.ident: thread.name for thread in threading.enumerate()}
            for ident, frame in sys._current_frames().items():
                if ident != own and (name := names.get(ident)):
                    self.seen.setdefault(name, []).append((now, step_of(frame)))


def step_of(frame: FrameType | None) -> str:
    """Return the step of a thread by its innermost frame that tells, "" if it waits for a task."""
    if frame is not None and frame.f_code.co_name in _WAITING:
        outer = frame.f_back
        if outer is None or "osm4eo_xr" not in outer.f_code.co_filename:
            return ""
    while frame is not None:
        path, name = frame.f_code.co_filename, frame.f_code.co_name
        for part, function, step in _PLACES:
            if part in path and function in (None, name):
                return step
        frame = frame.f_back
    return "other"


def kind_of(thread: str) -> str:
    """Return the kind of a thread by its name."""
    if thread.startswith("device"):
        return "device"
    if "Dask-Default" in thread:
        return "tasks"
    return "event loop" if "loop" in thread.lower() else "others"


def classified(
    scene: Path, out: Path, model: Any, engine: Any, tasks: int, threads: int
) -> Profile:
    """Return the profile of one map.

    ``engine`` None takes the package's own; ``tasks`` are the device's threads, 0 for those that
    the package gives a GPU worker.
    """
    found, over = Profile(), threading.Event()
    build = worker._build
    if engine is not None:
        worker._build = lambda _model, spec: engine(spec)
    worker._engines.clear()
    cluster: Any = LocalCluster(
        n_workers=1,
        threads_per_worker=threads,
        processes=False,
        resources={"GPU": 1},
        dashboard_address=":0",
        preload=[] if tasks else [WORKER_SETUP],
    )
    try:
        with dask.config.set(device_settings(has_gpu=True)), cluster, Client(cluster) as client:
            if tasks:
                client.run(_give_device_threads, tasks)
            opened = oxr.open_scene(scene)
            oxr.write_cog(oxr.classify(opened[:, :1024, :1024], model), out)  # compiles
            before, started = _processor_seconds(), COUNTER.read()
            looking = threading.Thread(target=found.look_until, args=(over,), name="looks")
            looking.start()
            begun = time.perf_counter()
            oxr.write_cog(oxr.classify(opened, model), out)
            found.seconds = time.perf_counter() - begun
            over.set()
            looking.join()
            found.device_seconds = COUNTER.read().device_s - started.device_s
            for name, used in _processor_seconds().items():
                found.processor[kind_of(name)] += used - before.get(name, 0.0)
    finally:
        over.set()
        worker._build = build
    return found


def _give_device_threads(count: int, dask_worker: Worker) -> None:
    dask_worker.executors[DEVICE_EXECUTOR] = ThreadPoolExecutor(count, "device")


def _processor_seconds() -> dict[str, float]:
    """Return the processor seconds of each thread by name and number."""
    names = {thread.native_id: thread.name for thread in threading.enumerate()}
    return {
        f"{names.get(each.id, 'native')} {each.id}": each.user_time + each.system_time
        for each in psutil.Process().threads()
    }


def print_profile(title: str, found: Profile, megapixels: float) -> None:
    """Print a row per kind of thread."""
    busy = found.device_seconds / found.seconds
    print(
        f"\n{title}: {found.seconds:.2f} s, {megapixels / found.seconds:.1f} Mpx/s, the device "
        f"computes {busy:.0%} of the time"
    )
    print(f"{'share of the time, %':22}" + "".join(f"{s:>11}" for s in (*STEPS, "waits", "CPU s")))
    looks: dict[str, Counter[str]] = {}
    for thread, seen in found.seen.items():
        looks.setdefault(f"{kind_of(thread)}", Counter()).update(step for _, step in seen)
    for kind in ("tasks", "device", "event loop", "others"):
        own = looks.get(kind, Counter())
        total = max(1, own.total())
        count = sum(kind_of(thread) == kind for thread in found.seen)
        shares = [100 * own[step] / total for step in (*STEPS, "")]
        cells = "".join(f"{share:11.1f}" for share in shares)
        print(f"{count:2} {kind:19}{cells}{found.processor[kind]:11.2f}")


def draw(profiles: dict[str, Profile], path: Path) -> None:
    """Draw a second in the middle of each run, a row per thread, a color per step."""
    import matplotlib.pyplot as plt
    from matplotlib.patches import Patch

    colors = {step: f"C{k}" for k, step in enumerate(STEPS)}
    figure, axes = plt.subplots(len(profiles), 1, figsize=(11, 2.6 * len(profiles)), squeeze=False)
    for ax, (title, found) in zip(axes[:, 0], profiles.items(), strict=True):
        rows = [t for t in sorted(found.seen) if kind_of(t) in ("tasks", "device")]
        middle = np.median([now for seen in found.seen.values() for now, _ in seen])
        for row, thread in enumerate(rows):
            for step, color in colors.items():
                at = [now - middle for now, is_in in found.seen[thread] if is_in == step]
                spans = [(x, 1.5 * _LOOK) for x in at if abs(x) < 0.5]
                ax.broken_barh(spans, (row - 0.4, 0.8), color=color, label=step if row == 0 else "")
        ax.set_yticks(range(len(rows)), [kind_of(thread) for thread in rows])
        ax.set(xlim=(-0.5, 0.5), ylim=(-0.5, len(rows) - 0.5), title=title, xlabel="seconds")
    handles = [Patch(color=color) for color in colors.values()]
    figure.legend(handles, colors, loc="outside upper center", ncols=len(colors))
    figure.tight_layout(rect=(0, 0, 1, 0.93))
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    for name, default in (("edge", 5120), ("threads", 2)):
        parser.add_argument(f"--{name}", type=int, default=default)
    for name, default in zip(("stage", "compute", "fetch"), Waiting.milliseconds, strict=True):
        parser.add_argument(f"--{name}", type=float, default=default, help="ms per 1024 x 1024")
    parser.add_argument("--real", type=Path, help="a model; computed on this machine's device")
    parser.add_argument("--picture", type=Path)
    options = parser.parse_args()
    Waiting.milliseconds = (options.stage, options.compute, options.fetch)
    model = load_model(options.real) if options.real else any_model()
    ways: dict[str, tuple[Any, int]] = {
        "before": (None if options.real else OneByOne, 1),
        "now": (None if options.real else Waiting, 0),
    }
    profiles: dict[str, Profile] = {}
    with tempfile.TemporaryDirectory() as folder:
        scene, out = Path(folder) / "scene.tif", Path(folder) / "map.tif"
        make_scene(scene, options.edge)
        for title, (engine, tasks) in ways.items():
            found = classified(scene, out, model, engine, tasks, options.threads)
            print_profile(title, found, options.edge**2 / 1e6)
            profiles[title] = found
    if options.picture:
        draw(profiles, options.picture)


if __name__ == "__main__":
    main()
