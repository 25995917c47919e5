"""The original's networks, saved by Keras as HDF5, as models; TensorFlow is not needed.

A file is taken only if its graph is the original's, layer by layer: the bottleneck ResNet v2 of
Keras' CIFAR-10 example. Its strides sit in 1x1 convolutions, where Keras' "same" padding adds
nothing, so the asymmetric padding that Keras gives strided wider kernels never comes into play.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from osm4eo_xr.errors import InputError, extra
from osm4eo_xr.imagery.bands import METHOD_BANDS
from osm4eo_xr.legend import Legend, default_legend
from osm4eo_xr.models.model import Model
from osm4eo_xr.models.record import Normalization
from osm4eo_xr.networks.fold_batch_norm import EPSILON
from osm4eo_xr.networks.layers import BlockLayers, ConvLayer, layers_of
from osm4eo_xr.networks.layers import Path as LayerPath
from osm4eo_xr.networks.settings import STRIDE, STRIDES, NetSettings

_BANDS = {4: ("blue", "green", "red", "nir"), len(METHOD_BANDS): METHOD_BANDS}
_USUAL = {"groups": 1, "data_format": "channels_last"}  # old files do not state them
_NORM = {"gamma": "scale", "beta": "bias", "moving_mean": "mean", "moving_variance": "var"}


def import_keras(
    path: str | Path, *, bands: Sequence[str] | None = None, legend: Legend | None = None
) -> Model:
    """Read a network of the original system from a whole-model ``.h5`` or ``.hdf5`` file.

    Parameters
    ----------
    path : str or Path
        What ``model.save`` of tf.keras (Keras 2 or 3) wrote, weights and graph together.
    bands : sequence of str, optional
        Common names of the inputs in order; by default blue, green, red, nir for 4 bands and the
        method's ten bands for 10.
    legend : Legend, optional
        Classes of the map; by default the twelve of OSMlanduse. A network with one logit more
        than the legend has classes gives the first to 0, no data, as the original did.

    Returns
    -------
    Model
        In window mode. Scenes are scaled by their range to -1 and 1, and a window holds rows r-6
        to r+5, as where the original made its maps.

    Raises
    ------
    InputError
        If the file is not such a network; the message names the layer. If the extra ``keras`` is
        not installed.

    Examples
    --------
    >>> import osm4eo_xr as oxr
    >>> oxr.import_keras("osm.h5")
    Traceback (most recent call last):
      ...
    osm4eo_xr.errors.InputError: no file osm.h5; give a model that Keras saved as .h5 or .hdf5
    """
    path = Path(path)
    layers, weights = _read(path)
    try:
        net, variables = _convert(layers, weights)
    except InputError as error:
        raise error.within(path) from None
    except _DAMAGE as error:
        raise _damaged(path, error) from None
    legend = legend or default_legend()
    if bands is None and net.bands not in _BANDS:
        raise InputError(
            f"{path} takes {net.bands} bands", advice="name them in order with {bands}"
        )
    background = net.classes == len(legend.ids) + 1
    return Model(
        net=net,
        variables=variables,
        bands=tuple(bands or _BANDS[net.bands]),
        normalization=Normalization(kind="scene range"),
        legend=legend,
        class_ids=(0, *legend.ids) if background else legend.ids,
        name="osmlanduse window network",
        training={"imported": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()},
    )


@dataclass(frozen=True)
class _Layer:
    """A layer of a Keras graph."""

    name: str
    kind: str
    config: dict[str, Any]
    inputs: tuple[str, ...]


Weights = dict[str, dict[str, np.ndarray]]

_DAMAGE = (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError)
"""What h5py raises on damaged files, and Python on a graph that is not as Keras writes it."""

Graph = dict[str, _Layer]


def _read(path: Path) -> tuple[Graph, Weights]:
    """Read the graph, and each layer's arrays by their short names."""
    if not path.is_file():
        raise InputError(f"no file {path}", advice="give a model that Keras saved as .h5 or .hdf5")
    with extra("keras", "reading a Keras model"):
        import h5py
    try:
        with h5py.File(path) as file:
            if "model_config" in file.attrs and "model_weights" in file:
                graph = json.loads(file.attrs["model_config"])  # pyright: ignore[reportArgumentType] - a string there
                return _layers(graph), _weights(file["model_weights"])
    except OSError as error:
        raise InputError(
            f"{path} is not an HDF5 file: {error}", advice="give a model that Keras saved as .h5"
        ) from None
    except _DAMAGE as error:
        raise _damaged(path, error) from None
    raise InputError(
        f"{path} holds no whole Keras model (its graph or its weights are missing)",
        advice="save it with model.save",
    )


