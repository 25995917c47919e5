"""Convolutions with kernels of several pixels, and their gradients.

Arguments as in ``pointwise``.
"""

from __future__ import annotations

import numpy as np

from osm4eo_xr.networks.gradients.products import multiply
from osm4eo_xr.networks.gradients.rows import (
    activated,
    add_sums,
    blocks_of,
    by_pixel,
    compact,
    kept_sums,
    kernel,
    memory,
    part,
    places_of,
    put_slopes,
    repeated,
    slope_by_pixel,
    spare_of,
    store_back,
    store_rows,
    stretch_of,
    zeros,
)


@part
def _fill_padded(
    x: np.ndarray, image: int, images: int, reach: int, scale: np.ndarray, shift: np.ndarray,
    out: np.ndarray,
) -> None:  # fmt: skip
    """Put images within the zeros that ``out`` has, activated where there is a scale."""
    _, rows, cols, channels = x.shape
    row, line = cols * channels, (cols + 2 * reach) * channels
    for i in range(images):
        for y in range(rows):
            at = (i * (rows + 2 * reach) + y + reach) * line + reach * channels
            source = x[image + i, y].reshape(-1)
            activated(source, scale, shift, out[at:][:row])


@kernel
def convolve(
    x: np.ndarray, width: int, affine: np.ndarray, weight: np.ndarray, bias: np.ndarray,
    out: np.ndarray, sums: np.ndarray, ends: np.ndarray, first: int, last: int,
) -> None:  # fmt: skip
    """Convolve with an odd square kernel and zero "same" padding.

    Parameters
    ----------
    x : ndarray (n, y, x, c)
        Input.
    width : int
        Pixels of the kernel.
    affine
    weight : ndarray (width * width * c, padded d)
    bias, out, sums, ends, first, last
        As in ``mix``.
    """
    (_, rows, cols, outputs), inputs, wide = out.shape, x.shape[3], weight.shape[1]
    reach, depth = width // 2, width * inputs
    images, high = blocks_of(rows, cols)
    line = (cols + 2 * reach) * inputs
    plane = (rows + 2 * reach) * line
    places = places_of(images, plane, high, line, cols, inputs)
    scale, shift = by_pixel(affine, inputs)
    biases, nothing = repeated(bias, stretch_of(outputs)), memory(0).reshape(0, 1, 1, 1)
    around = zeros(images * plane + spare_of(cols, line))
    found = memory(places.size * wide)
    weights = weight.reshape(-1)
    for span in range(first, last):
        total, square, held = zeros(biases.size), zeros(biases.size), 0
        sums[span] = 0
        for image in range(ends[span], ends[span + 1], images):
            many = min(images, ends[span + 1] - image)
            _fill_padded(x, image, many, reach, scale, shift, around)
            for top in range(0, rows, high):
                lines = min(high, rows - top)
                count = many * lines * cols
                multiply(
                    around, top * line, places, count, 1, line, width, depth, weights, 0, wide,
                    depth * wide, found, 0, wide, 0,
                )  # fmt: skip
                compact(found, count, outputs, wide)
                store_rows(found, biases, nothing, out, image, top, many, lines, total, square)
                held = kept_sums(held + count * outputs, total, square, sums[span])
        add_sums(total, square, sums[span])


@kernel
def convolve_back(
    x: np.ndarray, width: int, affine: np.ndarray, mean: np.ndarray, weight: np.ndarray,
    g: np.ndarray, z: np.ndarray, slope: np.ndarray, weight_sums: np.ndarray, gx: np.ndarray,
    sums: np.ndarray, ends: np.ndarray, first: int, last: int,
) -> None:  # fmt: skip
    """Take the gradient of a convolution with an odd square kernel back to its input.

    Parameters
    ----------
    x : ndarray (n, y, x, c)
        Input of the convolution.
    width, affine
    mean : ndarray (c) or (0)
        Of the input, where it was normalized.
    weight : ndarray (width * width * padded d, padded c)
        Turned by half a turn and transposed.
    g, z : ndarray (n, y, x, d)
        Gradient, and output; see ``slope``.
    slope
    weight_sums : ndarray (span, width, whole (width * c), padded d)
        Takes the gradient of the weights, per span.
    gx : ndarray (n, y, x, c) or (0, 0, 0, 0)
        Takes the gradient of the input, behind its normalization if it has one; or nobody asks.
    sums : ndarray (span, 2, c) float64
        Takes the sums of that, and of its product with the input's distance from the mean.
    ends, first, last
        As in ``mix``.
    """
    (_, rows, cols, outputs), inputs = g.shape, x.shape[3]
    (height, wide), back, reach = weight_sums.shape[2:], weight.shape[1], width // 2
    images, high = blocks_of(rows, cols)
    row, across, out_row = cols * inputs, cols + 2 * reach, cols * outputs
    line, out_line = across * inputs, across * wide
    plane, out_plane = (rows + 2 * reach) * line, (rows + 2 * reach) * out_line
    places = places_of(images, out_plane, high, out_line, cols, wide)
    channels = np.arange(height)
    scale, shift = by_pixel(affine, inputs)
    means = repeated(mean, stretch_of(inputs))
    p, q, r = slope_by_pixel(slope, outputs)
    around = zeros(images * plane + spare_of(cols, line))
    slopes = zeros(images * out_plane + spare_of(cols, out_line))
    found, here = memory(places.size * back), memory(row)
    row_slopes = memory(out_row)
    weights, depth = weight.reshape(-1), width * wide
    for span in range(first, last):
        weight_sums[span] = 0
        products = weight_sums[span].reshape(-1)
        total, moment = zeros(stretch_of(inputs) * inputs), zeros(stretch_of(inputs) * inputs)
        sums[span], held = 0, 0
        for image in range(ends[span], ends[span + 1], images):
            many = min(images, ends[span + 1] - image)
            _fill_padded(x, image, many, reach, scale, shift, around)
            for k in range(many * rows):
                i, y = k // rows, k % rows
                at = i * out_plane + (y + reach) * out_line + reach * wide
                put_slopes(g, z, image + i, y, p, q, r, wide, row_slopes, slopes[at:])
            for top in range(0, rows, high):
                lines = min(high, rows - top)
                count = many * lines * cols
                for i in range(many):
                    at = i * out_plane + (top + reach) * out_line + reach * wide
                    for j in range(width):
                        multiply(
                            around, i * plane + (top + j) * line, channels, height, inputs, line,
                            lines, cols, slopes, at, wide, out_line, products, j * height * wide,
                            wide, 1,
                        )  # fmt: skip
                if not gx.size:
                    continue
                multiply(
                    slopes, top * out_line, places, count, 1, out_line, width, depth, weights, 0,
                    back, depth * back, found, 0, back, 0,
                )  # fmt: skip
                compact(found, count, inputs, back)
                store_back(
                    found, x, 1, scale, shift, means, 0, gx, image, top, many, lines, here, total,
                    moment,
                )  # fmt: skip
                held = kept_sums(held + count * inputs, total, moment, sums[span])
        add_sums(total, moment, sums[span])
