"""A training run on disk: checkpoints, history, scalars and curves.

``run.json`` says what is trained, so that no run is continued with other samples or settings.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orbax.checkpoint as ocp
import pandas as pd
from tensorboardX import SummaryWriter

from osm4eo_xr.errors import InputError
from osm4eo_xr.files import replace_text, replaced

_KEPT = 2  # checkpoints: should the newest be damaged, there is another


class RunFolder:
    """Keeps a run in a folder; opening one that was stopped continues it.

    Parameters
    ----------
    path : Path
        The folder; made if there is none.
    facts : mapping
        What decides the weights, as JSON types.

    Raises
    ------
    InputError
        If ``path`` holds something else, or the run of other facts.
    """

    def __init__(self, path: Path, facts: Mapping[str, Any]) -> None:
        self.path = Path(path)
        _claim(self.path, facts)
        self._checkpoints = ocp.CheckpointManager(
            (self.path / "checkpoints").resolve(),
            options=ocp.CheckpointManagerOptions(
                max_to_keep=_KEPT, enable_async_checkpointing=False
            ),
        )
        self._scalars: SummaryWriter | None = None

    def restore(self, like: Any) -> tuple[Any, dict[str, Any]] | None:
        """Return the arrays, shaped ``like`` the ones given, and the record of the last checkpoint.

        None if there is no checkpoint yet.
        """
        step = self._checkpoints.latest_step()
        if step is None:
            return None
        parts = self._checkpoints.restore(
            step,
            args=ocp.args.Composite(
                arrays=ocp.args.StandardRestore(like), record=ocp.args.JsonRestore()
            ),
        )
        return parts["arrays"], parts["record"]

    def save(self, step: int, arrays: Any, record: Mapping[str, Any]) -> None:
        """Write a checkpoint; a run killed meanwhile continues from the one before."""
        if step in self._checkpoints.all_steps():
            self._checkpoints.delete(step)
        self._checkpoints.save(
            step,
            args=ocp.args.Composite(
                arrays=ocp.args.StandardSave(arrays), record=ocp.args.JsonSave(dict(record))
            ),
        )

    def log(self, step: int, values: Mapping[str, float | None]) -> None:
        """Write scalars of a step for TensorBoard; later ones of a stopped run are withdrawn."""
        if self._scalars is None:
            self._scalars = SummaryWriter(str(self.path / "scalars"), purge_step=step)
        for name, value in values.items():
            if value is not None:
                self._scalars.add_scalar(name, value, step)

    def write_history(self, history: Sequence[Mapping[str, Any]]) -> None:
        """Write a row per epoch as CSV and Parquet."""
        table = pd.DataFrame(list(history))
        with replaced(self.path / "history.csv") as part:
            table.to_csv(part, index=False)
        with replaced(self.path / "history.parquet") as part:
            table.to_parquet(part)

    def draw_curves(self, history: Sequence[Mapping[str, Any]]) -> None:
        """Draw losses and accuracies over the epochs."""
        from osm4eo_xr.plot import training_curves

        names = ("loss", "validation_loss", "accuracy", "validation_accuracy")
        curves = {name: [row.get(name, np.nan) for row in history] for name in names}
        figure = training_curves(curves, title=self.path.stem)
        with replaced(self.path / "curves.png") as part:
            figure.savefig(part)

    def close(self) -> None:
        """End writing."""
        if self._scalars is not None:
            self._scalars.close()
        self._checkpoints.close()


def digest_arrays(*arrays: np.ndarray) -> str:
    """Return a short hash of arrays' contents."""
    total = hashlib.sha256()
    for array in arrays:
        total.update(np.ascontiguousarray(array).tobytes())
    return total.hexdigest()[:16]


def _claim(path: Path, facts: Mapping[str, Any]) -> None:
    """Make the folder for a run of these facts, or check that it holds that run."""
    note = path / "run.json"
    if note.is_file():
        held, wanted = json.loads(note.read_text("utf-8")), json.loads(json.dumps(facts))
        differ = [k for k in {**wanted, **held} if held.get(k) != wanted.get(k)]
        if differ:
            raise InputError(
                f"{path} holds a run with {_difference(differ[0], held, wanted)}; "
                f"give another folder, or remove this one to start afresh"
            )
        return
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise InputError(f"{path} exists and is not a training run; give another folder")
    path.mkdir(parents=True, exist_ok=True)
    replace_text(note, json.dumps(facts, indent=1) + "\n")


def _difference(name: str, held: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """Say in words what differs, down to the first field."""
    a, b = held.get(name), wanted.get(name)
    if isinstance(a, dict) and isinstance(b, dict):
        field = next(k for k in {**a, **b} if a.get(k) != b.get(k))
        return f"{field} {a.get(field)!r}, not {b.get(field)!r}"
    return f"other {name}"
