"""Templates and schemas of settings: what they say is what the reader takes."""

import dataclasses
import json
import re
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from typer.testing import CliRunner

from osm4eo_xr.cli.app import app
from osm4eo_xr.country.settings import CountrySettings
from osm4eo_xr.country.settings_file import country_schema, country_template, read_country
from osm4eo_xr.errors import InputError
from osm4eo_xr.maps.settings import Known, Review
from osm4eo_xr.settings_io import build
from tests.cases.country_case import LEARN, SETTINGS

GIVEN: dict[str, Any] = {"osm": "DE.osm.pbf", "search": "earth-search", "year": 2025}


def read(text: str) -> CountrySettings:
    return build(CountrySettings, tomllib.loads(text), "country.toml")


def test_a_template_states_what_is_given_and_nothing_else() -> None:
    settings = read(country_template("germany", **GIVEN))
    plain = """
        name = "Germany"
        scenes = [{ search = "earth-search", period = ["2025-05-01", "2025-09-30"] }]
        labels = { osm = "DE.osm.pbf" }
        boundary = { country = "DE" }
    """
    assert settings == read(plain)


def test_comments_show_the_defaults_and_name_every_key() -> None:
    text = country_template("AT", osm="AT.osm.pbf", files=("tiles/*.tif",))
    shown = re.sub(r"^# (\w+ = .+|\[.+\])$", r"\1", text, flags=re.MULTILINE)
    assert shown.count(" = ") > 60
    settings = read(text)
    assert (settings.known, settings.review) == (None, None)
    assert dataclasses.replace(settings, known=Known(), review=Review()) == read(shown)
    keys = set(re.findall(r"^#? ?(\w+) =", text, flags=re.MULTILINE))
    properties = json.dumps(country_schema())
    assert all(f'"{key}"' in properties for key in keys)
    assert {"clouds", "fractions", "depth", "engine", "min_area"} <= keys


def test_a_template_needs_scenes() -> None:
    with pytest.raises(InputError, match="no scenes"):
        country_template("AT", osm="AT.osm.pbf")


def test_the_schema_takes_what_the_reader_takes() -> None:
    schema = country_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    whole = json.loads(json.dumps(tomllib.loads(SETTINGS.format(learn=LEARN)), default=str))
    jsonschema.validate(whole, schema)
    for wrong in ({"nmae": "x"}, {"seed": "one"}, {"compression": "lzw"}, {"sieve": {"sise": 3}}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(whole | wrong, schema)


def test_init_writes_file_and_schema_and_replaces_neither(tmp_path: Path) -> None:
    out = tmp_path / "de.toml"
    command = ["init", "DE", "--year", "2025", "--osm", "DE.osm.pbf", "--out", str(out)]
    assert CliRunner().invoke(app, command).exit_code == 0
    assert read_country(out).scenes[0].period == ("2025-05-01", "2025-09-30")
    assert json.loads((tmp_path / "country.schema.json").read_text()) == country_schema()
    assert out.read_text().startswith("#:schema ./country.schema.json\n")
    again = CliRunner().invoke(app, command)
    assert isinstance(again.exception, InputError)
    assert "exists already" in str(again.exception)
