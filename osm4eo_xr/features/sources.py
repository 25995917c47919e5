"""What a group of features is read from, and what becomes of it: features with their units."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import xarray as xr

from osm4eo_xr.errors import InputError
from osm4eo_xr.feature_ids.ids import Feature
from osm4eo_xr.features.periods import PERIODS
from osm4eo_xr.rasters.files import list_files

if TYPE_CHECKING:
    import dask.array as da

    from osm4eo_xr.rasters.files import PathLike

__all__ = ["FeatureSource", "Layer"]

Kind = Literal["optical", "radar", "terrain", "alphaearth", "tessera", "raster"]
"""What a source is, by its name: s2, s1, dem, aef, tessera-VERSION, or any other."""

_NAMED: dict[str, Kind] = {"s2": "optical", "s1": "radar", "dem": "terrain", "aef": "alphaearth"}


@dataclass(frozen=True, eq=False)
class FeatureSource:
    """What a group of features is read from, and how.

    Attributes
    ----------
    data : DataArray, path, or sequence of paths
        A scene (band, y, x), a series of scenes (time, band, y, x) or a raster (y, x), float32 with
        NaN = no data and a grid; or files. Where several files hold the same band, a pixel has it
        from the first that knows it.
    bands : sequence of str, optional
        Which features, in this order; by default all but indices. ``s2``: bands, indices; ``dem``:
        height, slope, aspect_sin, aspect_cos; ``aef``: A00 to A63; ``tessera-…``: T000 to T127.
    names : sequence of str, optional
        What the bands of the files are, in order; by default what their descriptions or names
        state.
    unit : str
        ``s1``: whether gamma0 is "linear" power or "dB", which has to be stated. Of any other
        raster the unit, for people.
    by : {"", "month", "season", "year"}
        Divides a series into periods, each a group of its own; the group's name has no period then.
    statistics : sequence of str
        What a series becomes: "medoid" or "best" (see ``composite``) under the bands' names,
        and percentiles "p0" to "p100", as ``nir_p90``.
    resampling : str
        GDAL's method: nearest, bilinear, cubic, average or mode. By default cubic for ``s2`` and
        ``dem``, else bilinear; power is resampled, not dB. Embeddings are always the nearest.
    scale, offset, nodata : float, optional
        Of the numbers, in place of what the source states: value = number * scale + offset. They
        have to be given for a DataArray of floats that states ``scale_factor`` or ``add_offset``,
        as what was computed of its numbers states them too.

    Examples
    --------
    >>> import osm4eo_xr as oxr
    >>> oxr.FeatureSource("s1_2024.tif", bands=["vv_desc"], unit="dB").resampling
    ''
    """

    data: xr.DataArray | PathLike | Sequence[PathLike]
    bands: Sequence[str] | None = None
    names: Sequence[str] | None = None
    unit: str = ""
    by: Literal["", "month", "season", "year"] = ""
    statistics: Sequence[str] = ("medoid",)
    resampling: str = ""
    scale: float | None = None
    offset: float | None = None
    nodata: float | None = None

    def __post_init__(self) -> None:
        if self.by and self.by not in PERIODS:
            raise InputError(f"by {self.by!r}", expected=f"one of {', '.join(PERIODS)}")
        for name in ("bands", "names"):
            found = getattr(self, name)
            if found is not None and (isinstance(found, str) or not len(found)):
                raise InputError(
                    f"{name} {found!r}", expected="a list of names, or nothing for all"
                )
        if isinstance(self.statistics, str) or not len(self.statistics):
            raise InputError(
                f"statistics {self.statistics!r}", expected="a list such as ['p10', 'p90']"
            )

    @property
    def files(self) -> list[str]:
        """The files, if it is not a DataArray."""
        return [] if isinstance(self.data, xr.DataArray) else list_files(self.data)


@dataclass(frozen=True, eq=False)
class Layer:
    """Features of one group on the target grid.

    Attributes
    ----------
    source, period : str
        Of all of them.
    bands : tuple of str
        Their bands, in order.
    data : Array
        (feature, y, x) float32, NaN = no data; lazy.
    units, scaling, no_data : tuple of str
        For each feature: its unit, how it came from numbers, and which pixels have none.
    """

    source: str
    period: str
    bands: tuple[str, ...]
    data: da.Array
    units: tuple[str, ...]
    scaling: tuple[str, ...]
    no_data: tuple[str, ...]

    @property
    def ids(self) -> list[str]:
        """Ids of its features."""
        return [str(Feature(self.source, band, self.period)) for band in self.bands]


def kind_of(source: str) -> Kind:
    """Return what a source is.

    Raises
    ------
    InputError
        If it is TESSERA without a version, whose embeddings are of another space each.
    """
    if source.startswith("tessera"):
        if not source.startswith("tessera-"):
            raise InputError(
                f"source {source!r} states no version", expected="one such as tessera-1.1"
            )
        return "tessera"
    return _NAMED.get(source, "raster")


def as_source(given: Any) -> FeatureSource:
    """Return a source as it is given, or of a DataArray, ``composite``'s Dataset, or files."""
    if isinstance(given, FeatureSource):
        return given
    if isinstance(given, xr.Dataset):
        if "reflectance" not in given:
            raise InputError(
                f"Dataset with {', '.join(map(str, given.data_vars)) or 'nothing'}",
                expected="that of composite, or a DataArray",
            )
        given = given["reflectance"]
    return FeatureSource(given)


def chosen(wanted: Sequence[str] | None, known: Sequence[str], what: str) -> tuple[str, ...]:
    """Return the wanted names, all by default.

    Raises
    ------
    InputError
        If one is not known or is wanted twice.
    """
    if wanted is None:
        return tuple(known)
    strange = [name for name in wanted if name not in known]
    if strange:
        raise InputError(f"{what} has no {strange[0]!r}", expected=f"some of {', '.join(known)}")
    if len({*wanted}) < len(wanted):
        raise InputError(f"{what}: bands {', '.join(wanted)} name one twice")
    return tuple(wanted)
