"""How advice is spelled at the command line: an option, a key of the country file, or Python's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from osm4eo_xr.errors import as_argument

COUNTRY_KEYS = {
    "scale": "[[scenes]]",
    "offset": "[[scenes]]",
    "nodata": "[[scenes]]",
    "level": "[[scenes]]",
    "skip_unreadable": "[[scenes]]",
    "boundary.layer": "[boundary]",
    "points.layer": "[accuracy]",
}
"""The table of the country file in which a parameter is a key, as its last word."""


class Spelling:
    """Spells parameters as the command does that some words call.

    Parameters
    ----------
    app : Typer
        The command line.
    words : sequence of str
        What follows ``osm4eo-xr``.
    """

    def __init__(self, app: Any, words: Sequence[str]) -> None:
        self._app = app
        self._words = words

    def __call__(self, name: str, value: str) -> str:
        """Return the option, or else the key in the country file, or else Python's argument."""
        command = self._command()
        option = "--" + name.replace(".", "-").replace("_", "-")
        if option in {o for parameter in command.params for o in parameter.opts}:
            return option if value in ("", "True") else f"{option} {value}"
        if command.name == "run" and name == "legend":
            return "legend in the country file"
        if command.name == "run" and name in COUNTRY_KEYS:
            value = {"True": "true"}.get(value, value)  # as TOML writes it
            key = name.rpartition(".")[2]
            return (
                f"{key} = {value} in {COUNTRY_KEYS[name]}"
                if value
                else f"{key} in {COUNTRY_KEYS[name]}"
            )
        return f"{as_argument(name, value)} from Python"

    def _command(self) -> Any:
        """Return the command that the words call."""
        from typer.main import get_command

        command: Any = get_command(self._app)
        words = iter(self._words)
        for word in words:
            if word.startswith("-"):  # of all commands, ahead of the command's name
                if _takes_value(command, word):
                    next(words, None)
            elif word in getattr(command, "commands", {}):
                command = command.commands[word]
            else:
                break
        return command


def _takes_value(command: Any, word: str) -> bool:
    """Whether a word is an option whose value is the next word."""
    named = (p for p in command.params if word in (*p.opts, *p.secondary_opts))
    return any(not (p.is_flag or p.count) for p in named)
