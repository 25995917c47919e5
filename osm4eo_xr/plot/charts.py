"""Charts of scores: confusion matrix, training curves, distances to samples."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from osm4eo_xr.errors import InputError
from osm4eo_xr.plot.figures import new_figure

if TYPE_CHECKING:
    from jaxtyping import Num

_DARK = 0.5  # share of a row above which a cell's number is written in white
_COUNTERS = ("epoch", "step")


def plot_confusion(
    counts: Num[np.ndarray, "reference map"], names: Sequence[str], *, title: str = ""
) -> Figure:
    """Draw a confusion matrix: counts, shaded by their share of the reference class.

    Parameters
    ----------
    counts : ndarray (reference, map)
        Pixels or points of each reference class (rows) that the map gives each class (columns),
        for example ``counts`` of an ``AccuracyReport``.
    names : sequence of str
        Class names in the order of rows and columns.
    title : str
        Heading.

    Returns
    -------
    Figure
        Save it with ``figure.savefig(path)``; it needs no display.

    Raises
    ------
    InputError
        If the matrix is not square with a name for each row.

    Examples
    --------
    >>> import numpy as np, osm4eo_xr as oxr
    >>> figure = oxr.plot_confusion(np.array([[9, 1], [2, 8]]), ["forest", "water"])
    >>> figure.savefig("confusion.png")
    """
    counts = np.asarray(counts)
    n = len(names)
    if counts.shape != (n, n):
        raise InputError(f"a matrix of {counts.shape} does not fit {n} class names")
    rows = counts.sum(axis=1, keepdims=True)
    share = np.divide(counts, rows, out=np.zeros(counts.shape), where=rows > 0)
    figure = new_figure((0.62 * n + 3.2, 0.5 * n + 2.4))
    axis = figure.subplots()
    axis.imshow(share, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    axis.set_xticks(range(n), names, rotation=45, ha="right", fontsize=8)
    axis.set_yticks(range(n), names, fontsize=8)
    axis.set(xlabel="map", ylabel="reference", title=title)
    for (i, j), value in np.ndenumerate(counts):
        if value:
            color = "white" if share[i, j] > _DARK else "black"
            axis.text(j, i, _short(value), ha="center", va="center", color=color, fontsize=7)
    return figure


def plot_training(
    history: Mapping[str, Sequence[float | None]] | Sequence[Mapping[str, Any]],
    *,
    title: str = "",
) -> Figure:
    """Draw how losses and scores went over the epochs.

    Parameters
    ----------
    history : mapping of str to sequence of float, or sequence of mappings
        Series by name, for example ``loss``, ``validation_loss``, ``validation_accuracy``, or a
        record per epoch, as in ``model.training["history"]``. Names that hold "loss" share one
        panel, all others a second one; what is missing or no number is a gap.
    title : str
        Heading.

    Returns
    -------
    Figure
        Save it with ``figure.savefig(path)``; it needs no display.

    Raises
    ------
    InputError
        If it holds no number.

    Examples
    --------
    >>> import osm4eo_xr as oxr
    >>> history = {"loss": [1.2, 0.8, 0.7], "validation_accuracy": [0.5, 0.6, 0.62]}
    >>> oxr.plot_training(history).savefig("training.png")
    """
    curves = training_series(history)
    if not curves:
        raise InputError(
            "an empty training history has no curves", advice="train for at least one epoch"
        )
    losses = {k: v for k, v in curves.items() if "loss" in k}
    scores = {k: v for k, v in curves.items() if "loss" not in k}
    panels = [(label, p) for label, p in (("loss", losses), ("score", scores)) if p]
    figure = new_figure((5.0 * len(panels), 3.6))
    axes = np.atleast_1d(figure.subplots(1, len(panels)))
    for axis, (label, drawn) in zip(axes, panels, strict=True):
        for name, values in drawn.items():
            axis.plot(range(1, len(values) + 1), values, marker=".", label=name.replace("_", " "))
        axis.set(xlabel="epoch", ylabel=label)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.grid(alpha=0.3)
        axis.legend(frameon=False, fontsize=8)
    figure.suptitle(title)
    return figure


def training_series(history: Any) -> dict[str, list[float]]:
    """Return the series of numbers of a training history, NaN where an epoch has none.

    Parameters
    ----------
    history : mapping, sequence of mappings or None
        As for ``plot_training``; anything else has no series.
    """
    if isinstance(history, Sequence) and all(isinstance(row, Mapping) for row in history):
        names = dict.fromkeys(name for row in history for name in row)
        history = {name: [row.get(name) for row in history] for name in names}
    if not isinstance(history, Mapping):
        return {}
    numbers = {
        name: [math.nan if value is None else float(value) for value in values]
        for name, values in history.items()
        if name not in _COUNTERS and _are_numbers(values)
    }
    return {name: values for name, values in numbers.items() if not all(map(math.isnan, values))}


def _are_numbers(values: Any) -> bool:
    listed = isinstance(values, Sequence | np.ndarray) and not isinstance(values, str)
    return listed and all(v is None or (np.isscalar(v) and not isinstance(v, str)) for v in values)


def plot_distances(distances: Mapping[str, np.ndarray], *, title: str = "") -> Figure:
    """Draw the share of places whose nearest sample lies within each distance.

    Parameters
    ----------
    distances : mapping of str to ndarray
        Meters, a curve per name; 0 is drawn as 1 m.
    title : str
        Heading.
    """
    figure = new_figure((6.4, 3.9))
    axis = figure.subplots()
    for name, values in distances.items():
        meters = np.sort(np.maximum(values, 1.0))
        if meters.size:
            share = np.arange(1, meters.size + 1) / meters.size
            axis.step(meters, share, where="post", label=f"{name}, {meters.size:,}")
    axis.set_xscale("log")
    axis.set(xlabel="distance to the nearest sample / m", ylabel="share", ylim=(0, 1.02))
    axis.grid(alpha=0.3, which="both")
    axis.legend(frameon=False, fontsize=8, loc="lower right")
    axis.set_title(title, fontsize=10)
    return figure


def _short(value: float) -> str:
    """Write a count in at most four characters or so."""
    for limit, unit, suffix in ((1e6, 1e6, "M"), (1e4, 1e3, "k")):
        if value >= limit:
            return f"{value / unit:.3g}{suffix}"
    return f"{value:.0f}"
