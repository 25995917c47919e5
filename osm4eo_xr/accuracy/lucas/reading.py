"""LUCAS points and Copernicus polygons → places with classes, filtered by stated rules.

Columns are those of Eurostat's micro data of 2018 (POINT_ID, TH_LAT, TH_LONG, OBS_TYPE, OBS_DIST,
OBS_DIRECT, LC1, LC1_PERC, LU1, PARCEL_AREA_HA …) and of 2022 (POINT_LAT, POINT_LONG, SURVEY_LC1 …),
in upper or lower case; Copernicus polygons bear the same columns. Codes are those of the surveyors'
instructions (technical reference document C1): OBS_TYPE 1 = seen from up to 100 m, 2 = from
farther, 3 and 7 = photo-interpreted in the field and in the office, 4 to 6 = not observed;
OBS_DIRECT 1 = on the point, 2 and 3 = beside a boundary; PARCEL_AREA_HA 1 to 5 = from 0, 0.1, 0.5,
1 and 10 ha on.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from osm4eo_xr.accuracy.lucas.crosswalk import class_of, read_rules
from osm4eo_xr.errors import InputError
from osm4eo_xr.geometry.vectors import TABLE_SUFFIXES, check_layer, read_table, read_vector
from osm4eo_xr.legend import Legend, default_legend

if TYPE_CHECKING:
    import geopandas as gpd
    import pandas as pd

__all__ = ["read_lucas", "weights_of"]

_NAMES = {
    "id": ("point_id",),
    "lat": ("th_lat", "point_lat"),
    "lon": ("th_long", "point_long", "point_lon"),
    "observed": ("obs_type", "survey_obs_type"),
    "distance": ("obs_dist", "survey_obs_dist"),
    "direction": ("obs_direct", "survey_obs_direct"),
    "cover": ("lc1", "survey_lc1"),
    "share": ("lc1_perc", "survey_lc1_perc"),
    "use": ("lu1", "survey_lu1"),
    "parcel": ("parcel_area_ha", "survey_parcel_area_ha"),
    "weight": ("wgt_lucas", "weight"),
}
_NEEDED = ("id", "cover", "use")
_PARCELS = {1: 0.0, 2: 0.1, 3: 0.5, 4: 1.0, 5: 10.0}  # code → least hectares
_SEEN = {"field": (1, 2, 3), "near": (1,), "all": (1, 2, 3, 7)}
_ON_THE_POINT = 1
_SMALLEST = 2
_LAEA = 3035


def read_lucas(
    path: str | Path,
    *,
    legend: Legend | None = None,
    crosswalk: str | Path | None = None,
    observed: str = "all",
    max_distance: float | None = None,
    min_parcel: float = 0.0,
    min_share: float = 0.0,
    on_the_point: bool = False,
    layer: str = "",
) -> gpd.GeoDataFrame:
    """Read points or Copernicus polygons of LUCAS 2018 or 2022, with classes of a legend.

    Filters leave out ground that a pixel of 10 m cannot show, and with it a part of the country
    that maps get wrong more often: figures of filtered points are for homogeneous ground. ``attrs``
    of the result counts what each filter left out, and why points have no class, and names the
    legend.

    Parameters
    ----------
    path : path
        Table (.csv, .tsv) or vector file of points or polygons.
    legend : Legend, optional
        By default the twelve classes of OSMlanduse.
    crosswalk : path, optional
        TOML with rules as in ``accuracy/lucas/classes.toml``, which is the default.
    observed : {"all", "field", "near"}
        All points that somebody interpreted, those visited, or those seen from up to 100 m.
    max_distance : float, optional
        Greatest distance in meters from the surveyor to the point.
    min_parcel : float
        Least area of the parcel in hectares, by the class that the surveyor noted.
    min_share : float
        Least share of the ground that the land cover covers, 0 to 1.
    on_the_point : bool
        Leave out points on a boundary, where the surveyor looked to the north or the east.
    layer : str
        Which of several layers of a vector file.

    Returns
    -------
    GeoDataFrame
        On EPSG:3035, a row per point: ``id``, ``class`` (slug, empty if undecided), ``why``,
        ``lc1``, ``lu1``, and ``weight`` where the file has WGT_LUCAS. Polygons become their
        theoretical point, or one inside.

    Raises
    ------
    InputError
        If the file cannot be read, lacks a column that is needed, no point is left, one that is
        left has a weight that is no number above 0, or an argument is out of range.

    Examples
    --------
    >>> import pandas as pd, osm4eo_xr as oxr
    >>> names = ["POINT_ID", "TH_LAT", "TH_LONG", "OBS_TYPE", "LC1", "LU1"]
    >>> rows = [[38863102, 50.863822, 3.812953, 1, "A11", "U370"]]
    >>> pd.DataFrame(rows, columns=names).to_csv("EU_2018.csv", index=False)
    >>> oxr.read_lucas("EU_2018.csv")["class"].tolist()
    ['urban']
    """
    if observed not in _SEEN:
        raise InputError(f"observed {observed!r} is unknown", expected=", ".join(_SEEN))
    if not 0 <= min_share <= 1:
        raise InputError(f"min_share is {min_share}", expected="a share, 0 to 1")
    legend, name = legend or default_legend(), Path(path).name
    rules = read_rules(crosswalk, legend)
    table = _table(Path(path), name, layer)
    kept = np.ones(len(table), bool)
    left_out: dict[str, int] = {}
    for reason, passes in _filters(
        table, name, observed, max_distance, min_parcel, min_share, on_the_point=on_the_point
    ):
        left_out[reason] = int((kept & ~passes).sum())
        kept &= passes
    passed: Any = table[kept]
    twice = passed["id"].duplicated()  # of the rows that pass, the first counts
    left_out["twice"] = int(twice.sum())
    passed = passed[~twice]
    if "weight" in passed:
        passed = passed.assign(weight=weights_of(passed["weight"], name))
    table = passed.reset_index(drop=True)
    if not len(table):
        said = ", ".join(f"{n} {reason}" for reason, n in left_out.items() if n)
        raise InputError(f"{name} has no point left: {said}", advice="loosen the filters")
    codes = zip(table["cover"], table["use"], strict=True)
    found = [class_of(rules, cover, use) for cover, use in codes]
    table["class"] = [legend.by_id[c].slug if c else "" for c, _ in found]
    table["why"] = [why for _, why in found]
    columns = ["id", "class", "why", "cover", "use", *(["weight"] if "weight" in table else [])]
    kept_columns: Any = table[[*columns, "geometry"]]
    result = kept_columns.rename(columns={"cover": "lc1", "use": "lu1"})
    undecided = Counter(why for _, why in found if why)
    told = {"left_out": left_out, "undecided": dict(undecided.most_common())}
    result.attrs = told | {"legend": legend.name}
    return result


def _table(path: Path, name: str, layer: str) -> gpd.GeoDataFrame:
    """Return the columns that matter under one set of names, with a point each."""
    import geopandas as gpd

    given: Any
    check_layer(path, "LUCAS file", layer)
    if path.suffix.lower() in TABLE_SUFFIXES:
        given = read_table(path, "LUCAS table", as_text=True)  # codes may look like numbers
    else:
        given = read_vector(path, "LUCAS file", layer=layer, option="layer")
    have = {str(c).strip().casefold(): c for c in given.columns}
    columns = {
        key: next(have[n] for n in names if n in have)
        for key, names in _NAMES.items()
        if any(n in have for n in names)
    }
    places = {"lat", "lon"} <= set(columns) or "geometry" in given.columns
    missing = [key for key in _NEEDED if key not in columns]
    if missing or not places:
        names = _NAMES[missing[0]] if missing else (*_NAMES["lat"], *_NAMES["lon"])
        raise InputError(
            f"{name} has no column {' or '.join(names).upper()}",
            expected="the micro data of LUCAS 2018 or 2022, or its Copernicus polygons",
        )
    table: Any = gpd.GeoDataFrame({key: given[column] for key, column in columns.items()})
    for key in ("cover", "use"):
        told = table[key].where(table[key].notna(), "")  # vector files hold NULL, which is no code
        table[key] = [str(v).strip().upper() for v in told]
    table["id"] = [int(v) for v in _numbers(table["id"], name, "POINT_ID")]
    geometry = _points(table, given)
    return gpd.GeoDataFrame(table, geometry=geometry).to_crs(_LAEA)


def _points(table: pd.DataFrame, given: Any) -> gpd.GeoSeries:
    """Return the theoretical points, or points inside polygons where these are not told."""
    import geopandas as gpd

    if {"lat", "lon"} <= set(table.columns):
        lon, lat = (_floats(table[k]) for k in ("lon", "lat"))
        good = (np.abs(lon) <= 180) & (np.abs(lat) <= 90)  # noqa: PLR2004 - degrees; some files hold meters
        points = gpd.GeoSeries.from_xy(lon, lat, crs=4326)
        return points.where(good, None)
    shapes = given.geometry
    return shapes.to_crs(_LAEA).representative_point().set_crs(_LAEA, allow_override=True)


def _floats(column: Any) -> np.ndarray:
    """Return a column's numbers, NaN for what is none."""
    return np.array([_float(value) for value in column], np.float64)


