"""A network's variables: nested dicts of arrays, and the same flat, with dotted names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from osm4eo_xr.errors import InputError


def as_numpy(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Copy nested arrays to float32 in host memory."""
    return {
        key: as_numpy(value) if isinstance(value, Mapping) else np.asarray(value, np.float32)
        for key, value in tree.items()
    }


def flatten_any(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Join nested keys by dots."""
    flat = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            flat |= flatten_any(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def flatten(tree: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Join nested keys by dots, in sorted order, arrays contiguous."""
    flat = flatten_any(tree)
    return {name: np.ascontiguousarray(flat[name]) for name in sorted(flat)}


def nest(flat: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Split dotted names into nested dicts.

    Raises
    ------
    InputError
        If a name is that of an array and leads to others as well.
    """
    groups = {name[:k] for name in flat for k, letter in enumerate(name) if letter == "."}
    both = sorted(groups & flat.keys())
    if both:
        raise InputError(
            f"variable {both[0]!r} is an array and holds others too", advice="save the model again"
        )
    tree: dict[str, Any] = {}
    for name, value in flat.items():
        *parents, leaf = name.split(".")
        branch = tree
        for parent in parents:
            branch = branch.setdefault(parent, {})
        branch[leaf] = value
    return tree
