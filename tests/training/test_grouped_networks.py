"""Networks with groups learn, bear what is missing, and go the whole way to maps without seams."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

from osm4eo_xr.accuracy.held_out import evaluate
from osm4eo_xr.errors import InputError
from osm4eo_xr.feature_ids.ids import groups_of
from osm4eo_xr.inference.prediction import classify
from osm4eo_xr.models.model import Model
from osm4eo_xr.models.model_folder import load_model, save_model
from osm4eo_xr.networks.grouped_layers import heads_of
from osm4eo_xr.networks.layers import arrays_at
from osm4eo_xr.networks.resnet import init
from osm4eo_xr.training.fit import train
from osm4eo_xr.training.settings import TrainSettings
from osm4eo_xr.training.step.augment import drop_groups
from osm4eo_xr.training.transfer import starting_variables
from tests.cases.many_sensors import FEATURES, country, legend, samples_of, scene_of
from tests.networks.test_resnet import random_variables

COUPLED = TrainSettings(
    width=4,
    decoder=8,
    weight_decay=1e-2,
    cutmix=0.0,
    epochs=8,
    validate_every=4,
    batch=8,
    learning_rate=1e-2,
    network="coupled",
    shared=True,
)
TEMPORAL = dataclasses.replace(COUPLED, network="temporal")


@pytest.fixture(scope="module", autouse=True)
def quick_compilation() -> Iterator[None]:
    """Have XLA compile fast rather than well: compiling is what these tests take their time for."""
    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", before)


@pytest.fixture(scope="module")
def samples() -> xr.Dataset:
    return (
        samples_of(*country(noise=0.3), per_class=40).isel(band=slice(6)).compute()
    )  # one encoder


@pytest.fixture(scope="module")
def learned(samples: xr.Dataset) -> Model:
    return train(samples, COUPLED)


@pytest.fixture(scope="module", params=["coupled", "temporal"])
def model(request: pytest.FixtureRequest, learned: Model) -> Model:
    """A coupled network that was trained, and a temporal one whose weights are random."""
    if request.param == "coupled":
        return learned
    net = TEMPORAL.net(bands=len(learned.bands), classes=5, features=learned.bands)
    return dataclasses.replace(learned, net=net, variables=random_variables(net))


def test_a_coupled_network_learns_what_its_groups_tell_together(
    learned: Model, samples: xr.Dataset
) -> None:
    # Sentinel-2 cannot tell roofs apart, two of five classes; its periods by themselves no crops.
    assert evaluate(learned, samples, "test").overall_accuracy > 0.6
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(learned.variables))
    assert learned.optional == tuple(group.name for group in learned.net.groups)


def test_models_with_groups_reach_the_map_as_they_are(model: Model, tmp_path: Path) -> None:
    loaded = load_model(save_model(model, tmp_path / "model"))
    assert (loaded.net, loaded.digest) == (model.net, model.digest)
    features, _ = country(80, 90, noise=0.3, seed=1)
    features[:, 20:30, 40:50] = np.nan
    features[2:4, 40:60, 10:30] = np.nan  # July
    scene = scene_of(features)
    maps = classify(scene, loaded, block=32).compute()
    finer = classify(scene.chunk(band=3, y=17, x=23), loaded, block=32).compute()
    xr.testing.assert_equal(maps, finer)
    np.testing.assert_array_equal(maps.to_numpy() > 0, np.isfinite(features[:6]).any(axis=0))
    assert len(np.unique(maps)) > 2
    with pytest.raises(InputError, match="engine 'onnx' does not compute network"):
        classify(scene, loaded, engine="onnx")


def test_groups_are_taken_from_samples_but_never_all() -> None:
    groups = groups_of(FEATURES)
    x = jnp.ones((400, 2, 2, len(FEATURES)), jnp.float32).at[:, 0, 0, 6:].set(jnp.nan)
    label = jnp.ones((400, 2, 2), jnp.uint8)
    drop = jax.jit(drop_groups, static_argnames=("groups", "probability"))
    found, left = drop(x, label, jax.random.key(0), groups=groups, probability=0.7)
    there = np.isfinite(np.asarray(found))
    taken = ~there[:, 1, 1]
    for group in groups:
        own = taken[:, list(group.channels)]
        assert (own.all(axis=1) == own.any(axis=1)).all()
        assert 0.55 < own[:, 0].mean() < 0.75  # 0.7, less the last ones
    assert not taken.all(axis=1).any()
    np.testing.assert_array_equal(np.asarray(left) > 0, there.any(axis=-1))
    assert (np.asarray(left)[:, 0, 0] == 0).any()


def test_all_heads_are_made_afresh_for_other_classes() -> None:
    net = COUPLED.net(bands=len(FEATURES), classes=5, features=FEATURES)
    scale: Any = dataclasses.make_dataclass("Start", ["variables", "legend", "class_ids"])
    start = scale(init(net, jax.random.key(1)), legend(), (1, 2, 5, 6, 0))
    moved = starting_variables(net, 0, legend(), start)["params"]
    fresh = init(net, jax.random.key(0))["params"]
    for path in heads_of(net):
        np.testing.assert_array_equal(
            arrays_at(moved, path)["kernel"], arrays_at(fresh, path)["kernel"]
        )
    assert len(heads_of(net)) == 4


def test_periods_with_other_bands_are_refused_where_they_have_to_be_alike() -> None:
    features = ("s2:red@2024-04", "s2:nir@2024-07")
    with pytest.raises(InputError, match="s2@2024-07 has bands nir, s2@2024-04 has red"):
        TEMPORAL.net(bands=2, classes=5, features=features)
    net = dataclasses.replace(COUPLED, shared=False).net(bands=2, classes=5, features=features)
    assert [group.name for group in net.groups] == ["s2@2024-04", "s2@2024-07"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"network": "lstm"}, "network 'lstm' is unknown"),
        ({"fusion": "max"}, "fusion 'max' is unknown"),
        ({"group_dropout": 1.0}, "group_dropout is 1.0"),
        ({"auxiliary": -0.1}, "auxiliary is -0.1"),
    ],
)
def test_wrong_settings_of_groups_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        TrainSettings(**change)
