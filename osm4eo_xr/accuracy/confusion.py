"""Confusion counts: pairs of classes of a reference and a map, which add up over chunks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from osm4eo_xr.geometry.known_classes import refuse_others

if TYPE_CHECKING:
    from jaxtyping import Int64, UInt8

    from osm4eo_xr.legend import Legend

__all__ = ["cohens_kappa", "confusion_counts", "plain_number", "quotient"]


def cohens_kappa(counts: Int64[np.ndarray, "k k"]) -> float:
    """Return the agreement of two sides beyond that of chance; NaN where chance agrees fully.

    Source
    ------
    Cohen 1960, "A coefficient of agreement for nominal scales".
    """
    rows, cols, total = counts.sum(axis=1), counts.sum(axis=0), float(counts.sum())
    chance = float(quotient(float(rows.astype(float) @ cols), total**2))
    return float(quotient(quotient(np.trace(counts), total) - chance, 1.0 - chance))


def confusion_counts(
    reference: UInt8[np.ndarray, "*n"], predicted: UInt8[np.ndarray, "*n"], legend: Legend
) -> tuple[Int64[np.ndarray, "k k"], int]:
    """Count pairs of classes.

    Parameters
    ----------
    reference, predicted : ndarray
        Class ids, 0 = none. Pairs without a reference are not counted.
    legend : Legend
        The classes; rows and columns of the counts are in its order.

    Returns
    -------
    tuple
        Counts (reference, map), and the number of pairs with a reference but no map.

    Raises
    ------
    InputError
        If either side holds a class that the legend does not have.
    """
    pairs = np.bincount(
        reference.ravel().astype(np.int64) * 256 + predicted.ravel(), minlength=65536
    )
    pairs = pairs.reshape(256, 256)
    _check_known(pairs, legend)
    ids = np.asarray(legend.ids)
    return pairs[np.ix_(ids, ids)].astype(np.int64), int(pairs[ids, 0].sum())


def _check_known(pairs: np.ndarray, legend: Legend) -> None:
    """Refuse classes that the legend lacks."""
    for side, found in (("reference", pairs[1:].sum(axis=1)), ("map", pairs[1:, 1:].sum(axis=0))):
        counts = dict(enumerate(found.tolist(), start=1))
        refuse_others(counts, legend, f"the {side}", "the pairs")


def quotient(part: Any, whole: Any) -> Any:
    """Divide, NaN where the divisor is 0."""
    part, whole = np.asarray(part, float), np.asarray(whole, float)
    return np.divide(part, whole, out=np.full(np.shape(part), np.nan), where=whole != 0)


def plain_number(value: Any, digits: int | None = None) -> float | None:
    """Return a JSON number, to so many digits if they are given; None for what is undefined."""
    if not np.isfinite(value):
        return None
    return float(value) if digits is None else round(float(value), digits)
