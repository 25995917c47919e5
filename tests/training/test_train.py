"""Training learns, repeats itself, stops early, starts from other models, names what is wrong."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import xarray as xr
from scipy.stats import entropy

from osm4eo_xr.accuracy.held_out import evaluate
from osm4eo_xr.errors import InputError
from osm4eo_xr.feature_ids.channels import channels_of
from osm4eo_xr.legend import Legend, default_legend
from osm4eo_xr.models.model import Model
from osm4eo_xr.models.model_folder import model_from_bytes, model_to_bytes
from osm4eo_xr.networks.resnet import init
from osm4eo_xr.networks.settings import NetSettings
from osm4eo_xr.samples.ground import ground_blocks
from osm4eo_xr.training import scoring, single_fit
from osm4eo_xr.training.batches import batch_of
from osm4eo_xr.training.fit import train
from osm4eo_xr.training.loop import Fit
from osm4eo_xr.training.scoring import windows_of
from osm4eo_xr.training.selection import Look
from osm4eo_xr.training.settings import TrainSettings
from osm4eo_xr.training.single_fit import _class_weights, robust_statistics
from osm4eo_xr.training.status import Status
from osm4eo_xr.training.step import train_step
from osm4eo_xr.training.step.gradient import _pixel_loss, runs_on_kernels
from osm4eo_xr.training.step.inputs import normalized
from osm4eo_xr.training.step.optimizer import optimizer, rate_schedule
from osm4eo_xr.training.step.task import Task, numbers_of
from osm4eo_xr.training.step.train_step import (
    State,
    fresh_state,
    learned_of,
    make_train_step,
)
from osm4eo_xr.training.transfer import starting_variables
from tests.cases.train_case import CLASSES, TINY, holed_samples, small_legend


@pytest.fixture(scope="module")
def samples() -> xr.Dataset:
    return holed_samples()


@pytest.fixture(scope="module")
def learned(samples: xr.Dataset) -> tuple[Model, list[Status], list[tuple[int, int]]]:
    """A model of a few epochs, and what was said meanwhile."""
    seen: list[Status] = []
    steps: list[tuple[int, int]] = []
    model = train(samples, TINY, on_status=seen.append, progress=lambda *n: steps.append(n))
    return model, seen, steps


def weights(model: Model) -> list[np.ndarray]:
    return jax.tree.leaves(model.variables)


def above_least(epoch: dict[str, Any]) -> float:
    """Return the loss less that of smoothed labels which are known: their entropy."""
    label = np.full(len(CLASSES), TINY.label_smoothing / len(CLASSES))
    label[0] += 1 - TINY.label_smoothing
    return epoch["loss"] - float(entropy(label))


def test_a_dense_network_learns_what_spectra_tell(learned: Any, samples: xr.Dataset) -> None:
    report = evaluate(learned[0], samples, "test")
    assert report.overall_accuracy > 0.9
    history = learned[0].training["history"]
    assert above_least(history[-1]) < 0.5 * above_least(history[0])
    assert [row["epoch"] for row in history] == [1, 2, 3, 4, 5]
    assert all(np.isfinite(leaf).all() for leaf in weights(learned[0]))


def test_a_window_network_learns_too(samples: xr.Dataset) -> None:
    settings = dataclasses.replace(TINY, mode="window", window=8, epochs=8)
    model = train(samples, settings)
    assert evaluate(model, samples, "test").overall_accuracy > 0.8
    assert model.center == 4


def test_the_weights_are_those_of_the_epoch_that_is_kept(learned: Any, samples: xr.Dataset) -> None:
    training = learned[0].training
    scores = [row["validation_accuracy"] for row in training["history"]]
    kept = scores[training["best_epoch"] - 1]
    assert evaluate(learned[0], samples, "validation").overall_accuracy == pytest.approx(
        kept, abs=2e-3
    )


def test_validation_without_a_class_of_the_legend_is_refused(samples: xr.Dataset) -> None:
    label = samples["label"].where(samples["split"] != 1, 0)
    with pytest.raises(InputError, match="no validation sample has a class of legend"):
        train(samples.assign(label=label.astype(np.uint8)), TINY)


def test_the_same_seed_gives_the_same_weights(learned: Any, samples: xr.Dataset) -> None:
    assert all(map(np.array_equal, weights(learned[0]), weights(train(samples, TINY))))


def test_the_run_says_where_it_stands(learned: Any) -> None:
    _, seen, steps = learned
    assert steps == [(k + 1, len(steps)) for k in range(len(steps))]
    assert [status.step for status in seen] == [n for n, _ in steps]
    assert all(0 <= s.accuracy <= 1 and s.samples_per_second > 0 for s in seen)
    assert seen[-1].seconds_left == 0
    assert seen[0].seconds_left > 0


def test_the_share_of_time_without_a_batch_is_recorded(learned: Any) -> None:
    assert all(0 <= row["waiting"] <= 1 for row in learned[0].training["history"])


def test_probabilities_are_calibrated_and_classes_stay(learned: Any, samples: xr.Dataset) -> None:
    model = learned[0]
    calibration = model.training["calibration"]
    factor = np.float32(calibration["temperature"])
    params = dict(model.variables["params"])
    params["head"] = {name: leaf * factor for name, leaf in params["head"].items()}
    raw = dataclasses.replace(model, variables={**model.variables, "params": params})
    before, after = (evaluate(m, samples, "validation") for m in (raw, model))
    assert calibration["ece_before"] == pytest.approx(before.calibration["ece"], abs=1e-3)
    assert calibration["ece"] == pytest.approx(after.calibration["ece"], abs=1e-3)
    assert np.abs(before.counts - after.counts).sum() <= 2
    check = samples.isel(sample=np.flatnonzero(samples["split"].to_numpy() == 1))
    assert calibration["places"] == len(np.unique(ground_blocks(check)))
    again = model_from_bytes(model_to_bytes(model))
    assert again.training["calibration"] == calibration


def test_a_large_set_is_calibrated_by_windows_from_all_over_it(samples: xr.Dataset) -> None:
    windows = windows_of(samples, "train", bands=tuple(samples["band"].values))
    assert scoring._spread(windows, len(windows) * 64) is windows
    few = scoring._spread(windows, 7 * 64 + 1)
    assert len(few) == 7
    assert (few.positions[0], few.positions[-1]) == (windows.positions[0], windows.positions[-1])
    assert np.ptp(np.diff(np.searchsorted(windows.positions, few.positions))) <= 1
    image, _ = few.read(np.arange(7))
    np.testing.assert_array_equal(image, samples["image"].to_numpy()[few.positions])


def _look_at(monkeypatch: pytest.MonkeyPatch, right: list[list[int]]) -> None:
    """Let looks find so many of 100 pixels of each place right, one look after the other."""
    looks = iter([Look(np.array(r, float), np.full(len(r), 100.0), 1.0) for r in right])
    monkeypatch.setattr(Fit, "_look", lambda *_: next(looks))


@pytest.mark.parametrize(
    ("right", "kept"),
    [
        ([[80, 70, 90, 60], [78, 71, 90, 55]], 2),  # places differ more than the looks
        ([[80, 70, 90, 60], [75, 66, 84, 55]], 1),  # worse everywhere
        ([[80], [40]], 2),  # one place says nothing
        ([[60, 60], [90, 90], [80, 81]], 2),
        ([[60, 60], [90, 90], [95, 83]], 3),
    ],
)
def test_the_last_epoch_is_kept_unless_another_is_surely_better(
    right: list[list[int]], kept: int, samples: xr.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    _look_at(monkeypatch, right)
    training = train(samples, dataclasses.replace(TINY, epochs=len(right))).training
    assert training["best_epoch"] == kept


def test_training_ends_when_validation_no_longer_gains(
    samples: xr.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    _look_at(monkeypatch, [[50], [70], [60], [70], [90]])
    training = train(samples, dataclasses.replace(TINY, epochs=5, patience=2)).training
    assert [row["validation_accuracy"] for row in training["history"]] == [0.5, 0.7, 0.6, 0.7]
    assert training["best_epoch"] == 2


def test_a_loss_that_is_no_number_names_its_batch(learned: Any, samples: xr.Dataset) -> None:
    broken = samples.copy(deep=True)
    broken["image"][17] = 3e38
    assert broken["split"][17] == 0
    place = f"17 (tile tile0, easting {float(broken['easting'][17]):.0f}, northing "
    with pytest.raises(InputError) as caught:
        train(broken, TINY, start=learned[0])
    assert "the loss of step" in str(caught.value)
    assert place in str(caught.value)


def test_another_countrys_model_is_a_head_start(learned: Any, samples: xr.Dataset) -> None:
    warm = train(samples, TINY, start=learned[0])
    first = [model.training["history"][0] for model in (warm, learned[0])]
    assert first[0]["validation_accuracy"] > max(0.9, first[1]["validation_accuracy"])
    assert above_least(first[0]) < 0.5 * above_least(first[1])
    assert warm.normalization == learned[0].normalization


def test_small_windows_are_a_head_start_for_larger_ones(samples: xr.Dataset) -> None:
    small = dataclasses.replace(TINY, mode="window", window=4, epochs=8)
    large = dataclasses.replace(small, window=8, epochs=1)
    learned = train(samples, small)
    off_center = dataclasses.replace(learned, center=1)
    warm, cold = (train(samples, large, start=start) for start in (off_center, None))
    assert (warm.net.window, warm.center) == (8, 4)
    assert warm.normalization == learned.normalization
    first = [model.training["history"][0]["validation_accuracy"] for model in (warm, cold)]
    assert first[0] > max(0.8, first[1])


def test_the_head_is_fresh_where_the_classes_differ(learned: Any) -> None:
    legend, (model, *_) = small_legend(), learned
    fewer = Legend("two", legend.classes[:2])
    kept = starting_variables(model.net, 0, legend, model)["params"]
    moved = starting_variables(TINY.net(bands=4, classes=2), 0, fewer, model)["params"]
    assert np.array_equal(kept["head"]["kernel"], model.variables["params"]["head"]["kernel"])
    assert moved["head"]["kernel"].shape[-1] == 2
    for params in (kept, moved):
        body = {name: part for name, part in params.items() if name != "head"}
        own = {name: model.variables["params"][name] for name in body}
        assert all(map(np.array_equal, jax.tree.leaves(body), jax.tree.leaves(own)))


def test_a_model_that_does_not_fit_is_refused(learned: Any, samples: xr.Dataset) -> None:
    wider = dataclasses.replace(TINY, width=8)
    with pytest.raises(InputError, match="width 4, the settings say 8"):
        train(samples, wider, start=learned[0])
    with pytest.raises(InputError, match="no band 'blue'"):
        train(samples.sel(band=["green", "red", "nir"]), TINY, start=learned[0])
    with pytest.raises(InputError, match="takes reflectance"):
        train(samples.assign_attrs(units="dn"), TINY, start=learned[0])


@pytest.fixture(scope="module")
def stepped(samples: xr.Dataset) -> dict[int, list[tuple[State, dict[str, Any]]]]:
    """Two steps with batches whole and in two parts, the latter with an average of the weights."""
    image = np.repeat(samples["image"].to_numpy()[:8], 2, axis=0)
    label = np.repeat(samples["label"].to_numpy()[:8], 2, axis=0)
    after: dict[int, list[tuple[State, dict[str, Any]]]] = {}
    for accumulate, average in ((1, 0.0), (2, 0.15)):
        how = {"flips": False, "batch": 16, "clip": 0.0, "average": average}
        task = small_task(accumulate=accumulate, **how)
        state = fresh_state(task, init(task.net, jax.random.key(0)))
        after[accumulate] = [(jax.tree.map(np.array, state), {})]
        for _ in range(2):
            found = make_train_step(task)(state, jnp.asarray(image), jnp.asarray(label))
            after[accumulate].append(jax.tree.map(np.array, found))
            state = found[0]
    return after


def test_parts_of_a_batch_add_up_to_its_gradient(stepped: Any) -> None:
    """Two equal parts have the statistics of the whole, so the steps have to be equal."""
    (whole, said), (parts, said_of_parts) = stepped[1][1], stepped[2][1]
    for name in ("loss", "weight", "correct", "labeled"):
        np.testing.assert_allclose(said[name], said_of_parts[name], rtol=1e-5)
    moments = [jax.tree.leaves(state["opt"][0].mu) for state in (whole, parts)]
    for one, other in zip(*moments, strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-3, atol=1e-5)


@pytest.mark.parametrize(("batch", "accumulate"), [(12, 3), (64, 64)])
def test_any_divisor_of_a_batch_is_a_number_of_parts(batch: int, accumulate: int) -> None:
    assert small_task(batch=batch, accumulate=accumulate).form.settings.accumulate == accumulate


def test_folds_seeds_and_lengths_share_one_compilation(samples: xr.Dataset) -> None:
    """They differ in normalization, weights, rates and seed, which are arguments of the program."""
    image, label = (jnp.asarray(samples[n].to_numpy()[:8]) for n in ("image", "label"))
    first = small_task(seed=0, batch=8)
    other = small_task(seed=1, batch=8, epochs=first.settings.epochs + 1, learning_rate=0.1)
    other = dataclasses.replace(
        other, center=(0.2,) * 4, scale=(0.1,) * 4, weights=(1.0, 2.0, 3.0), steps_per_epoch=9
    )
    assert first.form == other.form
    found = [one_step(task, image, label) for task in (first, other)]
    prepare, _ = train_step._programs(first.form)
    for program in (prepare, train_step._move_joined(first.form)):  # around the kernels
        assert program._cache_size() == 1  # type: ignore[attr-defined]
    assert not np.allclose(*(state["params"]["head"]["kernel"] for state, _ in found))
    assert found[1][1]["weight"] > found[0][1]["weight"]
    for different in ({"flips": False}, {"cutmix": 0.5}, {"logit_adjustment": 0.5}):
        assert small_task(**different).form != first.form


def test_kernels_and_jax_take_the_same_step(samples: xr.Dataset) -> None:
    image, label = (jnp.asarray(samples[n].to_numpy()[:8]) for n in ("image", "label"))
    after = {}
    for engine in ("kernels", "jax"):
        how = {"engine": engine, "batch": 8, "clip": 0.0, "logit_adjustment": 0.5}
        after[engine] = one_step(small_task(**how), image, label)
    (state, sums), (known, known_sums) = after["kernels"], after["jax"]
    for name in ("loss", "weight", "correct", "labeled"):
        np.testing.assert_allclose(sums[name], known_sums[name], rtol=1e-5)
    found, expected = ([*jax.tree.leaves(s["opt"][0].mu)] for s in (state, known))
    length = np.sqrt(sum((leaf**2).sum() for leaf in expected))
    difference = np.sqrt(sum(((a - b) ** 2).sum() for a, b in zip(found, expected, strict=True)))
    assert difference < 1e-3 * length
    for one, other in zip(
        *(jax.tree.leaves(s["batch_stats"]) for s in (state, known)), strict=True
    ):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_steps_of_the_kernels_leave_the_state_before_as_it_was(
    samples: xr.Dataset, accumulate: int
) -> None:
    image, label = (jnp.asarray(samples[n].to_numpy()[:8]) for n in ("image", "label"))
    task = small_task(engine="kernels", batch=8, accumulate=accumulate)
    state = fresh_state(task, init(task.net, jax.random.key(0)))
    step = make_train_step(task)
    for _ in range(9):
        kept = jax.tree.map(np.array, state)
        before, (state, _) = state, step(state, image, label)
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(state["params"]))
        for one, other in zip(*map(jax.tree.leaves, (before, kept)), strict=True):
            np.testing.assert_array_equal(one, other)


def test_kernels_serve_dense_networks_and_large_windows_on_one_cpu() -> None:
    for how, expected in (
        ({}, True),
        ({"engine": "jax"}, False),
        ({"mode": "window", "window": 8}, False),
        ({"mode": "window", "window": 8, "engine": "kernels"}, True),
        ({"mode": "window", "window": 32}, True),
        ({"dtype": "bfloat16"}, False),
    ):
        assert runs_on_kernels(small_task(**how).form) is expected, how
    with pytest.raises(InputError, match="engine is 'kernels'.*plain networks in float32"):
        TrainSettings(engine="kernels", dtype="bfloat16")
    with pytest.raises(InputError, match="engine is 'kernels'"):
        TrainSettings(engine="kernels", network="coupled")


def test_kernels_that_cannot_serve_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    with pytest.raises(InputError, match=r"trains on one CPU.*JAX_PLATFORMS=cpu"):
        runs_on_kernels(small_task(engine="kernels", dtype="float32").form)
    assert not runs_on_kernels(small_task(dtype="float32").form)


def one_step(task: Task, image: jax.Array, label: jax.Array) -> tuple[State, dict[str, Any]]:
    state = fresh_state(task, init(task.net, jax.random.key(0)))
    return jax.tree.map(np.array, make_train_step(task)(state, image, label))


def test_the_average_of_weights_follows_them_and_is_what_is_kept(stepped: Any) -> None:
    states = [state for state, _ in stepped[2]]
    expected = {name: states[0][name] for name in ("params", "batch_stats")}
    for decay, state in zip((0.1, 0.15), states[1:], strict=True):  # 1 / 10, then less than 2 / 11
        now = {name: state[name] for name in expected}
        expected = jax.tree.map(lambda a, b, d=decay: d * a + (1 - d) * b, expected, now)
        for one, other in zip(*map(jax.tree.leaves, (learned_of(state), expected)), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7)
    plain = stepped[1][-1][0]
    assert learned_of(plain)["params"] is plain["params"]


def small_task(**changes: Any) -> Task:
    settings = dataclasses.replace(TINY, **changes)
    net = settings.net(bands=4, classes=3)
    three = (1.0, 1.0, 1.0)
    return Task(net, settings, (1, 5, 12), (0.1,) * 4, (0.05,) * 4, three, settings.batch, 10)


def test_balanced_weights_count_classes_alike() -> None:
    counts = np.array([900, 100, 0])
    found = _class_weights(dataclasses.replace(TINY, class_weights="balanced"), counts)
    np.testing.assert_allclose(np.array(found) * counts, [500, 500, 0])
    assert _class_weights(TINY, counts) == (1.0, 1.0, 1.0)


def test_classes_are_counted_in_all_windows(
    samples: xr.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Smoothed labels are spread over those that occur, and balance is that of all pixels."""
    tasks: list[Task] = []
    monkeypatch.setattr(single_fit, "_NORMALIZED_BY", 1)

    class Stop(Exception):  # noqa: N818 - no fault
        pass

    def noted(task: Task, *_: Any) -> None:
        tasks.append(task)
        raise Stop

    monkeypatch.setattr(single_fit, "Fit", noted)
    with pytest.raises(Stop):
        train(samples, dataclasses.replace(TINY, class_weights="balanced"), legend=default_legend())
    (task,) = tasks
    label = samples["label"].to_numpy()[samples["split"].to_numpy() == 0]
    counts = (label[..., None] == np.array(task.class_ids)).sum(axis=(0, 1, 2))
    np.testing.assert_allclose((np.array(task.weights) * counts)[counts > 0], counts.sum() / 3)
    spread = np.asarray(numbers_of(task).spread)
    expected = np.isin(task.class_ids, CLASSES) / len(CLASSES)
    np.testing.assert_allclose(spread, expected, rtol=1e-6)
    assert task.form == dataclasses.replace(task, shares=()).form
    np.testing.assert_allclose(numbers_of(small_task()).spread, 1 / 3, rtol=1e-6)


