"""The test Slurm seen from Python: brought up, asked and taken down."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

SCRIPT = Path(__file__).with_name("slurm.sh")
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel")


def why_not() -> str | None:
    """Say why a Slurm cannot be brought up here, None when it can."""
    missing = [p for p in PROGRAMS if shutil.which(p) is None]
    if missing:
        return f"{', '.join(missing)} not found: install Debian's slurm-wlm and munge"
    return None if os.geteuid() == 0 else "bringing up slurmctld and munged needs root"


class LocalSlurm:
    """A Slurm of two nodes with a pretended GPU each, below one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._port = _free_ports(6)
        self.environment = {"SLURM_CONF": str(folder / "slurm.conf")}

    def script(self, action: str) -> None:
        """Run ``slurm.sh up``, ``down`` or ``restart``."""
        environment = {**os.environ, "SLURM_TEST_PORT": str(self._port)}
        command = [str(SCRIPT), action, str(self.folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        assert done.returncode == 0, done.stdout + done.stderr

    def ask(self, *command: str) -> str:
        """Run a command of Slurm and return what it prints."""
        environment = {**os.environ, **self.environment}
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
        return done.stdout

    def jobs(self, state: str | None = None) -> list[str]:
        """Return the ids of jobs in the queue."""
        only = [f"--states={state}"] if state else []
        return self.ask("squeue", "--noheader", "--format=%A", *only).split()

    def submit(self, *arguments: str | Path) -> str:
        """Submit a job script and return the job's id."""
        return self.ask("sbatch", "--parsable", *map(str, arguments)).strip()

    def end_time_limit(self, job: str) -> None:
        """Let the wall time of a running job end now; Slurm looks at limits every 30 seconds."""
        self.ask("scontrol", "update", f"JobId={job}", "EndTime=now")

    def hang(self, job: str) -> None:
        """Stop a job's processes, as a dead file system does."""
        self.ask("scancel", "--signal=STOP", "--full", job)

    def cancel(self, job: str) -> None:
        """End a job hard, as a dying node does."""
        self.ask("scancel", "--signal=KILL", "--full", job)

    def is_empty(self) -> bool:
        """Whether no job is left, waiting a moment for those that are completing."""
        return wait_until(lambda: not self.jobs(), 30)


def _free_ports(number: int) -> int:
    """Return the first of so many free ports in a row, so that two test runs do not meet."""
    start = 20_000 + os.getpid() % 1000 * 10
    for first in range(start, start + 10_000, 10):
        with ExitStack() as stack:
            try:
                for port in range(first, first + number):
                    stack.enter_context(socket.socket()).bind(("127.0.0.1", port))
            except OSError:
                continue
        return first
    raise AssertionError("no free ports")


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Wait for a condition, at most so many seconds; say whether it came true."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.2)
    return condition()
