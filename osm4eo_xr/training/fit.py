"""Samples → a trained model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import xarray as xr

from osm4eo_xr.cluster.device_tasks import device_client
from osm4eo_xr.progress import Progress, with_bars
from osm4eo_xr.training.label_noise.correction import corrected
from osm4eo_xr.training.settings import TrainSettings
from osm4eo_xr.training.single_fit import fit_network

if TYPE_CHECKING:
    from osm4eo_xr.legend import Legend
    from osm4eo_xr.models.model import Model
    from osm4eo_xr.training.status import Status

__all__ = ["DEMO_SAMPLES", "DEMO_SETTINGS", "train"]

DEMO_SAMPLES: Mapping[str, Any] = {
    "per_class": 400,
    "patch": 32,
    "shares": (0.6, 0.1, 0.3),
}
"""What the demo gives ``draw_samples``: as much as two cores learn from in two minutes. The scene
is small, so a large share of its blocks is held out: few blocks would score their own luck."""

DEMO_SETTINGS = TrainSettings.preset("small")
"""Settings with which the demo trains."""


@with_bars("training", unless="on_status")
def train(
    samples: xr.Dataset,
    settings: TrainSettings | None = None,
    *,
    legend: Legend | None = None,
    folder: str | Path | None = None,
    start: Model | str | Path | None = None,
    progress: Progress | None = None,
    on_status: Callable[[Status], None] | None = None,
) -> Model:
    """Train a network and keep its last weights, or earlier ones that were surely better.

    What is better, the validation samples say (``validate_every`` of the settings).

    Where this process sees no GPU and the open cluster has GPU workers, one of them trains. It has
    to see the samples, which may not be persisted on the cluster, and the folder. If it is lost,
    another goes on from the last checkpoint; without a folder, it begins anew.

    Parameters
    ----------
    samples : Dataset
        As ``draw_samples`` or ``open_samples`` returns it; may be larger than the memory.
    settings : TrainSettings, optional
        Network and training.
    legend : Legend, optional
        Classes; by default those the samples were drawn with.
    folder : str or Path, optional
        Where the run keeps its checkpoints, ``history.csv`` and ``.parquet``, scalars for
        TensorBoard and ``curves.png``. A run that was stopped continues there, with the same
        weights as one that was not; one that has ended is read.
    start : Model or path, optional
        Model to start from instead of random weights, with its bands and normalization. Its head
        is made afresh where the classes differ. In window mode it may have learned on smaller
        windows, which is faster.
    progress : callable, optional
        Called as ``progress(steps done, steps in all)``.
    on_status : callable, optional
        Called with a ``Status`` after each step: loss, accuracy, samples per second, time left.
        Both are called five times a second at most while a worker trains.

    Returns
    -------
    Model
        Its probabilities are calibrated on the validation samples. ``training`` records settings,
        history per epoch, calibration and the data; and ``rate_search``, where the settings ask
        for one: its rates and losses.

    Raises
    ------
    InputError
        If the samples have no training or validation split or no label of the legend, or name a
        class of it otherwise; if the folder holds another run, the model to start from does not
        fit, or the loss is no longer a number.

    Examples
    --------
    >>> import osm4eo_xr as oxr
    >>> from osm4eo_xr.demo import example_samples
    >>> tiny = oxr.TrainSettings(depth=11, width=4, kernel=3, epochs=1, batch=16)
    >>> model = oxr.train(example_samples(), tiny, folder="DE.run")
    >>> model.bands, model.training["best_epoch"]
    (('red', 'nir'), 1)
    """
    settings = settings or TrainSettings()
    folder = None if folder is None else Path(folder).absolute()
    start = Path(start).absolute() if isinstance(start, str | Path) else start
    how: Any = {"legend": legend, "folder": folder, "start": start}
    step = fit_network if settings.noise == "none" else corrected
    client = device_client()
    if client is not None:
        from osm4eo_xr.training.on_worker import train_on_worker

        training = partial(step, samples, settings, **how)
        return train_on_worker(client, training, progress=progress, on_status=on_status)
    return step(samples, settings, **how, progress=progress, on_status=on_status)
