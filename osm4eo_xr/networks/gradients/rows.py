"""Numbers of feature maps, as the kernels go through them.

Maps are (n, y, x, channel) float32 in C order. A kernel goes through rows of pixels in stretches of
a few hundred numbers, beside which one value per channel lies repeated for each pixel: these fit
into the first cache together, and long loops are what the processor's vectors are good at.

Two arrays in a loop are cheap; of many at once the compiler does not find out that none overlaps
another, and goes through them number by number. numba assigns slices slowly.
"""

from __future__ import annotations

import numpy as np

from osm4eo_xr.networks.gradients.products import HEIGHT, LINE, whole
from osm4eo_xr.process.compiled import compiled

_PIXELS = 256  # of a product, about: they stay in the second cache
_STRETCH = 512  # numbers
_MOST_ADDED = 64  # numbers to one in 32 bits, about, before it goes on in 64

_f = np.float32

kernel = compiled(fastmath={"contract"})
"""Compiles what Python calls, without the GIL."""

part = compiled(fastmath={"contract"}, no_cpython_wrapper=True, no_cfunc_wrapper=True)
"""Compiles what kernels alone call."""


@part
def memory(count: int) -> np.ndarray:
    """Return memory for so many numbers, which begins with a line of the cache."""
    out = np.empty(count + LINE, _f)
    first = (-(out.ctypes.data // out.itemsize)) % LINE
    return out[first:][:count]


@part
def zeros(count: int) -> np.ndarray:
    """Return such memory, filled with zeros."""
    out = memory(count)
    out[:] = 0
    return out


@part
def stretch_of(channels: int) -> int:
    """Return the pixels of a stretch."""
    return max(1, _STRETCH // channels)


@part
def repeated(values: np.ndarray, times: int) -> np.ndarray:
    """Return a vector repeated."""
    out = memory(values.size * times)
    for k in range(times):
        for c in range(values.size):
            out[k * values.size + c] = values[c]
    return out


@part
def by_pixel(affine: np.ndarray, channels: int) -> tuple[np.ndarray, np.ndarray]:
    """Return scale and shift for each number of a stretch; or nothing, for nothing."""
    pixels = stretch_of(channels)
    return repeated(affine[0], pixels), repeated(affine[1], pixels)


@part
def slope_by_pixel(slope: np.ndarray, channels: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return p, q and r for each number of a stretch; or nothing, for nothing."""
    pixels = stretch_of(channels)
    return repeated(slope[0], pixels), repeated(slope[1], pixels), repeated(slope[2], pixels)


@part
def add_by_channel(values: np.ndarray, sums: np.ndarray) -> None:
    """Add up a row's values by channel."""
    channels = sums.size
    for k in range(0, values.size, channels):
        for c in range(channels):
            sums[c] += np.float64(values[k + c])


@part
def copy_row(row: np.ndarray, out: np.ndarray) -> None:
    """Copy a row."""
    for k in range(row.size):
        out[k] = row[k]


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
        copy_row(row, out)


@part
def add_up(row: np.ndarray, total: np.ndarray) -> None:
    """Add the stretches of a row to a stretch of sums."""
    for k in range(0, row.size, total.size):
        add_row(row[k:][: total.size], total)


@part
def activated(x: np.ndarray, scale: np.ndarray, shift: np.ndarray, out: np.ndarray) -> None:
    """Normalize and rectify a row, or take it as it is where there is no scale."""
    if not scale.size:
        copy_row(x, out)
        return
    for first in range(0, x.size, scale.size):
        here, goal = x[first:][: scale.size], out[first:][: scale.size]
        for k in range(here.size):
            goal[k] = max(here[k] * scale[k] + shift[k], _f(0))


@part
def activate(row: np.ndarray, scale: np.ndarray, shift: np.ndarray) -> None:
    """Normalize and rectify a row in place, where there is a scale."""
    if not scale.size:
        return
    for first in range(0, row.size, scale.size):
        here = row[first:][: scale.size]
        for k in range(here.size):
            here[k] = max(here[k] * scale[k] + shift[k], _f(0))


@part
def finish_row(
    found: np.ndarray, bias: np.ndarray, base: np.ndarray, out: np.ndarray, total: np.ndarray,
    square: np.ndarray,
) -> None:  # fmt: skip
    """Write a row of a convolution's output, and add up its values and their squares."""
    for first in range(0, out.size, bias.size):
        here, goal = found[first:][: bias.size], out[first:][: bias.size]
        if base.size:
            under = base[first:][: bias.size]
            for k in range(goal.size):
                goal[k] = here[k] + bias[k] + under[k]
        else:
            for k in range(goal.size):
                goal[k] = here[k] + bias[k]
        for k in range(goal.size):
            total[k] += goal[k]
            square[k] += goal[k] * goal[k]


@part
def sloped(
    g: np.ndarray, z: np.ndarray, p: np.ndarray, q: np.ndarray, r: np.ndarray, out: np.ndarray
) -> None:
    """Take a row of gradients back through a normalization."""
    for first in range(0, g.size, p.size):
        above, here, goal = g[first:][: p.size], z[first:][: p.size], out[first:][: p.size]
        for k in range(goal.size):
            goal[k] = p[k] * above[k] + q[k] * here[k] + r[k]


@part
def rectified_back(
    found: np.ndarray, x: np.ndarray, scale: np.ndarray, shift: np.ndarray, mean: np.ndarray,
    add: int, out: np.ndarray, total: np.ndarray, product: np.ndarray,
) -> None:  # fmt: skip
    """Write a row of gradients behind a rectifier, and add up what its normalization needs."""
    for first in range(0, out.size, scale.size):
        g, here, goal = (
            found[first:][: scale.size], x[first:][: scale.size], out[first:][: scale.size]
        )  # fmt: skip
        for k in range(goal.size):
            above = g[k]  # read in any case, so that the loop has no branch
            g[k] = above if here[k] * scale[k] + shift[k] > _f(0) else _f(0)
        for k in range(goal.size):
            total[k] += g[k]
            product[k] += g[k] * (here[k] - mean[k])
        put_row(g, add, goal)


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
        copy_row(row, out)
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
    _, high, across, channels = x.shape
    cols = -(-across // step)
    block = rows * cols * channels
    if step == 1:
        source = x.reshape(-1)
        for i in range(images):
            first = ((image + i) * high + top) * across * channels
            activated(source[first:][:block], scale, shift, out[i * block :][:block])
        return
    pixels = out[: images * block].reshape(-1, channels)
    for k in range(images * rows):
        i, y = image + k // rows, (top + k % rows) * step
        for j in range(cols):
            for c in range(channels):
                pixels[k * cols + j, c] = x[i, y, j * step, c]
    activate(out[: images * block], scale, shift)


@part
def store_rows(
    found: np.ndarray, bias: np.ndarray, base: np.ndarray, out: np.ndarray, image: int, top: int,
    images: int, lines: int, total: np.ndarray, square: np.ndarray,
) -> None:  # fmt: skip
    """Write the rows of a product into a map, as ``finish_row`` does."""
    _, rows, cols, channels = out.shape
    row, goal, under = cols * channels, out.reshape(-1), base.reshape(-1)
    block = lines * row
    for i in range(images):
        first = ((image + i) * rows + top) * row
        finish_row(
            found[i * block :][:block], bias, under[first:][:block], goal[first:][:block], total,
            square,
        )  # fmt: skip


@part
def add_sums(total: np.ndarray, other: np.ndarray, sums: np.ndarray) -> None:
    """Add two stretches of sums up by channel, and empty them."""
    add_by_channel(total, sums[0])
    add_by_channel(other, sums[1])
    total[:] = 0
    other[:] = 0


@part
def kept_sums(held: int, total: np.ndarray, other: np.ndarray, sums: np.ndarray) -> int:
    """Return how many numbers stretches of sums hold, which are emptied in time.

    What is added up in 32 bits loses digits with each number.
    """
    if held < _MOST_ADDED * total.size:
        return held
    add_sums(total, other, sums)
    return 0


@part
def put_slopes(
    g: np.ndarray, z: np.ndarray, image: int, y: int, p: np.ndarray, q: np.ndarray, r: np.ndarray,
    wide: int, line: np.ndarray, out: np.ndarray,
) -> None:  # fmt: skip
    """Put a row's gradients before its normalization where a product reads them."""
    above, outputs = g[image, y].reshape(-1), g.shape[3]
    if not p.size:
        spread(above, outputs, wide, out)
    elif outputs == wide:
        sloped(above, z[image, y].reshape(-1), p, q, r, out[: above.size])
    else:
        sloped(above, z[image, y].reshape(-1), p, q, r, line)
        spread(line, outputs, wide, out)


@part
def store_back(
    found: np.ndarray, x: np.ndarray, step: int, scale: np.ndarray, shift: np.ndarray,
    means: np.ndarray, add: int, out: np.ndarray, image: int, top: int, images: int, lines: int,
    here: np.ndarray, total: np.ndarray, moment: np.ndarray,
) -> None:  # fmt: skip
    """Write the rows of a product into a map's gradient, back through a rectifier if there is one.

    ``here`` is memory for a row of ``x``.
    """
    nothing, row = memory(0), here.size
    for i in range(images):
        for y in range(lines):
            got = found[(i * lines + y) * row :][:row]
            goal = out[image + i, top + y].reshape(-1)
            if scale.size:
                gather_pixels(x, image + i, top + y, 1, 1, step, nothing, nothing, here)
                rectified_back(got, here, scale, shift, means, add, goal, total, moment)
            else:
                put_row(got, add, goal)
