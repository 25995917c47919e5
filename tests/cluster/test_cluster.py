"""Clusters on this machine: settings, environment, processes."""

import dataclasses
import logging
import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import dask.array as da
import dask.config
import numpy as np
import pytest
import xarray as xr
from dask.base import annotate
from distributed import Status, Worker
from distributed.comm.core import CommClosedError

from osm4eo_xr import InputError, open_cluster
from osm4eo_xr.cluster import allocation, clusters, gpus
from osm4eo_xr.cluster.clusters import plan_processes
from osm4eo_xr.cluster.device_tasks import DEVICE_EXECUTOR, DEVICE_TASKS, device_annotations
from osm4eo_xr.cluster.gpus import visible_gpus
from osm4eo_xr.cluster.job_scripts import job_scripts
from osm4eo_xr.cluster.site import BatchSite, JobWorkers, LocalSite, LocalWorkers, SlurmSite
from osm4eo_xr.cluster.site_file import (
    load_site,
    site_from_dict,
    site_keys,
    site_names,
    with_worker_size,
)
from osm4eo_xr.cluster.worker import (
    dask_setup,
    environment_here,
    expand_variables,
    own_device,
    worker_environment,
)
from osm4eo_xr.geometry.grid import georeference, target_geobox

GIB = 1024**3

Places = list[tuple[str, str]]


def _look_inside() -> dict[str, Any]:
    """Run in a worker: what stood before jax was imported and what jax made of it."""
    before = "jax" in sys.modules
    import jax

    return {
        "jax_was_imported": before,
        "platform": jax.devices()[0].platform,
        "environment": dict(os.environ),
        "pid": os.getpid(),
    }


@pytest.mark.parametrize("name", site_names())
def test_every_site_file_is_valid(name: str) -> None:
    site = load_site(name)
    assert site.name == name
    assert site.title
    assert dataclasses.is_dataclass(site)
    with pytest.raises(dataclasses.FrozenInstanceError):
        site.title = "other"  # pyright: ignore[reportAttributeAccessIssue] # frozen is the point


def test_overrides_win_and_sections_merge() -> None:
    site = load_site("local", cpu={"threads": 3}, gdal_cache="64 MiB")
    assert isinstance(site, LocalSite)
    assert site.cpu == LocalWorkers(threads=3)
    assert site.gdal_cache == 64 * 1024**2
    assert site.gpu == LocalWorkers()


def test_a_size_of_workers_is_that_of_each_whatever_its_job() -> None:
    stated = load_site("slurm-gpu", gpu={"gpus": 4, "processes": 4}, cpu={"processes": 2})
    site = with_worker_size(stated, 3, 2 * GIB)
    assert isinstance(site, SlurmSite)
    workers = {k: (g.threads, g.memory / g.processes) for k, g in site.groups.items()}
    assert workers == {"gpu": (3, 2 * GIB), "cpu": (3, 2 * GIB)}
    script = job_scripts(site)
    assert "#SBATCH --cpus-per-task=12" in script["gpu"]
    assert "#SBATCH --mem=8G" in script["gpu"]
    assert "#SBATCH --mem=4G" in script["cpu"]
    assert "--memory-limit 2.00GiB" in script["gpu"]
    assert with_worker_size(site, None, None) == site
    alone = load_site("local", gpu=None, cpu={"processes": 2, "memory": "1 GiB"})
    assert with_worker_size(alone, 5, None) == load_site(
        "local", gpu=None, cpu={"processes": 2, "memory": "1 GiB", "threads": 5}
    )


