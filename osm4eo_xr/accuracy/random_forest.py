"""A random forest on single pixels' spectra: what the network has to beat."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from osm4eo_xr.accuracy.accuracy_report import AccuracyReport
from osm4eo_xr.accuracy.confusion import confusion_counts
from osm4eo_xr.accuracy.validation.intervals import BlockCounts
from osm4eo_xr.errors import InputError, extra
from osm4eo_xr.legend import Legend, legend_from_dict
from osm4eo_xr.process.threads import allowed_threads
from osm4eo_xr.samples.ground import ground_pixels, has_places
from osm4eo_xr.samples.spatial_split import SPLITS
from osm4eo_xr.samples.store import read_split

if TYPE_CHECKING:
    from sklearn.ensemble import RandomForestClassifier

__all__ = ["random_forest_report"]


def random_forest_report(
    samples: xr.Dataset,
    *,
    seed: int = 0,
    trees: int = 200,
    pixels: int = 50_000,
    split: str = "test",
    center: bool = False,
) -> AccuracyReport:
    """Train a random forest on the training windows' labeled pixels and score one split.

    The forest sees the same labeled ground as the network and is scored on the same pixels; it
    knows nothing of a pixel's neighbors. Optional features that a pixel lacks have their median.

    Parameters
    ----------
    samples : Dataset
        As ``draw_samples`` or ``open_samples`` returns it.
    seed : int
        Seed of the forest and of the choice of pixels.
    trees : int
        Trees of the forest.
    pixels : int
        Training pixels at most, drawn from the distinct labeled ones; more take longer.
    split : {"train", "validation", "test"}
        What is scored.
    center : bool
        Score the drawn pixel of each window only.

    Returns
    -------
    AccuracyReport
        Counts (reference, forest) of the split's labeled pixels, int64.

    Raises
    ------
    InputError
        If the training split or the scored one has no labeled pixel, or the extra ``forest`` is not
        installed.

    Examples
    --------
    >>> import numpy as np, osm4eo_xr as oxr
    >>> from osm4eo_xr.geometry.grid import georeference
    >>> box = oxr.target_geobox((4320000, 3210000, 4322000, 3212000))
    >>> pixels, bands = np.full((1, 200, 200), 0.1, dtype="float32"), {"band": ["nir"]}
    >>> scene = georeference(pixels, box, dims=("band", "y", "x"), coords=bands)
    >>> classes = np.full((200, 200), 8, dtype="uint8")
    >>> classes[::2], pixels[:, ::2] = 12, 0.01  # rows of water
    >>> labels = georeference(classes, box)
    >>> samples = oxr.draw_samples(scene, labels, per_class=10, patch=8, block=200)
    >>> oxr.random_forest_report(samples, trees=5).overall_accuracy
    1.0
    """
    with extra("forest", "the random forest"):
        from sklearn.ensemble import RandomForestClassifier
    legend = legend_from_dict(json.loads(samples.attrs["legend"]), source="samples")
    spectra, label = _training_pixels(samples, pixels, seed)
    medians = _medians(spectra)
    forest = RandomForestClassifier(trees, n_jobs=allowed_threads(), random_state=seed)
    forest.fit(_completed(spectra, medians), label)
    return _score(forest, samples, split, legend, center=center, medians=medians)


def _medians(spectra: np.ndarray) -> np.ndarray:
    """Return each feature's median, which stands for it where a pixel lacks it."""
    found = [band[np.isfinite(band)] for band in spectra.T]
    return np.array([np.median(band) if band.size else 0.0 for band in found], np.float32)


def _completed(spectra: np.ndarray, medians: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(spectra), spectra, medians)


def _training_pixels(samples: xr.Dataset, pixels: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return spectra and labels of distinct labeled pixels."""
    part = _of_split(samples, "train")
    label = part["label"].values
    at = np.nonzero(label > 0)
    first = np.arange(len(at[0]))
    if has_places(samples):  # windows of one place overlap; patches without a place do not
        rows, cols = _ground(part)
        tile = part["tile"].values[at[0]].astype(np.int64)
        ground = (tile << 48) + (rows[at[0], at[1]] << 24) + cols[at[0], at[2]]
        _, first = np.unique(ground, return_index=True)
    if len(first) > pixels:
        first = np.random.default_rng(seed).choice(first, pixels, replace=False)
    chosen = tuple(axis[np.sort(first)] for axis in at)
    return part["image"].values[chosen], label[chosen]


def _ground(part: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Return row and column of each window's pixels, counted from the set's first ones."""
    half = part.sizes["y"] // 2
    reach = np.arange(part.sizes["y"]) - half
    row, col = ground_pixels(part)
    row, col = row - row.min() + half, col - col.min() + half
    return row[:, None] + reach, col[:, None] + reach


def _score(
    forest: RandomForestClassifier,
    samples: xr.Dataset,
    split: str,
    legend: Legend,
    *,
    center: bool,
    medians: np.ndarray,
) -> AccuracyReport:
    """Count the forest's classes against the labels."""
    part = _of_split(samples, split)
    label = part["label"].values
    if center:
        middle = label.shape[1] // 2
        label, image = label[:, middle, middle], part["image"][:, middle, middle].values
    else:
        image = part["image"].values
    labeled = label > 0
    found = forest.predict(_completed(image[labeled], medians)).astype(np.uint8)
    counts, missing = confusion_counts(label[labeled], found, legend)
    blocks = BlockCounts(part, legend.ids)
    blocks.add(np.nonzero(labeled)[0], label[labeled], found)
    name = f"random forest, {split}"
    return AccuracyReport(counts, legend, missing, name=name, blocks=blocks.by_block())


def _of_split(samples: xr.Dataset, split: str) -> xr.Dataset:
    """Return the samples of one split, read."""
    positions = read_split(samples, SPLITS.index(split))
    if not len(positions):
        raise InputError(
            f"the sample set has no sample in {split}", advice=f"draw with a share for {split}"
        )
    return samples.isel(sample=positions).compute()
