"""Take one step of training, then train: ``-m tests.cases.step_script FILE FOLDER MODEL``.

The file gets what Adam holds after the step: its first moments, a tenth of the gradients. Folder
and model are those of ``train_script``.
"""

import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np

from osm4eo_xr.feature_ids.channels import Channels
from osm4eo_xr.training.scoring import windows_of
from osm4eo_xr.training.single_fit import _task
from osm4eo_xr.training.step.augment import warp
from osm4eo_xr.training.step.data_parallel import place_batch, place_state
from osm4eo_xr.training.step.train_step import fresh_state, make_train_step
from osm4eo_xr.training.transfer import starting_variables
from tests.cases import train_script
from tests.cases.train_case import BANDS, CLASSES, holed_samples, small_legend
from tests.cases.train_script import KEPT


def main(out: Path) -> None:
    """Write moments and sums, and print on how many devices a batch lies, warped too."""
    learn, legend = windows_of(holed_samples(), "train", bands=BANDS), small_legend()
    channels = Channels.joint(len(BANDS))
    counts = learn.labels().counts[list(legend.ids)]
    task = _task(KEPT, learn, counts, BANDS, legend, None, (), channels)  # as training has it
    image, label = learn.read(np.arange(KEPT.batch))
    state = fresh_state(task, starting_variables(task.net, KEPT.seed, legend, None))
    batch = place_batch(image)
    print(jax.local_device_count(), batch.sharding.shard_shape(batch.shape)[0])  # noqa: T201
    shown, _ = jax.jit(warp, static_argnums=(3, 4))(
        batch, place_batch(label), jax.random.key(0), 30.0, 0.25
    )
    print(shown.sharding.shard_shape(shown.shape)[0])  # noqa: T201
    state, sums = make_train_step(task)(place_state(state), batch, place_batch(label))
    leaves: dict[str, Any] = {
        jax.tree_util.keystr(path): np.asarray(leaf)
        for path, leaf in jax.tree_util.tree_leaves_with_path({"opt": state["opt"], "sums": sums})
        if "mu" in jax.tree_util.keystr(path) or "sums" in jax.tree_util.keystr(path)
    }
    assert set(np.unique(label)) <= {0, *CLASSES}
    np.savez(out, **leaves)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
    train_script.main(Path(sys.argv[2]), Path(sys.argv[3]), 0)
