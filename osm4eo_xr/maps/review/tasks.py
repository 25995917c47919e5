"""What mappers are asked to look at, as GeoJSON that MapRoulette, Tasking Manager and JOSM read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import geopandas as gpd
import shapely

from osm4eo_xr.errors import InputError
from osm4eo_xr.files import check_folder, replace_text

_SITE = "https://www.openstreetmap.org"
_JOSM = "http://127.0.0.1:8111/load_and_zoom"
_MARGIN = 0.0005  # degrees around what JOSM loads
_DIGITS = 6  # of degrees: 0.1 m


def write_tasks(
    path: str | Path,
    objects: gpd.GeoDataFrame | None = None,
    places: gpd.GeoDataFrame | None = None,
    *,
    comment: str = "Check land use #osmlanduse",
) -> Path:
    """Write what is to be looked at, whole or not at all.

    Every feature is a task of MapRoulette: it has an ``id`` of its own, and its properties say what
    is asked (``task``, ``instruction``), what was found, and links. JOSM opens the file as a layer.

    Parameters
    ----------
    path : str or Path
        Ends in .geojson.
    objects : GeoDataFrame, optional
        As ``review_objects`` returns them.
    places : GeoDataFrame, optional
        As ``review_places`` returns them.
    comment : str
        That the links propose for the changeset; words after # are its hashtags.

    Returns
    -------
    Path
        The file: RFC 7946, EPSG:4326, 6 digits.

    Raises
    ------
    InputError
        If the path ends otherwise or its folder does not exist.

    Examples
    --------
    >>> import geopandas as gpd, json, shapely, osm4eo_xr as oxr
    >>> cell = {"unmapped": [1.0], "uncertainty": [0.5], "density": [1.0], "predicted": ["forest"]}
    >>> place = gpd.GeoDataFrame(cell, geometry=[shapely.box(9.5, 47.1, 9.51, 47.11)], crs=4326)
    >>> tasks = json.loads(oxr.write_tasks("tasks.geojson", places=place).read_text())
    >>> tasks["features"][0]["id"], tasks["features"][0]["properties"]["task"]
    ('place 1', 'map')
    """
    path = Path(path)
    if path.suffix != ".geojson":
        raise InputError(f"cannot write tasks to {path.name}", expected="a name in .geojson")
    check_folder(path)
    features = [] if objects is None else _objects(objects, comment)
    features += [] if places is None else _places(places, comment)
    text = json.dumps({"type": "FeatureCollection", "features": features}, ensure_ascii=False)
    replace_text(path, text + "\n")
    return path


def _objects(objects: gpd.GeoDataFrame, comment: str) -> list[dict[str, Any]]:
    features = []
    for row in objects.to_crs(4326).to_dict("records"):
        shape, kind, number = row.pop("geometry"), row["osm_kind"], row["osm_id"]
        asked = (
            f"{row['tag']} here, but {row['share']:.0%} of it looks like {row['suggested']}. Is "
            "the tag right, and the outline?"
        )
        told = {"task": "check", "instruction": asked, **row}
        told |= _links(shape, comment, f"{kind}", int(number))
        features.append(_feature(f"{kind}/{number}", shape, told))
    return features


def _places(places: gpd.GeoDataFrame, comment: str) -> list[dict[str, Any]]:
    features = []
    for k, row in enumerate(places.to_crs(4326).to_dict("records"), start=1):
        shape = row.pop("geometry")
        asked = (
            f"{row['unmapped']:.0%} of this cell has no land use. The model takes most of it for "
            f"{row['predicted']} and is unsure. What is it?"
        )
        told = {"task": "map", "instruction": asked, **row, **_links(shape, comment)}
        features.append(_feature(f"place {k}", shape, told))
    return features


def _feature(name: str, shape: Any, properties: dict[str, Any]) -> dict[str, Any]:
    rounded = shapely.set_precision(shape, 10.0**-_DIGITS)
    rounded = shape if rounded.is_empty else rounded
    geometry = json.loads(shapely.to_geojson(shapely.orient_polygons(rounded)))
    return {"type": "Feature", "id": name, "geometry": geometry, "properties": properties}


def _links(shape: Any, comment: str, kind: str = "", number: int = 0) -> dict[str, str]:
    """Return links to the object or place on the site, in iD and in JOSM (its remote control)."""
    place, words = shape.representative_point(), comment.split()
    tags = ",".join(word for word in words if word.startswith("#"))
    at = f"map=17/{place.y:.5f}/{place.x:.5f}"
    left, bottom, right, top = shape.bounds
    josm: dict[str, Any] = {
        "left": f"{left - _MARGIN:.6f}",
        "right": f"{right + _MARGIN:.6f}",
        "bottom": f"{bottom - _MARGIN:.6f}",
        "top": f"{top + _MARGIN:.6f}",
        "changeset_comment": comment,
        "changeset_hashtags": tags.replace("#", ""),
    }
    chosen = {kind: number} if kind else {}
    if kind:
        josm["select"] = f"{kind}{number}"
    edit = urlencode({"editor": "id", **chosen})
    proposed = f"comment={quote(comment)}&hashtags={quote(tags)}"
    return {
        "osm": f"{_SITE}/{kind}/{number}" if kind else f"{_SITE}/#{at}",
        "id_editor": f"{_SITE}/edit?{edit}#{at}&{proposed}",
        "josm": f"{_JOSM}?{urlencode(josm, quote_via=quote)}",
    }
