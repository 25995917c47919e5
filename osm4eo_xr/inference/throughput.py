"""What inference did in this process: pixels, bytes, compilations, seconds on the device."""

from __future__ import annotations

import dataclasses
import threading
import time
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Throughput:
    """Counts of inference, summable over processes.

    Attributes
    ----------
    processes : int
        Processes that classified at least one block.
    blocks, pixels : int
        Blocks computed, and the valid part of a scene's pixels in them.
    bytes_read : int
        Bytes of scene that entered the blocks, halo included.
    compilations : int
        Programs compiled.
    compile_s, device_s : float
        Seconds of compiling, and of computing on the device, summed over processes.
    started, ended : float
        Unix time of the first block's start and the last block's end.
    """

    processes: int = 0
    blocks: int = 0
    pixels: int = 0
    bytes_read: int = 0
    compilations: int = 0
    compile_s: float = 0.0
    device_s: float = 0.0
    started: float = float("inf")
    ended: float = 0.0

    def __add__(self, other: Throughput) -> Throughput:
        """Sum counts; the span of time covers both."""
        sums = {
            f.name: getattr(self, f.name) + getattr(other, f.name)
            for f in dataclasses.fields(self)
            if f.name not in ("started", "ended")
        }
        return Throughput(
            **sums, started=min(self.started, other.started), ended=max(self.ended, other.ended)
        )

    @property
    def wall_s(self) -> float:
        """Seconds from the first block's start to the last block's end."""
        return max(self.ended - self.started, 0.0)

    @property
    def pixels_per_s(self) -> float:
        """Pixels per second of wall time."""
        return self.pixels / self.wall_s if self.wall_s else 0.0

    @property
    def device_share(self) -> float:
        """Share of the processes' wall time in which their device computed, 0 to 1."""
        total = self.wall_s * self.processes
        return self.device_s / total if total else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return counts and rates as plain JSON types."""
        rates = ("wall_s", "pixels_per_s", "device_share")
        counts = dataclasses.asdict(self)
        return {
            **{k: v for k, v in counts.items() if k not in ("started", "ended")},
            **{name: getattr(self, name) for name in rates},
        }


class Counter:
    """Counts of one process; safe to use from threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._total = Throughput()
        self._free = 0.0  # since when the device has no block that was counted

    def add(self, **counts: Any) -> None:
        """Add to the counts; ``started`` and ``ended`` widen the span of time."""
        with self._lock:
            first = {} if self._total.processes else {"processes": 1}
            self._total += Throughput(**first, **counts)

    def computed(self, *, pixels: int, bytes_read: int, started: float, ended: float) -> None:
        """Note a block; while it waits behind another, the device's seconds are that one's."""
        with self._lock:
            begun = min(max(started, self._free), ended)
            self._free = max(self._free, ended)
        counts: Any = {"pixels": pixels, "bytes_read": bytes_read, "device_s": ended - begun}
        self.add(blocks=1, **counts, started=started, ended=ended)

    def compiled(self, seconds: float) -> None:
        """Note a compilation."""
        now = time.time()
        self.add(compilations=1, compile_s=seconds, started=now - seconds, ended=now)

    def read(self, *, reset: bool = False) -> Throughput:
        """Return the counts, and start anew if ``reset``."""
        with self._lock:
            total = self._total
            if reset:
                self._total = Throughput()
        return total


COUNTER = Counter()
"""The counter of this process."""


def read_throughput(client: Any = None, *, reset: bool = False) -> Throughput:
    """Return what inference did so far: pixels, bytes, compilations, time on the device.

    Parameters
    ----------
    client : distributed.Client, optional
        Sums over its workers; without it, this process's counts.
    reset : bool
        Start the counts anew.

    Examples
    --------
    >>> import osm4eo_xr as oxr
    >>> seen = oxr.read_throughput(reset=True)
    >>> oxr.read_throughput().pixels
    0
    """
    if client is None:
        return COUNTER.read(reset=reset)
    counts = client.run(_read_counter, reset)
    return sum(counts.values(), Throughput())


def _read_counter(reset: bool) -> Throughput:  # noqa: FBT001 - sent to workers by position
    return COUNTER.read(reset=reset)
