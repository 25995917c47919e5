"""What pyproject.toml declares is what the package imports, and what is missing is told."""

import ast
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

import osm4eo_xr

pytestmark = pytest.mark.steps

SOURCE = Path(osm4eo_xr.__file__).parent
PROJECT = SOURCE.parent / "pyproject.toml"
MOST = 24
ENGINES = {"zarr", "cryptography"}  # xarray opens stores, distributed makes keys with them

EXTRAS = {
    "batch": {"dask-jobqueue"},
    "forest": {"scikit-learn"},
    "keras": {"h5py"},
    "netcdf": {"h5netcdf"},
    "odc": {"odc-stac", "pystac"},
    "onnx": {"onnx", "onnxruntime"},
    "s2cloudless": {"s2cloudless"},
    "search": {"pystac-client", "urllib3"},
    "tensorboard": {"tensorboardx"},
}
"""The packages that one step alone needs."""

NAMESPACES = {"odc.geo": "odc-geo", "odc.stac": "odc-stac"}


def project() -> dict:
    if not PROJECT.is_file():
        pytest.skip("an installed package has no pyproject.toml")
    return tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[\[<>=!~ ]", r, maxsplit=1)[0].casefold() for r in requirements}


def mandatory_of(stated: dict) -> set[str]:
    """Return what the plain installation declares; dask's extra of that name pins distributed."""
    dask = next(r for r in stated["dependencies"] if r.startswith("dask["))
    pinned = {"distributed"} & set(dask.partition("]")[0].partition("[")[2].split(","))
    return names(stated["dependencies"]) | pinned


def imported(tree: ast.AST) -> set[str]:
    """Return the modules that a file imports when it runs, not those for type checkers."""
    found: set[str] = set()
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add(str(node.module))
        else:
            found |= imported(node)
    return found


@cache
def installed() -> Mapping[str, list[str]]:
    """Return the distributions of each top-level module; listing them reads all their files."""
    return packages_distributions()


def distribution(module: str) -> str:
    for start, name in NAMESPACES.items():
        if f"{module}.".startswith(f"{start}."):
            return name
    top = module.partition(".")[0]
    found = [name.casefold().replace("_", "-") for name in installed().get(top, [])]
    assert found, f"{module} belongs to no installed package"
    return top if top in found else found[0]


def used() -> set[str]:
    modules: set[str] = set()
    for path in SOURCE.rglob("*.py"):
        modules |= imported(ast.parse(path.read_text(encoding="utf-8")))
    own = {*sys.stdlib_module_names, "osm4eo_xr"}
    return {distribution(m) for m in modules if m.partition(".")[0] not in own}


def test_what_is_imported_is_declared_and_nothing_else() -> None:
    stated = project()
    extras = set().union(*EXTRAS.values())
    mandatory = mandatory_of(stated)
    assert used() - extras | ENGINES == mandatory
    assert extras <= used()


def test_few_dependencies_are_mandatory_and_no_extra_repeats_them() -> None:
    stated = project()
    mandatory = mandatory_of(stated)
    assert len(stated["dependencies"]) <= MOST
    for extra, packages in EXTRAS.items():
        assert names(stated["optional-dependencies"][extra]) == packages
        assert not packages & mandatory


def test_no_version_is_bounded_from_above() -> None:
    assert not [r for r in project()["dependencies"] if "<" in r or "~=" in r]


def test_the_tests_install_every_extra() -> None:
    whole = next(
        r for r in project()["optional-dependencies"]["test"] if r.startswith("osm4eo-xr[")
    )
    assert set(whole.partition("[")[2].rstrip("]").split(",")) == set(EXTRAS)


STEPS = {
    "batch": "job_scripts.cluster_class(SlurmSite(cpu=JobWorkers()))",
    "forest": "oxr.random_forest_report(samples)",
    "keras": "oxr.import_keras(file)",
    "netcdf": "oxr.open_scene(f'{file}.nc')",
    "odc": "oxr.stack_items([item], grid, backend='odc')",
    "onnx": "worker._build(None, plan)",
    "s2cloudless": "detector.load_detector()",
    "search": "search.search_items(search.Query('cdse', date.min, date.max), None)",
}
"""What a user of each extra calls; TensorBoard's is left out with a hint."""

SCRIPT = """
import json, logging, sys
from datetime import date
from pathlib import Path
from types import SimpleNamespace

blocked, steps, file = json.loads(sys.argv[1])
sys.modules.update(dict.fromkeys(blocked))  # as if they were not installed
import xarray as xr
import osm4eo_xr as oxr
from osm4eo_xr.catalogs import search
from osm4eo_xr.cluster import job_scripts
from osm4eo_xr.cluster.site import JobWorkers, SlurmSite
from osm4eo_xr.imagery.clouds import detector
from osm4eo_xr.inference import worker
from osm4eo_xr.training.checkpoints import RunFolder

for name in oxr.__all__:
    getattr(oxr, name)
samples = xr.Dataset(attrs={'legend': json.dumps(oxr.default_legend().to_dict())})
grid = oxr.target_geobox((4e6, 3e6, 4.1e6, 3.1e6))
net = SimpleNamespace(fits_winograd=False, fits_onnx=True)
plan = SimpleNamespace(engine='onnx', dtype='float32', net=net, wants_features=False)
assets = {band: {'href': f'/{band}.tif'} for band in ('blue', 'green', 'red', 'nir')}
item = {'type': 'Feature', 'id': 'a', 'bbox': [-10, 30, 30, 70], 'geometry': None, 'links': [],
        'properties': {'datetime': '2019-08-20T00:00:00Z', 's2:processing_baseline': '02.09'},
        'assets': assets}
for extra, step in steps.items():
    try:
        eval(step)
    except oxr.InputError as error:
        print(extra, error)
logging.basicConfig(stream=sys.stdout, format='tensorboard %(message)s')
logging.getLogger('osm4eo_xr').setLevel(logging.INFO)  # as --verbose does
run = RunFolder(Path(f'{file}.run'), {})
for step in range(2):
    run.log(step, {'loss': 1.0})
"""
MODULES = {
    "scikit-learn": "sklearn",
    "tensorboardx": "tensorboardX",
    "odc-stac": "odc.stac",
    "pystac-client": "pystac_client",
    "dask-jobqueue": "dask_jobqueue",
}


def test_a_missing_extra_is_told_in_one_line_with_the_command_that_installs_it(
    tmp_path: Path,
) -> None:
    file = tmp_path / "any"
    for path in (file, Path(f"{file}.nc")):
        path.write_bytes(b"any")
    blocked = [MODULES.get(name, name) for packages in EXTRAS.values() for name in packages]
    told = json.dumps([blocked, STEPS, str(file)])
    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT, told], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    lines = ended.stdout.splitlines()
    assert [line.partition(" ")[0] for line in lines] == sorted(EXTRAS)
    for line, extra in zip(lines, sorted(EXTRAS), strict=True):
        assert f'not installed; pip install "osm4eo-xr[{extra}]"' in line
