"""``[[scenes]]`` of a country file: where the imagery of its tiles comes from."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Literal

from osm4eo_xr.errors import InputError
from osm4eo_xr.names import check_name
from osm4eo_xr.settings_io import check_value


def check_date(text: str, key: str) -> None:
    """Refuse what is no day of the calendar; nothing is no day and may stand."""
    try:
        date.fromisoformat(text or "2000-01-01")
    except ValueError:
        raise InputError(f"{key} = {text!r}", expected="a day, YYYY-MM-DD") from None


@dataclass(frozen=True)
class SceneFiles:
    """``[[scenes]]``: a tile, a tile per file of a glob, a composite of STAC items, or a search.

    Attributes
    ----------
    files : tuple of str
        Paths or globs, relative to the country file.
    stac : str
        Path of a STAC catalog, collection, item or item collection, instead of ``files``; needs
        ``tile`` and ``bounds``.
    search : str
        Catalog to search, instead of ``files`` and ``stac``: "earth-search",
        "planetary-computer", "cdse", or the root of a STAC API; needs ``period`` and a boundary.
        ``osm4eo-xr search`` freezes what it finds.
    collection : str
        Where to search; left out, the catalog's Sentinel-2 surface reflectance.
    period : tuple of str
        First and last day of the search, YYYY-MM-DD.
    months : tuple of int
        Only these months of the period, 1 to 12.
    max_cloud : float
        Most cloud cover of an item, per cent.
    limit : int
        Most items per tile; the clearest are taken.
    grid : {"laea", "mgrs"}
        Tiles of a search: squares of 100 km of EPSG:3035, or Sentinel-2's.
    tile : str
        Id of the tile; left out, every file is a tile called after its stem.
    date : str
        Day of acquisition, YYYY-MM-DD; left out, the country's.
    bands : tuple of str
        Bands to read; left out, all that the method knows, or four of 10 m of STAC items.
    bounds : tuple of float
        West, south, east, north of the composite, in ``bounds_crs``.
    bounds_crs : str
        CRS of ``bounds``; left out, degrees (EPSG:4326).
    composite : {"medoid", "median", "best"}
        How items become one scene.
    clouds : int
        Pixels around clouds that are masked as well; -1 masks no clouds.
    mask_clouds : {"", "scl", "threshold", "s2cloudless"}
        How clouds are told, as ``method`` of ``mask_clouds``; left out, by the scene
        classification of items, and not at all in ``files``.
    level : {"", "1C", "2A"}
        Of the reflectance, for "threshold"; left out, what products and names of items tell.
    scale, offset : float
        Reflectance is ``DN * scale + offset``; left out, what files, items and metadata state.
    skip_unreadable : bool
        Whether items of ``stac`` or ``search`` that cannot be read are left out; the report says
        which.
    nodata : float
        Digital number of ``files`` that is no data; left out, what they state.
    """

    files: tuple[str, ...] = ()
    stac: str = ""
    search: str = ""
    collection: str = ""
    period: tuple[str, ...] = ()
    months: tuple[int, ...] = ()
    max_cloud: float = 60.0
    limit: int = 8
    grid: Literal["laea", "mgrs"] = "laea"
    tile: str = ""
    date: str = ""
    bands: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()
    bounds_crs: str = "EPSG:4326"
    composite: Literal["medoid", "median", "best"] = "medoid"
    clouds: int = 2
    mask_clouds: Literal["", "scl", "threshold", "s2cloudless"] = ""
    level: Literal["", "1C", "2A"] = ""
    scale: float | None = None
    offset: float | None = None
    nodata: float | None = None
    skip_unreadable: bool = False

    def __post_init__(self) -> None:
        sources = [bool(self.files), bool(self.stac), bool(self.search)]
        known = "paths or globs, or else stac = a catalog file or search = a catalog's name"
        check_value(sum(sources) == 1, "files", self.files, known)
        check_date(self.date, "date")
        if self.tile:
            check_name(self.tile, "tile")
        check_value(self.scale is None or self.scale > 0, "scale", self.scale, "above 0")
        if not self.files:
            check_value(self.nodata is None, "nodata", self.nodata, "nothing there; items state it")
        if self.stac:
            check_value(bool(self.tile), "tile", self.tile, "an id, as the scene has stac")
            four = len(self.bounds) == 4  # noqa: PLR2004 - west, south, east, north
            check_value(four, "bounds", self.bounds, "west, south, east, north")
        if self.search:
            self._check_search()

    def _check_search(self) -> None:
        check_value(not self.tile, "tile", self.tile, "none: a search names its tiles")
        two = len(self.period) == 2  # noqa: PLR2004 - first and last day
        check_value(two, "period", self.period, "first and last day, YYYY-MM-DD")
        for day in self.period:
            check_date(day, "period")
        check_value(self.period[0] <= self.period[1], "period", self.period, "first, then last")
        check_value({*self.months} <= {*range(1, 13)}, "months", self.months, "1 to 12")
        check_value(0 <= self.max_cloud <= 100, "max_cloud", self.max_cloud, "0 to 100 per cent")  # noqa: PLR2004
        check_value(self.limit > 0, "limit", self.limit, "1 item or more")
