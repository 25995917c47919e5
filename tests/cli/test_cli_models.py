"""The commands that classify and that keep models, as a user calls them."""

import json
from pathlib import Path

import numpy as np
import pystac
import pytest
import rasterio
from pystac.validation.local_validator import get_local_schema_cache
from stac_model.schema import MLModelProperties

from osm4eo_xr.cogs.cog import write_cog
from osm4eo_xr.errors import InputError
from osm4eo_xr.imagery.scenes import open_scene
from osm4eo_xr.inference.prediction import classify
from osm4eo_xr.inference.throughput import read_throughput
from osm4eo_xr.models.model_folder import JSON_FILE, load_model, save_model
from osm4eo_xr.samples.store import write_samples
from tests.accuracy.test_evaluate import model
from tests.cases import keras_case
from tests.cases.commands import call, refused
from tests.cases.train_case import box, ground, raster, small_samples, spectra
from tests.inference.test_classify import WINDOW, make_model, make_scene


@pytest.fixture(scope="module")
def scene_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_cog(make_scene((90, 130)), tmp_path_factory.mktemp("scene") / "scene.tif")


def test_classify_writes_all_maps_from_one_pass(scene_file: Path, tmp_path: Path) -> None:
    folder = save_model(make_model(), tmp_path / "model")
    files = {n: tmp_path / f"{n}.tif" for n in ("probabilities", "confidence", "margin")}
    read_throughput(reset=True)
    options = [part for name, path in files.items() for part in (f"--{name}", path)]
    out = tmp_path / "classes.tif"
    said = call("classify", scene_file, "--model", folder, "--out", out, *options)
    assert read_throughput().pixels == 90 * 130
    assert "11,700 pixels" in said
    assert "1 compilations" in said
    assert not list(tmp_path.glob(".*"))
    names = ["classes", *files]
    expected = classify(open_scene(scene_file), load_model(folder), outputs=names).compute()
    for name, path in {"classes": out, **files}.items():
        with rasterio.open(path) as file:
            np.testing.assert_array_equal(file.read().squeeze(), expected[name].values)


def test_classify_opens_the_bands_that_its_model_sees(tmp_path: Path) -> None:
    """Also those that a scene is opened without where nobody names them."""
    names = ["coastal", "haze", "cirrus", "nir"]
    scene = make_scene((60, 70)).assign_coords(band=names)
    files = [write_cog(scene, tmp_path / "scene.tif"), tmp_path / "other.tif"]
    write_cog(scene.assign_coords(band=["coastal", "red", "cirrus", "nir"]), files[1])
    seen = names[::-1]
    folder, out = save_model(make_model(bands=seen), tmp_path / "model"), tmp_path / "classes.tif"
    call("classify", files[0], "--model", folder, "--out", out)
    expected = classify(open_scene(files[0], bands=seen), load_model(folder)).values
    with rasterio.open(out) as file:
        np.testing.assert_array_equal(file.read(1), expected)
    again = tmp_path / "again.tif"
    error = refused("classify", files[1], "--model", folder, "--out", again)
    assert error.given.endswith("has no band haze; it has coastal, red, cirrus, nir")
    assert not again.exists()


def test_classify_averages_flips(scene_file: Path, tmp_path: Path) -> None:
    folder, out = save_model(make_model(), tmp_path / "model"), tmp_path / "classes.tif"
    call("classify", scene_file, "--model", folder, "--out", out, "--flips")
    expected = classify(open_scene(scene_file), load_model(folder), flips=True).values
    with rasterio.open(out) as file:
        np.testing.assert_array_equal(file.read(1), expected)


@pytest.mark.steps
def test_where_a_model_applies_is_fitted_and_mapped(tmp_path: Path) -> None:
    plain, samples = save_model(model(), tmp_path / "model"), tmp_path / "samples.zarr"
    write_samples(small_samples(), samples)
    fitted, least = tmp_path / "fitted", ("--pixels", 500, "--prototypes", 16, "--coverage", 0.8)
    said = call("applicability", plain, "--samples", samples, "--out", fitted, *least)
    assert "500 training points, 1" in said
    assert "pixels inside, sets of" in said
    known = load_model(fitted).applicability
    assert known is not None
    assert (known.points, known.facts["coverage"]) == (500, 0.8)
    pixels = raster(spectra(ground(40, 50)), box(40, 50))
    scene = write_cog(pixels, tmp_path / "scene.tif")
    names = ("dissimilarity", "density", "set-size")
    files = {name.replace("-", "_"): tmp_path / f"{name}.tif" for name in names}
    options = [part for name in names for part in (f"--{name}", tmp_path / f"{name}.tif")]
    call("classify", scene, "--model", fitted, "--out", tmp_path / "classes.tif", *options)
    expected = classify(open_scene(scene), load_model(fitted), outputs=[*files]).compute()
    for name, path in files.items():
        with rasterio.open(path) as file:
            np.testing.assert_array_equal(file.read(1), expected[name].values)
            assert file.nodata == 255
    out = ("--out", tmp_path / "no.tif", "--overwrite")
    with pytest.raises(InputError, match="does not say where it applies"):
        call("classify", scene, "--model", plain, *out, *options)


