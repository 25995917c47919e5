"""The doctor: would a run work here and on a cluster's workers, and if not, what mends it."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from osm4eo_xr.cluster.checks import (
    Finding,
    check_folder,
    check_interface,
    image_fault,
    look_around,
)
from osm4eo_xr.cluster.clusters import open_cluster
from osm4eo_xr.cluster.site import BatchSite, Site
from osm4eo_xr.cluster.site_file import load_site
from osm4eo_xr.cluster.worker import expand_folder
from osm4eo_xr.errors import InputError

if TYPE_CHECKING:
    from distributed import Client, Worker

__all__ = ["examine"]

Report = Callable[[str], None]


def examine(
    cluster: str | Path | Site = "local", *, wait: float = 600, report: Report | None = None
) -> list[Finding]:
    """Look at this machine, then open a cluster and look at a worker of each kind.

    Parameters
    ----------
    cluster : str, Path or Site
        As ``open_cluster`` takes it. Under a batch system one job of each kind is submitted and
        given back.
    wait : float
        Seconds to wait for workers, time in the queue included.
    report : callable, optional
        Told in a line what is being waited for.

    Returns
    -------
    list of Finding
        In order; a run would fail if one of them is ``"wrong"``.

    Raises
    ------
    InputError
        If there is no such cluster, or its file is wrong.
    """
    site = cluster if isinstance(cluster, Site) else load_site(cluster)
    batch = isinstance(site, BatchSite)
    # A batch site's scratch exists on its nodes alone.
    scratch = "" if batch else str(expand_folder(site.scratch))
    findings = look_around("here", scratch, tls=site.tls)
    findings.append(check_folder("here", "working folder", Path.cwd()))
    if batch:
        findings += _check_submission(site)
    if any(f.state == "wrong" and f.needed_to_start for f in findings):
        return [*findings, Finding("workers", "start", "note", "not tried; mend the above first")]
    if report is not None:
        report(f"starting workers of {site.name or 'the cluster'}, for at most {wait:.0f} s")
    return findings + _ask_workers(_one_of_each(site), wait)


def _check_submission(site: BatchSite) -> list[Finding]:
    """Check what a batch system needs on this side."""
    command = shutil.which(site.submit_command)
    logs = expand_folder(site.logs)
    found = Finding("here", "submit command", "ok", command or "")
    if command is None:
        advice = f"log in to a node of the cluster that has {site.submit_command}, or load a module"
        text = f"no {site.submit_command} on PATH"
        found = Finding("here", "submit command", "wrong", text, advice, needed_to_start=True)
    fault = image_fault(site.python)
    image = [Finding("here", "image", "note", *fault)] if fault else []
    return [
        found,
        *image,
        check_interface("here", site.interface),
        check_folder("here", "folder of logs", logs if logs.exists() else logs.absolute().parent),
    ]


def _one_of_each(site: Site) -> Site:
    """Return the site with a single job of each kind."""
    if not isinstance(site, BatchSite):
        return site
    one = {kind: replace(jobs, jobs=1, maximum_jobs=None) for kind, jobs in site.groups.items()}
    return replace(site, **cast("Any", one))


def _ask_workers(site: Site, wait: float) -> list[Finding]:
    """Start workers and let each look around; what prevents it is a finding too."""
    advice = (
        f"read the logs in {site.logs!r}, and {site.queue_command.split()[0]} for why jobs wait"
        if isinstance(site, BatchSite)
        else "free memory or lower processes in the cluster file"
    )
    try:
        with open_cluster(site) as client:
            missing = _wait_for_kinds(client, site, wait)
            seen = cast("dict[str, list[Finding]]", client.run(_look_inside, site))
    except (InputError, TimeoutError, OSError) as error:
        return [Finding("workers", "start", "wrong", " ".join(str(error).split()), advice)]
    late = [
        Finding(kind, "start", "wrong", f"no worker after {wait:.0f} s", advice) for kind in missing
    ]
    return [finding for found in seen.values() for finding in found] + late


def _wait_for_kinds(client: Client, site: Site, wait: float) -> list[str]:
    """Wait until a worker of each kind is there; return the kinds that did not come."""
    ends = time.monotonic() + wait
    missing = set(site.groups) if isinstance(site, BatchSite) else set()
    while missing and time.monotonic() < ends:
        workers = cast("dict[str, Any]", client.scheduler_info(n_workers=-1)["workers"])
        missing -= {str(w["name"]).partition("-")[0] for w in workers.values()}
        time.sleep(0.2)
    return sorted(missing)


def _look_inside(site: Site, dask_worker: Worker) -> list[Finding]:
    """Run in a worker: what it sees."""
    name = str(dask_worker.name)
    wants_gpu = "GPU" in dask_worker.state.total_resources
    scratch = str(expand_folder(site.scratch))
    return look_around(name, scratch, wants_gpu=wants_gpu, tls=site.tls)
