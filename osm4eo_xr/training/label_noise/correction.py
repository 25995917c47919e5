"""What training does about wrong labels: leave them out, weigh them, or correct its loss."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from osm4eo_xr.legend import NO_DATA
from osm4eo_xr.samples.label_weights import WEIGHT
from osm4eo_xr.samples.spatial_split import SPLITS
from osm4eo_xr.training.checkpoints import FOLDS
from osm4eo_xr.training.label_noise.estimate import (
    LabelNoise,
    find_label_noise,
    keys_of,
    numbered_samples,
)
from osm4eo_xr.training.scoring import index_of
from osm4eo_xr.training.single_fit import fit_network

if TYPE_CHECKING:
    from jaxtyping import UInt8

    from osm4eo_xr.legend import Legend
    from osm4eo_xr.models.model import Model
    from osm4eo_xr.progress import Progress
    from osm4eo_xr.training.settings import TrainSettings
    from osm4eo_xr.training.status import Status
    from osm4eo_xr.training.step.task import Noise


def corrected(
    samples: xr.Dataset,
    settings: TrainSettings,
    *,
    legend: Legend | None,
    folder: Path | None,
    start: Model | str | Path | None,
    progress: Progress | None,
    on_status: Callable[[Status], None] | None,
) -> Model:
    """Find wrong labels of training and validation, then train with what is done about them.

    The parameters are those of ``train``. Progress counts all trainings as of one length.
    """
    trainings, ended = settings.noise_folds + 1, 0

    def tell(done: int, total: int) -> None:
        if progress:
            progress(ended * total + done, trainings * total)

    def tell_fold(_name: str, done: int, total: int) -> None:
        nonlocal ended
        tell(done, total)
        ended += done == total

    learned = np.flatnonzero(samples["split"].to_numpy() != SPLITS.index("test"))
    noise = find_label_noise(
        numbered_samples(samples).isel(sample=learned),  # what is kept for the test says nothing
        settings,
        legend=legend,
        folder=folder and folder / FOLDS,
        watch=tell_fold,
    )
    ended = settings.noise_folds
    made, table = applied(samples, settings.noise, noise)
    model = fit_network(
        made,
        settings,
        legend=legend,
        folder=folder,
        start=start,
        progress=tell,
        on_status=on_status,
        noise=table,
    )
    record: dict[str, Any] = {**model.training, "label_noise": noise.to_dict()}
    return dataclasses.replace(model, training=record)


def applied(samples: xr.Dataset, how: str, noise: LabelNoise) -> tuple[xr.Dataset, Noise]:
    """Return the samples and the noise of classes with which a network is trained.

    Parameters
    ----------
    samples : Dataset
        The samples that the noise was found in.
    how : {"prune", "reweight", "forward"}
        Labels of units that are likely wrong go; labels get the variable ``weight``, in steps of
        1/255; or the loss is corrected by p(given | true).
    noise : LabelNoise
        What was found.
    """
    joint = noise.joint().to_numpy()
    sizes = joint.sum(axis=1)
    usual = np.divide(np.diag(joint), sizes, out=np.ones(len(joint)), where=sizes > 0)
    if how == "forward":
        return samples, tuple(map(tuple, noise.noise().to_numpy().tolist()))
    if how == "reweight":
        weight = weights_of(noise, samples, noise.right, usual)
        return samples.assign({WEIGHT: (("sample", "y", "x"), weight)}), ()
    kept = weights_of(noise, samples, 1.0 - noise.wrong, np.ones(len(joint))) > 0
    label = samples["label"].where(xr.DataArray(kept, dims=("sample", "y", "x")), NO_DATA)
    return samples.assign(label=label.astype(np.uint8)), ()


def weights_of(
    noise: LabelNoise, samples: xr.Dataset, values: np.ndarray, other: np.ndarray
) -> UInt8[np.ndarray, "sample y x"]:
    """Return a weight (0-255) per label: that of its unit, or of its class where none was seen.

    An object that lies in several tiles is a unit in each.

    Parameters
    ----------
    noise : LabelNoise
        Of these samples.
    samples : Dataset
        The whole set.
    values : ndarray (n,)
        0-1, by unit.
    other : ndarray (class,)
        0-1, by given class.
    """
    keys, index = keys_of(samples), index_of(samples["label"].to_numpy(), noise.class_ids)
    by_class = np.append(other, 1.0)[index]  # -1 is no label
    tile = samples["tile"].to_numpy()[:, None, None]

    def row(unit: np.ndarray, given: np.ndarray, region: np.ndarray) -> np.ndarray:
        # A unit has one label in a tile, but for an object whose pixels were given several.
        return (unit * len(noise.class_ids) + given) * len(noise.tiles) + region

    rows = row(noise.unit, noise.given, noise.region.astype(np.int64))
    order, wanted = np.argsort(rows), row(keys, np.maximum(index, 0), tile.astype(np.int64))
    at = np.minimum(np.searchsorted(rows[order], wanted), len(order) - 1)
    seen = (rows[order][at] == wanted) & (index >= 0)
    found = np.where(seen, values[order][at], by_class)
    return np.rint(found * 255).astype(np.uint8)
