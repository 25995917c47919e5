"""What a map carries around its pixels: coordinates, graticule, scale bar, north arrow."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patheffects import AbstractPathEffect, withStroke
from matplotlib.ticker import FuncFormatter, MaxNLocator
from odc.geo.crs import CRS
from odc.geo.geobox import GeoBox
from rasterio.warp import transform

from osm4eo_xr.geometry.geodesy import meters_per_unit

_DEGREES = "EPSG:4326"
_GEOD: Any = CRS(_DEGREES).proj.get_geod()

# Degrees between two lines of a graticule: whole parts of degrees, minutes and seconds.
_STEPS = (
    *(30.0, 20.0, 10.0, 5.0, 2.0, 1.0),
    *(n / 60 for n in (30, 20, 10, 5, 2, 1)),
    *(n / 3600 for n in (30, 20, 10, 5, 2, 1)),
)
_FEWEST = 2  # lines that a graticule has in each direction, if its steps allow
_MARGIN = 0.07  # of the span of degrees: no line so near an edge, which would cut its degrees
_LATTICE = 40  # places on a side at which longitude and latitude are worked out
_BAR = 0.25  # of the width: the longest scale bar
_HALO: list[AbstractPathEffect] = [withStroke(linewidth=1.5, foreground="white")]


def frame_map(axis: Axes, geobox: GeoBox) -> None:
    """Give a map that is drawn in coordinates of its CRS a frame that says where it lies."""
    _number_axes(axis, geobox)
    _draw_graticule(axis, geobox)
    _draw_scale_bar(axis, geobox)
    _draw_north_arrow(axis, geobox)


def _number_axes(axis: Axes, geobox: GeoBox) -> None:
    """Label both axes with as many digits as tell their ticks apart."""
    geographic = geobox.crs is not None and geobox.crs.geographic
    known = geobox.crs is not None and geobox.crs.projected
    unit, size = ("°", 1.0) if geographic else ("km", 1000.0)
    if known:
        size /= meters_per_unit(geobox.crs)
    names = ("longitude", "latitude") if geographic else ("easting", "northing")
    for part, name, count in zip((axis.xaxis, axis.yaxis), names, (3, 5), strict=True):
        part.set_major_locator(_Multiples(count, size))
        ticks = np.asarray(part.get_majorticklocs())
        digits = _digits((ticks[1] - ticks[0]) / size) if len(ticks) > 1 else 0
        part.set_major_formatter(FuncFormatter(lambda v, _, d=digits: f"{v / size:.{d}f}"))
        part.set_label_text(f"{name} / {unit}", fontsize=7)
    axis.tick_params(labelsize=7)


class _Multiples(MaxNLocator):
    """Ticks at round numbers of a unit that an axis does not count in."""

    def __init__(self, count: int, unit: float) -> None:
        super().__init__(count, steps=[1, 2, 5, 10])
        self._unit = unit

    def tick_values(self, vmin: float, vmax: float) -> Any:  # an array, as the class above gives
        """Return the places of the ticks between two others."""
        found = super().tick_values(vmin / self._unit, vmax / self._unit)
        return np.asarray(found) * self._unit


def _digits(step: float) -> int:
    """Return the decimals that a multiple of a step needs."""
    return max(0, -math.floor(math.log10(step) + 1e-9))


def _draw_graticule(axis: Axes, geobox: GeoBox) -> None:
    """Draw lines of longitude and latitude, with their degrees."""
    x, y, lon, lat = _lattice(geobox)
    for values, (positive, negative) in ((lon, "EW"), (lat, "NS")):
        margin = _MARGIN * float(np.ptp(values))
        low, high = float(values.min()) + margin, float(values.max()) - margin
        step = _graticule_step(low, high)
        levels = np.arange(math.ceil(low / step), math.floor(high / step) + 1)
        if not len(levels):
            continue
        style: Any = {"colors": "0.15", "linewidths": 0.4, "alpha": 0.6, "negative_linestyles": "-"}
        lines = axis.contour(x, y, values, levels=levels * step, **style)
        named = {level: _in_degrees(level, positive, negative) for level in lines.levels}
        for text in axis.clabel(lines, fmt=named, fontsize=6, colors="0.1"):
            text.set_path_effects(_HALO)


def _lattice(geobox: GeoBox) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return places over a grid in its CRS and in degrees, without a jump at the antimeridian."""
    box = geobox.boundingbox
    xs = np.linspace(box.left, box.right, _LATTICE)
    ys = np.linspace(box.bottom, box.top, _LATTICE)
    x, y = np.meshgrid(xs, ys)
    lon, lat = transform(str(geobox.crs), _DEGREES, x.ravel().tolist(), y.ravel().tolist())[:2]
    longitudes = np.asarray(lon).reshape(x.shape)
    for axis in (1, 0):  # within rows, then from row to row
        longitudes = np.unwrap(longitudes, period=360, axis=axis)
    return x, y, longitudes, np.asarray(lat).reshape(x.shape)


