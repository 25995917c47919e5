"""Inference: no seams, one compilation, no data kept apart, models that reach their workers."""

import dataclasses
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import dask.array as da
import jax
import numpy as np
import pytest
import rasterio
import xarray as xr
from dask import config
from distributed import Client, LocalCluster
from hypothesis import given, settings
from hypothesis import strategies as st

from osm4eo_xr.cogs.cog import write_cog
from osm4eo_xr.errors import InputError
from osm4eo_xr.geometry.grid import georeference, target_geobox
from osm4eo_xr.imagery.scenes import open_scene
from osm4eo_xr.inference import worker
from osm4eo_xr.inference.prediction import classify
from osm4eo_xr.inference.specification import inputs_of
from osm4eo_xr.inference.throughput import read_throughput
from osm4eo_xr.models.model import Model
from osm4eo_xr.models.model_folder import save_model
from osm4eo_xr.models.record import Normalization
from osm4eo_xr.networks import resnet
from osm4eo_xr.networks.settings import NetSettings
from tests.networks.test_resnet import random_variables

BANDS = ("blue", "green", "red", "nir")
DENSE = NetSettings(bands=4, classes=12, depth=11, width=4, decoder=6)
DEEPER = NetSettings(bands=4, classes=12, depth=20, width=8, kernel=3, decoder=10)
WINDOW = NetSettings(bands=4, classes=12, depth=11, width=4, mode="window")
SHAPE = (150, 205)


def make_model(net: NetSettings = DENSE, **changes: object) -> Model:
    """A model with random weights whose maps show all sorts of classes."""
    fields = {
        "net": net,
        "variables": random_variables(net, seed=2 if net.mode == "window" else 0),
        "bands": BANDS,
        "normalization": Normalization(center=(0.05, 0.1, 0.15, 0.2), scale=(0.1,) * 4),
    }
    return Model(**{**fields, **changes})


