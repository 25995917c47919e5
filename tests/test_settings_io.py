"""One reader of settings: what it takes, and the line that it gives for each mistake."""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest

from osm4eo_xr.cluster.site import JobWorkers, LocalSite, LocalWorkers, PbsSite, SlurmSite
from osm4eo_xr.country.settings import CountrySettings
from osm4eo_xr.errors import InputError
from osm4eo_xr.legend import default_legend, legend_from_dict
from osm4eo_xr.models.record import Normalization
from osm4eo_xr.networks.settings import NetSettings
from osm4eo_xr.settings_io import Reads, build, nearest, read_toml
from osm4eo_xr.training.settings import TrainSettings


@dataclass(frozen=True)
class Inner:
    size: int
    unit: Literal["m", "km"] = "m"

    def __post_init__(self) -> None:
        if self.size < 0:
            raise InputError(f"size is {self.size}", expected="0 or more", advice="raise it")


@dataclass(frozen=True)
class Outer:
    name: str
    inner: Inner = field(default_factory=lambda: Inner(1))
    many: tuple[Inner, ...] = ()
    shares: tuple[float, ...] = ()
    color: tuple[int, int, int] = (0, 0, 0)
    limit: int | None = 3
    flag: bool = False
    words: Mapping[str, str] = field(default_factory=dict)
    klass: str = field(default="", metadata={"key": "class"})
    size: Annotated[int, Reads(lambda text: int(text, 16), "a hexadecimal number")] = 0


def test_every_kind_of_field_is_read() -> None:
    table = {
        "name": date(2026, 7, 1),
        "inner": {"size": 2, "unit": "km"},
        "many": [{"size": 3}, {"size": 4}],
        "shares": [1, 0.5],
        "color": [1, 2, 3],
        "limit": None,
        "flag": True,
        "words": {"a": "b"},
        "class": "water",
        "size": "ff",
    }
    assert build(Outer, table, "f") == Outer(
        name="2026-07-01",
        inner=Inner(2, "km"),
        many=(Inner(3), Inner(4)),
        shares=(1.0, 0.5),
        color=(1, 2, 3),
        limit=None,
        flag=True,
        words={"a": "b"},
        klass="water",
        size=255,
    )


def test_a_single_value_is_a_list_of_one() -> None:
    assert build(Outer, {"name": "a", "shares": 2, "many": {"size": 1}}, "f") == Outer(
        "a", many=(Inner(1),), shares=(2.0,)
    )


@pytest.mark.parametrize(
    ("table", "given", "expected", "advice"),
    [
        ({"inner": {"sise": 1}}, "f: unknown key inner.sise", "", "did you mean size?"),
        ({"inner": {"qqq": 1}}, "f: unknown key inner.qqq", "one of size, unit", ""),
        ({"inner": {}}, "f: key inner.size is missing", "", "add it"),
        ({"inner": 3}, "f: inner is 3", "a table of settings", ""),
        ({"inner": {"size": "3"}}, "f: inner.size is '3'", "a whole number", ""),
        ({"inner": {"size": True}}, "f: inner.size is True", "a whole number", ""),
        ({"inner": {"size": 3.0}}, "f: inner.size is 3.0", "a whole number", ""),
        ({"inner": {"size": -1}}, "f: [inner] size is -1", "0 or more", "raise it"),
        (
            {"inner": {"size": 1, "unit": "kmm"}},
            "f: inner.unit is 'kmm'",
            "one of 'm', 'km'",
            "did you mean 'km'?",
        ),
        (
            {"many": [{"size": 1}, {"size": None}]},
            "f: many[1].size is empty",
            "a whole number",
            "leave it out or give a value; it is number 2, with size = None",
        ),
        ({"shares": [1, "x"]}, "f: shares[1] is 'x'", "a number", ""),
        ({"shares": [float("nan")]}, "f: shares[0] is nan", "a finite number", ""),
        ({"shares": [10**400]}, f"f: shares[0] is {'1' + 59 * '0'}…", "a finite number", ""),
        ({"color": [1, 2]}, "f: color is [1, 2]", "a list of 3", ""),
        ({"limit": "x"}, "f: limit is 'x'", "a whole number", ""),
        ({"flag": 1}, "f: flag is 1", "true or false", ""),
        ({"words": ["a"]}, "f: words is ['a']", "a table, NAME: value", ""),
        ({"words": {"a": 1}}, "f: words.a is 1", "text (in quotes)", ""),
        ({"class": 1}, "f: class is 1", "text (in quotes)", ""),
        ({"klass": "a"}, "f: unknown key klass", "", "did you mean class?"),
        ({"size": "xyz"}, "f: size is 'xyz'", "a hexadecimal number", ""),
        ({"size": 3}, "f: size is 3", "a hexadecimal number", ""),
    ],
)
def test_each_mistake_is_told_by_its_parts(
    table: dict[str, Any], given: str, expected: str, advice: str
) -> None:
    with pytest.raises(InputError) as caught:
        build(Outer, {"name": "a", **table}, "f")
    assert (caught.value.given, caught.value.expected, caught.value.advice) == (
        given,
        expected,
        advice,
    )