def test_a_size_of_workers_is_refused_where_jobs_state_their_resources() -> None:
    site = load_site("moab-gpu", cpu={"resources": "nodes=1:ppn=8,pmem=7gb"})
    assert with_worker_size(site, None, None) == site
    with pytest.raises(InputError, match="cpu jobs ask for 'nodes=1:ppn=8,pmem=7gb'; change thr"):
        with_worker_size(site, 2, None)


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({"kind": "condor"}, "kind is 'condor'; expected one of local, slurm, pbs, moab"),
        ({"kind": "local", "scrach": "here"}, "unknown key scrach; did you mean scratch?"),
        ({"kind": "slurm", "gpu": {"partition": "g"}}, "key gpu.partition; did you mean queue"),
        ({"kind": "slurm", "gpu": {"gres": "gpu:A100:1"}}, "gpu.gres; did you mean directives?"),
        ({"kind": "pbs", "cpu": {"--cpus-per-task": 2}}, "per-task; did you mean threads?"),
        ({"kind": "slurm", "cpu": {}, "project": "a"}, "key project; did you mean account?"),
        ({"kind": "local", "cpu": {"thread": 2}}, "unknown key cpu.thread; did you mean threads"),
        (
            {"kind": "local", "cpu": {"threads": "two"}},
            "cpu.threads is 'two'; expected a who",
        ),
        ({"kind": "local", "cpu": {"threads": 0}}, "threads: 0; give at least 1"),
        ({"kind": "local", "cpu": {"memory": "lots"}}, "cpu.memory is 'lots'; expected bytes, or"),
        ({"kind": "local", "title": None}, "title is empty"),
        ({"kind": "local", "cpu": 4}, "cpu is 4; expected a table"),
        ({"kind": "local", "cpu": None, "gpu": None}, "neither gpu nor cpu workers"),
        ({"kind": "slurm"}, "neither gpu nor cpu jobs"),
        ({"kind": "slurm", "gpu": {"jobs": 1}}, "gpu jobs with gpus: 0"),
        ({"kind": "slurm", "cpu": {"jobs": 0}}, "jobs: 0 without maximum_jobs"),
        ({"kind": "slurm", "cpu": {"gpus": 1}}, "cpu jobs with gpus: 1"),
        ({"kind": "slurm", "gpu": {"gpus": 4}}, "processes: 1 with gpus: 4"),
        ({"kind": "slurm", "cpu": {"walltime": "00:05:00"}}, "leaves no time to work"),
        ({"kind": "slurm", "cpu": {"walltime": "soon"}}, "cpu.walltime is 'soon'"),
        ({"kind": "slurm", "cpu": {"directives": 3}}, "cpu.directives[0] is 3; expected text"),
        ({"kind": "slurm", "cpu": {}, "python": 3}, "python is 3; expected text"),
        ({"kind": "slurm", "cpu": {"jobs": 4, "maximum_jobs": 2}}, "maximum_jobs: 2; give at le"),
    ],
)
def test_wrong_settings_are_named(tree: dict[str, object], message: str) -> None:
    with pytest.raises(InputError) as caught:
        site_from_dict(tree, source="my.yaml")
    text = str(caught.value)
    assert text.startswith("my.yaml: ")
    assert message in text
    assert "\n" not in text


def test_a_missing_or_broken_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no cluster 'moon'; give one of .*local"):
        load_site("moon")
    with pytest.raises(InputError, match=r"no cluster '.*none\.yaml'"):
        load_site(tmp_path / "none.yaml")
    broken = tmp_path / "broken.yaml"
    broken.write_text("kind: [local")
    with pytest.raises(InputError, match=r"broken\.yaml is not a YAML file"):
        load_site(broken)
    broken.write_text("local")
    with pytest.raises(
        InputError, match=r"broken\.yaml is not a YAML file of settings: .* must have a dict"
    ):
        load_site(str(broken))


def test_times_are_read_in_every_form() -> None:
    for text in ("02:00:00", "2 h", "120 min", 7200, "7200"):
        site = site_from_dict({"kind": "slurm", "cpu": {"walltime": text}})
        assert isinstance(site, BatchSite)
        assert site.cpu is not None
        assert site.cpu.walltime == 7200
        assert site.cpu.walltime_text == "02:00:00"
    assert JobWorkers(walltime=100 * 3600 + 61).walltime_text == "100:01:01"


@pytest.mark.parametrize(
    ("text", "hours"),
    [
        ("1-00:00:00", "24:00:00"),
        ("2-03:04:05", "51:04:05"),
        ("1-12", "36:00:00"),
        ("1-12:30", "36:30:00"),
        ("0-02:00:00", "02:00:00"),
    ],
)
def test_a_wall_time_counts_days_as_sbatch_does(text: str, hours: str) -> None:
    # man sbatch, --time: days-hours, days-hours:minutes and days-hours:minutes:seconds
    assert f"#SBATCH -t {hours}" in _script("slurm-gpu", "gpu", gpu={"walltime": text})


