"""Whether numbers can be reflectance: a look at a few blocks, by stated rules.

The rules, on valid reflectances (r) of each band that is looked at:

=================  ==================================  =============================================
rule               refused if                          for
=================  ==================================  =============================================
impossible lows    r < -0.2 in over 0.1 %              fill that nobody tags (-9999, -32768)
negative           r < -0.02 in over 5 %               an offset applied twice, or to pixels that
                                                       have lost it
wrapped            r > 5 in over 0.1 %, none > 6.5536  numbers below 0 that were stored as uint16
too bright         r > 2.5 in over 1 %                 digital numbers, percent, 0-255, radiances
too dark           r < 0.005 in 99 %, all bands        a scale applied twice
framed             r <= 0, the same in all bands,      a frame of 0 that nobody tags
                   in over 1 %
=================  ==================================  =============================================

Sources of the bounds: over land, water, snow and clouds Sentinel-2's surface reflectance lies
within -0.01 and 2 but for single pixels (the scenes of the tests among them); offsets are -0.1, and
digital number 0 is no data, so that -0.1 is the least that an offset can make.

``open_scene`` looks at the middle of a band or two, as it opens headers. A whole scene is looked at
by ``check_scene``, which the commands and country runs call before they work.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import dask.base
import numpy as np
import xarray as xr

from osm4eo_xr.errors import InputError, InputWarning

LEAST_PIXELS = 100
"""Fewer valid pixels of a band tell nothing."""

_SPOT = 128  # pixels; edge of each place of a scene that is looked at
_PLACES = ((0, 0.5, 1), (0.25, 0.75))  # along both sides
_LOWEST, _LOW_SHARE = -0.2, 1e-3
_NEGATIVE, _NEGATIVE_SHARE = -0.02, 0.05
_WRAPPED, _WRAPPED_SHARE = 5.0, 1e-3
_UINT16 = 6.5536  # reflectance of the greatest digital number
_BRIGHTEST, _BRIGHT_SHARE = 2.5, 0.01
_FRAME_SHARE = 0.01

DARKEST = 0.005
"""A scene with less reflectance than this in 99 % of every band is too dark."""


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong: the evidence, what reflectance is like, what settles it."""

    given: str
    expected: str
    advice: str


def judge_band(values: np.ndarray, *, integer: bool | None = None) -> Finding | None:
    """Return the first rule for single bands that valid reflectances break, or None.

    Parameters
    ----------
    values : ndarray
        Valid reflectances of one band, any shape, without NaN.
    integer : bool, optional
        Whether they were stored as integers, if known.
    """
    if values.size < LEAST_PIXELS:
        return None
    lows = values[values < _LOWEST]
    if lows.size > _LOW_SHARE * values.size:
        number, count = _commonest(lows)
        return Finding(
            f"{share_of(lows.size, values.size)} of the values are below {_LOWEST} (least "
            f"{values.min():.4g}; {share_of(count, values.size)} are {number:.5g}), which no "
            f"reflectance is",
            "a no-data value for fill",
            "state the stored number with {nodata}, or tag the file",
        )
    negative = np.count_nonzero(values < _NEGATIVE)
    if negative > _NEGATIVE_SHARE * values.size:
        return Finding(
            f"{share_of(negative, values.size)} of the reflectances are below {_NEGATIVE} "
            f"({_quantiles(values)}), as where an offset is applied to pixels that have lost it",
            f"at most {_NEGATIVE_SHARE:.0%} of them",
            "pass {offset=0} if it was removed from the pixels",
        )
    wrapped = np.count_nonzero(values > _WRAPPED)
    whole = integer is not False and values.max() <= _UINT16
    if whole and wrapped > _WRAPPED_SHARE * values.size:
        return Finding(
            f"{share_of(wrapped, values.size)} of the values would be reflectances above "
            f"{_WRAPPED:g} ({_quantiles(values)}), as numbers below 0 that were stored as uint16",
            f"reflectances up to {_BRIGHTEST}",
            "make the file again from its source, or pass {scale}",
        )
    bright = np.count_nonzero(values > _BRIGHTEST)
    if bright > _BRIGHT_SHARE * values.size:
        return Finding(
            f"{share_of(bright, values.size)} of the values would be reflectances above "
            f"{_BRIGHTEST} ({_quantiles(values)}), as digital numbers, percent, 0-255 or radiances "
            f"are",
            f"at most {_BRIGHTEST}",
            "pass {scale}: 1e-4 for x10000, 1e-3 for x1000, 1e-2 for percent; radiances cannot be "
            "used",
        )
    return None


