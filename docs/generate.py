"""Pages that nobody writes by hand: commands, keys of settings files, and texts of the root folder.

MkDocs calls ``on_files``, ``on_page_markdown`` and ``on_post_page`` (``hooks`` in ``mkdocs.yml``).
"""

from __future__ import annotations

import dataclasses
import os
import re
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import typer

from osm4eo_xr.cli.app import app
from osm4eo_xr.cluster.site import BatchSite, LocalSite
from osm4eo_xr.cluster.site_file import site_tables
from osm4eo_xr.country.settings import CountrySettings
from osm4eo_xr.country.settings_file import ELSEWHERE
from osm4eo_xr.settings_text import PRESET, field_texts, presets_of, table_of, toml_value

ROOT = Path(__file__).resolve().parent.parent

COPIED = {
    "notebooks/1_step_by_step.ipynb": "notebooks/1_step_by_step.ipynb",
    "notebooks/2_a_cluster_from_a_notebook.ipynb": "notebooks/2_a_cluster_from_a_notebook.ipynb",
    "notebooks/3_a_country.ipynb": "notebooks/3_a_country.ipynb",
    "notebooks/pictures/1_map.webp": "notebooks/pictures/1_map.webp",
    "notebooks/pictures/1_water.webp": "notebooks/pictures/1_water.webp",
    "notebooks/pictures/3_map.webp": "notebooks/pictures/3_map.webp",
    "how-to/clusters.md": "cluster/README.md",
    "development/architecture.md": "ARCHITECTURE.md",
    "development/contributing.md": "CONTRIBUTING.md",
    "changelog.md": "CHANGELOG.md",
    "map.png": "osm4eo_xr/demo/map.png",
}
"""Pages and pictures that are files elsewhere in the checkout."""

_LINK = re.compile(r"(?<=\]\()[^)#\s]+")
_PLAIN = {bool: "true or false", int: "whole number", float: "number", str: "text"}
_FOREIGN = re.compile(
    r"<(?:script|link|img|iframe)\b[^>]*\b(?:src|href)=[\"']?(?:https?:)?//[^>]*>"
)


def commands() -> Iterator[tuple[str, Any]]:
    """Yield the command line, then each command with its full name, in its order."""
    yield from _commands("osm4eo-xr", typer.main.get_command(app))