@pytest.mark.parametrize(
    "text", ["04:-30:00", "-1:00:00", "4:00:-1", "1--2:00:00", "-1-00:00:00", "1-00:00:00:00"]
)
def test_a_wall_time_with_negative_or_too_many_parts_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=f"cpu.walltime is '{text}'; expected seconds, or text"):
        site_from_dict({"kind": "slurm", "cpu": {"walltime": text}})


def _script(name: str, kind: str, **overrides: Any) -> list[str]:
    site = load_site(name, **overrides)
    assert isinstance(site, BatchSite)
    return job_scripts(site)[kind].splitlines()


def test_pbs_scripts_speak_the_language_of_qsub() -> None:
    # PBS Professional's reference guide: one chunk with -l select, the wall time a job-wide -l
    script = _script("pbs-gpu", "gpu", account="forest", gpu={"queue": "gpuq"}, logs="/shared/logs")
    assert script[0].startswith("#!")
    assert [line for line in script if line.startswith("#PBS")] == [
        "#PBS -N osm4eo-gpu",
        "#PBS -q gpuq",
        "#PBS -A forest",
        "#PBS -l select=1:ncpus=8:ngpus=1:mem=61036mb",
        "#PBS -l walltime=04:00:00",
        "#PBS -o /shared/logs/",
        "#PBS -j oe",
    ]
    cpu = _script("pbs-gpu", "cpu", cpu={"memory": "1.5 GiB", "directives": ["-l place=free"]})
    assert "#PBS -l select=1:ncpus=8:mem=1536mb" in cpu
    assert "#PBS -l place=free" in cpu
    assert not any("gpu" in line.lower() for line in cpu)


def test_moab_scripts_speak_the_language_of_msub() -> None:
    # Moab passes Torque's node specification on: nodes=N:ppn=C:gpus=G, then mem for the job
    script = _script("moab-gpu", "gpu", logs="/shared/logs")
    assert [line for line in script if line.startswith("#PBS")] == [
        "#PBS -N osm4eo-gpu",
        "#PBS -q gpu",
        "#PBS -l nodes=1:ppn=8:gpus=1,mem=61036mb",
        "#PBS -l walltime=04:00:00",
        "#PBS -o /shared/logs/",
        "#PBS -j oe",
    ]
    own = "nodes=1:ppn=8:gpus=1:default,pmem=7gb"
    assert f"#PBS -l {own}" in _script("moab-gpu", "gpu", gpu={"resources": own})


def test_worker_lines_hold_device_lifetime_and_environment() -> None:
    script = _script("slurm-gpu", "gpu", gdal_cache="100 MiB", interface="ib0")
    worker = script[-1]
    for option in ("--resources GPU=1", "--lifetime 13980s", "--lifetime-stagger 120s", "--nanny"):
        assert option in worker
    for option in ("--death-timeout 120", "--interface ib0", '"${TMPDIR:-/tmp}"', "--nthreads 8"):
        assert option in worker
    assert "#SBATCH --gres=gpu:1" in script
    before = script[: script.index(worker)]
    assert 'export GDAL_CACHEMAX="100"' in before
    assert 'export JAX_PLATFORMS="cuda,cpu"' in before
    assert "GPU=1" not in _script("slurm-gpu", "cpu")[-1]
    assert "#SBATCH --gres=gpu:1" not in _script("helix", "gpu")  # the site names a type of GPU
    assert "#SBATCH --gres=gpu:A100:1" in _script("helix", "gpu")


@pytest.mark.parametrize(
    "own",
    [
        *("-G 1", "-G1", "-p dev -G 1", "--gpus=h100:1", "--gpus-per-node=1"),
        *("--gres gpu:A100:1", "--gres=tmp:50G,gpu:2", "--tres-per-task=cpu:8,gres/gpu:1"),
    ],
)
def test_gpus_are_asked_for_once(own: str) -> None:
    script = _script("slurm-gpu", "gpu", gpu={"directives": [own]})
    assert f"#SBATCH {own}" in script
    assert "#SBATCH --gres=gpu:1" not in script


