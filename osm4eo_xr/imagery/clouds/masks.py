"""Clouded pixels to no data, lazily, by what marks them or by a rule."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

import dask.array as da
import numpy as np
import xarray as xr

from osm4eo_xr.errors import InputError
from osm4eo_xr.geometry.grid import nodata_of
from osm4eo_xr.imagery.clouds.detector import cloud_probability
from osm4eo_xr.imagery.clouds.rule import CloudRule, Level
from osm4eo_xr.imagery.clouds.shadows import grow
from osm4eo_xr.imagery.clouds.thresholds import clouds_by_rule

CLOUD_CLASSES = (0, 1, 3, 8, 9, 10)
"""SCL: no data, saturated or defective, cloud shadow, cloud medium, high, thin cirrus."""

CloudMethod = Literal["scl", "probability", "s2cloudless", "threshold"]

_LAST_CLASS = 11
_GROWING = (8, 9, 10)  # grown by 2 pixels, shadows hid 10-14 % of the water of 33TWL and 33TWM
_PER_CENT = 100
_DIGITS = 9  # of a threshold in per cent


def mask_clouds(
    cube: xr.DataArray,
    marks: xr.DataArray | None = None,
    *,
    method: CloudMethod = "scl",
    classes: Sequence[int] | np.ndarray = CLOUD_CLASSES,
    threshold: float = 0.4,
    dilation: int = 0,
    rule: CloudRule | None = None,
    level: Level | None = None,
    sun: tuple[float, float] | None = None,
) -> xr.DataArray:
    """Set clouded pixels to NaN, lazily.

    Parameters
    ----------
    cube : DataArray
        ([time,] band, y, x) float32 reflectance, NaN = no data, which stays NaN.
    marks : DataArray, optional
        ([time,] y, x) on the same grid and dates, or with one band beside: for "scl" the scene
        classification, uint8; for "probability" the chance of a cloud, as integers in per cent
        (MSK_CLDPRB) or as floats from 0 to 1. Where that is NaN or the no data that its attrs
        state, it is not known, and the pixel stays as it is.
    method : str
        "scl": the product's classes. "probability": the product's cloud probability.
        "s2cloudless": that package's probability, for level 1C with the bands of
        ``imagery.clouds.detector.BANDS`` (extra ``s2cloudless``; CC BY-SA 4.0).
        "threshold": a rule on blue, green, red and nir, and on swir16, cirrus and other dates
        where they are there; ``CloudRule`` states it and its sources.
    classes : sequence or array of int
        SCL classes to remove, 0 to 11.
    threshold : float
        Probability above which a pixel is clouded, 0 to 1.
    dilation : int
        Radius in pixels by which clouds grow (of SCL classes 8, 9 and 10). Shadows and other
        classes do not: the shore of rivers and lakes is often classified as shadow, and growing
        it takes the water away on every date.
    rule : CloudRule, optional
        Thresholds of "threshold".
    level : {"1C", "2A"}, optional
        Of the reflectance, for "threshold"; by default what ``cube.attrs["level"]`` says.
    sun : tuple of float, optional
        Azimuth from true north and zenith of the sun in degrees, for the shadows of "threshold". By
        default ``sun_azimuth`` and ``sun_zenith``, attrs or coordinates of ``time``, which products
        and items of STAC state; else what the grid and the UTC time of the coordinate ``time`` or
        of ``attrs["date"]`` give. Where nothing tells, shadows stay.

    Returns
    -------
    DataArray
        As ``cube``; NaN where masked. ``attrs["clouds"]`` says in words how clouds and shadows
        were found. Chunks do not change the result.

    Raises
    ------
    InputError
        If marks are missing, of other dims or on another grid or other dates, nothing tells the
        level, a band is missing, or a class, the threshold or the radius is out of range.
    MissingExtraError
        For "s2cloudless" without its extra.

    Examples
    --------
    >>> import osm4eo_xr as oxr
    >>> ground, cloud = [0.04, 0.06, 0.05, 0.30], [0.45, 0.44, 0.43, 0.50]
    >>> scene = xr.DataArray(
    ...     np.array([[ground, cloud]], np.float32).transpose(2, 0, 1),
    ...     dims=("band", "y", "x"),
    ...     coords={"band": ["blue", "green", "red", "nir"]},
    ...     attrs={"level": "2A"},
    ... )
    >>> clear = oxr.mask_clouds(scene, method="threshold")
    >>> clear.sel(band="nir").values
    array([[0.3, nan]], dtype=float32)
    >>> clear.attrs["clouds"]
    'threshold rule of level 2A, blue - red / 2 above 0.060; no shadows: the sun is not known'
    """
    if method not in get_args(CloudMethod):
        raise InputError(f"method={method!r}", expected=", ".join(get_args(CloudMethod)))
    if dilation < 0:
        raise InputError(f"dilation={dilation} is negative", advice="give a radius in pixels")
    if not 0 <= threshold <= 1:
        raise InputError(f"threshold={threshold}", expected="a probability, 0 to 1")
    if (marks is None) == (method in ("scl", "probability")):
        raise InputError(
            f"method={method!r} with{'out' if marks is None else ''} marks",
            expected="marks for 'scl' (the scene classification) and 'probability' alone",
        )
    if method == "threshold":
        known = _level(cube, level)
        flagged, words = _by_rule(cube, rule or CloudRule(), known, sun, dilation)
        return _removed(cube, flagged, words)
    if method == "scl":
        flagged, words = _by_classes(_checked(cube, marks), classes, dilation)
        return _removed(cube, flagged, words)
    chances = _checked(cube, marks) if marks is not None else cloud_probability(cube)
    per_cent = np.issubdtype(chances.dtype, np.integer)
    limit = round(threshold * _PER_CENT, _DIGITS) if per_cent else threshold  # 29, not 28.99…
    flagged = _grown(_above(chances, limit), dilation)
    whose = "s2cloudless" if marks is None else "given"
    return _removed(cube, flagged, f"{whose} cloud probability above {threshold:g}; no shadows")


def _checked(cube: xr.DataArray, marks: xr.DataArray | None) -> xr.DataArray:
    """Return the marks of clouds, without a band, if they are on the cube's grid and dates."""
    assert marks is not None  # noqa: S101 - the caller has seen to it
    if marks.sizes.get("band") == 1:  # as rioxarray opens a file
        marks = marks.squeeze("band")
    marks = marks.drop_vars("band", errors="ignore")
    own = [d for d in cube.dims if d != "band"]
    if beside := [str(d) for d in marks.dims if d not in own]:
        raise InputError(
            f"what marks clouds has dims {', '.join(map(str, marks.dims))}",
            expected=f"{', '.join(map(str, own))}, as the scene's",
            advice=f"select one of {', '.join(beside)} first",
        )
    for dim in own:
        if dim not in marks.dims or not np.array_equal(cube[dim].values, marks[dim].values):
            raise InputError(
                f"what marks clouds and the scene differ in {dim} ({marks.sizes.get(dim)} and "
                f"{cube.sizes[dim]})",
                advice="open both for the same items and geobox",
            )
    return marks.transpose(*own)  # clouds grow along the last two


