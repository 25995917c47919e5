"""From a block of a scene to its maps, as one jax function."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from osm4eo_xr.feature_ids.channels import Channels
from osm4eo_xr.inference.applicability import Reference, measure_points
from osm4eo_xr.inference.outputs import OF_POINTS, count_maps
from osm4eo_xr.inference.views import average_on_device
from osm4eo_xr.legend import PROBABILITY_NO_DATA, PROBABILITY_SCALE
from osm4eo_xr.models.applicability import INDEX_LIMIT, INDEX_SCALE
from osm4eo_xr.networks import resnet
from osm4eo_xr.networks.settings import EngineName, NetSettings  # noqa: TC001 - checked at run time in the tests

if TYPE_CHECKING:
    from jaxtyping import Bool, Float32, UInt8


@dataclass(frozen=True)
class ProgramSpec:
    """What a program is compiled for.

    Attributes
    ----------
    net : NetSettings
        The network.
    class_ids : tuple of int
        Value in the class map for each logit.
    outputs : tuple of str
        Some of ``outputs.OUTPUTS``, in that order.
    rows, cols : int
        Pixels of a block of the map.
    margin : int
        Pixels around it that are read with it.
    center : int
        Window mode: index of the classified pixel along each axis of a window.
    dtype : str
        In which the layers compute: ``"float32"``, ``"bfloat16"``, or ``"auto"`` for what the
        worker's device does best.
    engine : str
        An ``EngineName``.
    least : tuple of float
        Least probability of each class in the sets of classes, if these are asked for.
    reference : str
        Digest of the ``Applicability`` whose points are compared with, if they are.
    flips : bool
        Average the probabilities of all flips and quarter turns of a block, which is square then.
    channels : Channels, optional
        Which bands are there or missing together; by default all.
    stored : bool
        Blocks are the numbers that files hold, unpacked on the device (``StoredBlock``).
    """

    net: NetSettings
    class_ids: tuple[int, ...]
    outputs: tuple[str, ...]
    rows: int
    cols: int
    margin: int
    center: int
    dtype: str = "auto"
    engine: EngineName = "auto"
    least: tuple[float, ...] = ()
    reference: str = ""
    flips: bool = False
    channels: Channels | None = None
    stored: bool = False

    @property
    def maps(self) -> int:
        """Maps of the result: one per output, or one per class."""
        return count_maps(self.outputs, self.net.classes)

    @property
    def wants_features(self) -> bool:
        """Whether the result takes what the network's last layer sees."""
        return bool(set(self.outputs) & set(OF_POINTS))

    def resolved(self, platform: str) -> ProgramSpec:
        """Return the spec with its precision settled for a jax platform."""
        if self.dtype != "auto":
            return self
        return dataclasses.replace(self, dtype="float32" if platform == "cpu" else "bfloat16")

    @property
    def block_shape(self) -> tuple[int, int, int]:
        """Shape of what is read: (band, y, x)."""
        return self.net.bands, self.rows + 2 * self.margin, self.cols + 2 * self.margin


class StoredBlock(NamedTuple):
    """A block of a scene as files hold it, with what its numbers mean.

    A table says the latter as the host would, whatever a device makes of a product and a sum.

    Attributes
    ----------
    numbers : array (b, p, q), uint16
        On the host, or the device.
    table : array (b, 65536), float32
        Each band's value of each number in the scene's unit, NaN = no data.
    """

    numbers: Any
    table: Any

    def unpacked(self) -> Float32[Array, "b p q"]:
        """Return the block in the scene's unit, NaN = no data."""
        take = jax.vmap(functools.partial(jnp.take, mode="clip"))
        return take(self.table, self.numbers.astype(jnp.int32))


def predict(
    spec: ProgramSpec,
    params: Mapping[str, Any],
    reference: Reference,
    block: Float32[Array, "b p q"] | StoredBlock,
    center: Float32[Array, " b"],
    scale: Float32[Array, " b"],
) -> UInt8[Array, "map y x"]:
    """Return the maps that ``spec.outputs`` asks for, stacked.

    Parameters
    ----------
    spec : ProgramSpec
        Shapes, outputs and precision.
    params : mapping
        Folded parameters.
    reference : mapping
        Training points, if the spec wants features; else empty.
    block : array or StoredBlock
        Scene in its unit, margin included; not finite in any band of a group = no data of that
        group, which enters the network as 0, the middle of the normalized range. A pixel that
        lacks a required group, or all, leaves it as no data.
    center, scale : array
        Normalization per band, in the scene's unit.
    """
    x, valid = prepare(spec, block, center, scale)
    last = x.transpose(1, 2, 0)
    if spec.wants_features:
        logits, features = _dense_with_features(spec, params, last)
        if spec.flips:
            logits = _of_all_views(spec, params, x).transpose(1, 2, 0)
        return maps_of(spec, logits.transpose(2, 0, 1), valid, features, reference)
    if spec.flips:
        return maps_of(spec, _of_all_views(spec, params, x), valid)
    run = _dense if spec.net.mode == "dense" else _windows
    return maps_of(spec, run(spec, params, last).transpose(2, 0, 1), valid)


def _of_all_views(
    spec: ProgramSpec, params: Mapping[str, Any], x: Float32[Array, "b p q"]
) -> Float32[Array, "k y x"]:
    """Run the dense network on all flips and turns of a block; return their mean as logits."""

    def run(seen: Array) -> Array:
        return _dense(spec, params, seen.transpose(1, 2, 0)).transpose(2, 0, 1)

    return average_on_device(run, x)


