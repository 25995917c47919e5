"""Where the sun stood, from metadata or from time and place, and which way shadows fall."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from odc.geo.crs import CRS

from osm4eo_xr.errors import InputError

if TYPE_CHECKING:
    import xarray as xr
    from jaxtyping import Int64
    from odc.geo.geobox import GeoBox

_LOWEST = 80.0  # zenith beyond which shadows are too long to be told apart, degrees
_EPOCH = np.datetime64("2000-01-01T12:00:00", "s")
_DAY = 86400.0

SUN_NAMES = ("sun_azimuth", "sun_zenith")
"""Attrs of scenes, or coordinates of cubes: what metadata say of the sun, in degrees."""


@dataclass(frozen=True)
class Sun:
    """Where the sun stands.

    Attributes
    ----------
    azimuth : float
        Degrees clockwise from true north.
    zenith : float
        Degrees from straight above.
    """

    azimuth: float
    zenith: float


def sun_position(time: np.datetime64, lon: float, lat: float) -> Sun:
    """Return the sun's place in the sky.

    Parameters
    ----------
    time : datetime64
        UTC.
    lon, lat : float
        Degrees.

    Returns
    -------
    Sun
        Within 0.02° of the almanac from 1950 to 2050, without refraction.

    Source
    ------
    The Astronomical Almanac's formulas of low precision, as in Michalsky (1988),
    doi:10.1016/0038-092X(88)90045-X.

    Examples
    --------
    >>> noon = np.datetime64("2023-06-21T12:00:00")
    >>> round(sun_position(noon, lon=0.0, lat=51.5).zenith, 1)
    28.1
    """
    days = float((time.astype("datetime64[ms]") - _EPOCH) / np.timedelta64(1, "s")) / _DAY
    anomaly = math.radians(357.528 + 0.9856003 * days)
    longitude = math.radians(
        280.460 + 0.9856474 * days + 1.915 * math.sin(anomaly) + 0.020 * math.sin(2 * anomaly)
    )
    tilt = math.radians(23.439 - 4e-7 * days)
    ascension = math.atan2(math.cos(tilt) * math.sin(longitude), math.cos(longitude))
    declination = math.asin(math.sin(tilt) * math.sin(longitude))
    sidereal = 15 * (6.697375 + 0.0657098242 * days + 24 * ((days + 0.5) % 1))
    hour, here = math.radians(sidereal + lon) - ascension, math.radians(lat)
    height = math.sin(here) * math.sin(declination)
    height += math.cos(here) * math.cos(declination) * math.cos(hour)
    east = -math.sin(hour) * math.cos(declination)
    north = math.cos(here) * math.sin(declination)
    north -= math.sin(here) * math.cos(declination) * math.cos(hour)
    return Sun(math.degrees(math.atan2(east, north)) % 360, math.degrees(math.acos(height)))


def is_sun(azimuth: float, zenith: float) -> bool:
    """Whether a sun over the horizon can stand there; not a number can not."""
    return 0 <= azimuth <= 360 and 0 <= zenith < 90  # noqa: PLR2004 - degrees


def suns_of(
    cube: xr.DataArray, grid: GeoBox | None, given: tuple[float, float] | None
) -> list[Sun | None]:
    """Return the sun of each date of a cube (of its one date if it has no dim ``time``).

    The order of trust: what the caller gives; ``sun_azimuth`` and ``sun_zenith``, coordinates of
    ``time`` or, of a single date, attrs, which come from metadata; and else what time and place
    give. Attrs of a series are those of its first scene. The time is that of the coordinate
    ``time`` or the attr ``date``; one of midnight sharp is a day without its hour.

    Returns
    -------
    list of Sun or None
        None where nothing tells.

    Raises
    ------
    InputError
        If what the caller gives is no azimuth and zenith.
    """
    dates = cube.sizes.get("time", 1)
    alone = dates == 1 and not set(SUN_NAMES) <= set(cube.coords)
    told: Any = given or [cube.attrs.get(name) if alone else None for name in SUN_NAMES]
    if None not in told:
        azimuth, zenith = (float(value) for value in told)
        if not is_sun(azimuth, zenith):
            raise InputError(
                f"sun {azimuth:g}, {zenith:g}",
                expected="azimuth (0 to 360) and zenith (0 to 90), in degrees",
            )
        return [Sun(azimuth, zenith) for _ in range(dates)]
    stated = _stated(cube, dates)
    if grid is None or grid.crs is None:
        return stated
    lon, lat = _middle(grid)
    times = _times(cube, dates)
    return [sun or _sun_at(time, lon, lat) for sun, time in zip(stated, times, strict=True)]


def _stated(cube: xr.DataArray, dates: int) -> list[Sun | None]:
    """Return the sun of each date by the cube's coordinates; None where they do not tell it."""
    if not set(SUN_NAMES) <= set(cube.coords):
        return [None] * dates
    pairs = zip(*(np.atleast_1d(cube[name].values).tolist() for name in SUN_NAMES), strict=True)
    return [Sun(*pair) if is_sun(*pair) else None for pair in pairs]


