"""The node a process runs on: what its environment would break, put right before it is read.

Runs with the package's import, before GDAL, PROJ, numba and jax are loaded, and imports none of
them. What was loaded before is told as well.
"""

import hashlib
import logging
import os
import resource
import sys
from importlib.util import find_spec
from pathlib import Path

PROGRAMS_VARIABLE = "JAX_COMPILATION_CACHE_DIR"
"""Names the folder of the programs that jax compiled; empty for none."""

GPU_MEMORY_VARIABLE = "XLA_PYTHON_CLIENT_PREALLOCATE"
"""Says whether jax takes most of a GPU's memory at once."""

KERNELS_VARIABLE = "NUMBA_CACHE_DIR"
"""Names the folder of the kernels that numba compiled."""

IGNORED_VARIABLES: dict[str, str] = {}
"""Variables that this process leaves out, and what they said: of another GDAL or PROJ, and a
``TMPDIR`` that does not exist."""

_LEAST_ADDRESSES = 16 * 1024**3
_STARVED = (
    "failed to map segment",
    "shared object",
    "can't start new thread",
    "Cannot allocate memory",
    "RESOURCE_EXHAUSTED",
    "bad_alloc",
)
"""What libraries say when they get no memory, other than by a ``MemoryError``."""

_DRIVERS = ("/proc/driver/nvidia", "/dev/nvidiactl", "/dev/nvhost-gpu", "/dev/dxg")
"""What NVIDIA's driver makes on a node: of PCIe cards, of Jetsons, and of Windows for Linux."""

_CUDA = (12, 13)
"""Versions of CUDA that jax has wheels for."""

OWN_KERNELS = "osm4eo-xr-numba-"
"""How a folder of kernels begins that goes when its process ends."""

_MOST_FILES = 65536
"""Open files that a process asks for; some tools walk through all that are allowed."""

_PROJ_DATA = {
    "rasterio": "proj_data/proj.db",
    "pyogrio": "proj_data/proj.db",
    "pyproj": "proj_dir/share/proj/proj.db",
}
_GDAL_DATA = {"rasterio": "gdal_data", "pyogrio": "gdal_data"}
_FOREIGN = {"PROJ_DATA": _PROJ_DATA, "PROJ_LIB": _PROJ_DATA, "GDAL_DATA": _GDAL_DATA}


def prepare_environment() -> None:
    """Put right what GDAL, PROJ, numba and jax will read; processes started here inherit it."""
    _leave_out_foreign_data()
    _leave_out_missing_folder()
    _keep_programs()
    _keep_kernels()
    _share_gpus()
    _expect_no_driver()


def user_cache() -> Path | None:
    """Return the user's folder of caches, there or not yet; None without a home."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser())
    return folder if folder.is_absolute() else None


def may_write(folder: Path) -> bool:
    """Tell whether files can be made in a folder, or in it once it is made."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)


def _leave_out_foreign_data() -> None:
    """Leave out variables that point to another installation's data, if ours has its own."""
    for name, needed in _FOREIGN.items():
        if name in os.environ and all(_has(wheel, path) for wheel, path in needed.items()):
            IGNORED_VARIABLES[name] = os.environ.pop(name)


def _leave_out_missing_folder() -> None:
    """Leave out a folder of temporary files that is not there, and say so."""
    folder = os.environ.get("TMPDIR")
    if folder and not Path(folder).is_dir():
        IGNORED_VARIABLES["TMPDIR"] = os.environ.pop("TMPDIR")
        sys.stderr.write(
            f"note: TMPDIR={folder} does not exist; temporary files go to the system's folder, "
            f"mostly /tmp\n"
        )


def _keep_programs() -> None:
    """Let jax keep what it compiles below the user's cache folder, unless another is named.

    Nodes of several CPU types may share a home, and jax does not tell their programs apart, so each
    type has its folder; a folder of ours that a job inherits from the node it was sent from gives
    way to this node's.
    """
    cache = user_cache()
    ours = cache / "osm4eo_xr" / "jax" if cache else None
    named = os.environ.get(PROGRAMS_VARIABLE)
    if named is not None and Path(named).parent != ours:
        return
    os.environ.pop(PROGRAMS_VARIABLE, None)
    if ours is None or not may_write(ours):
        return
    settings = {
        PROGRAMS_VARIABLE: str(ours / cpu_type()),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": 0.0,
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": -1,
    }
    for name, value in settings.items():
        os.environ.setdefault(name, str(value))
        if "jax" in sys.modules:
            sys.modules["jax"].config.update(name.lower(), value)


def _share_gpus() -> None:
    """Let jax take a GPU's memory as it needs it: workers of this machine may use the same GPU."""
    os.environ.setdefault(GPU_MEMORY_VARIABLE, "false")  # read when jax first meets a GPU


def _expect_no_driver() -> None:
    """Keep jax from a traceback where its wheels for CUDA are on a node without NVIDIA's driver.

    An image has them on every node. Where CUDA is asked for, what jax raises says it too.
    """
    if not _has_driver():
        logging.getLogger("jax._src.xla_bridge").addFilter(_tells_more_than_no_driver)


