"""Tiles whose files leave the offset of their numbers open: warned of once for a run."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from osm4eo_xr.errors import InputError, InputWarning
from osm4eo_xr.imagery.products.origins import OpenOffset


class OpenOffsets:
    """What opening tiles said of their offsets, to be told together."""

    def __init__(self) -> None:
        self._said: dict[str, Warning] = {}

    @contextmanager
    def gathered(self, tile: str) -> Iterator[None]:
        """Keep to itself that a tile, opened in the block, leaves its offset open."""
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always", OpenOffset)
            yield
        for each in said:
            warning = each.message
            if isinstance(warning, OpenOffset):
                self._said[tile] = warning
            else:
                warnings.warn(warning, each.category, stacklevel=3)

    def tell(self, tiles: int) -> None:
        """Warn of the tiles that leave it open, of so many in all."""
        if len(self._said) == 1:
            warnings.warn(*self._said.values(), stacklevel=3)
        elif self._said:
            doubt = InputError(
                f"the files of {len(self._said)} of {tiles} tiles (first: {next(iter(self._said))})"
                " state no offset, and their pixels do not tell; it is taken for 0",
                advice="pass {offset=-0.1} if they carry that of processing baseline 04.00, else "
                "{offset=0}",
            )
            warnings.warn(InputWarning(doubt), stacklevel=3)
