"""Inference in a worker process: each model loaded once, each program compiled once."""

from __future__ import annotations

import os

# jax reads these when it first touches a GPU; they must be there before it is imported.
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")

import functools
import threading
import time
from dataclasses import dataclass
from typing import Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float32, UInt8

from osm4eo_xr._ledger import LEDGER
from osm4eo_xr._program import Plan, predict
from osm4eo_xr.errors import InputError
from osm4eo_xr.model import Model, load_model, model_from_bytes
from osm4eo_xr.resnet import fold


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
                f"{self.digest[:12]}…; plan it again or restore the folder"
            )
        return model


class Engine(Protocol):
    """A compiled program with its model."""

    def __call__(
        self,
        block: Float32[np.ndarray, "b p q"],
        offset: Float32[np.ndarray, " b"],
        scale: Float32[np.ndarray, " b"],
    ) -> UInt8[np.ndarray, "layer y x"]:
        """Return the layers of a block."""
        ...


class JaxEngine:
    """The program compiled by XLA for this process's device."""

    def __init__(self, model: Model, plan: Plan) -> None:
        plan = plan.resolved(jax.default_backend())
        params = jax.device_put(fold(model.variables))
        self._params = jax.tree.map(lambda leaf: leaf.astype(plan.dtype), params)
        shapes = (
            jax.ShapeDtypeStruct(plan.block_shape, jnp.float32),
            jax.ShapeDtypeStruct((plan.net.bands,), jnp.float32),
            jax.ShapeDtypeStruct((plan.net.bands,), jnp.float32),
        )
        started = time.perf_counter()
        program = jax.jit(functools.partial(predict, plan))
        self._program = program.lower(self._params, *shapes).compile()
        LEDGER.compiled(time.perf_counter() - started)

    def __call__(
        self,
        block: Float32[np.ndarray, "b p q"],
        offset: Float32[np.ndarray, " b"],
        scale: Float32[np.ndarray, " b"],
    ) -> UInt8[np.ndarray, "layer y x"]:
        """Return the layers of a block."""
        return np.asarray(self._program(self._params, block, offset, scale))


_engines: dict[tuple[str, Plan], Engine] = {}
_loading = threading.Lock()
_computing = threading.Lock()


def classify_block(
    block: np.ndarray,
    source: ModelSource,
    content: bytes | None,
    plan: Plan,
    scaling: tuple[np.ndarray, np.ndarray],
    inside: tuple[int, int],
    *,
    block_id: tuple[int, int, int],
) -> np.ndarray:
    """Classify one block.

    Blocks of a process compute one after the other, so other threads read and write meanwhile.

    Parameters
    ----------
    block : array
        Scene with margin, (band, y, x) float32.
    source, content
        The model; see ``ModelSource``.
    plan : Plan
        What to compute.
    scaling : tuple of array
        Offset and scale per band.
    inside : tuple of int
        Rows and columns of the whole scene, to count the pixels of edge blocks.
    block_id : tuple of int
        Position of the block.
    """
    engine = _engine(source, content, plan)
    block = np.ascontiguousarray(block, np.float32)
    offset, scale = (np.asarray(v, np.float32) for v in scaling)
    with _computing:
        started = time.time()
        result = engine(block, offset, scale)
        ended = time.time()
    rows = min(plan.rows, inside[0] - block_id[1] * plan.rows)
    cols = min(plan.cols, inside[1] - block_id[2] * plan.cols)
    LEDGER.add(
        blocks=1,
        pixels=rows * cols,
        bytes_read=block.nbytes,
        device_s=ended - started,
        started=started,
        ended=ended,
    )
    return result


def _engine(source: ModelSource, content: bytes | None, plan: Plan) -> Engine:
    """Return the compiled program, loading and compiling it the first time."""
    key = (source.digest, plan)
    with _loading:
        if key not in _engines:
            _engines[key] = JaxEngine(source.load(content), plan)
        return _engines[key]
