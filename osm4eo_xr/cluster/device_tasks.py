"""Which worker and thread tasks on the device go to, as the open cluster wants it."""

from __future__ import annotations

from typing import Any

import dask.config

DEVICE_KEY = "osm4eo_xr.device"
"""Key of dask's configuration under which steps find the annotations of tasks on the device."""

DEVICE_EXECUTOR = "device"
"""Name of the one-thread executor that owns a process's device."""


def device_annotations() -> dict[str, Any]:
    """Return the dask annotations of tasks that use the device.

    On a cluster with GPU workers they name the resource, so that one such task at a time runs in
    a GPU worker's device thread and none on workers without; elsewhere they are empty.

    Examples
    --------
    >>> import osm4eo_xr as oxr
    >>> oxr.device_annotations()  # no cluster is open
    {}
    """
    return dict(dask.config.get(DEVICE_KEY, None) or {})


def device_settings(*, has_gpu: bool) -> dict[str, Any]:
    """Return dask's configuration of a cluster, by whether it has GPU workers.

    Fusion of tasks would drop their annotations, so it is off where tasks are annotated.
    """
    if not has_gpu:
        return {DEVICE_KEY: None}
    annotations = {"resources": {"GPU": 1}, "executor": DEVICE_EXECUTOR}
    return {DEVICE_KEY: annotations, "optimization.fuse.active": False}
