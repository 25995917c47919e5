"""The engine of CPUs for dense networks: twice as fast as ONNX Runtime."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float32

from osm4eo_xr._engine_host import HostEngine, threads
from osm4eo_xr._net_settings import STRIDE
from osm4eo_xr._winograd_net import WinogradNetwork
from osm4eo_xr.resnet import fold

if TYPE_CHECKING:
    from osm4eo_xr._program import Plan
    from osm4eo_xr.model import Model


class WinogradEngine(HostEngine):
    """The network on this package's own kernels."""

    def __init__(self, model: Model, plan: Plan) -> None:
        super().__init__(plan)
        folded, margin = fold(model.variables), plan.margin
        # The kernels compile, or come from numba's cache, on the smallest block there is.
        edge = STRIDE + 2 * margin
        smallest = WinogradNetwork(plan.net, folded, STRIDE, STRIDE, margin, 1)
        smallest(np.zeros((plan.net.bands, edge, edge), np.float32))
        self._network = WinogradNetwork(plan.net, folded, plan.rows, plan.cols, margin, threads())

    def _logits(self, x: Float32[np.ndarray, "b p q"]) -> Float32[np.ndarray, "k y x"]:
        # A copy, since the next block may be computed before this one's layers are made.
        return self._network(x).copy().transpose(2, 0, 1)
