"""The package as a whole: its public names, and modules that no name hides."""

import pkgutil
import subprocess
import sys

import pytest

import osm4eo_xr

pytestmark = pytest.mark.steps


def test_every_public_name_resolves() -> None:
    for name in osm4eo_xr.__all__:
        assert getattr(osm4eo_xr, name) is not None
    with pytest.raises(AttributeError, match="nonsense"):
        getattr(osm4eo_xr, "nonsense")  # noqa: B009 -- a type checker refuses the plain form


def test_no_module_bears_a_public_name() -> None:
    modules = [m.name for m in pkgutil.walk_packages(osm4eo_xr.__path__, "osm4eo_xr.")]
    assert len(modules) > 100
    assert not {m.rpartition(".")[2] for m in modules} & set(osm4eo_xr.__all__)


def test_importing_the_package_imports_no_heavy_library() -> None:
    script = (
        "import sys, osm4eo_xr\n"
        "heavy = {'jax', 'dask', 'numpy', 'rasterio', 'xarray', 'numba'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
