"""Rows of feature maps, as the kernels go through them.

Maps are (n, y, x, channel) float32 in C order, and rows of pixels are flat: loops over whole rows,
with one value per channel repeated for each pixel, are what the processor's vectors are good at.
"""

from __future__ import annotations

import numpy as np

from osm4eo_xr.networks.gradients.products import HEIGHT, whole
from osm4eo_xr.process.compiled import compiled

_PIXELS = 256  # of a product, about: they stay in the first caches

_f = np.float32

kernel = compiled(fastmath={"contract"})
"""Compiles what Python calls, without the GIL."""

part = compiled(fastmath={"contract"}, no_cpython_wrapper=True, no_cfunc_wrapper=True)
"""Compiles what kernels alone call."""


@part
def repeated(values: np.ndarray, times: int) -> np.ndarray:
    """Return a vector repeated."""
    out = np.empty(values.size * times, _f)
    for k in range(times):
        out[k * values.size : (k + 1) * values.size] = values
    return out


@part
def add_by_channel(values: np.ndarray, sums: np.ndarray) -> None:
    """Add up a row's values by channel."""
    channels = sums.size
    for k in range(0, values.size, channels):
        for c in range(channels):
            sums[c] += np.float64(values[k + c])


@part
def activated(x: np.ndarray, scale: np.ndarray, shift: np.ndarray, out: np.ndarray) -> None:
    """Normalize and rectify a row, or take it as it is where there is no scale."""
    if not scale.size:
        out[:] = x
        return
    for k in range(out.size):
        out[k] = max(x[k] * scale[k] + shift[k], _f(0))


@part
def finish_row(
    found: np.ndarray, bias: np.ndarray, base: np.ndarray, out: np.ndarray, total: np.ndarray,
    square: np.ndarray,
) -> None:  # fmt: skip
    """Write a row of a convolution's output, and add up its values and their squares."""
    if base.size:
        for k in range(out.size):
            out[k] = found[k] + bias[k] + base[k]
    else:
        for k in range(out.size):
            out[k] = found[k] + bias[k]
    for k in range(total.size):
        total[k] += out[k]
        square[k] += out[k] * out[k]


@part
def sloped(
    g: np.ndarray, z: np.ndarray, p: np.ndarray, q: np.ndarray, r: np.ndarray, out: np.ndarray
) -> None:
    """Take a row of gradients back through a normalization."""
    for k in range(out.size):
        out[k] = p[k] * g[k] + q[k] * z[k] + r[k]


@part
def rectified_back(
    found: np.ndarray, x: np.ndarray, scale: np.ndarray, shift: np.ndarray, mean: np.ndarray,
    add: int, out: np.ndarray, total: np.ndarray, product: np.ndarray,
) -> None:  # fmt: skip
    """Write a row of gradients behind a rectifier, and add up what its normalization needs."""
    for k in range(out.size):
        g = found[k]  # read in any case, so that the loop has no branch
        g = g if x[k] * scale[k] + shift[k] > _f(0) else _f(0)
        found[k] = g
        total[k] += g
        product[k] += g * (x[k] - mean[k])
    put_row(found, add, out)


@part
def add_row(row: np.ndarray, out: np.ndarray) -> None:
    """Add a row to another."""
    for k in range(row.size):
        out[k] += row[k]


@part
def put_row(row: np.ndarray, add: int, out: np.ndarray) -> None:
    """Add a row to another, or put it there."""
    if add:
        add_row(row, out)
    else:
        out[:] = row


