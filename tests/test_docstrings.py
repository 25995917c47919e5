"""Examples in docstrings are run, so that what a reader copies works."""

import doctest
from importlib import import_module
from pathlib import Path

import pytest

import osm4eo_xr

ROOT = Path(osm4eo_xr.__file__).parent
WITH_EXAMPLES = sorted(
    ".".join(("osm4eo_xr", *path.relative_to(ROOT).with_suffix("").parts))
    for path in ROOT.rglob("*.py")
    if ">>> " in path.read_text()
)


@pytest.mark.parametrize("module", WITH_EXAMPLES)
def test_examples_give_what_they_say(
    module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = doctest.testmod(import_module(module))
    assert result.failed == 0


def test_each_public_name_has_an_example_that_is_run() -> None:
    named = set(osm4eo_xr.__all__) - {"__version__"}
    assert {n for n in named if ">>> " not in (getattr(osm4eo_xr, n).__doc__ or "")} == set()
