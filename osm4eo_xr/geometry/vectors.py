"""Vector files in and out: one reader for boundaries, points and tables, one writer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from osm4eo_xr.errors import InputError
from osm4eo_xr.files import check_folder, replaced
from osm4eo_xr.process.environment import with_variables

if TYPE_CHECKING:
    import geopandas as gpd
    import pandas as pd

VECTOR_SUFFIXES = (".gpkg", ".parquet", ".geojson")
"""Endings of the vector files that can be written."""

TABLE_SUFFIXES = (".csv", ".tsv", ".txt")
"""Endings of tables that are read without GDAL."""

_PLACES = (
    ("lon", "lat"),
    ("longitude", "latitude"),
    ("long", "lat"),
    ("lng", "lat"),
    ("th_long", "th_lat"),  # LUCAS: where the point should be, as the grid has it
    ("x", "y"),
)
"""Columns of a table that hold degrees, in the order in which they are looked for."""


def read_vector(
    path: str | Path, what: str, *, layer: str = "", option: str = "layer"
) -> gpd.GeoDataFrame:
    """Read a vector file, or a table with columns of longitude and latitude.

    Parameters
    ----------
    path : path
        What GDAL reads, GeoParquet, or a table (.csv, .tsv) with columns such as lon and lat,
        longitude and latitude, th_long and th_lat (LUCAS), or x and y in degrees.
    what : str
        What it holds, for messages.
    layer : str
        Which of several layers; may stay empty where only one has geometries.
    option : str
        The parameter by which the caller is told of a layer, for messages.

    Returns
    -------
    GeoDataFrame
        Its geometries are called ``geometry``, whatever the file calls them. A table's points are
        on EPSG:4326; rows without coordinates have no geometry.

    Raises
    ------
    InputError
        If it is missing or cannot be read, has several layers and none is named, or has neither
        geometries nor coordinates.
    """
    path = Path(path)
    with _readable(path, what):
        frame = _read(path, what, layer, option)
    if not hasattr(frame, "geom_type"):
        return _placed(frame, f"{what} {path}")
    return frame if frame.geometry.name == "geometry" else frame.rename_geometry("geometry")


def read_table(path: str | Path, what: str, *, as_text: bool = False) -> pd.DataFrame:
    """Read a table (.csv, .tsv, .txt) whose columns comma, semicolon or tab divide.

    Parameters
    ----------
    path : path
        UTF-8, the names of the columns in its first line.
    what : str
        What it holds, for messages.
    as_text : bool
        Leave all columns as text, where codes look like numbers.

    Raises
    ------
    InputError
        If it is missing or no such table.
    """
    from pyarrow import csv, string

    path = Path(path)
    with _readable(path, what):
        how: Any = {"parse_options": csv.ParseOptions(delimiter=_separator(path))}
        if as_text:
            names = csv.open_csv(path, **how).schema.names
            types = dict.fromkeys(names, string())
            how["convert_options"] = csv.ConvertOptions(column_types=types)
        return csv.read_csv(path, **how).to_pandas()


@contextmanager
def _readable(path: Path, what: str) -> Iterator[None]:
    """Turn what GDAL, Arrow and pandas raise into one line."""
    if not path.exists():
        raise InputError(f"no {what} {path}", advice="give a vector file")
    try:
        yield
    except InputError:
        raise
    except (RuntimeError, ValueError, OSError) as error:
        raise InputError(
            f"cannot read {what} {path}: {error}", advice="give a vector file"
        ) from None


def _read(path: Path, what: str, layer: str, option: str) -> Any:
    import geopandas as gpd
    from pyarrow import parquet

    check_layer(path, what, layer)
    if path.suffix.lower() in TABLE_SUFFIXES:
        return read_table(path, what)
    if path.suffix.lower() == ".parquet":
        try:
            return gpd.read_parquet(path)
        except ValueError:  # a table without geometries
            return parquet.read_table(path).to_pandas()
    return gpd.read_file(path, layer=_layer(path, what, layer, option))


def check_layer(path: Path, what: str, layer: str) -> None:
    """Refuse the name of a layer of a file that has none."""
    if layer and path.suffix.lower() in (*TABLE_SUFFIXES, ".parquet"):
        raise InputError(
            f"{what} {path} has no layers, and {layer!r} is named", advice="leave the name out"
        )


def _separator(path: Path) -> str:
    with path.open(encoding="utf-8", errors="replace") as file:
        head = file.readline()
    return max(",;\t", key=head.count)


def _layer(path: Path, what: str, layer: str, option: str) -> str:
    """Return the layer that is named, or the only one with geometries."""
    import geopandas as gpd

    layers = gpd.list_layers(path).to_numpy().tolist()
    # Others are tables, such as the styles that QGIS keeps in a GeoPackage.
    names = [name for name, kind in layers if kind is not None] or [name for name, _ in layers]
    if layer and layer not in (known := [name for name, _ in layers]):
        raise InputError(f"{what} {path} has no layer {layer!r}; it has {', '.join(known)}")
    if not layer and len(names) > 1:
        raise InputError(
            f"{what} {path} has {len(names)} layers, {', '.join(names)}",
            advice=f"name one with {{{option}}}",
        )
    return layer or names[0]


def _placed(table: pd.DataFrame, name: str) -> gpd.GeoDataFrame:
    """Give a table the points that its columns name."""
    import geopandas as gpd

    columns = {str(column).strip().casefold(): column for column in table.columns}
    pair = next((p for p in _PLACES if set(p) <= set(columns)), None)
    if pair is None:
        have = ", ".join(map(str, table.columns[:12]))
        raise InputError(
            f"{name} has no geometries and no columns lon and lat; it has {have or 'none'}: name "
            f"the columns of longitude and latitude (degrees) so, or give a GeoPackage"
        )
    lon, lat = (_numbers(table[columns[p]]) for p in pair)
    _check_degrees(lon, lat, pair, name)
    there = np.isfinite(lon) & np.isfinite(lat)
    points = gpd.GeoSeries.from_xy(lon, lat, crs="EPSG:4326").where(there, None)
    return gpd.GeoDataFrame(table.reset_index(drop=True), geometry=points)


def _numbers(column: Any) -> np.ndarray:
    """Return a column's numbers, NaN for what is none."""
    return np.array([_number(value) for value in column], np.float64)


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return np.nan