def judge_bands(values: np.ndarray) -> Finding | None:
    """Return the first rule for all bands together that (band, pixel) values break, or None.

    NaN is no data.
    """
    valid = values[np.isfinite(values)]
    if valid.size < LEAST_PIXELS:
        return None
    top = max(float(np.percentile(b[np.isfinite(b)], 99)) for b in values if np.isfinite(b).any())
    if top < DARKEST:
        return too_dark(top)
    seen = values[:, np.isfinite(values).all(axis=0)]
    alike = seen[0, (seen == seen[0]).all(axis=0)] if len(seen) > 1 else seen[0, :0]
    frame = alike[alike <= 0]
    number, count = _commonest(frame) if frame.size else (0.0, 0)
    if count > _FRAME_SHARE * seen.shape[1]:
        return Finding(
            f"{share_of(count, seen.shape[1])} of the pixels are {number:.4g} in every band, as a "
            f"frame that nobody tagged",
            "a no-data value for fill",
            "state the stored number with {nodata}, or tag the file",
        )
    return None


def too_dark(top: float) -> Finding:
    """Return what is wrong where 99 % of every band lie below ``top`` (reflectance)."""
    return Finding(
        f"99 % of the reflectances of every band are below {top:.2g}, as where a scale is applied "
        f"twice",
        f"some above {DARKEST}",
        "pass {scale=1} if the numbers are reflectance already",
    )


def check_scene(scene: xr.DataArray, name: str = "", *, settled: bool = False) -> float:
    """Look at places all over a scene and refuse numbers that cannot be reflectance.

    Thirteen places of at most 128 x 128 pixels are read, corners and edges among them. For a cube
    every date is looked at.

    Parameters
    ----------
    scene : DataArray
        ([time,] band, y, x) reflectance, NaN = no data; lazy or not.
    name : str
        What messages call it.
    settled : bool
        Whether the caller stated scale or offset, so that findings are warnings.

    Returns
    -------
    float
        Share (0-1) of the values at these places that are no data: a sample.

    Raises
    ------
    InputError
        If a rule of ``imagery.plausibility`` is broken, with the evidence and the option that
        settles it.

    Examples
    --------
    >>> import numpy as np, osm4eo_xr as oxr, xarray as xr
    >>> scene = xr.DataArray(np.full((1, 50, 50), 64500 * 1e-4), dims=("band", "y", "x"))
    >>> oxr.check_scene(scene, "tile.tif")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
      ...
    osm4eo_xr.errors.InputError: tile.tif, band 0: 100 % of the values would be reflectances ...
    """
    dates = (
        [scene]
        if "time" not in scene.dims
        else [scene.isel(time=t) for t in range(scene.sizes["time"])]
    )
    without = []
    for date in dates:
        where = name or str(date.coords["item"].item() if "item" in date.coords else scene.name)
        values = places_of(date)
        check_places(values, _names(date), where, settled=settled)
        without.append(float(np.isnan(values).mean()))
    return sum(without) / max(len(without), 1)


def check_places(
    values: np.ndarray, names: Sequence[str], where: str, *, settled: bool = False
) -> None:
    """Judge (band, pixel) reflectances, NaN = no data, as ``check_scene`` does."""
    report(_findings(values, names), where, settled=settled)


def places_of(scene: xr.DataArray) -> np.ndarray:
    """Return (band, pixel) values of thirteen places of a (band, y, x) scene."""
    spots = [
        scene.isel(y=_spot(row, scene.sizes["y"]), x=_spot(col, scene.sizes["x"]))
        for shares in _PLACES
        for row in shares
        for col in shares
    ]
    read: tuple[xr.DataArray, ...] = dask.base.compute(*spots)
    return np.concatenate(
        [s.transpose("band", "y", "x").to_numpy().reshape(s.sizes["band"], -1) for s in read],
        axis=1,
    )


def report(findings: Iterable[tuple[str, Finding]], where: str, *, settled: bool = False) -> None:
    """Refuse the first finding, or warn of it where the caller has stated scale or offset."""
    for place, finding in findings:
        said = InputError(
            f"{where}{place}: {finding.given}", expected=finding.expected, advice=finding.advice
        )
        if not settled:
            raise said
        warnings.warn(InputWarning(said), stacklevel=3)
        return


def _findings(values: np.ndarray, names: Sequence[str]) -> Iterable[tuple[str, Finding]]:
    """Yield what is wrong with (band, pixel) values, band by band and then together."""
    for band, name in zip(values, names, strict=True):
        found = judge_band(band[np.isfinite(band)])
        if found is not None:
            yield f", band {name}", found
    found = judge_bands(values)
    if found is not None:
        yield "", found


def _spot(share: float, size: int) -> slice:
    start = round(share * max(0, size - _SPOT))
    return slice(start, start + _SPOT)


def _names(scene: xr.DataArray) -> list[str]:
    named: Any = scene["band"].values if "band" in scene.coords else range(scene.sizes["band"])
    return [str(n) for n in named]


def _commonest(values: np.ndarray) -> tuple[float, int]:
    found, counts = np.unique(values, return_counts=True)
    place = int(counts.argmax())
    return float(found[place]), int(counts[place])


def share_of(part: Any, whole: int) -> str:
    """Write a share for people, in per cent."""
    return f"{100 * int(part) / whole:.3g} %"


def _quantiles(values: np.ndarray) -> str:
    low, middle, high = np.percentile(values, (5, 50, 95))
    return f"5, 50 and 95 %: {low:.3g}, {middle:.3g}, {high:.3g}"
