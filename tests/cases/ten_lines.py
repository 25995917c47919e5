"""A country file of ten lines: the demo's scene as an EOPF store that a STAC API knows."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import geopandas as gpd
import rasterio
import shapely
from rasterio.warp import transform_bounds

from osm4eo_xr.demo import DEMO_TIME, demo_osm_path, demo_scene_paths
from tests.cases.asset_server import Store, serving_files
from tests.cases.eopf_case import as_eopf, store_of_item
from tests.cases.stac_server import Api, serving

TEN_LINES = """name = "Havelland, February 2017"
[[scenes]]
search = "{url}"
collection = "sentinel-2-l1c"
period = [2017-02-01, 2017-02-28]
mask_clouds = "threshold"
[labels]
osm = "landuse.osm.pbf"
[boundary]
file = "havelland.geojson"
"""
_KEYS = {"blue": "B02", "green": "B03", "red": "B04", "nir": "B08"}
_PRODUCT = "S2A_MSIL1C_20170216T102101_N0204_R065_T33UUU_20170216T102204"


@contextmanager
def served(folder: Path) -> Iterator[Path]:
    """Serve the demo's scene; yield a country file that searches it, extract and boundary beside.

    Parameters
    ----------
    folder : Path
        An empty one.
    """
    item = _item()
    paths = {path.stem.rpartition("_")[2]: path for path in demo_scene_paths()}
    files = {key: paths[band] for key, band in _KEYS.items()}
    (folder / "server").mkdir()
    store = store_of_item(item, files, folder / "server")
    shutil.copy(demo_osm_path(), folder / "landuse.osm.pbf")
    ground = shapely.box(*item["bbox"]).buffer(-0.005)
    gpd.GeoDataFrame(geometry=[ground], crs=4326).to_file(folder / "havelland.geojson")
    with serving_files(Store(folder / "server")) as assets:
        found = as_eopf(item, f"{assets.url}/{store.name}")
        with serving(Api([found], "sentinel-2-l1c")) as api:
            path = folder / "country.toml"
            path.write_text(TEN_LINES.format(url=api.url))
            yield path


def _item() -> dict[str, Any]:
    with rasterio.open(demo_scene_paths()[0]) as scene:
        bounds = transform_bounds(scene.crs, "EPSG:4326", *scene.bounds)
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": _PRODUCT,
        "collection": "sentinel-2-l1c",
        "bbox": list(bounds),
        "geometry": shapely.box(*bounds).__geo_interface__,
        "properties": {
            "datetime": DEMO_TIME,
            "eo:cloud_cover": 20.0,
            "s2:processing_baseline": "02.04",
            "s2:product_uri": f"{_PRODUCT}.SAFE",
        },
        "links": [],
        "assets": {},
    }
