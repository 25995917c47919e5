"""TLS between the processes of a cluster: a certificate of its own that its owner alone can read.

Who can connect to a dask scheduler or worker can run code as its owner, and on a shared node any
user can connect to any port. So each cluster that the package opens has a key and a certificate
made for it, takes encrypted connections only, and only from those who hold the key.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from distributed import Security

from osm4eo_xr.errors import InputError
from osm4eo_xr.process.openssl import keep_connections_apart
from osm4eo_xr.progress import ERR

if TYPE_CHECKING:
    from osm4eo_xr.cluster.site import Site

PROTOCOL = {True: "tls://", False: "tcp://"}
"""Protocol of dask's addresses, by whether a site says ``tls``."""

_CERTIFICATE, _KEY = "certificate.pem", "key.pem"
_LOOPBACK = "127.0.0.1"
_OPEN_TO_OTHERS = 0o077  # permission bits of group and others
_LOOK_EVERY = 0.2  # seconds


def dashboard_address(site: Site) -> str:
    """Return where the scheduler's dashboard listens: on loopback, unless the site names a host.

    A dashboard shows keys, paths and code to whoever reaches it, so one that others reach is said.
    """
    host, _, port = site.dashboard.rpartition(":")
    if host and host not in (_LOOPBACK, "localhost"):
        ERR.print(
            f"cluster {site.name!r}: every user who reaches {host} can read the dashboard on port "
            f'{port}; set dashboard: ":{port}" to show it on this machine alone'
        )
    return f"{host or _LOOPBACK}:{port}"


WORKER_PAGES = f"{_LOOPBACK}:0"
"""Where a worker's own pages (health, metrics) listen."""


def temporary_security(site: Site) -> Security | None:
    """Return a new key and certificate in memory, for processes of this machine; None = no TLS."""
    if not site.tls:
        ERR.print(
            f"cluster {site.name!r} is open to every user who reaches its ports, who can run code "
            f"as you; set tls: true unless the machine is yours alone"
        )
        return None
    keep_connections_apart()
    return Security.temporary()


@contextmanager
def shared_security(site: Site, parent: Path) -> Iterator[Security | None]:
    """Write a new key and certificate where the jobs can read them; both go on leaving.

    Parameters
    ----------
    site : Site
        Says whether the cluster speaks TLS.
    parent : Path
        A folder on a file system that all nodes share. The files lie in a folder of their own
        there, which nobody but the owner can enter.

    Yields
    ------
    Security or None
        With the paths of the files; None without TLS.

    Raises
    ------
    InputError
        If the file system does not keep others out.
    """
    memory = temporary_security(site)
    if memory is None:
        yield None
        return
    with tempfile.TemporaryDirectory(
        prefix=".osm4eo-xr-tls-", dir=parent, ignore_cleanup_errors=True
    ) as folder:
        _write(memory, Path(folder))
        yield security_of(Path(folder))


def security_of(folder: Path) -> Security:
    """Return the key and certificate that lie in a folder, for every role in a cluster.

    Raises
    ------
    InputError
        If the folder is another user's, or others can enter it.
    """
    state = folder.stat()
    if state.st_uid != os.getuid() or state.st_mode & _OPEN_TO_OTHERS:
        raise InputError(
            f"the folder {folder} of the cluster's key is open to other users "
            f"(owner {state.st_uid}, mode {state.st_mode & 0o777:o})",
            advice="go to a file system that keeps owner and permissions, or set tls: false",
        )
    keep_connections_apart()
    certificate, key = str(folder / _CERTIFICATE), str(folder / _KEY)
    roles = ("client", "scheduler", "worker")
    return Security(
        require_encryption=True,
        tls_ca_file=certificate,
        **{f"tls_{role}_cert": certificate for role in roles},
        **{f"tls_{role}_key": key for role in roles},
    )


def publish(site: Site, folder: Path) -> None:
    """Make the folder that the tasks of one allocation share, with a key if the site wants TLS.

    It appears whole: whoever sees it can read all of it.
    """
    memory = temporary_security(site)
    part = Path(tempfile.mkdtemp(prefix=f"{folder.name}.part-", dir=folder.parent))
    if memory is not None:
        _write(memory, part)
    if folder.exists():  # of an earlier life of the same job step, whose key nobody has any more
        shutil.rmtree(folder)
    part.rename(folder)


def await_published(folder: Path, seconds: float) -> None:
    """Wait until the first task of an allocation has made the shared folder.

    Raises
    ------
    InputError
        If it does not come in time.
    """
    end = time.monotonic() + seconds
    while not folder.is_dir():
        if time.monotonic() > end:
            raise InputError(
                f"no folder {folder} after {seconds:g} s, so the first task of the allocation has "
                f"not started or does not see {folder.parent}",
                advice="start srun in a folder that all nodes share",
            )
        time.sleep(_LOOK_EVERY)


def _write(memory: Security, folder: Path) -> None:
    """Write the one certificate and its key, readable by the owner alone."""
    config = memory.get_tls_config_for_role("scheduler")
    for name, text in ((_CERTIFICATE, config["cert"]), (_KEY, config["key"])):
        (folder / name).touch(mode=0o600, exist_ok=False)
        (folder / name).write_text(str(text), encoding="ascii")
