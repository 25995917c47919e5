"""The labeled points of a design as a sample: which are used, and with which estimators."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from osm4eo_xr.accuracy.sampling import Clustered, PostStratified, Sample, Stratified, Weighted
from osm4eo_xr.errors import InputError
from osm4eo_xr.names import counted

if TYPE_CHECKING:
    from jaxtyping import Bool, UInt8

    from osm4eo_xr.accuracy.designs.design import SamplingDesign
    from osm4eo_xr.legend import Legend

__all__ = ["DesignSample", "sample_of"]

_FEW = 2  # points without which a stratum has no variance


class DesignSample(NamedTuple):
    """The points that stand for the population, and how.

    Attributes
    ----------
    used : ndarray (n), bool
        Which points of the design.
    sample : Sample
        Those points, in the design's order.
    method : str
        Name of the estimators.
    notes : tuple of str
        What a reader has to know.
    """

    used: Bool[np.ndarray, " n"]
    sample: Sample
    method: str
    notes: tuple[str, ...] = ()


def sample_of(
    design: SamplingDesign,
    mapped: UInt8[np.ndarray, " n"],
    labeled: Bool[np.ndarray, " n"],
    counts: dict[int, int],
    legend: Legend,
) -> DesignSample:
    """Choose the estimators that go with a design.

    Points off the map count as outside of what is described.

    Parameters
    ----------
    design : SamplingDesign
        The design.
    mapped : ndarray (n), uint8
        The map's class at each of its points; 0 = none.
    labeled : ndarray (n), bool
        Which points have a reference class.
    counts : dict
        Pixels of each class of the map.
    legend : Legend
        The classes.

    Raises
    ------
    InputError
        If strata or clusters have too few labeled points.
    """
    told = tuple(map(str, design.made.get("notes", ())))
    if design.scheme == "systematic":
        found = _post_stratified(labeled & (mapped > 0), mapped, counts, legend)
        return found._replace(notes=(*found.notes, *told))
    if design.scheme == "weighted":
        return _weighted(design, labeled & (mapped > 0), told)
    used = labeled | (mapped == 0)
    if design.scheme == "cluster":
        return _clustered(design, used)
    codes = design.points["stratum_code"].to_numpy(np.int64)
    _check_strata(design, codes[used])
    index = {s.code: k for k, s in enumerate(design.strata)}
    stratum = np.array([index[code] for code in codes[used].tolist()], np.int64)
    sizes = np.array([s.pixels for s in design.strata], np.int64)
    same = {s.code: s.pixels for s in design.strata} == counts and (codes == mapped).all()
    if design.by_class and same:
        return DesignSample(used, Stratified(stratum, sizes, finite=False), "Olofsson et al. 2014")
    note = (
        "The map is not the one that the points were drawn from, or was changed since; its "
        "classes are not the strata, so the estimators are those of Stehman 2014."
    )
    sample = Stratified(stratum, sizes)
    return DesignSample(used, sample, "Stehman 2014", (note,) if design.by_class else ())


def _weighted(design: SamplingDesign, used: np.ndarray, notes: tuple[str, ...]) -> DesignSample:
    """Take the points with the weights of the survey that drew them."""
    if used.sum() < _FEW:
        raise InputError(
            f"{used.sum()} labeled points tell nothing", advice=f"label {_FEW} or more"
        )
    weights = design.points["weight"].to_numpy(np.float64)[used]
    method = "survey weights, as with replacement (Särndal et al. 1992)"
    return DesignSample(used, Weighted(weights), method, notes)


def _clustered(design: SamplingDesign, used: np.ndarray) -> DesignSample:
    """Take the points as a two-stage sample."""
    points = design.points[used]
    names, first, cluster = np.unique(points["cluster"], return_index=True, return_inverse=True)
    drawn = design.points["cluster"].nunique()
    if drawn < _FEW:
        raise InputError(
            f"the design has {drawn} cluster, which tells nothing of the others",
            expected=f"{_FEW} or more",
            advice="draw points again",
        )
    if len(names) < drawn:
        raise InputError(
            f"{drawn - len(names)} of {drawn} clusters have no labeled point",
            advice="label some in each",
        )
    sizes = points["cluster_pixels"].to_numpy(np.int64)[first]
    sample = Clustered(cluster.astype(np.int64), sizes, design.clusters)
    return DesignSample(used, sample, "ratio estimators for two-stage clusters (Cochran 1977)")


def _check_strata(design: SamplingDesign, codes: np.ndarray) -> None:
    """Refuse strata whose variance the labels do not tell."""
    for stratum in design.strata:
        labeled, least = int((codes == stratum.code).sum()), min(_FEW, stratum.pixels)
        if labeled < least:
            raise InputError(
                f"stratum {stratum.name} has {labeled} labeled points of {stratum.points}, "
                f"which tells nothing of its {counted(stratum.pixels, 'pixel')}",
                advice=f"label {least} or more" if least < stratum.pixels else "label all of them",
            )


def _post_stratified(
    used: np.ndarray, mapped: np.ndarray, counts: dict[int, int], legend: Legend
) -> DesignSample:
    """Stratify a systematic sample by the map's classes; classes with few points go together."""
    hits = {k: int((mapped[used] == k).sum()) for k in counts}
    order = sorted(counts, key=lambda k: (hits[k], counts[k]))
    few = [k for k in order if hits[k] < _FEW]
    rest = [k for k in order if k not in few]
    while few and rest and sum(hits[k] for k in few) < _FEW:
        few.append(rest.pop(0))
    if not rest and sum(hits.values()) < _FEW:
        raise InputError(
            f"{sum(hits.values())} labeled points tell nothing", advice=f"label {_FEW} or more"
        )
    groups = [*([few] if few else []), *([k] for k in rest)]
    index = np.zeros(256, np.int64)
    for g, classes in enumerate(groups):
        index[classes] = g
    sizes = np.array([sum(counts[k] for k in classes) for classes in groups], np.int64)
    notes = ["Intervals of systematic points are those of simple random ones, as a rule too wide."]
    if few:
        names = ", ".join(legend.by_id[k].slug for k in few)
        notes.append(f"Classes with few points were put into one post-stratum: {names}.")
    sample = PostStratified(index[mapped[used]], sizes)
    method = "post-stratified by map class (Cochran 1977)"
    return DesignSample(used, sample, method, tuple(notes))
