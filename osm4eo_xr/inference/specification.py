"""What the workers compute: a caller's options, checked against the scene and the model."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from itertools import repeat
from typing import TYPE_CHECKING, NamedTuple, get_args

import dask.array as da
import numpy as np
import xarray as xr

from osm4eo_xr.errors import InputError, InputWarning
from osm4eo_xr.feature_ids.ids import canonical, groups_of, missing_features
from osm4eo_xr.imagery.lazy_scene import StoredScene, stored_scene
from osm4eo_xr.inference.outputs import OF_POINTS, OF_SETS
from osm4eo_xr.inference.program import ProgramSpec
from osm4eo_xr.networks.settings import EngineName

if TYPE_CHECKING:
    from osm4eo_xr.imagery.reflectance import Scaling
    from osm4eo_xr.inference.blocks import BlockGrid
    from osm4eo_xr.models.model import Model

_UNITS = {"1": "reflectance"}
_LEAVE = "leave it out"


def check_flips(model: Model, outputs: Sequence[str]) -> None:
    """Refuse flips where a model or an output is not of them."""
    if model.net.mode == "window":
        raise InputError("flips are of dense models, this one is in window mode", advice=_LEAVE)
    if sets := [name for name in outputs if name in OF_SETS]:
        raise InputError(
            f"output {sets[0]!r} with flips: sets were calibrated on single views",
            advice="leave out one of the two",
        )


class Bands(NamedTuple):
    """The model's bands in its order, (band, y, x) float32, and what files store of them."""

    values: da.Array
    stored: StoredScene | None = None


def inputs_of(
    scenes: Sequence[xr.DataArray], model: Model
) -> tuple[list[da.Array], tuple[Scaling, ...]]:
    """Return the model's bands of each scene, (band, y, x), and the scalings of stored numbers.

    The bands are uint16 as files store them where all scenes have such of the same scalings; else
    float32, and there are no scalings.
    """
    found = list(map(bands_of, scenes, repeat(model)))
    stored = [bands.stored for bands in found if bands.stored]
    alike = len({scene.scalings for scene in stored}) == 1 and len(stored) == len(found)
    if alike and model.normalization.kind == "fixed":
        return [scene.numbers for scene in stored], stored[0].scalings
    return [bands.values for bands in found], ()


def bands_of(scene: xr.DataArray, model: Model) -> Bands:
    """Return the model's bands of a scene.

    Raises
    ------
    InputError
        If it lacks one that the model needs, or is in another unit.
    """
    if scene.dims != ("band", "y", "x") or "band" not in scene.coords:
        raise InputError(
            f"scene has dims {scene.dims}", expected="(band, y, x) with band names as coordinate"
        )
    present = [canonical(str(name)) for name in scene["band"].values]
    absent = _absent(present, model)
    units = str(scene.attrs.get("units", model.units))
    units = _UNITS.get(units, units)
    if units != model.units:
        raise InputError(
            f"scene is in {units!r}, the model takes {model.units!r}",
            advice='give such numbers, and their unit as attrs["units"]',
        )
    if not absent:
        places = [present.index(name) for name in model.bands]
        values = _picked(da.asarray(scene.data), places).astype(np.float32)
        behind = stored_scene(scene.data) if scene.chunks else None
        if behind is None:
            return Bands(values)
        scalings = tuple(behind.scalings[place] for place in places)
        return Bands(values, StoredScene(_picked(behind.numbers, places), scalings))
    data = da.asarray(scene.data).astype(np.float32)
    empty = da.full_like(data[0], np.float32("nan"))
    numbered = enumerate(model.bands)
    return Bands(
        da.stack([empty if k in absent else data[present.index(name)] for k, name in numbered])
    )


def _picked(data: da.Array, places: list[int]) -> da.Array:
    """Return some bands; all of them in order need no copy."""
    return data if places == [*range(int(data.shape[0]))] else data[places]


