"""Samples held on the device: the batches, and so the weights, of samples that are read ahead."""

from types import SimpleNamespace
from typing import Any

import jax
import numpy as np
import pytest
import xarray as xr

from osm4eo_xr.training import device_samples, loop
from osm4eo_xr.training.batches import Windows, train_batches
from osm4eo_xr.training.device_samples import DeviceSamples, fits_device
from osm4eo_xr.training.fit import train
from osm4eo_xr.training.scoring import windows_of
from tests.cases.train_case import BANDS, TINY, holed_samples


@pytest.fixture(scope="module")
def samples() -> xr.Dataset:
    return holed_samples()


@pytest.mark.parametrize("skip", [0, 3])
def test_batches_are_those_that_are_read_ahead(samples: xr.Dataset, skip: int) -> None:
    windows = windows_of(samples, "train", bands=BANDS)
    which: Any = {"seed": 1, "epoch": 2, "skip": skip}
    expected = list(train_batches(windows, 7, **which))
    found = list(DeviceSamples(windows).batches(7, **which))
    assert len(found) == len(expected) == len(windows) // 7 - skip
    for ours, theirs in zip(found, expected, strict=True):
        for one, other in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(one, other)


def test_the_weights_are_the_same(samples: xr.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = train(samples, TINY)
    monkeypatch.setattr(loop, "fits_device", lambda _: True)
    monkeypatch.setattr(loop, "train_batches", None)
    found = train(samples, TINY)
    assert found.digest == expected.digest


@pytest.mark.parametrize(
    ("platform", "devices", "bytes_limit", "memory", "fits"),
    [
        ("gpu", 1, 4.1, 2**30, True),
        ("gpu", 1, 3.9, 2**30, False),
        ("gpu", 2, 8.0, 2**30, False),
        ("cpu", 1, 8.0, 2**30, False),
        ("gpu", 1, 8.0, 1000, False),  # not even the host holds them
    ],
)
def test_samples_are_held_where_they_leave_room(
    platform: str,
    devices: int,
    bytes_limit: float,
    memory: int,
    fits: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    image = np.zeros((100, 8, 8, 2), np.float32)
    label = np.zeros((100, 8, 8), np.uint8)
    dims = ("sample", "y", "x")
    held = xr.Dataset({"image": ((*dims, "band"), image), "label": (dims, label)})
    windows = Windows(held, np.arange(100), memory=memory)
    limit = bytes_limit * (image.nbytes + label.nbytes)
    device = SimpleNamespace(platform=platform, memory_stats=lambda: {"bytes_limit": limit})
    monkeypatch.setattr(jax, "local_devices", lambda: [device])
    monkeypatch.setattr(device_samples, "device_count", lambda: devices)
    assert fits_device(windows) is fits