def _damaged(path: Path, error: Exception) -> InputError:
    return InputError(
        f"{path} is damaged ({type(error).__name__}: {error})", advice="save or copy it again"
    )


def _layers(graph: dict[str, Any]) -> Graph:
    """Return the layers of a functional model."""
    entries = graph["config"]
    entries = entries["layers"] if isinstance(entries, dict) else entries
    names = {entry["config"]["name"] for entry in entries}
    found = {}
    for entry in entries:
        name = entry["config"]["name"]
        inputs = tuple(_references(entry.get("inbound_nodes", []), names))
        found[name] = _Layer(name, entry["class_name"], entry["config"], inputs)
    return found


def _references(node: Any, names: set[str]) -> Iterator[str]:
    """Find the layers a node of the graph names: as [name, 0, 0], however deep (Keras 2 and 3)."""
    if isinstance(node, dict):
        node = list(node.values())
    if isinstance(node, list) and node and isinstance(node[0], str) and node[0] in names:
        yield node[0]
    elif isinstance(node, list):
        for part in node:
            yield from _references(part, names)


def _weights(group: Any) -> Weights:
    """Collect the arrays of each layer."""
    found: Weights = {name: {} for name in group}

    def visit(path: str, item: Any) -> None:
        if hasattr(item, "dtype"):  # an array, not a group
            layer, *_, short = path.split("/")
            found[layer][short.partition(":")[0]] = np.asarray(item, np.float32)

    group.visititems(visit)
    return found


