"""Which labels are wrong, and how often: confident learning over objects of OpenStreetMap."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from scipy.special import softmax

from osm4eo_xr.errors import InputError
from osm4eo_xr.osm.areas import split_keys
from osm4eo_xr.samples.folds import block_folds
from osm4eo_xr.training.batches import ordered_batches
from osm4eo_xr.training.label_noise import confident
from osm4eo_xr.training.label_noise.objects import OBJECT
from osm4eo_xr.training.scoring import index_of, model_task, model_windows
from osm4eo_xr.training.settings import TrainSettings
from osm4eo_xr.training.single_fit import fit_network
from osm4eo_xr.training.step.data_parallel import place_batch
from osm4eo_xr.training.step.eval_step import make_eval_step

if TYPE_CHECKING:
    import pandas as pd
    from jaxtyping import Bool, Float64, Int64

    from osm4eo_xr.legend import Legend
    from osm4eo_xr.models.model import Model
    from osm4eo_xr.progress import Watch

_BATCH = 32
_VALIDATION = 0.1  # of a fold's blocks, which choose its epoch
_NUMBER = "number"  # of a sample in the whole set


@dataclass(frozen=True)
class LabelNoise:
    """What models that have not seen the labels say of them.

    A unit is an object of OpenStreetMap or, of samples that name none, what one window holds of a
    class. Its probabilities are means over its labeled pixels.

    Attributes
    ----------
    legend : Legend
        Whose classes they are.
    class_ids : tuple of int
        Class of each column of ``shares``.
    unit : ndarray (n,) of int64
        Keys, as ``unit_keys`` gives them.
    given : ndarray (n,)
        Index of the label.
    region : ndarray (n,)
        Tile of the samples.
    pixels : ndarray (n,)
        Labeled pixels that were looked at.
    shares : ndarray (n, class)
        Mean probabilities.
    tiles : tuple of str
        Names of the tiles.

    Examples
    --------
    Three windows, of which the last is labeled otherwise than models see it:

    >>> import numpy as np, osm4eo_xr as oxr
    >>> legend = oxr.Legend("woods and water", oxr.default_legend().classes[7::4])
    >>> shares = np.array([[0.9, 0.1], [0.2, 0.8], [0.1, 0.9]])
    >>> given, ones = np.array([0, 1, 0]), np.ones(3, np.int64)
    >>> found = oxr.LabelNoise(legend, (8, 12), -ones, given, 0 * ones, ones, shares, ("A",))
    >>> found.table()[["given", "suggested"]].iloc[0].tolist()
    ['forest', 'water']
    """

    legend: Legend
    class_ids: tuple[int, ...]
    unit: np.ndarray
    given: np.ndarray
    region: np.ndarray
    pixels: np.ndarray
    shares: np.ndarray
    tiles: tuple[str, ...]

    def __repr__(self) -> str:
        """Say how many labels are likely wrong."""
        wrong = int(self.wrong.sum())
        return f"<LabelNoise: {wrong:,} of {len(self.unit):,} labels are likely wrong>"

    def joint(self, region: str | None = None) -> xr.DataArray:
        """Return p(given, true) over pixels, of all tiles or one: (osm, class), float64, sum 1.

        Of a tile without units, the sum is 0.

        Raises
        ------
        InputError
            If the tile is unknown.
        """
        here = np.ones(len(self.unit), bool)
        if region is not None:
            if region not in self.tiles:
                raise InputError(f"tile {region!r} is unknown", expected=", ".join(self.tiles))
            here = self.region == self.tiles.index(region)
        how = (self.shares[here], self.given[here], self.pixels[here].astype(np.float64))
        table = confident.joint(*how, self.thresholds)
        return self._table(table, ("osm", "class"))

    def noise(self) -> xr.DataArray:
        """Return p(given | true) over pixels: (class, osm), float64, as for ``merge_known``."""
        return self._table(confident.noise_of(self.joint().to_numpy()), ("class", "osm"))

    @property
    def thresholds(self) -> Float64[np.ndarray, " class"]:
        """Mean probability of each class over the units labeled so; inf without any."""
        return confident.thresholds(self.shares, self.given, np.ones(len(self.unit)))

    @property
    def wrong(self) -> Bool[np.ndarray, " n"]:
        """Which units are most likely wrong: as many as the joint of units says."""
        ones = np.ones(len(self.unit))
        table = confident.joint(self.shares, self.given, ones, self.thresholds)
        return confident.wrong(self.shares, self.given, table)

    @property
    def right(self) -> Float64[np.ndarray, " n"]:
        """Probability that each unit's label is right."""
        return confident.right(self.shares, self.given, self.noise().to_numpy())

    def table(self) -> pd.DataFrame:
        """Return a row per unit, the worst first.

        Columns osm_kind, osm_id (of objects; "" and 0 else), tile, pixels, given and suggested
        (slugs), quality (0 wrong to 1 right), right (0-1, probability) and wrong.
        """
        import geopandas as gpd

        named = self.unit > 0
        kind, number, _ = split_keys(np.where(named, self.unit, 0))
        slugs = np.array([self.legend.by_id[i].slug for i in self.class_ids], object)
        rows = {
            "osm_kind": np.where(named, kind, ""),
            "osm_id": np.where(named, number, 0),
            "tile": np.array(self.tiles, object)[self.region],
            "pixels": self.pixels,
            "given": slugs[self.given],
            "suggested": slugs[self.shares.argmax(axis=1)],
            "quality": confident.quality(self.shares, self.given),
            "right": self.right,
            "wrong": self.wrong,
        }
        return gpd.GeoDataFrame(rows).sort_values("quality", kind="stable", ignore_index=True)

    def to_dict(self) -> dict[str, Any]:
        """Return what a model records of it, as JSON types."""
        return {
            "units": len(self.unit),
            "wrong": int(self.wrong.sum()),
            "pixels": int(self.pixels.sum()),
            "noise": self.noise().to_numpy().round(6).tolist(),
            "regions": {t: self.joint(t).to_numpy().round(6).tolist() for t in self._known_tiles()},
        }

    def _known_tiles(self) -> list[str]:
        return [self.tiles[k] for k in np.unique(self.region)]

    def _table(self, values: np.ndarray, dims: tuple[str, str]) -> xr.DataArray:
        ids = list(self.class_ids)
        return xr.DataArray(values, coords=dict.fromkeys(dims, ids), dims=dims)


