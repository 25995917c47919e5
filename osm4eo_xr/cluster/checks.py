"""What the doctor looks at in one process: versions, devices, memory, disk, drivers, network."""

from __future__ import annotations

import os
import re
import resource
import shutil
import socket
import ssl
import sys
import tempfile
import time
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from osm4eo_xr.cluster.gpus import visible_gpus
from osm4eo_xr.process.node import (
    IGNORED_VARIABLES,
    KERNELS_VARIABLE,
    OWN_KERNELS,
    PROGRAMS_VARIABLE,
    SHARED_MEMORY_ADVICE,
    address_limit,
    lacks_semaphores,
    may_write,
)

_PACKAGES = ("osm4eo-xr", "dask", "distributed", "jax", "rasterio")
_DRIVERS = {
    "JP2OpenJPEG": "Sentinel-2's own files (.jp2)",
    "COG": "every product",
    "VRT": "overviews of products",
    "OSM": "OpenStreetMap extracts in QGIS's and GDAL's tools",
}
_GIB = 1024**3
_LEAST_MEMORY = 4 * _GIB
_LEAST_SCRATCH = 2 * _GIB
_PROBE = 64 * 1024**2  # bytes written to measure a disk
_FEW_FILES = 4096
_SLOW_DISK = 100e6  # bytes per second


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's table.

    Attributes
    ----------
    place : str
        ``"here"`` or a worker's name.
    check : str
        What was looked at.
    state : {"ok", "note", "wrong"}
        Whether a run would fail; a note says what would make it slow.
    found : str
        What was seen.
    advice : str
        What mends it.
    needed_to_start : bool
        Whether no worker can start before it is mended.
    """

    place: str
    check: str
    state: Literal["ok", "note", "wrong"]
    found: str
    advice: str = ""
    needed_to_start: bool = False


def look_around(
    place: str, scratch: str, *, wants_gpu: bool = False, tls: bool = True
) -> list[Finding]:
    """Return the findings of this process.

    Parameters
    ----------
    place : str
        Name of this process.
    scratch : str
        Folder for spilled data; empty to leave it out.
    wants_gpu : bool
        Whether it is to compute on a GPU.
    tls : bool
        Whether it is to speak TLS.
    """
    findings = [
        _check_versions(place),
        _check_devices(place, wants_gpu=wants_gpu),
        _check_memory(place),
        _check_drivers(place),
        _check_caches(place),
        *(_check_tls(place) if tls else []),
        *_note_open_files(place),
        *_check_addresses(place),
        *_check_semaphores(place),
        *_note_variables(place),
    ]
    return [*findings, _check_scratch(place, Path(scratch))] if scratch else findings


def check_folder(place: str, what: str, folder: Path) -> Finding:
    """Check that files can be made in a folder."""
    try:
        with tempfile.NamedTemporaryFile(dir=folder):
            return Finding(place, what, "ok", f"{folder} can be written")
    except OSError as error:
        advice = "change to a folder of yours, on a file system all nodes share"
        found = f"{folder} cannot be written: {error.strerror}"
        return Finding(place, what, "wrong", found, advice, needed_to_start=True)


def check_interface(place: str, name: str | None) -> Finding:
    """Check that the network interface that jobs are to use exists."""
    there = sorted(name for _, name in socket.if_nameindex())
    if name is None or name in there:
        return Finding(place, "network interface", "ok", name or "the default route's")
    found = f"no {name}; this machine has {', '.join(there)}"
    advice = "set interface in the cluster file to one of these"
    return Finding(place, "network interface", "wrong", found, advice, needed_to_start=True)


def _check_versions(place: str) -> Finding:
    found = [f"Python {sys.version.split()[0]}"]
    for package in _PACKAGES:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            advice = 'pip install "osm4eo-xr" into this interpreter; give it as python in the file'
            return Finding(place, "versions", "wrong", f"no {package} in {sys.executable}", advice)
    return Finding(place, "versions", "ok", ", ".join(found))


def _check_devices(place: str, *, wants_gpu: bool) -> Finding:
    """Check which devices jax computes on, and whether a GPU is left out."""
    try:
        import jax

        devices = jax.devices()
    except (ImportError, RuntimeError, AssertionError) as error:
        why = " ".join(str(error).split())[:200]
        stated = os.environ.get("JAX_PLATFORMS")
        text = f"jax finds no device: {why or f'none of JAX_PLATFORMS={stated}'}"
        advice = 'pip install "osm4eo-xr[cuda]" on GPU nodes, or set JAX_PLATFORMS=cpu'
        return Finding(place, "devices", "wrong", text, advice)
    found = ", ".join(f"{d.platform}:{d.device_kind}" for d in devices)
    chosen = os.environ.get("JAX_PLATFORMS", "")
    if any(d.platform == "gpu" for d in devices) or (chosen == "cpu" and not wants_gpu):
        return Finding(place, "devices", "ok", found)
    gpus = len(visible_gpus())
    if not gpus and not wants_gpu:
        return Finding(place, "devices", "ok", f"{found} (no GPU here)")
    plugin = "is there" if find_spec("jax_cuda12_plugin") else "is missing"
    text = f"jax computes on {found} though {gpus or 'its job should have'} GPU; plugin {plugin}"
    advice = 'pip install "osm4eo-xr[cuda]", look at nvidia-smi for the driver, unset JAX_PLATFORMS'
    return Finding(
        place, "devices", "wrong" if wants_gpu and chosen != "cpu" else "note", text, advice
    )


def _check_memory(place: str) -> Finding:
    from distributed.system import MEMORY_LIMIT

    text = f"{MEMORY_LIMIT / _GIB:.1f} GiB for this process and its neighbors"
    if MEMORY_LIMIT >= _LEAST_MEMORY:
        return Finding(place, "memory", "ok", text)
    return Finding(place, "memory", "note", text, "4 GiB or more; else keep to small scenes")


def _check_drivers(place: str) -> Finding:
    """Check that GDAL, as rasterio brings it, has the formats a run reads and writes."""
    import rasterio

    with rasterio.Env() as environment:
        there = environment.drivers()
    missing = [f"{name} ({use})" for name, use in _DRIVERS.items() if name not in there]
    text = f"GDAL {rasterio.__gdal_version__}"
    if not missing:
        return Finding(place, "GDAL drivers", "ok", f"{text}: {', '.join(_DRIVERS)}")
    advice = "pip install --force-reinstall rasterio (its wheel has them); unset GDAL_SKIP"
    return Finding(place, "GDAL drivers", "wrong", f"{text} lacks {', '.join(missing)}", advice)


def _check_addresses(place: str) -> list[Finding]:
    """Tell that addresses are limited."""
    limit = address_limit()
    if limit is None:
        return []
    text, _, advice = limit.rpartition("; ")
    return [Finding(place, "address space", "wrong", text, advice)]


def _check_semaphores(place: str) -> list[Finding]:
    """Check that processes can be started that talk to each other, which needs /dev/shm."""
    why = lacks_semaphores()
    if why is None:
        return []
    text = f"no semaphores: {why}; worker processes cannot start"
    advice = f"{SHARED_MEMORY_ADVICE}; threads work without"
    return [Finding(place, "/dev/shm", "wrong", text, advice, needed_to_start=True)]  # noqa: S108


def _check_caches(place: str) -> Finding:
    """Check that what is compiled is found again by the next run."""
    programs = os.environ.get(PROGRAMS_VARIABLE)
    lost = []
    if not programs or not (re.match(r"\w+://", programs) or may_write(Path(programs))):
        lost.append(f"jax's programs (set {PROGRAMS_VARIABLE})")
    if Path(os.environ.get(KERNELS_VARIABLE, "")).name.startswith(OWN_KERNELS):
        lost.append(f"numba's kernels (set {KERNELS_VARIABLE})")
    if not lost:
        return Finding(place, "compiled code", "ok", f"kept in {programs}")
    advice = "set it to a folder of yours that all nodes see, or make the home writable"
    text = f"no folder keeps {' and '.join(lost)}: each run compiles anew"
    return Finding(place, "compiled code", "note", text, advice)


def _check_tls(place: str) -> list[Finding]:
    """Check that keys can be made and used, without which no cluster is opened safely."""
    from distributed import Security

    try:
        Security.temporary().get_connection_args("client")
        found = f"{ssl.OPENSSL_VERSION}, cryptography {version('cryptography')}"
    except (ImportError, OSError, ValueError, RuntimeError) as error:
        text = f"no key and certificate can be made: {' '.join(str(error).split())[:200]}"
        advice = (
            "pip install --force-reinstall cryptography, see that TMPDIR can be written; or set "
            "tls: false in the cluster file, on a machine that is yours alone"
        )
        return [Finding(place, "TLS", "wrong", text, advice, needed_to_start=True)]
    return [Finding(place, "TLS", "ok", found)]


def image_fault(python: str | None) -> tuple[str, str] | None:
    """Return what is wrong with the Apptainer image in a site's ``python``, and what to do.

    Whether the nodes see an image is theirs to say; that it is not here is worth a look.
    """
    words = os.path.expandvars(python or "").replace("~/", f"{Path.home()}/").split()
    for image in (word for word in words if word.endswith(".sif") and "$" not in word):
        if not Path(image).is_absolute():
            wrong = f"{image} is looked for in the folder that each job starts in"
            return wrong, "give the image's full path in python of the cluster file"
        if not Path(image).is_file():
            return f"no file {image} here", "put the image there, on a disk that all nodes see"
    return None


def _note_open_files(place: str) -> list[Finding]:
    """Tell that a map of many tiles may need more open files than the system allows."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most == resource.RLIM_INFINITY or most >= _FEW_FILES:
        return []
    text = f"at most {most} at a time; a class map of many tiles may need more"
    return [Finding(place, "open files", "note", text, "ask for a higher hard limit (ulimit -Hn)")]


