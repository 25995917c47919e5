"""A trained model: network, weights, bands, normalization, legend and how it came about.

On disk it is a folder with ``weights.safetensors`` and ``model.json``; see ``save_model``.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError
from safetensors.numpy import load, load_file, save

from osm4eo_xr.errors import InputError
from osm4eo_xr.files import replaced
from osm4eo_xr.html_table import html_table
from osm4eo_xr.legend import Legend, default_legend
from osm4eo_xr.models.applicability import ARRAYS_FILE, FACTS_FILE, Applicability
from osm4eo_xr.models.record import Normalization, check_derived, from_json, to_json
from osm4eo_xr.models.variables import as_numpy, flatten, flatten_any, nest
from osm4eo_xr.names import check_name
from osm4eo_xr.networks import resnet
from osm4eo_xr.networks.footprint import Footprint, footprint_of

if TYPE_CHECKING:
    from osm4eo_xr.networks.settings import NetSettings

_NAME = re.compile(r"[a-zA-Z][a-zA-Z0-9_.\-\s]+[a-zA-Z0-9]")  # as STAC's MLM has it

WEIGHTS_FILE = "weights.safetensors"
JSON_FILE = "model.json"

__all__ = ["Model", "load_model", "read_record", "save_model"]


@dataclass(frozen=True, eq=False)
class Model:
    """A trained network and all that is needed to use it.

    Attributes
    ----------
    net : NetSettings
        Shape of the network.
    variables : mapping
        ``params`` and ``batch_stats``, nested dicts of float32 arrays.
    bands : tuple of str
        Common names of the input bands, in the network's order.
    normalization : Normalization
        From the scene's unit to the network's input, per band.
    legend : Legend
        Classes of the map.
    class_ids : tuple of int
        Value in the class map for each logit; by default the legend's ids in order.
    units : str
        Unit of the scenes that the model takes: ``"reflectance"`` (1) or ``"digital number"``.
    center : int
        Window mode: index of the classified pixel along each axis of a window. By default half
        the window, so a 12-pixel window holds rows r-6 … r+5.
    training : mapping
        JSON-able record: settings, history, scores, data.
    name : str
        For people: begins with a letter, then letters, digits, ``_.-`` and spaces.
    path : Path, optional
        Folder it was loaded from or saved to; not part of what the model is.
    applicability : Applicability, optional
        Where it is to be trusted, as ``fit_applicability`` found; decides no class of a map.

    Examples
    --------
    >>> import jax, osm4eo_xr as oxr
    >>> from osm4eo_xr.networks import resnet
    >>> net = oxr.NetSettings(bands=1, classes=12, depth=11, width=4, kernel=3)
    >>> scale = oxr.Normalization(offset=(0.1,), scale=(0.1,))
    >>> model = oxr.Model(net, resnet.init(net, jax.random.key(0)), ("nir",), scale)
    >>> model.receptive_field, model.class_ids[-1]
    (25, 12)
    """

    net: NetSettings
    variables: Mapping[str, Any]
    bands: tuple[str, ...]
    normalization: Normalization
    legend: Legend = field(default_factory=default_legend)
    class_ids: tuple[int, ...] = ()
    units: str = "reflectance"
    center: int | None = None
    training: Mapping[str, Any] = field(default_factory=dict)
    name: str = "osm4eo_xr"
    path: Path | None = None
    applicability: Applicability | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "bands", tuple(self.bands))
        object.__setattr__(self, "class_ids", tuple(self.class_ids) or self.legend.ids)
        if self.center is None:
            object.__setattr__(self, "center", self.net.window // 2)
        object.__setattr__(self, "variables", as_numpy(self.variables))
        _check_counts(self)
        _check_variables(self)

    def __repr__(self) -> str:
        """Say in a few lines what the network is, what it takes and what it gives."""
        size = sum(leaf.size for leaf in flatten(self.variables).values())
        where = f", of {self.path}" if self.path else ""
        return (
            f"<Model {self.name!r}{where}>\n"
            f"  network  {self.net.mode}, depth {self.net.depth}, width {self.net.width}, "
            f"kernel {self.net.kernel}; {size:,} numbers\n"
            f"  takes    {', '.join(self.bands)} ({self.units})\n"
            f"  gives    {len(self.class_ids)} classes of legend {self.legend.name!r}\n"
            f"  sees     {self.receptive_field} pixels\n"
            f"  SHA-256  {self.digest}"
        )

    def _repr_html_(self) -> str:
        """Show what the representation says, and the classes in their colors."""
        facts = [line.strip().partition("  ") for line in repr(self).splitlines()[1:]]
        classes = [c for c in self.legend.classes if c.id in self.class_ids]
        return html_table(
            f"Model {self.name}", [[name, value.strip()] for name, _, value in facts]
        ) + html_table(
            "Classes",
            [[c.id, c.slug, c.name] for c in classes],
            header=("id", "layer", "name"),
            colors=[c.hex_color for c in classes],
        )

    @cached_property
    def footprint(self) -> Footprint:
        """Input pixels behind an output cell along one axis, with halo and stride."""
        return self.footprint_at(int(self.center or 0))

    def footprint_at(self, center: int) -> Footprint:
        """Return the footprint for another classified pixel; dense models have but one."""
        if self.net.mode == "window":
            return Footprint(before=center, after=self.net.window - center - 1, stride=1)
        return footprint_of(self.net)

    @property
    def receptive_field(self) -> int:
        """Edge in pixels of the square that a cell of ``stride`` pixels depends on."""
        return self.footprint.receptive_field

    @property
    def stride(self) -> int:
        """Blocks must start on multiples of this many pixels."""
        return self.footprint.stride

    @cached_property
    def weights(self) -> bytes:
        """The variables in safetensors format, names joined by dots."""
        return save(flatten(self.variables))

    @cached_property
    def digest(self) -> str:
        """SHA-256 over what decides the model's maps: weights, bands, scaling, legend, center."""
        record = to_json(self)
        deciding = {key: record[key] for key in sorted(_DECIDING)}
        text = json.dumps(deciding, sort_keys=True).encode()
        return hashlib.sha256(hashlib.sha256(self.weights).digest() + text).hexdigest()


