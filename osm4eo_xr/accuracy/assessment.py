"""How good a class map is: against points of a design with intervals, or against any reference."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args, overload

import numpy as np
import xarray as xr

from osm4eo_xr.accuracy import reference_pairs
from osm4eo_xr.accuracy.accuracy_report import AccuracyReport
from osm4eo_xr.accuracy.assisted import assisted_areas
from osm4eo_xr.accuracy.design_report import DesignReport, unseen_notes
from osm4eo_xr.accuracy.design_sample import sample_of
from osm4eo_xr.accuracy.designs.design import SamplingDesign, open_design
from osm4eo_xr.accuracy.designs.interpretation import Interpretation, read_interpretations
from osm4eo_xr.accuracy.designs.population import check_codes, population_of
from osm4eo_xr.accuracy.estimators import Intervals, ratio
from osm4eo_xr.accuracy.figures import Figures, figures_of, unseen_areas, unseen_errors
from osm4eo_xr.errors import InputError
from osm4eo_xr.geometry.geodesy import pixel_area
from osm4eo_xr.geometry.grid import zero_nodata
from osm4eo_xr.geometry.known_classes import legend_of
from osm4eo_xr.legend import CHANGE

if TYPE_CHECKING:
    from geopandas import GeoDataFrame

    from osm4eo_xr.legend import Legend

__all__ = ["assess"]

_LABELS = ("primary", "either")
_SAME_GROUND = 0.01  # pixels of two grids, and a few that gained or lost their class
_MANY_UNSURE = 0.05
_NO_PART = 254  # stands for 0 where parts are counted
_DECIDED = {1, 2}  # ids of stable and change
_OPEN = (
    "All points count as wrong on ground that the map of change leaves open (unsure, small): read "
    "the figures of change, not the overall accuracy."
)


@overload
def assess(
    class_map: xr.DataArray,
    reference: Any,
    *,
    design: None = None,
    legend: Legend | None = None,
    column: str | None = None,
    layer: str = "",
) -> AccuracyReport: ...


@overload
def assess(
    class_map: xr.DataArray,
    reference: Any,
    *,
    design: SamplingDesign | str | Path,
    legend: Legend | None = None,
    column: str | None = None,
    layer: str = "",
    labels: Literal["primary", "either"] = "primary",
    provenance: xr.DataArray | None = None,
    probabilities: xr.DataArray | None = None,
    intervals: Intervals = "wilson",
) -> DesignReport: ...


def assess(
    class_map: xr.DataArray,
    reference: GeoDataFrame | xr.DataArray | str | Path | Sequence[Any],
    *,
    design: SamplingDesign | str | Path | None = None,
    legend: Legend | None = None,
    column: str | None = None,
    layer: str = "",
    labels: Literal["primary", "either"] = "primary",
    provenance: xr.DataArray | None = None,
    probabilities: xr.DataArray | None = None,
    intervals: Intervals = "wilson",
) -> AccuracyReport | DesignReport:
    """Say how good a class map is, from points with labels or from a label raster.

    With a ``design`` all figures are estimates for the whole map with 95 % confidence intervals;
    its notes name rare classes and errors that strata may hold more of, unseen, than these say.
    Without one they are shares of what was compared, and the report says so.

    Parameters
    ----------
    class_map : DataArray (y, x), uint8
        0 = no data; may be lazy, chunks are read one by one.
    reference : GeoDataFrame, DataArray, path or sequence
        Points with a class each; or labels (y, x) uint8 on the map's grid, 0 = unlabeled; or
        the path of a vector file or table (lon, lat) of points or of a GeoTIFF of labels. Points
        may be on any CRS. With a design: the labeled sheet, or one per interpreter, with the
        design's ids; ``read_interpretations`` states the rules for unsure and several labels.
    design : SamplingDesign or path, optional
        The design that the points are from, or the folder that ``write_design`` wrote.
    legend : Legend, optional
        By default the package's that the map states, or the twelve classes of OSMlanduse.
    column : str, optional
        Column of the points that holds the class: id, slug or name, or its CORINE code in a
        column ``clc``. By default the first of class_id, class, label, clc. Points without a
        class or a place are left out and counted.
    layer : str
        Which of several layers of a vector file.
    labels : {"primary", "either"}
        With a design: which labels count as right; "either" takes the alternative too.
    provenance : DataArray (y, x), uint8, optional
        With a design: parts of the map whose figures are wanted apart, for example known and
        predicted ground, as ``merge_known`` returns it; 0 = of no part.
    probabilities : DataArray (class, y, x), optional
        With a design: as ``open_probabilities`` returns it; gives each of its classes an area by
        the difference estimator (PPI++), which needs fewer points.
    intervals : {"wilson", "wald"}
        Score intervals, or estimate ± 1.96 standard errors as the papers print them.

    Returns
    -------
    AccuracyReport or DesignReport
        The second with a design.

    Raises
    ------
    InputError
        If the reference cannot be read, does not overlap the map, or holds unknown classes; with a
        design also if a stratum has no or a single labeled point.

    Source
    ------
    Strata that are the map's classes: Olofsson et al. 2014. Other strata: Stehman 2014. Systematic
    points: post-stratified by class (Cochran 1977, section 5A.9). Clusters: ratio estimators
    (Cochran 1977, chapter 11).

    Examples
    --------
    >>> import numpy as np, osm4eo_xr as oxr
    >>> from osm4eo_xr.geometry.grid import georeference
    >>> box = oxr.target_geobox((4321000, 3210000, 4321030, 3210010))
    >>> class_map = georeference(np.array([[8, 8, 12]], dtype="uint8"), box)
    >>> labels = georeference(np.array([[8, 12, 12]], dtype="uint8"), box)
    >>> round(oxr.assess(class_map, labels).overall_accuracy, 3)
    0.667
    """
    legend = legend_of(class_map, given=legend)
    if design is None:
        counts, missing, left_out, name = reference_pairs.count_pairs(
            class_map, reference, legend, column, layer
        )
        return AccuracyReport(counts, legend, missing, name=name, left_out=left_out)
    design = design if isinstance(design, SamplingDesign) else open_design(design)
    ids = design.points["id"].to_numpy(np.int64)
    found = read_interpretations(reference, ids, legend, column, layer)
    for given, known in ((labels, _LABELS), (intervals, get_args(Intervals))):
        if given not in known:
            raise InputError(f"{given!r} is unknown", advice=f"use {' or '.join(known)}")
    rasters = provenance, probabilities
    return _by_design(class_map, design, found, legend, labels, rasters, intervals)


class _Part(NamedTuple):
    """A part of the map: its name, the points in it, and its classes' areas in km²."""

    name: str
    inside: np.ndarray
    counted: np.ndarray


