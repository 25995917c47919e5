"""Ids of features, ``source:band@period``, and the groups that they form."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from osm4eo_xr.errors import InputError
from osm4eo_xr.feature_ids.periods import days_of

__all__ = [
    "PLAIN_SOURCE",
    "Feature",
    "Group",
    "aligned_groups",
    "canonical",
    "groups_of",
    "is_plain",
    "missing_features",
    "parse_feature",
    "parse_group",
]

PLAIN_SOURCE = "s2"
"""Source of names without one, such as ``nir``: bands of a Sentinel-2 scene."""

_ID = re.compile(r"([a-z][a-z0-9_.-]*):([A-Za-z0-9][\w.-]*)(?:@([A-Za-z0-9][\w.-]*))?", re.ASCII)
_EXPECTED = "source:band@period such as s2:nir@2024-04, source:band such as dem:slope, or a name"


@dataclass(frozen=True)
class Feature:
    """One input channel: what saw it, which of its bands, and when.

    Attributes
    ----------
    source : str
        Sensor, model or product: ``s2``, ``s1``, ``dem``, ``aef``, ``tessera-1.0``.
    band : str
        Which of the source's numbers: ``nir``, ``vv_desc``, ``slope``.
    period : str
        When: ``2024``, ``2024-04``, ``2024-04-17``, ``2024-summer``, ``2024-q2`` or a word of
        one's own; empty for what does not change.

    Examples
    --------
    >>> feature = parse_feature("s1:vv_desc@2024-summer")
    >>> feature.source, feature.band, feature.period, feature.group
    ('s1', 'vv_desc', '2024-summer', 's1@2024-summer')
    >>> str(feature), str(Feature("s2", "nir"))
    ('s1:vv_desc@2024-summer', 'nir')
    """

    source: str
    band: str
    period: str = ""

    @property
    def group(self) -> str:
        """Name of its group: the source, and the period if it has one."""
        return f"{self.source}@{self.period}" if self.period else self.source

    def __str__(self) -> str:
        """Return the id; a Sentinel-2 band without a period is its plain common name."""
        if self.source == PLAIN_SOURCE and not self.period:
            return self.band
        return f"{self.source}:{self.band}" + (f"@{self.period}" if self.period else "")


@dataclass(frozen=True)
class Group:
    """Channels that were seen together: those of one source and one period.

    Attributes
    ----------
    name : str
        ``source@period`` or ``source``.
    source, period : str
        Of all its features.
    channels : tuple of int
        Their places among the features that were given, ascending.
    """

    name: str
    source: str
    period: str
    channels: tuple[int, ...]


def parse_feature(text: str) -> Feature:
    """Return the feature that an id names.

    Parameters
    ----------
    text : str
        ``source:band@period`` or ``source:band``; text without ``:`` and ``@`` is a band of a
        Sentinel-2 scene without a period, whatever its name.

    Raises
    ------
    InputError
        If it is none of these, or its period is a date that the calendar lacks.

    Examples
    --------
    >>> parse_feature("dem:slope")
    Feature(source='dem', band='slope', period='')
    >>> parse_feature("nir") == parse_feature("s2:nir")
    True
    """
    if text and ":" not in text and "@" not in text:
        return Feature(PLAIN_SOURCE, text)
    found = _ID.fullmatch(text)
    if found is None:
        raise InputError(f"feature {text!r}", expected=_EXPECTED)
    return Feature(found[1], found[2], _period(found[3], f"feature {text!r}"))


def parse_group(text: str) -> tuple[str, str]:
    """Return the source and the period that a group's name states.

    Raises
    ------
    InputError
        If it is no ``source@period`` or ``source``, or the period is a date that the calendar
        lacks.

    Examples
    --------
    >>> parse_group("s1@2024-summer"), parse_group("dem")
    (('s1', '2024-summer'), ('dem', ''))
    """
    source, at, period = text.partition("@")
    found = _ID.fullmatch(f"{source}:x{at}{period}")
    if found is None:
        raise InputError(
            f"group {text!r}", expected="source@period such as s2@2024-04, or source such as dem"
        )
    return found[1], _period(found[3], f"group {text!r}")


def _period(found: str | None, named: str) -> str:
    """Return the period of a name, if it has one; refuse a date that the calendar lacks."""
    try:
        days_of(found or "")
    except InputError as error:
        raise error.within(named) from None
    return found or ""


def groups_of(features: Iterable[str | Feature]) -> tuple[Group, ...]:
    """Return the groups of some features, in the order of their first channels.

    Raises
    ------
    InputError
        If an id is none.

    Examples
    --------
    >>> ids = ["s2:red@2024-04", "dem:slope", "s2:nir@2024-04", "s2:nir@2024-07"]
    >>> [(group.name, group.channels) for group in groups_of(ids)]
    [('s2@2024-04', (0, 2)), ('dem', (1,)), ('s2@2024-07', (3,))]
    >>> [group.name for group in groups_of(["red", "nir"])]
    ['s2']
    """
    found: dict[str, tuple[Feature, list[int]]] = {}
    for channel, each in enumerate(features):
        feature = parse_feature(each) if isinstance(each, str) else each
        found.setdefault(feature.group, (feature, []))[1].append(channel)
    return tuple(
        Group(name, first.source, first.period, tuple(channels))
        for name, (first, channels) in found.items()
    )


def canonical(text: str) -> str:
    """Return an id as it is printed, so that each feature has one; other text as it is.

    Examples
    --------
    >>> canonical("s2:nir"), canonical("S1 VV:1")
    ('nir', 'S1 VV:1')
    """
    try:
        return str(parse_feature(text))
    except InputError:
        return text


def is_plain(text: str) -> bool:
    """Whether an id is a name alone, of a band of a scene.

    Examples
    --------
    >>> is_plain("coastal"), is_plain("s2:nir"), is_plain("s2:nir@2024")
    (True, True, False)
    """
    return ":" not in canonical(text)


def missing_features(wanted: Sequence[str], present: Sequence[str]) -> tuple[str, ...]:
    """Return the wanted ids that are not among those present, however either is written.

    Examples
    --------
    >>> missing_features(["nir", "dem:slope"], ["s2:nir", "dem:height"])
    ('dem:slope',)
    """
    there = {canonical(text) for text in present}
    return tuple(text for text in wanted if canonical(text) not in there)


def aligned_groups(features: Sequence[str], *, alike: bool) -> tuple[Group, ...]:
    """Return the groups with their channels by the names of bands, alike in all periods.

    Parameters
    ----------
    features : sequence of str
        Ids, one per channel.
    alike : bool
        Whether all periods of a source have to have the same bands.

    Raises
    ------
    InputError
        If they have to and have not, or an id is none.

    Examples
    --------
    >>> ids = ["s2:red@2024-04", "s2:nir@2024-04", "s2:nir@2024-07", "s2:red@2024-07"]
    >>> [group.channels for group in aligned_groups(ids, alike=True)]
    [(1, 0), (2, 3)]
    """
    band = [parse_feature(text).band for text in features]
    found = [
        replace(group, channels=tuple(sorted(group.channels, key=band.__getitem__)))
        for group in groups_of(features)
    ]
    first: dict[str, Group] = {}
    for group in found if alike else ():
        other = first.setdefault(group.source, group)
        here, there = ([band[c] for c in g.channels] for g in (group, other))
        if here != there:
            raise InputError(
                f"{group.name} has bands {', '.join(here)}, {other.name} has {', '.join(there)}",
                advice="give each period of a source the same bands",
            )
    return tuple(found)