def test_classify_takes_the_originals_center(scene_file: Path, tmp_path: Path) -> None:
    model = save_model(make_model(WINDOW), tmp_path / "model")
    small = tmp_path / "small.tif"
    write_cog(open_scene(scene_file).isel(y=slice(24), x=slice(40)), small)
    maps = []
    for center in ("original-train", "5", "original-predict"):
        out = tmp_path / f"{center}.tif"
        call("classify", small, "--model", model, "--out", out, "--center", center)
        with rasterio.open(out) as file:
            maps.append(file.read(1))
    np.testing.assert_array_equal(maps[0], maps[1])
    assert (maps[0] != maps[2]).any()


def test_keras_network_becomes_a_model_that_is_shown_and_verified(tmp_path: Path) -> None:
    folder = tmp_path / "models" / "original"
    assert str(folder) in call("models", "import-keras", keras_case.MODEL_FILE, "--out", folder)
    listed = call("models", "list", tmp_path)
    assert "window" in listed
    assert load_model(folder).digest[:12] in listed
    assert "rows r-6 … r+5" in call("models", "show", folder)
    assert "13 finite logits" in call("models", "verify", folder)


def test_damage_is_found_and_does_not_hide_other_models(tmp_path: Path) -> None:
    good, bad = (save_model(make_model(), tmp_path / name) for name in ("good", "bad"))
    record = json.loads((bad / JSON_FILE).read_text())
    (bad / JSON_FILE).write_text(json.dumps({**record, "digest": "0" * 64}))
    with pytest.raises(InputError, match="states digest 000000000000"):
        call("models", "verify", bad)
    (bad / JSON_FILE).write_text(json.dumps({**record, "receptive_field": 7}))
    with pytest.raises(InputError, match="receptive_field is 7; expected 41"):
        call("models", "show", bad)
    assert good.name in call("models", "list", tmp_path)
    with pytest.raises(InputError, match="no folder"):
        call("models", "list", tmp_path / "none")


@pytest.mark.parametrize("kind", ["dense", "window"])
def test_stac_item_is_valid(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "model"
    if kind == "dense":
        save_model(make_model(), folder)
    else:
        call("models", "import-keras", keras_case.MODEL_FILE, "--out", folder)
    printed = json.loads(call("models", "show", folder, "--stac"))
    item = pystac.Item.from_dict(printed)
    check_core_schema(printed)
    for c in item.properties["mlm:output"][0]["classification:classes"]:
        c.pop("nodata", None)  # which STAC's extension has, and stac-model does not know
    described = MLModelProperties.model_validate(item.properties)
    assert described.input[0].bands == ["blue", "green", "red", "nir"]
    assert described.input[0].input.shape == [-1, *([-1, -1] if kind == "dense" else [12, 12]), 4]
    assert [c.value for c in described.output[0].classes or ()] == list(
        load_model(folder).class_ids
    )
    assert described.hyperparameters is not None
    assert described.hyperparameters.model_dump()["depth"] == 11
    asset = item.assets["weights"]
    assert "mlm:model" in (asset.roles or [])
    assert (folder / asset.href).is_file()
    assert [b["name"] for b in asset.extra_fields["eo:bands"]] == ["blue", "green", "red", "nir"]


def check_core_schema(item: dict) -> None:
    """Validate against STAC's own schemas, from pystac, without a network."""
    jsonschema = pytest.importorskip("jsonschema")
    referencing = pytest.importorskip("referencing")
    draft7 = referencing.jsonschema.DRAFT7
    schemas = get_local_schema_cache()
    registry = referencing.Registry().with_resources(
        (uri, referencing.Resource(schema, draft7)) for uri, schema in schemas.items()
    )
    core = next(schema for uri, schema in schemas.items() if uri.endswith("/item.json"))
    jsonschema.Draft7Validator(core, registry=registry).validate(item)