def _graticule_step(low: float, high: float) -> float:
    """Return the largest step of which enough multiples lie between two values."""
    for step in _STEPS:
        if math.floor(high / step) - math.ceil(low / step) + 1 >= _FEWEST:
            return step
    return _STEPS[-1]


def _in_degrees(value: float, positive: str, negative: str) -> str:
    """Write an angle as degrees, minutes and seconds, as far as it has them, and its side."""
    value = (value + 180) % 360 - 180 if abs(value) > 180 else value  # noqa: PLR2004 - all around
    side = positive if value >= 0 else negative
    seconds = round(abs(value) * 3600)
    degrees, minutes, rest = seconds // 3600, seconds // 60 % 60, seconds % 60
    parts = [f"{degrees}°", f"{minutes:02d}'" if minutes or rest else ""]
    return "".join([*parts, f'{rest:02d}"' if rest else "", side])


def _draw_scale_bar(axis: Axes, geobox: GeoBox) -> None:
    """Draw a bar of a round length, as it is on the ground along the lower edge."""
    box = geobox.boundingbox
    across = _ground_distance(geobox, (box.left, box.bottom), (box.right, box.bottom))
    length = _round_down(_BAR * across)
    share = length / across
    low, left = 0.045, 0.04
    where: Any = {"transform": axis.transAxes, "clip_on": False, "solid_capstyle": "butt"}
    axis.plot([left, left + share], [low, low], color="white", linewidth=4, **where)
    axis.plot([left, left + share], [low, low], color="black", linewidth=2, **where)
    shown = f"{length / 1000:g} km" if length >= 1000 else f"{length:g} m"  # noqa: PLR2004
    text = axis.text(left + share / 2, low + 0.018, shown, transform=axis.transAxes)
    text.set(ha="center", va="bottom", fontsize=6.5, path_effects=_HALO)


def _round_down(length: float) -> float:
    """Return the greatest of 1, 2, 5, 10, 20 … that is not above a length."""
    power = 10.0 ** math.floor(math.log10(length))
    return next(m * power for m in (5, 2, 1) if m * power <= length)


def _ground_distance(geobox: GeoBox, one: tuple[float, float], other: tuple[float, float]) -> float:
    """Return the meters between two places of a grid's CRS, on the ellipsoid."""
    lon, lat = transform(str(geobox.crs), _DEGREES, [one[0], other[0]], [one[1], other[1]])[:2]
    return _GEOD.inv(lon[0], lat[0], lon[1], lat[1])[2]


def _draw_north_arrow(axis: Axes, geobox: GeoBox) -> None:
    """Draw an arrow to true north as it is at the upper right corner, where the arrow stands."""
    box = geobox.boundingbox
    place = box.right - 0.06 * box.span_x, box.top - 0.1 * box.span_y
    lon, lat = (v[0] for v in transform(str(geobox.crs), _DEGREES, [place[0]], [place[1]])[:2])
    ahead = min(lat + 1e-4, 90.0)
    x, y = (v[0] for v in transform(_DEGREES, str(geobox.crs), [lon], [ahead])[:2])
    long = math.hypot(x - place[0], y - place[1])
    if not (math.isfinite(long) and long > 0):
        return  # at the pole every way leads south
    dx, dy = (x - place[0]) / long, (y - place[1]) / long
    points = 12  # half its length
    middle: Any = {"xy": place, "xycoords": "data", "textcoords": "offset points"}
    arrow = {"arrowstyle": "-|>", "color": "black", "linewidth": 1.2}
    axis.annotate("", xytext=(-points * dx, -points * dy), arrowprops=arrow, **middle)
    named = axis.annotate("N", xytext=(6 * dx, 6 * dy), ha="center", va="center", **middle)
    named.set(fontsize=7, path_effects=_HALO)
