"""Which input pixels an output pixel of the network depends on, worked out from its layers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from osm4eo_xr.networks.layers import layers_of

if TYPE_CHECKING:
    from osm4eo_xr.networks.layers import BlockLayers, StageLayers
    from osm4eo_xr.networks.settings import NetSettings


@dataclass(frozen=True)
class Footprint:
    """Input pixels behind one output cell of ``stride`` by ``stride`` pixels, along one axis.

    Attributes
    ----------
    before, after : int
        Pixels that the cell depends on before its first and after its last pixel.
    stride : int
        Pixels between cells; blocks must start on multiples of it.
    """

    before: int
    after: int
    stride: int

    @property
    def halo(self) -> int:
        """Pixels to read around a block so that its result is exact: a multiple of the stride."""
        reach = max(self.before, self.after)
        return -(-reach // self.stride) * self.stride

    @property
    def receptive_field(self) -> int:
        """Edge length in pixels of the square that a cell of ``stride`` pixels depends on."""
        return self.before + self.stride + self.after


@dataclass(frozen=True)
class Span:
    """Inclusive range of indices along one axis of a feature map."""

    first: int
    last: int

    def convolved(self, kernel: int) -> Span:
        """Return the inputs of a centered convolution of odd width at stride 1."""
        reach = kernel // 2
        return Span(self.first - reach, self.last + reach)

    def subsampled(self, stride: int) -> Span:
        """Return the inputs of a layer that keeps every ``stride``-th pixel."""
        return Span(self.first * stride, self.last * stride)

    def upsampled(self, factor: int) -> Span:
        """Return the inputs of nearest-neighbor upsampling by ``factor``."""
        return Span(self.first // factor, self.last // factor)

    def joined(self, other: Span) -> Span:
        """Return the smallest range that holds both."""
        return Span(min(self.first, other.first), max(self.last, other.last))


def footprint_of(settings: NetSettings) -> Footprint:
    """Return which input pixels an output cell depends on, worked out from the layers.

    In window mode the cell is the pixel that the window is for, and the reach depends on the
    center convention, which belongs to the model; the numbers here are those of a window whose
    center pixel is at index ``window // 2``.
    """
    if settings.mode == "window":
        return footprint_at(settings, settings.window // 2)
    layers = layers_of(settings.as_resnet(settings.bands))
    total = math.prod(stage.stride for stage in layers.stages)
    needed = _decoder_spans(Span(0, total - 1), layers.stages)
    span = needed[-1]
    for stage, read in zip(reversed(layers.stages), reversed(needed), strict=True):
        span = span.joined(read)
        for block in reversed(stage.blocks):
            span = _block_span(span, block)
    span = span.convolved(layers.stem.kernel)
    if settings.network == "coupled":  # a group counts by its pixels in a whole cell
        coarsest = needed[-1].subsampled(total)
        span = span.joined(Span(coarsest.first, coarsest.last + total - 1))
    return Footprint(before=-span.first, after=span.last - (total - 1), stride=total)


def _block_span(span: Span, block: BlockLayers) -> Span:
    """Return the inputs of a bottleneck: of its convolutions and of its shortcut."""
    side = span.subsampled(block.shortcut.stride) if block.shortcut else span
    for layer in reversed(block.main):
        span = span.subsampled(layer.stride).convolved(layer.kernel)
    return span.joined(side)


def _decoder_spans(span: Span, stages: Sequence[StageLayers]) -> list[Span]:
    """Return the features of each stage that the decoder reads to write ``span``."""
    spans = []
    for stage, coarser in pairwise(stages):
        if stage.smooth:
            span = span.convolved(stage.smooth.kernel)
        spans.append(span)
        span = span.upsampled(coarser.stride)
    return [*spans, span]


def footprint_at(settings: NetSettings, center: int) -> Footprint:
    """Return the footprint of a window's pixel at index ``center``; dense nets have but one."""
    if settings.mode == "window":
        return Footprint(before=center, after=settings.window - center - 1, stride=1)
    return footprint_of(settings)
