"""Wrong labels of made-up ground are found by folds, and training bears them."""

import dataclasses
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import geopandas as gpd
import jax
import numpy as np
import pandas as pd
import pytest
import shapely
import xarray as xr

from osm4eo_xr.demo import demo_osm_path
from osm4eo_xr.errors import InputError
from osm4eo_xr.geometry.grid import geobox_of, target_geobox
from osm4eo_xr.labels.rasterize import rasterize_labels
from osm4eo_xr.legend import Legend, default_legend
from osm4eo_xr.osm.areas import split_keys
from osm4eo_xr.osm.landuse import read_landuse
from osm4eo_xr.samples.draw import draw_samples
from osm4eo_xr.samples.label_weights import class_of, unpack
from osm4eo_xr.training.batches import Windows
from osm4eo_xr.training.fit import train
from osm4eo_xr.training.label_noise import correction, estimate
from osm4eo_xr.training.label_noise.correction import applied, weights_of
from osm4eo_xr.training.label_noise.estimate import (
    LabelNoise,
    find_label_noise,
    keys_of,
)
from osm4eo_xr.training.label_noise.objects import name_objects
from osm4eo_xr.training.scoring import units_of
from osm4eo_xr.training.step.gradient import _pixel_loss
from osm4eo_xr.training.step.losses import forward_cross_entropy
from osm4eo_xr.training.step.task import Task, numbers_of
from tests.cases.train_case import BANDS, CLASSES, TINY, box, ground, raster, small_legend, spectra


def fields(seed: int = 0) -> tuple[gpd.GeoDataFrame, xr.DataArray, np.ndarray]:
    """Return fields as objects, a fifth of which have another class, their scene, and which."""
    truth = ground(seed=seed)
    grid, rows = box(*truth.shape), []
    rng = np.random.default_rng(seed)
    for top in range(0, truth.shape[0], 10):
        for left in range(0, truth.shape[1], 10):
            block = truth[top : top + 10, left : left + 10]
            true = int(np.bincount(block.ravel())[1:].argmax() + 1)
            wrong = rng.random() < 0.2
            said = rng.choice([c for c in CLASSES if c != true]) if wrong else true
            part = grid[top : top + 10, left : left + 10].boundingbox
            rows.append((int(said), wrong, shapely.box(*part)))
    said, wrong, shapes = zip(*rows, strict=True)
    frame = {"osm_kind": "way", "osm_id": np.arange(1, len(rows) + 1), "tag": "", "area": 1e4}
    areas = gpd.GeoDataFrame({**frame, "class_id": said}, geometry=list(shapes), crs=3035)
    full = np.where(truth == 0, np.roll(truth, 1, axis=1), truth)
    scene = raster(spectra(np.maximum(full, 1)), grid)
    return areas, scene, np.array(wrong)


@dataclasses.dataclass(frozen=True)
class Trained:
    """Stands for a model."""

    training: dict[str, Any]


def nearest_mean(samples: xr.Dataset, *_: object, progress: Any = None, **__: object) -> Any:
    """Learn the mean of each class from the training samples; stands for a network."""
    part = samples.isel(sample=samples["split"].to_numpy() == 0)
    image, label = part["image"].to_numpy(), part["label"].to_numpy()
    means = np.stack([np.nanmean(image[label == c], axis=0) for c in CLASSES])
    if progress:
        progress(1, 1)
    net, fixed = SimpleNamespace(mode="dense"), SimpleNamespace(kind="fixed")
    about = {"class_ids": CLASSES, "bands": BANDS, "legend": small_legend(), "center": None}
    about |= {"normalization": fixed, "units": units_of(samples)}
    return SimpleNamespace(variables={"means": means}, net=net, training={}, **about)


def distances(_task: object) -> Callable[..., np.ndarray]:
    def logits(variables: dict[str, np.ndarray], image: np.ndarray) -> np.ndarray:
        apart = np.nan_to_num(np.asarray(image))[..., None, :] - variables["means"]
        return (-(apart**2).sum(axis=-1) / 2e-3).astype(np.float32)

    return logits


