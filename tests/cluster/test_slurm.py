"""Clusters on a real Slurm: jobs that are asked for, die, end, and are given back."""

import json
import os
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import yaml
from dask.base import annotate
from distributed import Client

from osm4eo_xr import InputError, device_annotations, open_cluster
from osm4eo_xr.country.run import run_country
from tests.cases.country_case import MODEL, make_country, products
from tests.cases.intruder import try_to_enter
from tests.cluster.slurm.controller import LocalSlurm, wait_until, why_not

CLUSTER = Path(__file__).parents[2] / "cluster"
SCRIPT = CLUSTER / "run_country.sbatch"
INSIDE = CLUSTER / "run_inside_allocation.py"

pytestmark = [
    pytest.mark.skipif(why_not() is not None, reason=why_not() or ""),
    pytest.mark.timeout(900),
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


APPTAINER = """#!/bin/sh
# Stands in for apptainer: knows one image, whose programs are those of this machine.
[ "$1 $2 $3" = "exec --nv {image}" ] || exit 255
shift 3
PATH={programs}:$PATH OSM4EO_IMAGE_CACHE={cache} OSM4EO_IMAGE_PYTHON={python} exec "$@"
"""


def _caches() -> tuple[str, str]:
    """Run in a worker: say who it is and where its compiled kernels are kept."""
    return sys.executable, os.environ["NUMBA_CACHE_DIR"]


def test_workers_start_by_the_images_command(
    slurm: LocalSlurm, settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, home, programs = tmp_path / "osm4eo-xr.sif", tmp_path / "home", tmp_path / "bin"
    (tmp_path / "cache" / "numba").mkdir(parents=True)
    (tmp_path / "cache" / "numba" / "kernel").write_text("compiled")
    home.mkdir()
    programs.mkdir()
    places = {"image": image, "programs": CLUSTER, "cache": tmp_path / "cache"}
    (programs / "apptainer").write_text(APPTAINER.format(**places, python=sys.executable))
    (programs / "apptainer").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    settings["environment"] |= {"HOME": str(home)}
    settings["gpu"]["jobs"] = 1
    python = f"apptainer exec --nv {image} osm4eo-python"
    with open_cluster("slurm-apptainer", python=python, **settings) as client:
        client.wait_for_workers(1, timeout=90)
        [(program, kept)] = cast("dict[str, Any]", client.run(_caches)).values()
        assert "gres:gpu:1" in slurm.ask("squeue", "--noheader", "--format=%b")
    assert program == sys.executable
    assert Path(kept).is_relative_to(home)
    assert (Path(kept) / "kernel").read_text() == "compiled"


def test_gpu_and_cpu_jobs_stand_side_by_side(slurm: LocalSlurm, settings: dict[str, Any]) -> None:
    settings["gpu"]["jobs"] = 1
    settings["cpu"] = {"jobs": 1, "maximum_jobs": None, "threads": 1, "memory": "3 GB"}
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
    settings |= {"lifetime_margin": 42, "lifetime_stagger": 0}
    settings["gpu"] |= {"walltime": "00:01:00", "jobs": 1}
    with open_cluster("slurm-gpu", **settings) as client:
        futures = client.map(_named, range(450), pure=False)
        results = _results(client, futures)
        workers = [w for _, w in results]
        # what the first worker held was handed to the second, not made again by it
        assert workers.count("gpu-0") > 100
        assert workers.count("gpu-1") > 20
        states = slurm.ask("squeue", "--noheader", "--states=all", "--format=%T").split()
    assert [n for n, _ in results] == list(range(450))
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
    settings["cpu"] = {**settings["gpu"], "jobs": 5, "threads": 1}
    settings |= {"gpu": None, "lost_after": 1}
    with (
        pytest.raises(InputError, match=r"5 jobs in a row ended before a worker .*/logs"),
        open_cluster("slurm-gpu", **settings) as client,
    ):
        client.gather(client.map(_named, range(4), pure=False))
    logs = [p.read_text() for p in Path(settings["logs"]).iterdir()]
    # One that is given back before its first line leaves an empty log.
    assert 5 <= sum("the module is missing" in text for text in logs) <= len(logs) <= 10
    assert slurm.is_empty()


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, bytes]]:
    """A country file, and the products of a run that nothing disturbed."""
    path = make_country(tmp_path_factory.mktemp("land") / "here", edge=120, overlap=30, learn=MODEL)
    made = products(run_country(path))
    shutil.rmtree(path.parent / "result")
    return path, made