def _float(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return np.nan


def _numbers(column: Any, name: str, title: str) -> np.ndarray:
    """Return a column's numbers; refuse what is none."""
    values = _floats(column)
    if not np.isfinite(values).all():
        row = int(np.flatnonzero(~np.isfinite(values))[0])
        raise InputError(
            f"{name}, {title} in row {row} is {column.iloc[row]!r}", expected="a number in each row"
        )
    return values


def weights_of(column: Any, name: str) -> np.ndarray:
    """Return the survey's weights as numbers; refuse what is none above 0, by its place."""
    values = _floats(column)
    wrong = np.flatnonzero(~(np.isfinite(values) & (values > 0)))
    if len(wrong):
        row, text = column.index[wrong[0]], column.iloc[wrong[0]]
        raise InputError(
            f"{name}, weight (WGT_LUCAS) in row {row} is {text!r}, and {len(wrong):,} of "
            f"{len(values):,} points have no weight above 0",
            expected="a number above 0 for each point",
            advice="correct the column or leave it out",
        )
    return values


def _filters(
    table: gpd.GeoDataFrame,
    name: str,
    observed: str,
    max_distance: float | None,
    min_parcel: float,
    min_share: float,
    *,
    on_the_point: bool,
) -> list[tuple[str, np.ndarray]]:
    """Return what each filter is called, and which rows pass it."""

    def column(key: str) -> np.ndarray:
        if key not in table.columns:
            raise InputError(
                f"{name} has no column {' or '.join(_NAMES[key]).upper()}, which a filter needs",
                advice="leave that filter out",
            )
        return _floats(table[key])

    passes = [
        ("without a place", ~(table.geometry.isna() | table.geometry.is_empty).to_numpy()),
        ("without land cover", np.array([len(c) >= _SMALLEST for c in table["cover"]])),
    ]
    if "observed" in table.columns or observed != "all":
        passes.append(("not observed so", np.isin(column("observed"), _SEEN[observed])))
    if max_distance is not None:
        passes.append(("seen from too far", column("distance") <= max_distance))
    if min_parcel > 0:
        codes = np.nan_to_num(column("parcel"), nan=-1).astype(int)
        least = np.array([_PARCELS.get(code, -1.0) for code in codes.tolist()])
        passes.append(("of a small parcel", least >= min_parcel))
    if min_share > 0:
        passes.append(("covered too little", _share(column("share")) >= min_share))
    if on_the_point:
        passes.append(("on a boundary", column("direction") == _ON_THE_POINT))
    return passes


def _share(percent: np.ndarray) -> np.ndarray:
    """Return shares of per cent; 888 is not relevant."""
    return np.where(percent <= 100, percent / 100, np.nan)  # noqa: PLR2004 - per cent
