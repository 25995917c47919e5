"""A model's scores on held-out samples beside scikit-learn's."""

import json
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr
from scipy.special import softmax
from sklearn import metrics

from osm4eo_xr.accuracy.accuracy_report import AccuracyReport
from osm4eo_xr.accuracy.held_out import estimate_label_noise, evaluate
from osm4eo_xr.accuracy.random_forest import random_forest_report
from osm4eo_xr.accuracy.validation.training_points import fit_applicability
from osm4eo_xr.errors import InputError
from osm4eo_xr.legend import Legend
from osm4eo_xr.models.model import Model
from osm4eo_xr.models.record import Normalization
from osm4eo_xr.networks.resnet import apply_eval, init
from osm4eo_xr.networks.settings import NetSettings
from osm4eo_xr.samples.patches import patch_samples
from osm4eo_xr.samples.store import read_split
from osm4eo_xr.training.scoring import labeled_logits, model_task, windows_of
from tests.cases.train_case import BANDS, CLASSES, small_legend, small_samples


@pytest.fixture(scope="module")
def samples() -> xr.Dataset:
    return small_samples(per_class=40).compute()


def model(mode: Any = "dense") -> Model:
    net = NetSettings(len(BANDS), 3, depth=11, width=4, kernel=3, decoder=4, mode=mode, window=4)
    scale = Normalization(center=(0.1,) * 4, scale=(0.05,) * 4)
    return Model(net, init(net, jax.random.key(0)), BANDS, scale, legend=small_legend())


def pairs(samples: xr.Dataset, trained: Model, split: int) -> tuple[np.ndarray, np.ndarray]:
    """Return reference and predicted classes of one split, worked out in one go."""
    part = samples.isel(sample=read_split(samples, split))
    image = part["image"].to_numpy()
    x = np.where(np.isfinite(image).all(axis=-1, keepdims=True), (image - 0.1) / 0.05, 0)
    label = part["label"].to_numpy()
    if trained.net.mode == "window":
        x, label = x[:, 2:6, 2:6], label[:, 4, 4]
    logits = apply_eval(trained.net, trained.variables, jnp.asarray(x, jnp.float32))
    found = np.asarray(CLASSES)[np.asarray(logits).argmax(axis=-1)]
    return label[label > 0], found[label > 0]


@pytest.mark.parametrize("mode", ["dense", "window"])
def test_scores_are_those_of_scikit_learn(samples: xr.Dataset, mode: str) -> None:
    report = evaluate(model(mode), samples, "test")
    truth, found = pairs(samples, model(mode), 2)
    assert np.array_equal(report.counts, metrics.confusion_matrix(truth, found, labels=CLASSES))
    assert report.overall_accuracy == pytest.approx(metrics.accuracy_score(truth, found))
    assert report.kappa == pytest.approx(metrics.cohen_kappa_score(truth, found))
    assert report.average_accuracy == pytest.approx(metrics.balanced_accuracy_score(truth, found))
    zero: Any = 0
    precision, recall, f1, _ = metrics.precision_recall_fscore_support(
        truth, found, labels=CLASSES, zero_division=zero
    )
    np.testing.assert_allclose(np.nan_to_num(report.users_accuracy), precision)
    np.testing.assert_allclose(report.producers_accuracy, recall)
    np.testing.assert_allclose(report.f1, f1)
    assert 0 <= report.calibration["ece"] <= 1


def test_every_held_out_sample_counts_in_window_mode(samples: xr.Dataset) -> None:
    assert evaluate(model("window"), samples, "test").total == len(read_split(samples, 2))


def test_the_center_alone_is_the_drawn_pixel(samples: xr.Dataset) -> None:
    report = evaluate(model(), samples, "validation", pixels="center")
    center = samples["label"][read_split(samples, 1), 4, 4].to_numpy()
    assert report.counts.sum(axis=1).tolist() == [(center == c).sum() for c in CLASSES]


def test_progress_counts_samples(samples: xr.Dataset) -> None:
    seen: list[tuple[int, int]] = []
    evaluate(model(), samples, "train", progress=lambda *n: seen.append(n))
    size = len(read_split(samples, 0))
    assert seen[-1] == (size, size)


def test_bands_are_taken_by_name(samples: xr.Dataset) -> None:
    mixed = samples.sel(band=["nir", "red", "blue", "green"])
    assert np.array_equal(
        evaluate(model(), mixed, "test").counts, evaluate(model(), samples, "test").counts
    )