def _commands(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    if command.params or not hasattr(command, "commands"):
        yield name, command
    for part, inner in getattr(command, "commands", {}).items():
        yield from _commands(f"{name} {part}", inner)


def commands_page() -> str:
    """Return the page of the command line."""
    intro = """\
# Command line

`osm4eo-xr COMMAND -h` prints the same.

| exit code | meaning |
|---|---|
| 0 | done |
| 1 | input that cannot be used: one line says what was given, what was expected and what to do |
| 2 | wrong usage |
| 70 | an error that nobody foresaw |
| 130, 143 | ended by Ctrl-C, by SIGTERM |
"""
    return "\n".join([intro, *(_command_section(*item) for item in commands())])


def _command_section(name: str, command: Any) -> str:
    context = typer.Context(command, info_name=name)
    usage = " ".join(command.get_usage(context).removeprefix("Usage: ").split())
    rows = [p.get_help_record(context) for p in command.params]
    table = [f"| `{_one_line(given)}` | {_cell(text)} |" for given, text in filter(None, rows)]
    head = ["", "| argument or option | meaning |", "|---|---|"] if table else []
    return "\n".join([f"## {name}", "", command.help or "", "", f"`{usage}`", *head, *table, ""])


def settings_page() -> str:
    """Return the page of a country file's keys."""
    intro = """\
# Country file

Keys of the TOML file that `osm4eo-xr run` and [`run_country`][osm4eo_xr.run_country] read. Paths
are relative to the file. A single value stands for a list of one, and a key that does not exist is
refused together with the nearest that does. [How to make a country](../how-to/country.md) shows
whole files.
"""
    return "\n".join([intro, *_tables(CountrySettings, "Top of the file", "")])


def _tables(settings: type, title: str, about: str) -> Iterator[str]:
    """Yield the keys of a table, then those of the tables in it."""
    hints, texts, inner = typing.get_type_hints(settings), field_texts(settings), []
    rows = []
    if presets := presets_of(settings):
        names, text = Literal[tuple(presets.names)], _cell(presets.text)
        rows.append(f"| `{PRESET}` | {_takes(names)} | `{toml_value(presets.names[0])}` | {text} |")
    for field in dataclasses.fields(settings):
        table, many = table_of(hints[field.name])
        if f"{title.strip('`[]')}.{field.name}" in ELSEWHERE:
            continue
        if table is None:
            rows.append(_row(field, hints[field.name], texts.get(field.name, "")))
        else:
            inner.append((table, f"[[{field.name}]]" if many else f"[{field.name}]"))
    yield f"## {title}\n\n{about}"
    yield _key_table(rows)
    for table, name in inner:
        first = (table.__doc__ or "").strip().splitlines()[0]
        said = re.sub(r"^``\[.*?\]``[:.;]? ?", "", first)
        yield from _tables(table, f"`{name}`", said[:1].upper() + said[1:] + "\n" if said else "")


def site_page() -> str:
    """Return the page of a site file's keys."""
    intro = """\
# Site file

Keys of the YAML file that `--cluster` and [`open_cluster`][osm4eo_xr.open_cluster] read. `kind`
is `local`, `slurm`, `pbs` or `moab`; sizes are bytes or text such as `64 GB`, times are seconds or
text such as `"04:00:00"` or `5 min`. [Running on a cluster](../how-to/clusters.md) says how they
are used.
"""
    pages = [intro]
    for title, settings, keys in site_tables():
        hints = typing.get_type_hints(settings)
        tables = {"gpu", "cpu"} if settings in (LocalSite, BatchSite) else set()
        rows = [
            f"| `{f.name}` | a table, see below | — | {_cell(text)} |"
            if f.name in tables
            else _row(f, hints[f.name], text)
            for f, text in keys
        ]
        pages += [f"## {title}\n", _key_table(rows)]
    return "\n".join(pages)


def _key_table(rows: list[str]) -> str:
    return "\n".join(["| key | takes | default | meaning |", "|---|---|---|---|", *rows, ""])


def _row(field: Any, hint: Any, text: str) -> str:
    return f"| `{field.name}` | {_takes(hint)} | {_default(field)} | {_cell(text)} |"


def _takes(hint: Any) -> str:
    """Return in words what a field takes."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        return ", ".join(f"`{toml_value(a)}`" for a in args)
    if origin is tuple:
        return f"list of {_takes(args[0])}".replace("number", "numbers")
    if type(None) in args:
        return _takes(args[0])
    return _PLAIN.get(hint, "table of text")


def _default(field: Any) -> str:
    """Return a field's default as a file would state it."""
    value = field.default
    if value is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
        return "**required**"
    if value is dataclasses.MISSING or value is None or value in ("", ()):
        return "—"
    return f"`{toml_value(value)}`"


def _cell(text: str) -> str:
    """Return a docstring's text for a cell of a Markdown table."""
    code = re.sub(r"``([^`]+)``", r"`\1`", _one_line(text))
    return re.sub(r"\[(default|required)", r"\\[\1", code).replace("|", "\\|")


def _one_line(text: str) -> str:
    return " ".join(text.split())


PAGES = {
    "reference/commands.md": commands_page,
    "reference/country_file.md": settings_page,
    "reference/site_file.md": site_page,
}
"""Pages made from the code."""


def on_files(files: Any, config: Any) -> Any:
    """Add the generated pages and the copied files, before plugins look at the list."""
    from mkdocs.structure.files import File

    for place, make in PAGES.items():
        files.append(File.generated(config, place, content=make()))
    for place, source in COPIED.items():
        if (
            place == source
        ):  # a notebook, whose plugin asks for the folder that it lies in, or its picture
            urls = config.use_directory_urls
            files.append(File(place, str(ROOT), config.site_dir, use_directory_urls=urls))
        else:
            files.append(File.generated(config, place, abs_src_path=str(ROOT / source)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Lead links to files of the checkout to the pages that the site has of them.

    So a page's links hold where somebody reads it in the repository, too.
    """
    folder = (ROOT / "docs" / page.file.src_uri).parent
    pages = {(ROOT / source).resolve(): place for place, source in COPIED.items()}

    def led(link: re.Match[str]) -> str:
        place = pages.get((folder / link[0]).resolve())
        return os.path.relpath(ROOT / "docs" / place, folder) if place else link[0]

    return _LINK.sub(led, markdown)


on_files.mkdocs_priority = 100  # before the plugin that turns notebooks into pages


def on_post_page(output: str, page: Any, **_: Any) -> str:
    """Refuse a page whose view would fetch something from another machine."""
    from mkdocs.exceptions import PluginError

    if foreign := _FOREIGN.search(output):
        raise PluginError(f"{page.file.src_uri} asks another machine for {foreign[0]}")
    return output
