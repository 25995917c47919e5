"""What engines share that run the network themselves, between jax's first and last steps."""

from __future__ import annotations

import functools
import os
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from osm4eo_xr.inference.program import Plan, layers, prepare

if TYPE_CHECKING:
    from jaxtyping import Float32, UInt8


class HostEngine(ABC):
    """Normalization and outputs are those of the jax engine; the network is a subclass's."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._prepare = jax.jit(functools.partial(prepare, plan))
        self._layers = jax.jit(lambda logits, valid: layers(plan, logits, valid))

    def stage(
        self,
        block: Float32[np.ndarray, "b p q"],
        offset: Float32[np.ndarray, " b"],
        scale: Float32[np.ndarray, " b"],
    ) -> Any:
        """Normalize a block, and note where it has data."""
        x, valid = self._prepare(block, offset, scale)
        return np.asarray(x), valid

    def compute(self, staged: Any) -> Any:
        """Run the network."""
        x, valid = staged
        return self._logits(x), valid

    def fetch(self, computed: Any) -> UInt8[np.ndarray, "layer y x"]:
        """Turn logits into the layers of the map."""
        return np.asarray(self._layers(*computed))

    @abstractmethod
    def _logits(self, x: Float32[np.ndarray, "b p q"]) -> Float32[np.ndarray, "k y x"]:
        """Return the logits of a normalized block, in memory of their own."""


def threads() -> int:
    """Return the threads that this process may compute with: ``NPROC``, as for XLA, or all."""
    stated = os.environ.get("NPROC", "")
    return int(stated) if stated.isdigit() else len(os.sched_getaffinity(0))
