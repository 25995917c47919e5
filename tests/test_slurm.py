"""Clusters on a real Slurm: jobs that are asked for, die, end, and are given back."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from dask.base import annotate
from distributed import Client

from osm4eo_xr import InputError, device_annotations, open_cluster
from tests.slurm.controller import LocalSlurm, wait_until, why_not

pytestmark = [
    pytest.mark.skipif(why_not() is not None, reason=why_not() or ""),
    pytest.mark.timeout(300),
]


@pytest.fixture(scope="module")
def running_slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalSlurm]:
    slurm = LocalSlurm(tmp_path_factory.mktemp("slurm"))
    slurm.script("up")
    yield slurm
    slurm.script("down")


@pytest.fixture
def slurm(running_slurm: LocalSlurm, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalSlurm]:
    for name, value in running_slurm.environment.items():
        monkeypatch.setenv(name, value)
    yield running_slurm
    assert running_slurm.is_empty(), running_slurm.ask("squeue")


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, Any]:
    """Small jobs on the loopback network, with the pretended GPUs left alone by jax."""
    return {
        "interface": "lo",
        "logs": str(tmp_path / "logs"),
        "scratch": str(tmp_path),
        "lost_after": 3,
        "idle_after": 3,
        "death_timeout": 30,
        "environment": {"JAX_PLATFORMS": "cpu"},
        "gpu": {
            "jobs": 2,
            "maximum_jobs": None,
            "threads": 2,
            "memory": "1 GB",
            "walltime": "00:10:00",
        },
        "cpu": None,
    }


def _named(number: int, seconds: float = 0.1) -> tuple[int, str]:
    """Run in a worker: wait a little, then say where."""
    from distributed import get_worker

    time.sleep(seconds)
    return number, str(get_worker().name)


def _results(client: Client, futures: Any) -> list[tuple[int, str]]:
    return cast("list[tuple[int, str]]", client.gather(futures))


def test_two_gpu_jobs_share_the_work(slurm: LocalSlurm, settings: dict[str, Any]) -> None:
    with open_cluster("slurm-gpu", **settings) as client:
        client.wait_for_workers(2, timeout=90)
        assert len(slurm.jobs("RUNNING")) == 2
        assert "gres:gpu:1" in slurm.ask("squeue", "--noheader", "--format=%b")
        with annotate(**device_annotations()):
            futures = client.map(_named, range(40), pure=False)
        results = _results(client, futures)
        workers = cast("dict[str, Any]", client.scheduler_info()["workers"])
    assert [n for n, _ in results] == list(range(40))
    assert {w for _, w in results} == {"gpu-0", "gpu-1"}
    assert all(w["resources"] == {"GPU": 1.0} for w in workers.values())
    assert sorted(p.suffix for p in Path(settings["logs"]).iterdir()) == [".log", ".log"]


def test_gpu_and_cpu_jobs_stand_side_by_side(slurm: LocalSlurm, settings: dict[str, Any]) -> None:
    settings["gpu"]["jobs"] = 1
    settings["cpu"] = {"jobs": 1, "maximum_jobs": None, "threads": 1, "memory": "1 GB"}
    settings["cpu"] |= {"processes": 2, "walltime": "00:10:00"}
    with open_cluster("slurm-gpu", **settings) as client:
        client.wait_for_workers(3, timeout=90)
        assert len(slurm.jobs("RUNNING")) == 2
        with annotate(**device_annotations()):
            on_device = client.map(_named, range(8), pure=False)
        anywhere = client.map(_named, range(40), pure=False)
        assert {w for _, w in _results(client, on_device)} == {"gpu-0"}
        everywhere = {w for _, w in _results(client, anywhere)}
    assert {"cpu-1-0", "cpu-1-1"} < everywhere


def test_a_killed_job_is_replaced_and_nothing_is_lost(
    slurm: LocalSlurm, settings: dict[str, Any]
) -> None:
    with open_cluster("slurm-gpu", **settings) as client:
        client.wait_for_workers(2, timeout=90)
        futures = client.map(_named, range(200), pure=False)
        first = slurm.jobs("RUNNING")[0]
        slurm.cancel(first)
        results = _results(client, futures)
        assert wait_until(lambda: len(set(slurm.jobs("RUNNING")) - {first}) == 2, 60)
    assert [n for n, _ in results] == list(range(200))


def test_workers_leave_before_the_wall_time_and_hand_over(
    slurm: LocalSlurm, settings: dict[str, Any]
) -> None:
    settings |= {"lifetime_margin": 20, "lifetime_stagger": 0}
    settings["gpu"] |= {"walltime": "00:01:00", "jobs": 1}
    with open_cluster("slurm-gpu", **settings) as client:
        futures = client.map(_named, range(900), pure=False)
        results = _results(client, futures)
        workers = [w for _, w in results]
        # what the first worker held was handed to the second, not made again by it
        assert workers.count("gpu-0") > 200
        assert workers.count("gpu-1") > 20
        states = slurm.ask("squeue", "--noheader", "--states=all", "--format=%T").split()
    assert [n for n, _ in results] == list(range(900))
    assert "TIMEOUT" not in states


def test_jobs_grow_with_the_work_and_go_back_to_none(
    slurm: LocalSlurm, settings: dict[str, Any]
) -> None:
    settings["gpu"] |= {"jobs": 0, "maximum_jobs": 2}
    with open_cluster("slurm-gpu", **settings) as client:
        assert slurm.jobs() == []
        futures = client.map(_named, range(120), pure=False)
        assert wait_until(lambda: len(slurm.jobs("RUNNING")) == 2, 60)
        assert [n for n, _ in _results(client, futures)] == list(range(120))
        del futures
        assert wait_until(lambda: not slurm.jobs(), 60)


def test_the_controller_may_restart(slurm: LocalSlurm, settings: dict[str, Any]) -> None:
    with open_cluster("slurm-gpu", **settings) as client:
        client.wait_for_workers(2, timeout=90)
        futures = client.map(_named, range(120), pure=False)
        slurm.script("restart")
        slurm.cancel(slurm.jobs("RUNNING")[0])
        assert [n for n, _ in _results(client, futures)] == list(range(120))
        assert wait_until(lambda: len(client.scheduler_info()["workers"]) == 2, 90)


def test_jobs_that_die_at_once_end_the_run_with_the_log_named(
    slurm: LocalSlurm, settings: dict[str, Any]
) -> None:
    settings["prologue"] = ["echo the module is missing", "exit 1"]
    settings["lost_after"] = 1
    with (
        pytest.raises(InputError, match=r"5 jobs in a row ended before a worker .*/logs"),
        open_cluster("slurm-gpu", **settings) as client,
    ):
        client.gather(client.map(_named, range(4), pure=False))
    logs = [p.read_text() for p in Path(settings["logs"]).iterdir()]
    assert 5 <= len(logs) <= 8
    assert all("the module is missing" in text for text in logs)
    assert slurm.is_empty()


def test_a_refused_job_is_the_callers_error(slurm: LocalSlurm, settings: dict[str, Any]) -> None:
    settings["gpu"]["queue"] = "nowhere"
    with (
        pytest.raises(InputError, match=r"refused the job: .*invalid partition") as caught,
        open_cluster("slurm-gpu", **settings),
    ):
        pass
    assert "\n" not in str(caught.value)
    assert slurm.jobs() == []
