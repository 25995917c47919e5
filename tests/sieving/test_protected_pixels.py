"""Pixels that protect their regions, against a walk over regions that scipy labels."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import label

from osm4eo_xr.errors import InputError
from osm4eo_xr.sieving.lazy_sieve import sieve

_SCAN = ((-1, 0), (-1, -1), (-1, 1), (0, -1))  # above, above left, above right, left


def regions_of(values: np.ndarray, connectivity: int) -> np.ndarray:
    """Number regions from 1 on; 0 = no data."""
    structure = np.ones((3, 3)) if connectivity == 8 else None
    out = np.zeros(values.shape, int)
    for value in np.unique(values[values != 0]):
        found = np.asarray(label(values == value, structure)[0])  # pyright: ignore[reportIndexIssue] - scipy's types
        out[found > 0] = found[found > 0] + out.max()
    return out


def walk(values: np.ndarray, keep: np.ndarray, size: int, connectivity: int) -> np.ndarray:
    """Sieve by the rule that the module of the sieve states, region by region."""
    region = regions_of(values, connectivity)
    count = np.bincount(region.ravel())
    stays = count >= size
    stays[region[keep]] = True
    best: dict[int, tuple[int, int]] = {}  # of each region: size of its neighbor, the neighbor
    for (y, x), a in np.ndenumerate(region):
        for dy, dx in _SCAN:
            inside = y + dy >= 0 and 0 <= x + dx < values.shape[1]
            if (connectivity == 4 and dy and dx) or not inside:
                continue
            pair = int(a), int(region[y + dy, x + dx])
            if 0 in pair or pair[0] == pair[1]:
                continue
            for one, other in (pair, pair[::-1]):
                if count[other] > best.get(one, (0, 0))[0]:
                    best[one] = int(count[other]), int(other)
    out = values.copy()
    for one in set(region[region > 0].tolist()):
        seen, at = set(), one
        while not stays[at] and at not in seen and at in best:
            seen.add(at)
            at = best[at][1]
        if stays[at]:
            out[region == one] = values[region == at][0]
    return out


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    rows=st.integers(3, 14),
    columns=st.integers(3, 17),
    size=st.integers(2, 12),
    connectivity=st.sampled_from((4, 8)),
    share=st.sampled_from((0.02, 0.1, 0.4)),
    reread=st.booleans(),
    masked=st.booleans(),
)
def test_regions_with_a_protected_pixel_stay_and_absorb_for_any_chunks(
    seed: int,
    rows: int,
    columns: int,
    size: int,
    connectivity: int,
    share: float,
    reread: bool,
    masked: bool,
) -> None:
    rng = np.random.default_rng(seed)
    values = rng.choice(np.array([0, 1, 1, 2, 3], np.uint8), (14, 17))
    values = np.where(rng.random(values.shape) < 0.5, np.roll(values, 1, 1), values)
    keep = rng.random(values.shape) < share
    mask = rng.random(values.shape) < 0.9 if masked else None
    seen = values if mask is None else np.where(mask, values, 0)
    lazy = xr.DataArray(values, dims=("y", "x")).chunk(y=rows, x=columns)
    found = sieve(
        lazy, size, connectivity, mask=mask, protected_pixels=keep, reread=reread
    ).compute(scheduler="synchronous")
    expected = walk(seen, keep & (seen != 0), size, connectivity)
    np.testing.assert_array_equal(found, np.where(seen == 0, values, expected))


def test_flags_of_another_shape_or_kind_are_refused() -> None:
    lazy = xr.DataArray(np.ones((4, 4), np.uint8), dims=("y", "x"))
    with pytest.raises(InputError, match="protected_pixels has shape"):
        sieve(lazy, protected_pixels=np.ones((4, 5), bool))
    with pytest.raises(InputError, match="booleans, True where a pixel is protected"):
        sieve(lazy, protected_pixels=np.ones((4, 4)))