def test_a_whole_file_that_is_no_table_is_told() -> None:
    with pytest.raises(InputError, match=r"^f is \[1\]; expected a table of settings$"):
        build(Outer, [1], "f")


def test_a_complete_table_lacks_no_key() -> None:
    assert build(Inner, {"size": 1, "unit": "m"}, "f", complete=True) == Inner(1)
    assert build(Inner, {"size": 1}, "f") == Inner(1)
    with pytest.raises(InputError, match="f: key unit is missing"):
        build(Inner, {"size": 1}, "f", complete=True)


def test_the_nearest_word_is_near() -> None:
    assert nearest("seive", ["sieve", "size"]) == "sieve"
    assert nearest("lava", ["water"]) == ""


def test_files_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no country file .*; give the path of a TOML file"):
        read_toml(tmp_path / "none.toml", "country")
    (tmp_path / "a.toml").write_bytes(b"\xef\xbb\xbfa = 1")
    assert read_toml(tmp_path / "a.toml", "country") == {"a": 1}
    (tmp_path / "a.toml").write_bytes(b"\xff")
    with pytest.raises(InputError, match=r"a\.toml is not a TOML file"):
        read_toml(tmp_path / "a.toml", "country")


WRONG = [None, True, -1, 3, 10**400, 2.5, float("inf"), "x", "", [], [[]], {}, {"a": 1}, [None]]
LEAST: dict[type, dict[str, Any]] = {
    CountrySettings: {"name": "x", "scenes": {"files": "a"}, "classify": {"model": "m"}},
    LocalSite: {},
    LocalWorkers: {},
    SlurmSite: {"cpu": {}},
    PbsSite: {"cpu": {}},
    JobWorkers: {},
    TrainSettings: {},
    NetSettings: {"bands": 4, "classes": 12},
    Normalization: {"center": [0], "scale": [1]},
}


def said(read: Callable[[], object]) -> str:
    """Return the line that reading gives, or nothing where it takes the value."""
    try:
        read()
    except InputError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("cls", LEAST)
def test_a_wrong_value_of_any_field_is_one_line_or_is_taken(cls: type) -> None:
    least, lines = LEAST[cls], []
    inside = build(cls, least, "f")
    for item in dataclasses.fields(cls):
        nested = getattr(inside, item.name)
        keys = dataclasses.fields(nested) if dataclasses.is_dataclass(nested) else ()
        for value in WRONG:
            for table in (value, *({key.name: value} for key in keys)):
                given = {**least, item.name: table}
                lines.append(said(lambda given=given: build(cls, given, "my file")))
    refused = [line for line in lines if line]
    assert len(refused) >= 3 * len(dataclasses.fields(cls))
    assert all(line.startswith("my file: ") and "\n" not in line for line in refused)


@pytest.mark.parametrize("key", ["id", "clc", "slug", "name", "color", "priority"])
def test_a_class_of_wrong_types_is_one_line(key: str) -> None:
    for value in WRONG:
        tree = default_legend().to_dict()
        tree["classes"][3][key] = value
        line = said(lambda tree=tree: legend_from_dict(tree, source="my legend"))
        taken = legend_from_dict(tree).to_dict()["classes"] if not line else []
        assert line.startswith("my legend: ") or value in [c[key] for c in taken]
        assert "\n" not in line


@pytest.mark.parametrize("key", ["class", "tags", "exclude", "require", "width", "geometry"])
def test_a_rule_of_wrong_types_is_one_line(key: str) -> None:
    classes = default_legend().to_dict()["classes"]
    for value in (True, -1, "x", [3], {"a": 1}, [["a=b"]]):
        rule = {"class": "water", "tags": ["natural=water"], key: value}
        with pytest.raises(InputError, match="^my legend: ") as caught:
            legend_from_dict({"classes": classes, "rule": [rule]}, source="my legend")
        assert "\n" not in str(caught.value)


def test_the_other_keys_of_a_table_change_its_preset() -> None:
    found = build(TrainSettings, {"epochs": 5, "preset": "small"}, "f")
    assert found == TrainSettings.preset("small", epochs=5)
    assert build(TrainSettings, {"preset": "default"}, "f") == TrainSettings()


@pytest.mark.parametrize(
    ("name", "advice"),
    [("smal", "did you mean 'small'?"), (3, ""), ([], "")],
)
def test_an_unknown_preset_is_refused_with_the_known_ones(name: Any, advice: str) -> None:
    with pytest.raises(InputError) as refused:
        build(TrainSettings, {"preset": name}, "f")
    assert refused.value.given == f"f: preset is {name!r}"
    assert refused.value.expected == "one of 'default', 'small', 'large'"
    assert refused.value.advice == advice


def test_classes_without_presets_do_not_know_the_key() -> None:
    with pytest.raises(InputError, match="unknown key preset"):
        build(Outer, {"preset": "small"}, "f")
