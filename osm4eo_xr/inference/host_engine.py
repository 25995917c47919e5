"""What engines share that run the network themselves, between jax's first and last steps."""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from osm4eo_xr.inference.program import ProgramSpec, StoredBlock, maps_of, prepare
from osm4eo_xr.inference.views import average_on_host

if TYPE_CHECKING:
    from jaxtyping import Float32, UInt8

    from osm4eo_xr.inference.applicability import Reference


class HostEngine(ABC):
    """Normalization and outputs are those of the jax engine; the network is a subclass's."""

    at_once = 1

    def __init__(self, spec: ProgramSpec, reference: Reference | None = None) -> None:
        self._spec, self._reference = spec, reference
        self._prepare = jax.jit(functools.partial(prepare, spec))
        self._maps = jax.jit(functools.partial(maps_of, spec))

    def stage(
        self,
        block: Float32[np.ndarray, "b p q"] | StoredBlock,
        center: Float32[np.ndarray, " b"],
        scale: Float32[np.ndarray, " b"],
    ) -> Any:
        """Normalize a block, and note where it has data."""
        x, valid = self._prepare(block, center, scale)
        return np.asarray(x), valid

    def compute(self, staged: Any) -> Any:
        """Run the network."""
        x, valid = staged
        logits = average_on_host(self._logits, x) if self._spec.flips else self._logits(x)
        if not self._spec.wants_features:
            return logits, valid
        return logits, valid, self._features(), self._reference

    def fetch(self, computed: Any) -> UInt8[np.ndarray, "map y x"]:
        """Turn logits into maps."""
        return np.asarray(self._maps(*computed))

    @abstractmethod
    def _logits(self, x: Float32[np.ndarray, "b p q"]) -> Float32[np.ndarray, "k y x"]:
        """Return the logits of a normalized block, in memory of their own."""

    def _features(self) -> Float32[np.ndarray, "y x f"]:
        """Return what the last layer saw of that block, in memory of its own."""
        raise NotImplementedError
