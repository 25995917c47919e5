import copy
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import pytest

from osm4eo_xr.errors import InputError
from osm4eo_xr.legend import Legend, default_legend, legend_from_dict, load_legend


def test_a_legend_says_its_classes_in_twenty_lines_at_most() -> None:
    legend = default_legend()
    lines = repr(legend).splitlines()
    assert len(lines) == 13
    assert lines[12].split() == ["12", "CLC", "5", legend.find("water").hex_color, "water"]
    many = Legend(
        "many",
        tuple(
            replace(legend.classes[0], id=k, clc=k, slug=f"c{k}", name=f"C{k}")
            for k in range(1, 40)
        ),
    )
    assert len(repr(many).splitlines()) == 18
    assert repr(many).endswith("and 23 more")


def test_default_legend_has_the_twelve_classes_of_osmlanduse() -> None:
    legend = default_legend()
    assert legend.ids == tuple(range(1, 13))
    assert [c.clc for c in legend.classes] == [11, 12, 13, 14, 21, 22, 23, 31, 32, 33, 41, 5]
    assert legend.find("water").id == 12
    assert legend.find("clc:5").id == 12
    assert legend.find("Water bodies").color == (0, 204, 242)
    assert legend.find(12).hex_color == "#00ccf2"


def test_classes_given_in_any_order_are_held_in_that_of_their_ids() -> None:
    classes = default_legend().classes
    turned = Legend("turned", classes[::-1])
    assert turned.ids == default_legend().ids
    assert turned == Legend("turned", classes)


def test_priority_order_is_the_one_of_the_method() -> None:
    order = [c.slug for c in sorted(default_legend().classes, key=lambda c: c.priority)]
    assert order[:6] == ["industrial", "water", "wetland", "artificial-green", "mine", "urban"]
    assert order[-1] == "forest"


def test_attrs_follow_cf_flags() -> None:
    attrs = default_legend().attrs()
    assert attrs["flag_values"] == list(range(1, 13))
    assert len(attrs["flag_meanings"].split()) == 12
    assert attrs["flag_colors"].split()[0] == "#e6004d"


def test_legend_survives_a_round_trip() -> None:
    legend = default_legend()
    assert legend_from_dict(legend.to_dict()) == legend


def test_unknown_layer_lists_the_known_ones() -> None:
    with pytest.raises(InputError, match="no class 'lava'.*12 water"):
        default_legend().find("lava")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t["classes"][1].update(id=1), "gives id 1 to more than one class"),
        (
            lambda t: t["classes"][1].pop("color"),
            r"class\[1\]\.color is missing.*'Industrial",
        ),
        (lambda t: t["classes"][1].update(color=[1, 2]), "list of 3"),
        (lambda t: t["classes"][1].update(id=0), "has id 0"),
        (lambda t: t["classes"][1].update(clc=0), "clc is 0; expected 1 to 65535"),
        (lambda t: t.update(classes=[]), "has no class"),
    ],
)
def test_a_broken_legend_is_refused_by_name(change, message: str) -> None:
    tree = copy.deepcopy(default_legend().to_dict())
    change(tree)
    with pytest.raises(InputError, match=message):
        legend_from_dict(tree)


def test_missing_and_malformed_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no legend file"):
        load_legend(tmp_path / "none.toml")
    broken = tmp_path / "broken.toml"
    broken.write_text("= 3", encoding="utf-8")
    with pytest.raises(InputError, match="not a TOML file"):
        load_legend(broken)


def test_a_file_with_the_name_of_another_legend_is_refused(tmp_path: Path) -> None:
    """Maps state their legend by its name, so those of the file would be shown by the package's."""
    text = files("osm4eo_xr").joinpath("legend.toml").read_text(encoding="utf-8")
    path = tmp_path / "legend.toml"
    for name, fine in (("osmlanduse-12", False), ("osmlanduse-13", True), ("ours", True)):
        path.write_text(text.replace("osmlanduse-12", name), encoding="utf-8")
        if fine:
            assert len(load_legend(path).classes) == 13
        else:
            with pytest.raises(InputError, match="is called 'osmlanduse-12', as a legend of the p"):
                load_legend(path)
    path.write_text(
        text.replace("osmlanduse-12", "osmlanduse-13").replace("id = 12\n", "id = 99\n")
    )
    with pytest.raises(InputError, match="is called 'osmlanduse-13'.*; give it a name of its own"):
        load_legend(path)


def test_rules_cover_all_classes_and_name_their_source() -> None:
    legend = default_legend()
    assert len(legend.rules) >= 60
    assert {rule.class_id for rule in legend.rules} == set(legend.ids)
    assert {rule.source for rule in legend.rules} == {"schultz2017", "osmlanduse2025", "wiki"}


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ([{"class": "a", "tags": ["x=1", "x=1"]}], "tag x=1 is claimed twice, by a and by a"),
        ([{"class": "lava", "tags": ["x=1"]}], "class is 'lava'.*expected one of a"),
        ([{"class": "a", "tags": ["x"]}], "a tag, written key=value"),
        ([{"class": "a", "tags": ["building=*"]}], "one rule per value, none is"),
        (
            [{"class": "a", "tags": ["x=1"], "width": -1}],
            "width -1; expected a width of more",
        ),
    ],
)
def test_broken_rules_are_refused(rules: list, message: str) -> None:
    a = {"id": 1, "clc": 11, "slug": "a", "name": "A", "color": [1, 2, 3], "priority": 1}
    with pytest.raises(InputError, match=message):
        legend_from_dict({"class": [a], "rule": rules})
