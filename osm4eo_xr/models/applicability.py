"""Where a model is to be trusted: the points it learned from, as its last layer sees them.

In a model's folder they are ``applicability.safetensors`` and ``applicability.json``; see
``fit_applicability``. A model without them makes the same maps.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from osm4eo_xr.errors import InputError

__all__ = ["ARRAYS_FILE", "FACTS_FILE", "INDEX_LIMIT", "INDEX_SCALE", "Applicability"]

FORMAT = 2
"""Version of both files."""

INDEX_SCALE = 100
"""What a dissimilarity index equal to its threshold is in uint8; above it, a pixel is outside."""

INDEX_LIMIT = 250
"""Greatest index in uint8: two and a half times the threshold, or more."""

ARRAYS_FILE = "applicability.safetensors"
FACTS_FILE = "applicability.json"

_ARRAYS = ("prototypes", "counts", "center", "factor", "least_probability")
_NUMBERS = ("reach", "mean_distance")


@dataclass(frozen=True, eq=False)
class Applicability:
    """Training points in the space of a network's penultimate features, and what follows from them.

    A feature vector f stands at (f - center) * factor; distances are Euclidean there.

    Attributes
    ----------
    prototypes : ndarray (k, f), float32
        Some of the training points, which stand for all.
    counts : ndarray (k), float32
        Training points that each prototype stands for, itself included.
    center, factor : ndarray (f), float32
        From features to that space.
    reach : float
        Greatest distance to a prototype at which the model still applies: the threshold of
        the dissimilarity index times ``mean_distance``.
    mean_distance : float
        Mean distance between training points, by which the index divides.
    least_probability : ndarray (class), float32
        Least probability with which a class belongs to the set of a pixel's possible classes;
        above 1 for one that belongs to none.
    facts : mapping
        JSON-able: how all this was fitted, errors, and what was measured on held-out ground.
    """

    prototypes: np.ndarray
    counts: np.ndarray
    center: np.ndarray
    factor: np.ndarray
    reach: float
    mean_distance: float
    least_probability: np.ndarray
    facts: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in _ARRAYS:
            given = np.ascontiguousarray(getattr(self, name), np.float32)
            object.__setattr__(self, name, given)
        size, features = self.prototypes.shape if self.prototypes.ndim == 2 else (0, 0)  # noqa: PLR2004
        shapes = self.counts.shape, self.center.shape, self.factor.shape
        if not size or shapes != ((size,), (features,), (features,)):
            raise InputError(
                f"applicability has prototypes {self.prototypes.shape} and counts, center and "
                f"factor of {shapes}",
                expected="(k, f), (k), (f) and (f)",
            )
        if not self.reach > 0:
            raise InputError(f"applicability has reach {self.reach}", expected="above 0")

    def __str__(self) -> str:
        """Say the threshold, and what was measured on held-out ground."""
        kept = f"{self.points:,} training points, {len(self.prototypes)} prototypes"
        lines = [f"{kept}, threshold {self.threshold:.3f}"]
        for name in ("calibration", "test"):
            if seen := self.facts.get(name):
                inside, covered = seen["inside"]["value"], seen["covered"]["value"]
                lines.append(
                    f"{name}: {inside:.1%} of {seen['pixels']:,} pixels inside, sets of "
                    f"{seen['set_size']:.1f} classes hold the right one in {covered:.1%}"
                )
        return "\n".join(lines)

    @property
    def threshold(self) -> float:
        """Threshold of the dissimilarity index."""
        return self.reach / self.mean_distance

    @property
    def points(self) -> int:
        """Training points that the prototypes stand for."""
        return round(float(self.counts.sum()))

    @cached_property
    def arrays(self) -> bytes:
        """The arrays in safetensors format."""
        numbers = {name: np.float64(getattr(self, name)).reshape(1) for name in _NUMBERS}
        return save({name: getattr(self, name) for name in _ARRAYS} | numbers)

    @cached_property
    def digest(self) -> str:
        """SHA-256 over the arrays: over all that decides maps."""
        return hashlib.sha256(self.arrays).hexdigest()

    def write(self, folder: Path) -> None:
        """Write both files into a model's folder."""
        record = {"format": FORMAT, "sha256": self.digest, **self.facts}
        (folder / ARRAYS_FILE).write_bytes(self.arrays)
        text = json.dumps(record, indent=1) + "\n"
        (folder / FACTS_FILE).write_text(text, encoding="utf-8")

    @staticmethod
    def read(folder: Path) -> Applicability | None:
        """Read both files of a model's folder; None if it has neither.

        Raises
        ------
        InputError
            If one is missing, damaged, or of another version.
        """
        files = [folder / ARRAYS_FILE, folder / FACTS_FILE]
        missing = [file for file in files if not file.is_file()]
        if len(missing) == len(files):
            return None
        if missing:
            raise InputError(f"{missing[0]} is missing, the other of both files is there")
        arrays = files[0].read_bytes()
        try:
            facts = json.loads(files[1].read_text(encoding="utf-8"))
        except (ValueError, RecursionError) as error:
            raise InputError(f"{files[1]} is not JSON: {error}") from None
        stated = facts.pop("format", None) if isinstance(facts, dict) else None
        if stated != FORMAT:
            raise InputError(
                f"{files[1]}: format is {stated!r}",
                expected=str(FORMAT),
                advice="remove both applicability files and fit it again (osm4eo-xr applicability)",
            )
        if hashlib.sha256(arrays).hexdigest() != facts.pop("sha256", None):
            raise InputError(f"{files[0]} is not the one that {FACTS_FILE} was saved with")
        return Applicability.of_bytes(arrays, facts)

    @staticmethod
    def of_bytes(arrays: bytes, facts: Mapping[str, Any]) -> Applicability:
        """Read back ``arrays``.

        Raises
        ------
        InputError
            If they are not what it gives.
        """
        try:
            found = load(arrays)
            given: dict[str, Any] = {name: found[name] for name in _ARRAYS}
            given |= {name: float(found[name][0]) for name in _NUMBERS}
            return Applicability(**given, facts=facts)
        except (SafetensorError, KeyError) as error:
            raise InputError(f"{ARRAYS_FILE} is damaged: {error}") from None
