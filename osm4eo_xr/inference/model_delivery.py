"""How a model reaches the workers: by its folder and hash, or as bytes beside the tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dask

from osm4eo_xr.errors import InputError
from osm4eo_xr.inference.worker import ModelSource
from osm4eo_xr.models.model_folder import load_model, model_to_bytes

if TYPE_CHECKING:
    from osm4eo_xr.models.model import Model


def model_arguments(model: Model) -> tuple[ModelSource, Any]:
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
