"""Where a model applies: fitted to the points that it learned from, measured on others."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from scipy.special import softmax

from osm4eo_xr.accuracy.validation.conformal import (
    covered_shares,
    least_probabilities,
    members,
)
from osm4eo_xr.accuracy.validation.dissimilarity import (
    choose_prototypes,
    least_distances,
    mean_distance,
    upper_whisker,
)
from osm4eo_xr.accuracy.validation.intervals import block_bootstrap
from osm4eo_xr.errors import InputError
from osm4eo_xr.models.applicability import Applicability
from osm4eo_xr.samples.ground import ground_blocks, has_places
from osm4eo_xr.samples.spatial_split import SPLITS
from osm4eo_xr.training.scoring import (
    check_scored,
    index_of,
    labeled_features,
    model_task,
    model_windows,
)

if TYPE_CHECKING:
    from osm4eo_xr.models.model import Model

__all__ = ["fit_applicability", "measure_held_out"]

_BATCH = 32
_QUANTILES = (0.05, 0.5, 0.95)
_LEAST = 20  # points, below which there is no distribution to speak of


@dataclass(frozen=True)
class Points:
    """Labeled pixels of a split: features, probabilities, right class, spatial block, tile, bands.

    All arrays have one row per pixel.
    """

    features: np.ndarray
    probability: np.ndarray
    index: np.ndarray
    block: np.ndarray
    tile: np.ndarray
    bands: np.ndarray

    def __len__(self) -> int:
        return len(self.index)


def fit_applicability(
    model: Model,
    samples: xr.Dataset,
    *,
    coverage: float = 0.9,
    points: int = 10_000,
    prototypes: int = 128,
    folds: int = 5,
    seed: int = 0,
) -> Model:
    """Say where a model is to be trusted: near what it learned from, by its own last layer.

    A pixel's dissimilarity index is its distance to the nearest training point over the mean
    distance between training points, both in the space of the features that the network's last
    layer sees, each over its standard deviation. Prototypes stand for all training points. The
    threshold is the greatest index, outliers apart, of training points to prototypes of other
    folds of spatial blocks; beyond it lies ground unlike any that was learned from. The local
    point density is the share of training points whose prototype is nearer than the threshold.

    A pixel's set holds the classes whose probability is not lower than all but a share of
    ``1 - coverage`` of those that calibration pixels of that class have. Calibration pixels are
    the validation samples; they also chose the epoch, so look at the coverage that was measured.

    Parameters
    ----------
    model : Model
        Dense or window.
    samples : Dataset
        The set that it was trained with.
    coverage : float
        Share of each class's pixels whose set is to hold that class, above 0 and below 1.
    points : int
        Most training pixels to compare with, taken evenly.
    prototypes : int
        Most of them that are kept to stand for all.
    folds : int
        Folds of blocks for the threshold, 2 or more.
    seed : int
        Of the pixels and the folds.

    Returns
    -------
    Model
        The same, with ``applicability``. Its ``facts`` hold the threshold, the error that
        prototypes bring, and, on the test samples, the share inside, the size of the sets and the
        coverage by class.

    Raises
    ------
    InputError
        If an argument is out of range, the samples lack a split or a band, or too few of them are
        labeled.

    Source
    ------
    As ``osm4eo_xr.inference.applicability``.

    Examples
    --------
    >>> import osm4eo_xr as oxr
    >>> from osm4eo_xr.demo import example_model, example_samples
    >>> samples = example_samples()
    >>> model = oxr.fit_applicability(example_model(), samples, points=200, prototypes=16)
    >>> model.applicability.points, model.applicability.facts["coverage"]
    (200, 0.9)

    Then a map in which only ground counts that is like the training::

        maps = classify(scene, model, outputs=["classes", "dissimilarity", "set_size"])
        trusted = maps["classes"].where(maps["dissimilarity"] <= 100, 0)
    """
    _check(coverage, points, prototypes, folds)
    learned = _points(model, samples, "train", points, seed)
    held = _points(model, samples, "validation", points, seed)
    center, factor = _space(learned.features)
    scaled, fold = (learned.features - center) * factor, _folds(learned.block, folds, seed)
    chosen, stands_for = choose_prototypes(scaled, prototypes, seed)
    mean = mean_distance(scaled)
    least = least_distances(scaled, scaled[chosen], fold, fold[chosen])
    if not np.isfinite(least).all():
        raise InputError(
            "the training samples lie in too few spatial blocks to compare one with others",
            advice="draw with smaller blocks, or from more ground",
        )
    learns = np.bincount(learned.index, minlength=learned.probability.shape[1]) > 0
    known = Applicability(
        prototypes=scaled[chosen],
        counts=np.bincount(stands_for, minlength=len(chosen)),
        center=center,
        factor=factor,
        reach=upper_whisker(least),
        mean_distance=mean,
        least_probability=least_probabilities(held.probability, held.index, coverage, learns),
    )
    facts = {
        "coverage": coverage,
        "folds": folds,
        "seed": seed,
        "threshold": known.threshold,
        "training": {"points": len(learned), "prototypes": len(chosen), **_spread(least / mean)},
        "bands": _band_facts(model, learned),
        "by_all_points": _by_all_points(known, scaled, fold, (held.features - center) * factor),
        "sets": _set_facts(model, known),
        "calibration": measure_points(model, known, held) | {"split": "validation"},
    }
    if (samples["split"] == SPLITS.index("test")).any():
        facts["test"] = measure_held_out(model, known, samples, points=points, seed=seed)
    known = dataclasses.replace(known, facts=facts)
    return dataclasses.replace(model, applicability=known, path=None)


def measure_held_out(
    model: Model,
    known: Applicability,
    samples: xr.Dataset,
    split: str = "test",
    *,
    points: int = 10_000,
    seed: int = 0,
) -> dict[str, Any]:
    """Return what ``known`` says of a split that no part of it was fitted to, as JSON types.

    Raises
    ------
    InputError
        If the split is empty or unknown, or the samples lack a band of the model.
    """
    return measure_points(model, known, _points(model, samples, split, points, seed))


def measure_points(model: Model, known: Applicability, seen: Points) -> dict[str, Any]:
    """Return share inside, density of sets and coverage, with intervals by block where there are.

    ``inside`` is the share of pixels whose index is at most the threshold; ``covered`` that whose
    set holds the right class, also class by class and, of several tiles, tile by tile.
    """
    scaled = (seen.features - known.center) * known.factor
    inside = least_distances(scaled, known.prototypes) <= known.reach
    member = members(seen.probability, known.least_probability)
    held = member[np.arange(len(seen)), seen.index]
    by_class = covered_shares(member, seen.index)
    counts = np.bincount(seen.index, minlength=len(by_class))
    slugs = _slugs(model)
    found: dict[str, Any] = {
        "pixels": len(seen),
        "inside": _share(inside, seen.block),
        "covered": _share(held, seen.block),
        "set_size": round(float(member.sum(axis=1).mean()), 3),
        "classes": {
            slugs[k]: {"pixels": int(counts[k]), "covered": round(float(by_class[k]), 4)}
            for k in np.flatnonzero(counts)
        },
    }
    tiles = np.unique(seen.tile).tolist()
    if len(tiles) > 1:
        found["tiles"] = {
            str(t): {
                "pixels": int((seen.tile == t).sum()),
                "inside": round(float(inside[seen.tile == t].mean()), 4),
                "covered": round(float(held[seen.tile == t].mean()), 4),
            }
            for t in tiles
        }
    return found


def _check(coverage: float, points: int, prototypes: int, folds: int) -> None:
    """Refuse numbers out of range."""
    if not 0 < coverage < 1:
        raise InputError(f"coverage is {coverage}", expected="a share above 0 and below 1")
    for name, value, least in (("points", points, _LEAST), ("prototypes", prototypes, 1)):
        if value < least:
            raise InputError(f"{name} is {value}", expected=f"{least} or more")
    if folds < 2:  # noqa: PLR2004 - else nothing is held out
        raise InputError(f"folds is {folds}", expected="2 or more")


def _points(model: Model, samples: xr.Dataset, split: str, most: int, seed: int) -> Points:
    """Return at most ``most`` labeled pixels of a split, as many of each window."""
    check_scored(model, samples)
    windows = model_windows(model, samples, split)
    share = -(-most // len(windows))
    rng, parts = np.random.default_rng(seed), []
    task = model_task(model)
    for features, logits, label, sample, bands in labeled_features(
        task, model.variables, windows, _BATCH
    ):
        index = index_of(label, model.class_ids)
        usable = _few_of_each(np.where(index >= 0, sample, -1), share, rng)
        parts.append((features, softmax(logits, axis=-1), index, sample, bands))
        parts[-1] = tuple(part[usable] for part in parts[-1])
    features, probability, index, sample, bands = map(np.concatenate, zip(*parts, strict=True))
    if len(index) < _LEAST:
        raise InputError(
            f"{len(index)} labeled pixels in the {split} samples",
            expected=f"{_LEAST} or more",
            advice="draw more samples",
        )
    if len(index) > most:
        kept = np.sort(rng.choice(len(index), most, replace=False))
        features, probability, index, sample, bands = (
            part[kept] for part in (features, probability, index, sample, bands)
        )
    block = ground_blocks(samples) if has_places(samples) else np.arange(samples.sizes["sample"])
    tile = np.array([str(t) for t in samples.attrs["tiles"]])[samples["tile"].values[sample]]
    return Points(features, probability, index, block[sample], tile, bands)


def _few_of_each(sample: np.ndarray, most: int, rng: np.random.Generator) -> np.ndarray:
    """Return places of at most ``most`` pixels of each sample, in order; -1 is none."""
    order = rng.permutation(len(sample))
    order = order[np.argsort(sample[order], kind="stable")]
    ordered = sample[order]
    rank = np.arange(len(ordered)) - np.searchsorted(ordered, ordered)
    return np.sort(order[(rank < most) & (ordered >= 0)])


def _folds(block: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """Return a fold per point; whole blocks have one, and folds have as many."""
    names, place = np.unique(block, return_inverse=True)
    fold = np.random.default_rng(seed).permutation(len(names)) % folds
    return fold[place]


def _space(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return center and factor of each feature; one that never varies counts for nothing."""
    center, spread = features.mean(axis=0), features.std(axis=0, ddof=1)
    factor = np.where(spread > 0, 1 / np.where(spread > 0, spread, 1), 0)
    return center.astype(np.float32), factor.astype(np.float32)


