"""The learning rate is found where the loss falls, and a training takes it."""

from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

from osm4eo_xr.errors import InputError
from osm4eo_xr.training.fit import train
from osm4eo_xr.training.settings import TrainSettings
from osm4eo_xr.training.step.inputs import prepared
from osm4eo_xr.training.step.rate_search import middle_of_fall
from osm4eo_xr.training.step.task import Task, numbers_of
from tests.cases.train_case import TINY, same_weights, small_samples

RATES = np.geomspace(1e-5, 1.0, 100)
WARPED = TrainSettings(
    width=4, decoder=5, flips=False, cutmix=0.0, rotation=30.0, scaling=0.25, average=0.0
)


@pytest.fixture(scope="module")
def samples() -> xr.Dataset:
    return small_samples().compute()


def _settings(**changes: Any) -> TrainSettings:
    how: dict[str, Any] = {
        name: getattr(TINY, name) for name in ("width", "decoder", "weight_decay", "cutmix")
    }
    return TrainSettings(**{**how, "batch": 8, "epochs": 1, "learning_rate": 0.0, **changes})


@pytest.mark.parametrize("middle", [3e-4, 1e-2])
@pytest.mark.parametrize("noise", [0.0, 0.05])
@pytest.mark.parametrize("rises", [False, True])
def test_the_middle_of_the_fall_is_found(middle: float, noise: float, *, rises: bool) -> None:
    """A loss falls from 3 to 1 around a rate, and rises a hundred times above it or not."""
    steep = np.log10(RATES / middle) * 3
    losses = 1 + 2 / (1 + np.exp(steep))
    if rises:
        losses += (RATES / (100 * middle)) ** 2
    losses += noise * np.random.default_rng(0).normal(size=len(RATES))
    found = middle_of_fall(RATES, losses.tolist())
    assert middle < found < 5 * middle  # smoothing comes after what it smooths


def test_losses_that_end_in_no_number_tell_as_much_as_the_others() -> None:
    losses = np.linspace(3, 1, 60).tolist()
    assert middle_of_fall(RATES, [*losses, float("nan")]) == middle_of_fall(RATES, losses)


@pytest.mark.parametrize("losses", [[1.0] * 100, [1.0, 1.5, 2.5], [float("nan")]])
def test_a_loss_that_does_not_fall_is_refused(losses: list[float]) -> None:
    message = "no learning rate from 1e-05 to 1 lowers the loss, (1|nan) at first; give a learn"
    with pytest.raises(InputError, match=message):
        middle_of_fall(RATES, losses)


@pytest.mark.parametrize(
    "changes", [{"members": 2}, {"accumulate": 2}, {"engine": "jax", "self_training": 0.6}]
)
def test_a_training_goes_on_with_the_rate_that_was_found(
    changes: dict[str, Any], samples: xr.Dataset
) -> None:
    found = train(samples, _settings(**changes))
    rate = found.training["settings"]["learning_rate"]
    assert 1e-4 < rate < 0.3
    given = train(samples, _settings(**changes, learning_rate=rate))
    assert same_weights(found, given)


def test_steps_of_the_search_count_in_the_progress(samples: xr.Dataset) -> None:
    told: list[tuple[int, int]] = []
    history = train(samples, _settings(), progress=lambda *of: told.append(of)).training["history"]
    whole = 64 + history[-1]["step"]  # a training of few steps has a search of 64
    assert told == [(k, whole) for k in range(1, whole + 1)]


def test_a_run_that_was_stopped_keeps_its_rate(
    samples: xr.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train(samples, _settings(epochs=2))

    class StoppedError(Exception):
        pass

    def stop(done: int, _: int) -> None:
        if done == 64 + 12:
            raise StoppedError

    settings = _settings(epochs=2, checkpoint_every=5)
    with pytest.raises(StoppedError):
        train(samples, settings, folder=tmp_path / "run", progress=stop)

    def never(*_: object) -> float:
        raise AssertionError

    monkeypatch.setattr("osm4eo_xr.training.loop.find_rate", never)
    went_on = train(samples, settings, folder=tmp_path / "run")
    assert same_weights(whole, went_on)
    rate = went_on.training["settings"]["learning_rate"]
    assert rate == whole.training["settings"]["learning_rate"] > 0
    assert same_weights(went_on, train(samples, settings, folder=tmp_path / "run"))  # it has ended


def test_pixels_that_came_to_be_missing_have_no_label() -> None:
    settings = WARPED
    net = settings.net(bands=2, classes=3)
    task = Task(net, settings, (2, 5, 9), (0.5,) * 2, (2.0,) * 2, (1.0,) * 3)
    rng = np.random.default_rng(0)
    image = rng.normal(size=(6, 16, 16, 2)).astype(np.float32)
    image[:, 4:7, 8:12, 0] = np.nan
    label = rng.choice(np.array([2, 5, 9], np.uint8), size=(6, 16, 16))
    at = jnp.zeros((), jnp.int32)
    x, found = prepared(task.form, numbers_of(task), at, jnp.asarray(image), jnp.asarray(label))
    gone = (np.asarray(x) == 0).all(axis=-1)
    assert 40 < gone.sum() < 6 * 60
    np.testing.assert_array_equal(np.asarray(found) == 0, gone)