@pytest.fixture
def country(calm: tuple[Path, dict[str, bytes]], monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A country file without results, and our command on PATH."""
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    yield calm[0]
    shutil.rmtree(calm[0].parent / "result", ignore_errors=True)


def _site_file(folder: Path, settings: dict[str, Any], kind: str) -> Path:
    path = folder / f"{kind}.yaml"
    path.write_text(yaml.safe_dump({"kind": kind, "title": "tests", **settings}))
    return path


def _submit_run(slurm: LocalSlurm, country: Path, site: Path, *options: str) -> str:
    log = country.parent / "run-%j.log"
    return slurm.submit("--mem=1G", f"--output={log}", *options, SCRIPT, country, site)


def test_sbatch_leads_to_the_water_layer_though_a_worker_job_is_cancelled(
    slurm: LocalSlurm,
    settings: dict[str, Any],
    calm: tuple[Path, dict[str, bytes]],
    country: Path,
    tmp_path: Path,
) -> None:
    settings["gpu"] |= {"gpus": 1, "jobs": 1}
    job = _submit_run(slurm, country, _site_file(tmp_path, settings, "slurm"))
    out = country.parent / "result"
    assert wait_until((out / "classified" / "T01.tif").exists, 300), _logs(country)
    slurm.cancel(next(j for j in slurm.jobs("RUNNING") if j != job))
    assert wait_until(lambda: job not in slurm.jobs(), 300), _logs(country)
    assert (out / "water.tif").exists(), _logs(country)
    assert products(out) == calm[1]


def test_a_run_cut_by_its_wall_time_goes_on_where_it_was(
    slurm: LocalSlurm, calm: tuple[Path, dict[str, bytes]], country: Path, tmp_path: Path
) -> None:
    one = {"gpu": None, "cpu": {"processes": 1, "threads": 2}, "scratch": str(tmp_path)}
    site = _site_file(tmp_path, one, "local")
    # The script's own signal before the end would put the job back into the queue, were it faster
    # than Slurm's last kill: here a signal that shells ignore comes instead.
    job = _submit_run(slurm, country, site, "--time=10", "--signal=B:URG@1")
    out = country.parent / "result"
    assert wait_until((out / "classified" / "T01.tif").exists, 300), _logs(country)
    slurm.hang(job)
    slurm.end_time_limit(job)
    assert wait_until(lambda: job not in slurm.jobs(), 90)
    assert "JobState=TIMEOUT" in slurm.ask("scontrol", "show", "job", job)
    assert not (out / "water.tif").exists()
    kept = (out / "classified" / "T00.tif").stat().st_mtime_ns
    again = _submit_run(slurm, country, site)
    assert wait_until(lambda: again not in slurm.jobs(), 300), _logs(country)
    assert products(out) == calm[1], _logs(country)
    assert (out / "classified" / "T00.tif").stat().st_mtime_ns == kept


def test_scancel_of_a_run_leaves_no_part_and_gives_its_jobs_back(
    slurm: LocalSlurm, settings: dict[str, Any], country: Path, tmp_path: Path
) -> None:
    settings["gpu"] |= {"gpus": 1, "jobs": 1}
    job = _submit_run(slurm, country, _site_file(tmp_path, settings, "slurm"))
    out = country.parent / "result"
    assert wait_until(lambda: any(out.rglob(".*.part-*")), 300), _logs(country)
    slurm.ask("scancel", job)
    assert wait_until(lambda: not slurm.jobs(), 60), slurm.ask("squeue")
    assert not list(out.rglob(".*.part-*"))
    said = (country.parent / f"run-{job}.log").read_text()
    assert "error: ended by SIGTERM; finished pieces stay" in said
    assert "Traceback" not in said
    assert not (out / "water.tif").exists()


def _logs(country: Path) -> str:
    return "".join(p.read_text() for p in sorted(country.parent.glob("run-*.log")))


def test_a_node_that_never_starts_leaves_its_work_to_the_others(
    slurm: LocalSlurm, settings: dict[str, Any]
) -> None:
    slurm.ask("scontrol", "update", "NodeName=n2", "State=DRAIN", "Reason=test")
    try:
        with open_cluster("slurm-gpu", **settings) as client:
            with annotate(**device_annotations()):
                futures = client.map(_named, range(40), pure=False)
            assert len({w for _, w in _results(client, futures)}) == 1
            assert len(slurm.jobs("PENDING")) == 1
    finally:
        slurm.ask("scontrol", "update", "NodeName=n2", "State=RESUME")


def test_a_run_inside_one_allocation_submits_nothing(
    slurm: LocalSlurm, calm: tuple[Path, dict[str, bytes]], country: Path, tmp_path: Path
) -> None:
    few = {"threads": 2, "memory": "1 GB"}
    settings = {"gpu": few, "cpu": few, "environment": {"JAX_PLATFORMS": "cpu"}}
    site = _site_file(tmp_path, settings | {"scratch": str(tmp_path)}, "local")
    run = f"srun {sys.executable} {INSIDE} {country} {site}"
    log = country.parent / "run-%j.log"
    size = ("--ntasks=4", "--nodes=2", "--gpus-per-node=1", "--mem=3G")
    job = slurm.submit(*size, f"--chdir={tmp_path}", f"--output={log}", f"--wrap={run}")
    assert wait_until(lambda: not slurm.jobs(), 300), _logs(country)
    assert products(country.parent / "result") == calm[1], _logs(country)
    assert int(slurm.submit("--output=/dev/null", "--wrap=true")) == int(job) + 1


@pytest.mark.skipif(os.getuid() != 0, reason="becomes another user, which takes root")
def test_another_user_is_refused_by_jobs_and_finds_no_key(
    slurm: LocalSlurm, settings: dict[str, Any], tmp_path: Path
) -> None:
    settings["gpu"]["jobs"] = 1
    with open_cluster("slurm-gpu", **settings) as client:
        client.wait_for_workers(1, timeout=120)
        (folder,) = (tmp_path / "logs").glob(".osm4eo-xr-tls-*")
        got = try_to_enter(client, folder)
    assert len(got) == 7  # scheduler, worker and nanny in two ways, and the key
    assert all(answer.startswith("refused") for answer in got.values()), got
    assert not folder.exists()
    assert wait_until(lambda: not slurm.jobs(), 60)


@pytest.mark.skipif(os.getuid() != 0, reason="becomes another user, which takes root")
def test_another_user_is_refused_inside_an_allocation(slurm: LocalSlurm, tmp_path: Path) -> None:
    few = {"threads": 1, "memory": "1 GB"}
    settings = {"gpu": few, "cpu": few, "environment": {"JAX_PLATFORMS": "cpu"}}
    site = _site_file(tmp_path, settings | {"scratch": str(tmp_path)}, "local")
    program = tmp_path / "program.py"
    program.write_text(
        "import json, pathlib\n"
        "from osm4eo_xr import open_allocation\n"
        "from tests.cases.intruder import try_to_enter\n"
        f"with open_allocation({str(site)!r}) as client:\n"
        "    (folder,) = pathlib.Path().glob('.osm4eo-xr-*')\n"
        "    got = try_to_enter(client, folder.absolute())\n"
        "pathlib.Path('got.json').write_text(json.dumps(got))\n"
    )
    log = tmp_path / "log"
    run = f"PYTHONPATH={Path(__file__).parents[2]} srun {sys.executable} {program}"
    size = ("--ntasks=3", "--mem=3G")
    slurm.submit(*size, f"--chdir={tmp_path}", f"--output={log}", f"--wrap={run}")
    assert wait_until(lambda: not slurm.jobs(), 280), log.read_text()
    got = json.loads((tmp_path / "got.json").read_text())
    assert len(got) == 5  # scheduler and worker in two ways, and the key
    assert all(answer.startswith("refused") for answer in got.values()), got
    assert not list(tmp_path.glob(".osm4eo-xr-*"))


def test_a_refused_job_is_the_callers_error(slurm: LocalSlurm, settings: dict[str, Any]) -> None:
    settings["gpu"]["queue"] = "nowhere"
    with (
        pytest.raises(InputError, match=r"refused the job: .*invalid partition") as caught,
        open_cluster("slurm-gpu", **settings),
    ):
        pass
    assert "\n" not in str(caught.value)
    assert slurm.jobs() == []
