"""Train a tiny network in a process of its own: ``-m tests.cases.train_script FOLDER MODEL STEP``.

The process kills itself after STEP steps; 0 lets it end.
"""

import dataclasses
import os
import signal
import sys
from pathlib import Path

import jax

from osm4eo_xr.models.model_folder import save_model
from osm4eo_xr.training.fit import train
from osm4eo_xr.training.step.data_parallel import place_batch
from tests.cases.train_case import TINY, holed_samples

KEPT = dataclasses.replace(TINY, checkpoint_every=7)
"""The program is that of ``TINY``, so that tests of both compile it once."""


def main(folder: Path, out: Path, kill_at: int) -> None:
    """Train, and print on how many devices a batch lies."""

    def progress(done: int, _: int) -> None:
        if done == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    samples = holed_samples()
    batch = place_batch(samples["image"].to_numpy()[: KEPT.batch])
    print(jax.local_device_count(), batch.sharding.shard_shape(batch.shape)[0])  # noqa: T201
    save_model(train(samples, KEPT, folder=folder, progress=progress), out)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
