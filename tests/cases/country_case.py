"""A made-up country: nine overlapping tiles cut from the real scene in the package."""

from importlib.resources import files
from itertools import product
from pathlib import Path
from shutil import copy

import jax
import numpy as np
import rasterio

from osm4eo_xr.demo import demo_osm_path
from osm4eo_xr.geometry.grid import geobox_of
from osm4eo_xr.imagery.scenes import open_scene
from osm4eo_xr.models.model import Model
from osm4eo_xr.models.model_folder import save_model
from osm4eo_xr.models.record import Normalization
from osm4eo_xr.networks.resnet import init
from osm4eo_xr.networks.settings import NetSettings

BANDS = ("blue", "green", "red", "nir")

MODEL = '[classify]\nmodel = "tiny"'
"""Takes a network with random weights."""

LEARN = """
[labels]
osm = "landuse.osm.pbf"

[samples]
per_class = 12
patch = 16
block = 400

[train]
depth = 11
width = 8
kernel = 3
epochs = 2
batch = 16
"""
"""Learns from OpenStreetMap, as little as shows that it does."""

SETTINGS = """
name = "Havelland in nine tiles"
date = 2017-02-16
scenes = [{{ files = "tiles/*.tif" }}]
{learn}
[boundary]
file = "boundary.geojson"

[sieve]
size = 20

[[layers]]
classes = ["water"]
vector = "gpkg"
min_area = 1000
"""


def cut_tiles(folder: Path, *, edge: int, overlap: int) -> None:
    """Write 3 x 3 tiles of ``edge`` pixels as digital numbers."""
    scene = open_scene(Path(str(files("osm4eo_xr") / "demo" / "scene")))
    height, width = scene.shape[1:]
    step = edge - overlap
    top, left = (height - 2 * step - edge) // 2, (width - 2 * step - edge) // 2
    cut = scene[:, top : top + 2 * step + edge, left : left + 2 * step + edge].compute()
    numbers = np.nan_to_num(cut.to_numpy() * 1e4).round().astype(np.uint16)
    (folder / "tiles").mkdir(parents=True)
    profile = {"driver": "GTiff", "dtype": "uint16", "count": len(cut), "nodata": 0}
    for i, j in product(range(3), range(3)):
        rows, columns = slice(i * step, i * step + edge), slice(j * step, j * step + edge)
        box = geobox_of(cut)[rows, columns]
        place = {"height": edge, "width": edge, "crs": str(box.crs), "transform": box.affine}
        with rasterio.open(folder / "tiles" / f"T{i}{j}.tif", "w", **profile, **place) as file:
            file.write(numbers[:, rows, columns])
            for k, name in enumerate(cut["band"].to_numpy(), start=1):
                file.set_band_description(k, str(name))
    _write_boundary(folder / "boundary.geojson", tuple(geobox_of(cut).boundingbox))


def distort_tiles(folder: Path, tiles: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Give each band of each tile a gain and an offset of its own; return them, by tile."""
    rng = np.random.default_rng(0)
    gain, offset = (
        rng.uniform(low, high, (len(tiles), 10)) for low, high in ((0.88, 1.12), (0, 0.02))
    )
    for tile, g, o in zip(tiles, gain, offset, strict=True):
        with rasterio.open(folder / "tiles" / f"{tile}.tif", "r+") as file:
            numbers = file.read()
            changed = (numbers * g[:, None, None] + o[:, None, None] * 1e4).round()
            file.write(np.where(numbers == 0, 0, changed).astype(np.uint16))
    return gain, offset


def _write_boundary(path: Path, box: tuple[float, ...]) -> None:
    import geopandas as gpd
    import shapely

    left, bottom, right, top = box
    middle = shapely.Point((left + right) / 2, (bottom + top) / 2)
    outline = middle.buffer(0.53 * min(right - left, top - bottom))
    gpd.GeoDataFrame(geometry=[outline], crs=3035).to_crs(4326).to_file(path, driver="GeoJSON")


def tiny_model(path: Path) -> Path:
    """Save a network with random weights that maps the scene to several classes."""
    net = NetSettings(bands=len(BANDS), classes=12, depth=11, width=4)
    variables = init(net, jax.random.key(3))
    scale = Normalization(center=(0.12, 0.1, 0.09, 0.2), scale=(0.02, 0.02, 0.03, 0.07))
    return save_model(Model(net, variables, bands=BANDS, normalization=scale), path)


def make_country(folder: Path, *, edge: int = 200, overlap: int = 40, learn: str = LEARN) -> Path:
    """Lay out tiles, boundary, OpenStreetMap extract or model, and country file; return it."""
    cut_tiles(folder, edge=edge, overlap=overlap)
    if learn == MODEL:
        tiny_model(folder / "tiny")
    else:
        copy(demo_osm_path(), folder / "landuse.osm.pbf")
    path = folder / "country.toml"
    path.write_text(SETTINGS.format(learn=learn))
    return path


def products(folder: Path) -> dict[str, bytes]:
    """Return every file of a result folder that is a product; others hold times of files."""
    ours = {"ledger.json", ".lock", "viewer.json"}
    found = sorted(p for p in folder.rglob("*") if p.is_file() and p.name not in ours)
    return {str(p.relative_to(folder)): p.read_bytes() for p in found}
