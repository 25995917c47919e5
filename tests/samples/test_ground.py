"""The ground of a sample set, as models and catalogs state it."""

import geopandas as gpd
import numpy as np
import shapely

from osm4eo_xr.samples.ground import ground_outline
from tests.cases.train_case import small_samples


def test_the_ground_of_samples_is_the_hull_of_their_patches() -> None:
    samples = small_samples()
    places = np.stack([samples["easting"].values, samples["northing"].values], axis=-1)
    patches = shapely.box(*(places - 40).T, *(places + 40).T)  # 8 pixels of 10 m
    area = ground_outline(samples, np.ones(len(places), bool))
    assert area is not None
    assert area["type"] == "Polygon"
    placed = gpd.GeoSeries([shapely.geometry.shape(area)], crs=4326).to_crs(samples.attrs["crs"])
    assert shapely.contains(placed.iloc[0].buffer(1), patches).all()
    hull = shapely.convex_hull(shapely.union_all(patches)).area
    assert hull - 1e4 < placed.iloc[0].area < 1.1 * hull


def test_samples_without_a_place_have_no_ground() -> None:
    samples = small_samples()
    chosen = np.ones(samples.sizes["sample"], bool)
    assert ground_outline(samples, ~chosen) is None
    nowhere = samples.assign(easting=samples["easting"] * np.nan)
    assert ground_outline(nowhere, chosen) is None
