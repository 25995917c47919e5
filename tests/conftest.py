"""Fixtures and run-time checks that all tests share."""

import atexit
import builtins
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import dask.config
import jaxtyping
import pytest
from hypothesis import settings

from tests.cases import shapes

# Strict promotion turns silent float64 or broadcast mistakes in our kernels into errors. Set in
# the environment so that worker processes which the tests start inherit it.
os.environ.setdefault("JAX_NUMPY_DTYPE_PROMOTION", "strict")
os.environ.setdefault("JAX_NUMPY_RANK_PROMOTION", "raise")
os.environ.setdefault("JAX_PLATFORMS", "cpu")

# What XLA compiles for one test serves the others, also those in other processes. The folder goes
# with the tests, so that they find nothing that an earlier run compiled.
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    _programs = tempfile.mkdtemp(prefix="osm4eo-xr-programs-")
    atexit.register(shutil.rmtree, _programs, ignore_errors=True)
    os.environ["JAX_COMPILATION_CACHE_DIR"] = _programs
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")

# Numeric cores state their shapes in jaxtyping annotations; the tests check them at run time, in
# every module that states them.
_PACKAGE = Path(__file__).parents[1] / "osm4eo_xr"
CHECKED_MODULES = sorted(
    ".".join(("osm4eo_xr", *path.relative_to(_PACKAGE).with_suffix("").parts))
    for path in _PACKAGE.rglob("*.py")
    if "from jaxtyping import" in path.read_text()
)
# The modules import jaxtyping for type checkers alone; here its names resolve from anywhere.
for name in shapes.KINDS:
    setattr(builtins, name, getattr(jaxtyping, name))
shapes.check_kernels()
jaxtyping.install_import_hook(CHECKED_MODULES, f"{shapes.__name__}.check_shapes")

settings.register_profile("default", deadline=None, print_blob=True)
settings.load_profile("default")


def _refuse(*_args: object, **_kwargs: object) -> NoReturn:
    pytest.fail("something was computed where only a graph should be built")


@pytest.fixture(autouse=True, scope="module")
def _forget_programs() -> Iterator[None]:
    """Let go of what jax compiled for a file's tests; a process held gigabytes at the end."""
    yield
    if "jax" in sys.modules:
        sys.modules["jax"].clear_caches()


@pytest.fixture
def no_compute() -> Iterator[None]:
    """Fail the test when dask computes anything."""
    with dask.config.set(scheduler=_refuse):
        yield


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Folder of real test data, named by OSM4EO_XR_DATA."""
    value = os.environ.get("OSM4EO_XR_DATA")
    if not value or not Path(value).is_dir():
        pytest.skip("real test data not found: set OSM4EO_XR_DATA to its folder")
    return Path(value)
