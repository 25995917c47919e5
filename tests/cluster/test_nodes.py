"""Nodes as they are: foreign variables, limits, folders that nobody may write, no device."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
import rasterio

import osm4eo_xr
from osm4eo_xr.cluster.checks import look_around
from osm4eo_xr.process.node import IGNORED_VARIABLES, PROGRAMS_VARIABLE, cpu_type

PACKAGE = Path(osm4eo_xr.__file__).parent
FOREIGN = ("PROJ_DATA", "PROJ_LIB", "GDAL_DATA")


def _run(
    code: str,
    environment: Mapping[str, str] | None = None,
    *,
    root: Path = PACKAGE.parent,
    before: Sequence[str] = (),
) -> subprocess.CompletedProcess[str]:
    """Run code in a fresh process without caches of its caller; empty variables are left out."""
    caches = dict.fromkeys(("NUMBA_CACHE_DIR", "XDG_CACHE_HOME"), "")
    variables = {**os.environ, **caches, "PYTHONPATH": str(root), **(environment or {})}
    return subprocess.run(
        [*before, sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env={name: value for name, value in variables.items() if value},
        cwd=root,
    )


def _may_not_override() -> list[str]:
    """Return the command before ours under which root, too, may not write what is read-only."""
    if os.getuid() != 0:
        return []
    if shutil.which("setpriv") is None:
        pytest.skip("needs setpriv, or a user who is not root")
    return ["setpriv", "--bounding-set=-all", "--inh-caps=-all"]


def _limited(kind: str, soft: int, hard: int) -> str:
    return f"import resource as r; r.setrlimit(r.RLIMIT_{kind}, ({soft}, {hard}))\n"


def _command(*arguments: str) -> str:
    return f"import sys; sys.argv[1:] = {list(arguments)}\nimport osm4eo_xr.cli.app as a; a.main()"


def _write_map(path: Path, column: int = 0, size: int = 64) -> Path:
    profile = {"driver": "GTiff", "width": size, "height": size, "count": 1, "dtype": "uint8"}
    corner = rasterio.Affine(10, 0, 5e5 + 10 * column, 0, -10, 5e6)
    with rasterio.open(path, "w", **profile, crs="EPSG:32633", transform=corner) as file:
        values = np.ones((size, size), np.uint8)
        values[5, 5] = 2
        file.write(values, 1)
    return path


@pytest.fixture
def class_map(tmp_path: Path) -> Path:
    return _write_map(tmp_path / "map.tif")


@pytest.mark.parametrize("name", FOREIGN)
def test_data_of_another_installation_does_not_stop_a_sieve(
    name: str, class_map: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    out = tmp_path / "out.tif"
    code = _command("sieve", str(class_map), "--out", str(out))
    done = _run(code, {name: str(tmp_path / "empty")})
    assert done.returncode == 0, done.stderr
    assert name not in done.stderr
    with rasterio.open(out) as file:
        assert file.crs.to_epsg() == 32633
        assert np.unique(file.read(1)).tolist() == [1]


def test_doctor_notes_the_variables_it_ignores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(IGNORED_VARIABLES, "PROJ_LIB", "/apps/gdal/share/proj")
    (note,) = [f for f in look_around("here", "") if f.check == "GDAL and PROJ data"]
    assert note.state == "note"
    assert "PROJ_LIB=/apps/gdal/share/proj of another installation ignored" in note.found


def test_the_import_stays_light() -> None:
    heavy = "{'numpy', 'jax', 'numba', 'rasterio', 'pyproj', 'tempfile'}"
    done = _run(f"import osm4eo_xr, sys; print({heavy} & set(sys.modules))", {"PROJ_LIB": "/none"})
    assert done.stdout.strip() == "set()", done.stderr


def test_a_command_raises_its_limit_of_open_files() -> None:
    shown = "\nimport atexit; atexit.register(lambda: print(r.getrlimit(r.RLIMIT_NOFILE)))\n"
    done = _run(_limited("NOFILE", 64, 3000) + shown + _command("--version"))
    assert "(3000, 3000)" in done.stdout, done.stderr


def test_doctor_notes_a_low_limit_of_open_files_also_of_its_workers() -> None:
    done = _run(_limited("NOFILE", 256, 3000) + _command("doctor"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("open files: at most 3000 at a time") == 2, done.stdout


def test_more_tiles_are_joined_than_files_may_be_open_before(tmp_path: Path) -> None:
    for k in range(300):
        _write_map(tmp_path / f"{k}.tif", column=k * 16, size=16)
    files = [str(tmp_path / f"{k}.tif") for k in range(300)]
    out = tmp_path / "out.tif"
    done = _run(_limited("NOFILE", 100, 3000) + _command("mosaic", *files, "--out", str(out)))
    assert done.returncode == 0, done.stderr[-500:]
    with rasterio.open(out) as file:
        assert file.width == 300 * 16


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    """A copy of the package, and a home, that nobody may write."""
    root = tmp_path / "installed"
    shutil.copytree(PACKAGE, root / "osm4eo_xr", ignore=shutil.ignore_patterns("__pycache__"))
    (root / "home").mkdir()
    folders = [root, *(p for p in root.rglob("*") if p.is_dir())]
    for folder in folders:
        folder.chmod(0o555)
    yield root
    for folder in folders:
        folder.chmod(0o755)


def test_an_installation_that_nobody_may_write_sieves(
    class_map: Path, read_only: Path, tmp_path: Path
) -> None:
    (tmp_path / "tmp").mkdir()
    where = {"HOME": str(read_only / "home"), "TMPDIR": str(tmp_path / "tmp")}
    code = _command("sieve", str(class_map), "--out", str(tmp_path / "out.tif"))
    done = _run(code, where, root=read_only, before=_may_not_override())
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("kernels are compiled anew by each run") == 1, done.stderr
    kernels = Path(done.stderr.split("neither ")[1].split(" nor ")[0])
    assert (kernels.parent / "kernels.py").is_file()
    assert list((tmp_path / "tmp").iterdir()) == []
    assert (tmp_path / "out.tif").exists()


@pytest.mark.parametrize("home", ["home", ""])
def test_python_compiles_in_an_installation_that_nobody_may_write(
    home: str, read_only: Path
) -> None:
    code = """if True:
        import numba  # first, as a notebook may
        import numpy as np, osm4eo_xr
        from osm4eo_xr.sieving.kernels import unite_pairs
        print(unite_pairs(3, np.array([0]), np.array([2]))[1])
    """
    where = {"HOME": str(read_only / home) if home else "", "XDG_CACHE_HOME": ""}
    if not home:
        where["XDG_CACHE_HOME"] = "/proc/nowhere"  # root's own home may be written
    done = _run(code, where, root=read_only, before=_may_not_override())
    assert done.stdout.strip() == "2", done.stderr
    assert done.stderr.count("set NUMBA_CACHE_DIR to a folder of yours") == 1


def test_doctor_says_that_nothing_compiled_is_kept(read_only: Path) -> None:
    code = """if True:
        from osm4eo_xr.cluster.checks import look_around
        print([f"{f.state}: {f.found}" for f in look_around("", "") if f.check == "compiled code"])
    """
    where = {"HOME": str(read_only / "home"), "XDG_CACHE_HOME": "", PROGRAMS_VARIABLE: ""}
    done = _run(code, where, root=read_only, before=_may_not_override())
    assert "note: no folder keeps jax's programs (set JAX_COMPILATION" in done.stdout, done.stderr
    assert "and numba's kernels (set NUMBA_CACHE_DIR)" in done.stdout


_COMPILE = """if True:
    import osm4eo_xr, jax
    hits = []
    jax.monitoring.register_event_listener(lambda event, **_: hits.append(event))
    jax.jit(lambda x: x * 3 + 1)(2.0)
    print(sum(event.endswith("cache_hits") for event in hits), jax.config.jax_compilation_cache_dir)
