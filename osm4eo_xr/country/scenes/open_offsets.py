"""Tiles whose files leave the offset of their numbers open: warned of once for a run."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from osm4eo_xr.errors import InputError, InputWarning
from osm4eo_xr.imagery.products.origins import kept_doubts


class OpenOffsets:
    """What opening tiles said of their offsets, to be told together."""

    def __init__(self) -> None:
        self._said: dict[str, InputError] = {}

    @contextmanager
    def gathered(self, tile: str) -> Iterator[None]:
        """Keep to itself that a tile, opened in the block, leaves its offset open."""
        with kept_doubts() as doubts:
            yield
        if doubts:
            self._said[tile] = doubts[0]

    def tell(self, tiles: int) -> None:
        """Warn of the tiles that leave it open, of so many in all."""
        if not self._said:
            return
        first, doubt = next(iter(self._said.items()))
        if len(self._said) > 1:
            doubt = InputError(
                f"the files of {len(self._said)} of {tiles} tiles (first: {first}) state no "
                "offset, and their pixels do not tell; it is taken for 0",
                advice=doubt.advice,
            )
        warnings.warn(InputWarning(doubt), stacklevel=3)
