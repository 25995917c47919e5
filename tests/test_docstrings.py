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
