"""Take one step of training in a process of its own: ``-m tests.cases.step_script FILE``.

The file gets what Adam holds after the step: its first moments, a tenth of the gradients.
"""

import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np

from osm4eo_xr.legend import default_legend
from osm4eo_xr.training.data_parallel import place_batch, place_state
from osm4eo_xr.training.scoring import windows_of
from osm4eo_xr.training.step import Task, fresh_state, make_train_step
from osm4eo_xr.training.transfer import starting_variables
from tests.cases.train_case import BANDS, CLASSES, holed_samples
from tests.cases.train_script import SHORT


def main(out: Path) -> None:
    """Write moments and sums, and print on how many devices a batch lies."""
    image, label = windows_of(holed_samples(), "train", bands=BANDS).read(np.arange(SHORT.batch))
    legend = default_legend()
    task = Task(
        net=SHORT.net(bands=len(BANDS), classes=len(legend.ids)),
        settings=SHORT,
        class_ids=legend.ids,
        offset=(0.1,) * len(BANDS),
        scale=(0.05,) * len(BANDS),
        weights=(1.0,) * len(legend.ids),
        batch=SHORT.batch,
        steps_per_epoch=3,
    )
    state = fresh_state(task, starting_variables(task.net, SHORT.seed, legend, None))
    batch = place_batch(image)
    print(jax.local_device_count(), batch.sharding.shard_shape(batch.shape)[0])  # noqa: T201
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
