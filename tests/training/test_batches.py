"""The way of samples to the device: orders, whole batches, reading ahead."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NoReturn

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from dask.delayed import delayed
from hypothesis import given, settings
from hypothesis import strategies as st

from osm4eo_xr.samples.store import STORE_CHUNK
from osm4eo_xr.training import batches
from osm4eo_xr.training.batches import (
    Prefetch,
    Windows,
    epoch_order,
    ordered_batches,
    train_batches,
)

SIZE = 300


@pytest.fixture(scope="module")
def numbered() -> xr.Dataset:
    """Samples whose pixels hold their own number."""
    number = np.arange(2 * SIZE)
    image = np.broadcast_to(number[:, None, None, None], (2 * SIZE, 4, 4, 2)).astype(np.float32)
    label = np.broadcast_to(number[:, None, None] % 200, (2 * SIZE, 4, 4)).astype(np.uint8).copy()
    label[:, 2, 2] = 7
    dims = ("sample", "y", "x")
    return xr.Dataset({"image": ((*dims, "band"), image), "label": (dims, label)})


def windows(samples: xr.Dataset, *, memory: int = 2**30, window: int | None = None) -> Windows:
    return Windows(samples, np.arange(0, 2 * SIZE, 2), window, memory=memory)


def test_labels_are_counted_without_images(
    numbered: xr.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "_COUNTED", 64)
    unread = da.from_delayed(delayed(_refuse)(), numbered["image"].shape, np.float32)
    lazy = numbered.assign(image=(numbered["image"].dims, unread))
    label = numbered["label"].to_numpy()[::2]
    found = windows(lazy).labels().counts
    assert np.array_equal(found, np.bincount(label.ravel(), minlength=256))
    assert windows(lazy, window=2).labels().counts[7] == SIZE == len(label)


@pytest.mark.parametrize("window", [None, 2])
def test_other_labels_or_weights_have_another_hash(
    numbered: xr.Dataset, window: int | None
) -> None:
    def digest(**changed: Any) -> str:
        weighted = replace(windows(samples.assign(changed), window=window), weighted=True)
        return weighted.labels().digest

    samples = numbered.assign(weight=xr.full_like(numbered["label"], 255))
    swapped = numbered["label"].copy(deep=True)
    swapped[[0, 2]] = swapped.values[[2, 0]]
    swapped[0, 2, 2] = 8
    found = {
        digest(),
        digest(label=swapped),
        digest(weight=xr.full_like(numbered["label"], 254)),
    }
    assert len(found) == 3
    assert digest() in found


def _refuse() -> NoReturn:
    pytest.fail("an image was read")


@given(st.integers(1, 1000), st.integers(1, 500), st.integers(0, 99))
def test_an_epoch_shows_every_sample_once(size: int, group: int, epoch: int) -> None:
    order = np.concatenate(epoch_order(size, seed=1, epoch=epoch, group=group))
    assert np.array_equal(np.sort(order), np.arange(size))


def test_epochs_differ_and_repeat() -> None:
    first, again, second = (
        np.concatenate(epoch_order(500, seed=1, epoch=epoch, group=500)) for epoch in (0, 0, 1)
    )
    assert np.array_equal(first, again)
    assert (first == second).mean() < 0.05


def test_a_group_reads_whole_chunks_of_the_store() -> None:
    for group in epoch_order(1000, seed=0, epoch=0, group=130):
        chunks, counts = np.unique(group // STORE_CHUNK, return_counts=True)
        whole = np.minimum(STORE_CHUNK, 1000 - chunks * STORE_CHUNK)
        assert np.array_equal(counts, whole)


@settings(max_examples=20)
@given(batch=st.integers(1, 90), memory=st.sampled_from([1, 20_000, 2**30]))
def test_batches_are_whole_and_hold_what_they_name(
    numbered: xr.Dataset, batch: int, memory: int
) -> None:
    seen: list[int] = []
    for image, label, positions in train_batches(
        windows(numbered, memory=memory), batch, seed=3, epoch=2
    ):
        assert image.shape == (batch, 4, 4, 2)
        assert np.array_equal(image[:, 0, 0, 0].astype(int), positions)
        assert np.array_equal(label[:, 0, 0], positions % 200)
        seen += positions.tolist()
    assert len(seen) == len(set(seen)) == SIZE - SIZE % batch
    assert all(position % 2 == 0 for position in seen)


@settings(max_examples=20)
@given(skip=st.integers(0, 12), memory=st.sampled_from([1, 20_000, 2**30]))
def test_a_resumed_epoch_meets_the_batches_it_has_not_seen(
    numbered: xr.Dataset, skip: int, memory: int
) -> None:
    def order(skip: int) -> list[list[int]]:
        found = train_batches(windows(numbered, memory=memory), 25, seed=1, epoch=0, skip=skip)
        return [positions.tolist() for _, _, positions in found]

    assert order(skip) == order(0)[skip:]


def test_windows_are_cut_around_the_drawn_pixel(numbered: xr.Dataset) -> None:
    numbered = numbered.copy(deep=True)
    numbered["image"][:, 2, 2] = -1.0
    image, label = windows(numbered, window=2).read(np.array([4, 1]))
    assert image.shape == (2, 2, 2, 2)
    assert (label == 7).all()
    assert (image[:, 1, 1] == -1.0).all()
    assert image[:, 0, 0, 0].tolist() == [8.0, 2.0]


def test_the_last_batch_in_order_is_filled_with_unlabeled_samples(numbered: xr.Dataset) -> None:
    batches = list(ordered_batches(windows(numbered), 128))
    assert [len(image) for image, _, _ in batches] == [128, 128, 128]
    image, label, positions = batches[-1]
    rest = SIZE - 256
    assert len(positions) == rest
    assert (image[rest:] == 0).all()
    assert (label[rest:] == 0).all()
    assert np.concatenate([p for _, _, p in batches]).tolist() == list(range(0, 2 * SIZE, 2))


class Clock:
    """A clock that stands still until somebody moves it, and lets others wait for a waiting."""

    def __init__(self) -> None:
        self.now, self.looks = 0.0, 0
        self.waits = threading.Semaphore(0)

    def perf_counter(self) -> float:
        self.looks += 1
        if self.looks % 2:  # the first look of each pair begins a wait for a batch
            self.waits.release()
        return self.now


def test_prefetch_counts_the_time_without_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(batches, "time", clock)

    def slow() -> Iterator[int]:
        for k in range(3):
            assert clock.waits.acquire(timeout=30)
            clock.now += 5.0
            yield k

    with Prefetch(slow(), lambda item: item + 10) as ahead:
        assert list(ahead) == [10, 11, 12]
    assert ahead.waited == 15.0


def test_batches_are_read_while_a_step_computes_and_not_too_far_ahead() -> None:
    changed, made, most = threading.Condition(), 0, 12

    def source() -> Iterator[int]:
        nonlocal made
        for k in range(most):
            with changed:
                made = k + 1
                changed.notify_all()
            yield k

    furthest = 0
    with Prefetch(source(), lambda item: item) as ahead:
        for k, _ in enumerate(ahead):
            with changed:  # the step waits for the two batches after its own
                assert changed.wait_for(lambda k=k: made >= min(k + 3, most), timeout=30)
                furthest = max(furthest, made - (k + 1))
    assert 2 <= furthest <= 4  # two wait on the device, one is handed over, one is being read


def test_an_error_of_reading_reaches_the_loop() -> None:
    def broken() -> Iterator[Any]:
        yield 1
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"), Prefetch(broken(), int) as ahead:
        list(ahead)


def test_leaving_early_ends_the_thread() -> None:
    with Prefetch(iter(range(1000)), int) as ahead:
        next(iter(ahead))
    assert not ahead._thread.is_alive()