@pytest.mark.parametrize("strength", [0.0, 1.0, 0.5])
def test_adjusted_logits_are_those_of_a_classifier_that_knows_the_shares(strength: float) -> None:
    """Menon et al. 2021, equation 10; a class that does not occur is as rare as the rarest."""
    task = small_task(logit_adjustment=strength, label_smoothing=0.0)
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(2, 4, 4, 3)).astype(np.float32)
    index = rng.integers(0, 3, (2, 4, 4)).astype(np.int32)
    for shares, known in (((0.7, 0.2, 0.1), (0.7, 0.2, 0.1)), ((0.8, 0.2, 0.0), (0.8, 0.2, 0.2))):
        numbers = numbers_of(dataclasses.replace(task, shares=shares))
        where = np.ones(index.shape, bool)
        found = _pixel_loss(task, numbers, *map(jnp.asarray, (logits, index, where)))
        weighed = np.array(known) ** strength * np.exp(logits.astype(float))
        chances = weighed / weighed.sum(axis=-1, keepdims=True)
        expected = -np.log(np.take_along_axis(chances, index[..., None], axis=-1))[..., 0]
        np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_schedules_are_those_of_the_settings() -> None:
    """A single weight under a constant gradient shows the rate of each step."""

    def rates(settings: TrainSettings, steps: int) -> np.ndarray:
        rule = optimizer(settings, rate_schedule(settings, steps))
        params = {"bias": jnp.zeros((1,), jnp.float32)}
        opt, found = rule.init(params), []
        for _ in range(steps):
            with jax.numpy_dtype_promotion("standard"):
                updates, opt = rule.update({"bias": jnp.ones((1,), jnp.float32)}, opt, params)
            found.append(-float(np.asarray(optax.tree_utils.tree_get(updates, "bias"))[0]))
        return np.array(found)

    cosine = rates(TrainSettings(warmup=0.2, learning_rate=0.1, clip=0.0), 50)
    assert int(cosine.argmax()) == 10
    assert cosine[10] == pytest.approx(0.1, rel=1e-3)
    assert (np.diff(cosine[:11]) > 0).all()
    assert (np.diff(cosine[10:]) < 0).all()
    nadam = rates(TrainSettings(optimizer="nadam", learning_rate=0.01, clip=0.0), 100)
    settled = nadam[[39, 59, 79, 89, 99]]
    np.testing.assert_allclose(settled / settled[0], [1, 1e-1, 1e-2, 1e-3, 5e-4], rtol=0.05)
    assert settled[0] == pytest.approx(0.01, rel=0.05)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 0}, "epochs is 0; give 1 or more"),
        ({"width": 10**20}, "width is 1000.*up to 65,536"),
        ({"depth": 12}, "depth 12 is not 9 n"),
        ({"optimizer": "sgd"}, "optimizer 'sgd' is unknown; give adamw, nadam"),
        ({"average": 1.0}, "average is 1.0; give 0 to below 1"),
        ({"label_smoothing": 1.0}, "label_smoothing is 1.0; give 0 to below 1"),
        ({"cutmix": 1.0}, "cutmix is 1.0; give 0 to below 1"),
        ({"logit_adjustment": -1.0}, "logit_adjustment is -1.0; give 0 or more"),
        (
            {"logit_adjustment": 1.0, "class_weights": "balanced"},
            "logit_adjustment is 1.0; give 0, as class_weights is balanced",
        ),
        ({"loss": "bootstrap", "noise": "forward"}, "loss is 'bootstrap'; give cross_entropy, as"),
        ({"accumulate": 3, "batch": 16}, "accumulate is 3; give a divisor of 16"),
        ({"seed": 2**63}, "seed is 9223372036854775808; give 0 to below 2"),
        ({"learning_rate": -1.0}, "learning_rate is -1.0; give 0 or more"),
        ({"rotation": 181.0}, "rotation is 181.0; give 0 to 180 degrees"),
        ({"rotation": 9.0, "mode": "window"}, "rotation is 9.0; give 0, or mode dense"),
        ({"scaling": 0.1, "mode": "window"}, "scaling is 0.1; give 0, or mode dense"),
        ({"scaling": -0.1}, "scaling is -0.1; give 0 or more"),
    ],
)
def test_settings_out_of_range_are_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        TrainSettings(**changes)


