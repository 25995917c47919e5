"""Inside a worker: no second compilation, blocks that overlap, a cache of programs, no forks."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import dask.array as da
import dask.config
import jax
import numpy as np
import pytest
from jax.experimental.compilation_cache import compilation_cache

from osm4eo_xr.errors import InputError
from osm4eo_xr.inference import winograd_engine, worker
from osm4eo_xr.inference.prediction import classify
from osm4eo_xr.inference.program import ProgramSpec
from osm4eo_xr.inference.throughput import read_throughput
from osm4eo_xr.inference.worker import JaxEngine, ModelSource, classify_block
from osm4eo_xr.models.model import Model
from osm4eo_xr.models.record import Normalization
from tests.inference.test_classify import BANDS, DENSE, chunked, make_model, make_scene
from tests.networks.test_resnet import random_variables

COMPILED: list[str] = []
HITS: list[str] = []
jax.monitoring.register_event_duration_secs_listener(
    lambda event, *_, **__: COMPILED.append(event) if "backend_compile" in event else None
)
jax.monitoring.register_event_listener(
    lambda event, **_: HITS.append(event) if event.endswith("cache_hits") else None
)


@pytest.mark.parametrize("engine", ["jax", "onnx", "winograd"])
def test_xla_compiles_for_the_first_block_only(engine: Literal["jax", "onnx", "winograd"]) -> None:
    if engine == "onnx":
        pytest.importorskip("onnxruntime")
    apart = {"jax": 0.3, "onnx": 0.4, "winograd": 0.5}[engine]
    scale = Normalization(center=(0.1,) * 4, scale=(apart,) * 4)
    fresh, scene = make_model(normalization=scale), make_scene()
    COMPILED.clear()
    first = classify(scene, fresh, block=64, engine=engine)[:64, :64].compute()
    assert COMPILED
    COMPILED.clear()
    for size in (37, 64, 150):
        again = classify(chunked(scene, size, size), fresh, block=64, engine=engine).compute()
        np.testing.assert_array_equal(again[:64, :64], first)
    assert not COMPILED


def test_one_engine_of_a_process_keeps_the_memory_of_its_network() -> None:
    model, scene = make_model(), make_scene()
    first = classify(scene, model, block=64, engine="winograd").values
    for tile in (96, 64):
        again = classify(scene, model, block=tile, engine="winograd").values
        np.testing.assert_array_equal(again, first)
        assert len(winograd_engine._held) == 1


def test_programs_come_from_the_cache_the_second_time(tmp_path: Path) -> None:
    spec = ProgramSpec(DENSE, tuple(range(1, 13)), ("classes",), 32, 32, 0, 0, "float32", "jax")
    limits = (f"jax_persistent_cache_min_{of}" for of in ("compile_time_secs", "entry_size_bytes"))
    before = {n: getattr(jax.config, n) for n in (*limits, "jax_compilation_cache_dir")}
    jax.config.update("jax_compilation_cache_dir", str(tmp_path))
    compilation_cache.reset_cache()
    try:
        JaxEngine(make_model(), spec)
        assert any(tmp_path.iterdir())
        HITS.clear()
        JaxEngine(make_model(), spec)
        assert HITS
    finally:
        for name, value in before.items():
            jax.config.update(name, value)
        compilation_cache.reset_cache()


class Reads:
    """Counts the blocks whose reading began, and lets others wait for a number of them."""

    def __init__(self) -> None:
        self.begun = 0
        self.changed = threading.Condition()

    def read(self, block_id: tuple[int, ...]) -> np.ndarray:
        del block_id
        with self.changed:
            self.begun += 1
            self.changed.notify_all()
        return np.zeros((4, 64, 64), np.float32)

    def wait_for(self, number: int) -> bool:
        with self.changed:
            return self.changed.wait_for(lambda: self.begun >= number, timeout=30)


class SlowEngine:
    """Computes until the reading of the next block has begun, or gives up."""

    at_once = 1

    def __init__(self, reads: Reads, blocks: int) -> None:
        self.reads, self.blocks = reads, blocks
        self.overlapped: list[bool] = []

    def stage(self, block: np.ndarray, _center: np.ndarray, _scale: np.ndarray) -> np.ndarray:
        return block

    def compute(self, staged: np.ndarray) -> np.ndarray:
        next_one = min(len(self.overlapped) + 2, self.blocks)
        self.overlapped.append(self.reads.wait_for(next_one))
        return staged

    def fetch(self, computed: np.ndarray) -> np.ndarray:
        return computed[:1].astype(np.uint8)


def test_next_block_is_read_while_one_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    blocks, reads = 4, Reads()
    engine = SlowEngine(reads, blocks)
    monkeypatch.setattr(worker, "_engine", lambda *_: engine)
    classify_blocks(reads.read, blocks, threads=2)
    assert engine.overlapped == [True] * blocks


def classify_blocks(read: Callable[..., np.ndarray], blocks: int, *, threads: int) -> None:
    """Classify blocks of 64 pixels in a column, each as it is read."""
    spec = ProgramSpec(DENSE, tuple(range(1, 13)), ("classes",), 64, 64, 0, 0)
    chunks = ((4,), (64,) * blocks, (64,))
    scene = da.map_blocks(read, chunks=chunks, dtype=np.float32, meta=np.empty((0, 0, 0)))
    scaling = (np.zeros(4), np.ones(4))
    source = ModelSource("none", None)
    classes = da.map_blocks(
        classify_block, scene, source, None, spec, scaling, (64 * blocks, 64), dtype=np.uint8,
        chunks=((1,), *chunks[1:]), meta=np.empty((0, 0, 0), np.uint8),
    )  # fmt: skip
    classes.compute(scheduler="threads", num_workers=threads)


class Device(SlowEngine):
    """Computes a block until as many are there as it takes at once, or gives up."""

    def __init__(self, at_once: int) -> None:
        self.at_once, self.there, self.most = at_once, 0, 0
        self.changed = threading.Condition()

    def compute(self, staged: np.ndarray) -> np.ndarray:
        with self.changed:
            self.there += 1
            self.most = max(self.most, self.there)
            self.changed.notify_all()
            self.changed.wait_for(lambda: self.most >= self.at_once, timeout=30)
            self.changed.wait(0.02)  # others may come who must not
            self.there -= 1
        return staged


@pytest.mark.parametrize("at_once", [1, 2])
def test_a_device_has_as_many_blocks_as_it_takes(
    at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Device(at_once)
    monkeypatch.setattr(worker, "_engine", lambda *_: engine)
    classify_blocks(lambda: np.zeros((4, 64, 64), np.float32), 6, threads=4)
    assert engine.most == at_once


def test_a_host_computes_one_block_at_a_time() -> None:
    spec = ProgramSpec(DENSE, tuple(range(1, 13)), ("classes",), 8, 8, 0, 0, dtype="float32")
    assert JaxEngine(make_model(), spec).at_once == winograd_engine.WinogradEngine.at_once == 1


def test_a_process_keeps_the_programs_of_the_models_it_used_last() -> None:
    scene = make_scene((32, 32))
    models = [make_model(bands=BANDS[n:] + BANDS[:n]) for n in range(4)]
    models += [make_model(variables=random_variables(DENSE, seed=n)) for n in (7, 8)]
    assert len({model.digest for model in models}) == len(models) == worker.MOST_ENGINES + 2

    def compiled_for(model: Model) -> int:
        read_throughput(reset=True)
        classify(scene, model, block=32, engine="winograd").compute()
        assert len(worker._engines) <= worker.MOST_ENGINES
        return read_throughput().compilations

    assert [compiled_for(model) for model in models] == [1] * len(models)
    assert [compiled_for(model) for model in models[2:]] == [0] * worker.MOST_ENGINES
    assert compiled_for(models[0]) == 1


@pytest.mark.timeout(120)
@pytest.mark.filterwarnings("ignore:os.fork:RuntimeWarning", "ignore::DeprecationWarning")
def test_a_forked_process_is_refused() -> None:
    jax.block_until_ready(jax.numpy.zeros(3) + 1)  # the process that is forked uses jax
    lazy = classify(make_scene((64, 64)), make_model(), block=64)
    forked = {"multiprocessing.context": "fork", "num_workers": 1}
    refused = pytest.raises(InputError, match="start workers with the method 'spawn'")
    with dask.config.set(scheduler="processes", **forked), refused:
        lazy.compute()