"""


def test_what_jax_compiled_is_kept_for_each_type_of_cpu(tmp_path: Path) -> None:
    where = {"XDG_CACHE_HOME": str(tmp_path), PROGRAMS_VARIABLE: ""}
    first, second = (_run(_COMPILE, where).stdout.split() for _ in range(2))
    folder = tmp_path / "osm4eo_xr" / "jax" / cpu_type()
    assert first == ["0", str(folder)]
    assert int(second[0]) > 0
    assert list(folder.iterdir())


def test_a_folder_of_another_type_of_cpu_is_not_inherited_but_a_named_one_is(
    tmp_path: Path,
) -> None:
    ours = tmp_path / "osm4eo_xr" / "jax"
    show = f"import osm4eo_xr, os; print(os.environ['{PROGRAMS_VARIABLE}'])"
    for named, used in ((ours / "riscv-1", ours / cpu_type()), (tmp_path / "x", tmp_path / "x")):
        done = _run(show, {"XDG_CACHE_HOME": str(tmp_path), PROGRAMS_VARIABLE: str(named)})
        assert done.stdout.strip() == str(used), done.stderr


@pytest.mark.parametrize("call", ["jax.devices()", "jax.device_put(1.0)", "jax.jit(abs)(1)"])
def test_no_device_of_the_stated_platform_is_one_line(call: str) -> None:
    code = f"""if True:
        import osm4eo_xr.cli.app as app
        @app.app.command("compute")
        def compute() -> None:
            import jax
            {call}
        import sys
        sys.argv[1:] = ["compute"]
        app.main()
    """
    done = _run(code, {"JAX_PLATFORMS": "cuda"})
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1, done.stderr
    assert "jax finds no device of JAX_PLATFORMS=cuda here; set JAX_PLATFORMS=cpu" in done.stderr


def test_doctor_survives_a_platform_without_device() -> None:
    done = _run(_command("doctor", "--cluster", "pbs-gpu"), {"JAX_PLATFORMS": "cuda"})
    assert done.returncode == 1
    assert "jax finds no device" in done.stdout, done.stderr
    assert "Traceback" not in done.stderr


def test_a_folder_of_temporary_files_that_is_not_there_is_told_and_left(
    class_map: Path, tmp_path: Path
) -> None:
    gone = tmp_path / "gone"
    code = _command("sieve", str(class_map), "--out", str(tmp_path / "out.tif"))
    done = _run(code, {"TMPDIR": str(gone)})
    assert done.returncode == 0, done.stderr
    assert done.stderr.count(f"TMPDIR={gone} does not exist") == 1
    look = "from osm4eo_xr.cluster.checks import look_around as l; print(*l('', ''), sep='\\n')"
    done = _run(look, {"TMPDIR": str(gone)})
    assert f"TMPDIR={gone} does not exist; /tmp is used" in done.stdout, done.stderr
    assert not gone.exists()


def test_names_beyond_the_letters_of_a_locale_are_shown() -> None:
    code = """if True:
        import sys, osm4eo_xr.cli.app as app
        from osm4eo_xr.progress import OUT
        @app.app.command("name")
        def name() -> None:
            OUT.print("W\\xe4lder \\u2192 \\u0141\\u0105ki")
        sys.argv[1:] = ["name"]
        app.main()
    """
    c_locale = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = _run(code, {**c_locale, "PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0, done.stderr
    assert "lder ? ??ki" in done.stdout


@pytest.mark.parametrize(
    ("locale", "code"), [({}, 0), ({"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, 1)]
)
def test_a_file_name_beyond_ascii_is_read_or_needs_another_locale(
    locale: Mapping[str, str], code: int, class_map: Path, tmp_path: Path
) -> None:
    source = class_map.rename(tmp_path / "März.tif")
    command = [sys.executable, "-m", "osm4eo_xr", "sieve", str(source), "--out"]
    environment = {**os.environ, "LC_ALL": "C", **locale}
    done = subprocess.run(
        [*command, str(tmp_path / "out.tif")],
        capture_output=True,
        check=False,
        env=environment,
        cwd=PACKAGE.parent,
    )
    assert done.returncode == code, done.stderr
    (last,) = done.stderr.decode("utf-8", "replace").splitlines()[-1:]
    assert code == 0 or last.endswith("is ascii; set PYTHONUTF8=1 or LC_ALL=C.UTF-8")


def test_a_limit_of_addresses_is_told_before_and_when_it_is_met() -> None:
    code = """if True:
        import osm4eo_xr.cli.app as app
        @app.app.command("fill")
        def fill() -> None:
            bytearray(2**33)
        import sys
        sys.argv[1:] = ["fill"]
        app.main()
    """
    done = _run(_limited("AS", 2**32, 2**32) + code)
    assert done.returncode == 1
    note, error = done.stderr.splitlines()
    assert "note: ulimit -v allows 4.0 GiB of addresses" in note
    assert "error: out of memory: ulimit -v allows 4.0 GiB" in error
    assert error.endswith("set ulimit -v unlimited, or ask for 16 GiB or more in the batch job")


def test_doctor_sees_a_limit_of_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resource.getrlimit", lambda _: (2**33, 2**33))
    (found,) = [f for f in look_around("here", "") if f.check == "address space"]
    assert found.state == "wrong"
    assert "ulimit -v allows 8.0 GiB" in found.found


_OPEN_LOCALLY = """if True:
    import sys, osm4eo_xr.cli.app as app
    from osm4eo_xr.cluster.clusters import open_cluster
    @app.app.command("open")
    def open_it() -> None:
        with open_cluster("local"):
            print("opened")
    sys.argv[1:] = ["open"]
    app.main()
"""


def test_doctor_sees_that_processes_get_no_semaphores(class_map: Path, tmp_path: Path) -> None:
    before = ["unshare", "-m", "sh", "-c", 'mount -t tmpfs -o ro tmpfs /dev/shm && exec "$@"', "-"]
    if subprocess.run([*before, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("only root may hide /dev/shm from a process")
    done = _run(_command("doctor"), before=before)
    assert done.returncode == 1
    assert "no semaphores: Read-only file system; worker" in done.stdout, done.stderr
    code = _command("sieve", str(class_map), "--out", str(tmp_path / "out.tif"))
    assert _run(code, before=before).returncode == 0
    opened = _run(_OPEN_LOCALLY, before=before)
    assert opened.returncode == 1
    (line,) = opened.stderr.splitlines()
    assert "cannot start worker processes: no semaphores (Read-only file system)" in line
    assert "mount /dev/shm" in line
