"""Training in a GPU worker: the same model, followed, warned of and ended from here."""

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NoReturn

import jax
import numpy as np
import pytest
from distributed import Client, Reschedule, Status

from osm4eo_xr.cluster.clusters import open_cluster
from osm4eo_xr.cluster.device_tasks import device_client
from osm4eo_xr.errors import InputError, InputWarning
from osm4eo_xr.samples.store import open_samples, write_samples
from osm4eo_xr.training import on_worker
from osm4eo_xr.training.fit import train
from osm4eo_xr.training.loop import Fit
from osm4eo_xr.training.on_worker import train_on_worker
from tests.cases.train_case import TINY, small_samples

if TYPE_CHECKING:
    from osm4eo_xr.training.status import Status as TrainingStatus


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """Connect to a cluster whose one worker is said to have a GPU; this process has none."""
    gpu = {"threads": 1, "memory": "3 GB"}
    own = {"CUDA_VISIBLE_DEVICES": "0", "JAX_PLATFORMS": "cpu"}
    scratch = str(tmp_path_factory.mktemp("scratch"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CUDA_VISIBLE_DEVICES", "0")
        with open_cluster("local", gpu=gpu, cpu=None, scratch=scratch, environment=own) as opened:
            assert device_client() is None
            patch.setenv("CUDA_VISIBLE_DEVICES", "")
            yield opened
    assert device_client() is None


def test_a_gpu_worker_trains_where_this_process_has_no_gpu(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert device_client() is client
    write_samples(small_samples(), tmp_path / "samples.zarr")
    monkeypatch.chdir(tmp_path)
    samples = open_samples("samples.zarr")
    seen: list[TrainingStatus] = []
    done: list[tuple[int, int]] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Fit, "run", _refuse)
        follow: Any = {"on_status": seen.append, "progress": lambda *at: done.append(at)}
        there = train(samples, TINY, folder="run", **follow)
    assert (tmp_path / "run" / "history.csv").is_file()
    assert (seen[-1].step, seen[-1].epoch) == (seen[-1].steps, TINY.epochs)
    assert done[-1] == (seen[-1].steps,) * 2
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CUDA_VISIBLE_DEVICES", "0")
        here = train(samples, TINY)
    assert there.class_ids == here.class_ids
    for one, other in zip(*(jax.tree.leaves(m.variables) for m in (there, here)), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-3)


def _refuse(*_: Any) -> NoReturn:
    pytest.fail("this process trained")


def test_what_a_worker_warns_of_and_refuses_is_told_here(client: Client) -> None:
    with pytest.warns(InputWarning, match="^takes long$"), pytest.raises(InputError) as caught:
        train_on_worker(client, _warned, progress=None, on_status=None)
    assert (str(caught.value), caught.value.advice) == ("no loss; give samples", "give samples")


def _warned(**_: Any) -> NoReturn:
    import warnings

    warnings.warn("takes long", InputWarning, stacklevel=1)
    raise InputError("no loss", advice="give samples")


def test_a_worker_that_closes_leaves_its_training_to_another(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[dict[str, int]] = []
    closing = SimpleNamespace(status=Status.closing_gracefully)
    closing.log_event = lambda _topic, event: said.append(event)
    monkeypatch.setattr(on_worker, "get_worker", lambda: closing)
    monkeypatch.setattr(on_worker, "get_client", lambda: client)
    with pytest.raises(Reschedule):
        on_worker._trained(lambda progress, **_: progress(1, 9), "its topic")
    assert said == [{"done": 1, "total": 9}]


def test_a_training_ends_with_the_wait_for_it(client: Client, tmp_path: Path) -> None:
    class Enough(Exception):  # noqa: N818 - no fault
        pass

    def stop(*_: int) -> NoReturn:
        raise Enough

    with pytest.raises(Enough):
        train_on_worker(
            client, partial(_endless, tmp_path / "ended"), progress=stop, on_status=None
        )
    until = time.monotonic() + 30
    while not (tmp_path / "ended").exists() and time.monotonic() < until:
        time.sleep(0.05)
    assert (tmp_path / "ended").read_text() == "nobody waits for this training any more"


def _endless(ended: Path, progress: Any, **_: Any) -> NoReturn:
    step = 0
    while True:
        step += 1
        time.sleep(0.01)
        try:
            progress(step, 10**6)
        except RuntimeError as error:
            ended.write_text(str(error))
            raise