def _level(cube: xr.DataArray, given: str | None) -> Level:
    """Return the level of a cube's reflectance."""
    level: Any = given or cube.attrs.get("level")
    if level not in get_args(Level):
        found = "nothing tells" if level is None else f"level={level!r} is not"
        raise InputError(
            f"{found} the level of the reflectance, and air makes clear ground hazy at level 1C",
            expected="'1C' (top of atmosphere) or '2A' (surface)",
            advice="pass {level}",
        )
    return level


def _by_classes(
    scl: xr.DataArray, classes: Sequence[int] | np.ndarray, dilation: int
) -> tuple[xr.DataArray, str]:
    """Return what a scene classification calls clouded, and that in words."""
    named = ", ".join(map(str, classes))
    if not named or not all(0 <= c <= _LAST_CLASS for c in classes):
        raise InputError(
            f"SCL classes {named or 'none'} are not in 0 to {_LAST_CLASS}", advice="name some"
        )
    flagged = scl.isin(list(classes))
    growing = [c for c in classes if c in _GROWING]
    if dilation and growing:
        flagged = flagged | _grown(scl.isin(growing), dilation)
    return flagged, f"scene classification, classes {named}"


def _by_rule(
    cube: xr.DataArray,
    rule: CloudRule,
    level: Level,
    sun: tuple[float, float] | None,
    dilation: int,
) -> tuple[xr.DataArray, str]:
    """Return what the rule calls clouded or shaded, and that in words."""
    dims = [d for d in ("time", "band", "y", "x") if d in cube.dims]
    full = cube.transpose(*dims)
    lazy = full if isinstance(full.data, da.Array) else full.chunk()
    series = lazy if "time" in dims else lazy.expand_dims("time")
    mask, words = clouds_by_rule(series, rule, level, sun, dilation)
    data: Any = mask if "time" in dims else mask[0]
    like = full.isel(band=0, drop=True)
    return like.copy(data=data if lazy is full else data.compute()), words


def _above(chances: xr.DataArray, limit: float) -> xr.DataArray:
    """Return where a probability is above a limit; refuse, per chunk, what is none."""
    most = _PER_CENT if np.issubdtype(chances.dtype, np.integer) else 1
    data: Any = chances.data
    unknown = nodata_of(chances)
    if isinstance(data, da.Array):
        flagged: Any = data.map_blocks(_over, limit, most, unknown, dtype=bool)
    else:
        flagged = _over(data, limit, most, unknown)
    return chances.copy(data=flagged)


def _over(block: np.ndarray, limit: float, most: int, unknown: float | None) -> np.ndarray:
    known: Any = True if unknown is None else block != unknown
    highest = np.nanmax(block, initial=0, where=known)
    if highest > most:
        raise InputError(
            f"a cloud probability of {highest:g} ({block.dtype})",
            expected="integers to 100 (per cent) or floats to 1",
            advice="mask or scale what is no probability first",
        )
    return (block > limit) & known


def _grown(flagged: xr.DataArray, radius: int) -> xr.DataArray:
    """Grow True areas ([time,] y, x) by a disc."""
    data: Any = flagged.data
    if not radius:
        return flagged
    lazy = isinstance(data, da.Array)
    source: Any = data if lazy else da.from_array(data, chunks=data.shape)
    if source.ndim == 2:  # noqa: PLR2004 - y, x
        made: Any = grow(source, radius)
    else:
        made = da.stack([grow(one, radius) for one in source])
    return flagged.copy(data=made if lazy else made.compute())


def _removed(cube: xr.DataArray, flagged: xr.DataArray, words: str) -> xr.DataArray:
    """Return the cube with NaN where flagged."""
    extra = [c for c in flagged.coords if c not in cube.coords]
    masked = cube.where(~flagged.drop_vars(extra))
    return masked.transpose(*cube.dims).assign_attrs(cube.attrs | {"clouds": words})
