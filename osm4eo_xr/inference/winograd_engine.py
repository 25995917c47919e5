"""The engine of CPUs for dense networks: twice as fast as ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from osm4eo_xr.inference.host_engine import HostEngine
from osm4eo_xr.inference.views import log_mean
from osm4eo_xr.networks.fold_batch_norm import fold
from osm4eo_xr.networks.grouped_layers import members_of
from osm4eo_xr.networks.settings import STRIDE
from osm4eo_xr.networks.winograd import Layer, WinogradNetwork, prepare
from osm4eo_xr.process.threads import compute_threads

if TYPE_CHECKING:
    from jaxtyping import Float32

    from osm4eo_xr.inference.applicability import Reference
    from osm4eo_xr.inference.program import ProgramSpec
    from osm4eo_xr.models.model import Model


_held: dict[WinogradEngine, WinogradNetwork] = {}  # one at most: its memory is a gigabyte


class WinogradEngine(HostEngine):
    """The network on this package's own kernels.

    Of all engines of a process, the one that computed last keeps its working memory.
    """

    def __init__(self, model: Model, spec: ProgramSpec, reference: Reference | None = None) -> None:
        super().__init__(spec, reference)
        folded = fold(model.net, model.variables)
        self._members = [prepare(spec.net, own) for own in members_of(model.net, folded)]
        self._seen: list[Float32[np.ndarray, "y x f"]] = []
        # The kernels compile, or come from numba's cache, on the smallest block there is.
        edge = STRIDE + 2 * spec.margin
        smallest = np.zeros((spec.net.bands, edge, edge), np.float32)
        self._build(STRIDE, STRIDE)(smallest, self._members[0])

    def _build(self, rows: int, cols: int) -> WinogradNetwork:
        spec = self._spec
        return WinogradNetwork(spec.net, rows, cols, spec.margin, compute_threads())

    def _logits(self, x: Float32[np.ndarray, "b p q"]) -> Float32[np.ndarray, "k y x"]:
        if self not in _held:
            _held.clear()
            _held[self] = self._build(self._spec.rows, self._spec.cols)
        self._seen = []
        logits = (self._logits_of(member, x) for member in self._members)
        # A copy, since the next block may be computed before this one's maps are made.
        return log_mean(logits) if len(self._members) > 1 else next(logits).copy()

    def _logits_of(
        self, member: Mapping[str, Layer], x: Float32[np.ndarray, "b p q"]
    ) -> Float32[np.ndarray, "k y x"]:
        """Return what one member makes of a block, until the next does."""
        logits = _held[self](x, member).transpose(2, 0, 1)
        if self._spec.wants_features:
            self._seen.append(_held[self].features())
        return logits

    def _features(self) -> Float32[np.ndarray, "y x f"]:
        return np.concatenate(self._seen, axis=-1)
