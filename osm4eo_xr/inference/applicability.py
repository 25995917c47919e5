"""Whether a model knows the like of a pixel: index, density and sets of classes, in jax.

Dissimilarity index after Meyer & Pebesma 2021, "Predicting into unknown space? Estimating the area
of applicability of spatial prediction models", Methods in Ecology and Evolution 12, in the space of
the network's penultimate features; local point density after Schumacher et al. 2024, "Assessing the
area of applicability of spatial prediction models through a local data point density approach",
Geoscientific Model Development Discussions; sets of classes after Sadinle et al. 2019, "Least
Ambiguous Set-Valued Classifiers With Bounded Error Levels", JASA 114.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from jax import Array

if TYPE_CHECKING:
    from jaxtyping import Float32

    from osm4eo_xr.models.applicability import Applicability

_PIXELS = 2048  # at a time on a CPU: their distances to all prototypes fit into a core's cache
_PIXELS_OF_ACCELERATOR = 2**18  # enough to fill a device; distances to 128 prototypes are 134 MB

Reference = dict[str, Any]
"""Arrays of an ``Applicability``, as the program takes them."""


def reference_of(known: Applicability) -> Reference:
    """Return the arrays that the program takes, with the prototypes' lengths worked out."""
    prototypes = jnp.asarray(known.prototypes)
    return {
        "prototypes": prototypes,
        "squares": (prototypes**2).sum(axis=1),
        "counts": jnp.asarray(known.counts / known.counts.sum()),
        "center": jnp.asarray(known.center),
        "factor": jnp.asarray(known.factor),
        "reach": jnp.float32(known.reach),
    }


def measure_points(
    reference: Reference, features: Float32[Array, "y x f"]
) -> tuple[Float32[Array, "y x"], Float32[Array, "y x"]]:
    """Return each pixel's dissimilarity index over its threshold, and its local point density.

    The density is the share of training points (0-1) nearer than the threshold.
    """
    rows, cols, width = features.shape
    center, factor = (reference[name].reshape(1, -1) for name in ("center", "factor"))
    scaled = (features.reshape(-1, width) - center) * factor
    most = _PIXELS if jax.default_backend() == "cpu" else _PIXELS_OF_ACCELERATOR
    pixels = min(most, rows * cols)
    parts = jnp.pad(scaled, ((0, -len(scaled) % pixels), (0, 0))).reshape(-1, pixels, width)
    nearest, near = jax.lax.map(lambda part: _measure(reference, part), parts)
    shape = rows * cols
    index = jnp.sqrt(jnp.maximum(nearest.reshape(-1)[:shape], 0.0)) / reference["reach"]
    return index.reshape(rows, cols), near.reshape(-1)[:shape].reshape(rows, cols)


def _measure(
    reference: Reference, part: Float32[Array, "n f"]
) -> tuple[Float32[Array, " n"], Float32[Array, " n"]]:
    """Return the least squared distance to a prototype, and the share of points within reach.

    Prototypes come first, so that the sums over them run along whole vectors of pixels.
    """
    own = (part**2).sum(axis=1)
    cross = jax.lax.dot_general(
        reference["prototypes"], part, (((1,), (1,)), ((), ())), precision="highest"
    )
    half = 0.5 * reference["squares"][:, None] - cross  # a half of the distance, less a half own
    bound = 0.5 * (reference["reach"] ** 2 - own)
    near = jnp.where(half <= bound[None], reference["counts"][:, None], 0.0).sum(axis=0)
    return 2.0 * half.min(axis=0) + own, near
