"""The folded network as an ONNX graph, for CPUs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from osm4eo_xr.networks.settings import SMOOTH, STRIDES, NetSettings

_OPSET = 17


def export_onnx(settings: NetSettings, folded: Mapping[str, Any]) -> bytes:
    """Return the network as an ONNX model.

    The graph takes ``x`` (n, band, y, x) float32, normalized, and gives ``logits``: (n, class, y,
    x) in dense mode, (n, class) in window mode.

    Parameters
    ----------
    settings : NetSettings
        Shape of the network.
    folded : mapping
        Parameters that ``fold`` gave.
    """
    graph = _Graph(folded)
    levels = _encode(graph, settings)
    if settings.mode == "window":
        top = graph.affine(levels[-1], ("out_norm2",))
        top = graph.add("GlobalAveragePool", [top])
        logits = graph.add("Flatten", [graph.conv(top, ("head",))], axis=1)
    else:
        logits = graph.conv(_decode(graph, levels), ("head",))
    graph.add("Identity", [logits], output="logits")
    return graph.serialize(settings)


def _encode(graph: _Graph, settings: NetSettings) -> list[str]:
    """Add stem and stages; return the name of each stage's features."""
    x = graph.relu(graph.conv("x", ("stem",), reach=settings.kernel // 2))
    levels = []
    for stage, stride in enumerate(STRIDES):
        for block in range(settings.blocks):
            name = f"stage{stage}_block{block}"
            first = block == 0
            y = graph.affine(x, (name, "norm1")) if stage + block else x
            y = graph.relu(graph.conv(y, (name, "conv1"), stride=stride if first else 1))
            y = graph.relu(graph.conv(y, (name, "conv2"), reach=settings.kernel // 2))
            y = graph.conv(y, (name, "conv3"))
            if first:
                x = graph.conv(x, (name, "shortcut"), stride=stride)
            x = graph.add("Add", [x, y])
        levels.append(x)
    return levels


def _decode(graph: _Graph, levels: Sequence[str]) -> str:
    """Add the decoder; return the name of its features."""
    lateral = [
        graph.conv(graph.affine(x, (f"out_norm{level}",)), (f"lateral{level}",))
        for level, x in enumerate(levels)
    ]
    top = lateral.pop()
    while lateral:
        level = len(lateral) - 1
        x = graph.add("Add", [lateral.pop(), graph.repeat(top, STRIDES[level + 1])])
        top = graph.relu(graph.conv(x, (f"smooth{level}",), reach=SMOOTH // 2))
    return top


class _Graph:
    """Nodes and constants of a graph under construction."""

    def __init__(self, folded: Mapping[str, Any]) -> None:
        self._folded = folded
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

    def conv(self, x: str, path: tuple[str, ...], *, reach: int = 0, stride: int = 1) -> str:
        """Add a convolution with zero padding of ``reach`` pixels."""
        layer = self._layer(path)
        kernel = self.constant(np.asarray(layer["kernel"], np.float32).transpose(3, 2, 0, 1))
        bias = self.constant(np.asarray(layer["bias"], np.float32))
        return self.add("Conv", [x, kernel, bias], pads=[reach] * 4, strides=[stride] * 2)

    def affine(self, x: str, path: tuple[str, ...]) -> str:
        """Add scale and bias per channel, then rectify.

        Written as a normalization with mean 0 and variance 1, which ONNX Runtime keeps in the
        blocked layout of its convolutions; a product and a sum would leave that layout.
        """
        layer = self._layer(path)
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

    def _layer(self, path: tuple[str, ...]) -> Mapping[str, Any]:
        layer = self._folded
        for name in path:
            layer = layer[name]
        return layer