@pytest.fixture(scope="module")
def found() -> tuple[xr.Dataset, LabelNoise, np.ndarray]:
    """Samples with named objects, what was found in them, and which objects are wrong."""
    areas, scene, wrong = fields()
    labels = rasterize_labels(areas, scene, legend=small_legend())
    how = {"per_class": 200, "patch": 8, "block": 200.0, "gap": 0.0, "seed": 0}
    drawn = draw_samples(scene, labels, **how, legend=small_legend(), shares=(0.8, 0.1, 0.1))
    samples = name_objects(drawn.compute(), areas, legend=small_legend())
    told: list[tuple[str, int, int]] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(estimate, "fit_network", nearest_mean)
        patch.setattr(estimate, "make_eval_step", distances)
        patch.setattr(estimate, "model_task", lambda _: None)
        noise = find_label_noise(samples, TINY, k=3, watch=lambda *step: told.append(step))
    assert told == [(f"fold {k} of 3", 1, 1) for k in (1, 2, 3)]
    return samples, noise, wrong


def test_objects_are_named_as_labels_are(
    found: tuple[xr.Dataset, LabelNoise, np.ndarray],
) -> None:
    samples = found[0]
    labeled = samples["label"].to_numpy() > 0
    classes = split_keys(samples["object"].to_numpy())[2]
    np.testing.assert_array_equal(classes[labeled], samples["label"].to_numpy()[labeled])
    areas, scene, _ = fields()
    with pytest.raises(InputError, match="no column osm_id"):
        name_objects(samples, gpd.GeoDataFrame(areas.drop(columns="osm_id")))
    areas.attrs["legend"] = "woods first"
    with pytest.raises(InputError, match="made with legend 'woods first', this is 'three'"):
        name_objects(samples, areas)
    assert geobox_of(scene).shape == (120, 150)


def test_objects_that_labels_were_made_without_are_not_named(
    found: tuple[xr.Dataset, LabelNoise, np.ndarray],
) -> None:
    """Of smaller ones, say, that were left out of the labels; the samples' legend decides."""
    samples, (areas, _, _) = found[0].drop_vars("object"), fields()
    pond = areas.iloc[[0]].assign(osm_id=10**9, class_id=12, geometry=[areas.union_all()])
    both = gpd.GeoDataFrame(pd.concat([areas, pond]), crs=areas.crs)
    named = name_objects(samples, both)["object"].to_numpy()
    label = samples["label"].to_numpy()
    known = named > 0
    assert 0 < known.sum() < (label > 0).sum()
    np.testing.assert_array_equal(split_keys(named)[2][known], label[known])


def test_extracts_are_read_by_the_tags_of_the_samples_legend(
    found: tuple[xr.Dataset, LabelNoise, np.ndarray],
) -> None:
    """Samples keep the classes of a legend alone; tags are known of the package's own."""
    path = demo_osm_path()
    areas = read_landuse(path)
    grid = target_geobox((4498000, 3266000, 4500000, 3268000))
    labels = rasterize_labels(areas, grid)
    scene = raster(np.full((len(BANDS), *labels.shape), 0.1, np.float32), grid)
    samples = draw_samples(scene, labels, per_class=20, patch=8, block=200.0, gap=0.0, seed=0)
    wanted = name_objects(samples, areas)["object"].to_numpy()
    assert (wanted > 0).any()
    np.testing.assert_array_equal(name_objects(samples, path)["object"].to_numpy(), wanted)
    with pytest.raises(InputError, match="legend 'three' as samples keep it has no tags"):
        name_objects(found[0], path)
    with pytest.raises(InputError, match="has no area that legend 'bare' names"):
        read_landuse(path, Legend("bare", default_legend().classes))


