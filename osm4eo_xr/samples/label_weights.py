"""How much each label counts in training: weights travel with labels, in one array of uint16.

The class is the lower byte, the weight in steps of 1/255 the upper. Labels of uint8 weigh 1. While
a network labels pixels itself (``training.step.self_labels``), labels are uint32, and two bits
above both bytes say which pixels had no label, and which of these the network has labeled.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax.numpy as jnp
import numpy as np
from jax import Array

if TYPE_CHECKING:
    from jaxtyping import Bool, Float32, UInt, UInt8, UInt16, UInt32

WEIGHT = "weight"
"""Variable of a sample set: (sample, y, x) uint8, 255 = 1."""

_STEPS = 255
_BYTE = 8
_OWN, _OPEN = 1 << 16, 1 << 17


def pack(
    label: UInt8[np.ndarray, "..."], weight: UInt8[np.ndarray, "..."]
) -> UInt16[np.ndarray, "..."]:
    """Put labels and their weights into one array."""
    return (weight.astype(np.uint16) << _BYTE) | label


def class_of(label: UInt[np.ndarray, "..."]) -> UInt8[np.ndarray, "..."]:
    """Return the classes of labels, with weights or without."""
    return label.astype(np.uint8)  # the lower byte


def unpack(label: UInt[Array, "*n"]) -> tuple[UInt8[Array, "*n"], Float32[Array, "*n"]]:
    """Return classes and weights of labels."""
    if label.dtype == jnp.uint8:
        return label, jnp.ones(label.shape, jnp.float32)
    byte, steps = (jnp.asarray(v, label.dtype) for v in (_BYTE, _STEPS))
    weight = ((label >> byte) & steps).astype(jnp.float32) / jnp.float32(_STEPS)
    return (label & steps).astype(jnp.uint8), weight


def with_own(
    label: UInt[Array, "*n"],
    own: UInt8[Array, "*n"],
    sure: Bool[Array, "*n"],
    usable: Bool[Array, "*n"],
) -> UInt32[Array, "*n"]:
    """Return labels, and a network's own class where a usable pixel has none and it is sure.

    Own labels weigh 1.
    """
    wide = label.astype(jnp.uint32)
    if label.dtype == jnp.uint8:
        wide |= jnp.uint32(_STEPS << _BYTE)
    classes, _ = unpack(label)
    unlabeled = usable & (classes == jnp.uint8(0))
    marked = own.astype(jnp.uint32) | jnp.uint32(_OPEN | _OWN | _STEPS << _BYTE)
    return jnp.where(unlabeled, jnp.where(sure, marked, wide | jnp.uint32(_OPEN)), wide)


def is_given(label: UInt[Array, "*n"]) -> Bool[Array, "*n"]:
    """Return which labels are not a network's own."""
    return ~_has(label, _OWN)


def is_open(label: UInt[Array, "*n"]) -> Bool[Array, "*n"]:
    """Return which pixels had no label, and data: a network may have given them one of its own."""
    return _has(label, _OPEN)


def _has(label: UInt[Array, "*n"], bit: int) -> Bool[Array, "*n"]:
    """Return where a bit above both bytes is set."""
    if label.dtype != jnp.uint32:
        return jnp.zeros(label.shape, bool)
    return (label & jnp.uint32(bit)) > jnp.uint32(0)
