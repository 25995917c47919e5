"""Windows cut from rasters, and which sample counts a pixel that several windows hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dask.array as da
import numpy as np
from dask.delayed import delayed
from scipy.spatial import KDTree

from osm4eo_xr.samples.spatial_split import Drawn  # noqa: TC001 - annotations are checked at run time

if TYPE_CHECKING:
    from jaxtyping import Float32, Int, UInt8


def cut_images(
    pixels: Float32[np.ndarray, "band r c"],
    row: Int[np.ndarray, " n"],
    col: Int[np.ndarray, " n"],
    patch: int,
) -> Float32[np.ndarray, "n p q band"]:
    """Cut windows whose first pixels are at ``row`` and ``col``, bands last."""
    views = np.lib.stride_tricks.sliding_window_view(pixels, (patch, patch), axis=(1, 2))
    return np.ascontiguousarray(views[:, row, col].transpose(1, 2, 3, 0), dtype=np.float32)


def cut_labels(
    labels: UInt8[np.ndarray, "r c"],
    row: Int[np.ndarray, " n"],
    col: Int[np.ndarray, " n"],
    patch: int,
) -> UInt8[np.ndarray, "n p q"]:
    """Cut windows whose first pixels are at ``row`` and ``col``."""
    views = np.lib.stride_tricks.sliding_window_view(labels, (patch, patch))
    return np.ascontiguousarray(views[row, col])


class Owners:
    """Gives each held-out pixel to one sample, so that scores count it once.

    Windows of validation or test samples overlap each other. A pixel belongs to the sample whose
    window is centered nearest (Chebyshev distance; of equals, one and always the same), and a drawn
    pixel always to its own sample.
    """

    def __init__(self, drawn: Drawn, patch: int) -> None:
        self.patch = patch
        self.split, self.row, self.col = drawn.split, drawn.row, drawn.col
        self.members = {s: np.nonzero(drawn.split == s)[0] for s in np.unique(drawn.split) if s}
        # Even windows are centered half a pixel before the drawn pixel. With half of that, a
        # window's pixels are nearer to it than others, and drawn pixels nearest to themselves.
        lean = 0.0 if patch % 2 else 0.25
        self.centers = np.stack([drawn.row, drawn.col], axis=1) - lean
        self.trees = {s: KDTree(self.centers[i]) for s, i in self.members.items()}

    def keep_own(self, labels: UInt8[np.ndarray, "n p q"], first: int) -> np.ndarray:
        """Zero what other samples own; ``labels[0]`` is that of sample ``first``."""
        labels = labels.copy()
        for k in range(len(labels)):
            split = self.split[first + k]
            if split:
                labels[k][self._owner(first + k) != first + k] = 0
        return labels

    def _owner(self, sample: int) -> np.ndarray:
        """Return the owning sample of each pixel of a sample's window."""
        reach = np.arange(self.patch) - self.patch // 2
        row, col = self.row[sample], self.col[sample]
        pixels = np.stack(np.meshgrid(row + reach, col + reach, indexing="ij"), axis=-1)
        split = self.split[sample]
        return self.members[split][self.trees[split].query(pixels, p=np.inf)[1]]


def keep_owned(label: da.Array, drawn: Drawn, patch: int) -> da.Array:
    """Zero in each window what other samples of its split own; lazy, in the same chunks."""
    owners = delayed(Owners(drawn, patch))
    parts, first = [], 0
    for size in label.chunks[0]:
        own = owners.keep_own(label[first : first + size], first)
        parts.append(da.from_delayed(own, (size, *label.shape[1:]), dtype=np.uint8))
        first += size
    return da.concatenate(parts)