def test_presets_change_the_defaults_and_take_changes() -> None:
    assert TrainSettings.preset("default") == TrainSettings()
    small = TrainSettings.preset("small", epochs=5)
    assert (small.depth, small.epochs) == (11, 5)
    with pytest.raises(InputError, match="preset 'tiny' is unknown; give default, small, large"):
        TrainSettings.preset("tiny")
    with pytest.raises(InputError, match="epochs is 0"):
        TrainSettings.preset("small", epochs=0)


def test_small_sets_make_small_batches() -> None:
    assert batch_of(64, 1, 1000) == 64
    assert batch_of(64, 4, 30) == 28
    with pytest.raises(InputError, match="3 training samples are fewer"):
        batch_of(64, 4, 3)


def test_samples_without_the_legends_classes_are_refused(samples: xr.Dataset) -> None:
    classes = tuple(dataclasses.replace(c, id=c.id + 40) for c in small_legend().classes)
    other = Legend("other", classes)
    with pytest.raises(InputError, match="no training sample has a class of legend 'other'"):
        train(samples, TINY, legend=other)


def test_samples_that_name_the_legends_classes_otherwise_are_refused(samples: xr.Dataset) -> None:
    """Else the model would give wrong names to what it learned."""
    legend = small_legend()
    first, second, *others = legend.classes
    swapped = (
        dataclasses.replace(first, slug=second.slug),
        dataclasses.replace(second, slug=first.slug),
        *others,
    )
    told = f"class {first.id} of the samples is {first.slug!r}, that of legend 'swapped' is"
    with pytest.raises(InputError, match=told):
        train(samples, TINY, legend=Legend("swapped", swapped))


