"""The GPUs of this machine, told without loading CUDA into the process."""

from __future__ import annotations

import os
import re
import shutil
import subprocess

_NONE = ("-1", "NoDevFiles")  # said where there is none, the latter by Slurm


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
