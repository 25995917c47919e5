"""The rule that wins for the tags of an object."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from osm4eo_xr.legend import Legend, default_legend
from osm4eo_xr.legend_entries import TagRule
from osm4eo_xr.osm.rules import Rules

LEGEND = default_legend()
TAGS = sorted({(rule.key, rule.value) for rule in LEGEND.rules})
SAID = sorted({tag for rule in LEGEND.rules for tag in (*rule.exclude, *rule.require)})


class Tags(dict[str, str]):
    """Tags as osmium gives them: iteration gives pairs."""

    def __iter__(self) -> Any:
        return iter(self.items())


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.sampled_from([*TAGS, *SAID, ("name", "Havel"), ("landuse", "none")]), max_size=5)
)
def test_matches_are_those_that_reading_all_rules_gives(pairs: list[tuple[str, str]]) -> None:
    tags = Tags(pairs)
    expected = [
        rule
        for rule in LEGEND.rules
        if tags.get(rule.key) == rule.value
        and not any(tags.get(k) == v for k, v in rule.exclude)
        and (not rule.require or any(tags.get(k) == v for k, v in rule.require))
    ]
    found = Rules(LEGEND).matches(tags)
    assert len(found) == len(expected)
    assert set(found) == set(expected)


def test_the_least_priority_wins_and_of_equals_the_rule_that_asks_for_more() -> None:
    lake = TagRule("natural", "water", 12, require=(("water", "lake"),))
    rules = (
        TagRule("natural", "wood", 8),
        TagRule("natural", "water", 12),
        lake,
        TagRule("waterway", "river", 12, geometry="line", width=20.0),
        TagRule("landuse", "meadow", 6, priority=1),
    )
    found = Rules(Legend("five rules", LEGEND.classes, rules))
    assert found.best([rules[1], lake], "area") is lake
    assert found.best([rules[0], rules[4], lake], "area") is rules[4]
    assert found.best(rules, "line") is rules[3]
    assert found.best(rules, "point") is None
    classes = {c.id: c.priority for c in LEGEND.classes}
    winner = min((rules[0], rules[1]), key=lambda rule: classes[rule.class_id])
    assert found.best([rules[0], rules[1]], "area") is winner
