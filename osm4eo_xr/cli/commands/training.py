"""Commands that draw samples and learn from them."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from osm4eo_xr.cli.console import print_json, print_note, sample_table, training_bar
from osm4eo_xr.cli.given import refuse_alone, refuse_beside
from osm4eo_xr.cli.options import (
    Json,
    LegendFile,
    LevelOf,
    MaskClouds,
    NoData,
    Offset,
    Out,
    Overwrite,
    Scale,
    Seed,
    open_checked,
    read_legend,
)
from osm4eo_xr.cli.outputs import MODEL, PICTURE, REPORT, RUN, SAMPLES, check_outputs
from osm4eo_xr.cli.setting_options import with_settings
from osm4eo_xr.cli.signals import on_signal_stays
from osm4eo_xr.names import counted
from osm4eo_xr.progress import OUT, piece_bars, progress_bar
from osm4eo_xr.training.settings import TrainSettings

if TYPE_CHECKING:
    import xarray as xr

    from osm4eo_xr.models.model import Model


def samples(
    scene: Annotated[list[Path], typer.Option("--scene", help="Scene files.")],
    labels: Annotated[Path, typer.Option("--labels", help="Class raster on the scene's grid.")],
    *,
    out: Out,
    per_class: Annotated[int, typer.Option(min=1, help="Samples per class.")] = 5000,
    cover: Annotated[
        float,
        typer.Option(
            min=0,
            help="How often the windows of all classes may cover the scene: of a small scene fewer "
            "than --per-class are drawn. 0 sets no limit.",
        ),
    ] = 8.0,
    patch: Annotated[int, typer.Option(min=1, help="Edge of a window in pixels.")] = 32,
    block: Annotated[float, typer.Option(help="Edge of a spatial block in meters.")] = 1600.0,
    gap: Annotated[
        float | None, typer.Option(help="Meters between splits; a window's edge if left out.")
    ] = None,
    shares: Annotated[
        tuple[float, float, float],
        typer.Option(help="Shares of training, validation and test."),
    ] = (0.6, 0.2, 0.2),
    seed: Seed = 0,
    scale: Scale = None,
    offset: Offset = None,
    nodata: NoData = None,
    mask_clouds: MaskClouds = None,
    level: LevelOf = None,
    legend: LegendFile = None,
    overwrite: Overwrite = False,
) -> None:
    """Draw stratified training samples, spatially split, into a Zarr store."""
    from osm4eo_xr.labels.label_rasters import read_labels
    from osm4eo_xr.legend import default_legend
    from osm4eo_xr.samples.counts import limit_by_cover, sample_counts
    from osm4eo_xr.samples.draw import draw_samples
    from osm4eo_xr.samples.store import write_samples

    check_outputs([(out, SAMPLES)], [*scene, labels, legend], overwrite=overwrite)
    classes = read_legend(legend) if legend else None
    opened = open_checked(scene, scale, offset, nodata, mask=mask_clouds, level=level)
    limit = limit_by_cover(
        per_class,
        cover,
        pixels=opened.sizes["y"] * opened.sizes["x"],
        patch=patch,
        classes=len((classes or default_legend()).ids),
    )
    with piece_bars() as watch:
        choosing = "choosing pixels"  # reads the whole scene, to know where it has data
        watch(choosing, 0, 1)
        drawn = draw_samples(
            opened,
            read_labels(labels, legend=classes),
            per_class=limit,
            patch=patch,
            block=block,
            gap=gap,
            shares=shares,
            seed=seed,
            legend=classes,
        )
        watch(choosing, 1, 1)
        if limit < per_class:
            print_note(
                f"{limit:,} samples per class, not {per_class:,}: more would show the same ground "
                f"over {cover:g} times; --cover 0 draws them"
            )
        write_samples(drawn, out, progress=partial(watch, f"samples → {out}"))
    OUT.print(sample_table(sample_counts(drawn)))
    OUT.print(
        f"{counted(drawn.sizes['sample'], 'sample')} in {out}", soft_wrap=True, highlight=False
    )


@with_settings(TrainSettings)
def train(
    samples: Annotated[Path, typer.Argument(help="Sample set (Zarr).")],
    *,
    out: Out,
    settings: TrainSettings,
    init: Annotated[
        Path | None, typer.Option("--init", help="Model to start from, of another country.")
    ] = None,
    run: Annotated[
        Path | None,
        typer.Option("--run", help="Folder of checkpoints and history; OUT.run if left out."),
    ] = None,
    polygons: Annotated[
        Path | None,
        typer.Option(help="With --noise: land use of the labels, to judge them object by object."),
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Train the residual network and save it as a model folder; a stopped run is continued."""
    from osm4eo_xr.models.model_folder import save_model
    from osm4eo_xr.samples.store import open_samples
    from osm4eo_xr.training.fit import train as fit

    if polygons is not None and settings.noise == "none":
        refuse_alone("--polygons", "--noise")
    check_outputs([(out, MODEL)], [samples, init, polygons], overwrite=overwrite)
    folder = run or out.with_name(f"{out.name}.run")
    check_outputs(
        [(out, MODEL), (folder, RUN)], [samples, init, polygons], overwrite=True
    )  # goes on there
    opened = open_samples(samples)
    if polygons is not None:
        from osm4eo_xr.training.label_noise.objects import name_objects

        opened = name_objects(opened, polygons)
    on_signal_stays(f"checkpoints stay in {folder}; run the same command again to go on")
    with training_bar() as tell:
        model = fit(opened, settings, folder=folder, start=init, on_status=tell)
    OUT.print(f"model in {save_model(model, out)}", soft_wrap=True, highlight=False)
    if (search := model.training.get("rate_search")) and search["found"]:
        OUT.print(f"learned at a rate of {search['rate']:.2g}, which was looked for")
    _score(model, opened, folder)


