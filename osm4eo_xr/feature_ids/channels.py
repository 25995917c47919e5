"""Which channels of an array are there or missing together, and where pixels have enough of them.

A pixel has the data of a group where all its channels are finite. Groups are required unless they
are named as optional: a pixel counts where all required groups have data, and one at least that saw
the ground. Heights and other groups without a period say nothing of its use by themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from osm4eo_xr.errors import InputError
from osm4eo_xr.feature_ids.ids import PLAIN_SOURCE, groups_of

__all__ = ["Channels", "channels_of"]


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