def _by_design(
    class_map: xr.DataArray,
    design: SamplingDesign,
    found: Interpretation,
    legend: Legend,
    labels: str,
    rasters: tuple[xr.DataArray | None, xr.DataArray | None],
    intervals: Intervals,
) -> DesignReport:
    """Estimate with the design's own estimators."""
    class_map, (provenance, probabilities) = zero_nodata(class_map), rasters
    provenance = None if provenance is None else zero_nodata(provenance)
    mapped = reference_pairs.values_at(class_map, design.points.geometry)
    parts, counts = _parts(class_map, design, provenance, mapped, legend)
    ground = _compare_ground(design, parts[0].counted.sum())
    either = np.where((found.alternative == mapped) & (mapped > 0), mapped, found.primary)
    label = either if labels == "either" else found.primary
    taken = sample_of(design, mapped, found.primary > 0, counts, legend)
    used = taken.used
    index = {class_id: k for k, class_id in enumerate(legend.ids)}
    place = np.array([index.get(v, -1) for v in range(256)])

    def figures(reference: np.ndarray, part: _Part) -> Figures:
        at = place[reference[used]], place[mapped[used]]
        return figures_of(taken.sample, *at, part.inside[used], part.counted, intervals)

    whole = figures(label, parts[0])
    inside, wrong = parts[0].inside[used], (label != mapped)[used]
    hidden = unseen_areas(taken.sample, place[label[used]], inside, whole)
    unseen = unseen_notes(
        {legend.classes[k].slug: area for k, area in hidden.items()},
        unseen_errors(taken.sample, wrong, inside, whole.overall),
    )
    if probabilities is not None:
        assisted = assisted_areas(
            taken,
            design.points.geometry,
            label,
            whole,
            class_map,
            probabilities,
            legend,
            intervals,
        )
        whole = Figures(**{**vars(whole), "assisted": assisted})
    unlabeled = (found.primary == 0) & ~found.unsure & (mapped > 0)
    left_out = {
        "unsure": int((found.unsure & (mapped > 0)).sum()),
        "unlabeled": int(unlabeled.sum()),
        "off_map": int((mapped == 0).sum()),
    }
    return DesignReport(
        figures=whole,
        legend=legend,
        method=taken.method,
        intervals=intervals,
        name=str(class_map.name or "map"),
        design={"scheme": design.scheme, "points": len(mapped), "strata": len(design.strata)},
        left_out=left_out,
        notes=(
            *taken.notes,
            *ground,
            *unseen,
            *_notes(left_out, len(mapped)),
            *([_OPEN] if legend.name == CHANGE and counts.keys() - _DECIDED else []),
        ),
        either=figures(either, parts[0]).overall if found.alternative.any() else None,
        bounds=_bounds(design, label, mapped, counts, legend),
        agreement=found.agreement,
        parts={part.name: figures(label, part) for part in parts[1:]},
    )


