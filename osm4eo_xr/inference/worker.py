"""Inference in a worker process: each model loaded once, each program compiled once."""

from __future__ import annotations

import functools
import os
import threading
import time
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from osm4eo_xr.errors import InputError, extra
from osm4eo_xr.imagery.lazy_scene import reflectance_tables
from osm4eo_xr.imagery.reader import NO_NUMBER
from osm4eo_xr.imagery.reflectance import Scaling  # noqa: TC001 - checked at run time in the tests
from osm4eo_xr.inference.applicability import Reference, reference_of
from osm4eo_xr.inference.program import ProgramSpec, StoredBlock, predict
from osm4eo_xr.inference.throughput import COUNTER
from osm4eo_xr.models.model_folder import load_model, model_from_bytes
from osm4eo_xr.networks.fold_batch_norm import fold

if TYPE_CHECKING:
    from jaxtyping import Float32, UInt8

    from osm4eo_xr.models.model import Model
    from osm4eo_xr.networks.settings import EngineName, NetSettings


@dataclass(frozen=True)
class ModelSource:
    """Where a worker finds a model: a folder it can read, and the hash of what must be there."""

    digest: str
    path: str | None

    def load(self, content: bytes | None) -> Model:
        """Read the model, from the folder or from ``content``.

        Raises
        ------
        InputError
            If the folder holds another model by now.
        """
        if self.path is None:
            if content is None:
                raise InputError(f"model {self.digest[:12]}… came without its content")
            return model_from_bytes(content)
        model = load_model(self.path)
        if model.digest != self.digest:
            raise InputError(
                f"the model in {self.path} is {model.digest[:12]}…, the map was planned with "
                f"{self.digest[:12]}…",
                advice="plan it again or restore the folder",
            )
        return model


class Engine(Protocol):
    """A compiled program with its model, in three steps so that blocks can overlap."""

    at_once: int
    """Blocks that may compute, or wait on the device behind one that does."""

    def stage(
        self,
        block: Float32[np.ndarray, "b p q"] | StoredBlock,
        center: Float32[np.ndarray, " b"],
        scale: Float32[np.ndarray, " b"],
    ) -> Any:
        """Make a block ready for the device; any thread may, while another computes."""
        ...

    def compute(self, staged: Any) -> Any:
        """Compute, and return when the device is done; ``at_once`` threads at a time."""
        ...

    def fetch(self, computed: Any) -> UInt8[np.ndarray, "map y x"]:
        """Bring the maps to host memory."""
        ...


class JaxEngine:
    """The program compiled by XLA for this process's device."""

    def __init__(self, model: Model, spec: ProgramSpec) -> None:
        self.at_once = 1 if jax.default_backend() == "cpu" else 2  # a GPU goes on with the second
        _keep_every_program()
        params = jax.device_put(fold(model.net, model.variables))
        self._params = jax.tree.map(lambda leaf: leaf.astype(spec.dtype), params)
        self._reference = jax.device_put(_known_points(model, spec))
        bands, numbers = spec.net.bands, jax.ShapeDtypeStruct(spec.block_shape, jnp.uint16)
        table = jax.ShapeDtypeStruct((bands, NO_NUMBER + 1), jnp.float32)
        floats = jax.ShapeDtypeStruct(spec.block_shape, jnp.float32)
        shapes = (
            StoredBlock(numbers, table) if spec.stored else floats,
            jax.ShapeDtypeStruct((bands,), jnp.float32),
            jax.ShapeDtypeStruct((bands,), jnp.float32),
        )
        program = jax.jit(functools.partial(predict, spec))
        self._program = program.lower(self._params, self._reference, *shapes).compile()

    def stage(
        self,
        block: Float32[np.ndarray, "b p q"] | StoredBlock,
        center: Float32[np.ndarray, " b"],
        scale: Float32[np.ndarray, " b"],
    ) -> Any:
        """Copy a block to the device."""
        return jax.block_until_ready(jax.device_put((block, center, scale)))

    def compute(self, staged: Any) -> Any:
        """Run the program."""
        return jax.block_until_ready(self._program(self._params, self._reference, *staged))

    def fetch(self, computed: Any) -> UInt8[np.ndarray, "map y x"]:
        """Copy the maps to host memory."""
        return np.asarray(computed)


def _known_points(model: Model, spec: ProgramSpec) -> Reference:
    """Return the training points that a spec compares with; nothing if it does not.

    Raises
    ------
    InputError
        If they are others by now.
    """
    if not spec.wants_features:
        return {}
    known = model.applicability
    if known is None or known.digest != spec.reference:
        raise InputError(
            f"model {model.name!r} has other training points than the map was planned with",
            advice="plan it again or restore the folder",
        )
    return reference_of(known)


def _keep_every_program() -> None:
    """Keep programs in the persistent cache, if there is one, however quickly they compiled.

    The cache is jax's: the folder that ``JAX_COMPILATION_CACHE_DIR`` names.
    """
    if getattr(jax.config, "jax_compilation_cache_dir", None):
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


def run_block(
    engine: Engine,
    block: Float32[np.ndarray, "b p q"] | StoredBlock,
    center: Float32[np.ndarray, " b"],
    scale: Float32[np.ndarray, " b"],
) -> UInt8[np.ndarray, "map y x"]:
    """Return the maps of one block, step after step."""
    return engine.fetch(engine.compute(engine.stage(block, center, scale)))


