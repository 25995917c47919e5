"""A model as a folder with ``weights.safetensors`` and ``model.json``, or as bytes on its way."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError
from safetensors.numpy import load, load_file

from osm4eo_xr.errors import InputError
from osm4eo_xr.files import replaced
from osm4eo_xr.models.applicability import ARRAYS_FILE, FACTS_FILE, Applicability
from osm4eo_xr.models.model import Model
from osm4eo_xr.models.record import Normalization, check_derived, digest_of, from_json, to_json
from osm4eo_xr.models.variables import nest
from osm4eo_xr.networks.footprint import Footprint, footprint_at

if TYPE_CHECKING:
    from osm4eo_xr.networks.settings import NetSettings

__all__ = ["SavedModel", "load_model", "read_record", "read_saved", "save_model"]

WEIGHTS_FILE = "weights.safetensors"
JSON_FILE = "model.json"
CARD_FILE = "MODEL_CARD.md"
"""What a catalog says of a model, for people; comes with it and decides nothing."""


def save_model(model: Model, path: str | Path) -> Path:
    """Write a model as a folder with ``weights.safetensors`` and ``model.json``.

    Two files more, ``applicability.safetensors`` and ``.json``, say where to trust it, if that was
    fitted. The folder appears whole: it is written beside its place and renamed. A model that is
    there already is replaced.

    Parameters
    ----------
    model : Model
        What to write.
    path : str or Path
        The folder.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    InputError
        If ``path`` is a file or a folder that holds something other than a model.

    Examples
    --------
    >>> import jax, osm4eo_xr as oxr
    >>> from osm4eo_xr.networks import resnet
    >>> net = oxr.NetSettings(bands=1, classes=12, depth=11, width=4, kernel=3)
    >>> scale = oxr.Normalization(center=(0.1,), scale=(0.1,))
    >>> model = oxr.Model(net, resnet.init(net, jax.random.key(0)), ("nir",), scale)
    >>> oxr.save_model(model, "untrained").name
    'untrained'
    """
    path = Path(path)
    if path.exists() and not is_model_folder(path):
        raise InputError(f"{path} exists and is not a model folder", advice="give another path")
    path.parent.mkdir(parents=True, exist_ok=True)
    with replaced(path) as fresh:
        fresh.mkdir()
        (fresh / WEIGHTS_FILE).write_bytes(model.weights)
        record = {**to_json(model), "sha256": hashlib.sha256(model.weights).hexdigest()}
        record["digest"] = model.digest
        (fresh / JSON_FILE).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        if model.applicability is not None:
            model.applicability.write(fresh)
    return path


def load_model(path: str | Path) -> Model:
    """Read a model folder and check it.

    Parameters
    ----------
    path : str or Path
        The folder.

    Returns
    -------
    Model
        With its ``path``; weights are float32.

    Raises
    ------
    InputError
        If the folder or one of its two files is missing, if ``model.json`` lacks a field or
        holds a wrong one, or if the weights are not the ones it was saved with.

    Examples
    --------
    >>> import jax, osm4eo_xr as oxr
    >>> from osm4eo_xr.networks import resnet
    >>> net = oxr.NetSettings(bands=1, classes=12, depth=11, width=4, kernel=3)
    >>> scale = oxr.Normalization(center=(0.1,), scale=(0.1,))
    >>> model = oxr.Model(net, resnet.init(net, jax.random.key(0)), ("nir",), scale)
    >>> folder = oxr.save_model(model, "untrained")
    >>> oxr.load_model(folder).digest == model.digest
    True
    """
    path = Path(path)
    record = read_record(path)
    weights, _ = _checked_weights(path, record)
    try:
        variables = nest(load_file(weights))
    except SafetensorError as error:
        raise InputError(f"{weights} is not a safetensors file: {error}") from None
    except InputError as error:
        raise error.within(weights) from None
    file = str(path / JSON_FILE)
    settings = from_json(record, file)
    try:
        known = Applicability.read(path)
        model = Model(variables=variables, path=path, applicability=known, **settings)
    except InputError as error:
        raise error.within(file) from None
    check_derived(model, record, file)
    return model


@dataclass(frozen=True)
class SavedModel:
    """What a model's folder says of it. Its network is not built, so that no jax is loaded.

    Attributes
    ----------
    digest : str
        As that of the ``Model``.
    net : NetSettings
        Shape of the network.
    normalization : Normalization
        From the scene's unit to the network's input.
    class_ids : tuple of int
        Value in the class map for each logit.
    center : int
        Window mode: index of the classified pixel along each axis of a window.
    applicability : Applicability, optional
        Where it is to be trusted.
    """

    digest: str
    net: NetSettings
    normalization: Normalization
    class_ids: tuple[int, ...]
    center: int
    applicability: Applicability | None

    @property
    def footprint(self) -> Footprint:
        """Input pixels behind an output cell along one axis, with halo and stride."""
        return footprint_at(self.net, self.center)


def read_saved(path: str | Path) -> SavedModel:
    """Read what a model's folder says of it, without its network.

    The record and the weights are held to the hashes they were saved with; a record that is not as
    it was saved is checked as ``load_model`` does.

    Raises
    ------
    InputError
        As ``load_model``.
    """
    path = Path(path)
    record = read_record(path)
    _, weights = _checked_weights(path, record)
    settings = from_json(record, str(path / JSON_FILE))
    digest = digest_of(record, weights)
    if digest != record.get("digest"):
        digest = load_model(path).digest
    names = ("net", "normalization", "class_ids", "center")
    return SavedModel(
        digest=digest, applicability=Applicability.read(path), **{n: settings[n] for n in names}
    )


def _checked_weights(path: Path, record: Mapping[str, Any]) -> tuple[Path, bytes]:
    """Return the weights' file and its SHA-256; refuse another than the record names."""
    weights = path / WEIGHTS_FILE
    if not weights.is_file():
        raise InputError(
            f"{path} has no {WEIGHTS_FILE}", advice="give a folder written by save_model"
        )
    digest = hashlib.sha256(weights.read_bytes())
    found = digest.hexdigest()
    if found != record.get("sha256"):
        raise InputError(
            f"{weights} has SHA-256 {found[:12]}…, {JSON_FILE} says "
            f"{str(record.get('sha256'))[:12]}…",
            advice="the folder is damaged, save the model again",
        )
    return weights, digest.digest()


