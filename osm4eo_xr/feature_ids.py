"""Ids of features, ``source:band@period``, and the groups that are there or missing together.

A pixel has the data of a group where all its channels are finite. Groups are required unless they
are named as optional: a pixel counts where all required groups have data, and one at least that saw
the ground. Heights and other groups without a period say nothing of its use by themselves.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from osm4eo_xr.errors import InputError
from osm4eo_xr.feature_periods import days_of

__all__ = [
    "PLAIN_SOURCE",
    "Channels",
    "Feature",
    "Group",
    "aligned_groups",
    "canonical",
    "channels_of",
    "groups_of",
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


@dataclass(frozen=True)
class Channels:
    """Which channels of an array are there or missing together; of numpy, dask and jax arrays.

    Attributes
    ----------
    groups : tuple of tuple of int
        Channels of each group; every channel is in one.
    optional : tuple of bool
        Whether a pixel may lack the group.
    seeing : tuple of bool
        Whether a group can make a pixel count; empty if all can.
    """

    groups: tuple[tuple[int, ...], ...]
    optional: tuple[bool, ...]
    seeing: tuple[bool, ...] = ()

    @classmethod
    def joint(cls, count: int) -> Channels:
        """Return channels that all have to be there."""
        return cls((tuple(range(count)),), (False,))

    def whole(self, finite: Any, axis: int) -> Any:
        """Return where a channel's group has data.

        Parameters
        ----------
        finite : array of bool
            Whether numbers are finite; channels along ``axis``.
        axis : {0, -1}
            First or last.

        Returns
        -------
        array of bool
            Of the same dims; the axis has length 1 where there is one group.
        """
        if len(self.groups) == 1:
            return _spread(finite.all(axis=axis), axis)
        shape = [1] * finite.ndim
        shape[axis] = -1
        found: Any = False
        for group, seen in zip(self.groups, self._seen(finite, axis), strict=True):
            member = np.zeros(finite.shape[axis], bool)
            member[list(group)] = True
            found = found | (_spread(seen, axis) & member.reshape(shape))
        return found

    def usable(self, finite: Any, axis: int) -> Any:
        """Return where a pixel counts: bool, without ``axis``."""
        seen = self._seen(finite, axis)
        sees = self.seeing or (True,) * len(seen)
        counting = [each for each, counts in zip(seen, sees, strict=True) if counts]
        some = counting[0]
        for each in counting[1:]:
            some = some | each
        for each, optional in zip(seen, self.optional, strict=True):
            some = some if optional else some & each
        return some

    def present(self, finite: Any, axis: int) -> tuple[Any, Any]:
        """Return which channels a pixel that counts has, and where pixels count.

        A pixel that does not count has none.
        """
        usable = self.usable(finite, axis)
        if len(self.groups) == 1:
            return _spread(usable, axis), usable
        return self.whole(finite, axis) & _spread(usable, axis), usable

    def _seen(self, finite: Any, axis: int) -> list[Any]:
        """Return where each group has data."""
        if len(self.groups) == 1:
            return [finite.all(axis=axis)]
        at = [np.array(group) for group in self.groups]
        return [(finite[..., k] if axis else finite[k]).all(axis=axis) for k in at]


def _spread(flags: Any, axis: int) -> Any:
    """Give flags of pixels an axis of channels."""
    return flags[..., None] if axis else flags[None]


def channels_of(features: Sequence[str], optional: Iterable[str] = ()) -> Channels:
    """Return the channels of some features.

    Parameters
    ----------
    features : sequence of str
        Ids, one per channel.
    optional : iterable of str
        Names of groups that a pixel may lack.

    Raises
    ------
    InputError
        If an id is none, or there is no group of an optional name.

    Examples
    --------
    >>> import numpy as np
    >>> channels = channels_of(["red", "nir", "s1:vv@2024"], optional=["s1@2024"])
    >>> red, nir, radar = [0.1, np.nan, 0.1], [0.2, 0.2, 0.2], [np.nan, -12.0, -12.0]
    >>> channels.usable(np.isfinite([red, nir, radar]), axis=0).tolist()
    [True, False, True]
    """
    groups, names = groups_of(features), {str(name) for name in optional}
    known = [group.name for group in groups]
    if strange := sorted(names - set(known)):
        raise InputError(
            f"optional group {strange[0]!r} is not among the features",
            expected=f"some of {', '.join(known)}",
        )
    seeing = tuple(bool(g.period) or g.source == PLAIN_SOURCE for g in groups)
    return Channels(
        tuple(g.channels for g in groups),
        tuple(n in names for n in known),
        seeing if any(seeing) else (),
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
