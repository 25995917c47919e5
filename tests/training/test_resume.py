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
from osm4eo_xr.models.model import Model, load_model
from osm4eo_xr.training.fit import train
from tests.cases.train_case import holed_samples, kept_programs
from tests.cases.train_script import SHORT

STEPS = 6


@pytest.fixture(scope="module", autouse=True)
def programs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("programs")
    with kept_programs(folder):
        yield folder


@pytest.fixture(scope="module")
def samples() -> xr.Dataset:
    return holed_samples()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that was never stopped."""
    return tmp_path_factory.mktemp("runs") / "whole"


@pytest.fixture(scope="module")
def whole(run: Path, samples: xr.Dataset) -> Model:
    return train(samples, SHORT, folder=run)


class Stopped(Exception):  # noqa: N818 - not an error, the test's own stop
    pass


def equal(a: Model, b: Model) -> bool:
    return all(map(np.array_equal, jax.tree.leaves(a.variables), jax.tree.leaves(b.variables)))


def scores(model: Model) -> list[tuple[float, float]]:
    names = ("loss", "accuracy", "validation_loss", "validation_accuracy")
    return [tuple(row[name] for name in names) for row in model.training["history"]]


@pytest.mark.parametrize("step", range(1, STEPS + 1))
def test_a_run_stopped_at_any_step_ends_with_the_same_weights(
    step: int, tmp_path: Path, whole: Model, samples: xr.Dataset
) -> None:
    def stop(done: int, _: int) -> None:
        if done == step:
            raise Stopped

    with pytest.raises(Stopped):
        train(samples, SHORT, folder=tmp_path / "run", progress=stop)
    seen: list[int] = []
    resumed = train(
        samples, SHORT, folder=tmp_path / "run", progress=lambda done, _: seen.append(done)
    )
    # After the second step of each epoch and after each epoch a checkpoint was written.
    assert seen[0] == {1: 1, 2: 1, 3: 3, 4: 4, 5: 5, 6: 5}[step]
    assert equal(resumed, whole)
    assert scores(resumed) == scores(whole)


def script(
    *arguments: Any, programs: Path, module: str = "train_script", **environment: str
) -> subprocess.CompletedProcess[str]:
    env = {
        **os.environ,
        "JAX_COMPILATION_CACHE_DIR": str(programs),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        **environment,
    }
    command = [sys.executable, "-m", f"tests.cases.{module}", *map(str, arguments)]
    return subprocess.run(
        command, env=env, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2]
    )


def test_a_killed_process_is_resumed_to_the_same_weights(
    tmp_path: Path, whole: Model, samples: xr.Dataset, programs: Path
) -> None:
    folder, out = tmp_path / "run", tmp_path / "model"
    killed = script(folder, out, 5, programs=programs)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert not out.exists()
    assert equal(train(samples, SHORT, folder=folder), whole)


def test_two_devices_give_the_gradients_of_one(tmp_path: Path, programs: Path) -> None:
    """One step: sums in another order differ by rounding, which Adam would make whole steps."""
    found = []
    for devices in (1, 2):
        flags = f"--xla_force_host_platform_device_count={devices}"
        file = tmp_path / f"{devices}.npz"
        ended = script(file, module="step_script", programs=programs, XLA_FLAGS=flags)
        assert ended.returncode == 0, ended.stderr
        assert ended.stdout.split() == [str(devices), str(32 // devices)]
        found.append(dict(np.load(file)))
    one, two = found
    moments = [name for name in one if "mu" in name]
    assert len(moments) > 20
    assert one.keys() == two.keys()
    largest = max(float(np.abs(one[name]).max()) for name in moments)
    assert largest > 1e-3
    for name in one:
        np.testing.assert_allclose(
            two[name], one[name], rtol=1e-4, atol=1e-5 * largest, err_msg=name
        )


def test_two_devices_train_to_the_end(tmp_path: Path, whole: Model, programs: Path) -> None:
    flags = "--xla_force_host_platform_device_count=2"
    ended = script(tmp_path / "run", tmp_path / "model", 0, programs=programs, XLA_FLAGS=flags)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.split() == ["2", "16"]
    first = [m.training["history"][0] for m in (load_model(tmp_path / "model"), whole)]
    assert first[0]["loss"] == pytest.approx(first[1]["loss"], rel=1e-2)


def test_an_ended_run_is_read_not_repeated(run: Path, whole: Model, samples: xr.Dataset) -> None:
    seen: list[int] = []
    again = train(samples, SHORT, folder=run, progress=lambda done, _: seen.append(done))
    assert seen == []
    assert equal(again, whole)


def test_the_history_is_a_table_with_curves(run: Path, whole: Model) -> None:
    table = pd.read_csv(run / "history.csv")
    pd.testing.assert_frame_equal(table, pd.read_parquet(run / "history.parquet"))
    assert table["epoch"].tolist() == [1, 2]
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
        train(samples, dataclasses.replace(SHORT, seed=1), folder=run)
    with pytest.raises(InputError, match="holds a run with other samples"):
        train(samples.isel(sample=slice(1, None)), SHORT, folder=run)
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(InputError, match="not a training run"):
        train(samples, SHORT, folder=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
