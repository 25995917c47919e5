"""Which input pixels an output pixel of the network depends on, worked out from its layers."""

from __future__ import annotations

from dataclasses import dataclass


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

    def convolved(self, kernel: int, times: int = 1) -> Span:
        """Return the inputs of ``times`` centerd convolutions of odd width at stride 1."""
        reach = (kernel // 2) * times
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


def dense_footprint(
    *, blocks: int, kernel: int, smooth: int, strides: tuple[int, ...]
) -> Footprint:
    """Return the footprint of the dense network.

    Parameters
    ----------
    blocks : int
        Bottlenecks per stage, each with one convolution wider than a pixel.
    kernel, smooth : int
        Kernel width of stem and bottlenecks, and of the decoder.
    strides : tuple of int
        Stride of each stage relative to the one before.
    """
    total = 1
    for stride in strides:
        total *= stride
    needed = _decoder_spans(Span(0, total - 1), smooth, strides)
    span = needed[-1]
    for level in range(len(strides) - 1, -1, -1):
        span = span.joined(needed[level]).convolved(kernel, blocks).subsampled(strides[level])
    span = span.convolved(kernel)
    return Footprint(before=-span.first, after=span.last - (total - 1), stride=total)


def _decoder_spans(cell: Span, smooth: int, strides: tuple[int, ...]) -> list[Span]:
    """Return the features of each stage that the decoder reads to write ``cell``."""
    spans = []
    span = cell
    for level in range(len(strides) - 1):
        span = span.convolved(smooth)
        spans.append(span)
        span = span.upsampled(strides[level + 1])
    return [*spans, span]
