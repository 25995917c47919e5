"""The folded dense network on the kernels for CPUs, for blocks of one size."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import scipy.linalg  # noqa: F401 - its BLAS serves numba, and must be there to be held to a thread
from threadpoolctl import ThreadpoolController

from osm4eo_xr.networks.layers import ConvLayer, arrays_at, layers_of
from osm4eo_xr.networks.settings import SMOOTH, STRIDE, STRIDES, NetSettings
from osm4eo_xr.networks.winograd_kernels import (
    ADD,
    RECTIFY,
    SET,
    convolve_rows,
    mix_rows,
    repeat_rows,
    tile_of,
    transform_kernel,
)

if TYPE_CHECKING:
    from jaxtyping import Float32

_SPANS = 4  # of rows per thread, so that none waits long for the last
_VECTOR = 8  # channels; the bands are made up to a multiple of it
_NOTHING = np.empty((2, 0), np.float32)


class Layer(NamedTuple):
    """A convolution's weights as its kernel takes them, and what comes before it."""

    weights: np.ndarray
    bias: np.ndarray
    before: np.ndarray


def prepare(net: NetSettings, folded: Mapping[str, Any]) -> dict[str, Layer]:
    """Return a network's convolutions by their paths, for blocks of any size.

    Parameters
    ----------
    net : NetSettings
        Shape of the network.
    folded : mapping
        Parameters that ``fold`` gave.
    """
    layers = {layer.name: _with_weights(layer, folded) for layer in layers_of(net).convolutions}
    more = (0, 0), (0, -net.bands % _VECTOR), (0, 0)
    stem = layers["stem"]
    return layers | {"stem": stem._replace(weights=np.pad(stem.weights, more))}


def compile_kernels() -> None:
    """Compile the kernels; at once where numba's cache has them."""
    image, more = (np.zeros((_VECTOR, 4, n, _VECTOR), np.float32) for n in (1, 2))
    rows = np.zeros((_VECTOR, 1, 4, _VECTOR), np.float32)
    weights, bias = np.zeros((64, _VECTOR, _VECTOR), np.float32), np.zeros(_VECTOR, np.float32)
    convolve_rows(more, weights, bias, image, 0, 1)
    mix_rows(rows, 0, 1, _NOTHING, weights[0], bias, rows.copy(), 0, 4, SET, 0, 1)
    repeat_rows(rows, 1, rows.copy(), 0, 4, 0, 1)