_DECIDING = (
    "mlm:hyperparameters",
    "bands",
    "units",
    "normalization",
    "legend",
    "class_ids",
    "center",
)


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
    >>> scale = oxr.Normalization(offset=(0.1,), scale=(0.1,))
    >>> model = oxr.Model(net, resnet.init(net, jax.random.key(0)), ("nir",), scale)
    >>> oxr.save_model(model, "untrained").name
    'untrained'
    """
    path = Path(path)
    if path.exists() and not (path.is_dir() and _only_a_model(path)):
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
    >>> scale = oxr.Normalization(offset=(0.1,), scale=(0.1,))
    >>> model = oxr.Model(net, resnet.init(net, jax.random.key(0)), ("nir",), scale)
    >>> folder = oxr.save_model(model, "untrained")
    >>> oxr.load_model(folder).digest == model.digest
    True
    """
    path = Path(path)
    record = read_record(path)
    weights = path / WEIGHTS_FILE
    if not weights.is_file():
        raise InputError(
            f"{path} has no {WEIGHTS_FILE}", advice="give a folder written by save_model"
        )
    found = hashlib.sha256(weights.read_bytes()).hexdigest()
    if found != record.get("sha256"):
        raise InputError(
            f"{weights} has SHA-256 {found[:12]}…, {JSON_FILE} says "
            f"{str(record.get('sha256'))[:12]}…; the folder is damaged, save the model again"
        )
    try:
        variables = nest(load_file(weights))
    except SafetensorError as error:
        raise InputError(f"{weights} is not a safetensors file: {error}") from None
    file = str(path / JSON_FILE)
    settings = from_json(record, file)
    try:
        known = Applicability.read(path)
        model = Model(variables=variables, path=path, applicability=known, **settings)
    except InputError as error:
        raise error.within(file) from None
    check_derived(model, record, file)
    return model


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
        raise InputError(f"no model in {path}: it has no {JSON_FILE}") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{file} is not JSON: {error}") from None
    if not isinstance(record, dict):
        raise InputError(f"{file} holds a {type(record).__name__}, expected an object")
    return record


def _only_a_model(path: Path) -> bool:
    """Whether a folder is empty or holds nothing but a model's files."""
    own = {WEIGHTS_FILE, JSON_FILE, ARRAYS_FILE, FACTS_FILE}
    return {entry.name for entry in path.iterdir()} <= own


def _check_counts(model: Model) -> None:
    """Refuse a model whose parts do not fit each other."""
    if len(model.bands) != model.net.bands:
        raise InputError(
            f"{len(model.bands)} bands {model.bands} for a network of {model.net.bands}",
            advice="name each band once",
        )
    if len(set(model.bands)) != len(model.bands):
        raise InputError(f"bands {model.bands} name one twice", advice="name each band once")
    if len(model.normalization.offset) not in (0, model.net.bands):
        raise InputError(
            f"normalization for {len(model.normalization.offset)} bands, the network has "
            f"{model.net.bands}",
            advice="give one offset and scale per band",
        )
    if len(model.class_ids) != model.net.classes:
        raise InputError(
            f"{len(model.class_ids)} class ids for {model.net.classes} logits",
            advice="give one per logit",
        )
    strange = [i for i in model.class_ids if i != 0 and i not in model.legend.by_id]
    if strange:
        raise InputError(f"class id {strange[0]} is not in legend {model.legend.name!r}")
    if not _NAME.fullmatch(check_name(model.name, "model name")):
        raise InputError(
            f"model name {model.name!r} must begin with a letter and hold at least three letters, "
            f"digits, spaces, dots, dashes or underscores"
        )
    if not 0 <= int(model.center or 0) < model.net.window:
        raise InputError(f"center {model.center} lies outside a window of {model.net.window}")


def _check_variables(model: Model) -> None:
    """Refuse weights that are not those of the network."""
    expected = resnet.variable_shapes(model.net)
    shapes = {name: leaf.shape for name, leaf in flatten_any(expected).items()}
    found = {name: leaf.shape for name, leaf in flatten_any(model.variables).items()}
    for name in sorted(shapes.keys() | found.keys()):
        if shapes.get(name) != found.get(name):
            raise InputError(
                f"weights {name!r} have shape {found.get(name, 'none')}, the network of depth "
                f"{model.net.depth} in {model.net.mode} mode has {shapes.get(name, 'none')}"
            )
