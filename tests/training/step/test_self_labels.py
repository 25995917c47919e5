"""Self-training: sure classes of the teacher fill gaps of the labels, and nothing else changes."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import softmax

from osm4eo_xr.errors import InputError
from osm4eo_xr.networks import resnet
from osm4eo_xr.networks.settings import NetSettings
from osm4eo_xr.samples.label_weights import is_given, is_open, pack, unpack, with_own
from osm4eo_xr.training.settings import TrainSettings
from osm4eo_xr.training.step.inputs import prepared
from osm4eo_xr.training.step.task import Task, numbers_of
from osm4eo_xr.training.step.train_step import fresh_state, make_train_step
from tests.networks.test_resnet import random_variables

IDS = (2, 5, 9)
LEAST = 0.6


def _task(**changes: Any) -> Task:
    how = {"self_training": LEAST, "average": 0.9, "cutmix": 0.0, "flips": False, "epochs": 4}
    settings = TrainSettings(width=4, decoder=5, **{**how, **changes})
    net = settings.net(bands=2, classes=3)
    return Task(net, settings, IDS, (0.5,) * 2, (2.0,) * 2, (1.0,) * 3, steps_per_epoch=5)


def _batch() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    image = rng.normal(size=(3, 8, 8, 2)).astype(np.float32)
    image[0, :2, :, 1] = np.nan
    label = rng.choice(np.array([0, 0, *IDS], np.uint8), size=(3, 8, 8))
    return image, label


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("step", [9, 10])
def test_sure_classes_fill_gaps_from_the_middle_of_the_training_on(
    step: int, *, weighted: bool
) -> None:
    task, (image, label) = _task(), _batch()
    teacher = random_variables(task.net)
    weight = np.full(label.shape, 51, np.uint8)
    given = jnp.asarray(pack(label, weight) if weighted else label)
    at = jnp.asarray(step, jnp.int32)
    x, found = prepared(task.form, numbers_of(task), at, jnp.asarray(image), given, teacher)
    usable = np.isfinite(image).all(axis=-1)
    chances = softmax(np.asarray(resnet.apply_eval(task.net, teacher, x)), axis=-1)
    unlabeled = (label == 0) & usable
    plain = (chances.max(axis=-1) - 0.1 / 3) / 0.9  # without what smoothing spreads
    filled = unlabeled & (plain >= LEAST) & (step >= 10)
    classes, share = map(np.asarray, unpack(found))
    np.testing.assert_array_equal(
        classes, np.where(filled, np.array(IDS)[chances.argmax(axis=-1)], label)
    )
    np.testing.assert_array_equal(np.asarray(is_given(found)), ~filled)
    np.testing.assert_array_equal(np.asarray(is_open(found)), unlabeled)
    known = label > 0
    np.testing.assert_allclose(share[known], 0.2 if weighted else 1.0)
    np.testing.assert_array_equal(share[filled], 1.0)
    if step >= 10:
        assert 5 < filled.sum() < unlabeled.sum()


@pytest.mark.parametrize("engine", ["jax", "kernels"])
@pytest.mark.parametrize("accumulate", [1, 3])
def test_a_step_counts_its_own_labels_apart(engine: Any, accumulate: int) -> None:
    """What the network labels itself is learned; the accuracy does not count it."""
    task, (image, label) = _task(engine=engine, batch=3, accumulate=accumulate), _batch()
    state = fresh_state(task, random_variables(task.net))
    state["step"] = jnp.asarray(10, jnp.int32)
    plain = _task(engine=engine, batch=3, accumulate=accumulate, self_training=0.0)
    given = jnp.asarray(image), jnp.asarray(label)
    _, alone = make_train_step(plain)(jax.tree.map(jnp.array, state), *given)
    _, sums = make_train_step(task)(jax.tree.map(jnp.array, state), *given)
    assert "self_labeled" not in alone
    for name in ("correct", "labeled"):
        assert float(sums[name]) == float(alone[name])
    assert float(sums["labeled"]) == np.isin(label, IDS).sum()
    usable = np.isfinite(image).all(axis=-1)
    assert float(sums["unlabeled"]) == ((label == 0) & usable).sum()
    assert 0 < float(sums["self_labeled"]) < float(sums["unlabeled"])
    own = float(sums["weight"]) - float(alone["weight"])
    assert own == float(sums["self_labeled"])
    assert float(sums["loss"]) > float(alone["loss"])


def test_own_labels_are_told_from_given_ones() -> None:
    label = np.array([0, 7, 255, 0, 0], np.uint8)
    own, sure = jnp.full(5, 9, jnp.uint8), jnp.asarray([True, True, True, False, True])
    usable = jnp.asarray([True, True, True, True, False])
    for given in (label, pack(label, np.array([255, 51, 0, 255, 255], np.uint8))):
        wide = with_own(jnp.asarray(given), own, sure, usable)
        classes, share = unpack(wide)
        np.testing.assert_array_equal(classes, [9, 7, 255, 0, 0])
        np.testing.assert_array_equal(is_given(wide), [False, True, True, True, True])
        np.testing.assert_array_equal(is_open(wide), [True, False, False, True, False])
        _, before = unpack(jnp.asarray(given))
        np.testing.assert_allclose(share[1:], before[1:])
        assert np.asarray(is_given(jnp.asarray(given))).all()
        assert not np.asarray(is_open(jnp.asarray(given))).any()


@pytest.mark.parametrize(
    "changes",
    [
        *({"mode": "window"}, {"average": 0.0}, {"self_training": 1.0}, {"self_training": -1}),
        *({"logit_adjustment": 1.0}, {"noise": "forward"}),
    ],
)
def test_what_cannot_label_itself_is_refused(changes: Any) -> None:
    with pytest.raises(InputError, match="self_training is"):
        TrainSettings(**{"self_training": 0.9, **changes})


def test_nets_of_members_are_their_own_teachers() -> None:
    task, (image, label) = _task(members=2, batch=3), _batch()
    assert task.net == NetSettings(2, 3, 11, 4, kernel=3, decoder=5, members=2)
    state = fresh_state(task, random_variables(task.net))
    state["step"] = jnp.asarray(10, jnp.int32)
    _, sums = make_train_step(task)(state, jnp.asarray(image), jnp.asarray(label))
    assert float(sums["self_labeled"]) > 0
