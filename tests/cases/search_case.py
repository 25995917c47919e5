"""The smallest country that searches its scenes: a place of four square kilometers."""

from pathlib import Path

import geopandas as gpd
import shapely

from tests.cases.country_case import tiny_model

PLACE = shapely.box(15.50, 46.00, 15.52, 46.02)

SETTINGS = """
name = "A piece of Slovenia"

[[scenes]]
search = "{url}"
collection = "sentinel-2-l2a"
period = [2023-08-01, 2023-08-31]
max_cloud = {cloud}
limit = 3

[boundary]
file = "place.gpkg"

[classify]
model = "tiny"

[[layers]]
classes = ["water"]
"""


def searching_country(folder: Path, url: str, *, cloud: float = 50) -> Path:
    """Lay out boundary, model and country file; return the file."""
    tiny_model(folder / "tiny")
    gpd.GeoDataFrame(geometry=[PLACE], crs=4326).to_file(folder / "place.gpkg")
    path = folder / "c.toml"
    path.write_text(SETTINGS.format(url=url, cloud=cloud))
    return path
