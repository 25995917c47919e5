"""Convolutions with kernels of one pixel, and their gradients.

``affine`` (2, c) holds the scale and the shift after which an input is rectified (2, 0: it is taken
as it is); ``slope`` (3, d) holds p, q and r, by which the gradient of an output is p g + q z + r of
the gradient g behind its normalization and the output z (3, 0: it is g). Columns of weights are
made up to whole vectors with zeros, which ``products.padded`` counts.

Samples are cut into spans. A kernel adds up what it sums within a span, and the caller adds the
spans up, in their order: which thread has which changes no digit.
"""

from __future__ import annotations

import numpy as np

from osm4eo_xr.networks.gradients.products import HEIGHT, multiply, whole
from osm4eo_xr.networks.gradients.rows import (
    add_by_channel,
    add_sums,
    add_up,
    blocks_of,
    by_pixel,
    compact,
    gather_pixels,
    kept_sums,
    kernel,
    memory,
    part,
    places_of,
    put_slopes,
    repeated,
    slope_by_pixel,
    store_back,
    store_rows,
    stretch_of,
    zeros,
)


@kernel
def mix(
    x: np.ndarray, step: int, affine: np.ndarray, weight: np.ndarray, side: np.ndarray,
    side_step: int, side_affine: np.ndarray, side_weight: np.ndarray, bias: np.ndarray,
    base: np.ndarray, out: np.ndarray, sums: np.ndarray, ends: np.ndarray, first: int, last: int,
) -> None:  # fmt: skip
    """Convolve with a kernel of one pixel; or two maps, and add up what comes out.

    Parameters
    ----------
    x : ndarray (n, y, x, c)
        Input, of which every ``step``-th row and column is used.
    step, affine
    weight : ndarray (c, padded d)
    side, side_step, side_affine, side_weight
        The same of a second input, whose map may be empty.
    bias : ndarray (d)
        Of both together.
    base : ndarray (n, p, q, d) or (0, 0, 0, 0)
        Added to the output.
    out : ndarray (n, p, q, d)
        Takes the output.
    sums : ndarray (span, 2, d) float64
        Takes the sums of the output and of its squares, per span.
    ends : ndarray (span + 1) int64
        Where the spans of samples end, from 0 on.
    first, last : int
        Spans to compute.
    """
    (_, rows, cols, outputs), wide = out.shape, weight.shape[1]
    images, high = blocks_of(rows, cols)
    count = images * high * cols
    biases = repeated(bias, stretch_of(outputs))
    found = memory(whole(count) * wide)
    pixels, side_pixels = memory(count * x.shape[3]), memory(count * side.shape[3])
    places = places_of(images, high * cols * x.shape[3], high, cols * x.shape[3], cols, x.shape[3])
    side_places = places_of(
        images, high * cols * side.shape[3], high, cols * side.shape[3], cols, side.shape[3]
    )
    scale, shift = by_pixel(affine, x.shape[3])
    side_scale, side_shift = by_pixel(side_affine, max(side.shape[3], 1))
    for span in range(first, last):
        total, square, held = zeros(biases.size), zeros(biases.size), 0
        sums[span] = 0
        for image in range(ends[span], ends[span + 1], images):
            many = min(images, ends[span + 1] - image)
            for top in range(0, rows, high):
                lines = min(high, rows - top)
                _mix_block(
                    x, image, top, many, lines, step, scale, shift, pixels, places, weight, found, 0
                )
                if side.size:
                    _mix_block(
                        side, image, top, many, lines, side_step, side_scale, side_shift,
                        side_pixels, side_places, side_weight, found, 1,
                    )  # fmt: skip
                compact(found, many * lines * cols, outputs, wide)
                store_rows(found, biases, base, out, image, top, many, lines, total, square)
                held = kept_sums(held + many * lines * cols * outputs, total, square, sums[span])
        add_sums(total, square, sums[span])


