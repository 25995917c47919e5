"""The node a process runs on: what its environment would break, put right before it is read.

Runs with the package's import, before GDAL, PROJ, numba and jax are loaded, and imports none of
them.
"""

import os
import resource
from importlib.util import find_spec
from pathlib import Path

IGNORED_VARIABLES: dict[str, str] = {}
"""Variables of another GDAL or PROJ that this process leaves out, and what they said."""

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
    """Leave out variables that point to another installation's data, if ours has its own.

    Processes that this one starts inherit it.
    """
    for name, needed in _FOREIGN.items():
        if name in os.environ and all(_has(wheel, path) for wheel, path in needed.items()):
            IGNORED_VARIABLES[name] = os.environ.pop(name)


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


def _has(package: str, path: str) -> bool:
    spec = find_spec(package)
    folders = spec.submodule_search_locations if spec else None
    return any(Path(folder, path).exists() for folder in folders or ())
