"""Batch normalization worked into the convolutions, for inference."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

EPSILON = 1e-3
"""Added to the variance in batch normalization, as Keras has it."""

_CONV_BEFORE = {"stem_norm": "stem", "norm2": "conv1", "norm3": "conv2"}


def fold(variables: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of the same network without batch normalization.

    A normalization right after a convolution moves into its kernel and bias; one after a sum
    becomes a scale and a bias per channel. Worked out in float64, returned in float32.

    Parameters
    ----------
    variables : mapping
        ``params`` and ``batch_stats``.
    """
    folded = _fold(variables["params"], variables["batch_stats"])
    return _to_float32(folded)


def _fold(params: Mapping[str, Any], stats: Mapping[str, Any]) -> dict[str, Any]:
    """Fold one level of the tree and those below."""
    result = {
        name: _fold(branch, stats.get(name, {})) if _is_branch(branch) else dict(branch)
        for name, branch in params.items()
        if name not in stats or _is_branch(branch)
    }
    for name in stats:
        if _is_branch(params[name]):
            continue
        scale, bias = _affine(params[name], stats[name])
        conv = _CONV_BEFORE.get(name, name.replace("smooth_norm", "smooth"))
        if conv == name:
            result[name] = {"scale": scale, "bias": bias}
        else:
            result[conv] = {
                "kernel": np.asarray(params[conv]["kernel"], np.float64) * scale,
                "bias": np.asarray(params[conv]["bias"], np.float64) * scale + bias,
            }
    return result


def _affine(norm: Mapping[str, Any], stats: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Scale and bias that equal a normalization under its running statistics."""
    variance = np.asarray(stats["var"], np.float64)
    scale = np.asarray(norm["scale"], np.float64) / np.sqrt(variance + EPSILON)
    return scale, np.asarray(norm["bias"], np.float64) - np.asarray(stats["mean"]) * scale


def _is_branch(tree: Mapping[str, Any]) -> bool:
    """Whether a node holds layers and not a layer's arrays."""
    return any(isinstance(value, Mapping) for value in tree.values())


def _to_float32(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Convert all arrays."""
    return {
        key: _to_float32(value) if isinstance(value, Mapping) else np.asarray(value, np.float32)
        for key, value in tree.items()
    }
