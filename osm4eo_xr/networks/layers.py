"""The network's layers, stated once: their names, shapes and order.

Flax network, folding, ONNX graph, kernels for CPUs, footprint and Keras import read this list.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from osm4eo_xr.networks.settings import SMOOTH, STRIDES, NetSettings

Path = tuple[str, ...]
"""Names that lead to a layer's arrays in the nested variables."""


@dataclass(frozen=True)
class ConvLayer:
    """A convolution with bias, and the normalizations beside it, each with a rectifier.

    Attributes
    ----------
    path : tuple of str
        Where its kernel and bias are.
    features : int
        Output channels.
    kernel, stride : int
        Width and step in cells of its input.
    before, after : tuple of str, optional
        Where the normalizations of its input and of its output are, if it has them. One after it
        folds into it; one before it, of a sum, becomes a scale and a bias.
    """

    path: Path
    features: int
    kernel: int = 1
    stride: int = 1
    before: Path | None = None
    after: Path | None = None

    @property
    def name(self) -> str:
        """The path in one word."""
        return "/".join(self.path)


@dataclass(frozen=True)
class BlockLayers:
    """A bottleneck: convolutions one after another, added to its input, which is projected or not.

    Attributes
    ----------
    name : str
        Under which its layers are.
    main : tuple of ConvLayer
        In order.
    shortcut : ConvLayer, optional
        What projects the input.
    """

    name: str
    main: tuple[ConvLayer, ...]
    shortcut: ConvLayer | None


@dataclass(frozen=True)
class StageLayers:
    """Bottlenecks of one resolution.

    Attributes
    ----------
    stride : int
        Relative to the stage before.
    blocks : tuple of BlockLayers
        In order.
    lateral : ConvLayer, optional
        Brings the stage's sum to the decoder; window mode has none.
    smooth : ConvLayer, optional
        Smooths that and the repeated coarser features; the last stage has none.
    """

    stride: int
    blocks: tuple[BlockLayers, ...]
    lateral: ConvLayer | None
    smooth: ConvLayer | None


@dataclass(frozen=True)
class NetLayers:
    """The whole network.

    Attributes
    ----------
    stem, head : ConvLayer
        First and last. In window mode the mean over the window stands between the head and the
        normalization before it.
    stages : tuple of StageLayers
        Fine to coarse.
    """

    stem: ConvLayer
    stages: tuple[StageLayers, ...]
    head: ConvLayer

    @property
    def convolutions(self) -> Iterator[ConvLayer]:
        """All convolutions, in no order that matters."""
        yield self.stem
        for stage in self.stages:
            for block in stage.blocks:
                yield from block.main
                if block.shortcut:
                    yield block.shortcut
            yield from (layer for layer in (stage.lateral, stage.smooth) if layer)
        yield self.head


def layers_of(settings: NetSettings) -> NetLayers:
    """Return the layers of a network of that shape."""
    top = len(STRIDES) - 1
    before_head = (f"out_norm{top}",) if settings.mode == "window" else None
    return NetLayers(
        stem=ConvLayer(("stem",), settings.width, settings.kernel, after=("stem_norm",)),
        stages=tuple(_stage(settings, stage) for stage in range(top + 1)),
        head=ConvLayer(("head",), settings.classes, before=before_head),
    )


def _stage(settings: NetSettings, stage: int) -> StageLayers:
    """Return a stage; its sums have twice the channels of the one before, the first's 4 times."""
    outer = settings.width * 4 * 2**stage
    inner = settings.width if stage == 0 else outer // 2
    lateral = smooth = None
    if settings.mode == "dense":
        channels, before = settings.decoder, (f"out_norm{stage}",)
        lateral = ConvLayer((f"lateral{stage}",), channels, before=before)
        if stage < len(STRIDES) - 1:
            after = (f"smooth_norm{stage}",)
            smooth = ConvLayer((f"smooth{stage}",), channels, SMOOTH, after=after)
    blocks = tuple(_block(settings, stage, k, inner, outer) for k in range(settings.blocks))
    return StageLayers(STRIDES[stage], blocks, lateral, smooth)


def _block(settings: NetSettings, stage: int, block: int, inner: int, outer: int) -> BlockLayers:
    """Return a bottleneck; a stage's first one strides, and the network's first has no norm1."""
    name = f"stage{stage}_block{block}"
    stride = STRIDES[stage] if block == 0 else 1
    before = (name, "norm1") if stage + block else None
    main = (
        ConvLayer((name, "conv1"), inner, 1, stride, before, (name, "norm2")),
        ConvLayer((name, "conv2"), inner, settings.kernel, after=(name, "norm3")),
        ConvLayer((name, "conv3"), outer),
    )
    shortcut = None if block else ConvLayer((name, "shortcut"), outer, 1, stride)
    return BlockLayers(name, main, shortcut)


def arrays_at(variables: Mapping[str, Any], path: Path) -> Mapping[str, Any]:
    """Return a layer's arrays."""
    for name in path:
        variables = variables[name]
    return variables


def put_arrays(variables: dict[str, Any], path: Path, arrays: Mapping[str, Any]) -> None:
    """Add arrays to those of a layer."""
    for name in path:
        variables = variables.setdefault(name, {})
    variables.update(arrays)


def with_arrays(
    variables: Mapping[str, Any], path: Path, arrays: Mapping[str, Any]
) -> dict[str, Any]:
    """Return variables in which a layer has other arrays; those given stay as they are."""
    if not path:
        return dict(arrays)
    name, *rest = path
    return {**variables, name: with_arrays(variables[name], tuple(rest), arrays)}
