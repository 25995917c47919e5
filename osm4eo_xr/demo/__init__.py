"""A small real scene and its OpenStreetMap land use, shipped with the package.

Sentinel-2 L1C of Havelland, Germany, 2017-02-16: 15 km x 8 km, winter, partly cloudy. The files
were made by ``make_demo_data.py`` beside this module; ``ATTRIBUTION.md`` says whose they are.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import xarray as xr

    from osm4eo_xr.models.model import Model

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


def example_class_map() -> xr.DataArray:
    """Return a class map (y, x) of one square kilometer, uint8: 90 % forest, 10 % water.

    EPSG:3035, 10 m pixels; for examples in docstrings.
    """
    import numpy as np

    from osm4eo_xr.geometry.grid import georeference, target_geobox

    classes = np.repeat(np.array([8, 12], np.uint8), [90, 10])[None].repeat(100, axis=0)
    return georeference(classes, target_geobox((4400000, 2700000, 4401000, 2701000)))


def example_item(asset: str, value: int) -> dict[str, Any]:
    """Return a STAC item, as a search gives it, whose one asset is a file of one value.

    The file is written into the working directory: uint16, 200 x 200 pixels of 10 m on EPSG:3035
    from 4320000, 3210000 on, of processing baseline 05.09; for examples in docstrings.

    Parameters
    ----------
    asset : str
        Its key, for example "nir".
    value : int
        Its digital number.
    """
    import numpy as np

    from osm4eo_xr.cogs.cog import write_cog
    from osm4eo_xr.geometry.grid import georeference, target_geobox

    box = target_geobox((4320000, 3210000, 4322000, 3212000))
    pixels = georeference(np.full((200, 200), value, dtype="uint16"), box)
    path = write_cog(pixels, f"{asset}.tif")
    seen = {"datetime": "2023-08-20T00:00:00Z", "s2:processing_baseline": "05.09"}
    return {
        "type": "Feature",
        "id": "a",
        "bbox": [9.9, 51.9, 10.1, 52.1],
        "geometry": None,
        "links": [],
        "properties": {**seen, "proj:epsg": 3035},
        "assets": {asset: {"href": str(path.resolve())}},
    }


def example_samples(fields: int = 12) -> xr.Dataset:
    """Return samples of fields of forest and water, told apart by nir; for examples in docstrings.

    Bands red and nir, 8 x 8 pixels, in blocks of 300 m on EPSG:3035; so many ``fields`` of 100 m
    each way.
    """
    import numpy as np

    from osm4eo_xr.geometry.grid import georeference, target_geobox
    from osm4eo_xr.samples.draw import draw_samples

    rng = np.random.default_rng(0)
    box = target_geobox((4320000, 3210000, 4320000 + 100 * fields, 3210000 + 100 * fields))
    classes = rng.choice(np.array([8, 12], np.uint8), (fields, fields))
    ground = classes.repeat(10, axis=0).repeat(10, axis=1)
    seen = np.stack([np.full(ground.shape, 0.05), np.where(ground == 8, 0.3, 0.03)])  # noqa: PLR2004
    pixels = (seen + rng.normal(0, 0.01, seen.shape)).astype(np.float32)
    names: Any = {"band": ["red", "nir"]}
    scene = georeference(pixels, box, dims=("band", "y", "x"), coords=names)
    labels = georeference(ground, box)
    return draw_samples(scene, labels, per_class=30, patch=8, block=300.0, seed=0)


def example_model() -> Model:
    """Return an untrained network for ``example_samples``; for examples in docstrings."""
    import jax

    from osm4eo_xr.models.model import Model
    from osm4eo_xr.models.record import Normalization
    from osm4eo_xr.networks.resnet import init
    from osm4eo_xr.networks.settings import NetSettings

    net = NetSettings(bands=2, classes=12, depth=11, width=4, kernel=3, decoder=4)
    scale = Normalization(center=(0.05, 0.15), scale=(0.01, 0.1))
    return Model(net, init(net, jax.random.key(0)), ("red", "nir"), scale, name="untrained")