@part
def _mix_block(
    x: np.ndarray, image: int, top: int, images: int, lines: int, step: int, scale: np.ndarray,
    shift: np.ndarray, pixels: np.ndarray, places: np.ndarray, weight: np.ndarray,
    found: np.ndarray, add: int,
) -> None:  # fmt: skip
    """Multiply some rows of pixels, read where they lie if nothing is to be done with them."""
    inputs, wide = x.shape[3], weight.shape[1]
    cols = -(-x.shape[2] // step)
    count, source, at = images * lines * cols, pixels, 0
    # A product that is made up to whole rows reads on behind its pixels; there the map may end.
    if step == 1 and not scale.size and whole(count) == count:
        source, at = x.reshape(-1), (image * x.shape[1] + top) * cols * inputs
    else:
        gather_pixels(x, image, top, images, lines, step, scale, shift, pixels)
    multiply(
        source, at, places, count, 1, 0, 1, inputs, weight.reshape(-1), 0, wide, 0, found, 0, wide,
        add,
    )  # fmt: skip


@kernel
def mix_back(
    x: np.ndarray, step: int, affine: np.ndarray, mean: np.ndarray, weight: np.ndarray,
    g: np.ndarray, z: np.ndarray, slope: np.ndarray, weight_sums: np.ndarray,
    bias_sums: np.ndarray, add: int, gx: np.ndarray, sums: np.ndarray, ends: np.ndarray,
    first: int, last: int,
) -> None:  # fmt: skip
    """Take the gradient of a convolution with a kernel of one pixel back to its input.

    Parameters
    ----------
    x : ndarray (n, y, x, c)
        Input of the convolution, of which every ``step``-th row and column was used.
    step, affine
    mean : ndarray (c) or (0)
        Of the input, where it was normalized.
    weight : ndarray (d, padded c)
        Transposed.
    g, z : ndarray (n, p, q, d)
        Gradient, and output; see ``slope``.
    slope
    weight_sums : ndarray (span, whole c, padded d)
        Takes the gradient of the weights, per span.
    bias_sums : ndarray (span, d) float64
        Takes that of the bias.
    add : int
        1 adds to what is in ``gx``.
    gx : ndarray (n, p, q, c)
        Takes the gradient of the pixels that were used, behind their normalization if they have
        one.
    sums : ndarray (span, 2, c) float64
        Takes the sums of that, and of its product with the input's distance from the mean.
    ends, first, last
        As in ``mix``.
    """
    (_, rows, cols, outputs), inputs = g.shape, x.shape[3]
    (height, wide), back = weight_sums.shape[1:], weight.shape[1]
    images, high = blocks_of(rows, cols)
    pixels = images * high * cols
    places = places_of(images, high * cols * wide, high, cols * wide, cols, wide)
    channels = np.arange(height)
    scale, shift = by_pixel(affine, inputs)
    means = repeated(mean, stretch_of(inputs))
    p, q, r = slope_by_pixel(slope, outputs)
    gathered, found = zeros(pixels * inputs + HEIGHT), memory(places.size * back)
    slopes, line, here = zeros(pixels * wide), memory(cols * outputs), memory(cols * inputs)
    weights, above, x_flat = weight.reshape(-1), g.reshape(-1), x.reshape(-1)
    # As in mix; and where nothing is to be done with the gradients, they are read where they lie.
    plain, given = step == 1 and not scale.size and height == inputs, not p.size and outputs == wide
    for span in range(first, last):
        weight_sums[span] = 0
        products = weight_sums[span].reshape(-1)
        total, moment = zeros(stretch_of(inputs) * inputs), zeros(stretch_of(inputs) * inputs)
        bias, held = zeros(stretch_of(outputs) * outputs), 0
        sums[span], bias_sums[span] = 0, 0
        for image in range(ends[span], ends[span + 1], images):
            many = min(images, ends[span + 1] - image)
            for top in range(0, rows, high):
                lines = min(high, rows - top)
                count = many * lines * cols
                at, there = (image * rows + top) * cols * inputs, (image * rows + top) * cols * wide
                source, slope_source = x_flat, above
                if not plain:
                    source, at = gathered, 0
                    gather_pixels(x, image, top, many, lines, step, scale, shift, gathered)
                if not given or whole(count) != count:
                    slope_source, there = slopes, 0
                    for k in range(many * lines):
                        i, y = image + k // lines, top + k % lines
                        put_slopes(g, z, i, y, p, q, r, wide, line, slopes[k * cols * wide :])
                if not p.size and bias_sums.size:
                    first_pixel = (image * rows + top) * cols
                    add_up(above[first_pixel * outputs :][: count * outputs], bias)
                multiply(
                    source, at, channels, height, inputs, 0, 1, count, slope_source, there, wide, 0,
                    products, 0, wide, 1,
                )  # fmt: skip
                multiply(
                    slope_source, there, places, count, 1, 0, 1, outputs, weights, 0, back, 0,
                    found, 0, back, 0,
                )  # fmt: skip
                compact(found, count, inputs, back)
                store_back(
                    found, x, step, scale, shift, means, add, gx, image, top, many, lines, here,
                    total, moment,
                )  # fmt: skip
                held = kept_sums(held + count * inputs, total, moment, sums[span])
            if bias_sums.size:
                add_by_channel(bias, bias_sums[span])
                bias[:] = 0
        add_sums(total, moment, sums[span])
