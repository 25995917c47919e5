"""What a training run says of itself while it runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import xarray as xr

_NAMED = 3  # samples of a batch that an error names


@dataclass(frozen=True)
class Status:
    """Where a run stands.

    Attributes
    ----------
    epoch, epochs : int
        Of how many, counted from 1; epoch 0 is the search for a learning rate.
    step, steps : int
        Steps done, of all of the training or of the search.
    loss, accuracy : float
        Per labeled pixel, mean of this epoch so far; of a search, of its last step.
    samples_per_second : float
        In this epoch.
    seconds_left : float
        At that speed, without looks at the validation samples.
    self_labeled : float
        Share of the unlabeled pixels that the network labeled itself in this epoch so far.
    """

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    accuracy: float
    samples_per_second: float
    seconds_left: float
    self_labeled: float = 0.0


@dataclass
class Totals:
    """Sums over the steps of an epoch."""

    loss: float = 0.0
    weight: float = 0.0
    correct: float = 0.0
    labeled: float = 0.0
    self_labeled: float = 0.0
    unlabeled: float = 0.0

    def add(self, sums: Mapping[str, float]) -> None:
        """Add one step."""
        for name, value in sums.items():
            setattr(self, name, getattr(self, name) + float(value))

    def means(self) -> dict[str, float]:
        """Return loss and accuracy per labeled pixel.

        Of a network that trains itself, also the share of unlabeled pixels that it labeled.
        """
        means = {
            "loss": self.loss / max(self.weight, 1e-6),
            "accuracy": self.correct / max(self.labeled, 1.0),
        }
        own = {"self_labeled": self.self_labeled / self.unlabeled} if self.unlabeled else {}
        return means | own


def batch_origin(samples: xr.Dataset, positions: np.ndarray) -> str:
    """Say where a batch's samples are, those with the largest values first."""
    batch = samples.isel(sample=np.sort(positions))
    pixels = np.where(np.isfinite(batch["image"].to_numpy()), batch["image"].to_numpy(), 0.0)
    largest = np.abs(pixels).max(axis=(1, 2, 3))
    names = samples.attrs.get("tiles", [])
    places = []
    for k in np.argsort(-largest, kind="stable")[:_NAMED]:
        tile = int(batch["tile"][k])
        name = names[tile] if tile < len(names) else tile
        east, north = float(batch["easting"][k]), float(batch["northing"][k])
        places.append(
            f"{np.sort(positions)[k]} (tile {name}, easting {east:.0f}, northing {north:.0f}, "
            f"values up to {largest[k]:.4g})"
        )
    return f"its batch of {len(positions)} holds samples " + ", ".join(places)