def _absent(present: Sequence[str], model: Model) -> frozenset[int]:
    """Return the channels of groups that a scene has not whole; warn of these.

    Raises
    ------
    InputError
        If the model does not do without them.
    """
    missing = missing_features(model.bands, present)
    if not missing:
        return frozenset()
    places = {model.bands.index(name) for name in missing}
    hit = [group for group in groups_of(model.bands) if places & {*group.channels}]
    absent = frozenset(channel for group in hit for channel in group.channels)
    refused = [group for group in hit if group.name not in model.optional]
    channels = model.channels
    sees = channels.seeing or (True,) * len(channels.groups)
    left = [s for group, s in zip(channels.groups, sees, strict=True) if group[0] not in absent]
    if refused or not any(left):
        first = min(places & {*(refused or hit)[0].channels})
        raise InputError(
            f"scene lacks band {model.bands[first]!r}",
            advice=f"the model takes {', '.join(model.bands)}, the scene has {', '.join(present)}",
        )
    without = ", ".join(group.name for group in hit)
    message = f"scene lacks band {missing[0]!r}; the map is made without {without}"
    warnings.warn(InputWarning(f"{message}, as the model was trained to"), stacklevel=5)
    return absent


def center_of(model: Model, center: str | int | None) -> int:
    """Return the index of the classified pixel in a window."""
    own, window = int(model.center or 0), model.net.window
    if center is None:
        return own
    if model.net.mode != "window":
        raise InputError(
            f"center {center!r} is for window models, this one is dense", advice=_LEAVE
        )
    named = {"original-train": window // 2 - 1, "original-predict": window // 2}
    index = named.get(center, -1) if isinstance(center, str) else center
    if not 0 <= index < window:
        raise InputError(
            f"center {center!r} is unknown",
            advice=f"give original-train, original-predict or 0 to {window - 1}",
        )
    return index


def specify(
    model: Model,
    outputs: tuple[str, ...],
    grid: BlockGrid,
    margin: int,
    center: int,
    dtype: str,
    engine: EngineName,
    *,
    flips: bool,
    stored: bool,
) -> ProgramSpec:
    """State what the workers compute."""
    if dtype not in ("auto", "float32", "bfloat16"):
        raise InputError(f"dtype {dtype!r} is unknown", advice="give auto, float32 or bfloat16")
    engines = get_args(EngineName)
    if engine not in engines:
        raise InputError(
            f"engine {engine!r} is unknown", advice=f"give one of {', '.join(engines)}"
        )
    if engine in ("onnx", "winograd") and dtype == "bfloat16":
        raise InputError(
            f"engine {engine!r} computes in float32", advice="give dtype auto or engine jax"
        )
    if engine in ("onnx", "winograd") and not model.net.fits_onnx:
        raise InputError(
            f"engine {engine!r} does not compute network {model.net.network!r}",
            advice="give auto or jax",
        )
    if engine == "winograd" and not model.net.fits_winograd:
        raise InputError(
            "engine 'winograd' is for dense networks with kernels of 3 or 5 pixels, this one is "
            f"in {model.net.mode} mode with {model.net.kernel}",
            advice="give auto, jax or onnx",
        )
    known = model.applicability
    sets, points = set(outputs) & set(OF_SETS), set(outputs) & set(OF_POINTS)
    if engine == "onnx" and points:
        raise InputError(
            f"engine 'onnx' does not give {points.pop()}", advice="give auto, jax or winograd"
        )
    return ProgramSpec(
        net=model.net,
        class_ids=model.class_ids,
        outputs=outputs,
        rows=grid.rows,
        cols=grid.cols,
        margin=margin,
        center=center,
        dtype=dtype,
        engine=engine,
        least=tuple(map(float, known.least_probability)) if known and sets else (),
        reference=known.digest if known and points else "",
        flips=flips,
        channels=model.channels,
        stored=stored,
    )
