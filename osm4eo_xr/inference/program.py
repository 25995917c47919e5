"""From a block of a scene to its maps, as one jax function."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from jax import Array

from osm4eo_xr.legend import PROBABILITY_NO_DATA, PROBABILITY_SCALE
from osm4eo_xr.networks import resnet
from osm4eo_xr.networks.settings import EngineName, NetSettings  # noqa: TC001 - checked at run time in the tests

if TYPE_CHECKING:
    from jaxtyping import Bool, Float32, UInt8

OUTPUTS = ("classes", "confidence", "margin", "probabilities")
"""What a forward pass can give, in the order of the maps."""


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
        Some of ``OUTPUTS``, in that order.
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

    @property
    def maps(self) -> int:
        """Maps of the result: one per output, and one per class for probabilities."""
        return len(self.outputs) + ("probabilities" in self.outputs) * (self.net.classes - 1)

    def resolved(self, platform: str) -> ProgramSpec:
        """Return the spec with its precision settled for a jax platform."""
        if self.dtype != "auto":
            return self
        return dataclasses.replace(self, dtype="float32" if platform == "cpu" else "bfloat16")

    @property
    def block_shape(self) -> tuple[int, int, int]:
        """Shape of what is read: (band, y, x)."""
        return self.net.bands, self.rows + 2 * self.margin, self.cols + 2 * self.margin


def predict(
    spec: ProgramSpec,
    params: Mapping[str, Any],
    block: Float32[Array, "b p q"],
    offset: Float32[Array, " b"],
    scale: Float32[Array, " b"],
) -> UInt8[Array, "map y x"]:
    """Return the maps that ``spec.outputs`` asks for, stacked.

    Parameters
    ----------
    spec : ProgramSpec
        Shapes, outputs and precision.
    params : mapping
        Folded parameters.
    block : array
        Scene in its unit, margin included; not finite in any band = no data, which enters the
        network as 0, the middle of the normalized range, and leaves it as no data.
    offset, scale : array
        Normalization per band, in the scene's unit.
    """
    x, valid = prepare(spec, block, offset, scale)
    run = _dense if spec.net.mode == "dense" else _windows
    return maps_of(spec, run(spec, params, x.transpose(1, 2, 0)).transpose(2, 0, 1), valid)


def prepare(
    spec: ProgramSpec,
    block: Float32[Array, "b p q"],
    offset: Float32[Array, " b"],
    scale: Float32[Array, " b"],
) -> tuple[Float32[Array, "b p q"], Bool[Array, "y x"]]:
    """Return the network's input, and where the block without its margin has data."""
    valid = jnp.isfinite(block).all(axis=0)
    shape = (-1, 1, 1)
    x = (block - offset.reshape(shape)) / scale.reshape(shape)
    margin = spec.margin
    inner = valid[margin : margin + spec.rows, margin : margin + spec.cols]
    return jnp.where(valid[None], x, 0.0), inner


def _dense(
    spec: ProgramSpec, params: Mapping[str, Any], x: Float32[Array, "p q b"]
) -> Float32[Array, "y x k"]:
    """Run the dense network once and crop its margin."""
    logits = resnet.apply_folded(spec.net, params, x[None], dtype=spec.dtype)[0]
    margin = spec.margin
    return logits[margin : margin + spec.rows, margin : margin + spec.cols]


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
    spec: ProgramSpec, logits: Float32[Array, "k y x"], valid: Bool[Array, "y x"]
) -> UInt8[Array, "map y x"]:
    """Turn logits into maps."""
    ids = jnp.asarray(spec.class_ids, jnp.uint8)
    found = []
    if "classes" in spec.outputs:
        found.append(jnp.where(valid, ids[logits.argmax(axis=0)], jnp.uint8(0))[None])
    measures = [name for name in spec.outputs if name != "classes"]
    if measures:
        probability = jax.nn.softmax(logits, axis=0)
        found.extend(_scaled(_measure(name, probability), valid) for name in measures)
    return jnp.concatenate(found)


def _measure(name: str, probability: Float32[Array, "k y x"]) -> Float32[Array, "map y x"]:
    """Confidence, margin or the probabilities themselves."""
    if name == "probabilities":
        return probability
    best = probability.max(axis=0)
    if name == "confidence":
        return best[None]
    classes = jnp.arange(probability.shape[0]).reshape(-1, 1, 1)
    is_best = classes == probability.argmax(axis=0)[None]
    return (best - jnp.where(is_best, 0.0, probability).max(axis=0))[None]


def _scaled(
    values: Float32[Array, "map y x"], valid: Bool[Array, "y x"]
) -> UInt8[Array, "map y x"]:
    """Scale 0-1 to 0-250 and mark no data."""
    scaled = jnp.round(values * PROBABILITY_SCALE).astype(jnp.uint8)
    return jnp.where(valid[None], scaled, jnp.uint8(PROBABILITY_NO_DATA))
