"""How long a training takes on the device at hand, by the operations of its network."""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from osm4eo_xr.errors import InputWarning
from osm4eo_xr.names import counted, duration
from osm4eo_xr.networks import resnet
from osm4eo_xr.process.threads import core_count
from osm4eo_xr.training.step.gradient import kernels_are_faster

if TYPE_CHECKING:
    from osm4eo_xr.networks.settings import NetSettings

_EDGE = 32  # pixels of the image whose operations are counted
_PRODUCTS = 3  # timed
_SOON = 1e8  # pixels that no preset takes many hours to learn from
_LONG, PATIENCE = 6 * 3600, 2 * 3600  # seconds

FORTH_AND_BACK = 3
"""A step goes forward once, and back takes twice that."""

_REACHED = {"kernels": 0.4, "cpu": 0.2, "gpu": 0.25}
"""Share of a matrix product's speed that training reaches: measured on two cores of a CPU, with the
package's own kernels and with jax at depth 11, and assumed of GPUs."""

_MATRIX = {"cpu": (1024, "float32"), "gpu": (8192, "bfloat16")}
"""Edge and dtype of the matrices whose product is timed."""


@cache
def operations_per_pixel(net: NetSettings) -> float:
    """Return the additions and multiplications of one pass forward, per pixel that goes in.

    XLA counts them in the program; nothing is compiled or computed.
    """
    edge = net.window if net.mode == "window" else _EDGE
    x = jax.ShapeDtypeStruct((1, edge, edge, net.bands), jnp.float32)

    def applied(variables: Any, x: Any) -> Any:
        return resnet.apply_eval(net, variables, x, dtype="float32")

    counted: Any = jax.jit(applied).lower(resnet.variable_shapes(net), x).cost_analysis()
    return float(counted["flops"]) / edge**2


@cache
def operations_per_second() -> float:
    """Return how fast the device multiplies matrices, measured once per process."""
    edge, dtype = _MATRIX[_kind()]
    x = jnp.ones((edge, edge), dtype)
    product = jax.jit(jnp.matmul)
    product(x, x).block_until_ready()
    seconds = []
    for _ in range(_PRODUCTS):
        start = time.perf_counter()
        product(x, x).block_until_ready()
        seconds.append(time.perf_counter() - start)
    return 2.0 * edge**3 / min(seconds)


def training_seconds(net: NetSettings, pixels: float) -> float:
    """Return the estimated time in which so many pixels of samples are learned from, once each.

    Parameters
    ----------
    net : NetSettings
        The network.
    pixels : float
        Pixels of a sample, times samples, times passes over them.
    """
    kind = _kind()
    devices = 1 if kind == "cpu" else jax.device_count()
    reached = _REACHED["kernels" if kind == "cpu" and kernels_are_faster(net) else kind]
    speed = operations_per_second() * reached * devices
    return FORTH_AND_BACK * operations_per_pixel(net) * pixels / speed


def warn_if_long(net: NetSettings, pixels: float) -> None:
    """Warn, before anything is learned, that a training is estimated to take many hours."""
    if pixels < _SOON or (seconds := training_seconds(net, pixels)) < _LONG:
        return
    warnings.warn(
        f"training takes about {duration(seconds)} on {device_name()}: a smaller preset, fewer "
        "epochs or fewer samples take less",
        InputWarning,
        stacklevel=3,
    )


def fitting_preset(seconds: Mapping[str, float]) -> str:
    """Return the preset that takes longest within two hours; the quickest if none does."""
    fits = {name: took for name, took in seconds.items() if took <= PATIENCE}
    return max(fits, key=fits.__getitem__) if fits else min(seconds, key=seconds.__getitem__)


def device_name() -> str:
    """Return the devices that a training here runs on, in words."""
    devices = jax.devices()
    if _kind() == "cpu":
        return f"a CPU with {counted(core_count(), 'core')}"
    return f"{len(devices)} x {devices[0].device_kind}"


def _kind() -> str:
    return "cpu" if jax.default_backend() == "cpu" else "gpu"
