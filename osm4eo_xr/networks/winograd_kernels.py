"""Convolutions of 3x3 and 5x5 pixels with a fifth of the products, for CPUs.

Winograd's minimal filtering: a tile of 8x8 input pixels becomes 64 numbers per channel, which one
matrix product each takes from input to output channels, and which become 4x4 output pixels of a
5x5 kernel or 6x6 of a 3x3 kernel; 4 or 1.8 products per pixel and pair of channels instead of 25
or 9. Lavin and Gray 2016, "Fast Algorithms for Convolutional Neural Networks" (CVPR), with Toom and
Cook's points 0, 1, -1, 2, -2, 1/2, -1/2 and infinity. Float32 results differ from direct sums in
the fifth digit.

Between these, convolutions of one pixel are plain matrix products, with what comes before and after
them done while a row is in the cache.

Images are (y, phase, tile, channel) float32 in C order: pixel x of a row is in phase x % n of tile
x // n, so that what a transform takes from all tiles of a row lies together. A plain image has one
phase. Kernels let go of the GIL and work on a span of rows, so that threads share an image.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numba
import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float32

SET, RECTIFY, ADD = 0, 1, 2
"""What ``mix_rows`` does with its result."""

_IN = 8  # edge of a tile of the input, pixels
_FOUR = 4
_POINTS = (0.0, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5)  # and infinity
_STRIP = 128  # tiles whose transforms are held at a time: they fit the second-level cache

_f = np.float32
_njit: Any = numba.njit  # typed without some of its options
_kernel = _njit(nogil=True, cache=True, fastmath={"contract"})
_part = _njit(
    nogil=True, cache=True, fastmath={"contract"}, no_cpython_wrapper=True, no_cfunc_wrapper=True
)


def tile_of(width: int) -> int:
    """Return the edge of a tile of the output for a kernel of 3 or 5 pixels."""
    return _IN - width + 1


def transform_kernel(kernel: Float32[np.ndarray, "k k c d"]) -> Float32[np.ndarray, "64 c d"]:
    """Return a kernel's value at each pair of points."""
    width, points = kernel.shape[0], np.array(_POINTS)
    rows = np.zeros((_IN, width))
    for j, point in enumerate(points):
        apart = np.prod(point - np.delete(points, j))
        rows[j] = point ** np.arange(width) / apart
    rows[-1, -1] = 1
    found = np.einsum("ia,jb,abcd->ijcd", rows, rows, kernel.astype(np.float64))
    return np.ascontiguousarray(found.reshape(_IN * _IN, *kernel.shape[2:]), np.float32)


# Of convolutions, kernels see flat arrays alone: slices of them stay contiguous, so that one
# compiled version serves all and uses the processor's vectors.


