"""A killed run goes on to the weights of one that was not; two devices give those of one."""

import dataclasses
import os
import signal
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from PIL import Image
from tensorboardX.proto import event_pb2

from osm4eo_xr.errors import InputError
from osm4eo_xr.models.model import Model
from osm4eo_xr.models.model_folder import load_model
from osm4eo_xr.training.checkpoints import FOLDS, RunFolder
from osm4eo_xr.training.fit import train
from tests.cases import step_script
from tests.cases.train_case import holed_samples, same_weights
from tests.cases.train_script import KEPT

EPOCHS = KEPT.epochs


@pytest.fixture(scope="module")
def samples() -> xr.Dataset:
    return holed_samples()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that was never stopped."""
    return tmp_path_factory.mktemp("runs") / "whole"


@pytest.fixture(scope="module")
def whole(run: Path, samples: xr.Dataset) -> Model:
    return train(samples, KEPT, folder=run)


class Stopped(Exception):  # noqa: N818 - not an error, the test's own stop
    pass


def scores(model: Model) -> list[tuple[float, float]]:
    names = ("loss", "accuracy", "validation_loss", "validation_accuracy")
    return [tuple(row[name] for name in names) for row in model.training["history"]]


def test_a_run_takes_a_folder_that_holds_the_folds_of_its_noise_alone(tmp_path: Path) -> None:
    (tmp_path / FOLDS / "fold_1").mkdir(parents=True)
    assert RunFolder(tmp_path, {"batch": 1}).restore({}) is None
    (tmp_path / "run.json").unlink()
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(InputError, match="is not a training run"):
        RunFolder(tmp_path, {"batch": 1})


@pytest.mark.parametrize(("epochs", "steps"), [(0, 1), (0, 7), (0, 8), (1, 0), (1, 1), (EPOCHS, 0)])
def test_a_run_stopped_at_any_step_ends_with_the_same_weights(
    epochs: int, steps: int, tmp_path: Path, whole: Model, samples: xr.Dataset
) -> None:
    """Stopped so many steps after so many epochs, before a checkpoint of the last step is kept."""
    per_epoch = whole.training["history"][0]["step"]
    assert per_epoch > 8
    last = epochs * per_epoch + steps

    def stop(done: int, _: int) -> None:
        if done == last:
            raise Stopped

    with pytest.raises(Stopped):
        train(samples, KEPT, folder=tmp_path / "run", progress=stop)
    seen: list[int] = []
    resumed = train(
        samples, KEPT, folder=tmp_path / "run", progress=lambda done, _: seen.append(done)
    )
    # A checkpoint is kept after each seventh step and after each epoch.
    kept = [k for k in range(1, last) if k % 7 == 0 or k % per_epoch == 0]
    assert seen == list(range(1 + max(kept, default=0), EPOCHS * per_epoch + 1))
    assert same_weights(resumed, whole)
    assert scores(resumed) == scores(whole)


def script(
    *arguments: Any, module: str = "train_script", **environment: str
) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, **environment}
    command = [sys.executable, "-m", f"tests.cases.{module}", *map(str, arguments)]
    return subprocess.run(
        command, env=env, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2]
    )


def test_a_killed_process_is_resumed_to_the_same_weights(
    tmp_path: Path, whole: Model, samples: xr.Dataset
) -> None:
    folder, out = tmp_path / "run", tmp_path / "model"
    killed = script(folder, out, 10)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert not out.exists()
    assert same_weights(train(samples, KEPT, folder=folder), whole)


@pytest.fixture(scope="module")
def two_devices(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Moments of one step and a trained model of a process that has two devices."""
    folder = tmp_path_factory.mktemp("two")
    places = (folder / "step.npz", folder / "run", folder / "model")
    flags = "--xla_force_host_platform_device_count=2"
    ended = script(*places, module="step_script", XLA_FLAGS=flags)
    assert ended.returncode == 0, ended.stderr
    # devices, samples of a batch on each, and of one turned and scaled
    assert ended.stdout.split() == ["2", "4", "4", "2", "4"]
    return folder


def test_two_devices_give_the_gradients_of_one(two_devices: Path, tmp_path: Path) -> None:
    """One step: sums in another order differ by rounding, which Adam would make whole steps."""
    assert jax.local_device_count() == 1
    step_script.main(tmp_path / "step.npz")
    one, two = (dict(np.load(folder / "step.npz")) for folder in (tmp_path, two_devices))
    moments = [name for name in one if "mu" in name]
    assert len(moments) > 20
    assert one.keys() == two.keys()
    largest = max(float(np.abs(one[name]).max()) for name in moments)
    assert largest > 1e-3
    for name in one:
        np.testing.assert_allclose(
            two[name], one[name], rtol=1e-4, atol=1e-5 * largest, err_msg=name
        )


def test_two_devices_train_to_the_end(two_devices: Path, whole: Model) -> None:
    first = [m.training["history"][0] for m in (load_model(two_devices / "model"), whole)]
    assert first[0]["loss"] == pytest.approx(first[1]["loss"], rel=1e-2)


def test_an_ended_run_is_read_not_repeated(run: Path, whole: Model, samples: xr.Dataset) -> None:
    before, seen = {p: p.stat().st_mtime_ns for p in run.rglob("*")}, list[int]()
    again = train(samples, KEPT, folder=run, progress=lambda done, _: seen.append(done))
    assert seen == []
    assert same_weights(again, whole)
    assert {p: p.stat().st_mtime_ns for p in run.rglob("*")} == before  # it may be read-only


def test_the_history_is_a_table_with_curves(run: Path, whole: Model) -> None:
    table = pd.read_csv(run / "history.csv")
    pd.testing.assert_frame_equal(table, pd.read_parquet(run / "history.parquet"))
    assert table["epoch"].tolist() == [1, 2, 3, 4, 5]
    history = whole.training["history"]
    assert table["loss"].tolist() == pytest.approx([row["loss"] for row in history])
    with Image.open(run / "curves.png") as image:
        assert min(image.size) > 300


def test_scalars_are_those_of_the_history(run: Path, whole: Model) -> None:
    found = {
        (value.tag, event.step): value.simple_value
        for path in (run / "scalars").iterdir()
        for event in events(path)
        for value in event.summary.value
    }
    for row in whole.training["history"]:
        for name in ("loss", "validation_accuracy", "waiting"):
            assert found[f"epoch/{name}", row["step"]] == pytest.approx(row[name], rel=1e-5)


def events(path: Path) -> Iterator[Any]:
    """Read TensorBoard's record file: length, its check, an event, its check."""
    content = path.read_bytes()
    at, record = 0, vars(event_pb2)["Event"]
    while at < len(content):
        (size,) = struct.unpack("<Q", content[at : at + 8])
        yield record.FromString(content[at + 12 : at + 12 + size])
        at += 12 + size + 4


def test_a_folder_holds_one_run_only(
    run: Path, tmp_path: Path, whole: Model, samples: xr.Dataset
) -> None:
    del whole
    with pytest.raises(InputError, match=r"seed 0, not 1; give another folder"):
        train(samples, dataclasses.replace(KEPT, seed=1), folder=run)
    with pytest.raises(InputError, match="holds a run with other samples"):
        train(samples.isel(sample=slice(1, None)), KEPT, folder=run)
    label = samples["label"].copy(deep=True)
    label[0] = label.to_numpy()[0].T  # as many of each
    assert not np.array_equal(label, samples["label"])
    with pytest.raises(InputError, match="holds a run with other labels"):
        train(samples.assign(label=label), KEPT, folder=run)
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(InputError, match="not a training run"):
        train(samples, KEPT, folder=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