def prepare(
    spec: ProgramSpec,
    block: Float32[Array, "b p q"] | StoredBlock,
    center: Float32[Array, " b"],
    scale: Float32[Array, " b"],
) -> tuple[Float32[Array, "b p q"], Bool[Array, "y x"]]:
    """Return the network's input, and where the block without its margin has data."""
    channels = spec.channels or Channels.joint(spec.net.bands)
    values = block.unpacked() if isinstance(block, StoredBlock) else block
    present, valid = channels.present(jnp.isfinite(values), axis=0)
    shape = (-1, 1, 1)
    x = (values - center.reshape(shape)) / scale.reshape(shape)
    margin = spec.margin
    inner = valid[margin : margin + spec.rows, margin : margin + spec.cols]
    return jnp.where(present, x, spec.net.empty), inner


def _dense(
    spec: ProgramSpec, params: Mapping[str, Any], x: Float32[Array, "p q b"]
) -> Float32[Array, "y x k"]:
    """Run the dense network once and crop its margin."""
    return _cropped(spec, resnet.apply_folded(spec.net, params, x[None], dtype=spec.dtype)[0])


def _dense_with_features(
    spec: ProgramSpec, params: Mapping[str, Any], x: Float32[Array, "p q b"]
) -> tuple[Float32[Array, "y x k"], Float32[Array, "y x f"]]:
    """Run the dense network once, and crop the margins of logits and features."""
    both = resnet.apply_with_features(spec.net, params, x[None], dtype=spec.dtype)
    return _cropped(spec, both[0][0]), _cropped(spec, both[1][0])


def _cropped(spec: ProgramSpec, values: Float32[Array, "p q c"]) -> Float32[Array, "y x c"]:
    """Leave a block's own pixels."""
    margin = spec.margin
    return values[margin : margin + spec.rows, margin : margin + spec.cols]


def _windows(
    spec: ProgramSpec, params: Mapping[str, Any], x: Float32[Array, "p q b"]
) -> Float32[Array, "y x k"]:
    """Run the window network on the window around each pixel, a row of pixels at a time."""
    first = spec.margin - spec.center
    window = spec.net.window
    columns = first + jnp.arange(spec.cols)[:, None] + jnp.arange(window)[None]

    def one_row(row: Array) -> Array:
        strip = jax.lax.dynamic_slice_in_dim(x, row, window, axis=0)
        windows = strip[:, columns].transpose(1, 0, 2, 3)
        return resnet.apply_folded(spec.net, params, windows, dtype=spec.dtype)

    return jax.lax.map(one_row, first + jnp.arange(spec.rows))


def maps_of(
    spec: ProgramSpec,
    logits: Float32[Array, "k y x"],
    valid: Bool[Array, "y x"],
    features: Float32[Array, "y x f"] | None = None,
    reference: Reference | None = None,
) -> UInt8[Array, "map y x"]:
    """Turn logits, and features if the spec wants them, into maps."""
    ids = jnp.asarray(spec.class_ids, jnp.uint8)
    found = []
    if "classes" in spec.outputs:
        found.append(jnp.where(valid, ids[logits.argmax(axis=0)], jnp.uint8(0))[None])
    measures = [name for name in spec.outputs if name != "classes"]
    if measures:
        probability = jax.nn.softmax(logits, axis=0)
        points: dict[str, Array] = {}
        if spec.wants_features and features is not None and reference is not None:
            points = dict(zip(OF_POINTS, measure_points(reference, features), strict=True))
        found.extend(_masked(_measure(spec, name, probability, points), valid) for name in measures)
    return jnp.concatenate(found)


def _measure(
    spec: ProgramSpec, name: str, probability: Float32[Array, "k y x"], points: Mapping[str, Array]
) -> UInt8[Array, "map y x"]:
    """Return an output of probabilities or points, as it is written."""
    if name == "probabilities":
        return _scaled(probability)
    if name == "dissimilarity":  # rounded up, so that no pixel outside becomes one inside
        steps = jnp.ceil(points[name] * INDEX_SCALE)
        return jnp.minimum(steps, INDEX_LIMIT).astype(jnp.uint8)[None]
    if name == "density":  # rounded up too: 0 is none at all
        return jnp.ceil(points[name] * PROBABILITY_SCALE).astype(jnp.uint8)[None]
    if name in ("sets", "set_size"):
        least = jnp.asarray(spec.least, jnp.float32).reshape(-1, 1, 1)
        member = (probability >= least).astype(jnp.uint8)
        return member if name == "sets" else member.sum(axis=0, dtype=jnp.uint8)[None]
    best = probability.max(axis=0)
    if name == "confidence":
        return _scaled(best[None])
    classes = jnp.arange(probability.shape[0]).reshape(-1, 1, 1)
    is_best = classes == probability.argmax(axis=0)[None]
    return _scaled((best - jnp.where(is_best, 0.0, probability).max(axis=0))[None])


def _scaled(values: Float32[Array, "map y x"]) -> UInt8[Array, "map y x"]:
    """Scale 0-1 to 0-250."""
    return jnp.round(values * PROBABILITY_SCALE).astype(jnp.uint8)


def _masked(values: UInt8[Array, "map y x"], valid: Bool[Array, "y x"]) -> UInt8[Array, "map y x"]:
    """Mark no data."""
    return jnp.where(valid[None], values, jnp.uint8(PROBABILITY_NO_DATA))
