"""The accelerators of one node, among which each batch is divided."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec


def device_count() -> int:
    """Return the number of devices of this process."""
    return jax.local_device_count()


def place_batch(x: np.ndarray) -> jax.Array:
    """Send samples to the devices, an equal part to each; all to each where they do not divide."""
    spec = PartitionSpec("batch") if len(x) % device_count() == 0 else PartitionSpec()
    return jax.device_put(x, NamedSharding(_mesh(), spec))


def place_state(state: Any) -> Any:
    """Send a tree of arrays to every device."""
    return jax.device_put(state, NamedSharding(_mesh(), PartitionSpec()))


def _mesh() -> Mesh:
    return Mesh(np.asarray(jax.local_devices()), ("batch",))
