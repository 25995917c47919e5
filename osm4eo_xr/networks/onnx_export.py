"""The folded network as an ONNX graph, for CPUs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from osm4eo_xr.networks.grouped_layers import members_of
from osm4eo_xr.networks.layers import (
    ConvLayer,
    NetLayers,
    Path,
    StageLayers,
    arrays_at,
    layers_of,
)

if TYPE_CHECKING:
    from osm4eo_xr.networks.settings import NetSettings

_OPSET = 17
_LEAST = 1e-30  # probability whose logarithm is still finite


def export_onnx(settings: NetSettings, folded: Mapping[str, Any]) -> bytes:
    """Return the network as an ONNX model.

    The graph takes ``x`` (n, band, y, x) float32, normalized, and gives ``logits``: (n, class, y,
    x) in dense mode, (n, class) in window mode. Of several members these are the logarithm of
    their mean probability.

    Parameters
    ----------
    settings : NetSettings
        Shape of the network.
    folded : mapping
        Parameters that ``fold`` gave.
    """
    graph, layers = _Graph(folded), layers_of(settings)
    logits = []
    for own in members_of(settings, folded):
        graph.variables = own
        logits.append(_decide(graph, layers))
    if len(logits) == 1:
        graph.add("Identity", logits, output="logits")
    else:
        chances = [graph.add("Softmax", [own], axis=1) for own in logits]
        least = graph.constant(np.array(_LEAST, np.float32))
        graph.add("Log", [graph.add("Max", [graph.add("Mean", chances), least])], output="logits")
    return graph.serialize(settings)


def _decide(graph: _Graph, layers: NetLayers) -> str:
    """Add a whole plain network; return the name of its logits."""
    levels = _encode(graph, layers)
    if not layers.head.before:
        return graph.around(_decode(graph, levels, layers.stages), layers.head)
    top = graph.affine(levels[-1], layers.head.before)
    top = graph.add("GlobalAveragePool", [top])
    return graph.add("Flatten", [graph.conv(top, layers.head)], axis=1)


def _encode(graph: _Graph, layers: NetLayers) -> list[str]:
    """Add stem and stages; return the name of each stage's features."""
    x = graph.around("x", layers.stem)
    levels = []
    for stage in layers.stages:
        for block in stage.blocks:
            y = x
            for layer in block.main:
                y = graph.around(y, layer)
            if block.shortcut:
                x = graph.around(x, block.shortcut)
            x = graph.add("Add", [x, y])
        levels.append(x)
    return levels


def _decode(graph: _Graph, levels: Sequence[str], stages: Sequence[StageLayers]) -> str:
    """Add the decoder; return the name of its features."""
    lateral = [
        graph.around(x, stage.lateral)
        for stage, x in zip(stages, levels, strict=True)
        if stage.lateral
    ]
    top, factor = lateral.pop(), stages[-1].stride
    for stage in reversed(stages[:-1]):
        x = graph.add("Add", [lateral.pop(), graph.repeat(top, factor)])
        top = graph.around(x, stage.smooth) if stage.smooth else x
        factor = stage.stride
    return top


class _Graph:
    """Nodes and constants of a graph under construction, of the ``variables`` at hand."""

    def __init__(self, variables: Mapping[str, Any]) -> None:
        self.variables = variables
        self._nodes: list[Any] = []
        self._constants: list[Any] = []

    def add(self, kind: str, inputs: list[str], *, output: str = "", **attributes: Any) -> str:
        """Add a node; return the name of its output."""
        output = output or f"v{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def constant(self, value: np.ndarray) -> str:
        """Add a constant; return its name."""
        name = f"c{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def around(self, x: str, layer: ConvLayer) -> str:
        """Add a convolution with what stands beside it: a scale and bias before, a rectifier."""
        x = self.conv(self.affine(x, layer.before) if layer.before else x, layer)
        return self.relu(x) if layer.after else x

    def conv(self, x: str, layer: ConvLayer) -> str:
        """Add a convolution with zero "same" padding."""
        arrays = arrays_at(self.variables, layer.path)
        kernel = self.constant(np.asarray(arrays["kernel"], np.float32).transpose(3, 2, 0, 1))
        bias = self.constant(np.asarray(arrays["bias"], np.float32))
        pads, strides = [layer.kernel // 2] * 4, [layer.stride] * 2
        return self.add("Conv", [x, kernel, bias], pads=pads, strides=strides)

    def affine(self, x: str, path: Path) -> str:
        """Add scale and bias per channel, then rectify.

        Written as a normalization with mean 0 and variance 1, which ONNX Runtime keeps in the
        blocked layout of its convolutions; a product and a sum would leave that layout.
        """
        layer = arrays_at(self.variables, path)
        scale = np.asarray(layer["scale"], np.float32)
        values = [scale, np.asarray(layer["bias"], np.float32), scale * 0, scale * 0 + 1]
        names = [self.constant(value) for value in values]
        return self.relu(self.add("BatchNormalization", [x, *names], epsilon=0.0))

    def relu(self, x: str) -> str:
        """Add a rectifier."""
        return self.add("Relu", [x])

    def repeat(self, x: str, factor: int) -> str:
        """Repeat each pixel ``factor`` times along both axes."""
        scales = self.constant(np.asarray([1, 1, factor, factor], np.float32))
        return self.add(
            "Resize",
            [x, "", scales],
            mode="nearest",
            coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
        )

    def serialize(self, settings: NetSettings) -> bytes:
        """Return the whole as an ONNX model."""
        edge = settings.window if settings.mode == "window" else None
        shape = ["n", settings.bands, edge or "y", edge or "x"]
        logits = ["n", settings.classes, *([] if edge else ["y", "x"])]
        graph = helper.make_graph(
            self._nodes,
            "osm4eo_xr",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info("logits", TensorProto.FLOAT, logits)],
            self._constants,
        )
        opset = helper.make_opsetid("", _OPSET)
        model = helper.make_model(graph, opset_imports=[opset], ir_version=8)
        onnx.checker.check_model(model)
        return model.SerializeToString()
