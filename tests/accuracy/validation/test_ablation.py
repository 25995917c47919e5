"""What a group of features adds: the same folds, the same pixels, a paired interval."""

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import xarray as xr

from osm4eo_xr.accuracy.accuracy_report import AccuracyReport
from osm4eo_xr.accuracy.validation import ablation
from osm4eo_xr.accuracy.validation.ablation import Ablation, ablate
from osm4eo_xr.accuracy.validation.intervals import fold_interval
from osm4eo_xr.country import run
from osm4eo_xr.errors import InputError
from osm4eo_xr.feature_ids.ids import groups_of
from osm4eo_xr.samples import store
from osm4eo_xr.training.settings import TrainSettings
from tests.cases.commands import call
from tests.cases.many_sensors import CLASSES, FEATURES, GROUPS, country, legend, samples_of

GAIN = {"s2@2024-04": 10, "s2@2024-07": 4, "s2@2024-10": 0, "s1@2024": 20, "dem": -2}
"""Right pixels of 100 that a group adds, as the trainings here have it."""


@pytest.fixture(scope="module")
def samples() -> xr.Dataset:
    features, labels = country()
    drawn = samples_of(features, labels, per_class=30).compute()
    drawn["image"][:, 0, 0, :6] = np.nan  # what only radar and heights see
    drawn["image"][:, 0, 1, :7] = np.nan
    drawn["image"][:, 0, 1, 7] = 1.0  # what only heights see
    return drawn


@pytest.fixture(scope="module")
def trainings() -> Iterator[list[SimpleNamespace]]:
    """Stand in for trainings with reports that depend on the groups; return what was trained."""
    calls: list[SimpleNamespace] = []

    def trained(samples: Any, settings: Any, *, folder: Any, progress: Any) -> SimpleNamespace:
        bands = tuple(str(name) for name in samples["band"].values)
        calls.append(SimpleNamespace(samples=samples, settings=settings, folder=folder))
        if progress:
            progress(1, 1)
        return SimpleNamespace(bands=bands, fold=int(samples["split"].values.sum()))

    def scored(model: Any, samples: xr.Dataset, split: str, *, pixels: str) -> AccuracyReport:
        assert (samples.sizes["band"], split, pixels) == (len(model.bands), "test", "all")
        right = 50 + model.fold % 7 + sum(GAIN[group.name] for group in groups_of(model.bands))
        counts = np.diag([right] * len(CLASSES))
        counts[0, 1] += len(CLASSES) * (100 - right)
        return AccuracyReport(counts, legend())

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(ablation, "train", trained)
        patched.setattr(ablation, "evaluate", scored)
        yield calls


@pytest.fixture(scope="module")
def found(samples: xr.Dataset, trainings: list[SimpleNamespace], tmp_path_factory: Any) -> Ablation:
    del trainings
    settings, folder = TrainSettings(network="temporal"), tmp_path_factory.mktemp("runs")
    return ablate(samples, settings, k=3, folder=folder)


def test_each_group_is_left_out_once_on_each_fold(
    found: Ablation, trainings: list[SimpleNamespace]
) -> None:
    assert found.folds == ("fold 1 of 3", "fold 2 of 3", "fold 3 of 3")
    assert tuple(found.without) == GROUPS
    assert len(trainings) == 3 * (1 + len(GROUPS))
    assert len({training.folder for training in trainings}) == len(trainings)
    for start in range(0, len(trainings), 1 + len(GROUPS)):
        whole, *less = trainings[start : start + 1 + len(GROUPS)]
        assert tuple(whole.samples["band"].values) == FEATURES
        for group, training in zip(GROUPS, less, strict=True):
            assert training.samples.sizes["band"] == len(FEATURES) - (2 if group[:2] == "s2" else 1)
            xr.testing.assert_equal(training.samples["split"], whole.samples["split"])
            xr.testing.assert_equal(training.samples["label"], whole.samples["label"])


