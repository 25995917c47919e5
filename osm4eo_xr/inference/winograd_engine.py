"""The engine of CPUs for dense networks: twice as fast as ONNX Runtime."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from osm4eo_xr.inference.host_engine import HostEngine
from osm4eo_xr.networks.fold_batch_norm import fold
from osm4eo_xr.networks.settings import STRIDE
from osm4eo_xr.networks.winograd import WinogradNetwork, prepare
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
        self._weights = prepare(spec.net, fold(model.net, model.variables))
        # The kernels compile, or come from numba's cache, on the smallest block there is.
        edge = STRIDE + 2 * spec.margin
        self._build(STRIDE, STRIDE)(np.zeros((spec.net.bands, edge, edge), np.float32))

    def _build(self, rows: int, cols: int) -> WinogradNetwork:
        spec = self._spec
        return WinogradNetwork(spec.net, self._weights, rows, cols, spec.margin, compute_threads())

    def _logits(self, x: Float32[np.ndarray, "b p q"]) -> Float32[np.ndarray, "k y x"]:
        if self not in _held:
            _held.clear()
            _held[self] = self._build(self._spec.rows, self._spec.cols)
        # A copy, since the next block may be computed before this one's maps are made.
        return _held[self](x).copy().transpose(2, 0, 1)

    def _features(self) -> Float32[np.ndarray, "y x f"]:
        return _held[self].features()