def convolve_rows(
    x: np.ndarray, kernel: np.ndarray, bias: np.ndarray, out: np.ndarray, first: int, last: int
) -> None:
    """Convolve, add the bias and rectify some rows of tiles.

    Parameters
    ----------
    x : ndarray (y + k - 1, n, tile + 1, c)
        Input within zeros, in as many phases as a tile has pixels.
    kernel : ndarray (64, c, d)
        From ``transform_kernel``.
    bias : ndarray (d)
    out : ndarray (y, n, tile, d)
        Takes the result; n divides y.
    first, last : int
        Rows of tiles.
    """
    (_, tile, beside, inputs), (across, outputs) = x.shape, out.shape[2:]
    strip = max(1, _STRIP // across)
    seen = np.empty((_IN * _IN, strip * across, inputs), _f)
    product = np.empty((_IN * _IN, strip * across, outputs), _f)
    upright = np.empty(_IN * tile * beside * inputs, _f)
    half = np.empty(tile * _IN * across * outputs, _f)
    biases, nothing = np.tile(bias, across), np.zeros(across * outputs, _f)
    images = x.reshape(-1), out.reshape(-1)
    sizes = beside * inputs, across * inputs, inputs
    _convolve(
        *images, seen, seen.reshape(-1), kernel, product, product.reshape(-1), upright, half,
        biases, nothing, tile, *sizes, strip, first, last,
    )  # fmt: skip


@_kernel
def _convolve(  # noqa: PLR0917 - numba takes no keyword-only arguments
    x: np.ndarray, out: np.ndarray, seen: np.ndarray, seen_flat: np.ndarray, kernel: np.ndarray,
    product: np.ndarray, product_flat: np.ndarray, upright: np.ndarray, half: np.ndarray,
    biases: np.ndarray, nothing: np.ndarray, tile: int, row: int, size: int, inputs: int,
    strip: int, first: int, last: int,
) -> None:  # fmt: skip
    """Do what ``convolve_rows`` says, on flat arrays.

    A phase of the input has ``row`` numbers, of which a tile's transforms take ``size``.
    """
    edge, none = np.int64(_IN), np.int64(0)  # literals would be compiled for anew
    given = biases.size
    plane, plane_given = strip * size, strip * given
    for top in range(first, last, strip):
        rows = min(strip, last - top)
        for s in range(rows):
            begin = tile * (top + s) * tile * row
            _to_points(x, begin, tile * row, edge, none, upright, none, tile * row, tile * row)
            for i in range(_IN):
                at = _IN * i * plane + s * size
                _to_points(upright, i * tile * row, row, tile, inputs, seen_flat, at, plane, size)
        for p in range(_IN * _IN):
            np.dot(seen[p], kernel[p], product[p])
        for s in range(rows):
            for j in range(_IN):
                begin = j * plane_given + s * given
                _from_points(
                    product_flat, begin, _IN * plane_given, half, j * given, _IN * given, tile,
                    nothing, -np.inf,
                )  # fmt: skip
            for i in range(tile):
                at = (tile * (top + s) + i) * tile * given
                _from_points(half, i * _IN * given, given, out, at, given, tile, biases, 0.0)


@_part
def _to_points(
    d: np.ndarray, begin: int, step: int, tile: int, jump: int, t: np.ndarray, at: int, pitch: int,
    size: int,
) -> None:  # fmt: skip
    """Take eight pixels to eight points, for ``size`` numbers each.

    Pixel k begins in ``d`` at ``begin`` + k * ``step`` within a tile of ``tile`` pixels; those of
    the next tile lie ``jump`` further on. Point k begins in ``t`` at ``at`` + k * ``pitch``.
    """
    fifth = begin + (jump if tile == _FOUR else 4 * step)
    seventh = begin + (6 * step if tile == _IN else jump + (6 - tile) * step)
    d0, d1, d2, d3 = d[begin:], d[begin + step :], d[begin + 2 * step :], d[begin + 3 * step :]
    d4, d5, d6, d7 = d[fifth:], d[fifth + step :], d[seventh:], d[seventh + step :]
    t0, t1, t2, t3 = t[at:], t[at + pitch :], t[at + 2 * pitch :], t[at + 3 * pitch :]
    t4, t5, t6 = t[at + 4 * pitch :], t[at + 5 * pitch :], t[at + 6 * pitch :]
    t7 = t[at + 7 * pitch :]
    for k in range(size):
        a1, a2, a3, a4, a5, a6 = d1[k], d2[k], d3[k], d4[k], d5[k], d6[k]
        t0[k] = a6 - d0[k] + _f(5.25) * (a2 - a4)
        t7[k] = d7[k] - a1 + _f(5.25) * (a3 - a5)
        # Sums that two points share are made once.
        even, odd = a2 - _f(4.25) * a4 + a6, a1 - _f(4.25) * a3 + a5
        t1[k], t2[k] = even + odd, even - odd
        even, odd = _f(0.25) * a2 - _f(1.25) * a4 + a6, _f(0.5) * a1 - _f(2.5) * a3 + _f(2) * a5
        t3[k], t4[k] = even + odd, even - odd
        even, odd = _f(4) * a2 - _f(5) * a4 + a6, _f(2) * a1 - _f(2.5) * a3 + _f(0.5) * a5
        t5[k], t6[k] = even + odd, even - odd


@_part
def _from_points(
    m: np.ndarray, begin: int, step: int, y: np.ndarray, at: int, pitch: int, tile: int,
    bias: np.ndarray, least: float,
) -> None:  # fmt: skip
    """Take eight points to four or six pixels, add the bias, raise what is below ``least``.

    Point k begins in ``m`` at ``begin`` + k * ``step``, pixel k in ``y`` at ``at`` + k * ``pitch``.
    """
    # Infinity is the last pixel's.
    floor, end = _f(least), _f(1) if tile == _FOUR else _f(0)
    m0, m1, m2 = m[begin:], m[begin + step :], m[begin + 2 * step :]
    m3, m4, m5 = m[begin + 3 * step :], m[begin + 4 * step :], m[begin + 5 * step :]
    m6, m7 = m[begin + 6 * step :], m[begin + 7 * step :]
    y0, y1, y2, y3 = y[at:], y[at + pitch :], y[at + 2 * pitch :], y[at + 3 * pitch :]
    for k in range(bias.size):
        s1, t1, s2, t2 = m1[k] + m2[k], m1[k] - m2[k], m3[k] + m4[k], m3[k] - m4[k]
        s3, t3, b = m5[k] + m6[k], m5[k] - m6[k], bias[k]
        y0[k] = max(m0[k] + s1 + s2 + s3 + b, floor)
        y1[k] = max(t1 + _f(2) * t2 + _f(0.5) * t3 + b, floor)
        y2[k] = max(s1 + _f(4) * s2 + _f(0.25) * s3 + b, floor)
        y3[k] = max(t1 + _f(8) * t2 + _f(0.125) * t3 + end * m7[k] + b, floor)
    if tile == _FOUR:
        return
    y4, y5 = y[at + 4 * pitch :], y[at + 5 * pitch :]
    for k in range(bias.size):
        s, t, b = m1[k] + m2[k], m1[k] - m2[k], bias[k]
        y4[k] = max(s + _f(16) * (m3[k] + m4[k]) + _f(0.0625) * (m5[k] + m6[k]) + b, floor)
        t += _f(32) * (m3[k] - m4[k]) + _f(0.03125) * (m5[k] - m6[k]) + m7[k]
        y5[k] = max(t + b, floor)


@_kernel
def mix_rows(
    x: np.ndarray,
    start: int,
    step: int,
    before: np.ndarray,
    matrix: np.ndarray,
    bias: np.ndarray,
    out: np.ndarray,
    at: int,
    width: int,
    how: int,
    first: int,
    last: int,
) -> None:
    """Convolve some rows with a kernel of one pixel.

    Parameters
    ----------
    x : ndarray (y, phase, tile, c)
        Input.
    start, step : int
        Every ``step``-th row and column is used, counted from number ``start``.
    before : ndarray (2, c) or (2, 0)
        Scale and shift, after which the input is rectified; empty = as it is.
    matrix : ndarray (c, d)
        Kernel.
    bias : ndarray (d)
    out : ndarray (y, phase, tile, d)
        Takes the result, from row and column ``at`` on.
    width : int
        Columns of the result.
    how : int
        ``SET``, ``RECTIFY`` or ``ADD`` to what is there.
    first, last : int
        Rows of the result.
    """
    inputs, phases, places = x.shape[3], x.shape[1], out.shape[1]
    row, product = np.empty((width, inputs), _f), np.empty((width, bias.size), _f)
    scale, shift, floor = before[0], before[1], _f(0) if how == RECTIFY else _f(-np.inf)
    for y in range(first, last):
        line, goal = x[start + y * step], out[y + at]
        for k in range(width):
            tile, phase = divmod(start + k * step, phases)
            source, target = line[phase, tile], row[k]
            if scale.size:
                for c in range(inputs):
                    target[c] = max(source[c] * scale[c] + shift[c], _f(0))
            else:
                for c in range(inputs):
                    target[c] = source[c]
        np.dot(row, matrix, product)
        for k in range(width):
            tile, phase = divmod(at + k, places)
            found, target = product[k], goal[phase, tile]
            if how == ADD:
                for d in range(bias.size):
                    target[d] += found[d] + bias[d]
            else:
                for d in range(bias.size):
                    target[d] = max(found[d] + bias[d], floor)


@_kernel
def repeat_rows(
    x: np.ndarray, factor: int, out: np.ndarray, at: int, width: int, first: int, last: int
) -> None:
    """Add an image whose pixels are repeated along both axes to some rows of ``out``.

    Parameters
    ----------
    x : ndarray (y, phase, tile, c)
        Image.
    factor : int
        How often a pixel is repeated.
    out : ndarray (y, phase, tile, c)
        Added to, from row and column ``at`` on.
    width : int
        Columns that are added to.
    first, last : int
        Rows that are added to.
    """
    phases, places = x.shape[1], out.shape[1]
    for y in range(first, last):
        for k in range(width):
            tile, phase = divmod(k // factor, phases)
            source = x[y // factor, phase, tile]
            tile, phase = divmod(k + at, places)
            target = out[y + at, phase, tile]
            for c in range(x.shape[3]):
                target[c] += source[c]