def test_each_feature_is_normalized_by_the_pixels_that_have_its_group() -> None:
    rng = np.random.default_rng(0)
    image = rng.normal([0.1, -12.0, 900.0, 0.0], [0.02, 3.0, 50.0, 0.0], (4, 20, 20, 4))
    image[0, :, :, 1] = np.nan
    image[1, :5, :, 0] = np.nan
    image[3, :3, :, 3] = 1.0  # an aspect's sine: 0 nearly everywhere
    image = image.astype(np.float32)
    bands = ["red", "s1:vv@2024", "dem:height", "dem:aspect_sin"]
    channels = channels_of(bands, ["s1@2024"])
    center, scale = robust_statistics(image, channels)
    for k in (0, 1, 2):
        seen = image[..., k][np.isfinite(image[..., k])]
        low, middle, high = np.percentile(seen, (25, 50, 75))
        assert center[k] == pytest.approx(middle, rel=1e-5)
        assert scale[k] == pytest.approx((high - low) / 1.349, rel=1e-4)
    assert (center[3], scale[3]) == (0.0, pytest.approx(image[..., 3].std(), rel=1e-5))
    net = NetSettings(bands=4, classes=3, depth=11, width=4, kernel=3)
    task = Task(net, TINY, CLASSES, center, scale, (1.0,) * 3, channels=channels)
    x = np.asarray(normalized(task, jnp.asarray(center), jnp.asarray(scale), jnp.asarray(image)))
    assert (x[0, :, :, 1] == 0).all()
    assert (x[0, :, :, 0] != 0).all()
    assert (x[1, :5] == 0).all()  # what lacks a required group has none
    with pytest.raises(InputError, match="no training window has a pixel with data"):
        robust_statistics(np.full((1, 2, 2, 4), np.nan, np.float32), channels)


def test_a_model_does_without_what_its_samples_may_lack(monkeypatch: pytest.MonkeyPatch) -> None:
    class Untrained:
        """Stands for the training itself."""

        history: tuple[Any, ...] = ()
        best_epoch = 0
        search = None

        def __init__(self, task: Task, learn: Any, check: Any, *_: Any) -> None:
            self.task, self.learn, self.check = task, learn, check

        def run(self, variables: Any) -> None:
            self.best = variables

    monkeypatch.setattr(single_fit, "Fit", Untrained)
    monkeypatch.setattr(single_fit, "calibrated", lambda _, best, __: (best, {}))
    bands = ["blue", "green", "s1:vv@2024", "dem:slope"]
    drawn = holed_samples().assign_coords(band=bands)
    drawn = drawn.assign_attrs(bands=bands, optional=["s1@2024"], units="per feature")
    model = train(drawn, TINY)
    assert (list(model.bands), model.optional) == (bands, ("s1@2024",))
    assert (model.units, model.channels.optional) == ("per feature", (False, True, False))
    assert train(drawn.assign_attrs(optional=[]), TINY).optional == ()