def _convert(layers: Graph, weights: Weights) -> tuple[NetSettings, dict[str, Any]]:
    """Walk the graph from its end to its beginning; return the network and its variables."""
    walk = _Walk(layers, weights)
    head = walk.take(walk.end(), "Dense", activation="softmax")
    pool = walk.take(walk.take(head.inputs[0], "Flatten").inputs[0], "AveragePooling2D")
    count = sum(layer.kind == "Add" for layer in layers.values())
    blocks, rest = divmod(count, len(STRIDES))
    if rest or not blocks:
        raise InputError(f"{count} additions are not the same number in each of 3 stages")
    depth = 9 * blocks + 2
    stated = layers_of(NetSettings(bands=1, classes=1, depth=depth, mode="window"))
    x = walk.norm(pool.inputs[0], stated.head.before)
    for stage in reversed(stated.stages):
        for block in reversed(stage.blocks):
            x = walk.block(x, block)
    stem = walk.conv(walk.norm(x, stated.stem.after), stated.stem)
    shape = walk.input_shape(stem.inputs[0])
    walk.check_all_seen()
    window = int(shape[1])
    walk.check_pool(pool, window // STRIDE)
    walk.put(stated.head.path, {"kernel": weights[head.name]["kernel"][None, None]}, head)
    net = NetSettings(
        bands=int(shape[3]),
        classes=int(head.config["units"]),
        depth=depth,
        width=int(stem.config["filters"]),
        mode="window",
        window=window,
        kernel=int(stem.config["kernel_size"][0]),
    )
    return net, walk.variables


def _usual(config: dict[str, Any]) -> dict[str, Any]:
    """Return what a layer has to have of the settings that it states and old files do not."""
    return {key: usual for key, usual in _USUAL.items() if config.get(key) is not None}


class _Walk:
    """Goes from layer to layer, checks each, and puts its arrays in their places."""

    def __init__(self, layers: Graph, weights: Weights) -> None:
        self.layers, self.weights = layers, weights
        self.seen: set[str] = set()
        self.variables: dict[str, Any] = {"params": {}, "batch_stats": {}}

    def end(self) -> str:
        """Return the layer that no other takes."""
        taken = {name for layer in self.layers.values() for name in layer.inputs}
        ends = [name for name in self.layers if name not in taken]
        if len(ends) != 1:
            raise InputError(f"the graph has {len(ends)} outputs", expected="1")
        return ends[0]

    def take(self, name: str, kind: str, **expected: Any) -> _Layer:
        """Return a layer after checking what it is."""
        layer = self.layers[name]
        if layer.kind != kind:
            raise InputError(
                f"layer {name!r} is {layer.kind}, the original's network has {kind} there"
            )
        for key, value in expected.items():
            found = layer.config.get(key)
            if found != value:
                raise InputError(f"layer {name!r} has {key} {found}", expected=f"{value}")
        self.seen.add(name)
        return layer

    def norm(self, name: str, path: LayerPath | None) -> str:
        """Take a rectifier and the normalization before it; return what that normalizes."""
        if path is None:
            return name
        below = self.take(name, "Activation", activation="relu").inputs[0]
        layer = self.take(below, "BatchNormalization", epsilon=EPSILON, center=True, scale=True)
        axis = np.ravel(layer.config.get("axis", -1)).tolist()
        if axis not in ([3], [-1]):
            raise InputError(f"layer {below!r} has axis {axis[0]}", expected="3, the channels")
        arrays = {_NORM[key]: value for key, value in self.weights[below].items()}
        self._place("params", path, {key: arrays[key] for key in ("scale", "bias")})
        self._place("batch_stats", path, {key: arrays[key] for key in ("mean", "var")})
        return layer.inputs[0]

    def conv(self, name: str, stated: ConvLayer) -> _Layer:
        """Take a convolution; one that is wider than a pixel may have any width."""
        config = self.layers[name].config
        layer = self.take(
            name,
            "Conv2D",
            padding="same",
            strides=[stated.stride] * 2,
            dilation_rate=[1, 1],
            activation="linear",
            use_bias=True,
            **_usual(config),
        )
        if stated.kernel == 1 and layer.config["kernel_size"] != [1, 1]:
            raise InputError(
                f"layer {name!r} has kernels of {layer.config['kernel_size']}", expected="1"
            )
        self.put(stated.path, {"kernel": self.weights[name]["kernel"]}, layer)
        return layer

    def block(self, name: str, stated: BlockLayers) -> str:
        """Take a bottleneck and its addition; return what it was given."""
        addition = self.take(name, "Add")
        shortcut, x = sorted(addition.inputs, key=self._convolutions_behind)
        for layer in reversed(stated.main):
            x = self.conv(self.norm(x, layer.after), layer).inputs[0]
            x = self.norm(x, layer.before)
        if stated.shortcut:
            shortcut = self.conv(shortcut, stated.shortcut).inputs[0]
        if shortcut != x:
            raise InputError(f"layer {name!r} adds {shortcut!r}", expected=f"{x!r}")
        return x

    def _convolutions_behind(self, name: str) -> int:
        """Count the convolutions between a layer and the addition or input before it."""
        count, layer = 0, self.layers[name]
        for _ in self.layers:
            if layer.kind == "Add" or not layer.inputs:
                return count
            count += layer.kind == "Conv2D"
            layer = self.layers[layer.inputs[0]]
        raise InputError(f"layer {layer.name!r} ({layer.kind}) leads back to itself")

    def input_shape(self, name: str) -> Sequence[int]:
        """Return the shape of the input: (None, window, window, bands)."""
        config = self.take(name, "InputLayer").config
        shape = config.get("batch_input_shape") or config["batch_shape"]
        if shape[1] is None or shape[1] != shape[2]:
            raise InputError(f"layer {name!r} takes images of {shape[1:3]}, not square windows")
        return shape

    def check_pool(self, pool: _Layer, side: int) -> None:
        """Refuse an average pool that is not one mean over a map of ``side`` pixels."""
        how: Any = {"pool_size": [side] * 2, "strides": [side] * 2, "padding": "valid"}
        self.take(pool.name, pool.kind, **how, **_usual(pool.config))

    def check_all_seen(self) -> None:
        """Refuse a graph with layers beside those of the original's network."""
        strange = sorted(self.layers.keys() - self.seen)
        if strange:
            kind = self.layers[strange[0]].kind
            raise InputError(f"layer {strange[0]!r} ({kind}) is not in the original's network")

    def put(self, path: tuple[str, ...], arrays: dict[str, np.ndarray], layer: _Layer) -> None:
        """Place a kernel with the layer's bias."""
        self._place("params", path, {**arrays, "bias": self.weights[layer.name]["bias"]})

    def _place(self, tree: str, path: tuple[str, ...], arrays: dict[str, np.ndarray]) -> None:
        branch = self.variables[tree]
        for name in path:
            branch = branch.setdefault(name, {})
        branch.update(arrays)
