"""The documentation says what is so: names, commands, keys, examples and links."""

import ast
import inspect
import re
import shlex
import sys
import tomllib
from functools import cache
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import osm4eo_xr as oxr
from osm4eo_xr.cluster.site_file import load_site
from osm4eo_xr.country.settings import CountrySettings
from osm4eo_xr.legend import legend_from_dict
from osm4eo_xr.settings_io import build

PACKAGE = Path(oxr.__file__).parent
ROOT = PACKAGE.parent
DOCS = ROOT / "docs"
WRITTEN = sorted(DOCS.rglob("*.md"))
CONTENTS = DOCS / "reference" / "index.md"
"""The page that says which pages are made from the code; it alone links to them."""
TEXTS = [*WRITTEN, ROOT / "README.md", ROOT / "cluster" / "README.md"]

# A part of a country file is read together with what every country file needs.
LEAST = {"name": "Havelland", "scenes": [{"files": "tiles/*.tif"}], "labels": {"osm": "a.osm.pbf"}}
SEARCHED = {"boundary": {"country": "Liechtenstein"}}

pytestmark = pytest.mark.skipif(not DOCS.is_dir(), reason="only a checkout has docs/")


@cache
def _generate() -> Any:
    spec = spec_from_file_location("docs_generate", DOCS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def _blocks(language: str) -> list[Any]:
    """Return each fenced block of a language with where it stands."""
    blocks = []
    for path in TEXTS:
        text = path.read_text()
        for found in re.finditer(
            rf"^( *)```{language}\n(.*?)^ *```", text, re.DOTALL | re.MULTILINE
        ):
            line = text[: found.start()].count("\n") + 1
            block = "".join(part[len(found[1]) :] for part in found[2].splitlines(keepends=True))
            blocks.append(pytest.param(block, id=f"{path.relative_to(ROOT)}:{line}"))
    return blocks


def test_reference_has_every_public_name_once() -> None:
    listed = [
        name
        for page in (DOCS / "reference").glob("*.md")
        for name in re.findall(r"^::: osm4eo_xr\.(\w+)$", page.read_text(), re.MULTILINE)
    ]
    assert sorted(listed) == sorted(oxr.__all__)


def test_pages_of_commands_and_keys_are_whole() -> None:
    generate = _generate()
    commands, page = dict(generate.commands()), generate.commands_page()
    assert {"osm4eo-xr run", "osm4eo-xr models list"} <= {*commands}
    for name, command in commands.items():
        section = page.partition(f"## {name}\n")[2].partition("\n## ")[0]
        options = [option for p in command.params for option in p.opts if option.startswith("--")]
        assert section
        assert all(option in section for option in options), name
    keys = generate.settings_page()
    assert all(f"| `{key}` |" in keys for key in ("search", "seed", "min_area", "learning_rate"))
    assert keys.count("| `seed` |") == 1  # at the top; in [train] it is refused
    tables = re.findall(r"^\| `\w+` \|.*$", keys + generate.site_page(), re.MULTILINE)
    untold = [row for row in tables if row.endswith("|  |")]
    assert len(tables) > 100
    assert not untold


@pytest.mark.parametrize("block", _blocks("sh"))
def test_commands_are_what_the_command_line_takes(block: str) -> None:
    for line in block.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        starts = [i for i, word in enumerate(words) if Path(word).name == "osm4eo-xr"]
        for start in starts:
            given = words[start + 1 :]
            ends = [i for i, word in enumerate(given) if word in {"&&", "|", ";", "&"}]
            _parse(dict(_generate().commands())["osm4eo-xr"], given[: ends[0]] if ends else given)


@pytest.mark.parametrize("block", _blocks("sh"))
def test_commands_fit_between_the_lists_of_a_page(block: str, request: Any) -> None:
    """A browser breaks longer ones anywhere, and cuts --cross after its dashes."""
    if not request.node.callspec.id.startswith("README.md"):  # its test command is read by .ci/run
        assert [line for line in block.splitlines() if len(line) > 86] == []


def _parse(command: Any, given: list[str]) -> None:
    """Parse arguments as the command line does, without running anything."""
    if {"-h", "--version", "--install-completion"} & {*given}:
        return  # these end the process when they are parsed
    context = command.make_context("docs", given)
    if hasattr(command, "commands"):
        name, *rest = [*context._protected_args, *context.args]
        _parse(command.commands[name], rest)


@pytest.mark.parametrize("block", _blocks("toml"))
def test_toml_examples_are_read(block: str) -> None:
    table = tomllib.loads(block)
    if "class" in table:
        legend_from_dict(table, source="docs")
        return
    searched = any("search" in scene for scene in table.get("scenes", []) if "files" not in scene)
    build(CountrySettings, LEAST | (SEARCHED if searched else {}) | table, "docs")


@pytest.mark.parametrize("block", _blocks("yaml"))
def test_site_files_are_read(block: str, tmp_path: Path) -> None:
    site = tmp_path / "my-cluster.yaml"
    site.write_text(block)
    assert load_site(site).name == "my-cluster"


@pytest.mark.parametrize("block", _blocks("python"))
def test_python_examples_call_what_exists(block: str) -> None:
    for node in ast.walk(ast.parse(block)):
        name = _public_name(node)
        assert name is None or name in oxr.__all__
        if isinstance(node, ast.Call) and (called := _public_name(node.func)):
            keywords = {k.arg: None for k in node.keywords if k.arg}
            signature = inspect.signature(getattr(oxr, called))
            if not any(isinstance(a, ast.Starred) for a in node.args):
                signature.bind(*node.args, **keywords)


def _public_name(node: ast.AST) -> str | None:
    """Return the name in ``oxr.name``."""
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return node.attr if node.value.id == "oxr" else None
    return None


def test_links_lead_to_pages_and_files() -> None:
    generate = _generate()
    copied = {ROOT / source for source in generate.COPIED.values()}
    assert all(source.is_file() for source in copied)
    apart = {path for path in TEXTS if path not in WRITTEN}  # no pages of docs/
    broken = [
        f"{path.relative_to(ROOT)}: {target}"
        for path in TEXTS
        for target in _links(path)
        for place in [(path.parent / target).resolve()]
        if not (path == CONTENTS and place in {DOCS / page for page in generate.PAGES})
        and not (place in copied or (place.exists() and (path in apart or DOCS in place.parents)))
    ]
    assert not broken


def test_each_page_is_linked_from_another() -> None:
    linked = {(path.parent / link).resolve() for path in TEXTS for link in _links(path)}
    made = {DOCS / place for place in _generate().PAGES}
    copied = {ROOT / source for place, source in _generate().COPIED.items() if "/" in source}
    pages = {*WRITTEN, *made, *copied} - {DOCS / "index.md"}
    assert sorted(str(p) for p in pages - linked if p.suffix == ".md") == []


def test_links_to_the_checkout_lead_to_pages_of_the_site() -> None:
    page = SimpleNamespace(file=SimpleNamespace(src_uri="how-to/slurm.md"))
    text = "[a](../../cluster/README.md) [b](gpus.md) [c](../../ARCHITECTURE.md#folders)"
    led = "[a](clusters.md) [b](gpus.md) [c](../development/architecture.md#folders)"
    assert _generate().on_page_markdown(text, page) == led


def _links(path: Path) -> list[str]:
    """Return what a page links to, without other sites."""
    found = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", path.read_text())
    return [target for target in found if not target.startswith("http")]


def _exists(name: str, sources: str) -> bool:
    """Whether a file, folder, module or name that a page speaks of is there."""
    if re.search(r"[A-Z]{4}|[:*\s\[]", name) or name.startswith(("-", ".", "osm4eo-")):
        return True  # a place to fill in, a command, an option, a key
    if "/" in name or name.endswith((".py", ".toml", ".md", ".yml")):
        beside = [*PACKAGE.rglob(name), *(ROOT / "tests").rglob(name)] if "/" not in name else []
        return bool(beside) or (ROOT / name).exists() or (PACKAGE / name).exists()
    folder, _, rest = name.partition(".")
    if not rest or not (PACKAGE / folder).is_dir():
        return all(re.search(rf"\b{part}\b", sources) for part in re.findall(r"\w+", name))
    path, parts = PACKAGE / folder, rest.split(".")
    while parts and (path / parts[0]).is_dir():
        path /= parts.pop(0)
    file = path / f"{parts.pop(0)}.py" if parts else path / "__init__.py"
    defined = file.read_text() if file.is_file() else ""
    return file.is_file() and all(re.search(rf"\b(def|class) {p}\b", defined) for p in parts)


@pytest.mark.parametrize("page", ["ARCHITECTURE.md", "CONTRIBUTING.md"])
def test_what_the_next_engineer_is_sent_to_exists(page: str) -> None:
    files = [*PACKAGE.rglob("*.py"), *(ROOT / "tests").rglob("*.py"), ROOT / "pyproject.toml"]
    files.append(ROOT / "mkdocs.yml")
    sources = "\n".join(file.read_text(encoding="utf-8") for file in files)
    text = re.sub(r"```.*?```", "", (ROOT / page).read_text(encoding="utf-8"), flags=re.DOTALL)
    named = set(re.findall(r"`([^`]+)`", text))
    assert len(named) > 50
    assert {name for name in named if not _exists(name, sources)} == set()