def make_scene(shape: tuple[int, int] = SHAPE, *, holes: bool = True) -> xr.DataArray:
    """Smooth random reflectances with a hole in one band and one in all."""
    rng = np.random.default_rng(0)
    coarse = rng.normal(size=(4, shape[0] // 5 + 1, shape[1] // 5 + 1)).astype(np.float32)
    data = 0.2 + 0.15 * coarse.repeat(5, 1).repeat(5, 2)[:, : shape[0], : shape[1]]
    data = data.clip(0, 1)
    if holes:
        data[1, 40:48, 60:75] = np.nan
        data[:, 100:, 190:] = np.nan
    geobox = target_geobox((0, 0, shape[1] * 10, shape[0] * 10))
    return georeference(
        data, geobox, dims=("band", "y", "x"), coords={"band": list(BANDS)}, attrs={"units": "1"}
    )


def chunked(scene: xr.DataArray, rows: Any, cols: Any) -> xr.DataArray:
    return scene.chunk({"band": -1, "y": rows, "x": cols})


def scaling(model: Model) -> tuple[np.ndarray, np.ndarray]:
    """Center and scale per band, shaped (band, 1, 1)."""
    normal = model.normalization
    center, scale = (np.asarray(v, np.float32) for v in (normal.center, normal.scale))
    return center.reshape(-1, 1, 1), scale.reshape(-1, 1, 1)


def whole_pass(scene: xr.DataArray, model: Model) -> np.ndarray:
    """Logits of one evaluation of the network, not folded, over the whole padded scene."""
    data = scene.values
    valid = np.isfinite(data).all(axis=0)
    center, scale = scaling(model)
    x = np.where(valid, (data - center) / scale, 0)
    halo = model.footprint.halo
    rows, cols = (int(n) for n in valid.shape)
    extra = [(halo, halo + -n % 4) for n in (rows, cols)]
    x = np.pad(x, ((0, 0), *extra)).transpose(1, 2, 0)[None].astype(np.float32)
    logits = jax.jit(resnet.apply_eval, static_argnums=0)(model.net, model.variables, x)
    return np.asarray(logits)[0, halo : halo + rows, halo : halo + cols]


@pytest.fixture(scope="module")
def model() -> Model:
    return make_model()


@pytest.fixture(scope="module")
def expected(model: Model) -> np.ndarray:
    return classify(make_scene(), model, block=64).values


@settings(max_examples=12)
@given(
    rows=st.lists(st.integers(1, 149), max_size=3, unique=True),
    cols=st.lists(st.integers(1, 204), max_size=3, unique=True),
)
def test_any_chunking_gives_the_same_map(
    model: Model, expected: np.ndarray, rows: list[int], cols: list[int]
) -> None:
    y = tuple(int(n) for n in np.diff([0, *sorted(rows), SHAPE[0]]))
    x = tuple(int(n) for n in np.diff([0, *sorted(cols), SHAPE[1]]))
    found = classify(chunked(make_scene(), y, x), model, block=64).values
    np.testing.assert_array_equal(found, expected)


def test_map_equals_one_pass_over_the_whole_scene(model: Model, expected: np.ndarray) -> None:
    scene = make_scene()
    logits = whole_pass(scene, model)
    valid = np.isfinite(scene.values).all(axis=0)
    best = np.where(valid, np.asarray(model.class_ids)[logits.argmax(axis=-1)], 0)
    np.testing.assert_array_equal(best, expected)
    assert len(np.unique(expected)) > 4


def test_too_small_a_halo_would_show(
    model: Model, expected: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    narrow = dataclasses.replace(model.footprint, before=4, after=4)
    monkeypatch.setattr(Model, "footprint_at", lambda *_: narrow)
    assert (classify(make_scene(), model, block=64).values != expected).any()


def test_no_data_stays_where_it_is(model: Model, expected: np.ndarray) -> None:
    scene = make_scene()
    valid = np.isfinite(scene.values).all(axis=0)
    np.testing.assert_array_equal(expected == 0, ~valid)
    neutral = make_scene(holes=False)
    center = scaling(model)[0]
    filled = neutral.copy(data=np.where(valid, neutral.values, center))
    np.testing.assert_array_equal(classify(filled, model, block=64).values[valid], expected[valid])


def test_one_compilation_serves_every_block() -> None:
    read_throughput(reset=True)
    fresh = make_model(normalization=Normalization(center=(0.1,) * 4, scale=(0.2,) * 4))
    for size in (50, 64, 150):
        classify(chunked(make_scene(), size, size), fresh, block=64).compute()
    seen = read_throughput()
    assert seen.compilations == 1
    assert seen.blocks == 3 * 3 * 4
    assert seen.pixels == 3 * SHAPE[0] * SHAPE[1]
    assert 0 < seen.device_share <= 1
    assert seen.to_dict()["pixels_per_s"] > 0


@pytest.mark.usefixtures("no_compute")
def test_classify_is_lazy(model: Model) -> None:
    scene = chunked(make_scene(), 64, 64)
    lazy = classify(scene, model, outputs=["classes", "probabilities"])
    assert isinstance(lazy["probabilities"].data, da.Array)
    assert lazy["classes"].dtype == np.uint8
    assert lazy["classes"].odc.geobox == scene.odc.geobox


def test_all_outputs_come_from_one_pass(model: Model, expected: np.ndarray) -> None:
    read_throughput(reset=True)
    names = ["probabilities", "classes", "margin", "confidence"]
    found = classify(make_scene(), model, outputs=names, block=64).compute()
    assert read_throughput().blocks == 3 * 4
    np.testing.assert_array_equal(found["classes"], expected)
    probability = np.asarray(jax.nn.softmax(whole_pass(make_scene(), model), axis=-1))
    valid = expected != 0
    scaled = found["probabilities"].transpose("y", "x", "class").values
    assert np.abs(scaled[valid] - probability[valid] * 250.0).max() <= 0.51
    assert (scaled[~valid] == 255).all()
    ordered = np.sort(probability, axis=-1)
    for name, values in {
        "confidence": ordered[..., -1],
        "margin": ordered[..., -1] - ordered[..., -2],
    }.items():
        assert np.abs(found[name].values[valid] - values[valid] * 250).max() <= 0.51
        assert (found[name].values[~valid] == 255).all()
        assert found[name].attrs["nodata"] == 255
    assert list(found["class"].values) == list(model.class_ids)


def test_window_mode_classifies_the_pixel_at_the_center_index() -> None:
    scene = make_scene((24, 40))
    maps = []
    conventions: Any = {5: "original-train", 6: "original-predict"}
    for center, said in conventions.items():
        model = make_model(WINDOW, center=center)
        maps.append(by_windows(scene, model))
        found = classify(chunked(scene, 7, 11), model, block=16)
        np.testing.assert_array_equal(found, maps[-1])
        for same in (center, said):
            by_name = classify(scene, make_model(WINDOW, center=0), block=16, center=same)
            np.testing.assert_array_equal(by_name, maps[-1])
            assert by_name.attrs["center"] == center
    assert len(np.unique(maps[0])) > 4
    assert (maps[0] != maps[1]).any()


@pytest.mark.parametrize("center", ["middle", 12, -1])
def test_an_unknown_center_is_refused(center: Any) -> None:
    with pytest.raises(InputError, match=f"center {center!r} is unknown"):
        classify(make_scene(), make_model(WINDOW), center=center)


def by_windows(scene: xr.DataArray, model: Model) -> np.ndarray:
    """Classes from windows cut one by one."""
    data = scene.values.astype(np.float32)
    valid = np.isfinite(data).all(axis=0)
    center, scale = scaling(model)
    x = np.where(valid, (data - center) / scale, 0)
    before = int(model.center or 0)
    x = np.pad(x, ((0, 0), (before, 11 - before), (before, 11 - before))).transpose(1, 2, 0)
    rows, cols = (int(n) for n in valid.shape)
    windows = [x[r : r + 12, c : c + 12] for r in range(rows) for c in range(cols)]
    apply = jax.jit(resnet.apply_eval, static_argnums=0)
    logits = apply(model.net, model.variables, np.stack(windows).astype(np.float32))
    best = np.asarray(logits).argmax(axis=-1).reshape(rows, cols)
    return np.where(valid, np.asarray(model.class_ids)[best], 0)


@pytest.mark.parametrize(
    ("net", "engine"),
    [(DENSE, "onnx"), (WINDOW, "onnx"), (DENSE, "winograd"), (DEEPER, "winograd")],
)
def test_all_engines_give_the_same_map(
    net: NetSettings, engine: Literal["onnx", "winograd"]
) -> None:
    if engine == "onnx":
        pytest.importorskip("onnxruntime")
        pytest.importorskip("onnx")
    scene = make_scene((60, 72) if net.mode == "window" else SHAPE)
    names = ["classes", "probabilities"]
    made = [
        classify(scene, make_model(net), outputs=names, block=64, engine=each).compute()
        for each in ("jax", engine)
    ]
    np.testing.assert_array_equal(made[0]["classes"], made[1]["classes"])
    by_jax, by_other = (each["probabilities"].values.astype(int) for each in made)
    assert np.abs(by_jax - by_other).max() <= 1


@pytest.mark.parametrize("engine", ["jax", "winograd"])
def test_any_tile_gives_the_logits_of_one_pass(engine: Literal["jax", "winograd"]) -> None:
    scene, model = make_scene((61, 90)), make_model(DEEPER)
    logits = whole_pass(scene, model)
    valid = np.isfinite(scene.values).all(axis=0)
    best = np.where(valid, np.asarray(model.class_ids)[logits.argmax(-1)], 0)
    for tile in (32, 60, 64, 96):
        found = classify(scene, model, block=tile, engine=engine).values
        np.testing.assert_array_equal(found, best)


def test_bands_are_taken_by_name(model: Model, expected: np.ndarray) -> None:
    scene = make_scene().isel(band=[2, 0, 3, 1])
    np.testing.assert_array_equal(classify(scene, model, block=64).values, expected)


def test_scene_range_maps_the_whole_scene_to_minus_one_to_one() -> None:
    scene = make_scene()
    low, high = float(scene.min()), float(scene.max())
    half = (high - low) / 2
    fixed = Normalization(center=(low + half,) * 4, scale=(half,) * 4)
    by_range = make_model(normalization=Normalization(kind="scene range"))
    np.testing.assert_array_equal(
        classify(chunked(scene, 50, 60), by_range, block=64).values,
        classify(scene, make_model(normalization=fixed), block=64).values,
    )


@pytest.mark.parametrize(
    ("change", "arguments", "message"),
    [
        (lambda s: s.isel(band=[0, 1, 2]), {}, "scene lacks band 'nir'"),
        (lambda s: s.assign_attrs(units="digital number"), {}, "is in 'digital number'"),
        (lambda s: s.isel(band=0), {}, "scene has dims"),
        (lambda s: xr.DataArray(s.values, {"band": list(BANDS)}, s.dims), {}, "no CRS"),
        (lambda s: s, {"outputs": ["height"]}, "output 'height' is unknown"),
        (lambda s: s, {"outputs": "margin"}, "comes in a Dataset"),
        (lambda s: s, {"block": -1}, "block is -1"),
        (lambda s: s, {"dtype": "int8"}, "dtype 'int8' is unknown"),
        (lambda s: s, {"center": 5}, "center 5 is for window models"),
        (lambda s: s, {"engine": "torch"}, "engine 'torch' is unknown"),
        (lambda s: s, {"engine": "onnx", "dtype": "bfloat16"}, "computes in float32"),
    ],
)
def test_what_does_not_fit_is_refused(
    model: Model, change: Callable, arguments: dict, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        classify(change(make_scene()), model, **arguments)


def test_the_kernels_for_cpus_refuse_networks_that_they_do_not_serve() -> None:
    wide = dataclasses.replace(DENSE, kernel=7)
    for net, what in ((WINDOW, "window mode with 5"), (wide, "dense mode with 7")):
        with pytest.raises(InputError, match=f"engine 'winograd' is for dense .* {what}"):
            classify(make_scene(), make_model(net), engine="winograd")


def test_tasks_carry_a_saved_models_path_and_not_its_weights(tmp_path: Path) -> None:
    model = dataclasses.replace(make_model(), path=save_model(make_model(), tmp_path / "m"))
    lazy = classify(chunked(make_scene(), 64, 64), model, block=64)
    assert not any("model-" in str(key) for key in lazy.data.dask)
    save_model(make_model(normalization=Normalization((0,) * 4, (1,) * 4)), tmp_path / "m")
    worker._engines.clear()
    with pytest.raises(InputError, match="the map was planned with"):
        lazy.compute()


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with (
        LocalCluster(
            n_workers=2, threads_per_worker=2, processes=True, dashboard_address=":0"
        ) as c,
        Client(c) as client,
    ):
        yield client


def test_spawned_workers_give_the_same_map_with_one_compilation_each(
    client: Client, model: Model, expected: np.ndarray, tmp_path: Path
) -> None:
    saved = dataclasses.replace(model, path=save_model(model, tmp_path / "m"))
    for each in (saved, model):
        lazy = classify(chunked(make_scene(), 40, 50), each, block=64)
        np.testing.assert_array_equal(lazy.compute(scheduler=client), expected)
    seen = read_throughput(client)
    assert seen.compilations == seen.processes <= 2
    assert seen.blocks == 2 * 12
    with config.set(scheduler="synchronous"):
        np.testing.assert_array_equal(classify(make_scene(), model, block=64), expected)


def test_a_written_map_names_the_hash_of_its_model(tmp_path: Path) -> None:
    model = make_model(name="Hesse")
    classes = classify(chunked(make_scene(), 128, 128), model).assign_attrs(
        datetime="2024-06-01T00:00:00Z"
    )
    write_cog(classes, tmp_path / "map.tif")
    item = json.loads((tmp_path / "map.stac.json").read_text())
    assert item["properties"]["processing:lineage"].endswith(f"model with SHA-256 {model.digest}")
    with rasterio.open(tmp_path / "map.tif") as file:
        assert (file.tags()["model"], file.tags()["digest"]) == ("Hesse", model.digest)


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scene as uint16 with offset and a no-data value of its own."""
    scene = make_scene()
    numbers = ((scene.fillna(0) + 0.1) * 1e4).round().where(scene.notnull(), 9)
    path = tmp_path_factory.mktemp("stored") / "scene.tif"
    return write_cog(numbers.astype(np.uint16).assign_attrs(nodata=9), path)


def open_stored(path: Path, *, bands: tuple[str, ...] = BANDS, scale: float = 1e-4) -> xr.DataArray:
    return open_scene(path, geobox="native", bands=bands, scale=scale, offset=-0.1)


@pytest.mark.parametrize("engine", ["jax", "winograd"])
@pytest.mark.parametrize("around", [False, True])
def test_a_scene_straight_from_its_file_goes_to_the_device_as_stored(
    stored: Path, engine: Any, around: bool
) -> None:
    scene, model = open_stored(stored), make_model()
    outputs = ["classes", "probabilities"]
    maps, sizes = [], []
    for each in (scene, scene + 0):
        how: Any = {"around": [each] if around else None, "engine": engine, "block": 64}
        read_throughput(reset=True)
        maps.append(classify(each, model, outputs=outputs, **how).compute())
        sizes.append(read_throughput().bytes_read)
    xr.testing.assert_equal(*maps)
    assert len(np.unique(maps[0]["classes"])) > 3
    assert 2 * sizes[0] == sizes[1]


def test_scenes_around_of_other_numbers_make_floats_of_all(stored: Path) -> None:
    model, scene = make_model(), open_stored(stored)
    other = open_stored(stored, scale=2e-4)
    data, scalings = inputs_of([scene, other], model)
    assert ([each.dtype for each in data], scalings) == ([np.float32] * 2, ())
    data, scalings = inputs_of([scene, scene], model)
    assert ([each.dtype for each in data], len(scalings)) == ([np.uint16] * 2, 4)


@pytest.mark.usefixtures("no_compute")
def test_stored_numbers_are_planned_without_reading(stored: Path) -> None:
    scene = open_stored(stored, bands=BANDS[::-1])
    assert classify(scene, make_model(), around=[scene]).chunks is not None
