"""Feature maps, their normalizations, and the gradients that come back to both."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from osm4eo_xr.networks.fold_batch_norm import EPSILON
from osm4eo_xr.networks.gradients.products import padded
from osm4eo_xr.networks.gradients.sums import join_back, slope_of, statistics

if TYPE_CHECKING:
    from jaxtyping import Float32, Float64

_SPANS = 8  # of samples, at most: as many threads can share a batch
_PIECE, _LINE = 2**26, 64  # bytes of memory that is taken at once, and of a line of the cache

NO_MAP = np.empty((0, 0, 0, 0), np.float32)
"""Stands for a map that is not there."""

NO_AFFINE, _NO_SLOPE = np.empty((2, 0), np.float32), np.empty((3, 0), np.float32)
_NO_MEAN = np.empty(0, np.float32)


class Workshop:
    """Threads, spans of samples, and memory that is kept from step to step.

    Parameters
    ----------
    threads : int
        Threads to compute with.
    """

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="gradient")
        self._held: dict[tuple[Any, ...], list[np.ndarray]] = {}
        self._taken: dict[tuple[Any, ...], int] = {}
        self._piece = np.empty(0, np.uint8)
        self.ends = np.zeros(2, np.int64)

    def begin(self, samples: int) -> None:
        """Begin a step of so many samples; all memory is free again."""
        spans = min(_SPANS, samples)  # not by the threads, whose count would change digits
        self.ends = np.array([samples * k // spans for k in range(spans + 1)], np.int64)
        self._taken.clear()

    def memory(self, shape: tuple[int, ...], dtype: Any = np.float32) -> np.ndarray:
        """Return an array of this step, with whatever is in it."""
        key = (*shape, np.dtype(dtype).char)
        at = self._taken.get(key, 0)
        self._taken[key] = at + 1
        held = self._held.setdefault(key, [])
        if at == len(held):
            held.append(self._carved(shape, np.dtype(dtype)))
        return held[at]

    def _carved(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray:
        """Return a new array, cut from a large piece of memory."""
        size = -(-math.prod(shape) * dtype.itemsize // _LINE) * _LINE
        if self._piece.nbytes < size:
            # Of large pieces numpy asks the system for large pages, which are found faster.
            piece = np.empty(max(size, _PIECE) + _LINE, np.uint8)
            self._piece = piece[-piece.ctypes.data % _LINE :]
        part, self._piece = self._piece[:size], self._piece[size:]
        return part[: math.prod(shape) * dtype.itemsize].view(dtype).reshape(shape)

    def matrix(self, values: np.ndarray) -> np.ndarray:
        """Return a matrix whose columns are made up to whole vectors with zeros."""
        rows, columns = values.shape
        out = self.memory((rows, padded(columns)))
        out[:, columns:] = 0
        out[:, :columns] = values
        return out

    def copied(self, values: np.ndarray) -> np.ndarray:
        """Return a copy in memory of this step, which may be written.

        For arrays that are read only numba would compile a kernel once more.
        """
        out = self.memory(values.shape)
        out[...] = values
        return out

    def sums(self, *shape: int, dtype: Any = np.float64) -> np.ndarray:
        """Return memory for a sum per span."""
        return self.memory((self.ends.size - 1, *shape), dtype)

    def run(self, kernel: Callable[..., None], *arguments: Any) -> None:
        """Run a kernel on all spans, shared among the threads."""
        spans = self.ends.size - 1
        parts = min(self._threads, spans)
        cuts = [spans * k // parts for k in range(parts + 1)]

        def work(first: int, last: int) -> None:
            kernel(*arguments, self.ends, first, last)

        others = [self._pool.submit(work, *part) for part in pairwise(cuts[1:])]
        work(*cuts[:2])
        for other in others:
            other.result()


class Map:
    """What a convolution gave, or a sum.

    Its gradient is its normalization's, where nothing else reads it; else it comes together from
    all that do.

    Attributes
    ----------
    values : ndarray (n, y, x, c) float32
    gradient : ndarray of that shape, optional
        Of the loss by the values, where one reader alone gives it.
    norm : Norm, optional
        What normalizes it, where nothing else reads it.
    beside : Norm, optional
        What normalizes it, where something else reads it as well.
    stepped : Norm, optional
        What normalizes it for a convolution that steps; its gradient is of the pixels used.
    passed : ndarray (n, p, q, c) or (0, 0, 0, 0)
        Gradient of the same pixels, from a convolution that takes them as they are.
    """

    affine, mean = NO_AFFINE, _NO_MEAN

    def __init__(self, values: np.ndarray) -> None:
        self.values = values
        self.gradient: np.ndarray | None = None
        self.norm: Norm | None = None
        self.beside: Norm | None = None
        self.stepped: Norm | None = None
        self.passed = NO_MAP

    def receive(self, gradient: np.ndarray, sums: np.ndarray) -> None:  # noqa: ARG002 - as norms do
        """Take the gradient of the pixels that a convolution took as they are."""
        self.passed = gradient

    def come_back(self, workshop: Workshop) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return g, z and the slope by which they give the gradient of the values."""
        if self.norm is not None:
            return self.norm.gradient, self.values, self.norm.slope()
        if self.beside or self.stepped:
            self._join(workshop)
        if self.gradient is None:
            raise AssertionError("nothing has come back yet")
        return self.gradient, NO_MAP, _NO_SLOPE

    def _join(self, workshop: Workshop) -> None:
        """Bring the gradients of all readers together."""
        nothing = NO_MAP, _NO_SLOPE
        above = (self.beside.gradient, self.beside.slope()) if self.beside else nothing
        step, stepped = 1, nothing
        if self.stepped:
            stepped = self.stepped.gradient, self.stepped.slope()
            step = self.values.shape[1] // stepped[0].shape[1]
        add = self.gradient is not None
        to = self.gradient if add else workshop.memory(self.values.shape)
        workshop.run(join_back, self.values, *above, *stepped, self.passed, step, int(add), to)
        self.gradient, self.beside, self.stepped = to, None, None


