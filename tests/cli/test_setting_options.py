"""Options that are the fields of a settings class, parsed as a command parses them."""

import dataclasses
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import pytest
import typer
from typer.main import get_command

from osm4eo_xr.cli.setting_options import with_settings
from osm4eo_xr.settings_text import Presets
from osm4eo_xr.training.fit import DEMO_SETTINGS
from osm4eo_xr.training.settings import TrainSettings
from tests.cases.commands import attempt


@dataclass(frozen=True)
class Kiln:
    """How pots are fired.

    Attributes
    ----------
    heat : float
        Degrees at the end. They are those of Celsius.
    cool_slowly : bool
        Whether the door stays shut.
    glaze : {"ash", "salt"}
        What makes it shine.
    """

    PRESETS: ClassVar[Presets] = Presets(
        "What is fired.", {"pots": {}, "tiles": {"heat": 1000.0, "cool_slowly": True}}
    )

    heat: float = 1200.0
    cool_slowly: bool = False
    glaze: Literal["ash", "salt"] = "ash"


def parsed(settings: type, *arguments: object) -> tuple[Any, list[int]]:
    """Return the settings that a command is called with, and its own argument."""
    called: list[Any] = []
    app = typer.Typer()

    @app.command()
    @with_settings(settings)
    def fire(pots: int, *, settings: Any) -> None:
        called.append((settings, pots))

    result = attempt(*arguments, commands=app)
    if result.exit_code:
        raise result.exception or AssertionError(result.output)
    return called[0]


def test_fields_that_are_not_given_have_their_defaults() -> None:
    assert parsed(Kiln, 3) == (Kiln(), 3)


def test_each_field_is_an_option_beside_the_commands_own() -> None:
    found = parsed(Kiln, 7, "--heat", 980, "--cool-slowly", "--glaze", "salt")
    assert found == (Kiln(980.0, cool_slowly=True, glaze="salt"), 7)


def test_a_preset_gives_what_is_not_given() -> None:
    assert parsed(Kiln, 1, "--preset", "pots") == (Kiln(), 1)
    assert parsed(Kiln, 1, "--preset", "tiles") == (Kiln(1000.0, cool_slowly=True), 1)
    found = parsed(Kiln, 1, "--heat", 1200, "--preset", "tiles", "--no-cool-slowly")
    assert found == (Kiln(), 1)  # also where what is given is the default


def test_values_of_another_type_are_refused_in_the_options_name() -> None:
    for given in (("--heat", "hot"), ("--glaze", "tar"), ("--preset", "mugs")):
        with pytest.raises(SystemExit) as end:
            parsed(Kiln, 1, *given)
        assert end.value.code == 2


def test_help_is_the_first_sentence_of_the_docstring() -> None:
    app = typer.Typer()

    @app.command()
    @with_settings(Kiln)
    def fire(*, settings: Kiln) -> None:
        del settings

    said = {p.name: getattr(p, "help", "") for p in get_command(app).params}
    assert said["heat"] == "Degrees at the end."
    assert said["cool_slowly"] == "Whether the door stays shut."
    assert said["preset"] == "What is fired."


def test_settings_check_what_was_parsed() -> None:
    with pytest.raises(ValueError, match="depth 30 is not 9 n"):
        parsed(TrainSettings, 1, "--depth", 30)


def test_the_demos_own_settings_can_be_given_as_options() -> None:
    changed = {
        field.name: getattr(DEMO_SETTINGS, field.name)
        for field in dataclasses.fields(TrainSettings)
        if getattr(DEMO_SETTINGS, field.name) != field.default
    }
    assert len(changed) > 2
    options = [part for name, value in changed.items() for part in (f"--{name}", value)]
    given = [str(part).replace("_", "-") for part in options]
    assert parsed(TrainSettings, 1, *given) == (DEMO_SETTINGS, 1)