class WinogradNetwork:
    """Computes logits; its working memory is kept from block to block.

    Each stage is computed with just the margin that those after it need.

    Parameters
    ----------
    net : NetSettings
        Shape of the network, which ``fits_winograd``.
    rows, cols : int
        Size of a block of the map, multiples of the network's stride.
    margin : int
        Pixels around it that are read with it: the network's halo.
    threads : int
        Threads to compute with.
    """

    def __init__(
        self,
        net: NetSettings,
        rows: int,
        cols: int,
        margin: int,
        threads: int,
    ) -> None:
        self._net, self._threads = layers_of(net), threads
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="network")
        self._blas = ThreadpoolController()
        self._layers: Mapping[str, Layer] = {}
        channels = net.bands + -net.bands % _VECTOR
        self._scene = _Image.padded((rows + 2 * margin, cols + 2 * margin), channels, net.kernel)
        self._logits = _Image.plain((rows, cols), net.classes)
        self._stages, self._decoded, cell = [], [], 1
        for stated, around in zip(self._net.stages, _margins(net, margin), strict=True):
            cell *= stated.stride
            size = (rows + 2 * around) // cell, (cols + 2 * around) // cell
            inner, _, outer = (layer.features for layer in stated.blocks[0].main)
            self._stages.append(_Stage(cell, around, size, inner, outer, net.kernel))
            size = (rows + 2 * STRIDE) // cell, (cols + 2 * STRIDE) // cell
            self._decoded.append(_Stage(cell, STRIDE, size, net.decoder, 0, SMOOTH))

    def __call__(
        self, block: Float32[np.ndarray, "b p q"], layers: Mapping[str, Layer]
    ) -> Float32[np.ndarray, "y x k"]:
        """Return the logits of a block; they are overwritten by the next call's.

        Parameters
        ----------
        block : array
            Normalized, margin included.
        layers : mapping
            The weights, from ``prepare``.
        """
        self._layers = layers
        self._scene.fill(block)
        with self._blas.limit(limits=1, user_api="blas"):
            self._encode()
            self._decode()
        return self._logits.array[:, 0]

    def features(self) -> Float32[np.ndarray, "y x f"]:
        """Return what the last layer saw of the block that was computed last; a copy."""
        rows, cols = self._logits.size
        reach = slice(STRIDE, STRIDE + rows), slice(STRIDE, STRIDE + cols)
        return self._decoded[0].found.plain_array()[reach].copy()

    def _encode(self) -> None:
        """Run the stages."""
        before = self._stages[0]
        source = before.found
        self._convolve(self._scene, self._net.stem.name, source)
        for stage, stated in zip(self._stages, self._net.stages, strict=True):
            start = (before.margin - stage.margin) // before.cell
            for block in stated.blocks:
                first, wide, last = block.main
                if side := block.shortcut:
                    self._mix(source, side.name, stage.sum, how=SET, start=start, step=side.stride)
                self._mix(
                    source, first.name, stage.wide, how=RECTIFY, start=start, step=first.stride
                )
                self._convolve(stage.wide, wide.name, stage.found)
                self._mix(stage.found, last.name, stage.sum, how=ADD)
                source, start = stage.sum, 0
            before = stage

    def _decode(self) -> None:
        """Bring the stages' sums to full resolution, coarse to fine."""
        above, factor = None, 1
        memory = zip(self._stages, self._decoded, self._net.stages, strict=True)
        for stage, here, stated in reversed(list(memory)):
            start = (stage.margin - here.margin) // stage.cell
            target = here.wide if stated.smooth else here.found
            if stated.lateral:
                self._mix(stage.sum, stated.lateral.name, target, how=SET, start=start)
            if stated.smooth and above is not None:
                self._repeat(above, factor, here.wide)
                self._convolve(here.wide, stated.smooth.name, here.found)
            above, factor = here.found, stated.stride
        head = self._net.head.name
        self._mix(self._decoded[0].found, head, self._logits, how=SET, start=STRIDE)

    def _convolve(self, x: _Image, name: str, out: _Image) -> None:
        layer = self._layers[name]
        self._over(
            len(out.array) // out.phases,
            lambda a, b: convolve_rows(x.array, layer.weights, layer.bias, out.array, a, b),
        )

    def _mix(
        self, x: _Image, name: str, out: _Image, *, how: int, start: int = 0, step: int = 1
    ) -> None:
        weights, bias, before = self._layers[name]
        source, target, (rows, width) = x.array, out.array, out.size
        self._over(
            rows,
            lambda a, b: mix_rows(
                source, start, step, before, weights, bias, target, out.at, width, how, a, b
            ),
        )

    def _repeat(self, x: _Image, factor: int, out: _Image) -> None:
        rows, width = out.size
        self._over(rows, lambda a, b: repeat_rows(x.array, factor, out.array, out.at, width, a, b))

    def _over(self, rows: int, work: Callable[[int, int], None]) -> None:
        """Share rows among the threads."""
        spans = min(self._threads * _SPANS, rows)
        ends = [rows * k // spans for k in range(spans + 1)]
        list(self._pool.map(work, ends[:-1], ends[1:]))


def _margins(net: NetSettings, margin: int) -> tuple[int, int, int]:
    """Return the pixels around a block with which each stage is computed."""
    reach = net.blocks * (net.kernel // 2)
    last = STRIDE + STRIDE * reach  # one cell for the decoder
    return margin, last + STRIDES[1] * reach, last


class _Image:
    """An image of the kernels' layout.

    Attributes
    ----------
    size : tuple of int
        Its rows and columns.
    array : ndarray (y, phase, tile, channel)
        May hold more than the image.
    at : int
        Row and column of ``array`` at which the image begins.
    """

    def __init__(self, size: tuple[int, int], array: np.ndarray, at: int = 0) -> None:
        self.size, self.array, self.at = size, array, at

    @classmethod
    def plain(cls, size: tuple[int, int], channels: int) -> _Image:
        """Return an image of one phase."""
        return cls(size, np.empty((size[0], 1, size[1], channels), np.float32))

    @classmethod
    def tiled(cls, size: tuple[int, int], channels: int, tile: int) -> _Image:
        """Return an image made up to whole tiles, as a convolution gives it."""
        rows, cols = (-(-n // tile) for n in size)
        return cls(size, np.empty((rows * tile, tile, cols, channels), np.float32))

    @classmethod
    def padded(cls, size: tuple[int, int], channels: int, kernel: int) -> _Image:
        """Return an image within the zeros that a convolution wants, made up to whole tiles."""
        tile = tile_of(kernel)
        rows, cols = (-(-n // tile) for n in size)
        shape = rows * tile + kernel - 1, tile, cols + 1, channels
        return cls(size, np.zeros(shape, np.float32), kernel // 2)

    @property
    def phases(self) -> int:
        """Phases of ``array``."""
        return self.array.shape[1]

    def plain_array(self) -> Float32[np.ndarray, "y x c"]:
        """Return the image as rows, columns and channels; a copy where it has several phases."""
        rows, _, _, channels = self.array.shape
        flat = self.array.transpose(0, 2, 1, 3).reshape(rows, -1, channels)
        part = slice(self.at, self.at + self.size[0]), slice(self.at, self.at + self.size[1])
        return flat[part]

    def fill(self, image: Float32[np.ndarray, "c y x"]) -> None:
        """Put an image in; channels that it lacks stay as they are."""
        rows = slice(self.at, self.at + self.size[0])
        for phase in range(self.phases):
            first = (phase - self.at) % self.phases
            part = image[:, :, first :: self.phases].transpose(1, 2, 0)
            tile = (first + self.at) // self.phases
            self.array[rows, phase, tile : tile + part.shape[1], : len(image)] = part


class _Stage:
    """Working memory of one resolution."""

    def __init__(
        self,
        cell: int,
        margin: int,
        size: tuple[int, int],
        inner: int,
        outer: int,
        kernel: int,
    ) -> None:
        self.cell, self.margin = cell, margin
        self.sum = _Image.plain(size, outer)
        self.wide = _Image.padded(size, inner, kernel)
        self.found = _Image.tiled(size, inner, tile_of(kernel))


def _with_weights(layer: ConvLayer, folded: Mapping[str, Any]) -> Layer:
    """Return a convolution's weights, with the normalization that comes before it."""
    arrays, affine = arrays_at(folded, layer.path), _NOTHING
    if layer.before:
        norm = arrays_at(folded, layer.before)
        affine = np.stack([norm["scale"], norm["bias"]])
    kernel = np.asarray(arrays["kernel"], np.float32)
    flat = layer.kernel == 1
    weights = np.ascontiguousarray(kernel[0, 0]) if flat else transform_kernel(kernel)
    return Layer(weights, np.asarray(arrays["bias"], np.float32), affine)