def test_pixels_count_that_have_data_whichever_group_is_left_out(
    trainings: list[SimpleNamespace], found: Ablation
) -> None:
    del found
    label = trainings[0].samples["label"]
    assert (label[:, 0, 1] == 0).all()
    assert (label[:, 0, 0] > 0).any()


def test_gains_are_paired_by_fold(found: Ablation) -> None:
    for group, points in GAIN.items():
        assert found.gain(group).value == pytest.approx(points / 100)
        low, high = found.gain(group).low, found.gain(group).high
        assert low == pytest.approx(high)  # folds differ, what the group adds does not
    apart = [a.f1[0] - b.f1[0] for a, b in zip(found.whole, found.without["s1@2024"], strict=True)]
    expected = fold_interval(np.array(apart), 3)
    assert found.gain("s1@2024", 0).value == pytest.approx(expected.value)
    assert found.gain("s1@2024", 0).low == pytest.approx(expected.low)


def test_the_table_and_the_file_say_it(found: Ablation, tmp_path: Path) -> None:
    text = str(found)
    assert "s1@2024" in text
    assert "+20.0" in text
    told = json.loads(found.save(tmp_path / "found.json").read_text())
    assert [group["name"] for group in told["groups"]] == list(GROUPS)
    assert told["groups"][3]["gain"]["value"] == 0.2
    assert set(told["groups"][0]["f1_gain"]) == {c.slug for c in legend().classes}


def test_a_fold_without_labels_is_null_in_json(tmp_path: Path) -> None:
    seen, none = (AccuracyReport(np.diag([n] * len(legend().ids)), legend()) for n in (9, 0))
    found = Ablation(("1", "2"), legend(), (seen, none), {"dem": (seen, none)})

    def refuse(word: str) -> None:
        raise AssertionError(word)

    text = found.save(tmp_path / "found.json").read_text()
    [group] = json.loads(text, parse_constant=refuse)["groups"]  # NaN is none of JSON's words
    assert group["overall_accuracy_without"] == [1, None]


def test_a_temporal_network_without_periods_is_trained_as_a_plain_one(
    samples: xr.Dataset, trainings: list[SimpleNamespace]
) -> None:
    two = samples.isel(band=[0, 1, 2, 3, 6])
    before = len(trainings)
    ablate(two, TrainSettings(network="temporal"), k=2, groups=["s2@2024-07"])
    names = [training.settings.network for training in trainings[before:]]
    assert names == ["temporal", "resnet"] * 2


def test_one_group_and_strange_groups_are_refused(samples: xr.Dataset) -> None:
    with pytest.raises(InputError, match="the samples have one group of features, s2@2024-04"):
        ablate(samples.isel(band=[0, 1]))
    with pytest.raises(InputError, match="no group 'aef'"):
        ablate(samples, groups=["aef"])


def test_the_command_makes_samples_trains_on_them_and_says_what_it_found(
    samples: xr.Dataset,
    trainings: list[SimpleNamespace],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings, made = TrainSettings(network="coupled", seed=5), tmp_path / "result" / "samples.zarr"
    monkeypatch.setattr(run, "country_samples", lambda *_, **__: (made, settings))
    monkeypatch.setattr(store, "open_samples", {made: samples}.__getitem__)
    country_file, out, before = tmp_path / "country.toml", tmp_path / "gain.json", len(trainings)
    country_file.touch()
    asked = ["ablate", country_file, "--k", 2, "--group", "s1@2024", "--out", out]
    shown = call(*asked)
    assert "s1@2024" in shown
    assert "dem" not in shown
    assert json.loads(out.read_text())["groups"][0]["gain"]["value"] == 0.2
    calls = trainings[before:]
    assert {training.settings.seed for training in calls} == {5}
    assert {training.folder.parent for training in calls} == {made.with_name("ablation.run")}
    assert json.loads(call(*asked[:-2], "--json")) == json.loads(out.read_text())
