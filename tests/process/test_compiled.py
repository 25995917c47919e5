"""Compiled functions: kept from process to process until a module of their folder changes."""

import subprocess
import sys
from pathlib import Path

PART = """
from osm4eo_xr.process.compiled import compiled

@compiled()
def part(x):
    return x * {factor}
"""
KERNEL = """
from osm4eo_xr.process.compiled import compiled
from parts import part

@compiled()
def kernel(x):
    return part(x) + 1
"""
CALL = "from kernels import kernel; print(kernel(10), sum(kernel.stats.cache_hits.values()))"


def _said(folder: Path) -> str:
    ran = subprocess.run(
        [sys.executable, "-c", CALL], cwd=folder, capture_output=True, text=True, check=True
    )
    return ran.stdout.strip()


def test_a_kernel_is_compiled_anew_where_a_part_in_another_module_changed(tmp_path: Path) -> None:
    (tmp_path / "kernels.py").write_text(KERNEL)
    (tmp_path / "parts.py").write_text(PART.format(factor=2))
    assert _said(tmp_path) == "21 0"
    assert _said(tmp_path) == "21 1"  # as it was kept
    (tmp_path / "parts.py").write_text(PART.format(factor=3))
    assert _said(tmp_path) == "31 0"