@pytest.mark.parametrize("other", ["--gpu-bind=closest", "-C gpu", "--gres-flags=enforce-binding"])
def test_directives_that_ask_for_no_gpu_leave_ours(other: str) -> None:
    script = _script("slurm-gpu", "gpu", gpu={"directives": [other]})
    assert {"#SBATCH --gres=gpu:1", f"#SBATCH {other}"} <= set(script)


def test_a_gres_without_gpus_is_refused_for_gpu_jobs() -> None:
    both = {"directives": ["--gres=tmp:50G"]}
    with pytest.raises(InputError, match="'--gres=tmp:50G' asks for no GPU.*; add gpu:2 to it"):
        load_site("slurm-gpu", gpu={**both, "gpus": 2, "processes": 2})
    assert "#SBATCH --gres=tmp:50G" in _script("slurm-gpu", "cpu", cpu=both)


def test_the_home_stands_in_folders_of_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    """That of scratch is the node's, which the worker's shell knows; that of logs is found here."""
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("PROJECT", "forest")
    script = _script("slurm-gpu", "gpu", scratch="~/a b/$PROJECT", logs="~/${PROJECT}/logs")
    assert "#SBATCH -o /home/me/forest/logs/%x-%j.log" in script
    (stated,) = re.findall(r"--local-directory (.*?) --", script[-1])
    monkeypatch.setenv("HOME", "/node/me")
    told = subprocess.run(
        ["bash", "-c", f"printf %s {stated}"], capture_output=True, text=True, check=True
    )
    assert told.stdout == "/node/me/a b/forest"


def test_two_cores_become_one_process_of_two_threads() -> None:
    (plan,) = plan_processes(LocalSite(), 2, 8 * GIB, [])
    assert (plan.name, plan.threads, plan.gpu) == ("cpu-0", 2, None)
    assert plan.memory <= 8 * GIB


def test_each_gpu_gets_a_process_and_the_other_cores_work_too() -> None:
    plans = plan_processes(LocalSite(), 16, 128 * GIB, ["0", "1"])
    assert [(p.name, p.threads, p.gpu) for p in plans] == [
        ("gpu-0", 4, "0"),
        ("gpu-1", 4, "1"),
        ("cpu-0", 4, None),
        ("cpu-1", 4, None),
    ]
    assert sum(p.memory for p in plans) <= 128 * GIB


def test_one_core_with_a_gpu_still_works() -> None:
    plans = plan_processes(LocalSite(), 1, 8 * GIB, ["0"])
    assert [(p.name, p.threads) for p in plans] == [("gpu-0", 2)]


def test_more_gpu_processes_than_gpus_are_refused() -> None:
    with pytest.raises(InputError, match="this machine shows 1 GPUs"):
        plan_processes(LocalSite(gpu=LocalWorkers(processes=2)), 8, GIB, ["0"])
    with pytest.raises(InputError, match="no GPU found and no cpu workers"):
        plan_processes(LocalSite(cpu=None), 8, GIB, [])


def test_visible_gpus_follow_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,5")
    assert visible_gpus() == ["2", "5"]
    for none in ("", "-1", "NoDevFiles"):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", none)
        assert visible_gpus() == []
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    monkeypatch.setenv("PATH", "")
    assert visible_gpus() == []


@pytest.mark.parametrize(
    ("visible", "name", "own"),
    [
        ("0,1,2,3", "gpu-7-2", "2"),
        ("4,6", "gpu-0-1", "6"),
        ("3", "gpu-5", ""),
        ("GPU-a,GPU-b", "gpu-1-0", "GPU-a"),
        ("", "gpu-1-0", ""),
    ],
)
def test_processes_of_a_job_share_its_gpus_out(visible: str, name: str, own: str) -> None:
    assert own_device(visible.split(",") if visible else [], name) == own


