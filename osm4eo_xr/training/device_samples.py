"""Samples that an accelerator holds whole: a batch is picked there, and nothing is copied to it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
from jax import Array

from osm4eo_xr.training.batches import Windows, epoch_order
from osm4eo_xr.training.step.data_parallel import device_count, place_state

_SHARE = 0.25  # of the device's memory that samples may take; the rest is for the network


def fits_device(windows: Windows) -> bool:
    """Whether this process has one accelerator, whose memory takes all the windows easily."""
    device: Any = jax.local_devices()[0]
    if device.platform == "cpu" or device_count() > 1 or windows.group < len(windows):
        return False
    memory = (device.memory_stats() or {}).get("bytes_limit", 0)
    return len(windows) * windows.sample_bytes <= _SHARE * memory


class DeviceSamples:
    """The windows of a training on its device."""

    def __init__(self, windows: Windows) -> None:
        self._positions = windows.positions
        self._held = place_state(windows.read(np.arange(len(windows))))
        windows.release()

    def batches(
        self, batch: int, *, seed: int, epoch: int, skip: int = 0
    ) -> Iterator[tuple[Array, Array, np.ndarray]]:
        """Yield the batches of ``train_batches``, picked on the device."""
        size = len(self._positions)
        (order,) = epoch_order(size, seed=seed, epoch=epoch, group=size)
        for first in range(skip, size // batch):
            index = order[first * batch : (first + 1) * batch]
            yield (*_picked(*self._held, index), self._positions[index])


@jax.jit
def _picked(image: Array, label: Array, index: Array) -> tuple[Array, Array]:
    return image[index], label[index]
