"""Templates and schemas of settings: what they say is what the reader takes."""

import dataclasses
import json
import re
import tomllib
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Literal

import jsonschema
import pytest

from osm4eo_xr.country.settings import CountrySettings
from osm4eo_xr.country.settings_file import country_schema, country_template, read_country
from osm4eo_xr.errors import InputError
from osm4eo_xr.features.settings import FeatureGroup
from osm4eo_xr.maps.settings import Known, Review
from osm4eo_xr.places.countries import find_country
from osm4eo_xr.settings_io import build
from osm4eo_xr.settings_text import field_texts, json_schema, table_of, template, toml_value
from osm4eo_xr.training.settings import TrainSettings
from tests.cases.commands import call, refused
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


@pytest.mark.parametrize(
    ("named", "written"), [("Liechtenstein", "LIE"), ("Australia", "AUS"), ("Lithuania", "LT")]
)
def test_a_countrys_code_is_no_others_in_the_original(named: str, written: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        settings = read(country_template(named, **GIVEN))
        assert settings.boundary.country == written
        assert find_country(written).name == named


def test_comments_show_the_defaults_and_name_every_key() -> None:
    text = country_template("AT", osm="AT.osm.pbf", files=("tiles/*.tif",))
    shown = re.sub(r"^# (\w+ = .+|\[.+\])$", r"\1", text, flags=re.MULTILINE)
    assert shown.count(" = ") > 60
    settings = read(text)
    assert (settings.known, settings.review) == (None, None)
    tables: dict[str, Any] = {"known": Known(), "review": Review(), "features": (FeatureGroup(),)}
    assert dataclasses.replace(settings, **tables) == read(shown)
    keys = set(re.findall(r"^#? ?(\w+) =", text, flags=re.MULTILINE))
    properties = json.dumps(country_schema())
    assert all(f'"{key}"' in properties for key in keys)
    assert {"clouds", "fractions", "depth", "engine", "min_area"} <= keys


def test_a_command_in_a_comment_stays_on_one_line() -> None:
    text = country_template("AT", osm="AT.osm.pbf", files=("tiles/*.tif",))
    assert "osm4eo-xr applicability" in text.replace("\n# ", " ")


def test_a_template_needs_scenes() -> None:
    with pytest.raises(InputError, match="no scenes"):
        country_template("AT", osm="AT.osm.pbf")


def test_the_schema_takes_what_the_reader_takes() -> None:
    schema = country_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    whole = json.loads(json.dumps(tomllib.loads(SETTINGS.format(learn=LEARN)), default=str))
    jsonschema.validate(whole, schema)
    elsewhere = {"train": {"seed": 3}}  # which the reader refuses; it stands at the top
    for wrong in (
        {"nmae": "x"},
        {"seed": "one"},
        {"compression": "lzw"},
        {"sieve": {"sise": 3}},
        elsewhere,
    ):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(whole | wrong, schema)


def test_init_writes_file_and_schema_and_replaces_neither(tmp_path: Path) -> None:
    out = tmp_path / "de.toml"
    command = ["init", "DE", "--year", "2025", "--osm", "DE.osm.pbf", "--out", str(out)]
    call(*command)
    assert read_country(out).scenes[0].period == ("2025-05-01", "2025-09-30")
    assert json.loads((tmp_path / "country.schema.json").read_text()) == country_schema()
    assert out.read_text().startswith("#:schema ./country.schema.json\n")
    assert "exists already" in str(refused(*command))


@dataclass(frozen=True)
class Inner:
    """A table.

    Attributes
    ----------
    deep : int
        How deep, in ``m``.
    """

    deep: int = 3


@dataclass(frozen=True)
class Outer:
    """Settings of a test; the first line alone is the description.

    Attributes
    ----------
    name : str
        What it is called, over
        two lines.
    low, high : float
        Two at once.
    rows : tuple of Inner
        Several tables.
    one : Inner
        A single table.
    maybe : Inner or None
        A table that changes something by being there.
    when : str
        A day.
    how : {"a", "b"}
        A choice.
    shares : mapping of str to float
        By name.
    """

    name: str
    low: float = 0.1
    high: float = 0.9
    rows: tuple[Inner, ...] = ()
    one: Inner = field(default_factory=Inner)
    maybe: Inner | None = None
    when: str = ""
    how: Literal["a", "b"] = "a"
    shares: Mapping[str, float] = field(default_factory=dict)


def test_texts_are_read_from_docstrings_field_by_field() -> None:
    texts = field_texts(Outer)
    assert list(texts)[:3] == ["name", "low", "high"]
    assert texts["name"] == "What it is called, over two lines."
    assert texts["low"] == texts["high"] == "Two at once."
    assert field_texts(int) == {} or isinstance(field_texts(int), dict)


@pytest.mark.parametrize(
    ("hint", "expected"),
    [
        (Inner, (Inner, False)),
        (tuple[Inner, ...], (Inner, True)),
        (Inner | None, (Inner, False)),
        (int, (None, False)),
        (tuple[int, ...], (None, False)),
    ],
)
def test_tables_are_told_from_values(hint: Any, expected: tuple[Any, bool]) -> None:
    assert table_of(hint) == expected


@pytest.mark.parametrize(
    "value",
    [
        1,
        -2.5,
        True,
        'Über "quoted" \\ and\ttabs\nlines',
        [1, 2],
        ("a", "b"),
        [[0.5, 1.5], ["x"]],
        {"a": 1, "b": "two"},
        {"open pit mine": 1, "": 2, "für-alle": {'"': "x"}, "bare-key_1": 3, "a.b": 4, "\x7f": 5},
        "deleted\x7f and \x01",
        [],
        1e-4,
    ],
)
def test_values_are_read_back_by_tomllib(value: Any) -> None:
    read_back = tomllib.loads(f"x = {toml_value(value)}")["x"]
    assert read_back == (list(value) if isinstance(value, tuple) else value)


def test_a_day_is_written_as_text() -> None:
    assert tomllib.loads(f"x = {toml_value(date(2021, 6, 1))}") == {"x": "2021-06-01"}


def test_a_template_states_tables_that_are_given_and_comments_the_others() -> None:
    text = template(Outer, {"name": "n", "rows": [{"deep": 1}, {}]}, omit=frozenset({"one.deep"}))
    tree = tomllib.loads(text)
    assert tree == {"name": "n", "rows": [{"deep": 1}, {}], "one": {}}
    assert "# [maybe]" in text  # being there it would change something
    assert "# How deep, in m." in text
    assert max(map(len, text.splitlines())) <= 96
    lines = text.splitlines()
    assert lines[lines.index("# A choice.") + 1] == '# how = "a"'
    assert '# when = ""' in lines
    assert text.count("deep = ") == 3  # of both rows, one as a comment, and of maybe


def test_templates_and_schemas_name_the_presets() -> None:
    lines = template(TrainSettings, {}, omit=frozenset()).splitlines()
    assert '# preset = "default"' in lines
    lines = template(TrainSettings, {"preset": "small"}, omit=frozenset()).splitlines()
    assert 'preset = "small"' in lines
    schema = json_schema(TrainSettings)
    jsonschema.validate({"preset": "large", "epochs": 3}, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"preset": "huge"}, schema)


def test_a_schema_is_one_and_takes_what_the_settings_take() -> None:
    schema = json_schema(Outer)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["required"] == ["name"]
    assert schema["description"] == "Settings of a test; the first line alone is the description."
    for good in (
        {"name": "n"},
        {"name": "n", "rows": {"deep": 1}, "maybe": {}},
        {"name": "n", "rows": [{"deep": 1}, {}], "how": "b", "shares": {"x": 0.5}},
    ):
        jsonschema.validate(good, schema)
    for bad in (
        {},
        {"name": 3},
        {"name": "n", "how": "c"},
        {"name": "n", "one": {"depe": 1}},
        {"name": "n", "rows": [{"deep": "1"}]},
        {"name": "n", "shares": {"x": "half"}},
    ):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(bad, schema)
