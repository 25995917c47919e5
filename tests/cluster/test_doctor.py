"""The doctor: what it says of a healthy machine, and of each thing that can be missing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from osm4eo_xr.cluster.checks import (
    Finding,
    check_folder,
    check_interface,
    image_fault,
    look_around,
)
from osm4eo_xr.cluster.doctor import examine
from osm4eo_xr.cluster.site_file import load_site, site_from_dict
from tests.cases.commands import attempt

SMALL = "kind: local\ntitle: one process\ngpu: null\ncpu: {processes: 1, threads: 1}\n"


def _site(folder: Path, text: str = SMALL) -> Path:
    path = folder / "site.yaml"
    path.write_text(text + f"scratch: {folder / 'scratch'}\n")
    return path


def _wrong(findings: list[Finding]) -> list[str]:
    return [f.check for f in findings if f.state == "wrong"]


def test_a_healthy_machine_is_looked_at_from_here_and_from_a_worker(tmp_path: Path) -> None:
    result = attempt("doctor", "--cluster", str(_site(tmp_path)))
    assert result.exit_code == 0, result.output
    for text in ("cpu-0", "versions", "devices", "memory", "JP2OpenJPEG", "MB/s", "would work"):
        assert text in result.output


def test_missing_driver_and_submit_command_are_named_with_what_mends_them(tmp_path: Path) -> None:
    environment = {**os.environ, "GDAL_SKIP": "JP2OpenJPEG", "PATH": str(tmp_path)}
    command = [sys.executable, "-m", "osm4eo_xr", "doctor", "--cluster", "pbs-gpu"]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=environment, cwd=tmp_path
    )
    assert done.returncode == 1
    assert "lacks JP2OpenJPEG (Sentinel-2's own files (.jp2)). To mend it: pip" in done.stdout
    assert "no qsub on PATH. To mend it: log in to a node" in done.stdout
    assert "a run would fail: 2 wrong" in done.stdout
    assert "Traceback" not in done.stderr


def test_a_scratch_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "scratch").write_text("a file in its place")
    result = attempt("doctor", "--cluster", str(_site(tmp_path)))
    assert result.exit_code == 1
    assert "scratch cannot be used: File exists. To mend it: set scratch" in result.output
    assert "not tried" in result.output


def test_keys_that_cannot_be_made_are_named_where_tls_is_wanted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (good,) = [f for f in look_around("here", "") if f.check == "TLS"]
    assert (good.state, "cryptography" in good.found) == ("ok", True)

    def without() -> None:
        raise ImportError("no module named cryptography")

    monkeypatch.setattr("distributed.Security.temporary", without)
    (finding,) = [f for f in look_around("here", "") if f.check == "TLS"]
    assert (finding.state, finding.needed_to_start) == ("wrong", True)
    assert "no module named cryptography" in finding.found
    assert "or set tls: false" in finding.advice
    assert not [f for f in look_around("here", "", tls=False) if f.check == "TLS"]


def test_a_full_scratch_disk_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("osm4eo_xr.cluster.checks._LEAST_SCRATCH", 10**18)
    findings = look_around("here", str(tmp_path))
    assert _wrong(findings) == ["scratch"]
    assert "free some room" in findings[-1].advice


def test_a_gpu_worker_without_gpu_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAX_PLATFORMS", "")
    findings = look_around("gpu-0", "", wants_gpu=True)
    assert _wrong(findings) == ["devices"]
    assert "jax computes on cpu:cpu though its job should have GPU" in findings[1].found
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    (here,) = [f for f in look_around("here", "") if f.check == "devices"]
    assert here.state == "note"


def test_a_network_interface_that_is_not_there_is_named_with_those_that_are() -> None:
    assert check_interface("here", "lo").state == "ok"
    found = check_interface("here", "ib7")
    assert found.state == "wrong"
    assert "no ib7; this machine has" in found.found
    assert "lo" in found.found


def test_a_folder_that_is_not_there_is_wrong(tmp_path: Path) -> None:
    found = check_folder("here", "folder of logs", tmp_path / "none")
    assert found.state == "wrong"
    assert "cannot be written: No such file" in found.found


def test_scratch_and_logs_are_looked_for_in_the_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "scratch").write_text("a file in its place, so that no worker is started")
    local = site_from_dict({"kind": "local", "scratch": "~/scratch"})
    (scratch,) = [f for f in examine(local) if f.check == "scratch"]
    assert scratch.found == f"{tmp_path}/scratch cannot be used: File exists"
    batch = site_from_dict({"kind": "slurm", "logs": "~/logs", "cpu": {}})
    monkeypatch.setattr("shutil.which", lambda _command: None)  # so that no job is submitted
    (logs,) = [f for f in examine(batch) if f.check == "folder of logs"]
    assert (logs.state, logs.found) == ("ok", f"{tmp_path} can be written")


def test_workers_that_do_not_come_up_are_a_finding(tmp_path: Path) -> None:
    site = _site(tmp_path, SMALL.replace("threads: 1", "threads: 1, memory: 300 MB"))
    text = site.read_text() + "start_timeout: 1\nenvironment: {PYTHONHOME: /nowhere}\n"
    site.write_text(text)
    findings = examine(site)
    assert _wrong(findings) == ["start"]
    assert "lower processes" in findings[-1].advice


@pytest.mark.parametrize(("name", "line"), [("pbs-gpu", "#PBS -l select"), ("helix", "#SBATCH -p")])
def test_dry_run_prints_the_job_scripts(name: str, line: str) -> None:
    result = attempt("doctor", "--cluster", name, "--dry-run")
    assert result.exit_code == 0
    assert line in result.output
    assert "distributed.cli.dask_worker" in result.output
    jobs = load_site(name).gpu.jobs  # pyright: ignore[reportAttributeAccessIssue]
    assert f"note: gpu: {jobs} job from the start, at most 4; each is submitted" in result.output


def test_an_image_that_jobs_may_not_find_is_told(tmp_path: Path) -> None:
    image = tmp_path / "osm4eo-xr.sif"
    command = f"apptainer exec --nv {image} osm4eo-python"
    wrong, advice = image_fault(command) or ("", "")
    assert wrong == f"no file {image} here"
    assert advice.startswith("put the image there")
    image.touch()
    assert image_fault(command) == image_fault("python3") == image_fault(None) is None
    assert image_fault("apptainer exec $SOMEWHERE_ELSE/a.sif python") is None
    result = attempt("doctor", "--cluster", "slurm-apptainer", "--dry-run")
    assert "note: osm4eo-xr.sif is looked for in the folder that each job starts" in result.output


def test_an_unknown_cluster_is_one_line() -> None:
    command = [sys.executable, "-m", "osm4eo_xr", "doctor", "--cluster", "moon"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "no cluster 'moon'" in done.stderr