def test_wrong_objects_are_found(found: tuple[xr.Dataset, LabelNoise, np.ndarray]) -> None:
    _, noise, wrong = found
    table = noise.table()
    truth = wrong[table["osm_id"] - 1]
    assert len(table) > 60
    assert (truth & table["wrong"]).sum() >= 0.8 * truth.sum()
    assert (truth & table["wrong"]).sum() >= 0.9 * table["wrong"].sum()
    assert table["quality"].is_monotonic_increasing
    assert table["right"][~truth].mean() > table["right"][truth].mean() + 0.2
    rates = noise.noise().to_numpy()
    np.testing.assert_allclose(rates.sum(axis=1), 1)
    assert np.diag(rates).min() > 0.65
    assert np.diag(rates).max() < 0.95
    joint = noise.joint()
    assert float(joint.sum()) == pytest.approx(1)
    xr.testing.assert_allclose(joint, noise.joint("tile0"))


def test_labels_are_pruned_and_weighed_object_by_object(
    found: tuple[xr.Dataset, LabelNoise, np.ndarray],
) -> None:
    samples, noise, _ = found
    label, keys = samples["label"].to_numpy(), keys_of(samples)
    pruned, table = applied(samples, "prune", noise)
    gone = np.isin(keys, noise.unit[noise.wrong]) & (label > 0)
    assert table == ()
    assert gone.any()
    np.testing.assert_array_equal(pruned["label"], np.where(gone, 0, label))
    weighed, _ = applied(samples, "reweight", noise)
    at = int(np.argmin(noise.right))
    steps = weighed["weight"].to_numpy()[(keys == noise.unit[at]) & (label > 0)]
    assert set(steps.tolist()) == {round(255 * noise.right[at])}
    positions = np.arange(5)
    packed = Windows(weighed, positions, weighted=True).read(positions)[1]
    np.testing.assert_array_equal(class_of(packed), label[:5])
    classes, weight = unpack(jax.numpy.asarray(packed))
    np.testing.assert_array_equal(classes, label[:5])
    np.testing.assert_allclose(weight, weighed["weight"].to_numpy()[:5] / 255, rtol=1e-6)
    same, table = applied(samples, "forward", noise)
    assert same is samples
    np.testing.assert_allclose(table, noise.noise())


def test_an_object_of_two_tiles_is_judged_in_each(
    found: tuple[xr.Dataset, LabelNoise, np.ndarray],
) -> None:
    """Imagery of one tile may show what another does not: the order of tiles decides nothing."""
    samples, noise, _ = found
    two = samples.isel(sample=[0, 0]).assign(tile=("sample", np.array([0, 1], np.int16)))
    unit = np.unique(keys_of(two)[0][two["label"].to_numpy()[0] > 0])[:1].repeat(2)
    mine = keys_of(two)[0] == unit[0]
    given = np.flatnonzero(np.array(noise.class_ids) == two["label"].to_numpy()[0][mine][0])
    values, ones = np.array([1.0, 0.2]), np.ones(len(noise.class_ids))
    for tiles in (np.array([0, 1]), np.array([1, 0])):
        shares = np.tile(noise.shares[:1], (2, 1))
        how: Any = {"given": given.repeat(2), "pixels": np.ones(2, np.int64), "shares": shares}
        judged = dataclasses.replace(noise, unit=unit, region=tiles, tiles=("A", "B"), **how)
        weight = weights_of(judged, two, values, ones)[:, mine]
        expected = 255 * values[np.argsort(tiles)]
        np.testing.assert_array_equal(weight, np.broadcast_to(expected[:, None], weight.shape))


def test_labels_of_an_unknown_tile_are_named(
    found: tuple[xr.Dataset, LabelNoise, np.ndarray],
) -> None:
    with pytest.raises(InputError, match="tile 'nowhere' is unknown; expected tile0"):
        found[1].joint("nowhere")


