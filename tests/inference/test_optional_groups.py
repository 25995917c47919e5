"""Pixels and scenes that lack optional groups of features are classified; others are no data."""

from __future__ import annotations

import json
from dataclasses import replace

import jax
import numpy as np
import pytest
import xarray as xr
from odc.geo.geobox import GeoBox

from osm4eo_xr.errors import InputError, InputWarning
from osm4eo_xr.geometry.grid import georeference
from osm4eo_xr.inference.prediction import classify
from osm4eo_xr.models.model import Model
from osm4eo_xr.models.model_folder import load_model, save_model
from osm4eo_xr.models.record import Normalization
from osm4eo_xr.models.stac_mlm import mlm_fields, stac_item
from osm4eo_xr.networks import resnet
from osm4eo_xr.networks.settings import NetSettings
from tests.cases.train_case import box

BANDS = ("red", "nir", "s1:vv@2024-summer", "s1:vh@2024-summer", "dem:slope")
NET = NetSettings(bands=len(BANDS), classes=12, depth=11, width=4, kernel=3, decoder=8)
SIZE = 40


@pytest.fixture(scope="module")
def model() -> Model:
    """A model of three groups that does without radar and heights."""
    scale = Normalization((0.1, 0.2, -10.0, -16.0, 5.0), (0.1, 0.1, 3.0, 3.0, 4.0))
    variables = resnet.init(NET, jax.random.key(0))
    how = {"units": "per feature", "optional": ("s1@2024-summer", "dem")}
    return Model(NET, variables, BANDS, scale, **how)


def cube() -> np.ndarray:
    """Return features with holes: radar's corner, one slope, one red, and a place without any."""
    rng = np.random.default_rng(0)
    center = np.array([0.1, 0.2, -10.0, -16.0, 5.0])[:, None, None]
    pixels = center * (1 + 0.3 * rng.normal(size=(len(BANDS), SIZE, SIZE)))
    pixels[2, :9, :9] = np.nan  # of radar, vh is still there
    pixels[4, 20, 20] = np.nan
    pixels[0, 30, 30] = np.nan
    pixels[:, 35:, 35:] = np.nan
    return pixels.astype(np.float32)


def scene_of(pixels: np.ndarray, bands: tuple[str, ...] = BANDS) -> xr.DataArray:
    grid: GeoBox = box(SIZE, SIZE)
    attrs = {"units": "per feature"}
    return georeference(
        pixels, grid, dims=("band", "y", "x"), coords={"band": list(bands)}, attrs=attrs
    )


def shares(scene: xr.DataArray, model: Model, **how: object) -> xr.Dataset:
    outputs = ["classes", "probabilities"]
    made = classify(scene, model, outputs=outputs, block=32, engine="jax", **how)  # pyright: ignore[reportArgumentType, reportCallIssue]
    assert isinstance(made, xr.Dataset)
    return made.compute(scheduler="sync")


def test_a_pixel_that_lacks_optional_groups_has_a_class_and_one_that_lacks_others_none(
    model: Model,
) -> None:
    pixels = cube()
    maps = shares(scene_of(pixels), model)
    wanted = np.isfinite(pixels[:2]).all(axis=0)
    np.testing.assert_array_equal(maps["classes"].to_numpy() > 0, wanted)
    # What is left of a group that is not whole is not seen, as if it were missing as well.
    pixels[3, :9, :9] = np.nan
    xr.testing.assert_equal(shares(scene_of(pixels), model), maps)
    # Another order of bands, finer chunks and what lies around change nothing.
    order = [4, 2, 0, 3, 1]
    turned = scene_of(pixels[order], tuple(BANDS[k] for k in order))
    xr.testing.assert_equal(shares(turned.chunk(band=2, y=7, x=23), model), maps)
    assert (shares(scene_of(cube()), replace(model, optional=()))["classes"] > 0).sum() < (
        wanted.sum()
    )


def test_pixels_of_neighbors_stand_in_group_by_group(model: Model) -> None:
    whole = np.nan_to_num(cube(), nan=0.5)
    holed = whole.copy()
    holed[2, 8:14, 8:14] = np.nan
    maps = shares(scene_of(holed), model, around=[scene_of(whole)])
    xr.testing.assert_equal(maps, shares(scene_of(whole), model, around=[]))


def test_a_scene_that_lacks_a_group_is_refused_by_name_unless_the_model_does_without(
    model: Model,
) -> None:
    pixels = cube()
    pixels[4] = np.nan
    short = scene_of(pixels[:4], BANDS[:4])
    said = "lacks band 'dem:slope'; the map is made without dem"
    with pytest.warns(InputWarning, match=said) as told:
        found = shares(short, model)
    lines = [each.filename for each in told if issubclass(each.category, InputWarning)]
    assert lines == [__file__]  # the line that classifies is shown, not one of ours
    xr.testing.assert_equal(found, shares(scene_of(pixels), model))
    with pytest.raises(InputError, match="scene lacks band 'dem:slope'"):
        classify(short, replace(model, optional=("s1@2024-summer",)))
    with pytest.raises(InputError, match="scene lacks band 'nir'"):
        classify(scene_of(pixels[[0, 2, 3, 4]], tuple(np.array(BANDS)[[0, 2, 3, 4]])), model)


def test_the_folder_and_the_item_say_what_may_be_missing(model: Model, tmp_path: object) -> None:
    from stac_model.schema import MLModelProperties

    saved = save_model(model, f"{tmp_path}/model")
    loaded = load_model(saved)
    assert (loaded.optional, loaded.bands, loaded.digest) == (
        model.optional,
        model.bands,
        model.digest,
    )
    assert replace(model, optional=()).digest != model.digest
    described = MLModelProperties.model_validate(json.loads(json.dumps(mlm_fields(model))))
    assert described.input[0].bands == list(BANDS)
    given = mlm_fields(model)["mlm:input"][0]
    assert given["bands"] == list(BANDS)
    assert given["name"] == "5 features: s2, s1@2024-summer, dem"
    assert "may lack s1@2024-summer, dem" in given["description"]
    bands = stac_item(loaded)["assets"]["weights"]["eo:bands"]
    assert bands[1:3] == [{"name": "nir", "common_name": "nir"}, {"name": "s1:vv@2024-summer"}]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"optional": ("aef@2024",)}, "optional group 'aef@2024' is not among the features"),
        ({"bands": ("red", "s2:red", *BANDS[2:])}, "name one twice"),
        ({"bands": ("red", "s1:", *BANDS[2:]), "optional": ()}, "feature 's1:'"),
    ],
)
def test_models_of_groups_that_cannot_be_are_refused(
    model: Model, change: dict[str, tuple[str, ...]], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        replace(model, **change)
