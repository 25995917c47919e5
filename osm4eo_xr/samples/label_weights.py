"""How much each label counts in training: weights travel with labels, in one array of uint16.

The class is the lower byte, the weight in steps of 1/255 the upper. Labels of uint8 weigh 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax.numpy as jnp
import numpy as np
from jax import Array

if TYPE_CHECKING:
    from jaxtyping import Float32, UInt, UInt8, UInt16

WEIGHT = "weight"
"""Variable of a sample set: (sample, y, x) uint8, 255 = 1."""

_STEPS = 255
_BYTE = 8


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
    weight = (label >> jnp.uint16(_BYTE)).astype(jnp.float32) / jnp.float32(_STEPS)
    return (label & jnp.uint16(_STEPS)).astype(jnp.uint8), weight
