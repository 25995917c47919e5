"""Batch normalization worked into the convolutions, for inference."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from osm4eo_xr.networks.grouped_layers import constants_of, convolutions_of
from osm4eo_xr.networks.layers import arrays_at, put_arrays

if TYPE_CHECKING:
    from osm4eo_xr.networks.settings import NetSettings

EPSILON = 1e-3
"""Added to the variance in batch normalization, as Keras has it."""


def fold(settings: NetSettings, variables: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of the same network without batch normalization.

    A normalization right after a convolution moves into its kernel and bias; one after a sum
    becomes a scale and a bias per channel. Worked out in float64, returned in float32.

    Parameters
    ----------
    settings : NetSettings
        Shape of the network.
    variables : mapping
        ``params`` and ``batch_stats``.
    """
    params, stats = variables["params"], variables["batch_stats"]
    folded: dict[str, Any] = {}
    for layer in convolutions_of(settings):
        arrays = arrays_at(params, layer.path)
        if layer.after:
            scale, bias = _affine(arrays_at(params, layer.after), arrays_at(stats, layer.after))
            arrays = {
                "kernel": np.asarray(arrays["kernel"], np.float64) * scale,
                "bias": np.asarray(arrays["bias"], np.float64) * scale + bias,
            }
        put_arrays(folded, layer.path, _to_float32(arrays))
        if layer.before:
            scale, bias = _affine(arrays_at(params, layer.before), arrays_at(stats, layer.before))
            put_arrays(folded, layer.before, _to_float32({"scale": scale, "bias": bias}))
    for path in constants_of(settings):
        put_arrays(folded, path, _to_float32(arrays_at(params, path)))
    return folded


def _affine(norm: Mapping[str, Any], stats: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Scale and bias that equal a normalization under its running statistics."""
    variance = np.asarray(stats["var"], np.float64)
    scale = np.asarray(norm["scale"], np.float64) / np.sqrt(variance + EPSILON)
    return scale, np.asarray(norm["bias"], np.float64) - np.asarray(stats["mean"]) * scale


def _to_float32(arrays: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Convert all arrays."""
    return {key: np.asarray(value, np.float32) for key, value in arrays.items()}