def _has_driver() -> bool:
    return any(Path(place).exists() for place in _DRIVERS)


def _tells_more_than_no_driver(record: logging.LogRecord) -> bool:
    return "xla_cuda" not in record.getMessage()


def cpu_type() -> str:
    """Return a name for the kind of CPU here: equal names run each other's machine code."""
    told = []
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                if line.startswith(("model name", "flags", "Features", "CPU part")):
                    told.append(line)
                if not line.strip():
                    break
    except OSError:
        told.append(os.uname().nodename)
    digest = hashlib.sha256("".join(told).encode()).hexdigest()
    return f"{os.uname().machine}-{digest[:8]}"


def _keep_kernels() -> None:
    """Give numba a folder of this process's own where it finds none to write its kernels to."""
    beside, cache = Path(__file__).parents[1] / "sieving" / "__pycache__", user_cache()
    if _serves(os.environ.get(KERNELS_VARIABLE)) or may_write(beside):
        return
    if cache is not None and may_write(cache / "numba"):
        return
    import atexit
    import shutil
    import tempfile

    try:
        folder = tempfile.mkdtemp(prefix=OWN_KERNELS)
    except OSError:
        return
    os.environ[KERNELS_VARIABLE] = folder
    if "numba" in sys.modules:
        sys.modules["numba"].config.CACHE_DIR = folder
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    sys.stderr.write(
        f"note: kernels are compiled anew by each run: neither {beside} nor a cache folder of the "
        f"user can be written; set {KERNELS_VARIABLE} to a folder of yours\n"
    )


def _serves(kernels: str | None) -> bool:
    """Tell whether a named folder takes kernels; one of ours must be there and be this user's.

    A job inherits the name from the node it was sent from, and anyone may have made it here.
    """
    if not kernels or not may_write(Path(kernels)):
        return False
    folder = Path(kernels)
    mine = folder.is_dir() and folder.stat().st_uid == os.getuid()
    return mine or not folder.name.startswith(OWN_KERNELS)


def raise_open_files() -> int:
    """Raise this process's limit of open files as far as the system lets it; return the limit.

    A class map of many tiles keeps a file open per tile and thread.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return _MOST_FILES if soft == resource.RLIM_INFINITY else soft
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted


def explain(error: BaseException) -> str | None:
    """Return in a line what a node lacks, if an error of a library comes from that; else None."""
    if isinstance(error, RuntimeError | AssertionError) and _has_no_device():
        return (
            f"jax finds no device of JAX_PLATFORMS={os.environ.get('JAX_PLATFORMS')} here; set "
            f"JAX_PLATFORMS=cpu, or {_way_to_a_gpu()}; osm4eo-xr doctor says more"
        )
    if isinstance(error, UnicodeEncodeError) and error.reason.startswith("surrogates"):
        return (  # a name that Python itself could not decode
            f"a name beyond ASCII needs a locale of UTF-8, and this one is "
            f"{sys.getfilesystemencoding()}; set PYTHONUTF8=1 or LC_ALL=C.UTF-8"
        )
    starved = isinstance(error, MemoryError) or any(sign in str(error) for sign in _STARVED)
    if starved and (limit := address_limit()) is not None:
        return f"out of memory: {limit}"
    if isinstance(error, MemoryError):
        return "out of memory; use smaller chunks, fewer threads or a node with more memory"
    return None


def address_limit() -> str | None:
    """Return in a line that addresses are limited to less than a run reserves; None if not.

    jax, numba and GDAL reserve far more than they use, and some end the process when refused.
    """
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit == resource.RLIM_INFINITY or limit >= _LEAST_ADDRESSES:
        return None
    return (
        f"ulimit -v allows {limit / 1024**3:.1f} GiB of addresses, and a run reserves more than it "
        f"uses; set ulimit -v unlimited, or ask for 16 GiB or more in the batch job"
    )


def lacks_semaphores() -> str | None:
    """Return why no processes can be started that talk to each other, as without /dev/shm."""
    import multiprocessing

    try:
        multiprocessing.get_context("spawn").Lock()
    except OSError as error:
        return error.strerror or str(error)
    return None


SHARED_MEMORY_ADVICE = "mount /dev/shm (containers: --shm-size 1g, or --ipc host)"
"""What mends what ``lacks_semaphores`` says."""


def _way_to_a_gpu() -> str:
    if not any(find_spec(f"jax_cuda{version}_plugin") for version in _CUDA):
        return 'pip install "osm4eo-xr[cuda]" on a node with a GPU'
    if _has_driver():
        return "look why CUDA does not start"
    return "take a node with a GPU: this one has no driver of NVIDIA's, or lends none"


def _has_no_device() -> bool:
    """Tell whether jax, in use here, has no device of the platform that the user states."""
    if "jax" not in sys.modules or not os.environ.get("JAX_PLATFORMS"):
        return False
    try:
        sys.modules["jax"].devices()
    except (RuntimeError, AssertionError):
        return True
    return False


def _has(package: str, path: str) -> bool:
    spec = find_spec(package)
    folders = spec.submodule_search_locations if spec else None
    return any(Path(folder, path).exists() for folder in folders or ())
