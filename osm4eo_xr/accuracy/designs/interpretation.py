"""Reference labels as people give them: unsure, with an alternative, by several interpreters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from osm4eo_xr.accuracy.confusion import cohens_kappa
from osm4eo_xr.accuracy.reference_pairs import class_ids, label_column
from osm4eo_xr.errors import InputError
from osm4eo_xr.geometry.vectors import read_vector

if TYPE_CHECKING:
    import pandas as pd
    from jaxtyping import Int64, UInt8

    from osm4eo_xr.legend import Legend

__all__ = ["Interpretation", "fleiss_kappa", "read_interpretations"]

_UNSURE = ("unsure", "unknown", "?")
_ID_COLUMNS = ("id", "plotid", "point_id")


@dataclass(frozen=True, eq=False)
class Interpretation:
    """What people say about the points of a design, by the rules of ``read_interpretations``.

    Attributes
    ----------
    primary, alternative : ndarray (n), uint8
        Class ids in the order of the design's points; 0 = unsure or unlabeled, and no alternative.
    unsure : ndarray (n), bool
        Points that somebody labeled and that have no class all the same.
    agreement : dict
        Of several interpreters: their number, the points that all labeled, the share on which all
        agree, Cohen's kappa of each pair and Fleiss' kappa; None where chance agrees fully.
    """

    primary: UInt8[np.ndarray, " n"]
    alternative: UInt8[np.ndarray, " n"]
    unsure: Any
    agreement: dict[str, Any]


def read_interpretations(
    sheets: Any, ids: Int64[np.ndarray, " n"], legend: Legend, column: str | None, layer: str
) -> Interpretation:
    """Read one or several interpreters' labels of a design's points.

    Rules: a label is a class by id, slug, name or, in a column ``clc``, CORINE code. Empty labels
    are unlabeled; "unsure", "unknown" and "?" are unsure. Of several interpreters those who are
    sure vote; on a tie the class wins that the others name as alternative, if there is one;
    otherwise the point is unsure. The alternative is the class that is named most often besides; it
    counts beside a sure class only.

    Parameters
    ----------
    sheets : frame, path, or sequence of either
        Tables with a column ``id`` (or ``PLOTID``) and the labels; one per interpreter.
    ids : ndarray (n), int64
        Ids of the design's points.
    legend : Legend
        The classes.
    column : str, optional
        Column of the labels; by default the first of class_id, class, label, clc.
    layer : str
        Which of several layers of a vector file.

    Raises
    ------
    InputError
        If a sheet cannot be read, has no ids or labels, ids that are not in the design or twice,
        or an unknown class.
    """
    many = sheets if isinstance(sheets, Sequence) and not isinstance(sheets, str) else [sheets]
    read = [_read_sheet(sheet, k, ids, legend, column, layer) for k, sheet in enumerate(many, 1)]
    primary, alternative = (np.stack([pair[i] for pair in read]) for i in range(2))
    sure, labeled = primary > 0, np.stack([pair[2] for pair in read])
    if not sure.any():
        raise InputError("no point of the design has a label", advice="fill in the column class")
    merged = [_vote(primary[:, k], alternative[:, k]) for k in range(len(ids))]
    first, second = np.array(merged, np.uint8).T
    unsure = (first == 0) & labeled.any(axis=0)
    agreement = _agreement(primary, legend) if len(read) > 1 else {}
    return Interpretation(first, second, unsure, agreement)


def fleiss_kappa(counts: Int64[np.ndarray, "n k"]) -> float:
    """Return the agreement of several interpreters beyond that of chance.

    Parameters
    ----------
    counts : ndarray (n, k), int64
        How many interpreters gave each point each class; rows have one sum.

    Returns
    -------
    float
        1 = full agreement, 0 = that of chance; NaN where chance agrees fully.

    Source
    ------
    Fleiss 1971, "Measuring nominal scale agreement among many raters".
    """
    raters = counts[0].sum()
    agreeing = ((counts**2).sum(axis=1) - raters) / (raters * (raters - 1))
    chance = float(((counts.sum(axis=0) / counts.sum()) ** 2).sum())
    return (float(agreeing.mean()) - chance) / (1 - chance) if chance < 1 else float("nan")


def _read_sheet(
    sheet: Any, number: int, ids: np.ndarray, legend: Legend, column: str | None, layer: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return classes, alternatives and what is labeled, in the order of the ids."""
    name = Path(sheet).name if isinstance(sheet, str | Path) else f"sheet {number}"
    if isinstance(sheet, str | Path):
        sheet = read_vector(Path(sheet), "reference points", layer=layer, option="points.layer")
    place = _places(sheet, ids, name)
    labels = label_column(sheet, column, name)
    sure, labeled = _classes(sheet[labels], labels, legend, name)
    other = np.zeros(len(sheet), np.uint8)
    if "alternative" in sheet.columns:
        other, _ = _classes(sheet["alternative"], "alternative", legend, name)
    found = []
    for values in (sure, np.where(other == sure, 0, other), labeled):
        ordered = np.zeros(len(ids), values.dtype)
        ordered[place] = values
        found.append(ordered)
    return found[0], found[1], found[2]


