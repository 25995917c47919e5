"""s2cloudless on lazy cubes: a cloud probability by pixel, for level 1C.

The package ``s2cloudless`` and its trained model come with the extra of that name. Their license is
Creative Commons Attribution-ShareAlike 4.0: name Sinergise where you publish what they made, and
share changes of the model alike. Nothing of it is in this package.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import dask.array as da
import numpy as np
import xarray as xr

from osm4eo_xr.errors import InputError, extra

if TYPE_CHECKING:
    from jaxtyping import Float32

BANDS = (
    "coastal",
    "blue",
    "red",
    "rededge1",
    "nir",
    "nir08",
    "nir09",
    "cirrus",
    "swir16",
    "swir22",
)
"""What the model was trained on, in its order: B01 B02 B04 B05 B08 B8A B09 B10 B11 B12."""


def cloud_probability(cube: xr.DataArray) -> xr.DataArray:
    """Estimate how likely each pixel is a cloud, lazily.

    Parameters
    ----------
    cube : DataArray
        ([time,] band, y, x) float32 top-of-atmosphere reflectance with the bands of ``BANDS``.

    Returns
    -------
    DataArray
        ([time,] y, x) float32, 0 to 1, NaN = no data. Each pixel is judged by itself.

    Raises
    ------
    InputError
        If a band is missing or the cube says that it is of level 2A.
    MissingExtraError
        Without the extra ``s2cloudless``.

    Source
    ------
    s2cloudless (Skakun et al. 2022, doi:10.1016/j.rse.2022.112990), trained on level 1C.
    """
    names = [str(b) for b in cube["band"].values]
    missing = [b for b in BANDS if b not in names]
    if missing or cube.attrs.get("level") == "2A":
        lacks = f"lacks {', '.join(missing)}" if missing else "is of level 2A"
        raise InputError(
            f"s2cloudless was trained on ten bands of level 1C; the cube {lacks}",
            advice=f"open level 1C with bands={list(BANDS)}, or use method='threshold'",
        )
    load_detector()
    axis = cube.get_axis_num("band")
    data: Any = cube.isel(band=[names.index(b) for b in BANDS]).data
    source: Any = data if isinstance(data, da.Array) else da.from_array(data, chunks=data.shape)
    made = source.rechunk({axis: -1}).map_blocks(
        _probability, axis=axis, drop_axis=axis, dtype=np.float32, meta=np.empty(0, np.float32)
    )
    coords = {k: v for k, v in cube.coords.items() if "band" not in v.dims and k != "band"}
    dims = tuple(d for d in cube.dims if d != "band")
    return xr.DataArray(
        made if isinstance(data, da.Array) else made.compute(),
        dims=dims,
        coords=coords,
        attrs={"units": "1", "long_name": "cloud probability", "nodata": float("nan")},
        name="cloud_probability",
    )


def _probability(block: Float32[np.ndarray, "..."], *, axis: int) -> Float32[np.ndarray, "..."]:
    pixels = np.moveaxis(block, axis, -1)
    known = np.isfinite(pixels).all(axis=-1)
    out = np.full(known.shape, np.nan, np.float32)
    if known.any():
        row = pixels[known][np.newaxis, np.newaxis]
        out[known] = load_detector().get_cloud_probability_maps(row, num_threads=1)[0, 0]
    return out


@cache
def load_detector() -> Any:
    """Return the model, read once per process."""
    with extra("s2cloudless", "method='s2cloudless'"):
        import s2cloudless
    return vars(s2cloudless)["S2PixelCloudDetector"]()