MOST_ENGINES = 4
"""Programs that a process keeps; scenes of another size or another model need their own."""

_engines: dict[tuple[str, ProgramSpec], Engine] = {}
_loading = threading.Lock()
_computing = {most: threading.Semaphore(most) for most in (1, 2)}
_process = os.getpid()


def classify_block(
    block: np.ndarray,
    source: ModelSource,
    content: bytes | None,
    spec: ProgramSpec,
    scaling: tuple[np.ndarray, np.ndarray],
    inside: tuple[int, int],
    packing: tuple[Scaling, ...] = (),
    *,
    block_id: tuple[int, int, int],
) -> np.ndarray:
    """Classify one block.

    Blocks of a device compute one after the other; a GPU has the next one waiting. Meanwhile
    other threads read and decode more, bring them to the device, and shrink and write the last.

    Parameters
    ----------
    block : array
        Scene with margin, (band, y, x): float32 in its unit, or uint16 as its files store it.
    source, content
        The model; see ``ModelSource``.
    spec : ProgramSpec
        What to compute.
    scaling : tuple of array
        Center and scale per band.
    inside : tuple of int
        Rows and columns of the whole scene, to count the pixels of edge blocks.
    packing : tuple of Scaling
        What makes the scene's unit of stored numbers, per band.
    block_id : tuple of int
        Position of the block.

    Raises
    ------
    InputError
        In a process forked from one that had loaded jax, whose threads a fork does not copy.
    """
    if os.getpid() != _process:
        raise InputError(
            "this worker was forked from a process that uses jax",
            advice="start workers with the method 'spawn', which is dask's default",
        )
    engine = _engine(source, content, spec)
    block = np.ascontiguousarray(block, np.uint16 if spec.stored else np.float32)
    center, scale = (np.asarray(v, np.float32) for v in scaling)
    given = StoredBlock(block, _tables_on_device(packing)) if spec.stored else block
    staged = engine.stage(given, center, scale)
    with _computing[engine.at_once]:
        started = time.time()
        computed = engine.compute(staged)
        ended = time.time()
    result = engine.fetch(computed)
    rows = min(spec.rows, inside[0] - block_id[1] * spec.rows)
    cols = min(spec.cols, inside[1] - block_id[2] * spec.cols)
    COUNTER.computed(pixels=rows * cols, bytes_read=block.nbytes, started=started, ended=ended)
    return result


@functools.lru_cache(maxsize=4)
def _tables_on_device(packing: tuple[Scaling, ...]) -> jax.Array:
    """Return what stored numbers mean, where blocks are staged: the same for all of a scene."""
    return jax.device_put(reflectance_tables(packing))


def _engine(source: ModelSource, content: bytes | None, spec: ProgramSpec) -> Engine:
    """Return the compiled program, loading and compiling it the first time."""
    key = (source.digest, spec)
    with _loading:
        if key not in _engines:
            model = source.load(content)
            while len(_engines) >= MOST_ENGINES:  # each holds its model and working memory
                del _engines[next(iter(_engines))]
            started = time.perf_counter()
            _engines[key] = _build(model, spec.resolved(jax.default_backend()))
            COUNTER.compiled(time.perf_counter() - started)
        return _engines[key]


def compile_inference(net: NetSettings | None = None, engine: EngineName = "auto") -> None:
    """Compile the kernels that classifying takes in this process, if it takes any.

    What is compiled for one model and one size of blocks, ``classify_block`` compiles.

    Parameters
    ----------
    net : NetSettings, optional
        Shape of the network; by default one of those that the kernels are for.
    engine : str
        As ``classify`` takes it.
    """
    fits = net is None or net.fits_winograd
    on_host = jax.default_backend() == "cpu"
    if fits and _engine_name(engine, on_host=on_host, fits_winograd=fits) == "winograd":
        from osm4eo_xr.networks.winograd import compile_kernels

        compile_kernels()


def _engine_name(
    engine: EngineName, *, on_host: bool, fits_winograd: bool, fits_onnx: bool = True
) -> EngineName:
    """Return the engine that serves this process best where "auto" leaves it open."""
    if engine != "auto":
        return engine
    if not on_host:
        return "jax"
    onnx_is_here = fits_onnx and all(find_spec(name) for name in ("onnx", "onnxruntime"))
    return "winograd" if fits_winograd else "onnx" if onnx_is_here else "jax"


def _build(model: Model, spec: ProgramSpec) -> Engine:
    """Compile for the engine that the spec names, or that serves this process best."""
    on_host = jax.default_backend() == "cpu" and spec.dtype == "float32"
    engine = _engine_name(
        spec.engine,
        on_host=on_host,
        fits_winograd=spec.net.fits_winograd,
        fits_onnx=spec.net.fits_onnx and not spec.wants_features,
    )
    if engine == "winograd":
        from osm4eo_xr.inference.winograd_engine import WinogradEngine

        return WinogradEngine(model, spec, _known_points(model, spec))
    if engine == "onnx":
        with extra("onnx", "engine 'onnx'"):
            from osm4eo_xr.inference.onnx_engine import OnnxEngine

        return OnnxEngine(model, spec)
    return JaxEngine(model, spec)
