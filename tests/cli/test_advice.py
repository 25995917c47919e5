"""Advice names what the command or function has: options, keys of a country file, arguments."""

import ast
import inspect
import re
from collections.abc import Iterator
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

import osm4eo_xr as oxr
from osm4eo_xr.cli.app import app
from osm4eo_xr.cli.console import show_warning
from osm4eo_xr.cli.failures import report_failure
from osm4eo_xr.cli.spelling import COUNTRY_KEYS, Spelling
from osm4eo_xr.country.scenes.settings import SceneFiles
from osm4eo_xr.country.settings import Boundary, Reference
from osm4eo_xr.errors import InputError, InputWarning

PACKAGE = Path(oxr.__file__).parent
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]+")
ADVISED = re.compile(r"\b(?:pass|give|with|or|leave) \{([a-z_.]+)[=}]")
OF_OTHERS = ("pip ", "squeue ", "--shm-size", "--gres", "--lifetime", "--preload", "--dashboard-")
OF_OTHERS += ("--resources", "--gpus")


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def texts(path: Path) -> Iterator[str]:
    """Yield the texts of a module, without its docstrings."""
    tree = tree_of(path)
    said = {id(n.value) for n in ast.walk(tree) if isinstance(n, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in said:
            yield node.value


@cache
def commands() -> dict[str, Any]:
    top: Any = get_command(app)
    found = dict(top.commands)
    found |= {f"models {name}": c for name, c in found.pop("models").commands.items()}
    return found


def options(command: Any) -> set[str]:
    return {o for p in command.params for o in p.opts if o.startswith("--")}


@cache
def advised() -> set[str]:
    """Return the parameters that the package's advice names in braces."""
    names = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                names |= set(ADVISED.findall(node.value))
    return names


def test_only_the_command_line_writes_options() -> None:
    for path in PACKAGE.rglob("*.py"):
        if PACKAGE / "cli" in path.parents:
            continue
        for text in texts(path):
            if OPTION.search(text) and not any(other in text for other in OF_OTHERS):
                called = re.search(r"osm4eo-xr ([a-z-]+) (--[a-z-]+)", text)
                assert called, (path, text)
                assert called[2] in options(commands()[called[1]]), (path, text)


def test_what_the_command_line_writes_are_options_of_a_command_of_the_module() -> None:
    before = {"--help", *options(get_command(app))}  # what stands before any command
    for path in (PACKAGE / "cli").rglob("*.py"):
        name = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
        own = [c for c in commands().values() if inspect.unwrap(c.callback).__module__ == name]
        known = before.union(*map(options, own or commands().values()))
        for text in texts(path):
            assert set(OPTION.findall(text)) <= known, (path, text)


def test_help_names_options_of_its_own_command() -> None:
    for name, command in commands().items():
        for parameter in command.params:
            said = set(OPTION.findall(getattr(parameter, "help", "") or ""))
            assert said <= options(command), (name, parameter.name)


def test_what_advice_names_is_a_parameter_of_a_public_function() -> None:
    public = [getattr(oxr, name) for name in oxr.__all__]
    known = {p for f in public if callable(f) for p in inspect.signature(f).parameters}
    assert len(advised()) > 8
    assert {name.rpartition(".")[2] for name in advised()} <= known


def test_commands_that_read_vector_files_let_a_layer_be_named() -> None:
    for name, command in commands().items():
        for file in {"--boundary", "--points"} & options(command):
            assert f"{file}-layer" in options(command), name


def test_keys_of_the_country_file_are_its_settings() -> None:
    tables = {"[[scenes]]": SceneFiles, "[boundary]": Boundary, "[accuracy]": Reference}
    for name, table in COUNTRY_KEYS.items():
        assert name.rpartition(".")[2] in {f.name for f in fields(tables[table])}


@pytest.mark.parametrize(
    ("line", "name", "value", "spelled"),
    [
        ("classify a.tif --model m", "offset", "-0.1", "--offset -0.1"),
        ("classify a.tif --model m", "names", "", "names= from Python"),
        ("run c.toml", "offset", "-0.1", "offset = -0.1 in [[scenes]]"),
        ("run c.toml", "boundary.layer", "", "layer in [boundary]"),
        ("run c.toml", "skip_unreadable", "True", "skip_unreadable = true in [[scenes]]"),
        ("composite i.json", "skip_unreadable", "True", "--skip-unreadable"),
        ("run c.toml", "allow_missing", "True", "allow_missing=True from Python"),
        ("mosaic a.tif", "boundary.layer", "", "--boundary-layer"),
        ("composite i.json", "scale", "1", "--scale 1"),
        ("sieve a.tif", "scale", "", "scale= from Python"),
        ("--quiet classify a.tif", "offset", "-0.1", "--offset -0.1"),
        ("--threads 1 --memory=4GB classify a.tif", "offset", "0", "--offset 0"),
        ("--log-file run --quiet run c.toml", "offset", "0", "offset = 0 in [[scenes]]"),
        ("--threads", "offset", "0", "offset=0 from Python"),
    ],
)
def test_a_parameter_is_spelled_as_the_command_has_it(
    line: str, name: str, value: str, spelled: str
) -> None:
    assert Spelling(app, line.split())(name, value) == spelled


def test_errors_and_warnings_are_told_in_the_commands_words(
    capsys: pytest.CaptureFixture[str],
) -> None:
    spell = Spelling(app, ["classify", "a.tif"])
    error = InputError("a {b}", expected="{c}", advice="pass {offset=0}")
    assert report_failure(error.within("x"), spell) == 1
    assert capsys.readouterr().err == "error: x: a {b}; expected {c}; pass --offset 0\n"
    show_warning(InputWarning(error), InputWarning, spell=spell)
    assert capsys.readouterr().err == "note: a {b}; expected {c}; pass --offset 0\n"
    assert str(InputWarning(error)) == "a {b}; expected {c}; pass offset=0"
