"""A small real scene and its OpenStreetMap land use, shipped with the package.

Sentinel-2 L1C of Havelland, Germany, 2017-02-16: 15 km x 8 km, winter, partly cloudy. The files
were made by ``make_demo_data.py`` beside this module; ``ATTRIBUTION.md`` says whose they are.
"""

from pathlib import Path

DEMO_BANDS = ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12")
"""The method's ten bands, in the order of a scene."""

DEMO_TIME = "2017-02-16T10:21:01Z"
"""When the scene was seen, as its files' names say."""

_HERE = Path(__file__).parent


def demo_scene_paths() -> list[Path]:
    """Return the ten single-band JP2 files of the scene, in the order of `DEMO_BANDS`.

    uint16 digital numbers (reflectance x 10,000), EPSG:32633, 10 m and 20 m pixels.
    """
    return [_HERE / "scene" / f"T33UUU_20170216T102101_{band}.jp2" for band in DEMO_BANDS]


def demo_osm_path() -> Path:
    """Return the ``.osm.pbf`` with the land use of the same place (604 areas)."""
    return _HERE / "landuse.osm.pbf"


def attribution() -> str:
    """Return the attribution that goes with the data and everything made from it."""
    return (_HERE / "ATTRIBUTION.md").read_text(encoding="utf-8")