def _parts(
    class_map: xr.DataArray,
    design: SamplingDesign,
    provenance: xr.DataArray | None,
    mapped: np.ndarray,
    legend: Legend,
) -> tuple[list[_Part], dict[int, int]]:
    """Return the whole map and its parts, and the pixels of each class."""
    crossed = population_of(class_map)
    if provenance is not None:
        shown = provenance.where(provenance != 0, np.uint8(_NO_PART))
        crossed = population_of(class_map, shown, cross=True)
    codes = crossed.counts()
    check_codes(codes, legend)
    area = pixel_area(crossed.geobox) / 1e6

    def areas(part: int | None) -> np.ndarray:
        pixels = [
            sum(n for c, n in codes.items() if c % 256 == k and part in (None, c // 256))
            for k in legend.ids
        ]
        return np.array(pixels) * area

    counts = {k: round(a / area) for k, a in zip(legend.ids, areas(None), strict=True) if a}
    found = [_Part("map", (mapped > 0).astype(float), areas(None))]
    if provenance is not None:
        at = reference_pairs.values_at(provenance, design.points.geometry)
        for value in sorted({code // 256 for code in codes} - {_NO_PART}):
            name = crossed.name_of(value * 256, legend)
            found.append(_Part(name, ((at == value) & (mapped > 0)).astype(float), areas(value)))
    return found, counts


def _compare_ground(design: SamplingDesign, mapped: float) -> list[str]:
    """Say if the map, of so many km², is not all that the points were drawn from.

    Raises
    ------
    InputError
        If it is more: of ground that no point could fall on, points tell nothing.
    """
    if design.scheme == "weighted":  # its weights are of a survey's own ground
        return []
    drawn = design.pixels * design.pixel_area / 1e6
    if mapped > drawn * (1 + _SAME_GROUND):
        raise InputError(
            f"the map covers {mapped:.6g} km², and the points were drawn from {drawn:.6g} km²",
            advice="assess the map that they were drawn from, or cut the map to its ground",
        )
    if mapped < drawn * (1 - _SAME_GROUND):
        told = f"The map covers {mapped:.6g} km² of the {drawn:.6g} km² that the points were drawn"
        return [f"{told} from; figures are of what it covers."]
    return []


def _notes(left_out: dict[str, int], points: int) -> list[str]:
    """Say what the points that are not used may mean."""
    notes = []
    missing = left_out["unsure"] + left_out["unlabeled"]
    if missing:
        notes.append(
            f"{left_out['unsure']} unsure and {left_out['unlabeled']} unlabeled points of {points} "
            f"are left out, as if they were a random part of their stratum."
        )
    if missing > _MANY_UNSURE * points:
        notes.append(
            f"That is more than {_MANY_UNSURE:.0%} of the points: the figures may be biased by "
            f"more than their intervals; see the bounds of overall accuracy."
        )
    return notes


def _bounds(
    design: SamplingDesign,
    label: np.ndarray,
    mapped: np.ndarray,
    counts: dict[int, int],
    legend: Legend,
) -> tuple[float, float] | None:
    """Return overall accuracy if all points without a sure label were wrong, or right."""
    if (label > 0)[mapped > 0].all():
        return None
    everything = np.ones(len(mapped), bool)
    used, sample, _, _ = sample_of(design, mapped, everything, counts, legend)
    inside = (mapped > 0)[used, None].astype(float)
    right = (label == mapped)[used, None] * inside
    open_ = (label == 0)[used, None] * inside
    low, high = (ratio(sample, y, inside)[0][0] for y in (right, right + open_))
    return round(float(low), 6), round(float(high), 6)
