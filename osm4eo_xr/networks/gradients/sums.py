"""What else feature maps go through: normalizations, sums that several read, repeated pixels.

Arguments as in ``pointwise``.
"""

from __future__ import annotations

import numpy as np

from osm4eo_xr.networks.gradients.rows import (
    activated,
    add_row,
    add_sums,
    by_pixel,
    copy_row,
    kept_sums,
    kernel,
    memory,
    part,
    put_row,
    rectified_back,
    repeated,
    slope_by_pixel,
    sloped,
    stretch_of,
    zeros,
)

_f = np.float32


@kernel
def statistics(
    sums: np.ndarray, count: int, scale: np.ndarray, shift: np.ndarray, epsilon: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return what a map's normalization is worked out with, and its scale and shift.

    Parameters
    ----------
    sums : ndarray (span, 2, c) float64
        Of the map's values, and of their squares.
    count : int
        Values per channel.
    scale, shift : ndarray (c) float64
        Parameters of the normalization.
    epsilon : float
        Added to the variance; an argument, since what is compiled would keep what it was.

    Returns
    -------
    ndarray (4, c) float64
        Mean, variance, one by the deviation, and ``scale`` times that.
    ndarray (2, c) float32
        The affine that normalizes.
    """
    numbers, affine = np.zeros((4, scale.size)), np.empty((2, scale.size), _f)
    for span in range(sums.shape[0]):
        for c in range(scale.size):
            numbers[0, c] += sums[span, 0, c] / count
            numbers[1, c] += sums[span, 1, c] / count
    for c in range(scale.size):
        mean = numbers[0, c]
        numbers[1, c] = max(numbers[1, c] - mean * mean, 0.0)
        numbers[2, c] = 1.0 / np.sqrt(numbers[1, c] + epsilon)
        numbers[3, c] = scale[c] * numbers[2, c]
        affine[0, c] = numbers[3, c]
        affine[1, c] = shift[c] - mean * numbers[3, c]
    return numbers, affine


@kernel
def slope_of(moments: np.ndarray, count: int, numbers: np.ndarray) -> np.ndarray:
    """Return the slope (3, c) float32 of a normalization.

    Parameters
    ----------
    moments : ndarray (2, c) float64
        Sums of the gradient behind it, and of its product with the distance from the mean.
    count : int
        Values per channel.
    numbers : ndarray (4, c) float64
        From ``statistics``.
    """
    out = np.empty((3, numbers.shape[1]), _f)
    for c in range(numbers.shape[1]):
        p = numbers[3, c]
        q = -p * numbers[2, c] ** 2 * moments[1, c] / count
        out[0, c], out[1, c] = p, q
        out[2, c] = -p * moments[0, c] / count - q * numbers[0, c]
    return out


@kernel
def join_back(
    z: np.ndarray, g: np.ndarray, slope: np.ndarray, stepped: np.ndarray, stepped_slope: np.ndarray,
    passed: np.ndarray, step: int, add: int, out: np.ndarray, ends: np.ndarray, first: int,
    last: int,
) -> None:  # fmt: skip
    """Bring together the gradients of a sum that several convolutions read.

    Parameters
    ----------
    z : ndarray (n, y, x, c)
        The sum.
    g : ndarray (n, y, x, c) or (0, 0, 0, 0)
        Gradient behind a normalization.
    slope
    stepped : ndarray (n, p, q, c) or (0, 0, 0, 0)
        The same behind one of which every ``step``-th row and column was used.
    stepped_slope
    passed : ndarray (n, p, q, c) or (0, 0, 0, 0)
        Gradient of those pixels without a normalization.
    step : int
    add : int
        1 adds to what is there.
    out : ndarray (n, y, x, c)
        Takes the gradient of the sum.
    ends, first, last
        As in ``mix``.
    """
    _, rows, cols, channels = z.shape
    p, q, r = slope_by_pixel(slope, channels)
    if not p.size:
        stretch = stretch_of(channels) * channels
        p, q, r = zeros(stretch), zeros(stretch), zeros(stretch)
    rate = stepped_slope[0]
    if stepped.size:
        _, more_q, more_r = slope_by_pixel(stepped_slope, channels)
        add_row(more_q, q)
        add_row(more_r, r)
    line = memory(cols * channels)
    pixels = line.reshape(cols, channels)
    for image in range(ends[first], ends[last]):
        for y in range(rows):
            here, target = z[image, y].reshape(-1), out[image, y].reshape(-1)
            above = g[image, y].reshape(-1) if g.size else here
            sloped(above, here, p, q, r, line)
            if y % step == 0 and stepped.size:
                _add_stepped(stepped[image, y // step], rate, step, pixels)
            if y % step == 0 and passed.size:
                _add_pixels(passed[image, y // step], step, pixels)
            put_row(line, add, target)


@part
def _add_stepped(g: np.ndarray, rate: np.ndarray, step: int, out: np.ndarray) -> None:
    """Add pixels, times a rate per channel, to every ``step``-th one of a row."""
    for k in range(g.shape[0]):
        for c in range(g.shape[1]):
            out[k * step, c] += rate[c] * g[k, c]


@part
def _add_pixels(row: np.ndarray, step: int, out: np.ndarray) -> None:
    """Add pixels to every ``step``-th one of a row."""
    for k in range(row.shape[0]):
        for c in range(row.shape[1]):
            out[k * step, c] += row[k, c]


@kernel
def repeat(
    x: np.ndarray, affine: np.ndarray, factor: int, out: np.ndarray, ends: np.ndarray, first: int,
    last: int,
) -> None:  # fmt: skip
    """Repeat each pixel along both axes.

    Parameters
    ----------
    x : ndarray (n, y, x, c)
    affine
    factor : int
    out : ndarray (n, factor * y, factor * x, c)
        Takes the result.
    ends, first, last
        As in ``mix``.
    """
    _, rows, cols, channels = x.shape
    scale, shift = by_pixel(affine, channels)
    row = memory(cols * channels)
    pixels = row.reshape(cols, channels)
    for image in range(ends[first], ends[last]):
        for y in range(rows):
            activated(x[image, y].reshape(-1), scale, shift, row)
            for j in range(factor):
                for k in range(cols * factor):
                    for c in range(channels):
                        out[image, y * factor + j, k, c] = pixels[k // factor, c]


@kernel
def repeat_back(
    g: np.ndarray, factor: int, x: np.ndarray, affine: np.ndarray, mean: np.ndarray,
    gx: np.ndarray, sums: np.ndarray, ends: np.ndarray, first: int, last: int,
) -> None:  # fmt: skip
    """Add up the gradients of the copies of each pixel.

    Parameters
    ----------
    g : ndarray (n, factor * y, factor * x, c)
        Gradient of the copies.
    factor : int
    x, affine, mean
        What was repeated, as in ``mix_back``.
    gx : ndarray (n, y, x, c)
        Takes the gradient of the pixels, behind their normalization if they have one.
    sums, ends, first, last
        As in ``mix_back``.
    """
    _, rows, cols, channels = x.shape
    scale, shift = by_pixel(affine, channels)
    means, row = repeated(mean, stretch_of(channels)), memory(cols * channels)
    pixels, stretch = row.reshape(cols, channels), stretch_of(channels) * channels
    for span in range(first, last):
        total, moment, held = zeros(stretch), zeros(stretch), 0
        sums[span] = 0
        for image in range(ends[span], ends[span + 1]):
            for y in range(rows):
                row[:] = 0
                for j in range(factor):
                    above = g[image, y * factor + j]
                    for k in range(cols * factor):
                        for c in range(channels):
                            pixels[k // factor, c] += above[k, c]
                goal = gx[image, y].reshape(-1)
                if scale.size:
                    here = x[image, y].reshape(-1)
                    rectified_back(row, here, scale, shift, means, 0, goal, total, moment)
                    held = kept_sums(held + row.size, total, moment, sums[span])
                else:
                    copy_row(row, goal)
        add_sums(total, moment, sums[span])
