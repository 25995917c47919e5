"""Options that stand on the command line, and those that do nothing there."""

from __future__ import annotations

from typing import NoReturn

import typer

from osm4eo_xr.errors import InputError


def is_given(context: typer.Context, name: str) -> bool:
    """Whether an option stands on the command line."""
    source = context.get_parameter_source(name)
    return source is not None and source.name != "DEFAULT"


def refuse_alone(option: str, other: str) -> NoReturn:
    """Refuse an option that does nothing without another."""
    name = option.partition(" ")[0]
    raise InputError(f"{option} without {other}", advice=f"add {other}, or leave {name} out")


def refuse_beside(option: str, other: str) -> NoReturn:
    """Refuse an option that does nothing beside another."""
    name = option.partition(" ")[0]
    raise InputError(f"{option} with {other}", advice=f"leave {name} or {other} out")


def refuse_given_alone(context: typer.Context, other: str, *names: str) -> None:
    """Refuse the first of a command's options that is given and does nothing without another."""
    for name in names:
        if is_given(context, name):
            refuse_alone(_as_given(context, name), other)


def refuse_given_beside(context: typer.Context, other: str, *names: str) -> None:
    """Refuse the first of a command's options that is given and does nothing beside another."""
    for name in names:
        if is_given(context, name):
            refuse_beside(_as_given(context, name), other)


def _as_given(context: typer.Context, name: str) -> str:
    """Return an option and its value; a flag alone."""
    option = next(p.opts[0] for p in context.command.params if p.name == name)
    value = context.params[name]
    words = value if isinstance(value, list | tuple) else [] if value is True else [value]
    return " ".join([option, *map(str, words)])