def find_label_noise(
    samples: xr.Dataset,
    settings: TrainSettings | None = None,
    *,
    k: int | None = None,
    legend: Legend | None = None,
    folder: str | Path | None = None,
    watch: Watch | None = None,
) -> LabelNoise:
    """Find wrong labels by models that have not seen them.

    ``k`` networks are trained, each without one fold of spatial blocks, and say what they see in
    it: ``k`` times ``noise_epochs``, or else ``epochs``, of the settings. Units are judged by their
    mean probabilities (``confident``). Snapshots of one training would cost less, but have seen
    every label that they were to judge.

    Parameters
    ----------
    samples : Dataset
        As ``draw_samples`` or ``open_samples`` returns it; with ``name_objects``, units are objects
        of OpenStreetMap.
    settings : TrainSettings, optional
        Of these networks; their seed also decides the folds.
    k : int, optional
        Folds; by default ``noise_folds`` of the settings.
    legend : Legend, optional
        Classes; by default those the samples were drawn with.
    folder : str or Path, optional
        Where the trainings keep their checkpoints.
    watch : callable, optional
        Called as ``watch(fold, steps done, steps in all)``.

    Returns
    -------
    LabelNoise
        Of all windows that some fold holds out.

    Raises
    ------
    InputError
        If the samples have no places, or a fold lacks a split.

    Source
    ------
    Northcutt, Jiang and Chuang 2021, Journal of Artificial Intelligence Research 70.

    Examples
    --------
    Labels that are likely wrong, with what the models take them for, the worst first:

    >>> import osm4eo_xr as oxr
    >>> from osm4eo_xr.demo import example_samples
    >>> tiny = oxr.TrainSettings(depth=11, width=4, epochs=1, batch=16)
    >>> found = oxr.find_label_noise(example_samples(fields=24), tiny, k=2)
    >>> found.table().query("wrong")[["given", "suggested"]].columns.tolist()
    ['given', 'suggested']
    """
    settings = settings or TrainSettings()
    settings = dataclasses.replace(settings, noise="none", epochs=settings.fold_epochs)
    numbered = numbered_samples(samples)
    parts, model = [], None
    folds = block_folds(
        numbered, k or settings.noise_folds, validation=_VALIDATION, seed=settings.seed
    )
    for fold in folds:
        told: Any = None if watch is None else (lambda *steps, name=fold.name: watch(name, *steps))
        own = None if folder is None else Path(folder) / fold.name.replace(" ", "_")
        model = fit_network(fold.samples, settings, legend=legend, folder=own, progress=told)
        parts += _looked_at(model, fold.samples)
    if model is None:  # no fold is none
        raise AssertionError
    return _summed(model, parts, tuple(map(str, samples.attrs["tiles"])))


