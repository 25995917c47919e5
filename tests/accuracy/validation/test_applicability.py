"""Where a model applies: the index beside brute force, its threshold, sets, maps, files."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from osm4eo_xr.accuracy.validation.conformal import (
    NEVER,
    covered_shares,
    least_probabilities,
    members,
)
from osm4eo_xr.accuracy.validation.dissimilarity import (
    choose_prototypes,
    least_distances,
    mean_distance,
    upper_whisker,
)
from osm4eo_xr.accuracy.validation.training_points import fit_applicability
from osm4eo_xr.errors import InputError
from osm4eo_xr.inference.prediction import classify
from osm4eo_xr.maps.layers import extract_layer
from osm4eo_xr.models.applicability import ARRAYS_FILE, FACTS_FILE
from osm4eo_xr.models.model import Model
from osm4eo_xr.models.model_folder import load_model, model_from_bytes, model_to_bytes, save_model
from tests.accuracy.test_evaluate import model
from tests.cases.train_case import box, ground, raster, small_samples, spectra

ALL: Any = ["classes", "dissimilarity", "density", "set_size", "sets"]


@pytest.fixture(scope="module")
def samples() -> xr.Dataset:
    return small_samples(per_class=60).compute()


@pytest.fixture(scope="module")
def fitted(samples: xr.Dataset) -> Model:
    return fit_applicability(model(), samples, points=3000, prototypes=64)


@pytest.fixture(scope="module")
def scene() -> xr.DataArray:
    return raster(spectra(ground(60, 70, seed=3), seed=3), box(60, 70))


@pytest.fixture(scope="module")
def maps(fitted: Model, scene: xr.DataArray) -> xr.Dataset:
    return classify(scene, fitted, outputs=ALL, engine="jax").compute()


def test_distances_are_those_of_pairs_one_by_one() -> None:
    rng = np.random.default_rng(0)
    points, fold = rng.normal(size=(40, 3)).astype(np.float32), np.arange(40) % 4
    pairs: dict[Any, float] = {
        (i, j): float(np.sqrt(((points[i].astype(float) - points[j].astype(float)) ** 2).sum()))
        for i in range(40)
        for j in range(40)
    }
    assert mean_distance(points) == pytest.approx(sum(pairs.values()) / (40 * 39))
    found = least_distances(points, points, fold, fold)
    for i in range(40):
        others = [pairs[i, j] for j in range(40) if fold[j] != fold[i]]
        assert found[i] == pytest.approx(min(others))
    chosen, stands_for = choose_prototypes(points, 10)
    assert len(set(chosen)) == len(chosen) <= 10
    for i in range(40):
        assert pairs[i, chosen[stands_for[i]]] == pytest.approx(min(pairs[i, j] for j in chosen))
    assert list(choose_prototypes(points[:5], 10)[0]) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("values", "whisker"),
    [([*range(1, 11), 50], 10), ([*range(1, 11)], 10), ([1, 1, 1, 1, 9], 1), ([3, 8], 8)],
)
def test_outliers_are_those_of_boxplot_stats(values: list[float], whisker: float) -> None:
    # R: boxplot.stats(c(1:10, 50))$stats is 1, 3.5, 6, 8.5, 10.
    assert upper_whisker(np.array(values, float)) == whisker


def test_own_held_out_ground_is_inside_and_strange_ground_outside(
    fitted: Model, scene: xr.DataArray
) -> None:
    facts = fitted.applicability.facts  # pyright: ignore[reportOptionalMemberAccess]
    assert facts["test"]["inside"]["value"] > 0.9
    assert facts["by_all_points"]["agreement"] > 0.9
    assert facts["by_all_points"]["mean_index_error"] >= 0
    assert facts["training"]["prototypes"] <= 64
    strange = classify(scene + 0.6, fitted, outputs=["dissimilarity"])["dissimilarity"]
    assert float((strange.where(strange < 255) > 100).mean()) > 0.9


def test_maps_hold_what_the_points_say(fitted: Model, maps: xr.Dataset) -> None:
    empty = maps["classes"] == 0
    for name in ALL[1:]:
        assert ((maps[name] == 255) == empty).all(), name
    inside = maps["dissimilarity"].where(~empty) <= 100
    assert 0.8 < float(inside.where(~empty).mean()) <= 1
    np.testing.assert_array_equal(maps["density"].where(~empty, 0) > 0, inside)
    assert ((maps["sets"].sum("class") == maps["set_size"]) | empty).all()
    assert maps["dissimilarity"].attrs["threshold"] == fitted.applicability.threshold  # pyright: ignore[reportOptionalMemberAccess]
    assert maps["set_size"].attrs["coverage"] == 0.9
    with pytest.raises(InputError, match="made as set sizes; expected class ids"):
        extract_layer(maps["set_size"], "urban")  # which a pixel with one class is not


def test_engines_and_chunks_agree(fitted: Model, scene: xr.DataArray, maps: xr.Dataset) -> None:
    for engine, chunks, steps in (("jax", 13, 0), ("winograd", -1, 1)):
        how: Any = {"outputs": ALL, "engine": engine}
        found = classify(scene.chunk({"y": chunks, "x": 17}), fitted, **how).compute()
        for name in ALL:
            apart = np.abs(found[name].astype(int) - maps[name].astype(int))
            if steps and name == "density":  # a prototype at the threshold is within or without
                assert apart.max() <= 1 + _heaviest(fitted)
                assert (apart > 1).mean() < 0.01
                continue
            assert apart.max() <= steps, (engine, name)


def _heaviest(fitted: Model) -> float:
    """Return the steps of density for which the prototype of the most points stands."""
    counts = fitted.applicability.counts  # pyright: ignore[reportOptionalMemberAccess]
    return float(250 * counts.max() / counts.sum())


@pytest.mark.usefixtures("no_compute")
def test_maps_are_lazy(fitted: Model, scene: xr.DataArray) -> None:
    assert classify(scene.chunk({"y": 20}), fitted, outputs=ALL)["dissimilarity"].chunks


def test_a_model_keeps_its_points(fitted: Model, tmp_path: Path) -> None:
    known = fitted.applicability
    assert known is not None
    folder = save_model(fitted, tmp_path / "model")
    for again in (load_model(folder), model_from_bytes(model_to_bytes(fitted))):
        assert again.applicability is not None
        assert again.applicability.digest == known.digest
        assert again.digest == fitted.digest == model().digest
    stored = load_model(folder).applicability
    assert stored is not None
    assert stored.facts == known.facts
    assert save_model(fitted, folder) == folder
    text = (folder / FACTS_FILE).read_text()
    (folder / FACTS_FILE).write_text(text.replace('"format": 2', '"format": 7'))
    with pytest.raises(InputError, match="format is 7"):
        load_model(folder)
    (folder / FACTS_FILE).write_text(text)
    (folder / ARRAYS_FILE).write_bytes(known.arrays[:-1])
    with pytest.raises(InputError, match="not the one that"):
        load_model(folder)
    (folder / ARRAYS_FILE).unlink()
    with pytest.raises(InputError, match="is missing"):
        load_model(folder)


def test_sets_hold_each_class_as_often_as_promised() -> None:
    rng = np.random.default_rng(0)
    index = rng.choice(3, 40_000, p=[0.6, 0.3, 0.1])
    logits = rng.normal(0, 1, (40_000, 4))
    logits[np.arange(40_000), index] += 1.5
    share = (np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)).astype(np.float32)
    half, learned = slice(20_000), np.array([True, True, True, False])
    least = least_probabilities(share[half], index[half], 0.9, learned)
    covered = covered_shares(members(share[20_000:], least), index[20_000:])
    np.testing.assert_allclose(covered[:3], 0.9, atol=0.04)
    assert np.isnan(covered[3])
    assert least[3] == np.float32(NEVER)
    few = least_probabilities(share[:9], np.array([0] * 8 + [1]), 0.9, np.ones(4, bool))
    assert list(few) == [0, 0, 0, 0]
    nine = least_probabilities(share[:9], np.zeros(9, int), 0.9, learned)
    assert nine[0] == share[:9, 0].min()


def test_what_does_not_fit_is_refused(
    samples: xr.Dataset, fitted: Model, scene: xr.DataArray
) -> None:
    with pytest.raises(InputError, match="does not say where it applies"):
        classify(scene, model(), outputs=["set_size"])
    with pytest.raises(InputError, match="'onnx' does not give"):
        classify(scene, fitted, outputs=["density"], engine="onnx")
    windowed = fit_applicability(model("window"), samples, points=200, prototypes=8)
    with pytest.raises(InputError, match="is of dense models"):
        classify(scene, windowed, outputs=["dissimilarity"])
    for how in ({"coverage": 1.0}, {"points": 3}, {"prototypes": 0}, {"folds": 1}):
        with pytest.raises(InputError):
            fit_applicability(fitted, samples, **how)  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match="no sample in validation"):
        fit_applicability(fitted, samples.isel(sample=samples["split"] != 1))
    assert fitted.applicability is not None
    with pytest.raises(InputError, match="reach"):
        dataclasses.replace(fitted.applicability, reach=0.0)
