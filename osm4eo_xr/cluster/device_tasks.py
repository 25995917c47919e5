"""Which worker and thread tasks on the device go to, as the open cluster wants it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dask.config

from osm4eo_xr.cluster.gpus import visible_gpus
from osm4eo_xr.errors import InputError

if TYPE_CHECKING:
    from distributed import Client

DEVICE_KEY = "osm4eo_xr.device"
"""Key of dask's configuration under which steps find the annotations of tasks on the device."""

DEVICE_EXECUTOR = "device"
"""Name of the executor of a process's device."""

DEVICE_TASKS = 4
"""Threads of that executor: one block on its way to the device, one that computes, one that waits
behind it there, and one on its way back. A power of two, as dask adds up their shares."""


def device_annotations(share: float = 1.0) -> dict[str, Any]:
    """Return the dask annotations of tasks that use the device.

    On a cluster with GPU workers they name the resource, so that such tasks run in the device
    threads of GPU workers and on none without; elsewhere they are empty.

    Parameters
    ----------
    share : float
        What a task takes of a device, above 0 to 1: by default all, one task at a time. Each
        worker has four threads for such tasks.

    Raises
    ------
    InputError
        If the share is out of range.

    Examples
    --------
    >>> import osm4eo_xr as oxr
    >>> oxr.device_annotations()  # no cluster is open
    {}
    """
    if not 0 < share <= 1:
        raise InputError(f"share of the device is {share}", expected="above 0 and at most 1")
    stated = dict(dask.config.get(DEVICE_KEY, None) or {})
    return stated | {"resources": {"GPU": share}} if stated else {}


def device_client() -> Client | None:
    """Return the client of the open cluster, if it has GPU workers and this process sees no GPU."""
    if not dask.config.get(DEVICE_KEY, None) or visible_gpus():
        return None
    from distributed import default_client

    try:
        return default_client()
    except ValueError:  # a worker of the cluster, to which its settings came
        return None


def device_settings(*, has_gpu: bool) -> dict[str, Any]:
    """Return dask's configuration of a cluster, by whether it has GPU workers.

    Fusion of tasks would drop their annotations, so it is off where tasks are annotated.
    """
    if not has_gpu:
        return {DEVICE_KEY: None}
    return {DEVICE_KEY: {"executor": DEVICE_EXECUTOR}, "optimization.fuse.active": False}
