"""What is compiled beforehand is found by the sieve and by the network."""

import os
import subprocess
import sys
from pathlib import Path


def test_what_was_warmed_is_not_compiled_again(tmp_path: Path) -> None:
    cache = {"NUMBA_CACHE_DIR": str(tmp_path / "kernels"), "XDG_CACHE_HOME": str(tmp_path)}
    environment = {**os.environ, **cache}
    environment.pop("JAX_COMPILATION_CACHE_DIR", None)
    command = [sys.executable, "-m", "osm4eo_xr", "warm"]
    kept = []
    for _ in range(2):
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        assert done.returncode == 0, done.stderr
        names = [line.partition(":")[0] for line in done.stdout.splitlines()]
        assert names == ["sieve", "overviews", "composites", "training", "network"]
        kept.append({p: p.stat().st_mtime_ns for p in tmp_path.rglob("*") if p.is_file()})
    assert any("fill_runs" in path.name for path in kept[0])
    assert any("osm4eo_xr/jax" in str(path) for path in kept[0])
    assert kept[0] == kept[1]
