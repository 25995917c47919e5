"""Folders of models: which there are, and whether each is whole."""

from __future__ import annotations

import hashlib
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from osm4eo_xr.errors import InputError
from osm4eo_xr.models.model_folder import JSON_FILE, load_model, read_record
from osm4eo_xr.networks import resnet
from osm4eo_xr.networks.fold_batch_norm import fold


def find_models(folder: str | Path) -> list[Path]:
    """Return the model folders in and below a folder, sorted.

    Raises
    ------
    InputError
        If there is no such folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"no folder {folder}", advice="name one that holds models")
    return sorted(file.parent for file in folder.rglob(JSON_FILE) if file.is_file())


def verify_model(path: str | Path) -> list[str]:
    """Load a model, recompute its hash and run it once; return what was checked.

    Raises
    ------
    InputError
        As ``load_model`` does, if the recorded hash is not that of the model, or if logits of
        the neutral input are not finite.
    """
    model = load_model(path)
    stated = read_record(path).get("digest")
    if stated != model.digest:
        raise InputError(
            f"{Path(path) / JSON_FILE} states digest {str(stated)[:12]}…, the model has "
            f"{model.digest[:12]}…",
            advice="the record was changed, save the model again",
        )
    edge = model.net.window if model.net.mode == "window" else 4 * model.stride
    x = jnp.zeros((1, edge, edge, model.net.bands), jnp.float32)
    logits = np.asarray(resnet.apply_folded(model.net, fold(model.net, model.variables), x))
    if not np.isfinite(logits).all():
        raise InputError(
            f"{path}: logits of the neutral input are not finite", advice="train it again"
        )
    return [
        f"weights have SHA-256 {hashlib.sha256(model.weights).hexdigest()}",
        f"record, network and legend fit each other; digest {model.digest}",
        f"receptive field {model.receptive_field} px, stride {model.stride} px, as the layers give",
        f"forward pass gives {logits.shape[-1]} finite logits",
    ]
