"""Small whole files of every kind that a command reads, made from what the other tests make."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from shutil import copy
from typing import Any

import geopandas as gpd
import jax
import numpy as np
import pandas as pd
import rasterio
import shapely
from rasterio.transform import from_origin

from osm4eo_xr.country.run import run_country
from osm4eo_xr.legend import default_legend
from osm4eo_xr.models.model import Model
from osm4eo_xr.models.model_folder import save_model
from osm4eo_xr.models.record import Normalization
from osm4eo_xr.networks.resnet import init
from osm4eo_xr.networks.settings import NetSettings
from osm4eo_xr.osm.landuse import write_landuse
from osm4eo_xr.samples.store import write_samples
from tests.cases import country_case, keras_case, train_case
from tests.cases.eopf_case import pack, write_eopf
from tests.cases.osm_file import OsmFile, square
from tests.cases.safe_case import write_jp2, write_safe

BANDS = {"B02": "blue", "B03": "green", "B04": "red", "B08": "nir"}
LEFT, TOP, EDGE = 4_321_000, 3_210_000, 96
PACKAGE = Path(country_case.__file__).parents[2]

COUNTRY = """
name = "One tile"
date = 2023-08-20
scenes = [{ files = "scene.tif" }]
legend = "legend.toml"
[classify]
model = "model"
[boundary]
file = "boundary.geojson"
[sieve]
size = 5
[[layers]]
classes = ["water"]
"""


def write_inputs(folder: Path) -> Path:
    """Write all kinds of inputs into a folder and return it."""
    _write_rasters(folder)
    _write_scenes(folder)
    _write_vectors(folder)
    _write_osm(folder)
    _write_catalog(folder / "stac")
    _write_learned(folder)
    _write_country(folder / "country")
    return folder


def _write(path: Path, values: np.ndarray, **more: Any) -> Path:
    profile = {"driver": "GTiff", "crs": "EPSG:3035", "transform": from_origin(LEFT, TOP, 10, 10)}
    layers = values if values.ndim == 3 else values[None]
    shape = dict(zip(("count", "height", "width"), layers.shape, strict=True))
    with rasterio.open(path, "w", **profile, dtype=layers.dtype, **shape, **more) as file:
        file.write(layers)
        if len(layers) == len(BANDS):
            for k, name in enumerate(BANDS.values(), start=1):
                file.set_band_description(k, name)
    return path


def _write_rasters(folder: Path) -> None:
    from osm4eo_xr.cogs.cog import write_cog
    from osm4eo_xr.rasters.open import open_raster

    folder.mkdir(parents=True, exist_ok=True)
    classes = train_case.ground(EDGE, EDGE)
    path = _write(folder / "map.tif", classes, nodata=0)
    _write(folder / "map2.tif", classes[::-1], nodata=0, compress="deflate", tiled=True)
    write_cog(open_raster(path), folder / "cog.tif", legend=default_legend())
    shares = np.random.default_rng(0).integers(0, 251, (2, EDGE, EDGE)).astype(np.uint8)
    _write(folder / "proba.tif", shares, nodata=255)
    with rasterio.open(folder / "proba.tif", "r+") as file:
        file.descriptions = ("water", "forest")
    legend = (PACKAGE / "osm4eo_xr" / "legend.toml").read_text(encoding="utf-8")
    tables = legend.replace("\n[[", "\n\0[[").split("\0")
    twelve = (table for table in tables if '"coastal-wetland"' not in table)
    (folder / "legend.toml").write_text("".join(twelve), encoding="utf-8")
    copy(PACKAGE / "cluster" / "slurm-gpu.yaml", folder / "site.yaml")
    copy(PACKAGE / "cluster" / "local.yaml", folder / "local.yaml")


def _write_scenes(folder: Path) -> None:
    spectra = train_case.spectra(train_case.ground(EDGE, EDGE))
    numbers = np.nan_to_num(spectra * 10_000).clip(100).round().astype(np.uint16)
    scene = _write(folder / "scene.tif", numbers, nodata=0)
    with rasterio.open(scene) as file:
        rasterio.shutil.copy(file, folder / "scene.vrt", driver="VRT")  # pyright: ignore[reportAttributeAccessIssue] - a submodule
    cube = train_case.raster(spectra.clip(0.01), train_case.box(EDGE, EDGE))
    whole = cube.rename("reflectance").assign_attrs(units="1")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Zarr's, that names of bands have no stable form
        whole.to_zarr(folder / "scene.zarr", consolidated=False)
    whole.to_netcdf(folder / "scene.nc", engine="h5netcdf")
    packed = {"dtype": "int16", "scale_factor": 1e-4, "_FillValue": -9999}
    cube = whole.to_dataset("band")
    cube.to_netcdf(
        folder / "packed.nc", engine="h5netcdf", encoding=dict.fromkeys(BANDS.values(), packed)
    )
    for band, values in zip(BANDS, numbers, strict=True):
        write_jp2(folder / "jp2" / f"T33UXQ_20170820T094549_{band}.jp2", values, 10)
    safe = write_safe(
        folder, "2A", "05.09", offsets=dict.fromkeys(range(13), -1000), bands=(*BANDS,)
    )
    for version in (3, 2):  # of Zarr; zipped in the newer, a folder in the older
        store = write_eopf(safe, folder, version=version, chunks=240)
        if version == 3:
            pack(store).rename(folder / "S2.zarr.zip")
    store.rename(folder / "S2.zarr")
    safe.rename(folder / "S2.SAFE")


def _write_vectors(folder: Path) -> None:
    rng = np.random.default_rng(0)
    places = shapely.points(LEFT + rng.uniform(0, 960, 20), TOP - rng.uniform(0, 960, 20))
    points = gpd.GeoDataFrame({"class": [1, 5, 12, 1] * 5}, geometry=places, crs=3035).to_crs(4326)
    points.to_file(folder / "points.gpkg")
    points.to_file(folder / "points.geojson")
    points.to_parquet(folder / "points.parquet")
    table = points.assign(lon=points.geometry.x, lat=points.geometry.y)
    table.drop(columns="geometry").to_csv(folder / "points.csv", index=False)
    seen: Any = {"POINT_ID": range(1, 21), "OBS_TYPE": 1, "LC1": ["B11", "C10"] * 10, "LU1": "U111"}
    seen |= {"TH_LAT": points.geometry.y, "TH_LONG": points.geometry.x}
    pd.DataFrame(seen).to_csv(folder / "lucas.csv", index=False, sep=";")
    disc = shapely.Point(LEFT + 480, TOP - 480).buffer(400, quad_segs=4)
    outline = gpd.GeoDataFrame({"NAME": ["Here"]}, geometry=[disc], crs=3035).to_crs(4326)
    outline.to_file(folder / "boundary.geojson")
    outline.to_file(folder / "boundary.gpkg")


def _write_osm(folder: Path) -> None:
    import osmium

    osm = OsmFile()
    members = [(osm.way(square(0, 0, 30)), "outer"), (osm.way(square(5, 5, 20)), "inner")]
    osm.relation(members, {"type": "multipolygon", "landuse": "forest"})
    osm.way(square(50, 0, 10), {"natural": "water"})
    osm.way([(0, 40), (60, 45)], {"highway": "residential"})
    plain = osm.write(folder / "land.osm")
    with osmium.SimpleWriter(str(folder / "land.osm.pbf")) as writer:
        for thing in osmium.FileProcessor(str(plain)):
            writer.add(thing)
    ground = gpd.GeoSeries([shapely.box(9.499, 47.099, 9.508, 47.106)], crs=4326).to_crs(3035)
    left, _, _, top = ground.total_bounds
    _write(folder / "ground.tif", np.ones((EDGE, EDGE), np.uint8), nodata=0)
    with rasterio.open(folder / "ground.tif", "r+") as file:
        file.transform = from_origin(left, top, 10, 10)
    write_landuse(plain, folder / "areas")


def _write_catalog(folder: Path) -> None:
    folder.mkdir()
    numbers = np.full((EDGE, EDGE), 2000, np.uint16)
    assets = {}
    for name in BANDS.values():
        _write(folder / f"{name}.tif", numbers + len(name), nodata=0)
        assets[name] = {"href": f"./{name}.tif", "roles": ["data"], "gsd": 10}
    _write(folder / "scl.tif", np.full((EDGE, EDGE), 4, np.uint8), nodata=0)
    assets["scl"] = {"href": "./scl.tif", "roles": ["data"]}
    bounds = shapely.box(LEFT, TOP - 10 * EDGE, LEFT + 10 * EDGE, TOP)
    ground = gpd.GeoSeries([bounds], crs=3035).to_crs(4326)
    item = {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": "S2A_33TWM_20230820_0_L2A",
        "geometry": shapely.geometry.mapping(ground.iloc[0]),
        "bbox": ground.total_bounds.tolist(),
        "properties": {
            "datetime": "2023-08-20T09:57:56Z",
            "s2:processing_baseline": "05.09",
            "earthsearch:boa_offset_applied": False,
            "proj:epsg": 3035,
        },
        "links": [{"rel": "root", "href": "./catalog.json"}],
        "assets": assets,
    }
    (folder / "item.json").write_text(json.dumps(item))
    links = [{"rel": "item", "href": "./item.json"}, {"rel": "root", "href": "./catalog.json"}]
    catalog = {"type": "Catalog", "id": "here", "stac_version": "1.0.0", "links": links}
    (folder / "catalog.json").write_text(json.dumps({**catalog, "description": "one item"}))


def _write_learned(folder: Path) -> None:
    country_case.tiny_model(folder / "model")
    net = NetSettings(bands=4, classes=3, depth=11, width=4, kernel=3, decoder=16)
    start = Model(
        net,
        init(net, jax.random.key(3)),
        bands=train_case.BANDS,
        normalization=Normalization((0.1,) * 4, (0.05,) * 4),
        legend=train_case.small_legend(),
        class_ids=train_case.CLASSES,
    )
    save_model(start, folder / "start")
    write_samples(train_case.small_samples(per_class=30), folder / "samples.zarr")
    write_samples(train_case.small_samples(per_class=8), folder / "few.zarr")
    copy(keras_case.MODEL_FILE, folder / "network.h5")


def _write_country(folder: Path) -> None:
    folder.mkdir()
    for name in ("scene.tif", "legend.toml", "boundary.geojson"):
        copy(folder.parent / name, folder / name)
    country_case.tiny_model(folder / "model")
    (folder / "country.toml").write_text(COUNTRY)
    run_country(folder / "country.toml")
