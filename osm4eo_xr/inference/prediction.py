"""Scene + model → land-use map: the one crossing from dask to compiled inference.

The scene is cut into equal blocks that depend on its size alone, whatever its chunks are. Each is
read with the network's halo, computed by one compiled program and cropped, so the map shows no
seams and is the same, pixel for pixel, for every chunking. Outside the scene, and in the features
of a group where any of them is missing, the network sees the model's neutral value: 0 after
normalization.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, overload

import dask
import dask.array as da
import numpy as np
import xarray as xr
from dask.base import annotate, tokenize

from osm4eo_xr.cluster.device_tasks import DEVICE_TASKS, device_annotations
from osm4eo_xr.geometry.grid import geobox_of
from osm4eo_xr.inference.blocks import BlockGrid, block_step, cut_blocks, read_around, read_blocks
from osm4eo_xr.inference.model_delivery import model_arguments
from osm4eo_xr.inference.outputs import (
    check_outputs,
    empty_values,
    label_maps,
)
from osm4eo_xr.inference.specification import center_of, check_flips, inputs_of, specify
from osm4eo_xr.inference.surroundings import Placed, cut_to, place_of, rows_ahead
from osm4eo_xr.inference.worker import classify_block

if TYPE_CHECKING:
    from osm4eo_xr.imagery.reflectance import Scaling
    from osm4eo_xr.inference.program import ProgramSpec
    from osm4eo_xr.models.model import Model
    from osm4eo_xr.networks.settings import EngineName

__all__ = ["classify"]


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
    flips: bool = ...,
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
    flips: bool = ...,
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
    flips: bool = False,
) -> xr.DataArray | xr.Dataset:
    """Classify a scene; lazy.

    Parameters
    ----------
    scene : DataArray
        (band, y, x) in the model's unit, ``band`` holding common names or ids of features in any
        order; NaN in any of the model's bands = no data. Of a model with ``optional`` groups, a
        pixel may lack these, and so may the whole scene, with a warning; no data is what lacks
        another group, or all.
    model : Model
        As ``train`` or ``load_model`` gave it. A model that was saved reaches worker processes
        by its folder and hash; one that was not travels once, beside the tasks.
    outputs : "classes" or list of str
        ``"classes"`` gives the class map alone. A list of ``"classes"``, ``"confidence"`` (the
        greatest probability), ``"margin"`` (greatest less second), ``"probabilities"`` and, from
        a model with ``applicability``, ``"dissimilarity"``, ``"density"``, ``"set_size"`` and
        ``"sets"`` gives a Dataset, all from one forward pass.
    block : int, optional
        Greatest edge of a block in pixels; by default 1024 (dense), 512 (dense, with groups) or 128
        (window).
    dtype : {"auto", "float32", "bfloat16"}
        Of the layers; "auto" is bfloat16 on a GPU and float32 elsewhere, as the worker finds. The
        two give the same class but for pixels near a tie: on the demo's scene (512 x 512 pixels,
        its own model, both on a CPU) 443 pixels differ, 0.2 %. Engines but jax compute in float32.
    engine : {"auto", "jax", "onnx", "winograd"}
        "auto" is, on CPU workers, "winograd" (the package's own kernels) for dense networks of 3x3
        or 5x5 kernels, and ONNX Runtime for others where the ``onnx`` extra is installed; else
        jax. Networks "coupled" and "temporal" are computed by jax alone. All workers of a run
        should have the same: the engines' logits differ in the last digits.
    center : int, "original-train" or "original-predict", optional
        Window mode: index of the classified pixel along each axis of a window, in place of the
        model's. The original trained on rows r-5 … r+6 of its 12-pixel windows (index 5) and
        predicted on r-6 … r+5 (index 6); columns alike.
    around : sequence of DataArray, optional
        Scenes of the same grid, unit and bands: what the network sees beyond the scene's edges
        and where it has no data, from the first that has it. Blocks then lie on the grid of the
        CRS, so that maps of scenes that touch fit without a seam; an empty one lays them so too.
        Probabilities may differ in the last of 250 steps where blocks have other shapes.
    flips : bool
        Dense mode: let the network see each block in all eight flips and quarter turns, and take
        the mean of the probabilities; eight times the time. Dissimilarity and density are those
        of the block as it is; sets are refused, since they were calibrated on single views.

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
        a dense model is given a center, or one in window mode flips; if sets are asked for with
        flips; if scenes around lie on another grid; if a model that
        does not say where it applies is asked for that, or one in window mode or on the engine
        "onnx" for dissimilarity or density.

    Examples
    --------
    >>> import jax, osm4eo_xr as oxr
    >>> from osm4eo_xr.networks import resnet
    >>> net = oxr.NetSettings(bands=1, classes=12, depth=11, width=4, kernel=3)
    >>> scale = oxr.Normalization(center=(0.1,), scale=(0.1,))
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
    (data, *others), packing = inputs_of([scene, *(around or ())], model)
    middle = center_of(model, center)
    margin = model.footprint_at(middle).halo
    ahead = (0, 0) if around is None else rows_ahead(geobox, block_step(model, block))
    if flips:
        check_flips(model, names)
    size = int(data.shape[1]), int(data.shape[2])
    grid = cut_blocks(size, model, margin, block, ahead, square=flips)
    how: Any = {"flips": flips, "stored": bool(packing)}
    spec = specify(model, names, grid, margin, middle, dtype, engine, **how)
    scaling = _scaling(data, model)
    if around is None:
        blocks = read_blocks(data, grid, margin)
    else:
        places = [place_of(geobox_of(scene), geobox, ahead) for scene in around]
        placed = [Placed(each, *place) for each, place in zip(others, places, strict=True)]
        blocks = read_around([Placed(data, *ahead), *placed], grid, margin, model.channels)
    maps = _classify_blocks(blocks, model, grid, spec, scaling, packing)
    if around is not None:
        empty = empty_values(spec.outputs, spec.net.classes)
        maps = cut_to(maps, data, ahead, empty, model.channels)
    result = label_maps(maps, names, model, geobox)
    if model.net.mode == "window":
        for each in result.values():
            each.attrs["center"] = middle
    return result["classes"] if isinstance(outputs, str) else result


def _classify_blocks(
    blocks: da.Array,
    model: Model,
    grid: BlockGrid,
    spec: ProgramSpec,
    scaling: Any,
    packing: tuple[Scaling, ...],
) -> da.Array:
    """Return the stacked maps (map, y, x) of all blocks, given with their margins; lazy."""
    with annotate(**device_annotations(1 / DEVICE_TASKS)):  # only what runs on the device
        maps = da.map_blocks(
            classify_block,
            blocks,
            *model_arguments(model),
            spec,
            scaling,
            grid.shape,
            packing,
            dtype=np.uint8,
            chunks=((spec.maps,), *grid.chunks),
            meta=np.empty((0, 0, 0), np.uint8),
            name=f"classify-{tokenize(blocks.name, model.digest, spec)}",
        )
    return maps[:, : grid.shape[0], : grid.shape[1]]


def _scaling(data: da.Array, model: Model) -> Any:
    """Center and scale per band, from the model or from the scene's range."""
    if model.normalization.kind == "fixed":
        return model.normalization.center, model.normalization.scale
    return dask.delayed(_scaling_of_range)(  # pyright: ignore[reportPrivateImportUsage] - documented there
        da.nanmin(data), da.nanmax(data), len(model.bands)
    )


def _scaling_of_range(low: float, high: float, bands: int) -> tuple[np.ndarray, np.ndarray]:
    """Center and scale that map ``low`` and ``high`` to -1 and 1."""
    half = (float(high) - float(low)) / 2 or 1.0
    return np.full(bands, float(low) + half), np.full(bands, half)