@pytest.mark.parametrize(
    ("stated", "there", "own"),
    [("4,6", [], "6"), (None, ["0", "1"], "1"), (None, ["0"], None), ("", ["0", "1"], "")],
)
def test_a_worker_takes_its_gpu_where_the_job_names_none(
    stated: str | None, there: list[str], own: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unset means all GPUs of the node, empty means none."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "kept for the end of the test")
    os.environ.pop("CUDA_VISIBLE_DEVICES")
    if stated is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = stated
    listed = "".join(f"GPU {k}: H100 (UUID: GPU-{k})\n" for k in there)
    monkeypatch.setattr(gpus.shutil, "which", lambda _: "nvidia-smi")
    monkeypatch.setattr(
        gpus.subprocess, "run", lambda *_, **__: SimpleNamespace(stdout=listed, returncode=0)
    )
    state = SimpleNamespace(total_resources={"GPU": 1}, nthreads=8)
    worker: Any = SimpleNamespace(state=state, name="gpu-3-1", executors={})
    dask_setup(worker)
    assert os.environ.get("CUDA_VISIBLE_DEVICES") == own
    assert list(worker.executors) == [DEVICE_EXECUTOR]
    assert state.nthreads == 8 + DEVICE_TASKS


def _own_environment() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if k != "__DASK_PARENT_PID"}  # dask's own mark


def test_the_environment_stands_before_jax_and_is_each_processs_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    before = _own_environment()
    with open_cluster(
        "local",
        scratch=str(tmp_path),
        gdal_cache="64 MiB",
        gpu={"processes": 2, "threads": 1},
        cpu=None,
        environment={"GDAL_HTTP_MAX_RETRY": 7, "JAX_PLATFORMS": "cpu"},
    ) as client:
        assert _own_environment() == before
        seen = cast("dict[str, Any]", client.run(_look_inside))
        assert any(tmp_path.iterdir())
        assert dask.config.get("distributed.scheduler.allowed-failures") == 10
    assert len({s["pid"] for s in seen.values()}) == 2
    assert {s["environment"]["CUDA_VISIBLE_DEVICES"] for s in seen.values()} == {"3", "5"}
    for inside in seen.values():
        assert not inside["jax_was_imported"]
        assert inside["platform"] == "cpu"
        environment = inside["environment"]
        assert environment["GDAL_CACHEMAX"] == "64"
        assert environment["GDAL_NUM_THREADS"] == "1"
        assert environment["GDAL_HTTP_MAX_RETRY"] == "7"
        assert environment["NPROC"] == environment["NUMBA_NUM_THREADS"] == "1"
        assert environment["OMP_NUM_THREADS"] == "1"
    assert not any(tmp_path.iterdir())
    assert _own_environment() == before


def test_a_killed_worker_process_comes_back_and_the_sum_is_right(tmp_path: Path) -> None:
    with open_cluster("local", scratch=str(tmp_path), cpu={"threads": 2}, gpu=None) as client:
        before = cast("dict[str, int]", client.run(os.getpid))
        total = da.ones((2000, 2000), chunks=100).map_blocks(_slowly).sum().persist()
        os.kill(next(iter(before.values())), 9)
        assert float(total.compute()) == 2000 * 2000
        assert set(cast("dict[str, int]", client.run(os.getpid)).values()).isdisjoint(
            before.values()
        )


def _slowly(block: object) -> object:
    import time

    time.sleep(0.005)
    return block


