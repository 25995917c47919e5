"""Sample sets on disk: Zarr, in chunks of samples that training reads one after another."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import xarray as xr

from osm4eo_xr.errors import InputError, check_number
from osm4eo_xr.feature_ids.channels import channels_of
from osm4eo_xr.files import replaced
from osm4eo_xr.legend import legend_from_dict
from osm4eo_xr.progress import Progress, with_bars
from osm4eo_xr.rasters.hierarchies import damage

STORE_CHUNK = 64
"""Samples per chunk: 2.6 MB of image at 32 x 32 pixels and 10 bands."""

_CHUNKS_AT_ONCE = 16  # written together, so that a chunk of the scene is read few times
_LEAST = 1e-6  # of lengths and counts that are above 0
_VARIABLES = {"image", "label", "split", "tile", "easting", "northing"}


@with_bars("samples")
def write_samples(
    samples: xr.Dataset,
    path: str | Path,
    *,
    progress: Progress | None = None,
) -> Path:
    """Write a sample set as Zarr; it appears whole, and replaces one that is there.

    Parameters
    ----------
    samples : Dataset
        As ``draw_samples`` returns it.
    path : str or Path
        The store, a folder.
    progress : callable, optional
        Called as ``progress(samples written, samples in all)``.

    Raises
    ------
    InputError
        If ``path`` exists and is not a sample set.

    Examples
    --------
    >>> import numpy as np, osm4eo_xr as oxr
    >>> images = np.zeros((3, 12, 12, 4), dtype="float32")
    >>> label, split = np.array([8, 8, 12], "uint8"), np.array([0, 1, 2], "uint8")
    >>> bands, legend = ["blue", "green", "red", "nir"], oxr.default_legend()
    >>> samples = oxr.patch_samples(images, label, split, bands=bands, legend=legend)
    >>> oxr.write_samples(samples, "samples.zarr").name
    'samples.zarr'
    """
    path = Path(path)
    if path.exists():
        _check_replaceable(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replaced(path) as fresh:
        _write(samples, fresh, progress)
    return path


def open_samples(path: str | Path) -> xr.Dataset:
    """Open a sample set; images and labels stay on disk.

    Raises
    ------
    InputError
        If there is none at ``path``.

    Examples
    --------
    >>> import numpy as np, osm4eo_xr as oxr
    >>> images = np.zeros((3, 12, 12, 4), dtype="float32")
    >>> label, split = np.array([8, 8, 12], "uint8"), np.array([0, 1, 2], "uint8")
    >>> bands, legend = ["blue", "green", "red", "nir"], oxr.default_legend()
    >>> samples = oxr.patch_samples(images, label, split, bands=bands, legend=legend)
    >>> opened = oxr.open_samples(oxr.write_samples(samples, "samples.zarr"))
    >>> opened["split"].values.tolist()
    [0, 1, 2]
    """
    if not Path(path).exists():
        raise InputError(f"no sample set {path}", advice="give a set of draw_samples")
    with damage(path, "is no sample set"):
        samples = xr.open_zarr(Path(path).absolute(), consolidated=False)  # workers read it too
    missing = sorted(_VARIABLES - set(map(str, samples.variables)))
    missing += [name for name in ("bands", "legend") if name not in samples.attrs]
    if missing:
        raise InputError(f"{path} has no {missing[0]!r}", advice="give a set of draw_samples")
    with damage(path, "is no sample set"):
        legend_from_dict(json.loads(samples.attrs["legend"]), source="legend")
        names = [str(name) for name in samples.attrs["bands"]]
        channels_of(names, samples.attrs.get("optional", ()))
        for name in ("resolution", "block", "patch"):  # of sets whose samples have a place
            check_number(name, float(samples.attrs.get(name, 1)), least=_LEAST)
        return samples.assign_coords(band=names)


def _write(samples: xr.Dataset, path: Path, progress: Progress | None) -> None:
    """Write what is small, then what has the windows' pixels group by group."""
    samples = samples.drop_vars("band").chunk(sample=STORE_CHUNK)  # names are in attrs["bands"]
    wide = [name for name, v in samples.data_vars.items() if {"sample", "y", "x"} <= {*v.dims}]
    for name in set(samples.variables) - set(wide):
        samples[name] = samples[name].compute()
    windows = samples[wide].reset_coords(drop=True)
    sizes = {**samples.sizes, "sample": STORE_CHUNK}
    encoding = {name: {"chunks": tuple(sizes[d] for d in windows[name].dims)} for name in wide}
    samples.to_zarr(path, compute=False, encoding=encoding, consolidated=False)
    total = samples.sizes["sample"]
    step = STORE_CHUNK * _CHUNKS_AT_ONCE
    for first in range(0, total, step):
        part = slice(first, min(first + step, total))
        windows.isel(sample=part).to_zarr(path, region={"sample": part}, consolidated=False)
        if progress:
            progress(part.stop, total)


def _check_replaceable(path: Path) -> None:
    """Refuse to overwrite anything but a sample set."""
    try:
        open_samples(path)
    except InputError:
        raise InputError(
            f"{path} exists and is not a sample set", advice="give another path"
        ) from None


def read_split(samples: xr.Dataset, split: int) -> np.ndarray:
    """Return the positions of a split's samples, ascending."""
    return np.nonzero(samples["split"].values == split)[0]
