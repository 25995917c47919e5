"""Recipes of images and packages say what the project says; what starts in an image does start."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from rattler_build import Stage0Recipe

import osm4eo_xr
from osm4eo_xr.cluster.job_scripts import job_scripts
from osm4eo_xr.cluster.site_file import load_site

ROOT = Path(osm4eo_xr.__file__).parent.parent
RECIPE = ROOT / ".ci" / "conda" / "recipe.yaml"

pytestmark = pytest.mark.skipif(
    not (ROOT / "cluster" / "Containerfile").is_file(), reason="only a checkout has cluster/"
)

RENAMED = {  # what conda calls differently, or parts
    "dask": "dask-core",
    "geopandas": "geopandas-base",
    "matplotlib": "matplotlib-base",
    "osmium": "pyosmium",
}
CONDA_ALONE = {"distributed", "pyogrio", "python", "__linux"}


def start(tmp_path: Path, *arguments: str, **variables: str) -> str:
    """Run ``osm4eo-python`` as in an image and return what it prints."""
    there = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path / "home"),
        "OSM4EO_IMAGE_CACHE": str(tmp_path / "image"),
        "OSM4EO_IMAGE_PYTHON": sys.executable,
    }
    command = [str(ROOT / "cluster" / "osm4eo-python"), *arguments]
    return subprocess.run(
        command, env=there | variables, capture_output=True, text=True, check=True
    ).stdout


def test_caches_of_an_image_become_the_users_own_once(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "image" / "numba").mkdir(parents=True)
    (tmp_path / "image" / "numba" / "kernel").write_text("compiled")
    show = ("-c", "import os; print(os.environ['XDG_CACHE_HOME'], os.environ['NUMBA_CACHE_DIR'])")
    cache, kernels = start(tmp_path, *show).split()
    assert cache == str(tmp_path / "home" / ".cache" / "osm4eo-image")
    kept = Path(kernels) / "kernel"
    assert kept.read_text() == "compiled"
    kept.write_text("compiled here")
    start(tmp_path, *show)
    assert kept.read_text() == "compiled here"
    named = str(tmp_path / "named")
    assert start(tmp_path, *show, XDG_CACHE_HOME=named).split()[0] == named


def test_workers_of_the_site_start_inside_the_image() -> None:
    script = job_scripts(load_site("slurm-apptainer"))["gpu"]  # type: ignore[arg-type]
    line = next(text for text in script.splitlines() if "apptainer exec" in text)
    assert re.match(r"apptainer exec --nv \S+\.sif osm4eo-python -m \S*dask", line)


def test_images_install_extras_that_exist() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for name, pattern in (("Containerfile", r"EXTRAS=(\S+)"), ("osm4eo-xr.def", r"/src\[(\S+)\]")):
        asked = re.search(pattern, (ROOT / "cluster" / name).read_text())
        assert asked is not None
        assert set(asked[1].split(",")) <= project["optional-dependencies"].keys()


def test_conda_recipe_asks_for_what_the_project_asks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    recipe = yaml.safe_load(RECIPE.read_text())
    wanted = {}
    for requirement in project["dependencies"]:
        found = re.match(r"([\w-]+)(?:\[[^]]*\])?>=([\d.]+)", requirement)
        assert found is not None, requirement
        wanted[RENAMED.get(found[1], found[1])] = found[2]
    stated = dict(line.partition(" ")[::2] for line in recipe["requirements"]["run"])
    assert stated.keys() - wanted.keys() == CONDA_ALONE
    assert {n: v.removeprefix(">=") for n, v in stated.items() if n in wanted} == wanted
    assert recipe["context"]["version"] == osm4eo_xr.__version__
    least = project["requires-python"].removeprefix(">=")
    assert recipe["context"]["python_min"] == least


def test_conda_recipe_is_one_that_rattler_build_renders() -> None:
    """Its parser refuses unknown keys, versions that are none, and licenses that SPDX lacks."""
    (made,) = Stage0Recipe.from_yaml(RECIPE.read_text()).render()
    recipe = made.recipe.to_dict()
    assert recipe["package"] == {"name": "osm4eo-xr", "version": osm4eo_xr.__version__}
    assert recipe["build"]["noarch"] == "python"
    assert "${{" not in str(recipe["requirements"])