@part
def blocks_of(rows: int, cols: int) -> tuple[int, int]:
    """Return the images and rows of a product."""
    return max(1, _PIXELS // (rows * cols)), max(1, min(rows, _PIXELS // cols))


@part
def places_of(images: int, plane: int, rows: int, line: int, cols: int, step: int) -> np.ndarray:
    """Return where pixels begin, with the last one repeated to whole rows of a product."""
    count = images * rows * cols
    out = np.empty(whole(count), np.int64)
    for k in range(out.size):
        pixel = min(k, count - 1)
        x, y = pixel % cols, pixel // cols
        out[k] = (y // rows) * plane + (y % rows) * line + x * step
    return out


@part
def spare_of(cols: int, line: int) -> int:
    """Return the numbers behind an image that a product reads which is made up to whole rows."""
    return -(-HEIGHT // cols) * line


@part
def compact(found: np.ndarray, count: int, columns: int, wide: int) -> None:
    """Close up the rows of a product, in place."""
    if columns < wide:
        for k in range(count):
            for c in range(columns):
                found[k * columns + c] = found[k * wide + c]


@part
def spread(row: np.ndarray, columns: int, wide: int, out: np.ndarray) -> None:
    """Put each pixel's numbers where a product reads them; those between stay."""
    if columns == wide:
        out[: row.size] = row
        return
    for k in range(row.size // columns):
        for c in range(columns):
            out[k * wide + c] = row[k * columns + c]


@part
def gather_pixels(
    x: np.ndarray, image: int, top: int, images: int, rows: int, step: int, scale: np.ndarray,
    shift: np.ndarray, out: np.ndarray,
) -> None:  # fmt: skip
    """Gather every ``step``-th pixel of some rows, activated where there is a scale."""
    across, channels = x.shape[2], x.shape[3]
    cols = -(-across // step)
    row = cols * channels
    for i in range(images):
        for y in range(rows):
            source = x[image + i, (top + y) * step].reshape(-1)
            target = out[(i * rows + y) * row :][:row]
            if step == 1:
                activated(source, scale, shift, target)
            else:
                for k in range(cols):
                    pixel = source[k * step * channels :][:channels]
                    activated(pixel, scale, shift, target[k * channels :][:channels])


@part
def store_rows(
    found: np.ndarray, bias: np.ndarray, base: np.ndarray, out: np.ndarray, image: int, top: int,
    images: int, lines: int, total: np.ndarray, square: np.ndarray,
) -> None:  # fmt: skip
    """Write the rows of a product into a map, as ``finish_row`` does."""
    nothing, row = np.empty(0, _f), bias.size
    for i in range(images):
        for y in range(lines):
            finish_row(
                found[(i * lines + y) * row :][:row], bias,
                base[image + i, top + y].reshape(-1) if base.size else nothing,
                out[image + i, top + y].reshape(-1), total, square,
            )  # fmt: skip


@part
def put_sums(total: np.ndarray, other: np.ndarray, sums: np.ndarray) -> None:
    """Put two rows' sums by channel."""
    sums[:] = 0
    add_by_channel(total, sums[0])
    add_by_channel(other, sums[1])


@part
def put_slopes(
    g: np.ndarray, z: np.ndarray, image: int, y: int, p: np.ndarray, q: np.ndarray, r: np.ndarray,
    wide: int, line: np.ndarray, out: np.ndarray,
) -> None:  # fmt: skip
    """Put a row's gradients before its normalization where a product reads them."""
    above, outputs = g[image, y].reshape(-1), g.shape[3]
    if p.size:
        sloped(above, z[image, y].reshape(-1), p, q, r, line)
        spread(line, outputs, wide, out)
    else:
        spread(above, outputs, wide, out)


@part
def store_back(
    found: np.ndarray, x: np.ndarray, step: int, scale: np.ndarray, shift: np.ndarray,
    means: np.ndarray, add: int, out: np.ndarray, image: int, top: int, images: int, lines: int,
    here: np.ndarray, total: np.ndarray, moment: np.ndarray,
) -> None:  # fmt: skip
    """Write the rows of a product into a map's gradient, back through a rectifier if there is one.

    ``here`` is memory for a row of ``x``.
    """
    nothing, row = np.empty(0, _f), here.size
    for i in range(images):
        for y in range(lines):
            got = found[(i * lines + y) * row :][:row]
            goal = out[image + i, top + y].reshape(-1)
            if scale.size:
                gather_pixels(x, image + i, top + y, 1, 1, step, nothing, nothing, here)
                rectified_back(got, here, scale, shift, means, add, goal, total, moment)
            else:
                put_row(got, add, goal)
