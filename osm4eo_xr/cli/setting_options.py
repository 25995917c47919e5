"""Options of a command that are the fields of a settings class, with the help of its docstring."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import re
import typing
from collections.abc import Callable
from typing import Annotated, Any, Literal

import typer

from osm4eo_xr.cli.given import is_given
from osm4eo_xr.settings_text import PRESET, Presets, field_texts, presets_of

_CONTEXT = "context"


def with_settings(settings: type) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command an option per field of a frozen dataclass, in place of one ``settings``.

    The command takes ``settings``, keyword only; on the command line stand the class's fields, with
    their types and defaults, and the first sentence that its docstring says of each. Where the
    class has presets, ``--preset`` names one, and the options that are given change it.
    """
    presets = presets_of(settings)

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        own = inspect.signature(command, eval_str=True).parameters.values()
        kept, options = [p for p in own if p.name != "settings"], _options(settings)
        names = [o.name for o in options]
        if presets:
            options = [*_context_and_preset(presets), *options]

        @functools.wraps(command)
        def parsed(**values: Any) -> None:
            chosen = {name: values.pop(name) for name in names}
            if presets:
                context: typer.Context = values.pop(_CONTEXT)
                given = {k: v for k, v in chosen.items() if is_given(context, k)}
                chosen = presets.changed(values.pop(PRESET), given)
            command(**values, settings=settings(**chosen))

        signature = inspect.Signature([*kept, *options])
        parsed.__signature__ = signature  # pyright: ignore[reportAttributeAccessIssue]
        parsed.__annotations__ = {p.name: p.annotation for p in [*kept, *options]}
        del parsed.__wrapped__  # or its signature would be read
        return parsed

    return decorate


def _context_and_preset(presets: Presets) -> list[inspect.Parameter]:
    """Return a parameter for the context, which knows what was given, and one for the preset."""
    names: Any = Literal[tuple(presets.names)]
    how: Any = {"kind": inspect.Parameter.KEYWORD_ONLY}
    option = Annotated[names, typer.Option(help=presets.text)]
    return [
        inspect.Parameter(_CONTEXT, annotation=typer.Context, **how),
        inspect.Parameter(PRESET, default=presets.names[0], annotation=option, **how),
    ]


def _options(settings: type) -> list[inspect.Parameter]:
    """Return a parameter per field."""
    hints, said = typing.get_type_hints(settings), _help(settings)
    return [
        inspect.Parameter(
            f.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=f.default,
            annotation=Annotated[hints[f.name], typer.Option(help=said.get(f.name, ""))],
        )
        for f in dataclasses.fields(settings)
    ]


def _help(settings: type) -> dict[str, str]:
    """Return the first sentence about each field in a class's docstring."""
    texts = field_texts(settings).items()
    return {name: re.split(r"(?<=\.)\s", said)[0] for name, said in texts}
