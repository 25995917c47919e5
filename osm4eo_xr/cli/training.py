"""Commands that draw samples and learn from them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from osm4eo_xr.cli.console import print_note, sample_table, training_bar
from osm4eo_xr.cli.options import LegendFile, Out, Overwrite, Seed, read_legend
from osm4eo_xr.cli.outputs import MODEL, RUN, SAMPLES, check_outputs
from osm4eo_xr.cli.signals import on_signal_stays
from osm4eo_xr.progress import OUT, progress_bar

if TYPE_CHECKING:
    import xarray as xr

    from osm4eo_xr.models.model import Model


def samples(
    scene: Annotated[list[Path], typer.Option("--scene", help="Scene files.")],
    labels: Annotated[Path, typer.Option("--labels", help="Class raster on the scene's grid.")],
    out: Out,
    per_class: Annotated[int, typer.Option(min=1, help="Samples per class.")] = 5000,
    patch: Annotated[int, typer.Option(min=1, help="Edge of a window in pixels.")] = 32,
    block: Annotated[float, typer.Option(help="Edge of a spatial block in meters.")] = 1600.0,
    gap: Annotated[
        float | None, typer.Option(help="Meters between splits; a window's edge if left out.")
    ] = None,
    seed: Seed = 0,
    legend: LegendFile = None,
    overwrite: Overwrite = False,
) -> None:
    """Draw stratified training samples, spatially split, into a Zarr store."""
    from osm4eo_xr.imagery.scenes import open_scene
    from osm4eo_xr.labels.rasterize import read_labels
    from osm4eo_xr.samples.draw import draw_samples, sample_counts
    from osm4eo_xr.samples.store import write_samples

    check_outputs([(out, SAMPLES)], [*scene, labels, legend], overwrite=overwrite)
    drawn = draw_samples(
        open_scene(scene),
        read_labels(labels),
        per_class=per_class,
        patch=patch,
        block=block,
        gap=gap,
        seed=seed,
        legend=read_legend(legend),
    )
    with progress_bar(f"samples → {out}") as progress:
        write_samples(drawn, out, progress=progress)
    OUT.print(sample_table(sample_counts(drawn)))
    OUT.print(f"{drawn.sizes['sample']} samples in {out}", soft_wrap=True, highlight=False)


def train(
    samples: Annotated[Path, typer.Argument(help="Sample set (Zarr).")],
    *,
    out: Out,
    depth: Annotated[int, typer.Option(help="Layers of the network, 9n+2.")] = 29,
    width: Annotated[int, typer.Option(help="Filters of the stem.")] = 16,
    mode: Annotated[
        Literal["dense", "window"], typer.Option(help="A class for every pixel, or per window.")
    ] = "dense",
    window: Annotated[int, typer.Option(help="Edge of a window in pixels (window mode).")] = 12,
    kernel: Annotated[int, typer.Option(help="Kernel width in pixels, odd.")] = 5,
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the samples.")] = 30,
    batch: Annotated[int, typer.Option(min=1, help="Samples per step.")] = 32,
    accumulate: Annotated[int, typer.Option(help="Parts of a batch, to save memory.")] = 1,
    optimizer: Annotated[
        Literal["adamw", "nadam"], typer.Option(help="nadam is the original system's.")
    ] = "adamw",
    learning_rate: Annotated[float, typer.Option(help="Highest rate, per step.")] = 2e-3,
    loss: Annotated[
        Literal["cross_entropy", "generalized", "bootstrap"],
        typer.Option(help="The latter two bear wrong labels better."),
    ] = "cross_entropy",
    class_weights: Annotated[
        Literal["none", "balanced"], typer.Option(help="Whether every class counts alike.")
    ] = "none",
    label_smoothing: Annotated[float, typer.Option(help="Share spread over all classes.")] = 0.0,
    band_jitter: Annotated[float, typer.Option(help="Random gain and shift per band.")] = 0.0,
    band_dropout: Annotated[float, typer.Option(help="Probability to hide a band.")] = 0.0,
    patience: Annotated[
        int, typer.Option(help="End after so many epochs without gain; 0 never.")
    ] = 0,
    init: Annotated[
        Path | None, typer.Option("--init", help="Model to start from, of another country.")
    ] = None,
    run: Annotated[
        Path | None,
        typer.Option("--run", help="Folder of checkpoints and history; OUT.run if left out."),
    ] = None,
    seed: Seed = 0,
    overwrite: Overwrite = False,
) -> None:
    """Train the residual network and save it as a model folder; a stopped run is continued."""
    from osm4eo_xr.models.model import save_model
    from osm4eo_xr.samples.store import open_samples
    from osm4eo_xr.training.fit import train as fit
    from osm4eo_xr.training.settings import TrainSettings

    folder = run or out.with_name(f"{out.name}.run")
    check_outputs([(out, MODEL)], [samples, init], overwrite=overwrite)
    check_outputs([(out, MODEL), (folder, RUN)], [samples, init], overwrite=True)  # goes on there
    settings = TrainSettings(
        depth=depth,
        width=width,
        mode=mode,
        window=window,
        kernel=kernel,
        epochs=epochs,
        batch=batch,
        accumulate=accumulate,
        optimizer=optimizer,
        learning_rate=learning_rate,
        loss=loss,
        class_weights=class_weights,
        label_smoothing=label_smoothing,
        band_jitter=band_jitter,
        band_dropout=band_dropout,
        patience=patience,
        seed=seed,
    )
    opened = open_samples(samples)
    on_signal_stays(f"checkpoints stay in {folder}; run the same command again to go on")
    with training_bar() as watch:
        model = fit(opened, settings, folder=folder, start=init, watch=watch)
    OUT.print(f"model in {save_model(model, out)}", soft_wrap=True, highlight=False)
    _score(model, opened, folder)


def _score(model: Model, samples: xr.Dataset, folder: Path) -> None:
    """Score a model on the samples that were held out, as table, JSON and picture."""
    from osm4eo_xr.accuracy.held_out import evaluate
    from osm4eo_xr.plot import confusion_matrix
    from osm4eo_xr.samples.spatial_split import SPLITS

    if not (samples["split"] == SPLITS.index("test")).any():
        print_note("the sample set has no test split; the model is not scored")
        return
    with progress_bar("test") as progress:
        report = evaluate(model, samples, "test", progress=progress)
    OUT.print(report)
    report.save(folder / "test.json")
    names = [c.slug for c in report.legend.classes]
    confusion_matrix(report.counts, names, title="test").savefig(folder / "confusion.png")
