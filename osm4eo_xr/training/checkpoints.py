"""A training run on disk: checkpoints, history, scalars and curves.

``run.json`` says what is trained, so that no run is continued with other samples or settings.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from flax import serialization
from pyarrow import csv

from osm4eo_xr.errors import InputError, MissingExtraError, extra
from osm4eo_xr.files import is_part, replace_json, replaced

if TYPE_CHECKING:
    from tensorboardX import SummaryWriter

logger = logging.getLogger(__name__)

_DIGITS = 9  # of a step in a file's name, so that names sort by step
FOLDS = "folds"
"""Folder in a run's, of the trainings that look for wrong labels before it."""

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
        self._checkpoints = self.path / "checkpoints"
        self._checkpoints.mkdir(exist_ok=True)
        self._went_on = False  # else the run had ended, and may lie where nobody writes
        self._scalars: SummaryWriter | None = None
        self._says_scalars = True

    def restore(self, like: Any) -> tuple[Any, dict[str, Any]] | None:
        """Return the arrays, shaped ``like`` the ones given, and the record of the last checkpoint.

        None if there is no checkpoint yet.
        """
        for path in reversed(self._kept()):
            try:
                parts: Any = serialization.msgpack_restore(path.read_bytes())
                arrays = serialization.from_state_dict(like, parts["arrays"])
            except (ValueError, KeyError, TypeError, FileNotFoundError) as error:
                logger.warning("%s cannot be read, taking the one before: %s", path, error)
                continue
            return jax.tree.map(_placed_like, like, arrays), json.loads(parts["record"])
        return None

    def save(self, step: int, arrays: Any, record: Mapping[str, Any]) -> None:
        """Write a checkpoint; a run killed meanwhile continues from the one before."""
        self._went_on = True
        parts = {"arrays": serialization.to_state_dict(arrays), "record": json.dumps(dict(record))}
        content = serialization.msgpack_serialize(parts)
        path = self._checkpoints / f"{step:0{_DIGITS}}.msgpack"
        with replaced(path) as part:
            part.write_bytes(content)
        for old in self._kept()[:-_KEPT]:
            old.unlink(missing_ok=True)  # a worker that closes may write here a last time

    def _kept(self) -> list[Path]:
        """Return the checkpoints from the oldest to the newest."""
        return sorted(self._checkpoints.glob("[0-9]*.msgpack"))

    def log(self, step: int, values: Mapping[str, float | None]) -> None:
        """Write scalars of a step for TensorBoard; later ones of a stopped run are withdrawn."""
        if self._scalars is None and self._says_scalars:
            self._scalars = _scalar_writer(self.path / "scalars", step)
            self._says_scalars = self._scalars is not None
        for name, value in values.items():
            if value is not None and self._scalars is not None:
                self._scalars.add_scalar(name, value, step)

    def write_history(self, history: Sequence[Mapping[str, Any]]) -> None:
        """Write a row per epoch as CSV and Parquet."""
        names = list(dict.fromkeys(name for row in history for name in row))
        table = pa.table({name: [row.get(name) for row in history] for name in names})
        with replaced(self.path / "history.csv") as part:
            csv.write_csv(table, part)
        with replaced(self.path / "history.parquet") as part:
            pq.write_table(table, part)

    def draw_curves(self, history: Sequence[Mapping[str, Any]]) -> None:
        """Draw losses and accuracies over the epochs, unless the run had ended before."""
        if not self._went_on:
            return
        from osm4eo_xr.plot.charts import plot_training

        names = ("loss", "validation_loss", "accuracy", "validation_accuracy")
        curves = {name: [row.get(name, np.nan) for row in history] for name in names}
        figure = plot_training(curves, title=self.path.stem)
        with replaced(self.path / "curves.png") as part:
            figure.savefig(part)

    def close(self) -> None:
        """End writing."""
        if self._scalars is not None:
            self._scalars.close()


def _scalar_writer(path: Path, step: int) -> SummaryWriter | None:
    """Return what writes scalars from a step on; None, told in the log, without the extra."""
    try:
        with extra("tensorboard", "writing scalars for TensorBoard"):
            from tensorboardX import SummaryWriter
    except MissingExtraError as error:
        logger.info("%s; history.csv has the same figures", error)
        return None
    return SummaryWriter(str(path), purge_step=step)


def _placed_like(old: Any, new: Any) -> Any:
    """Put a restored array on the devices of the one that it replaces."""
    return jax.device_put(new, old.sharding) if isinstance(old, jax.Array) else new


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
                f"{path} holds a run with {_difference(differ[0], held, wanted)}",
                advice="give another folder, or remove this one to start afresh",
            )
        return
    others = path.is_dir() and any(
        entry.name != FOLDS and not is_part(entry, note) for entry in path.iterdir()
    )
    if others or (path.exists() and not path.is_dir()):
        raise InputError(f"{path} exists and is not a training run", advice="give another folder")
    path.mkdir(parents=True, exist_ok=True)
    replace_json(note, facts)


def _difference(name: str, held: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """Say in words what differs, down to the first field."""
    a, b = held.get(name), wanted.get(name)
    if isinstance(a, dict) and isinstance(b, dict):
        field = next(k for k in {**a, **b} if a.get(k) != b.get(k))
        return f"{field} {a.get(field)!r}, not {b.get(field)!r}"
    return f"other {name}"
