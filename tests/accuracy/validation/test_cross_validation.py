"""Cross-validation on small ground: folds, scores, distances, what is refused."""

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import xarray as xr
from scipy.spatial.distance import cdist

from osm4eo_xr.accuracy.accuracy_report import AccuracyReport
from osm4eo_xr.accuracy.validation import cross_validation
from osm4eo_xr.accuracy.validation.cross_validation import crossvalidate
from osm4eo_xr.accuracy.validation.distances import fold_distances, sample_distances
from osm4eo_xr.accuracy.validation.fold_report import CrossValidation
from osm4eo_xr.accuracy.validation.intervals import fold_interval
from osm4eo_xr.accuracy.validation.training_points import fit_applicability
from osm4eo_xr.errors import InputError
from osm4eo_xr.models.model import Model
from osm4eo_xr.samples.draw import draw_samples
from osm4eo_xr.samples.folds import block_folds
from osm4eo_xr.training.settings import TrainSettings
from tests.accuracy.test_evaluate import model
from tests.cases.train_case import box, ground, raster, small_legend, spectra

SETTINGS = TrainSettings(width=4, decoder=4)
Call = tuple[xr.Dataset, TrainSettings, Path | None]


@pytest.fixture(scope="module")
def labels() -> xr.DataArray:
    return raster(ground(180, 180), box(180, 180))


@pytest.fixture(scope="module")
def samples(labels: xr.DataArray) -> xr.Dataset:
    scene = raster(spectra(labels.to_numpy()), box(180, 180))
    how: Any = {"patch": 8, "block": 300.0, "shares": (1, 0, 0), "legend": small_legend()}
    return draw_samples(scene, labels, per_class=50, **how).compute()


few_points = partial(fit_applicability, points=600, prototypes=16)
"""Tells where a model applies by fewer points than 10,000, which are tested elsewhere."""


@pytest.fixture(scope="module")
def trainings() -> Iterator[list[Call]]:
    """Give an untrained network in place of each training, and return what was to be trained.

    How training resumes and what it learns is tested with training.
    """
    calls: list[Call] = []

    def untrained(samples: Any, settings: Any, *, folder: Any, progress: Any) -> Model:
        calls.append((samples, settings, folder))
        if progress:
            progress(1, 1)
        return model("dense")

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(cross_validation, "train", untrained)
        patched.setattr(cross_validation, "fit_applicability", few_points)
        yield calls


@pytest.fixture(scope="module")
def found(samples: xr.Dataset, labels: xr.DataArray, trainings: Any) -> CrossValidation:
    del trainings
    return crossvalidate(samples, SETTINGS, k=2, class_map=labels, applicability=True)


def test_each_fold_is_scored_beside_a_forest_on_the_same_pixels(found: CrossValidation) -> None:
    assert [fold.name for fold in found.folds] == ["fold 1 of 2", "fold 2 of 2"]
    for fold in found.folds:
        assert fold.forest is not None
        assert fold.network.total == fold.forest.total > 100
        assert fold.network.difference(fold.forest) is not None
        assert fold.forest.overall_accuracy > 0.9 > fold.network.overall_accuracy


def test_where_folds_apply_is_measured_on_what_they_hold_out(found: CrossValidation) -> None:
    told = found.to_dict()["applicability"]
    parts = [fold.applicability for fold in found.folds]
    inside = [part["inside"]["value"] for part in parts if part is not None]
    assert told["inside"]["value"] == pytest.approx(np.mean(inside), abs=1e-6)
    assert 0.5 < told["covered"]["value"] <= 1
    assert set(told["covered_by_class"]) == {"urban", "arable", "water"}
    assert found.to_dict()["folds"][0]["applicability"] == parts[0]
    assert "hold the right one in" in str(found)


