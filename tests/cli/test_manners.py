"""Options before every command: where and how it computes, what it shows, what it logs."""

import io
import json
import os
import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from shutil import copyfile

import numpy as np
import pytest
import typer
from distributed import Client

from osm4eo_xr import progress
from osm4eo_xr.cli.computing import Place
from osm4eo_xr.cluster.site_file import load_site
from osm4eo_xr.cogs.cog import write_cog
from osm4eo_xr.country.run import run_country
from osm4eo_xr.errors import InputError
from osm4eo_xr.geometry.grid import georeference, target_geobox
from osm4eo_xr.process.threads import allowed_threads
from tests.cases.commands import attempt, refused
from tests.cases.country_case import MODEL, make_country, tiny_model


@pytest.fixture
def class_map(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(1, 13, (48, 64)).astype(np.uint8)
    box = target_geobox((4_320_000, 3_210_000, 4_320_640, 3_210_480))
    return write_cog(georeference(pixels, box, attrs={"nodata": 0}), tmp_path / "in.tif")


@pytest.fixture(autouse=True)
def _as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_shown", True)


def call(*arguments: str | Path) -> tuple[int, str]:
    """Return a command's exit code, and all that it shows."""
    result = attempt(*arguments)
    return result.exit_code, result.output


@pytest.mark.parametrize("command", [[], ["sieve"], ["models"], ["models", "show"]])
def test_a_short_option_asks_for_help(command: list[str]) -> None:
    assert call(*command, "-h") == call(*command, "--help")


@pytest.mark.parametrize(
    ("command", "option", "choices"),
    [
        ("classify", "--engine", ("auto", "winograd")),
        ("classify", "--center", ("original-train", "11")),
        ("sieve", "--connectivity", ("4", "8")),
        ("mosaic", "--rule", ("majority", "first")),
        ("extract", "--codes", ("clc", "mask")),
    ],
)
def test_a_wrong_choice_is_answered_with_the_right_ones(
    command: str, option: str, choices: tuple[str, ...]
) -> None:
    code, shown = call(command, "in.tif", "--out", "out.tif", option, "nonsense")
    assert code == 2
    assert all(f"'{choice}'" in shown for choice in choices), shown


def test_versions_tell_what_numbers_hang_on() -> None:
    code, shown = call("--version")
    assert code == 0
    assert [line.split()[0] for line in shown.splitlines()] == [
        "osm4eo_xr", "Python", "GDAL", "PROJ", "jax",
    ]  # fmt: skip


def test_who_asks_for_quiet_sees_the_result_alone(class_map: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.tif"
    code, shown = call("--quiet", "sieve", class_map, "--size", "4", "--out", out)
    assert (code, shown.replace("\n", "")) == (0, str(out))


def test_a_log_holds_beginning_progress_and_end(class_map: Path, tmp_path: Path) -> None:
    log, out = tmp_path / "log.jsonl", tmp_path / "out.tif"
    assert call("--log-file", log, "sieve", class_map, "--out", out)[0] == 0
    assert (
        call("--log-file", log, "sieve", tmp_path / "no.tif", "--out", tmp_path / "new.tif")[0] == 1
    )
    lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    assert {"time", "level", "source", "message"} <= set.intersection(*map(set, lines))
    messages = [line["message"] for line in lines]
    assert messages.count("command begins") == messages.count("command ends") == 2
    (done,) = [line for line in lines if line.get("piece") == out.name]
    assert done["done"] == done["total"] > 0
    assert "no.tif" in lines[-1]["error"]


def test_a_log_that_cannot_be_written_is_one_line(class_map: Path, tmp_path: Path) -> None:
    result = attempt("--log-file", str(tmp_path), "sieve", str(class_map))
    assert isinstance(result.exception, InputError)
    assert "--log-file" in (result.exception.advice or "")


def test_threads_are_those_of_this_process_and_only_for_the_command() -> None:
    before = allowed_threads(), os.environ.get("NPROC")
    with Place(threads=3).opened():
        assert (allowed_threads(), os.environ["NPROC"]) == (3, "3")
    assert (allowed_threads(), os.environ.get("NPROC")) == before


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The clusters that were opened; none of them really is."""
    seen: list[object] = []

    def open_cluster(site: object) -> AbstractContextManager[None]:
        seen.append(site)
        return nullcontext()

    monkeypatch.setattr("osm4eo_xr.cluster.clusters.open_cluster", open_cluster)
    return seen


def test_a_cluster_gets_threads_and_memory(opened: list[object]) -> None:
    with Place("local", 2, "3 GB").opened(), Place("local").opened():
        pass
    size = {"threads": 2, "memory": "3 GB"}
    assert opened == [load_site("local", gpu=size, cpu=size), load_site("local")]


def test_a_cluster_is_opened_when_a_command_really_runs(
    opened: list[object], class_map: Path, tmp_path: Path
) -> None:
    before = ("--cluster", "local", "sieve")
    assert call(*before, "--help")[0] == 0
    assert call(*before, class_map, "--out", tmp_path / "out.tif", "--size", "few")[0] == 2
    assert call(*before, "--out", tmp_path / "out.tif")[0] == 2
    assert call("--cluster", "local", "models", "list", "--help")[0] == 0
    assert opened == []
    assert call(*before, class_map, "--out", tmp_path / "out.tif")[0] == 0
    assert opened == [load_site("local")]


def test_a_run_opens_one_cluster_wherever_it_is_named(opened: list[object], tmp_path: Path) -> None:
    country = make_country(tmp_path / "land", edge=64, overlap=8, learn=MODEL)
    country.write_text('cluster = "pbs-gpu"\n' + country.read_text(encoding="utf-8"))
    size = ("--threads", "2", "--memory", "3 GB")
    code, shown = call("--cluster", "slurm-cpu", *size, "run", country, "--dry-run")
    assert (code, opened) == (0, [])
    assert "#SBATCH --cpus-per-task=8" in shown  # four processes
    assert "#SBATCH --mem=12G" in shown
    assert call("--cluster", "pbs-gpu", *size, "run", country, "--cluster", "local")[0] == 0
    table = {"threads": 2, "memory": "3 GB"}
    assert opened == [load_site("local", gpu=table, cpu=table)]
    assert call("--cluster", "local", "run", country)[0] == 0  # nothing is left to do
    assert len(opened) == 1


def test_a_cluster_file_lies_where_its_country_file_says(
    opened: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    country = make_country(tmp_path / "land", edge=64, overlap=8, learn=MODEL)
    country.write_text('cluster = "sites/own.yaml"\n' + country.read_text(encoding="utf-8"))
    own, link = country.parent / "sites" / "own.yaml", tmp_path / "link.toml"
    own.parent.mkdir()
    copyfile(Path(__file__).parents[2] / "cluster" / "slurm-cpu.yaml", own)
    link.symlink_to(country)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    for path in (country, link, "../land/country.toml"):
        code, shown = call("run", path, "--dry-run")
        assert (code, "#SBATCH" in shown) == (0, True)
    run_country(link)
    assert opened == [str(own)]


def test_the_files_cluster_is_not_opened_beside_one_that_is_open(
    opened: list[object], tmp_path: Path
) -> None:
    country = make_country(tmp_path / "land", edge=64, overlap=8, learn=MODEL)
    country.write_text('cluster = "local"\n' + country.read_text(encoding="utf-8"))
    with Client(processes=False, n_workers=1, threads_per_worker=2, dashboard_address=None):
        run_country(country)
    assert opened == []


def test_doctor_looks_at_the_cluster_that_is_named_before_it(opened: list[object]) -> None:
    code, shown = call("--cluster", "slurm-cpu", "--threads", "3", "doctor", "--dry-run")
    assert (code, opened) == (0, [])
    assert "#SBATCH --cpus-per-task=12" in shown
    assert call("--cluster", "slurm-cpu", "doctor", "--dry-run", "--cluster", "local") == (0, "")


def test_the_demo_takes_no_cluster(opened: list[object]) -> None:
    assert "leave --cluster out" in str(refused("--cluster", "slurm-cpu", "demo"))
    said = "--cluster slurm-cpu before models catalog, which computes here; leave --cluster out"
    assert said in str(refused("--cluster", "slurm-cpu", "models", "catalog"))
    assert opened == []


@pytest.mark.parametrize("memory", ["lots", "8 pounds"])
def test_memory_that_is_none_is_refused(memory: str) -> None:
    with (
        pytest.raises(InputError, match=f"--memory {memory}; expected bytes, or text like"),
        Place("local", memory=memory).opened(),
    ):
        pass


def test_results_can_be_had_as_json(tmp_path: Path) -> None:
    folder = tiny_model(tmp_path / "models" / "tiny")
    (listed,) = json.loads(call("models", "list", folder.parent, "--json")[1])
    shown = json.loads(call("models", "show", folder, "--json")[1])
    assert listed == {"folder": str(folder), **shown}
    country = make_country(tmp_path / "land", edge=64, overlap=8, learn=MODEL)
    plan = json.loads(call("run", country, "--dry-run", "--json")[1])
    assert len(plan["tiles"]) == 9
    assert plan["pieces"][0]["name"] == "classified T00"
    assert {"chunks", "tasks", "read", "written", "done"} <= plan["pieces"][0].keys()


def test_memory_needs_a_cluster() -> None:
    with pytest.raises(InputError, match="without --cluster"), Place(memory="3 GB").opened():
        pass


def test_what_is_said_of_misuse_is_read_wherever_others_lead_errors() -> None:
    """Once, while a command spoke, ``sys.stderr`` led elsewhere."""
    elsewhere = io.StringIO()
    commands = typer.Typer()

    @commands.command()
    def speak(loud: int) -> None:
        sys.stderr = elsewhere  # attempt puts it back
        raise typer.BadParameter(f"{loud} is too loud")

    said = attempt("3", commands=commands)
    assert said.exit_code == 2
    assert "3 is too loud" in said.stderr
    assert not elsewhere.getvalue()
