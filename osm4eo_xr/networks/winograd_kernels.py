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

from typing import TYPE_CHECKING

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
_kernel = numba.njit(nogil=True, cache=True, fastmath={"contract"})


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


@_kernel
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
    inputs, tile, across, outputs = x.shape[3], out.shape[1], out.shape[2], out.shape[3]
    strip = max(1, _STRIP // across)
    seen = np.empty((_IN * _IN, strip * across, inputs), _f)
    product = np.empty((_IN * _IN, strip * across, outputs), _f)
    upright = np.empty((_IN, tile, x.shape[2] * inputs), _f)
    half = np.empty((tile, _IN, across * outputs), _f)
    biases, nothing = np.empty(across * outputs, _f), np.zeros(across * outputs, _f)
    for k in range(across):
        biases[k * outputs : (k + 1) * outputs] = bias
    for top in range(first, last, strip):
        rows = min(strip, last - top)
        for s in range(rows):
            _see(x, tile * (top + s), upright, seen, s, across * inputs)
        for p in range(_IN * _IN):
            np.dot(seen[p], kernel[p], product[p])
        for s in range(rows):
            _give(product, s, half, nothing, biases, out, tile * (top + s))


@_kernel
def _see(
    x: np.ndarray, top: int, upright: np.ndarray, seen: np.ndarray, strip: int, size: int
) -> None:
    """Transform one row of tiles, first along y, then along x."""
    tile, inputs = x.shape[1], x.shape[3]
    d, t = x[top : top + _IN].reshape(_IN, -1), upright.reshape(_IN, -1)
    _to_points(d[0], d[1], d[2], d[3], d[4], d[5], d[6], d[7], t)
    for i in range(_IN):
        line, planes = upright[i], seen[_IN * i : _IN * (i + 1)].reshape(_IN, -1)
        t = planes[:, strip * size : (strip + 1) * size]
        a, b = line[:, :size], line[:, inputs : inputs + size]  # and of the next tiles
        if tile == _FOUR:
            _to_points(a[0], a[1], a[2], a[3], b[0], b[1], b[2], b[3], t)
        else:
            _to_points(a[0], a[1], a[2], a[3], a[4], a[5], b[0], b[1], t)


@_kernel
def _to_points(
    d0: np.ndarray,
    d1: np.ndarray,
    d2: np.ndarray,
    d3: np.ndarray,
    d4: np.ndarray,
    d5: np.ndarray,
    d6: np.ndarray,
    d7: np.ndarray,
    t: np.ndarray,
) -> None:
    """Take eight pixels d to the eight points t; sums that two points share are made once."""
    t0, t1, t2, t3, t4, t5, t6, t7 = t[0], t[1], t[2], t[3], t[4], t[5], t[6], t[7]
    for k in range(d0.size):
        a1, a2, a3, a4, a5, a6 = d1[k], d2[k], d3[k], d4[k], d5[k], d6[k]
        t0[k] = a6 - d0[k] + _f(5.25) * (a2 - a4)
        t7[k] = d7[k] - a1 + _f(5.25) * (a3 - a5)
        even, odd = a2 - _f(4.25) * a4 + a6, a1 - _f(4.25) * a3 + a5
        t1[k], t2[k] = even + odd, even - odd
        even, odd = _f(0.25) * a2 - _f(1.25) * a4 + a6, _f(0.5) * a1 - _f(2.5) * a3 + _f(2) * a5
        t3[k], t4[k] = even + odd, even - odd
        even, odd = _f(4) * a2 - _f(5) * a4 + a6, _f(2) * a1 - _f(2.5) * a3 + _f(0.5) * a5
        t5[k], t6[k] = even + odd, even - odd


@_kernel
def _give(
    product: np.ndarray,
    strip: int,
    half: np.ndarray,
    nothing: np.ndarray,
    biases: np.ndarray,
    out: np.ndarray,
    top: int,
) -> None:
    """Transform one row of tiles back, first along y, then along x, and finish it."""
    size = biases.size
    planes = product.reshape(_IN * _IN, -1)[:, strip * size : (strip + 1) * size]
    for j in range(_IN):
        _from_points(planes[j::_IN], half[:, j], nothing, -np.inf)
    for i in range(len(half)):
        _from_points(half[i], out[top + i].reshape(len(half), -1), biases, 0.0)


@_kernel
def _from_points(m: np.ndarray, y: np.ndarray, bias: np.ndarray, least: float) -> None:
    """Take eight points m to four or six pixels y, add the bias, raise what is below ``least``."""
    floor, end = _f(least), _f(1) if len(y) == _FOUR else _f(0)  # infinity is the last pixel's
    m0, m1, m2, m3, m4, m5, m6, m7 = m[0], m[1], m[2], m[3], m[4], m[5], m[6], m[7]
    y0, y1, y2, y3 = y[0], y[1], y[2], y[3]
    for k in range(bias.size):
        s1, t1, s2, t2 = m1[k] + m2[k], m1[k] - m2[k], m3[k] + m4[k], m3[k] - m4[k]
        s3, t3, b = m5[k] + m6[k], m5[k] - m6[k], bias[k]
        y0[k] = max(m0[k] + s1 + s2 + s3 + b, floor)
        y1[k] = max(t1 + _f(2) * t2 + _f(0.5) * t3 + b, floor)
        y2[k] = max(s1 + _f(4) * s2 + _f(0.25) * s3 + b, floor)
        y3[k] = max(t1 + _f(8) * t2 + _f(0.125) * t3 + end * m7[k] + b, floor)
    if len(y) == _FOUR:
        return
    y4, y5 = y[4], y[5]
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
