"""What a process puts right on its node, and what it says a node lacks."""

import logging
import os
import resource
import stat
from pathlib import Path
from typing import Any

import pytest

from osm4eo_xr.process import node


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let each test have an environment and a home of its own."""
    monkeypatch.setattr(os, "environ", dict(os.environ) | {"HOME": str(tmp_path / "home")})
    monkeypatch.setattr(node, "IGNORED_VARIABLES", {})
    for name in ("XDG_CACHE_HOME", node.PROGRAMS_VARIABLE, node.KERNELS_VARIABLE, "TMPDIR"):
        os.environ.pop(name, None)


def test_caches_lie_where_the_system_says_or_in_the_home(tmp_path: Path) -> None:
    os.environ["XDG_CACHE_HOME"] = str(tmp_path / "c")
    assert node.user_cache() == tmp_path / "c"
    os.environ["XDG_CACHE_HOME"] = "not/absolute"
    assert node.user_cache() is None


def test_a_folder_that_is_not_there_yet_counts_as_the_one_it_would_be_made_in(
    tmp_path: Path,
) -> None:
    assert node.may_write(tmp_path)
    assert node.may_write(tmp_path / "a" / "b" / "c")
    (tmp_path / "file").write_text("")
    assert not node.may_write(tmp_path / "file")
    assert not node.may_write(tmp_path / "file" / "a")


@pytest.mark.parametrize(("stated", "expected"), [(None, "false"), ("true", "true")])
def test_a_gpu_is_shared_unless_somebody_says_otherwise(stated: str | None, expected: str) -> None:
    os.environ.pop(node.GPU_MEMORY_VARIABLE, None)
    if stated is not None:
        os.environ[node.GPU_MEMORY_VARIABLE] = stated
    node._share_gpus()
    assert os.environ[node.GPU_MEMORY_VARIABLE] == expected


@pytest.mark.skipif(os.getuid() == 0, reason="root may write everywhere")
def test_a_folder_of_others_is_not_written_to(tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir(mode=stat.S_IRUSR | stat.S_IXUSR)
    assert not node.may_write(tmp_path / "theirs" / "a")


def test_a_folder_of_temporary_files_that_is_there_stays(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    os.environ["TMPDIR"] = str(tmp_path)
    node._leave_out_missing_folder()
    assert os.environ["TMPDIR"] == str(tmp_path)
    os.environ["TMPDIR"] = str(tmp_path / "gone")
    node._leave_out_missing_folder()
    assert "TMPDIR" not in os.environ
    assert {"TMPDIR": str(tmp_path / "gone")} == node.IGNORED_VARIABLES
    assert f"TMPDIR={tmp_path / 'gone'} does not exist" in capfd.readouterr().err


def test_one_cpu_has_one_name_and_another_has_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = node.cpu_type()
    assert first == node.cpu_type()
    assert first.startswith(os.uname().machine)
    told = tmp_path / "cpuinfo"
    names = set()
    for text in (
        "processor: 0\nmodel name: A\nflags: avx\ncpu MHz: 1\n\nmodel name: A\n",
        "processor: 0\nmodel name: A\nflags: avx\ncpu MHz: 2\n\nmodel name: B\n",
        "processor: 0\nmodel name: A\nflags: avx avx512\ncpu MHz: 1\n\n",
    ):
        told.write_text(text)
        own = Path.open
        monkeypatch.setattr(
            Path,
            "open",
            lambda self, *a, own=own, **k: own(told if "cpuinfo" in str(self) else self, *a, **k),
        )
        names.add(node.cpu_type())
        monkeypatch.setattr(Path, "open", own)
    assert len(names) == 2  # the speed of the moment and later cores tell nothing


@pytest.mark.parametrize(
    ("soft", "hard", "asked", "found"),
    [
        (1024, 4096, 4096, 4096),
        (1024, resource.RLIM_INFINITY, 65536, 65536),
        (1024, 10**6, 65536, 65536),
        (70_000, 10**6, None, 70_000),
        (4096, 4096, None, 4096),
        (resource.RLIM_INFINITY, resource.RLIM_INFINITY, None, 65536),
    ],
)
def test_the_limit_of_open_files_is_raised_as_far_as_it_goes(
    soft: int, hard: int, asked: int | None, found: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_to: list[Any] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _kind: (soft, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda _kind, limits: set_to.append(limits))
    assert node.raise_open_files() == found
    assert set_to == ([] if asked is None else [(asked, hard)])


@pytest.mark.parametrize(
    ("limit", "told"),
    [
        (resource.RLIM_INFINITY, False),
        (16 * 1024**3, False),
        (16 * 1024**3 - 1, True),
        (4 * 1024**3, True),
    ],
)
def test_a_limit_of_addresses_below_what_a_run_reserves_is_told(
    limit: int, told: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _kind: (limit, limit))
    line = node.address_limit()
    assert (line is not None) is told
    if line:
        assert f"{limit / 1024**3:.1f} GiB" in line
        assert "ulimit -v unlimited" in line


@pytest.mark.parametrize(
    ("error", "limited", "words"),
    [
        (MemoryError(), False, "use smaller chunks, fewer threads"),
        (MemoryError(), True, "out of memory: ulimit -v allows 4.0 GiB"),
        (ImportError("x.so: failed to map segment from shared object"), True, "out of memory: "),
        (ImportError("x.so: failed to map segment from shared object"), False, None),
        (RuntimeError("can't start new thread"), True, "out of memory: "),
        (ValueError("another"), True, None),
        (
            UnicodeEncodeError("ascii", "\udcff", 0, 1, "surrogates not allowed"),
            False,
            "needs a locale of UTF-8",
        ),
        (UnicodeEncodeError("ascii", "ä", 0, 1, "ordinal not in range"), False, None),
    ],
)
def test_errors_of_libraries_are_explained_where_the_node_is_to_blame(
    error: Exception, limited: bool, words: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = 4 * 1024**3 if limited else resource.RLIM_INFINITY
    monkeypatch.setattr(resource, "getrlimit", lambda _kind: (limit, limit))
    monkeypatch.setattr(node, "_has_no_device", lambda: False)
    found = node.explain(error)
    assert found is None if words is None else words in (found or "")


@pytest.mark.parametrize("error", [RuntimeError("no backend"), AssertionError()])
def test_a_platform_without_a_device_is_explained(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node, "_has_no_device", lambda: True)
    os.environ["JAX_PLATFORMS"] = "cuda"
    line = node.explain(error) or ""
    assert line.startswith("jax finds no device of JAX_PLATFORMS=cuda here; set JAX_PLATFORMS=cpu")
    assert node.explain(ValueError()) is None


@pytest.mark.parametrize(
    ("wheels", "driver", "way"),
    [
        (False, False, 'pip install "osm4eo-xr[cuda]" on a node with a GPU'),
        (False, True, 'pip install "osm4eo-xr[cuda]" on a node with a GPU'),
        (True, False, "take a node with a GPU: this one has no driver of NVIDIA's"),
        (True, True, "look why CUDA does not start"),
    ],
)
def test_what_is_missing_for_a_gpu_is_said(
    wheels: bool, driver: bool, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node, "_has_no_device", lambda: True)
    monkeypatch.setattr(node, "_has_driver", lambda: driver)
    monkeypatch.setattr(node, "find_spec", lambda name: wheels and name == "jax_cuda12_plugin")
    assert f"set JAX_PLATFORMS=cpu, or {way}" in (node.explain(RuntimeError()) or "")


@pytest.mark.parametrize("asked", ["", "cuda,cpu"])
@pytest.mark.parametrize("driver", [False, True])
def test_wheels_for_cuda_are_no_fault_on_a_node_without_a_driver(
    driver: bool, asked: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.environ["JAX_PLATFORMS"] = asked
    monkeypatch.setattr(node, "_DRIVERS", (tmp_path if driver else tmp_path / "nvidia",))
    logger = logging.getLogger("jax._src.xla_bridge")
    monkeypatch.setattr(logger, "filters", [])
    node._expect_no_driver()

    def heard(module: str) -> bool:
        text = "Jax plugin configuration error: Exception when calling %s.initialize()"
        return bool(logger.filter(logger.makeRecord("jax", 40, "", 1, text, (module,), None)))

    assert heard("jax_plugins.xla_cuda12") == driver
    assert heard("jax_plugins.another")


def test_kernels_of_others_are_not_trusted(tmp_path: Path) -> None:
    """Anyone may have made a folder of such a name where all write."""
    own = tmp_path / f"{node.OWN_KERNELS}abc"
    assert not node._serves(None)
    assert not node._serves("")
    assert not node._serves(str(own))  # it is not there: whose it will be is not known
    own.mkdir()
    assert node._serves(str(own))
    assert node._serves(str(tmp_path / "mine"))  # a name that the user chose
    (tmp_path / "file").write_text("")
    assert not node._serves(str(tmp_path / "file"))