def _by_all_points(
    known: Applicability, learned: np.ndarray, fold: np.ndarray, held: np.ndarray
) -> dict[str, Any]:
    """Return what all points in place of prototypes would say, and how often both agree."""
    reach = upper_whisker(least_distances(learned, learned, fold, fold))
    exact = least_distances(held, learned)
    found = least_distances(held, known.prototypes)
    return {
        "threshold": round(reach / known.mean_distance, 4),
        "inside": round(float((exact <= reach).mean()), 4),
        "agreement": round(float(((exact <= reach) == (found <= known.reach)).mean()), 4),
        "mean_index_error": round(float((found - exact).mean()) / known.mean_distance, 4),
        "greatest_index_error": round(float((found - exact).max()) / known.mean_distance, 4),
    }


def _set_facts(model: Model, known: Applicability) -> dict[str, list[str]]:
    """Name the classes that no probability decides on: too few pixels, or none at all."""
    slugs, least = _slugs(model), known.least_probability
    return {
        "always": [slugs[k] for k in np.flatnonzero(least == 0)],
        "never": [slugs[k] for k in np.flatnonzero(least > 1)],
    }


def _band_facts(model: Model, learned: Points) -> dict[str, list[float]]:
    """Return quantiles of each band over the training pixels that have it, in the samples' unit."""
    found = {b: v[np.isfinite(v)] for b, v in zip(model.bands, learned.bands.T, strict=True)}
    quantiles = {b: np.quantile(v, _QUANTILES) for b, v in found.items() if v.size}
    return {b: [round(float(q), 5) for q in values] for b, values in quantiles.items()}


def _spread(index: np.ndarray) -> dict[str, float]:
    """Return quantiles of the training points' index."""
    return {f"q{q:g}": round(float(np.quantile(index, q)), 4) for q in (*_QUANTILES, 1)}


def _share(hit: np.ndarray, block: np.ndarray) -> dict[str, Any]:
    """Return a share with its interval by blocks."""
    _, place = np.unique(block, return_inverse=True)
    size = place.max() + 1
    counted = np.bincount(place, minlength=size)
    return block_bootstrap(np.bincount(place[hit], minlength=size), counted).to_dict()


def _slugs(model: Model) -> list[str]:
    """Return the name of each logit's class."""
    known = model.legend.by_id
    return [known[c].slug if c in known else str(c) for c in model.class_ids]
