"""Samples on their way to the device: the order of an epoch, and reading ahead of the steps.

The order is worked out from (seed, epoch) alone, so a resumed run meets the batches of one that was
never stopped. Samples that fit in memory are read once; others by groups of whole store chunks.
"""

from __future__ import annotations

import hashlib
import queue
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

import numpy as np
import xarray as xr

from osm4eo_xr.errors import InputError
from osm4eo_xr.samples.label_weights import WEIGHT, pack
from osm4eo_xr.samples.store import STORE_CHUNK
from osm4eo_xr.training.step.data_parallel import device_count

IN_MEMORY = 2 * 1024**3
"""Bytes of windows up to which all are held."""

_AHEAD = 2  # batches that wait on the device
_COUNTED = 64 * STORE_CHUNK  # windows whose labels are counted at once


def epoch_order(size: int, *, seed: int, epoch: int, group: int) -> list[np.ndarray]:
    """Return positions 0 … ``size`` - 1 in groups, each shuffled within.

    Runs of ``STORE_CHUNK`` positions stay in one group, so that a chunk is read once per epoch.

    Parameters
    ----------
    size : int
        Samples.
    seed, epoch : int
        Decide the order.
    group : int
        Samples of a group, at least; what is held at once.
    """
    rng = np.random.default_rng((seed, epoch))
    runs = np.split(np.arange(size), np.arange(STORE_CHUNK, size, STORE_CHUNK))
    order = rng.permutation(len(runs))
    per_group = max(1, -(-group // STORE_CHUNK))
    groups = []
    for first in range(0, len(runs), per_group):
        members = np.concatenate([runs[i] for i in order[first : first + per_group]])
        groups.append(rng.permutation(members))
    return groups


class Labels(NamedTuple):
    """Pixels of each label, (256,) int64; and a hash of all labels and their weights."""

    counts: np.ndarray
    digest: str


@dataclass
class Windows:
    """The windows of some samples, read when they are asked for.

    Attributes
    ----------
    samples : Dataset
        As ``open_samples`` gives it.
    positions : ndarray
        Which of them.
    window : int, optional
        Cut windows of this edge around the drawn pixel and label each with its class.
    center : int, optional
        Index of the drawn pixel along both axes of such a window; by default half the edge.
    memory : int
        Bytes up to which all windows are held.
    weighted : bool
        Whether labels carry the weights of the samples, as ``label_weights`` packs them.
    """

    samples: xr.Dataset
    positions: np.ndarray
    window: int | None = None
    center: int | None = None
    memory: int = IN_MEMORY
    weighted: bool = False
    _held: tuple[np.ndarray, np.ndarray] | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self.positions)

    @property
    def before(self) -> int:
        """First row and column of a window within its sample."""
        window = self.window or 0
        return self.samples.sizes["y"] // 2 - (window // 2 if self.center is None else self.center)

    @property
    def sample_bytes(self) -> int:
        """Bytes of one window."""
        edge = self.window or self.samples.sizes["y"]
        return edge * edge * (4 * self.samples.sizes["band"] + 1)

    @property
    def group(self) -> int:
        """Samples to hold at once: all, or as many as half the memory takes (one is read ahead)."""
        if len(self) * self.sample_bytes <= self.memory:
            return len(self)
        return max(STORE_CHUNK, self.memory // 2 // self.sample_bytes)

    def read(self, index: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return images (n, y, x, band) float32 and labels (n, y, x) or (n,), uint8 or packed."""
        if self.group < len(self):
            return self._read(index)
        if self._held is None:
            self._held = self._read(np.arange(len(self)))
        image, label = self._held
        return image[index], label[index]

    def spaced(self, most: int) -> np.ndarray:
        """Return indexes of so many windows at most, evenly spaced: neighbors stand together."""
        return np.unique(np.linspace(0, len(self) - 1, most).astype(np.int64))

    def release(self) -> None:
        """Hold no windows any more; they are read again if they are asked for."""
        self._held = None

    def labels(self) -> Labels:
        """Look through the labels of all windows; images stay unread."""
        names = ["label", *([WEIGHT] if self.weighted else [])]
        label, counts, digest = self.samples[names], np.zeros(256, np.int64), hashlib.sha256()
        if self.window:
            label = label.isel(y=label.sizes["y"] // 2, x=label.sizes["x"] // 2)
        for first in range(0, len(self), _COUNTED):
            part = label.isel(sample=self.positions[first : first + _COUNTED]).compute()
            counts += np.bincount(part["label"].to_numpy().ravel(), minlength=256)
            for name in names:
                digest.update(np.ascontiguousarray(part[name].to_numpy()).tobytes())
        return Labels(counts, digest.hexdigest())

    def _read(self, index: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Read in ascending order, return in the order asked for."""
        ascending, back = np.unique(index, return_inverse=True)
        names = ["image", "label", *([WEIGHT] if self.weighted else [])]
        picked = self.samples[names].isel(sample=self.positions[ascending])
        if self.window:
            return self._centered(picked, back)
        picked = picked.compute()
        return picked["image"].values[back], self._labels(picked)[back]

    def _labels(self, picked: xr.Dataset) -> np.ndarray:
        label = picked["label"].values
        return pack(label, picked[WEIGHT].values) if self.weighted else label

    def _centered(self, picked: xr.Dataset, back: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Cut the windows out; in a sample the drawn pixel is at half the edge."""
        middle = picked.sizes["y"] // 2
        part = slice(self.before, self.before + (self.window or 0))
        label = self._labels(picked.isel(y=middle, x=middle))
        return picked["image"][:, part, part].values[back], label[back]


def train_batches(
    windows: Windows, batch: int, *, seed: int, epoch: int, skip: int = 0
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yield (image, label, position) of whole batches; what is left over at the end is left out.

    Parameters
    ----------
    windows : Windows
        The samples.
    batch : int
        Samples per batch.
    seed, epoch : int
        Decide the order.
    skip : int
        Batches that a stopped run has seen already.
    """
    groups = epoch_order(len(windows), seed=seed, epoch=epoch, group=windows.group)
    with ThreadPoolExecutor(1, thread_name_prefix="read-ahead") as pool:
        left: tuple[np.ndarray, ...] | None = None
        read = [pool.submit(windows.read, groups[0])]
        for k, order in enumerate(groups):
            if k + 1 < len(groups):
                read.append(pool.submit(windows.read, groups[k + 1]))
            parts = (*read.pop(0).result(), windows.positions[order])
            if left is not None:
                parts = tuple(np.concatenate(pair) for pair in zip(left, parts, strict=True))
            whole = len(parts[0]) // batch
            for first in range(skip, whole):
                yield tuple(part[first * batch : (first + 1) * batch] for part in parts)  # pyright: ignore[reportReturnType] - three parts
            skip = max(0, skip - whole)
            left = tuple(part[whole * batch :] for part in parts)


def ordered_batches(
    windows: Windows, batch: int
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yield (image, label, position) in order; the last batch is filled up with unlabeled ones."""
    for first in range(0, len(windows), batch):
        index = np.arange(first, min(first + batch, len(windows)))
        image, label = windows.read(index)
        missing = batch - len(index)
        if missing:
            image = np.concatenate([image, np.zeros((missing, *image.shape[1:]), np.float32)])
            label = np.concatenate([label, np.zeros((missing, *label.shape[1:]), np.uint8)])
        yield image, label, windows.positions[index]


class Prefetch:
    """Runs an iterator in a thread, a few items ahead; ``waited`` counts the seconds without one.

    Use it as a context manager: leaving it ends the thread.
    """

    def __init__(self, items: Iterator[Any], place: Callable[[Any], Any]) -> None:
        self.waited = 0.0
        self._queue: queue.Queue[tuple[str, Any]] = queue.Queue(_AHEAD)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(items, place), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def __iter__(self) -> Iterator[Any]:
        while True:
            start = time.perf_counter()
            kind, value = self._queue.get()
            self.waited += time.perf_counter() - start
            if kind == "error":
                raise value
            if kind == "end":
                return
            yield value

    def _run(self, items: Iterator[Any], place: Callable[[Any], Any]) -> None:
        try:
            for item in items:
                self._put("item", place(item))
                if self._stop.is_set():
                    return
            self._put("end", None)
        except Exception as error:  # noqa: BLE001 - raised again in the thread that reads
            self._put("error", error)

    def _put(self, kind: str, value: Any) -> None:
        while not self._stop.is_set():
            try:
                self._queue.put((kind, value), timeout=0.1)
            except queue.Full:
                continue
            return


def batch_of(task_batch: int, accumulate: int, size: int) -> int:
    """Return the samples of a step: as asked for, or what a small set and the devices allow.

    Raises
    ------
    InputError
        If the batch does not divide among the devices and parts, or the set has fewer samples.
    """
    unit = device_count() * accumulate
    if task_batch % unit:
        raise InputError(
            f"batch {task_batch} does not divide among {device_count()} devices in {accumulate} "
            "parts",
            advice=f"give a multiple of {unit}",
        )
    if size < unit:
        raise InputError(
            f"{size} training samples are fewer than {device_count()} devices with {accumulate} "
            "parts each take",
            advice="draw more, or give a smaller accumulate",
        )
    return min(task_batch, size // unit * unit)