def test_what_cannot_be_scored_is_refused(samples: xr.Dataset) -> None:
    with pytest.raises(InputError, match="split 'holdout' is unknown"):
        evaluate(model(), samples, "holdout")  # pyright: ignore[reportArgumentType] - on purpose
    with pytest.raises(InputError, match="no sample in test"):
        evaluate(model(), samples.isel(sample=read_split(samples, 0)), "test")
    with pytest.raises(InputError, match="no band 'nir'"):
        evaluate(model(), samples.sel(band=["blue", "green", "red"]), "test")
    with pytest.raises(InputError, match="do not hold windows of 4"):
        evaluate(model("window"), samples.isel(y=slice(2), x=slice(2)), "test")


def test_samples_that_a_model_cannot_read_are_refused(samples: xr.Dataset) -> None:
    """Otherwise all would be scored, and come out wrong without a word."""
    legend = small_legend()
    first, second, *others = legend.classes
    swapped = (replace(first, slug=second.slug), replace(second, slug=first.slug), *others)
    by_range = replace(model("window"), normalization=Normalization(kind="scene range"))
    named = {"legend": json.dumps(Legend("swapped", swapped).to_dict())}
    counted = samples.assign_attrs(units="digital number")
    asked: Any = (evaluate, estimate_label_noise, fit_applicability)
    for ask in asked:
        with pytest.raises(InputError, match="takes reflectance, the samples hold digital number"):
            ask(model(), counted)
        with pytest.raises(InputError, match=f"class {first.id} of the samples is {second.slug!r}"):
            ask(model(), samples.assign_attrs(named))
        with pytest.raises(InputError, match="scales by each scene's range, which samples do not"):
            ask(by_range, samples)


def forest(samples: xr.Dataset, **options: Any) -> AccuracyReport:
    return random_forest_report(samples, trees=10, **options)


def test_a_forest_learns_separable_spectra_and_repeats_itself(samples: xr.Dataset) -> None:
    report = forest(samples, seed=1)
    assert report.overall_accuracy > 0.95
    assert np.array_equal(report.counts, forest(samples, seed=1).counts)
    assert report.total == evaluate(model(), samples, "test").total


def test_a_forest_learns_from_training_samples_only(samples: xr.Dataset) -> None:
    mixed = samples.copy(deep=True)
    held_out = samples["split"].to_numpy() > 0
    mixed["label"][held_out] = np.where(mixed["label"][held_out] > 0, 5, 0)
    scores = forest(mixed, center=True)
    assert scores.counts[0].sum() == scores.counts[2].sum() == 0
    assert scores.total == len(read_split(samples, 2))
    assert 0.1 < scores.overall_accuracy < 0.9


def test_a_forest_learns_from_patches_without_a_place() -> None:
    rng = np.random.default_rng(0)
    label = np.array(CLASSES, np.uint8)[np.arange(60) % 3]
    image = (label[:, None, None, None] / 20 + rng.normal(0, 0.01, (60, 4, 4, 4))).astype("float32")
    split = np.array([0, 2], np.uint8)[np.arange(60) // 30]
    patches = patch_samples(image, label, split, bands=BANDS, legend=small_legend())
    scores = forest(patches)
    assert (scores.total, scores.overall_accuracy, scores.blocks) == (30 * 16, 1.0, None)


def test_a_forest_without_its_split_is_refused(samples: xr.Dataset) -> None:
    with pytest.raises(InputError, match="no sample in test"):
        forest(samples.isel(sample=read_split(samples, 0)))


def test_noise_of_labels_is_what_probabilities_say_of_labeled_pixels(samples: xr.Dataset) -> None:
    given = model()
    windows = windows_of(samples, "validation", bands=given.bands)
    parts = list(labeled_logits(model_task(given), given.variables, windows, 7))
    shares = softmax(np.concatenate([p for p, *_ in parts]).astype(float), axis=1)
    label = np.concatenate([said for _, said, _ in parts])
    found = estimate_label_noise(given, samples)
    ids = given.legend.ids
    assert found.attrs == {"pixels": len(label), "split": "validation"}
    np.testing.assert_allclose(found.sum("osm"), 1)
    for c, k in ((ids[0], ids[0]), (ids[0], ids[1]), (ids[-1], ids[0]), (ids[-1], ids[-1])):
        mass = shares[:, list(given.class_ids).index(c)] if c in given.class_ids else 0 * label
        expected = (mass[label == k].sum() + (c == k)) / (mass.sum() + 1)
        assert found.sel({"class": c, "osm": k}).item() == pytest.approx(expected)