def test_what_is_kept_for_the_test_says_nothing_of_wrong_labels(
    found: tuple[xr.Dataset, LabelNoise, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    samples, noise, _ = found
    split = np.resize(np.array([0, 0, 1, 2], np.uint8), samples.sizes["sample"])
    samples = samples.assign(split=("sample", split))
    asked, made = [], []

    def find(seen: xr.Dataset, *_: object, **__: object) -> LabelNoise:
        asked.append(seen)
        return noise

    def fit(seen: xr.Dataset, *_: object, **__: object) -> Trained:
        made.append(seen)
        return Trained({})

    monkeypatch.setattr(correction, "find_label_noise", find)
    monkeypatch.setattr(correction, "fit_network", fit)
    train(samples, dataclasses.replace(TINY, noise="reweight"))
    assert set(np.unique(asked[0]["split"])) == {0, 1}
    np.testing.assert_array_equal(keys_of(asked[0]), keys_of(samples)[split != 2])
    whole = applied(samples, "reweight", noise)[0]
    np.testing.assert_array_equal(made[0]["weight"], whole["weight"])


def test_samples_without_objects_are_judged_window_by_window(
    found: tuple[xr.Dataset, LabelNoise, np.ndarray],
) -> None:
    samples = found[0].drop_vars("object")
    keys, label = keys_of(samples), samples["label"].to_numpy()
    number = np.arange(len(label))[:, None, None]
    np.testing.assert_array_equal(keys, -1 - (number * 256 + label))


def test_training_records_what_it_found(
    found: tuple[xr.Dataset, LabelNoise, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    def find(*_: object, watch: Any, **how: Any) -> LabelNoise:
        assert how["folder"] is None
        for fold in ("a", "b"):
            watch(fold, 1, 2)
            watch(fold, 2, 2)
        return found[1]

    monkeypatch.setattr(correction, "find_label_noise", find)
    steps, trained = [], []

    def fit(samples: xr.Dataset, *_: object, progress: Any, noise: Any, **__: object) -> Trained:
        trained.append((samples, noise))
        progress(1, 2)
        progress(2, 2)
        return Trained({})

    monkeypatch.setattr(correction, "fit_network", fit)
    settings = dataclasses.replace(TINY, noise="forward", noise_folds=2)
    model = train(found[0], settings, progress=lambda *done: steps.append(done))
    assert model.training["label_noise"] == found[1].to_dict()
    assert np.shape(model.training["label_noise"]["noise"]) == (3, 3)
    assert list(model.training["label_noise"]["regions"]) == ["tile0"]
    assert steps == [(k, 6) for k in range(1, 7)]
    np.testing.assert_allclose(trained[0][1], found[1].noise())
    told: list[int] = []

    def look(_: object, settings: Any, **__: object) -> Any:
        told.append(settings.epochs)
        raise InputError("enough")

    monkeypatch.setattr(estimate, "fit_network", look)
    for epochs in (0, 1):
        with pytest.raises(InputError, match="enough"):
            find_label_noise(found[0], dataclasses.replace(settings, noise_epochs=epochs))
    assert told == [TINY.epochs, 1]
    assert TINY.epochs > 1
    with pytest.raises(InputError, match="noise_folds is 1; give 2 to 25"):
        dataclasses.replace(settings, noise_folds=1)
    with pytest.raises(InputError, match="cross_entropy, as noise is forward"):
        dataclasses.replace(settings, loss="bootstrap")


def test_the_loss_is_corrected_by_the_noise_of_the_task() -> None:
    net, noise = TINY.net(bands=4, classes=3), ((0.9, 0.1, 0.0), (0.0, 1.0, 0.0), (0.2, 0.0, 0.8))
    task = Task(net, TINY, CLASSES, (0.0,) * 4, (1.0,) * 4, (1.0,) * 3, noise=noise)
    logits = jax.numpy.asarray(np.random.default_rng(0).normal(size=(9, 3)).astype(np.float32))
    index = jax.numpy.arange(9, dtype=jax.numpy.int32) % 3
    where = jax.numpy.ones(9, bool)
    table = jax.numpy.asarray(np.array(noise, np.float32))
    expected = forward_cross_entropy(logits, index, table, where=where)
    np.testing.assert_allclose(_pixel_loss(task, numbers_of(task), logits, index, where), expected)
