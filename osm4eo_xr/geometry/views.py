"""The eight flips and quarter turns of a square: one group for augmentation and for averages.

Each is made of three steps: rows and columns change places, rows are turned upside down, columns
are mirrored; each of them done or not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

VIEWS = 8
"""Flips and quarter turns of a square, itself included."""

_TRANSPOSED, _UPSIDE_DOWN, _MIRRORED = 1, 2, 4  # what a view's number is made of

Choose = Callable[[Any, Any, Any], Any]
"""Takes whether a step is done, the image after it and the image before it."""


def view(number: int, x: Any) -> Any:
    """Return a view of square images (..., y, x), of NumPy or jax; number 0 is the image itself."""
    return turned(x, *_steps(number), choose=_one_of, axes=(-2, -1))


def view_back(number: int, x: Any) -> Any:
    """Undo ``view``."""
    transposed, upside_down, mirrored = _steps(number)
    flips = (mirrored, upside_down) if transposed else (upside_down, mirrored)
    return turned(x, transposed, *flips, choose=_one_of, axes=(-2, -1))


def turned(
    x: Any,
    transposed: Any,
    upside_down: Any,
    mirrored: Any,
    *,
    choose: Choose,
    axes: tuple[int, int],
) -> Any:
    """Return square images after those steps that are chosen.

    Parameters
    ----------
    x : array
        Of NumPy or jax.
    transposed, upside_down, mirrored
        Whether a step is done, as ``choose`` takes it: one answer for all, or one per image.
    choose : callable
        Returns the image after a step where it is done, else before it.
    axes : tuple of int
        Rows and columns.
    """
    rows, columns = axes
    x = choose(transposed, x.swapaxes(rows, columns), x)
    x = choose(upside_down, _reversed(x, rows), x)
    return choose(mirrored, _reversed(x, columns), x)


def _steps(number: int) -> tuple[bool, bool, bool]:
    """Return which steps make a view."""
    return bool(number & _TRANSPOSED), bool(number & _UPSIDE_DOWN), bool(number & _MIRRORED)


def _one_of(done: bool, after: Any, before: Any) -> Any:  # noqa: FBT001 - as jnp.where takes them
    return after if done else before


def _reversed(x: Any, axis: int) -> Any:
    """Return an array with one axis backwards."""
    return x[tuple(slice(None, None, -1 if k == axis % x.ndim else None) for k in range(x.ndim))]
