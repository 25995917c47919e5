"""How much each label counts in training: weights travel with labels, in one array of uint16.

The class is the lower byte, the weight in steps of 1/255 the upper. Labels of uint8 weigh 1. While
a network labels pixels itself (``training.step.self_labels``), labels are uint32, and a bit above
both bytes says which are its own.
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
_OWN = 1 << 16


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
    label: UInt[Array, "*n"], own: UInt8[Array, "*n"], where: Bool[Array, "*n"]
) -> UInt32[Array, "*n"]:
    """Return labels, and where a mask is set a network's own class instead, which weighs 1."""
    wide = label.astype(jnp.uint32)
    if label.dtype == jnp.uint8:
        wide |= jnp.uint32(_STEPS << _BYTE)
    marked = own.astype(jnp.uint32) | jnp.uint32(_OWN | _STEPS << _BYTE)
    return jnp.where(where, marked, wide)


def is_given(label: UInt[Array, "*n"]) -> Bool[Array, "*n"]:
    """Return which labels are not a network's own."""
    if label.dtype != jnp.uint32:
        return jnp.ones(label.shape, bool)
    return label < jnp.uint32(_OWN)