def _places(sheet: pd.DataFrame, ids: np.ndarray, name: str) -> np.ndarray:
    """Return which point of the design each row is."""
    given = {str(c).casefold(): c for c in sheet.columns}
    column = next((given[c] for c in _ID_COLUMNS if c in given), None)
    if column is None:
        raise InputError(
            f"{name} has no column id, which ties labels to the points of the design",
            advice="keep it in the sheet",
        )
    index = {int(point): k for k, point in enumerate(ids)}
    rows = [_whole(value) for value in sheet[column]]
    faults = [f"{value}, which the design does not have" for value in rows if value not in index]
    faults += [f"{value} {times} times" for value, times in Counter(rows).items() if times > 1]
    if faults:
        raise InputError(
            f"{name} has id {faults[0]}", advice="give a sheet of this design, each point once"
        )
    return np.array([index[value] for value in rows], np.int64)


def _whole(value: Any) -> Any:
    """Return an id as a whole number, or as it is if it is none."""
    try:
        whole = int(value)
    except (OverflowError, TypeError, ValueError):
        return value
    return whole if isinstance(value, str) or whole == value else value


def _classes(
    given: pd.Series, column: str, legend: Legend, name: str
) -> tuple[np.ndarray, np.ndarray]:
    """Return class ids, 0 where unsure or empty, and which rows say anything."""
    text = [str(v).strip().casefold() for v in given.where(given.notna(), "")]
    sure = given.where([t not in _UNSURE for t in text], None)
    return class_ids(sure, column, legend, name), np.array([bool(t) for t in text])


def _vote(primary: np.ndarray, alternative: np.ndarray) -> tuple[int, int]:
    """Return the class and the alternative of several interpreters."""
    votes = np.bincount(primary, minlength=256)
    named = votes + np.bincount(alternative, minlength=256)
    votes[0] = named[0] = 0
    if not votes.any():
        return 0, 0
    best = _only(np.where(votes == votes.max(), named, 0))
    if not best:
        return 0, 0
    named[best] = 0
    return best, _only(named)


def _only(scores: np.ndarray) -> int:
    """Return where the greatest score is, 0 if it is nowhere or in several places."""
    top = np.flatnonzero(scores == scores.max()) if scores.max() > 0 else []
    return int(top[0]) if len(top) == 1 else 0


def _agreement(primary: np.ndarray, legend: Legend) -> dict[str, Any]:
    """Compare interpreters on the points of which all are sure."""
    common = primary[:, (primary > 0).all(axis=0)]
    people, points = common.shape
    found: dict[str, Any] = {"interpreters": people, "points": points}
    if not points:
        return found
    one_hot = common[:, :, None] == np.array(legend.ids)
    fleiss = fleiss_kappa(one_hot.sum(axis=0).astype(np.int64))
    pairs = combinations(range(people), 2)
    tables = {f"{a + 1}-{b + 1}": one_hot[a].T.astype(np.int64) @ one_hot[b] for a, b in pairs}
    cohen = {name: _plain(cohens_kappa(table)) for name, table in tables.items()}
    agreed = float((common == common[0]).all(axis=0).mean())
    return {**found, "all_agree": agreed, "cohens_kappa": cohen, "fleiss_kappa": _plain(fleiss)}


def _plain(value: float) -> float | None:
    return round(value, 6) if np.isfinite(value) else None
