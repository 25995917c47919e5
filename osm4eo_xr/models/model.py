"""A trained model: network, weights, bands, normalization, legend and how it came about.

On disk it is a folder with ``weights.safetensors`` and ``model.json``; see ``model_folder``.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors.numpy import save

from osm4eo_xr.errors import InputError
from osm4eo_xr.feature_ids.channels import Channels, channels_of
from osm4eo_xr.feature_ids.ids import parse_feature
from osm4eo_xr.legend import Legend, default_legend
from osm4eo_xr.models.record import Normalization, digest_of, to_json
from osm4eo_xr.models.variables import as_numpy, flatten, flatten_any
from osm4eo_xr.names import check_name
from osm4eo_xr.networks.footprint import Footprint, footprint_at
from osm4eo_xr.tables import html_table

if TYPE_CHECKING:
    from osm4eo_xr.models.applicability import Applicability
    from osm4eo_xr.networks.settings import NetSettings

_NAME = re.compile(r"[a-zA-Z][a-zA-Z0-9_.\-\s]+[a-zA-Z0-9]")  # as STAC's MLM has it

__all__ = ["Model"]


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
        Common names of the input bands, or ids of features (``feature_ids``), in the network's
        order.
    normalization : Normalization
        From the scene's unit to the network's input, per band.
    legend : Legend
        Classes of the map.
    class_ids : tuple of int
        Value in the class map for each logit; by default the legend's ids in order.
    units : str
        Unit of the scenes that the model takes: ``"reflectance"`` (1), ``"digital number"``, or
        ``"per feature"``, as ``open_features`` gives each.
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
    optional : tuple of str
        Groups of features that a pixel or a whole scene may lack, as the model was trained to do
        without them.

    Examples
    --------
    >>> import jax, osm4eo_xr as oxr
    >>> from osm4eo_xr.networks import resnet
    >>> net = oxr.NetSettings(bands=1, classes=12, depth=11, width=4, kernel=3)
    >>> scale = oxr.Normalization(center=(0.1,), scale=(0.1,))
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
    optional: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "bands", tuple(str(parse_feature(b)) for b in self.bands))
        object.__setattr__(self, "optional", tuple(self.optional))
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
        kind = "" if self.net.network == "resnet" else f"{self.net.network}, "
        if self.net.members > 1:
            kind = f"{self.net.members} members, each "
        without = f"  may lack {', '.join(self.optional)}\n" if self.optional else ""
        return (
            f"<Model {self.name!r}{where}>\n"
            f"  network  {kind}{self.net.mode}, depth {self.net.depth}, width {self.net.width}, "
            f"kernel {self.net.kernel}; {size:,} numbers\n"
            f"  takes    {', '.join(self.bands)} ({self.units})\n"
            f"{without}"
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
    def channels(self) -> Channels:
        """Which of its channels are there or missing together, and which a pixel may lack."""
        return channels_of(self.bands, self.optional)

    @cached_property
    def footprint(self) -> Footprint:
        """Input pixels behind an output cell along one axis, with halo and stride."""
        return self.footprint_at(int(self.center or 0))

    def footprint_at(self, center: int) -> Footprint:
        """Return the footprint for another classified pixel; dense models have but one."""
        return footprint_at(self.net, center)

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
        return digest_of(to_json(self), hashlib.sha256(self.weights).digest())


def _check_counts(model: Model) -> None:
    """Refuse a model whose parts do not fit each other."""
    if len(model.bands) != model.net.bands:
        raise InputError(
            f"{len(model.bands)} bands {model.bands} for a network of {model.net.bands}",
            advice="name each band once",
        )
    if len(set(model.bands)) != len(model.bands):
        raise InputError(f"bands {model.bands} name one twice", advice="name each band once")
    channels_of(model.bands, model.optional)
    if len(model.normalization.center) not in (0, model.net.bands):
        raise InputError(
            f"normalization for {len(model.normalization.center)} bands, the network has "
            f"{model.net.bands}",
            advice="give one center and scale per band",
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
    from osm4eo_xr.networks import resnet  # loads jax, which those who read a record do without

    expected = resnet.variable_shapes(model.net)
    shapes = {name: leaf.shape for name, leaf in flatten_any(expected).items()}
    found = {name: leaf.shape for name, leaf in flatten_any(model.variables).items()}
    for name in sorted(shapes.keys() | found.keys()):
        if shapes.get(name) != found.get(name):
            raise InputError(
                f"weights {name!r} have shape {found.get(name, 'none')}, the network of depth "
                f"{model.net.depth} in {model.net.mode} mode has {shapes.get(name, 'none')}"
            )