def _times(cube: xr.DataArray, dates: int) -> list[np.datetime64 | None]:
    """Return when each date was seen, UTC; None where nothing tells."""
    if "time" in cube.coords:
        times = np.atleast_1d(cube["time"].values)
        known = np.issubdtype(times.dtype, np.datetime64)
        return list(times) if known else [None] * dates
    text = str(cube.attrs.get("date") or cube.attrs.get("datetime") or "")
    try:
        return [np.datetime64(text.removesuffix("Z"))] * dates if text else [None] * dates
    except ValueError:
        return [None] * dates


def _sun_at(time: np.datetime64 | None, lon: float, lat: float) -> Sun | None:
    if time is None or np.isnat(time) or time == time.astype("datetime64[D]"):
        return None
    sun = sun_position(time, lon, lat)
    return sun if sun.zenith < 90 else None  # noqa: PLR2004 - below the horizon nothing is seen


def steps_to_sun(
    grid: GeoBox, sun: Sun | None, heights: tuple[float, float]
) -> Int64[np.ndarray, "step two"]:
    """Return where to look for the cloud that shades a pixel.

    A cloud at height h shades the ground h tan(zenith) away from it, away from the sun. The
    satellite is taken to look straight down (its view strays by up to 11°), the ground to be flat,
    and the direction of the grid's middle to hold for all of it.

    Parameters
    ----------
    grid : GeoBox
        Of the scene, in any CRS.
    sun : Sun or None
        None: no shadows.
    heights : tuple of float
        Least and greatest height of clouds above the ground, m.

    Returns
    -------
    ndarray (step, 2) int64
        Rows and columns to add to a pixel's, each once, near to far; empty without a sun or
        with one below 10° over the horizon.
    """
    if sun is None or sun.zenith > _LOWEST:
        return np.empty((0, 2), np.int64)
    near, far = (h * math.tan(math.radians(sun.zenith)) for h in heights)
    lon, lat = _middle(grid)
    geod: Any = CRS("EPSG:4326").proj.get_geod()
    there = geod.fwd(lon, lat, sun.azimuth, far)[:2]
    crs: Any = grid.crs
    onto = CRS("EPSG:4326").transformer_to_crs(crs)
    (col0, row0), (col1, row1) = (~grid.affine @ onto(*place) for place in ((lon, lat), there))
    way = np.array([row1 - row0, col1 - col0])
    count = 2 * int(np.ceil(np.abs(way).max())) + 1
    shares = np.linspace(near / far, 1, count) if far > 0 else np.zeros(1)
    steps = np.rint(shares[:, np.newaxis] * way).astype(np.int64)
    _, first = np.unique(steps, axis=0, return_index=True)
    return steps[np.sort(first)]


def _middle(grid: GeoBox) -> tuple[float, float]:
    """Return longitude and latitude of a grid's middle."""
    height, width = grid.shape
    place = grid.affine @ (width / 2, height / 2)
    crs: Any = grid.crs
    lon, lat = CRS(crs).transformer_to_crs(CRS("EPSG:4326"))(*place)
    return float(lon), float(lat)