@with_settings(TrainSettings)
def crossvalidate(
    samples: Annotated[Path, typer.Argument(help="Sample set (Zarr).")],
    *,
    out: Out,
    settings: TrainSettings,
    k: Annotated[
        int | None, typer.Option("--k", help="Folds of blocks, 2 to 25; 5 if left out.")
    ] = None,
    by: Annotated[str, typer.Option(help="Hold out blocks, or tile after tile: block, tile.")] = (
        "block"
    ),
    validation: Annotated[
        float, typer.Option(help="Share of the blocks that choose the best epoch.")
    ] = 0.1,
    block: Annotated[
        float | None, typer.Option(help="Edge of a block in meters; the set's if left out.")
    ] = None,
    forest: Annotated[
        bool, typer.Option(help="Also a random forest, on the same windows and pixels.")
    ] = True,
    applicable: Annotated[
        bool,
        typer.Option("--applicability", help="Also where each fold's model applies."),
    ] = False,
    class_map: Annotated[
        Path | None, typer.Option("--map", help="Map for which the figures are to speak.")
    ] = None,
    distances: Annotated[
        Path | None, typer.Option(help="Also draw how far held-out and mapped ground is (.png).")
    ] = None,
    run: Annotated[
        Path | None, typer.Option("--run", help="Folder of the trainings; OUT.run if left out.")
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Train and score once per fold, beside a random forest; a stopped one goes on."""
    from osm4eo_xr.accuracy.validation.cross_validation import crossvalidate as validate
    from osm4eo_xr.rasters.open import open_raster
    from osm4eo_xr.samples.store import open_samples

    if by == "tile" and k is not None:
        refuse_beside(f"--k {k}", "--by tile")
    check_outputs([(out, REPORT), (distances, PICTURE)], [samples, class_map], overwrite=overwrite)
    folder = run or out.with_suffix(".run")
    on_signal_stays(f"trainings stay in {folder}; run the same command again to go on")
    how: Any = {"by": by, "validation": validation, "block": block, "forest": forest}
    how |= {} if k is None else {"k": k}
    how["applicability"] = applicable
    how["class_map"] = open_raster(class_map) if class_map else None
    with piece_bars() as watch:
        found = validate(open_samples(samples), settings, **how, folder=folder, watch=watch)
    OUT.print(found)
    written = [found.save(out)]
    if distances is not None:
        written.append(found.draw_distances(distances))
    for path in written:
        OUT.print(str(path), soft_wrap=True, highlight=False)


def ablate(
    country: Annotated[Path, typer.Argument(help="Country file (TOML) with [[features]].")],
    *,
    k: Annotated[int, typer.Option("--k", help="Folds of blocks, 2 to 25.")] = 5,
    group: Annotated[
        list[str] | None,
        typer.Option(help="Group to leave out, such as s1@2024; each in turn if left out."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Also write the figures there (.json).")] = None,
    as_json: Json = False,
    overwrite: Overwrite = False,
) -> None:
    """Train with and without each group of features, on the same folds; say what it adds."""
    from osm4eo_xr.accuracy.validation.ablation import ablate as compare
    from osm4eo_xr.country.run import country_samples
    from osm4eo_xr.samples.store import open_samples

    check_outputs([(out, REPORT)], [country], overwrite=overwrite)
    on_signal_stays("finished pieces and trainings stay; run the same command again to go on")
    with piece_bars() as watch:
        samples, settings = country_samples(country, groups=2, watch=watch)
        folder = samples.with_name("ablation.run")
        how: Any = {"k": k, "groups": group or None, "folder": folder, "watch": watch}
        found = compare(open_samples(samples), settings, **how)
    if as_json:
        print_json(found.to_dict())
    else:
        OUT.print(found)
    if out is not None:
        print_note(f"figures in {found.save(out)}")


def applicability(
    model: Annotated[Path, typer.Argument(help="Model folder.")],
    *,
    samples: Annotated[Path, typer.Option(help="Sample set (Zarr) that it was trained with.")],
    out: Out,
    coverage: Annotated[
        float, typer.Option(help="Share of each class that its sets of classes are to hold.")
    ] = 0.9,
    pixels: Annotated[int, typer.Option(help="Most training pixels to compare with.")] = 10_000,
    prototypes: Annotated[int, typer.Option(help="Most of them that stand for all.")] = 128,
    seed: Seed = 0,
    overwrite: Overwrite = False,
) -> None:
    """Fit where a model is to be trusted, and write it with that; classify then maps it."""
    from osm4eo_xr.accuracy.validation.training_points import fit_applicability
    from osm4eo_xr.models.model_folder import load_model, save_model
    from osm4eo_xr.samples.store import open_samples

    check_outputs([(out, MODEL)], [model, samples], overwrite=overwrite)
    how: Any = {"coverage": coverage, "points": pixels, "prototypes": prototypes, "seed": seed}
    fitted = fit_applicability(load_model(model), open_samples(samples), **how)
    OUT.print(str(fitted.applicability), highlight=False)
    OUT.print(f"model in {save_model(fitted, out)}", soft_wrap=True, highlight=False)


def _score(model: Model, samples: xr.Dataset, folder: Path) -> None:
    """Score a model on the samples that were held out, as table, JSON and picture."""
    from osm4eo_xr.accuracy.held_out import evaluate
    from osm4eo_xr.plot.charts import plot_confusion
    from osm4eo_xr.samples.spatial_split import SPLITS

    if not (samples["split"] == SPLITS.index("test")).any():
        print_note("the sample set has no test split; the model is not scored")
        return
    with progress_bar("test") as progress:
        report = evaluate(model, samples, "test", progress=progress)
    OUT.print(report)
    report.save(folder / "test.json")
    names = [c.slug for c in report.legend.classes]
    plot_confusion(report.counts, names, title="test").savefig(folder / "confusion.png")
