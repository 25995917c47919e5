"""GPUs: those of this machine, told without loading CUDA, and those that jobs ask for."""

from __future__ import annotations

import os
import re
import shutil
import subprocess

_NONE = ("-1", "NoDevFiles")  # said where there is none, the latter by Slurm
_ASKED = re.compile(r"(?:^|\s)(?:-G|--gpus|--(?:gres|tres-per-task)[=\s]\S*gpu)")


def visible_gpus() -> list[str]:
    """Return the NVIDIA GPUs this process may use, without loading CUDA into it."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [d for d in named.split(",") if d and d not in _NONE]
    command = shutil.which("nvidia-smi")
    if command is None:
        return []
    found = subprocess.run([command, "-L"], capture_output=True, text=True, check=False)  # noqa: S603
    return [str(i) for i, _ in enumerate(re.findall(r"^GPU \d+", found.stdout, re.MULTILINE))]


def asks_for_gpus(directive: str) -> bool:
    """Tell whether a directive asks Slurm for GPUs, in any of the forms that ``sbatch`` takes."""
    return _ASKED.search(directive) is not None