class Norm:
    """A normalized and rectified map, which is computed where it is read.

    Parameters
    ----------
    source : Map
        What is normalized.
    sums : ndarray (span, 2, c) float64
        Of its values, and of their squares.
    arrays : mapping
        ``scale`` and ``bias``.

    Attributes
    ----------
    mean, variance : ndarray (c)
        Over samples and pixels.
    affine : ndarray (2, c)
        Scale and shift that do it.
    gradient : ndarray (n, y, x, c)
        Of the loss, behind the rectifier; nothing while it was not written.
    """

    def __init__(
        self, source: Map, sums: Float64[np.ndarray, "s 2 c"], arrays: Mapping[str, Any]
    ) -> None:
        self.values = source.values
        self._count = source.values[..., 0].size
        scale, shift = (np.array(arrays[k], np.float64) for k in ("scale", "bias"))
        self._numbers, self.affine = statistics(sums, self._count, scale, shift, EPSILON)
        self.mean, self.variance = self._numbers[:2].astype(np.float32)
        self.gradient = NO_MAP
        self._moments = np.zeros((2, scale.size))

    def receive(self, gradient: np.ndarray, sums: Float64[np.ndarray, "s 2 c"]) -> None:
        """Take the gradient behind the rectifier, and the sums that came with it.

        A second reader adds its gradient to that of the first, and brings its own sums.
        """
        self.gradient = gradient
        self._moments += sums.sum(axis=0)

    def parameter_gradients(self) -> dict[str, Float32[np.ndarray, " c"]]:
        """Return the gradients of the scale and the bias."""
        total, product = self._moments
        found = {"scale": product * self._numbers[2], "bias": total}
        return {name: values.astype(np.float32) for name, values in found.items()}

    def slope(self) -> Float32[np.ndarray, "3 c"]:
        """Return p, q and r: the gradient of what is normalized is p g + q z + r."""
        return slope_of(self._moments, self._count, self._numbers)
