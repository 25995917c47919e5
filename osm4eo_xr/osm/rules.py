"""The legend's rules, looked up by the tags of an OpenStreetMap object."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from osm4eo_xr.legend import Legend
    from osm4eo_xr.legend_entries import TagRule

GROUND_KEYS = frozenset(
    {
        "aerialway",
        "aeroway",
        "amenity",
        "area:highway",
        "barrier",
        "boundary",
        "building",
        "building:part",
        "craft",
        "emergency",
        "geological",
        "golf",
        "healthcare",
        "highway",
        "historic",
        "indoor",
        "landcover",
        "landuse",
        "leisure",
        "man_made",
        "military",
        "natural",
        "office",
        "place",
        "playground",
        "power",
        "public_transport",
        "railway",
        "shop",
        "telecom",
        "tourism",
        "waterway",
    }
)
"""Keys that say what an object is (OpenStreetMap's map features); others, such as wikidata, ref,
name:de, website, water or surface, only say more of it."""


_NONE: dict[str, list[TagRule]] = {}


class Rules:
    """Finds the rule that wins for an object."""

    def __init__(self, legend: Legend) -> None:
        priority = {c.id: c.priority for c in legend.classes}
        self.by_key: dict[str, dict[str, list[TagRule]]] = {}
        self.rank: dict[TagRule, tuple[int, int]] = {}
        for rule in legend.rules:
            self.by_key.setdefault(rule.key, {}).setdefault(rule.value, []).append(rule)
            # Of two rules of one priority, the one that asks for more tags knows more.
            self.rank[rule] = (rule.priority or priority[rule.class_id], -len(rule.require))
        self.tags = sorted({(rule.key, rule.value) for rule in legend.rules})
        self.points = any(rule.geometry == "point" for rule in legend.rules)

    def matches(self, tags: Any) -> list[TagRule]:
        """Return the rules whose tags an object has and that do not exclude it."""
        if len(tags) == 1:  # as most of the land has
            key, value = next(iter(tags))
            return self._matches(key, value, tags)
        found: list[TagRule] = []
        # A dozen look-ups are cheaper than a walk over the object's tags.
        for key in self.by_key:
            value = tags.get(key)
            if value is not None:
                found += self._matches(key, value, tags)
        return found

    def _matches(self, key: str, value: str, tags: Any) -> list[TagRule]:
        """Return the rules that hold for one tag of an object."""
        rules = self.by_key.get(key, _NONE).get(value)
        return [rule for rule in rules if _holds(rule, tags)] if rules else []

    def best(self, matches: Iterable[TagRule], geometry: str) -> TagRule | None:
        """Return the rule with the lowest priority number of those for a kind of geometry."""
        fit = [rule for rule in matches if rule.geometry == geometry]
        if len(fit) > 1:
            return min(fit, key=self.rank.__getitem__)
        return fit[0] if fit else None


def _holds(rule: TagRule, tags: Any) -> bool:
    if rule.exclude and any(tags.get(key) == value for key, value in rule.exclude):
        return False
    return not rule.require or any(tags.get(key) == value for key, value in rule.require)


def is_old_style(relation: Any) -> bool:
    """Whether a multipolygon leaves it to its outer ways to say what it is."""
    tags = relation.tags
    if tags.get("type") != "multipolygon":
        return False
    return not any(tag.k in GROUND_KEYS for tag in tags)