def _check_degrees(lon: np.ndarray, lat: np.ndarray, pair: tuple[str, str], name: str) -> None:
    far = np.flatnonzero((np.abs(lon) > 180) | (np.abs(lat) > 90))  # noqa: PLR2004 - degrees
    if far.size:
        x, y = lon[far[0]], lat[far[0]]
        raise InputError(
            f"{name}: {pair[0]} {x:g} and {pair[1]} {y:g} in row {far[0]} are no longitude "
            "and latitude",
            advice="give degrees, or a vector file with a CRS",
        )


def check_vector_path(path: str | Path) -> Path:
    """Refuse a path that ``write_vector`` could not write, before work goes into the rows."""
    path = Path(path)
    if path.suffix not in VECTOR_SUFFIXES:
        endings = ", ".join(VECTOR_SUFFIXES)
        raise InputError(f"cannot write vectors to {path.name}", expected=f"one of {endings}")
    check_folder(path)
    return path


def write_vector(rows: gpd.GeoDataFrame, path: str | Path) -> Path:
    """Write polygons or points as a vector file, whole or not at all.

    Parameters
    ----------
    rows : GeoDataFrame
        With a CRS.
    path : path
        GeoPackage (``.gpkg``), GeoParquet (``.parquet``), or GeoJSON (``.geojson``), which is
        always in degrees (EPSG:4326).

    Raises
    ------
    InputError
        If the file's ending is another one or its folder does not exist.

    Examples
    --------
    >>> import geopandas as gpd, osm4eo_xr as oxr
    >>> rows = gpd.GeoDataFrame({"id": [1]}, geometry=gpd.points_from_xy([9.5], [47.1]), crs=4326)
    >>> oxr.write_vector(rows, "points.gpkg").name
    'points.gpkg'
    """
    path = check_vector_path(path)
    with replaced(path) as part:
        if path.suffix == ".parquet":
            rows.to_parquet(part)
        elif path.suffix == ".geojson":
            rows.to_file(part, driver="GeoJSON", RFC7946="YES")
        else:
            # GDAL would stamp the hour of writing into the file; it reads the environment.
            with with_variables({"OGR_CURRENT_DATE": "1970-01-01T00:00:00.000Z"}):
                rows.to_file(part, driver="GPKG", layer=path.stem)
    return path