def test_coverage_of_sets_is_measured_on_tiles_that_were_held_out(
    labels: xr.DataArray, trainings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    del trainings
    scene = raster(spectra(labels.to_numpy()), box(180, 180))
    halves = slice(0, 90), slice(90, 180)
    how: Any = {"patch": 8, "block": 300.0, "shares": (1, 0, 0), "legend": small_legend()}
    two = draw_samples(
        [scene.isel(x=half) for half in halves],
        [labels.isel(x=half) for half in halves],
        per_class=50,
        names=["west", "east"],
        **how,
    ).compute()
    shares, held = iter([0.9, 0.7]), []

    def measured(model: Any, samples: xr.Dataset, seed: int) -> Any:
        held.append(set(samples["tile"].values[samples["split"] == 2].tolist()))
        assert (model, seed) == (untrained, SETTINGS.seed)
        share: Any = {"value": next(shares)}
        test = {"inside": share, "covered": share, "set_size": 1.5, "classes": {}}
        return SimpleNamespace(
            applicability=SimpleNamespace(facts={"test": test, "coverage": 0.95})
        )

    untrained = SimpleNamespace(net=SimpleNamespace(mode="dense"))
    report = AccuracyReport(np.eye(3, dtype=np.int64), small_legend(), calibration={"ece": 0.1})
    for name, fake in (("train", untrained), ("evaluate", report)):
        monkeypatch.setattr(cross_validation, name, lambda *_, fake=fake, **__: fake)
    monkeypatch.setattr(cross_validation, "fit_applicability", measured)
    told = crossvalidate(two, SETTINGS, by="tile", forest=False, applicability=True)
    assert [fold.name for fold in told.folds] == ["tile west", "tile east"]
    assert held == [{0}, {1}]
    figures = told.to_dict()["applicability"]
    assert figures["covered"] == fold_interval(np.array([0.9, 0.7]), 2).within(0, 1).to_dict()
    assert figures["promised"] == 0.95
    text = " ".join(str(told).split())
    assert "Held-out tiles: 80.0 %" in text
    assert "sets of 1.5 classes hold the right one in 80.0 %" in text
    assert "95% promised" in text


def test_each_fold_trains_in_a_folder_of_its_own(
    samples: xr.Dataset, trainings: list[Call], tmp_path: Path
) -> None:
    seen: list[tuple[str, int, int]] = []
    trainings.clear()
    how: Any = {"k": 2, "forest": False, "folder": tmp_path}
    plain = crossvalidate(samples, SETTINGS, **how, watch=lambda *steps: seen.append(steps))
    assert [folder for *_, folder in trainings] == [
        tmp_path / "fold_1_of_2",
        tmp_path / "fold_2_of_2",
    ]
    assert seen == [("fold 1 of 2", 1, 1), ("fold 2 of 2", 1, 1)]
    for (learned, settings, _), fold in zip(trainings, block_folds(samples, 2), strict=True):
        assert settings == SETTINGS
        assert learned.identical(fold.samples)
    assert plain.difference is None
    assert "forest" not in str(plain)


def test_figures_are_means_over_folds(found: CrossValidation) -> None:
    reports = [(fold.network, fold.forest) for fold in found.folds if fold.forest]
    values = np.array([a.overall_accuracy - b.overall_accuracy for a, b in reports])
    assert found.difference is not None
    assert found.difference.value == pytest.approx(values.mean())
    assert found.difference.error == pytest.approx(fold_interval(values, 2).error)
    assert -1 <= found.difference.low <= found.difference.high <= 1
    report = found.to_dict()
    assert report["overall_accuracy"]["value"] == pytest.approx(found.overall.value, abs=1e-6)
    counts = np.array(report["confusion"]["counts"])
    np.testing.assert_array_equal(counts, sum(a.counts for a, _ in reports))
    urban = report["classes"][0]
    assert urban["folds"] == 2
    assert urban["f1_difference"]["value"] == pytest.approx(
        urban["f1"]["value"] - urban["forest_f1"]["value"], abs=1e-5
    )
    errors = [a.class_calibration.get(1, np.nan) for a, _ in reports]
    assert urban["ece"]["value"] == pytest.approx(np.nanmean(errors), abs=1e-6)


def test_distances_are_those_to_the_nearest_samples(
    samples: xr.Dataset, found: CrossValidation
) -> None:
    places = np.stack([samples["easting"], samples["northing"]], axis=1)
    each = cdist(places, places)
    np.fill_diagonal(each, np.inf)
    np.testing.assert_allclose(np.sort(sample_distances(samples)), np.sort(each.min(axis=1)))
    fold = next(iter(block_folds(samples, 2)))
    own = np.stack([fold.samples["easting"], fold.samples["northing"]], axis=1)
    split = fold.samples["split"].values
    apart = cdist(own[split == 2], own[split == 0]).min(axis=1)
    np.testing.assert_allclose(fold_distances(fold), apart)
    figures = found.to_dict()["distances_m"]
    assert figures["held out to training"]["q0.05"] >= 160  # a window and the gap
    assert figures["map to sample"]["count"] > 10_000
    assert figures["held out to training"]["wasserstein_to_map_m"] > 100


def test_a_report_and_a_picture_are_written(found: CrossValidation, tmp_path: Path) -> None:
    path = found.save(tmp_path / "cv.json")
    assert json.loads(path.read_text("utf-8")) == found.to_dict()
    assert found.draw_distances(tmp_path / "d.png").stat().st_size > 10_000
    assert "fold 2 of 2" in str(found)
    assert "2 folds by block" in repr(found)


def test_unknown_folds_are_refused(samples: xr.Dataset) -> None:
    by: Any = "country"
    with pytest.raises(InputError, match="folds by 'country'"):
        crossvalidate(samples, SETTINGS, by=by, forest=False)
