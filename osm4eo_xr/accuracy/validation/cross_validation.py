"""The training repeated on folds: what it is worth on ground that it has not seen."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import xarray as xr

from osm4eo_xr.accuracy.held_out import evaluate
from osm4eo_xr.accuracy.random_forest import random_forest_report
from osm4eo_xr.accuracy.validation import distances
from osm4eo_xr.accuracy.validation.fold_report import CrossValidation, FoldScore
from osm4eo_xr.accuracy.validation.training_points import fit_applicability
from osm4eo_xr.errors import InputError, extra
from osm4eo_xr.samples.folds import Fold, block_folds, tile_folds
from osm4eo_xr.training.fit import train
from osm4eo_xr.training.settings import TrainSettings

if TYPE_CHECKING:
    from osm4eo_xr.models.model import Model
    from osm4eo_xr.progress import Watch

__all__ = ["crossvalidate"]


def crossvalidate(
    samples: xr.Dataset,
    settings: TrainSettings | None = None,
    *,
    k: int = 5,
    by: Literal["block", "tile"] = "block",
    validation: float = 0.1,
    block: float | None = None,
    forest: bool = True,
    applicability: bool = False,
    class_map: xr.DataArray | None = None,
    folder: str | Path | None = None,
    watch: Watch | None = None,
) -> CrossValidation:
    """Train and score once per fold of spatial blocks, or once per tile that is left out.

    One split into training and test is the luck of its blocks. Here each block is held out once.
    Windows that are nearer than the set's gap to another split are left out of a fold.

    Parameters
    ----------
    samples : Dataset
        As ``draw_samples`` or ``open_samples`` returns it; its own splits do not count. Drawn with
        ``shares=(1, 0, 0)`` no pixel of it is without its label for the sake of those splits.
    settings : TrainSettings, optional
        Network and training, the same in each fold, but for a learning rate that each finds itself
        (0 in the settings); their seed also decides the folds.
    k : int
        Folds of blocks, 2 to 25.
    by : {"block", "tile"}
        Hold out blocks, or one whole tile after the other.
    validation : float
        Share of the blocks that choose the best epoch and the temperature.
    block : float, optional
        Edge of a block in meters; by default that of the set.
    forest : bool
        Also train a random forest on the same windows and score it on the same pixels.
    applicability : bool
        Also fit where each fold's model applies (``fit_applicability``), and measure on what it
        holds out, blocks or whole tiles, the share inside and the coverage of sets of classes.
    class_map : DataArray, optional
        Dims (y, x), uint8, 0 = no data. A map for which the figures are to speak; gives the
        distances from its pixels to the samples.
    folder : str or Path, optional
        Where the trainings keep their checkpoints. A cross-validation that was stopped goes on
        there; trainings that have ended are read.
    watch : callable, optional
        Called as ``watch(fold, steps done, steps in all)``.

    Returns
    -------
    CrossValidation
        Means over folds with 95 % intervals, per class too, beside the forest's, and the paired
        difference of both.

    Raises
    ------
    InputError
        If an argument is out of range, the samples have no places, a fold lacks a split, the
        folder holds trainings of other settings or samples, or the extra ``forest`` is missing.

    Examples
    --------
    >>> import osm4eo_xr as oxr
    >>> from osm4eo_xr.demo import example_samples
    >>> tiny, drawn = oxr.TrainSettings(width=4, epochs=1, batch=8), example_samples(fields=24)
    >>> found = oxr.crossvalidate(drawn, tiny, k=2, validation=0.2, forest=False)
    >>> [fold.name for fold in found.folds]
    ['fold 1 of 2', 'fold 2 of 2']
    >>> found.save("folds.json").name
    'folds.json'
    """
    settings = settings or TrainSettings()
    if forest:
        with extra("forest", "the random forest"):
            import sklearn.ensemble  # noqa: F401 - missing before any training, not after
    places = None if class_map is None else distances.map_places(class_map, samples.attrs["crs"])
    scores, apart = [], []
    for fold in _folds(samples, k, by, validation, block, settings.seed):
        model = _trained(fold, settings, folder, watch)
        scored = _scored(fold, model, settings.seed if forest else None)
        if applicability:
            scored = dataclasses.replace(scored, applicability=_applies(fold, model, settings.seed))
        scores.append(scored)
        apart.append(distances.fold_distances(fold))
    found = {
        distances.SAMPLE: distances.sample_distances(samples),
        distances.FOLD: np.concatenate(apart),
    }
    if places is not None:
        found[distances.MAP] = distances.map_distances(places, samples)
    return CrossValidation(
        folds=tuple(scores),
        legend=scores[0].network.legend,
        by=by,
        settings=dataclasses.asdict(settings),
        samples={name: samples.attrs[name] for name in ("patch", "gap", "tiles")}
        | {"block": block or samples.attrs["block"], "validation": validation},
        distances=found,
    )


def _folds(
    samples: xr.Dataset, k: int, by: str, validation: float, block: float | None, seed: int
) -> Iterator[Fold]:
    if by == "block":
        return block_folds(samples, k, validation=validation, block=block, seed=seed)
    if by == "tile":
        return tile_folds(samples, validation=validation, block=block, seed=seed)
    raise InputError(f"folds by {by!r} are unknown", expected="block or tile")


def _trained(
    fold: Fold, settings: TrainSettings, folder: str | Path | None, watch: Watch | None
) -> Model:
    """Train on a fold, or go on with it, or read what has ended."""
    told: Any = (lambda *steps: watch(fold.name, *steps)) if watch else None
    own = None if folder is None else Path(folder) / fold.name.replace(" ", "_")
    return train(fold.samples, settings, folder=own, progress=told)


def _scored(fold: Fold, model: Model, seed: int | None) -> FoldScore:
    """Score the network, and a forest that learns from the same windows."""
    pixels: Any = "all" if model.net.mode == "dense" else "center"
    beside = None
    if seed is not None:
        beside = random_forest_report(fold.samples, seed=seed, center=pixels == "center")
    sizes = {split: fold.size(split) for split in ("train", "validation", "test")}
    return FoldScore(
        name=fold.name,
        windows={**sizes, "left out": fold.left_out},
        network=evaluate(model, fold.samples, "test", pixels=pixels),
        forest=beside,
    )


def _applies(fold: Fold, model: Model, seed: int) -> Mapping[str, Any]:
    """Return what a fold's model says of the ground that it had not seen."""
    known = fit_applicability(model, fold.samples, seed=seed).applicability
    if known is None:  # it was fitted
        raise AssertionError
    return {**known.facts["test"], "promised": known.facts["coverage"]}
