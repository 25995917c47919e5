"""Patches that have one class each, as a sample set: what public benchmarks are made of."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import dask.array as da
import numpy as np
import xarray as xr

from osm4eo_xr.errors import InputError
from osm4eo_xr.feature_ids.channels import channels_of
from osm4eo_xr.feature_ids.ids import canonical
from osm4eo_xr.geometry.known_classes import refuse_others
from osm4eo_xr.samples.spatial_split import SPLITS
from osm4eo_xr.samples.store import STORE_CHUNK

if TYPE_CHECKING:
    from osm4eo_xr.legend import Legend

__all__ = ["patch_samples"]


def patch_samples(
    image: np.ndarray | da.Array,
    label: np.ndarray,
    split: np.ndarray,
    *,
    bands: Sequence[str],
    legend: Legend,
    units: str = "1",
) -> xr.Dataset:
    """Wrap labeled patches as a sample set, to be learned in window mode with their edge.

    Parameters
    ----------
    image : array (sample, y, x, band), float32
        Square patches, NaN = no data; may be lazy. An edge that is a multiple of 4 suits the
        network.
    label : ndarray (sample,), uint8
        Class ids of ``legend``; pixels without data have none.
    split : ndarray (sample,), uint8
        0 train, 1 validation, 2 test.
    bands : sequence of str
        Names of the bands: red, green, blue, or any others.
    legend : Legend
        The classes.
    units : str
        Unit of the image: "1" for reflectance.

    Returns
    -------
    Dataset
        As ``draw_samples`` returns it, without places on the ground: easting and northing are NaN.

    Raises
    ------
    InputError
        If the shapes do not fit each other or a class or split is unknown.

    Examples
    --------
    >>> import numpy as np, osm4eo_xr as oxr
    >>> images = np.zeros((3, 12, 12, 4), dtype="float32")
    >>> label, split = np.array([8, 8, 12], "uint8"), np.array([0, 1, 2], "uint8")
    >>> bands, legend = ["blue", "green", "red", "nir"], oxr.default_legend()
    >>> samples = oxr.patch_samples(images, label, split, bands=bands, legend=legend)
    >>> dict(samples["image"].sizes)
    {'sample': 3, 'y': 12, 'x': 12, 'band': 4}
    """
    label, split = np.asarray(label, np.uint8), np.asarray(split, np.uint8)
    _check(image, label, split, bands, legend)
    size, edge = len(label), int(image.shape[1])
    lazy: Any = da.asarray(image).rechunk((STORE_CHUNK, *image.shape[1:]))
    wide = da.asarray(label).rechunk(STORE_CHUNK)[:, None, None]
    channels = channels_of([canonical(str(band)) for band in bands])
    seen = channels.usable(da.isfinite(lazy), axis=-1)
    nowhere = ("sample", np.full(size, np.nan))
    return xr.Dataset(
        {
            "image": (("sample", "y", "x", "band"), lazy),
            "label": (("sample", "y", "x"), da.where(seen, wide, np.uint8(0))),
            "split": ("sample", split),
            "tile": ("sample", np.zeros(size, np.int16)),
            "easting": nowhere,
            "northing": nowhere,
        },
        coords={"band": list(bands)},
        attrs={
            "patch": edge,
            "bands": list(bands),
            "tiles": ["patches"],
            "units": units,
            "splits": list(SPLITS),
            "legend": json.dumps(legend.to_dict()),
            "counts": json.dumps(_counts(label, split, legend)),
        },
    )


def _check(
    image: Any, label: np.ndarray, split: np.ndarray, bands: Sequence[str], legend: Legend
) -> None:
    """Refuse what does not fit together."""
    expected = (len(label), image.shape[1], image.shape[1], len(bands))
    if image.ndim != len(expected) or image.shape != expected:
        raise InputError(
            f"images of shape {image.shape} for {len(label)} labels and {len(bands)} bands",
            advice="give square patches (sample, y, x, band), a label and a band name for each",
        )
    if split.shape != label.shape or (split >= len(SPLITS)).any():
        raise InputError(f"give one split per patch: 0 to {len(SPLITS) - 1} for {SPLITS}")
    refuse_others(Counter(label.tolist()), legend, "the list of labels", "the patches")


def _counts(label: np.ndarray, split: np.ndarray, legend: Legend) -> list[dict[str, Any]]:
    """Count patches per class and split; all there are were wanted."""
    rows = []
    for c in legend.classes:
        for k, name in enumerate(SPLITS):
            n = int(((label == c.id) & (split == k)).sum())
            row = {"tile": "patches", "class_id": c.id, "class": c.slug, "split": name}
            rows.append({**row, "wanted": n, "drawn": n, "shortfall": 0})
    return rows
