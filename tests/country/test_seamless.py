"""A country whose tiles were cut from one scene has that scene's map."""

from pathlib import Path

import numpy as np
import rasterio
from rasterio.merge import merge

from osm4eo_xr.country.run import run_country
from osm4eo_xr.rasters.open import open_raster
from tests.cases.country_case import MODEL, make_country


def test_touching_tiles_make_the_map_of_the_whole_scene(tmp_path: Path) -> None:
    path = make_country(tmp_path / "land", edge=71, overlap=0, learn=MODEL)
    parts = sorted(path.parent.glob("tiles/*.tif"))
    whole, affine = merge(parts)
    with rasterio.open(parts[0]) as file:
        profile, names = dict(file.profile), file.descriptions
    place = {"height": whole.shape[1], "width": whole.shape[2], "transform": affine}
    with rasterio.open(path.parent / "whole.tif", "w", **{**profile, **place}) as file:
        file.write(whole)
        file.descriptions = names
    other = path.with_name("whole.toml")
    text = path.read_text().replace("tiles/*.tif", "whole.tif")
    other.write_text('out = "alone"\n' + text)
    for file in (path, other):
        run_country(file)
    tiled, alone = (open_raster(path.parent / n / "mosaic.tif") for n in ("result", "alone"))
    assert (tiled.to_numpy() != alone.to_numpy()).sum() == 0
    assert len(np.unique(tiled)) > 3