_Rows = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def _looked_at(model: Model, samples: xr.Dataset) -> Iterator[_Rows]:
    """Yield sums over the units of each batch: key, label, tile, pixels, probabilities."""
    windows, predict = model_windows(model, samples, "test"), make_eval_step(model_task(model))
    tiles = samples["tile"].to_numpy()
    for image, label, positions in ordered_batches(windows, _BATCH):
        logits = np.asarray(predict(dict(model.variables), place_batch(image)))[: len(positions)]
        index = index_of(label[: len(positions)], model.class_ids)
        part = samples.isel(sample=positions)
        keys = unit_keys(part, center=label.ndim == 1)
        tile = np.broadcast_to(tiles[positions].reshape(-1, *[1] * (index.ndim - 1)), index.shape)
        known = index >= 0
        shares = softmax(logits[known].astype(np.float64), axis=-1)
        yield _grouped(keys[known], index[known], tile[known], np.ones(int(known.sum())), shares)


def unit_keys(samples: xr.Dataset, *, center: bool = False) -> Int64[np.ndarray, "..."]:
    """Return the unit of each label: its object, or below 0 what its window has of its class.

    Parameters
    ----------
    samples : Dataset
        With the numbers of its samples.
    center : bool
        Of the drawn pixel of each sample only.
    """
    middle = {"y": samples.sizes["y"] // 2, "x": samples.sizes["x"] // 2}
    part = samples.isel(middle) if center else samples
    label = part["label"].to_numpy()
    number = part[_NUMBER].to_numpy().reshape(-1, *[1] * (label.ndim - 1)).astype(np.int64)
    window = -1 - (number * 256 + label)
    if OBJECT not in part:
        return window
    named = part[OBJECT].to_numpy()
    return np.where(named != 0, named, window)


def _grouped(
    keys: Int64[np.ndarray, " n"],
    given: Int64[np.ndarray, " n"],
    tile: np.ndarray,
    pixels: Float64[np.ndarray, " n"],
    shares: Float64[np.ndarray, "n k"],
) -> _Rows:
    """Add up rows of one unit, label and tile."""
    order = np.lexsort((tile, given, keys))
    keys, given, tile = keys[order], given[order], tile[order].astype(np.int64)
    new = np.ones(len(keys), bool)
    new[1:] = (np.diff(keys) != 0) | (np.diff(given) != 0) | (np.diff(tile) != 0)
    starts = np.flatnonzero(new)
    if not len(starts):
        return keys, given, tile, pixels, shares
    counted = np.add.reduceat(pixels[order], starts)
    total = np.add.reduceat(shares[order], starts, axis=0)
    return keys[starts], given[starts], tile[starts], counted, total


def _summed(model: Model, parts: list[_Rows], tiles: tuple[str, ...]) -> LabelNoise:
    """Put the sums of all batches together."""
    keys, given, tile, pixels, shares = _grouped(
        *(np.concatenate(column) for column in zip(*parts, strict=True))
    )
    mean = shares / pixels[:, None]
    how = (keys, given, tile, pixels.astype(np.int64), mean, tiles)
    return LabelNoise(model.legend, model.class_ids, *how)


def numbered_samples(samples: xr.Dataset) -> xr.Dataset:
    """Return samples with their numbers: those of the set that they were taken from, if it had."""
    if _NUMBER in samples:
        return samples
    return samples.assign({_NUMBER: ("sample", np.arange(samples.sizes["sample"]))})


def keys_of(samples: xr.Dataset) -> Int64[np.ndarray, "sample y x"]:
    """Return the unit of each label of a whole set."""
    return unit_keys(numbered_samples(samples))
