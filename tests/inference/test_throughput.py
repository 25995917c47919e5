"""Counts of inference: they add up over processes, threads and blocks."""

import pickle
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osm4eo_xr.inference.throughput import Counter, Throughput

COUNTS = st.builds(
    Throughput,
    processes=st.integers(0, 4),
    blocks=st.integers(0, 100),
    pixels=st.integers(0, 10**12),
    bytes_read=st.integers(0, 10**12),
    compilations=st.integers(0, 9),
    compile_s=st.integers(0, 60).map(float),
    device_s=st.integers(0, 60).map(float),
    started=st.integers(1, 10**6).map(float),
    ended=st.integers(1, 10**6).map(float),
)


@given(COUNTS, COUNTS, COUNTS)
def test_sums_do_not_depend_on_order_or_grouping(
    a: Throughput, b: Throughput, c: Throughput
) -> None:
    assert a + b == b + a
    assert (a + b) + c == a + (b + c)
    assert a + Throughput() == a
    assert sum([a, b, c], Throughput()).pixels == a.pixels + b.pixels + c.pixels


def test_two_processes_side_by_side_have_the_time_of_the_wall() -> None:
    one = Throughput(processes=1, pixels=600, device_s=3.0, started=100.0, ended=110.0)
    two = Throughput(processes=1, pixels=400, device_s=5.0, started=105.0, ended=120.0)
    both = one + two
    assert both.wall_s == 20.0
    assert both.pixels_per_s == 1000 / 20
    assert both.device_share == (3 + 5) / (2 * 20)


def test_nothing_done_is_no_rate_and_no_error() -> None:
    told = Throughput().to_dict()
    assert (told["wall_s"], told["pixels_per_s"], told["device_share"]) == (0.0, 0.0, 0.0)
    assert not {"started", "ended"} & told.keys()


def test_what_it_tells_is_its_counts_and_rates() -> None:
    told = Throughput(processes=1, blocks=2, pixels=50, started=10.0, ended=15.0).to_dict()
    assert (told["blocks"], told["pixels"], told["pixels_per_s"]) == (2, 50, 10.0)


def test_a_counter_is_one_process_however_often_it_counts() -> None:
    counter = Counter()
    counter.add(blocks=1, pixels=10, started=5.0, ended=6.0)
    counter.add(blocks=1, pixels=20, started=3.0, ended=4.0)
    total = counter.read(reset=True)
    assert (total.processes, total.blocks, total.pixels) == (1, 2, 30)
    assert (total.started, total.ended) == (3.0, 6.0)
    assert counter.read() == Throughput()
    counter.add(blocks=1, started=7.0, ended=8.0)
    assert counter.read().processes == 1


def test_a_device_is_busy_once_however_many_blocks_it_has() -> None:
    counter = Counter()
    counter.computed(pixels=10, bytes_read=40, started=100.0, ended=110.0)
    counter.computed(pixels=10, bytes_read=40, started=102.0, ended=119.0)  # waited for 8 of them
    counter.computed(pixels=10, bytes_read=40, started=120.0, ended=125.0)
    total = counter.read()
    assert (total.blocks, total.pixels, total.bytes_read) == (3, 30, 120)
    assert total.device_s == 10 + 9 + 5
    assert total.device_share == 24 / 25


def test_a_compilation_is_counted_with_its_seconds() -> None:
    counter = Counter()
    counter.compiled(2.5)
    total = counter.read()
    assert (total.compilations, total.compile_s, total.blocks) == (1, 2.5, 0)
    assert total.wall_s == pytest.approx(2.5)


def test_threads_lose_no_count() -> None:
    counter = Counter()

    def count() -> None:
        for _ in range(500):
            counter.add(blocks=1, pixels=3, started=1.0, ended=2.0)

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    total = counter.read()
    assert (total.processes, total.blocks, total.pixels) == (1, 2000, 6000)


def test_counts_travel_between_processes() -> None:
    counts = Throughput(processes=1, blocks=3, started=1.0, ended=2.0)
    assert pickle.loads(pickle.dumps(counts)) == counts  # noqa: S301 - our own bytes
