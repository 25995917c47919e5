"""Worker processes of this machine, each spawned with an environment of its own."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from distributed import Nanny

from osm4eo_xr.errors import InputError

UNGUARDED = "OSM4EO_XR_UNGUARDED"
"""Names the file that a worker leaves whose start ran its parent's script, cluster and all."""


def end_if_starting() -> None:
    """End this process if it is a worker that runs its parent's script only to start.

    Python imports the script into each process that it spawns. Without a guard it would open a
    cluster there too; the parent finds the file and says so.
    """
    if not getattr(multiprocessing.current_process(), "_inheriting", False):
        return
    if mark := os.environ.get(UNGUARDED):
        Path(mark).touch()
    raise SystemExit(1)


def unguarded_error() -> InputError:
    """Return the error of a script without a guard; uncaught, it ends the script in one line."""
    error = InputError(
        "the script opens a cluster wherever it is imported, as each worker does",
        expected='what opens a cluster below if __name__ == "__main__":',
    )
    before = sys.excepthook

    def report(
        kind: type[BaseException], raised: BaseException, trace: TracebackType | None
    ) -> None:
        if raised is error:
            sys.stderr.write(f"error: {error}\n")
        else:
            before(kind, raised, trace)

    sys.excepthook = report
    return error


class SpawnTurns:
    """Lets processes of one environment spawn at a time.

    A spawned process inherits this process's environment at the moment it starts, so two with
    different ones must not start at once. Afterwards this process has its own environment back.
    """

    def __init__(self) -> None:
        self._free = asyncio.Condition()
        self._current: dict[str, str] | None = None
        self._inside = 0
        self._before: dict[str, str | None] = {}

    @asynccontextmanager
    async def of(self, environment: dict[str, str]) -> AsyncIterator[None]:
        """Wait for the turn of an environment and hold it."""
        async with self._free:
            await self._free.wait_for(lambda: self._current in (None, environment))
            if self._current is None:
                self._before = {key: os.environ.get(key) for key in environment}
                self._current = environment
            self._inside += 1
        try:
            yield
        finally:
            async with self._free:
                self._leave()

    def _leave(self) -> None:
        self._inside -= 1
        if self._inside:
            return
        for key, value in self._before.items():
            if value is None:
                os.environ.pop(key, None)
            else:
                os.environ[key] = value
        self._current = None
        self._free.notify_all()


class SpawnedWorker(Nanny):
    """A worker process whose environment stands before its interpreter starts.

    A variable that jax, OpenMP or GDAL reads when it is loaded comes too late when it is set in the
    running process, so it is given to the process that is spawned, again at each restart.
    """

    def __init__(
        self, *args: Any, before_spawn: dict[str, str], turns: SpawnTurns, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.pre_spawn_env = {**self.pre_spawn_env, **before_spawn}
        self._turns = turns

    async def instantiate(self) -> Any:
        """Start the process."""
        async with self._turns.of(self.pre_spawn_env):
            return await super().instantiate()