def test_device_tasks_go_to_gpu_workers_only(tmp_path: Path) -> None:
    # imported here: workers import this module, and must not have imported jax by that
    from osm4eo_xr.cogs.cog import write_cog
    from osm4eo_xr.inference.prediction import classify
    from osm4eo_xr.models.model_folder import load_model
    from tests.cases.country_case import tiny_model

    assert device_annotations() == {}
    environment = {"CUDA_VISIBLE_DEVICES": "0", "JAX_PLATFORMS": "cpu"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CUDA_VISIBLE_DEVICES", "0")
        with open_cluster(
            "local",
            gpu={"threads": 2, "memory": "2 GB"},  # jax with CUDA's wheels takes near 1
            cpu={"processes": 1, "threads": 1, "memory": "2 GB"},
            environment=environment,
        ) as client:
            with annotate(**device_annotations()):
                whole = client.map(_held, range(6), pure=False)
            with annotate(**device_annotations(1 / DEVICE_TASKS)):
                shared = client.map(_held, range(6, 18), pure=False)
            one_by_one, at_once = (
                cast("list[tuple[str, str, float, float]]", client.gather(futures))
                for futures in (whole, shared)
            )
            (tmp_path / "met").mkdir()
            meet = [tmp_path / "met"] * 24
            anywhere = client.map(_where, range(12, 36), meet, pure=False)
            names = {name for name, _ in cast("Places", client.gather(anywhere))}
            model = load_model(tiny_model(tmp_path / "model"))
            classes = classify(_small_scene(), model, block=64)
            write_cog(classes, tmp_path / "map.tif")
            inference = cast("dict[str, tuple[str, str]]", client.run(_inference_here))
            told = client.scheduler_info(n_workers=-1)["workers"].values()
            others = cast("dict[str, int]", client.run(_other_threads))
    for name, thread, *_ in (*one_by_one, *at_once):
        assert name == "gpu-0"
        assert thread.startswith("device")
    assert _most_at_once(one_by_one) == 1
    assert 1 < _most_at_once(at_once) <= DEVICE_TASKS
    assert names == {"gpu-0", "cpu-0"}
    assert dict(inference.values())["gpu-0"].startswith("6 by device_0")
    assert dict(inference.values())["cpu-0"] == "0 by "
    # Dask counts tasks on the device as it counts others, whose threads they must not take.
    assert {w["name"]: w["nthreads"] for w in told} == {"gpu-0": 2 + DEVICE_TASKS, "cpu-0": 1}
    assert sorted(others.values()) == [1, 2]


def test_a_share_of_a_device_is_one() -> None:
    for share in (0.0, -1.0, 1.5):
        with pytest.raises(InputError, match=f"share of the device is {share}"):
            device_annotations(share)


def _small_scene() -> xr.DataArray:
    pixels = np.random.default_rng(0).random((4, 128, 192), np.float32) / 4
    grid = target_geobox((4_320_000, 3_210_000, 4_321_920, 3_211_280))
    coords: Any = {"band": ["blue", "green", "red", "nir"]}
    lazy = da.from_array(pixels).rechunk((4, 50, 70))
    return georeference(lazy, grid, dims=("band", "y", "x"), coords=coords)


def _inference_here(dask_worker: Worker) -> tuple[str, str]:
    """Run in a worker: how many blocks were classified, and which device threads there are."""
    import threading

    from osm4eo_xr.inference.throughput import COUNTER

    threads = sorted(t.name for t in threading.enumerate() if t.name.startswith("device"))
    return str(dask_worker.name), f"{COUNTER.read().blocks} by {' '.join(threads)}"


def _other_threads(dask_worker: Worker) -> int:
    """Run in a worker: how many threads tasks have that are not for the device."""
    executor: Any = dask_worker.executors["default"]
    return executor._max_workers


def _held(_number: int) -> tuple[str, str, float, float]:
    """Take a while; return worker, thread, begin and end."""
    import threading

    from distributed import get_worker

    begun = time.monotonic()
    time.sleep(0.1)
    thread = threading.current_thread().name
    return str(get_worker().name), thread, begun, time.monotonic()


def _most_at_once(tasks: list[tuple[str, str, float, float]]) -> int:
    return max(sum(b <= begun < e for *_, b, e in tasks) for *_, begun, _ in tasks)


def _where(_number: int, meet: Path | None = None) -> tuple[str, str]:
    """Return worker and thread; with a folder after a task of both workers has begun."""
    import threading

    from distributed import get_worker

    worker = str(get_worker().name)
    if meet is not None:
        (meet / worker).touch()
        ends = time.monotonic() + 60
        while len(list(meet.iterdir())) < 2 and time.monotonic() < ends:
            time.sleep(0.01)
    return worker, threading.current_thread().name


def test_a_scratch_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    wrong = tmp_path / "file" / "scratch"
    with (
        pytest.raises(InputError, match="scratch folder .*file/scratch of cluster 'local'"),
        open_cluster("local", scratch=str(wrong)),
    ):
        pass


def test_why_a_worker_did_not_start_is_said_where_closing_fails_as_well(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def close() -> None:
        logging.getLogger("tornado.application").error("in callback of SpecCluster")
        raise CommClosedError("in <TLS>")

    def make(**_options: Any) -> None:
        try:
            raise RuntimeError("Nanny failed to start.")
        finally:
            close()

    monkeypatch.setattr(clusters, "SpecCluster", make)
    with (
        pytest.raises(InputError, match=r"a worker process did not start: Nanny failed to start\."),
        open_cluster("local", cpu={"processes": 1, "threads": 1}),
    ):
        pass
    assert not caplog.records
    logging.getLogger("tornado.application").error("in callback of SpecCluster")
    assert len(caplog.records) == 1  # of others', later


def test_cpu_workers_of_a_gpu_site_leave_the_gpu_alone() -> None:
    assert worker_environment(LocalSite(), 4, gpu=False)["JAX_PLATFORMS"] == "cpu"
    on_gpu = worker_environment(LocalSite(), 4, gpu=True)
    assert on_gpu["JAX_PLATFORMS"] == "cuda,cpu"
    assert on_gpu["XLA_PYTHON_CLIENT_MEM_FRACTION"] == "0.85"


def test_variables_are_put_in_as_bash_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOMEWHERE", "/scratch")
    monkeypatch.delenv("NOWHERE", raising=False)
    assert expand_variables("${SOMEWHERE:-/tmp}/a") == "/scratch/a"
    assert expand_variables("${NOWHERE:-/here}$SOMEWHERE") == "/here/scratch"


def test_the_callers_jax_platforms_win_over_ours_and_the_sites_over_both(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("JAX_PLATFORMS", "rocm")
    monkeypatch.setenv("PLACE", "/disk")
    assert environment_here(LocalSite(), 4, gpu=True)["JAX_PLATFORMS"] == "rocm"
    site = LocalSite(environment={"JAX_PLATFORMS": "cpu", "TMPDIR": "$PLACE/tmp"})
    stated = environment_here(site, 4, gpu=True)
    assert (stated["JAX_PLATFORMS"], stated["TMPDIR"]) == ("cpu", "/disk/tmp")


def test_a_script_without_a_guard_is_told_of_it(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    opens = 'open_cluster("local", cpu={"processes": 1, "threads": 1})'
    script.write_text(f"from osm4eo_xr import open_cluster\nwith {opens}:\n    print('in')\n")
    ran = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=300, check=False
    )
    assert ran.returncode == 1
    assert ran.stdout == ""
    assert ran.stderr == (
        "error: the script opens a cluster wherever it is imported, as each worker does; "
        'expected what opens a cluster below if __name__ == "__main__":\n'
    )


def test_an_allocation_waits_for_the_whole_of_the_schedulers_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"PROCID": "1", "NTASKS": "3", "JOB_ID": "7"}.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    found = tmp_path / "scheduler.json"
    found.write_text("")
    read: list[str] = []

    def go_on_writing(_seconds: float) -> None:
        """Write a little more each time that a reader met what is not whole, and waits."""
        read.append(found.read_text())
        found.write_text(['{"addr', '{"address": "tcp://127.0.0.1:1"}'][len(read) - 1])

    monkeypatch.setattr("distributed.utils.sleep", go_on_writing)
    runner = allocation._runner_class(20)(scheduler_file=str(found))
    assert runner.scheduler_address == "tcp://127.0.0.1:1"
    assert read == ["", '{"addr']
    runner.status = Status.closed  # nothing is there to be ended


def test_a_network_interface_that_is_not_there_is_told_before_any_job() -> None:
    here = ", ".join(sorted(name for _, name in socket.if_nameindex()))
    with (
        pytest.raises(InputError, match=f"'slurm-gpu': no ib77; this machine has {here}; set int"),
        open_cluster("slurm-gpu", interface="ib77"),
    ):
        pass


def test_the_keys_of_site_files_are_told() -> None:
    told = site_keys()
    for site in (LocalSite, SlurmSite):
        assert all(f"\n  {f.name}: " in told for f in dataclasses.fields(site) if f.name != "name")
    assert "\n  queue: Partition or queue." in told
    assert "walltime: Seconds a job may run. [default: 14400]" in told
    # A YAML file has no None, and a terminal no Markdown; gpu and cpu are two things.
    assert "None" not in told
    assert "``" not in told
    assert "\n  gpu: Jobs with GPUs;" in told
    assert "\n  cpu: Jobs without GPUs;" in told
