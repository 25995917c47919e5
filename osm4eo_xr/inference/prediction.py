"""Scene + model → land-use map: the one crossing from dask to compiled inference.

The scene is cut into equal blocks that depend on its size alone, whatever its chunks are. Each is
read with the network's halo, computed by one compiled program and cropped, so the map shows no
seams and is the same, pixel for pixel, for every chunking. Outside the scene, and where any band
is missing, the network sees the model's neutral value: 0 after normalization.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, get_args, overload

import dask
import dask.array as da
import numpy as np
import xarray as xr
from dask.base import annotate, tokenize

from osm4eo_xr.cluster.device_tasks import device_annotations
from osm4eo_xr.errors import InputError
from osm4eo_xr.geometry.grid import geobox_of
from osm4eo_xr.inference.blocks import BlockGrid, plan_blocks, read_blocks
from osm4eo_xr.inference.outputs import (
    OF_POINTS,
    OF_SETS,
    check_outputs,
    empty_values,
    label_maps,
)
from osm4eo_xr.inference.program import ProgramSpec
from osm4eo_xr.inference.surroundings import Placed, cut_to, place_of, read_around, rows_ahead
from osm4eo_xr.inference.throughput import COUNTER, Throughput
from osm4eo_xr.inference.worker import ModelSource, classify_block
from osm4eo_xr.models.model import Model, load_model, model_to_bytes
from osm4eo_xr.networks.settings import EngineName

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox

__all__ = ["classify", "read_throughput"]

DENSE_BLOCK = 1024
"""Greatest edge of a block in dense mode, in pixels: at depth 29 a CPU process peaks below 3 GB."""

WINDOW_BLOCK = 128
"""Greatest edge of a block in window mode, in pixels."""

_STEP = 32  # pixels; edges of blocks are multiples of the stride that suit vector units
_UNITS = {"1": "reflectance", "reflectance": "reflectance", "digital number": "digital number"}


@overload
def classify(
    scene: xr.DataArray,
    model: Model,
    *,
    outputs: Literal["classes"] = ...,
    block: int | None = ...,
    dtype: Literal["auto", "float32", "bfloat16"] = ...,
    engine: EngineName = ...,
    center: Literal["original-train", "original-predict"] | int | None = ...,
    around: Sequence[xr.DataArray] | None = ...,
) -> xr.DataArray: ...
@overload
def classify(
    scene: xr.DataArray,
    model: Model,
    *,
    outputs: Sequence[str],
    block: int | None = ...,
    dtype: Literal["auto", "float32", "bfloat16"] = ...,
    engine: EngineName = ...,
    center: Literal["original-train", "original-predict"] | int | None = ...,
    around: Sequence[xr.DataArray] | None = ...,
) -> xr.Dataset: ...
def classify(
    scene: xr.DataArray,
    model: Model,
    *,
    outputs: str | Sequence[str] = "classes",
    block: int | None = None,
    dtype: Literal["auto", "float32", "bfloat16"] = "auto",
    engine: EngineName = "auto",
    center: Literal["original-train", "original-predict"] | int | None = None,
    around: Sequence[xr.DataArray] | None = None,
) -> xr.DataArray | xr.Dataset:
    """Classify a scene; lazy.

    Parameters
    ----------
    scene : DataArray
        (band, y, x) in the model's unit, ``band`` holding common names in any order; NaN in any
        of the model's bands = no data.
    model : Model
        As ``train`` or ``load_model`` gave it. A model that was saved reaches worker processes
        by its folder and hash; one that was not travels once, beside the tasks.
    outputs : "classes" or list of str
        ``"classes"`` gives the class map alone. A list of ``"classes"``, ``"confidence"`` (the
        greatest probability), ``"margin"`` (greatest less second), ``"probabilities"`` and, from
        a model with ``applicability``, ``"dissimilarity"``, ``"density"``, ``"set_size"`` and
        ``"sets"`` gives a Dataset, all from one forward pass.
    block : int, optional
        Greatest edge of a block in pixels; by default 1024 (dense) or 128 (window).
    dtype : {"auto", "float32", "bfloat16"}
        Of the layers; "auto" is bfloat16 on a GPU and float32 elsewhere, as the worker finds. The
        two give the same class but for pixels near a tie: on the demo's scene (512 x 512 pixels,
        its own model, both on a CPU) 443 pixels differ, 0.2 %. Engines but jax compute in float32.
    engine : {"auto", "jax", "onnx", "winograd"}
        "auto" is, on CPU workers, "winograd" (the package's own kernels) for dense networks of 3x3
        or 5x5 kernels, and ONNX Runtime for others where the ``onnx`` extra is installed; else
        jax. All workers of a run should have the same: the engines' logits differ in the last
        digits.
    center : int, "original-train" or "original-predict", optional
        Window mode: index of the classified pixel along each axis of a window, in place of the
        model's. The original trained on rows r-5 … r+6 of its 12-pixel windows (index 5) and
        predicted on r-6 … r+5 (index 6); columns alike.
    around : sequence of DataArray, optional
        Scenes of the same grid, unit and bands: what the network sees beyond the scene's edges
        and where it has no data, from the first that has it. Blocks then lie on the grid of the
        CRS, so that maps of scenes that touch fit without a seam; an empty one lays them so too.
        Probabilities may differ in the last of 250 steps where blocks have other shapes.

    Returns
    -------
    DataArray or Dataset
        Classes: (y, x) uint8, the model's class ids, 0 = no data. The others: uint8, 255 = no
        data. Confidence, margin and probabilities: 0-250 for 0-1. Dissimilarity: 100 is its
        threshold, above it (up to 250) the model does not apply. Density: 0-250 for the share of
        training points nearer than the threshold, rounded up. Set size: how many classes the
        pixel may have; sets: 1 for these, else 0. Probabilities and sets are (class, y, x). attrs
        hold the model's name and digest and, in window mode, the center.

    Raises
    ------
    InputError
        If the scene has no grid, lacks a band, or is in another unit than the model takes; if
        a dense model is given a center; if scenes around lie on another grid; if a model that
        does not say where it applies is asked for that, or one in window mode or on the engine
        "onnx" for dissimilarity or density.

    Examples
    --------
    >>> import jax, osm4eo_xr as oxr
    >>> from osm4eo_xr.networks import resnet
    >>> net = oxr.NetSettings(bands=1, classes=12, depth=11, width=4, kernel=3)
    >>> scale = oxr.Normalization(offset=(0.1,), scale=(0.1,))
    >>> model = oxr.Model(net, resnet.init(net, jax.random.key(0)), ("nir",), scale)
    >>> import numpy as np
    >>> from osm4eo_xr.geometry.grid import georeference
    >>> box = oxr.target_geobox((4320000, 3210000, 4320640, 3210640))
    >>> pixels, names = np.full((1, 64, 64), 0.1, dtype="float32"), {"band": ["nir"]}
    >>> scene = georeference(pixels, box, dims=("band", "y", "x"), coords=names)
    >>> classes = oxr.classify(scene, model)  # a plan; model is not trained
    >>> classes.dims, classes.dtype, classes.data.npartitions
    (('y', 'x'), dtype('uint8'), 1)
    """
    names = check_outputs(outputs, model)
    geobox = geobox_of(scene)
    data = _bands(scene, model)
    middle = _center(model, center)
    margin = model.footprint_at(middle).halo
    ahead = (0, 0) if around is None else rows_ahead(geobox, _step(model, block))
    grid = _block_grid(data, model, margin, block, ahead)
    spec = _spec(model, names, grid, margin, middle, dtype, engine)
    scaling = _scaling(data, model)
    if around is None:
        blocks = read_blocks(data, grid, margin)
        maps = _classify_blocks(blocks, model, grid, spec, scaling)
    else:
        others = [_placed(scene, geobox, model, ahead) for scene in around]
        blocks = read_around([Placed(data, *ahead), *others], grid, margin)
        maps = _classify_blocks(blocks, model, grid, spec, scaling)
        empty = empty_values(spec.outputs, spec.net.classes)
        maps = cut_to(maps, data, ahead, empty)
    result = label_maps(maps, names, model, geobox)
    if model.net.mode == "window":
        for each in result.values():
            each.attrs["center"] = middle
    return result["classes"] if isinstance(outputs, str) else result


def read_throughput(client: Any = None, *, reset: bool = False) -> Throughput:
    """Return what inference did so far: pixels, bytes, compilations, time on the device.

    Parameters
    ----------
    client : distributed.Client, optional
        Sums over its workers; without it, this process's counts.
    reset : bool
        Start the counts anew.

    Examples
    --------
    >>> import osm4eo_xr as oxr
    >>> seen = oxr.read_throughput(reset=True)
    >>> oxr.read_throughput().pixels
    0
    """
    if client is None:
        return COUNTER.read(reset=reset)
    counts = client.run(_read_counter, reset)
    return sum(counts.values(), Throughput())


def _read_counter(reset: bool) -> Throughput:  # noqa: FBT001 - sent to workers by position
    return COUNTER.read(reset=reset)


def _classify_blocks(
    blocks: da.Array, model: Model, grid: BlockGrid, spec: ProgramSpec, scaling: Any
) -> da.Array:
    """Return the stacked maps (map, y, x) of all blocks, given with their margins; lazy."""
    with annotate(**device_annotations()):  # only what runs on the device
        maps = da.map_blocks(
            classify_block,
            blocks,
            *_model_arguments(model),
            spec,
            scaling,
            grid.shape,
            dtype=np.uint8,
            chunks=((spec.maps,), *grid.chunks),
            meta=np.empty((0, 0, 0), np.uint8),
            name=f"classify-{tokenize(blocks.name, model.digest, spec)}",
        )
    return maps[:, : grid.shape[0], : grid.shape[1]]


def _placed(scene: xr.DataArray, geobox: GeoBox, model: Model, ahead: tuple[int, int]) -> Placed:
    """Return a scene's bands, placed in rows and columns from those of the first block."""
    return Placed(_bands(scene, model), *place_of(geobox_of(scene), geobox, ahead))


def _bands(scene: xr.DataArray, model: Model) -> da.Array:
    """Return the model's bands in its order, as a dask array (band, y, x) float32."""
    if scene.dims != ("band", "y", "x") or "band" not in scene.coords:
        raise InputError(
            f"scene has dims {scene.dims}", expected="(band, y, x) with band names as coordinate"
        )
    present = [str(name) for name in scene["band"].values]
    missing = [name for name in model.bands if name not in present]
    if missing:
        raise InputError(
            f"scene lacks band {missing[0]!r}",
            advice=f"the model takes {', '.join(model.bands)}, the scene has {', '.join(present)}",
        )
    units = _UNITS.get(str(scene.attrs.get("units", model.units)), str(scene.attrs.get("units")))
    if units != model.units:
        raise InputError(
            f"scene is in {units!r}, the model takes {model.units!r}", advice="convert it"
        )
    picked = scene.isel(band=[present.index(name) for name in model.bands]).data
    return da.asarray(picked).astype(np.float32)


def _center(model: Model, center: str | int | None) -> int:
    """Return the index of the classified pixel in a window."""
    own, window = int(model.center or 0), model.net.window
    if center is None:
        return own
    if model.net.mode != "window":
        raise InputError(
            f"center {center!r} is for window models, this one is dense", advice="leave it out"
        )
    named = {"original-train": window // 2 - 1, "original-predict": window // 2}
    index = named.get(center, -1) if isinstance(center, str) else center
    if not 0 <= index < window:
        raise InputError(
            f"center {center!r} is unknown",
            advice=f"give original-train, original-predict or 0 to {window - 1}",
        )
    return index


def _step(model: Model, block: int | None) -> int:
    """Return what edges of blocks are multiples of."""
    return min(_STEP, -(-_target(model, block) // model.stride) * model.stride)


def _target(model: Model, block: int | None) -> int:
    """Return the greatest edge of a block."""
    return block or (DENSE_BLOCK if model.net.mode == "dense" else WINDOW_BLOCK)


def _block_grid(
    data: da.Array, model: Model, least: int, block: int | None, ahead: tuple[int, int]
) -> BlockGrid:
    """Cut the scene, and what is ahead of it, into blocks."""
    target = _target(model, block)
    if target < 1:
        raise InputError(f"block is {target} pixels", advice="give 1 or more")
    shape = (int(data.shape[1]) + ahead[0], int(data.shape[2]) + ahead[1])
    return plan_blocks(shape, target=target, least=least, step=_step(model, block))


def _spec(
    model: Model,
    outputs: tuple[str, ...],
    grid: BlockGrid,
    margin: int,
    center: int,
    dtype: str,
    engine: EngineName,
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
    )


def _model_arguments(model: Model) -> tuple[ModelSource, Any]:
    """How tasks refer to the model: by folder and hash, or by one task that holds it."""
    if model.path is not None and _still_there(model):
        return ModelSource(model.digest, str(model.path.absolute())), None
    content = dask.delayed(  # pyright: ignore[reportPrivateImportUsage] - documented there
        model_to_bytes(model), name=f"model-{model.digest}", traverse=False
    )
    return ModelSource(model.digest, None), content


def _still_there(model: Model) -> bool:
    """Whether the model's folder still holds it."""
    try:
        there = load_model(model.path) if model.path is not None else None
    except InputError:
        return False
    return there is not None and (there.digest, _points_of(there)) == (
        model.digest,
        _points_of(model),
    )


def _points_of(model: Model) -> str:
    """Return the digest of the training points that a model knows, if it does."""
    return model.applicability.digest if model.applicability else ""


def _scaling(data: da.Array, model: Model) -> Any:
    """Offset and scale per band, from the model or from the scene's range."""
    if model.normalization.kind == "fixed":
        return model.normalization.offset, model.normalization.scale
    return dask.delayed(_scaling_of_range)(  # pyright: ignore[reportPrivateImportUsage] - as above
        da.nanmin(data), da.nanmax(data), len(model.bands)
    )


def _scaling_of_range(low: float, high: float, bands: int) -> tuple[np.ndarray, np.ndarray]:
    """Offset and scale that map ``low`` and ``high`` to -1 and 1."""
    half = (float(high) - float(low)) / 2 or 1.0
    return np.full(bands, float(low) + half), np.full(bands, half)
