"""The learning rate is found where the loss falls, and a training takes it."""

import warnings
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

from osm4eo_xr.errors import InputError, InputWarning
from osm4eo_xr.training.fit import train
from osm4eo_xr.training.settings import TrainSettings
from osm4eo_xr.training.step.inputs import prepared
from osm4eo_xr.training.step.rate_search import RateSearch, read_off
from osm4eo_xr.training.step.task import Task, numbers_of
from tests.cases.train_case import TINY, same_weights, small_samples

RATES = np.geomspace(1e-6, 1.0, 100)
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


def _fall(middle: float, seed: int, noise: float = 0.0, least: float = 1.0) -> np.ndarray:
    """Return losses that fall from 3 around a rate; batches scatter by a share of them."""
    steep = np.log10(RATES / middle) * 3
    scatter = 1 + noise * np.random.default_rng(seed).normal(size=len(RATES))
    return (least + (3 - least) / (1 + np.exp(steep))) * scatter


def _read(losses: np.ndarray, weights: np.ndarray | None = None) -> RateSearch:
    weights = np.full(len(losses), 700.0) if weights is None else weights
    return read_off(RATES, losses * weights, weights)


def _quietly_read(losses: np.ndarray, weights: np.ndarray | None = None) -> RateSearch:
    """Read off without the warning that no fall is sure."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InputWarning)
        return _read(losses, weights)


@pytest.mark.parametrize("middle", [1e-4, 1e-3, 1e-2])
@pytest.mark.parametrize("noise", [0.0, 0.05, 0.2])
@pytest.mark.parametrize("rises", ["not", "slowly", "at once", "without end"])
@pytest.mark.parametrize("seed", range(5))
def test_the_middle_of_the_fall_is_found(
    middle: float, noise: float, seed: int, rises: str
) -> None:
    """With a loss that rises above it, or one that stays low."""
    losses = _fall(middle, seed, noise)
    if rises == "slowly":
        losses += (RATES / (100 * middle)) ** 2
    elif rises != "not":
        losses[30 * middle < RATES] += 1e4 if rises == "at once" else 1e30
    search = _read(losses)
    assert search.found
    within = 1.3 if noise < 0.1 else 2.5
    assert middle / within < search.rate < middle * within
    assert search.rate in search.rates
    assert search.losses == pytest.approx(losses)


@pytest.mark.parametrize("odd", [0.5, 6.0, 1e9])
@pytest.mark.parametrize("step", [0, 1, 10, 60, 90])
@pytest.mark.parametrize("least", [1.0, 2.0])
def test_one_batch_decides_nothing(odd: float, step: int, least: float) -> None:
    """One odd loss may move the rate by a third, or leave no sure fall; never by decades."""
    losses = _fall(1e-2, 0, least=least)
    losses[step] = odd
    search = _quietly_read(losses)
    assert search.rate == (pytest.approx(1e-2, rel=0.55) if search.found else 2e-3)
    assert search.found or step >= 10 or least > 1


def test_few_heavy_batches_are_no_fall() -> None:
    """Losses are those of the batches at hand, whatever the rate."""
    found = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        losses, weights = rng.normal(0.3, 0.05, 100), np.full(100, 10.0)
        heavy = rng.choice(100, 6, replace=False)
        losses[heavy], weights[heavy] = 2.0, 2000.0
        found += _quietly_read(losses, weights).found
    assert found == 0


def test_batches_without_labels_say_nothing() -> None:
    rng = np.random.default_rng(0)
    weights = np.where(rng.random(100) < 0.3, 0.0, rng.uniform(1, 700, 100))
    weights[0] = 0.0
    search = _read(_fall(1e-2, 0), weights)
    assert search.rate == pytest.approx(1e-2, rel=0.3)
    assert [loss is None for loss in search.losses] == (weights == 0).tolist()


def test_a_long_stretch_without_labels_is_no_fall() -> None:
    weights = np.full(100, 700.0)
    weights[25:95] = 0.0
    losses = 1 + 0.2 * np.random.default_rng(0).normal(size=100)
    losses[24] = 0.7
    with pytest.warns(InputWarning, match="surely lowers"):
        assert not _read(losses, weights).found


def test_without_labels_at_first_the_default_is_taken() -> None:
    weights = np.full(100, 700.0)
    weights[:30] = 0.0
    with pytest.warns(InputWarning, match=r"surely lowers the loss: 0\.002 is taken"):
        assert _read(_fall(1e-2, 0), weights).rate == 0.002


def test_a_rate_that_did_harm_is_not_fallen_back_on() -> None:
    losses = np.where(RATES > 3e-5, 50.0, 1.0)
    with pytest.warns(InputWarning, match=r": (2\.\d|3)e-05 is taken"):
        assert 1e-5 < _read(losses).rate < 3.1e-5
    with pytest.warns(InputWarning, match=r": 2.8e-05 is taken"):
        assert _read(np.where(RATES > 3e-5, np.nan, 1.0)).rate == RATES[RATES <= 3e-5][-1]


def test_losses_that_end_in_no_number_tell_as_much_as_the_others() -> None:
    losses = _fall(1e-3, 0)[:70]
    search = _read(np.append(losses, np.nan))
    assert search == _read(losses)
    assert search.rate == pytest.approx(1e-3, rel=0.3)


@pytest.mark.parametrize("noise", [0.02, 0.05, 0.2])
def test_scatter_of_batches_is_no_fall(noise: float) -> None:
    found = 0
    for seed in range(300):
        losses = 1 + noise * np.random.default_rng(seed).normal(size=100)
        found += _quietly_read(losses).found
    assert found == 0


@pytest.mark.parametrize(
    ("losses", "at_first", "taken"),
    [
        (np.full(100, 1.5), ", which is 1.5 at first", 0.002),
        (np.geomspace(1, 1.4, 100), ", which is 1.03 at first", 0.002),
        (np.array([2.0, np.inf]), "", 1e-6),
        (np.array([np.nan]), "", 1e-6),
    ],
)
def test_where_the_loss_does_not_fall_the_default_is_taken_and_it_is_told(
    losses: np.ndarray, at_first: str, taken: float
) -> None:
    told = (
        f"no learning rate from 1e-06 to 1 surely lowers the loss{at_first}: {taken:.2g} is taken"
    )
    with pytest.warns(InputWarning, match=f"^{told}; or give a learning_rate of your own$"):
        search = _read(losses)
    assert (search.rate, search.found) == (taken, False)


@pytest.mark.parametrize(
    "changes", [{"members": 2}, {"accumulate": 2}, {"engine": "jax", "self_training": 0.6}]
)
def test_a_training_goes_on_with_the_rate_that_was_found(
    changes: dict[str, Any], samples: xr.Dataset
) -> None:
    found = train(samples, _settings(**changes))
    rate = found.training["settings"]["learning_rate"]
    assert 1e-4 < rate < 0.3
    search = found.training["rate_search"]
    assert (search["rate"], search["found"], len(search["losses"])) == (rate, True, 100)
    given = train(samples, _settings(**changes, learning_rate=rate))
    assert same_weights(found, given)
    assert "rate_search" not in given.training


def test_a_model_that_has_learned_gets_a_rate_that_moves_it(samples: xr.Dataset) -> None:
    """Its loss hardly falls any more: scatter of the batches is not to be taken for a fall."""
    start = train(samples, TINY)
    for seed in range(3):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", InputWarning)
            went_on = train(samples, _settings(seed=seed), start=start)
        search = went_on.training["rate_search"]
        assert search["rate"] >= (1e-4 if search["found"] else 0.002)


def test_a_batch_that_gives_no_number_is_named_as_without_a_search(samples: xr.Dataset) -> None:
    broken = samples.copy(deep=True)
    broken["image"][:] = 3e38
    with (
        pytest.warns(InputWarning, match="surely lowers the loss: 1e-06 is taken"),
        pytest.raises(InputError, match=r"the loss of step 1 is (nan|inf); its batch of 8 holds"),
    ):
        train(broken, _settings(), start=train(samples, _settings(learning_rate=1e-3)))


def test_steps_of_the_search_count_in_the_progress(samples: xr.Dataset) -> None:
    told: list[tuple[int, int]] = []
    history = train(samples, _settings(), progress=lambda *of: told.append(of)).training["history"]
    whole = 100 + history[-1]["step"]
    assert told == [(k, whole) for k in range(1, whole + 1)]


@pytest.mark.parametrize("stopped", [1, 12])  # before the first checkpoint of a step, and after
def test_a_run_that_was_stopped_keeps_its_rate(
    stopped: int, samples: xr.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train(samples, _settings(epochs=2))

    class StoppedError(Exception):
        pass

    def stop(done: int, _: int) -> None:
        if done == 100 + stopped:
            raise StoppedError

    settings = _settings(epochs=2, checkpoint_every=5)
    with pytest.raises(StoppedError):
        train(samples, settings, folder=tmp_path / "run", progress=stop)

    def never(*_: object) -> float:
        raise AssertionError

    monkeypatch.setattr("osm4eo_xr.training.loop.find_rate", never)
    told: list[tuple[int, int]] = []
    went_on = train(
        samples, settings, folder=tmp_path / "run", progress=lambda *of: told.append(of)
    )
    kept = 100 + stopped - stopped % 5
    whole_steps = 100 + went_on.training["history"][-1]["step"]
    assert told == [(k, whole_steps) for k in range(kept + 1, whole_steps + 1)]
    assert same_weights(whole, went_on)
    assert went_on.training["rate_search"] == whole.training["rate_search"]
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