def _note_variables(place: str) -> list[Finding]:
    """Tell which variables are left out."""
    foreign = dict(IGNORED_VARIABLES)
    missing = foreign.pop("TMPDIR", None)
    notes = []
    if missing:
        text = f"TMPDIR={missing} does not exist; {tempfile.gettempdir()} is used"
        advice = "make the folder or set TMPDIR to one on the node's own disk"
        notes.append(Finding(place, "temporary files", "note", text, advice))
    if not foreign:
        return notes
    found = ", ".join(f"{name}={value}" for name, value in foreign.items())
    text = f"{found} of another installation ignored; rasterio and pyproj bring their own data"
    return [*notes, Finding(place, "GDAL and PROJ data", "note", text, "nothing need be done")]


def _check_scratch(place: str, folder: Path) -> Finding:
    """Check that spilled data finds room, and how fast it gets there."""
    advice = "set scratch in the cluster file to a folder on the node's own disk"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(folder).free
        speed = _write_speed(folder, min(_PROBE, free // 4))
    except OSError as error:
        text = f"{folder} cannot be used: {error.strerror}"
        return Finding(place, "scratch", "wrong", text, advice, needed_to_start=place == "here")
    text = f"{folder}: {free / _GIB:.0f} GiB free, written at {speed / 1e6:,.0f} MB/s"
    if free < _LEAST_SCRATCH:
        return Finding(place, "scratch", "wrong", text, f"free some room, or {advice}")
    slow = speed < _SLOW_DISK
    return Finding(place, "scratch", "note" if slow else "ok", text, advice if slow else "")


def _write_speed(folder: Path, size: int) -> float:
    """Write and flush a file; return bytes per second."""
    with tempfile.NamedTemporaryFile(dir=folder) as file:
        started = time.perf_counter()
        file.write(os.urandom(1024**2) * max(size // 1024**2, 1))
        file.flush()
        os.fsync(file.fileno())
        return file.tell() / (time.perf_counter() - started)