def model_to_bytes(model: Model) -> bytes:
    """Return the whole model in one string, for a worker that cannot read its folder."""
    known = model.applicability
    parts = [json.dumps(to_json(model)).encode(), model.weights, known.arrays if known else b""]
    return b"".join(len(part).to_bytes(8, "little") + part for part in parts)


def model_from_bytes(content: bytes) -> Model:
    """Read back what ``model_to_bytes`` wrote."""
    parts, start = [], 0
    while start < len(content):
        end = start + 8 + int.from_bytes(content[start : start + 8], "little")
        parts.append(content[start + 8 : end])
        start = end
    record, weights, arrays = parts
    settings = from_json(json.loads(record), "the model that was sent")
    known = Applicability.of_bytes(arrays, {}) if arrays else None
    return Model(variables=nest(load(weights)), applicability=known, **settings)


def read_record(path: str | Path) -> dict[str, Any]:
    """Return a model folder's ``model.json``, unchecked.

    Raises
    ------
    InputError
        If there is none or it is not a JSON object.
    """
    file = Path(path) / JSON_FILE
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(
            f"no model in {path}: it has no {JSON_FILE}",
            advice="give a model's folder; pull_model and `osm4eo-xr models pull` bring those of a "
            "catalog",
        ) from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{file} is not JSON: {error}") from None
    if not isinstance(record, dict):
        raise InputError(f"{file} holds a {type(record).__name__}, expected an object")
    return record


def is_model_folder(path: Path) -> bool:
    """Whether a folder is empty or holds nothing but a model's files."""
    own = {WEIGHTS_FILE, JSON_FILE, ARRAYS_FILE, FACTS_FILE, CARD_FILE}
    return path.is_dir() and {entry.name for entry in path.iterdir()} <= own
