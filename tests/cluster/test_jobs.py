"""The jobs of a cluster, with commands in the place of a batch system's that start them here."""

import os
import subprocess
import time
from pathlib import Path
from typing import Any, cast

import pytest
from distributed import get_worker, wait

from osm4eo_xr import open_cluster
from tests.cluster.slurm.controller import wait_until

COMMANDS = {
    # The script that is submitted is gone soon, and sbatch's output is waited for to its end.
    "sbatch": 'cp "$1" {jobs}/$$.sh\n'
    "setsid bash {jobs}/$$.sh >{jobs}/$$.log 2>&1 </dev/null &\n"
    "touch {jobs}/$!\n"
    "echo Submitted batch job $!\n",
    "scancel": "rm {jobs}/$1 && kill -- -$1\n",
    "squeue": "cd {jobs} && ls | grep -v '[.]'\n",
}


@pytest.fixture
def jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which each job that is not canceled yet has a file."""
    folder, programs = tmp_path / "jobs", tmp_path / "bin"
    folder.mkdir()
    programs.mkdir()
    for name, lines in COMMANDS.items():
        (programs / name).write_text("#!/bin/sh\n" + lines.format(jobs=folder))
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    return folder


def _running(jobs: Path) -> int:
    return sum(not path.suffix for path in jobs.iterdir())


def _made(number: int, folder: Path) -> tuple[int, str]:
    """Run in a worker: note that the number is made, once it may be, and say where."""
    while not (folder / "begin").exists():
        time.sleep(0.05)
    time.sleep(0.05)
    with (folder / str(number)).open("a") as file:
        file.write("made\n")
    return number, str(get_worker().name)


def test_jobs_are_given_back_as_long_as_others_take_their_results(
    jobs: Path, tmp_path: Path
) -> None:
    group = {"jobs": 0, "maximum_jobs": 2, "threads": 1, "processes": 1, "memory": "2 GB"}
    settings: dict[str, Any] = {
        "gpu": None,
        "cpu": {**group, "queue": None, "walltime": "00:30:00"},
        "interface": "lo",
        "idle_after": 1,
        "logs": str(tmp_path),
        "scratch": str(tmp_path),
    }
    notes = tmp_path / "notes"
    notes.mkdir()
    with open_cluster("slurm-gpu", **settings) as client:
        futures = client.map(_made, range(40), folder=notes, pure=False)
        client.wait_for_workers(2, timeout=120)
        (notes / "begin").touch()
        wait(futures)
        where = cast("dict[str, list[str]]", client.who_has(futures))
        assert len({workers[0] for workers in where.values()}) == 2
        assert wait_until(lambda: _running(jobs) == 1, 60)
        results = cast("list[tuple[int, str]]", client.gather(futures))
        del futures
        assert wait_until(lambda: _running(jobs) == 0, 60)
    assert [number for number, _ in results] == list(range(40))
    assert {worker for _, worker in results} == {"cpu-0", "cpu-1"}
    made = {path.name: path.read_text() for path in notes.iterdir() if path.name != "begin"}
    assert made == {str(number): "made\n" for number in range(40)}


@pytest.mark.parametrize("answer", [1, 60])
def test_no_job_is_asked_for_once_the_work_is_done(answer: int, jobs: Path, tmp_path: Path) -> None:
    # The only job ends at once. The queue is asked for it, and would answer while the cluster
    # closes, or long after it.
    lines = {
        "sbatch": f"echo $$ >>{tmp_path}/submitted\necho Submitted batch job $$\n",
        "squeue": f"touch {tmp_path}/asked\nsleep {answer}\n",
        "scancel": f"sleep 2\necho $1 >>{tmp_path}/canceled\n",
    }
    for name, text in lines.items():
        (jobs.parent / "bin" / name).write_text(f"#!/bin/sh\n{text}")
    group = {"jobs": 1, "threads": 1, "memory": "1 GB", "queue": None, "walltime": "00:30:00"}
    settings: dict[str, Any] = {"gpu": None, "cpu": group, "interface": "lo", "lost_after": 1}
    with open_cluster("slurm-gpu", **settings, logs=str(tmp_path), scratch=str(tmp_path)):
        assert wait_until((tmp_path / "asked").exists, 60)
        began = time.monotonic()
    assert time.monotonic() - began < 30
    [job] = (tmp_path / "submitted").read_text().split()
    assert (tmp_path / "canceled").read_text().split() == [job]


@pytest.mark.parametrize("cluster", ["", "my site.yaml"])
@pytest.mark.parametrize("script", ["run_country.sbatch", "run_country.msub"])
def test_a_batch_script_names_a_cluster_if_one_is_given(
    script: str, cluster: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "osm4eo-xr"
    program.write_text('#!/usr/bin/env bash\nprintf "%s\\n" "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    for name, value in (("COUNTRY", "a land.toml"), ("CLUSTER", cluster)):
        monkeypatch.setenv(name, value)
    given = ["a land.toml", cluster] if cluster else ["a land.toml"]
    arguments = given if script.endswith("sbatch") else []
    path = Path(__file__).parents[2] / "cluster" / script
    command = ["bash", str(path), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    told = ["--cluster", cluster] if cluster else []
    assert done.stdout.splitlines() == ["run", "a land.toml", *told], done.stderr
