"""The ``osm4eo-xr`` command: parse, call, print.

Every command imports the step it needs when it runs, so ``--help`` answers at once.
"""

from __future__ import annotations

import io
import os
import sys
import warnings
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from osm4eo_xr.cli.commands import accuracy, labels, models, places, training, viewing, warm
from osm4eo_xr.cli.console import (
    print_findings,
    print_json,
    print_note,
    print_plan,
    print_throughput,
    print_versions,
    show_warning,
)
from osm4eo_xr.cli.failures import report_failure
from osm4eo_xr.cli.logs import logged, show_debug
from osm4eo_xr.cli.options import (
    BoundaryLayer,
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
    computing_on,
    open_checked,
    read_legend,
    read_outline,
    write_raster,
)
from osm4eo_xr.cli.outputs import RASTER, VECTOR, Asked, outputs
from osm4eo_xr.cli.signals import ended_by_signals, on_signal_stays
from osm4eo_xr.cli.spelling import Spelling
from osm4eo_xr.errors import InputError
from osm4eo_xr.process.node import address_limit, raise_open_files
from osm4eo_xr.progress import OUT, piece_bars, progress_bar, show_progress

app = typer.Typer(
    name="osm4eo-xr",
    help="Land-use maps of whole countries at 10 m, from OpenStreetMap and Sentinel-2.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(models.app, name="models")

Center = Literal[
    "original-train",
    "original-predict",
    "0",
    "1",
    "2",
    "3",
    "4",
    "5",
    "6",
    "7",
    "8",
    "9",
    "10",
    "11",
]

ClassMap = Annotated[Path, typer.Argument(help="Class map (GeoTIFF, COG or VRT).")]
ModelFolder = Annotated[Path, typer.Option("--model", help="Folder of a trained model.")]
SceneFiles = Annotated[list[Path], typer.Argument(help="A multi-band raster, or a file per band.")]


def main() -> None:
    """Run the command line; bad input ends with one line and exit code 1, wrong usage with 2.

    A signal ends it with 143 (SIGTERM) or 130 (SIGINT), an error that nobody foresaw with 70.
    """
    # Arrow's own pool keeps what it once had; land use is read before a map needs its memory.
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    # XLA's alarm on slow compilation; what fails there is raised as well. Read when jax is loaded.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    spell = Spelling(app, sys.argv[1:])
    warnings.showwarning = partial(show_warning, spell=spell)
    raise_open_files()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # names beyond a locale's letters must not end us
    if (limit := address_limit()) is not None:
        print_note(limit)
    with ended_by_signals():
        try:
            app()
        except Exception as error:  # noqa: BLE001 - no traceback at the command line
            sys.exit(report_failure(error, spell))


@app.command()
def demo(out: Out = Path("osm4eo-demo"), seed: Seed = 0) -> None:
    """Go the whole way, from OpenStreetMap to a water layer, on the data in the package."""
    from osm4eo_xr.demo.run import run_demo

    on_signal_stays(f"finished pieces stay in {out}; run the same command again to go on")
    run_demo(out, seed=seed)


for command in (
    labels.labels,
    labels.agree,
    labels.composite,
    training.samples,
    training.train,
    training.crossvalidate,
    places.init,
    places.tiles,
    places.search,
    places.fetch,
    warm.warm,
    viewing.view,
    accuracy.design_points,
    accuracy.assess,
    accuracy.compare,
    accuracy.change,
):
    app.command()(command)


@app.command()
def classify(
    scene: SceneFiles,
    model: ModelFolder,
    out: Out,
    *,
    probabilities: Annotated[
        Path | None, typer.Option(help="Also write per-class probabilities (0-250, 255 no data).")
    ] = None,
    confidence: Annotated[
        Path | None, typer.Option(help="Also write the greatest probability (0-250).")
    ] = None,
    margin: Annotated[
        Path | None, typer.Option(help="Also write the greatest less the second (0-250).")
    ] = None,
    center: Annotated[
        Center | None,
        typer.Option(
            help="Window models: original-train (r-5 … r+6), original-predict or 0-11.",
        ),
    ] = None,
    engine: Annotated[
        Literal["auto", "jax", "onnx", "winograd"],
        typer.Option(help="What computes; onnx is an extra."),
    ] = "auto",
    scale: Scale = None,
    offset: Offset = None,
    nodata: NoData = None,
    mask_clouds: MaskClouds = None,
    level: LevelOf = None,
    overwrite: Overwrite = False,
) -> None:
    """Classify a scene with a trained model."""
    from osm4eo_xr.cogs.cog_set import write_maps
    from osm4eo_xr.inference.prediction import classify as predict
    from osm4eo_xr.inference.prediction import read_throughput
    from osm4eo_xr.inference.worker import compile_inference
    from osm4eo_xr.models.model import load_model
    from osm4eo_xr.process.background import do_ahead

    how: Any = {"engine": engine, "center": int(center) if center and center.isdigit() else center}
    asked = {
        "classes": out,
        "confidence": confidence,
        "margin": margin,
        "probabilities": probabilities,
    }
    files: Asked = [(path, RASTER) for path in asked.values()]
    with outputs(files, [*scene, model], overwrite=overwrite) as place:
        paths = {name: place(path) for name, path in asked.items() if path}
        trained = load_model(model)
        do_ahead(partial(compile_inference, trained.net, how["engine"]))
        opened = open_checked(scene, scale, offset, nodata, mask=mask_clouds, level=level)
        maps = predict(opened, trained, outputs=list(paths), **how)
        with piece_bars() as watch:
            write_maps(maps, paths, legend=trained.legend, watch=watch)
    print_throughput(read_throughput())


@app.command()
def sieve(
    class_map: ClassMap,
    out: Out,
    size: Annotated[int, typer.Option(help="Smallest region that is kept, in pixels.")] = 64,
    connectivity: Annotated[
        Literal["4", "8"], typer.Option(help="Neighbors that make pixels one region.")
    ] = "8",
    protect: Annotated[
        list[str] | None,
        typer.Option("--protect", help="Class to keep whatever its size, by name, id or clc:NN."),
    ] = None,
    legend: LegendFile = None,
    overwrite: Overwrite = False,
) -> None:
    """Merge regions below a size into their largest neighbor, exactly as GDAL does.

    The file is read twice and never held whole. Its no-data pixels (0 if it names none) stay.
    """
    from osm4eo_xr.cogs.cog import write_cog
    from osm4eo_xr.process.background import do_ahead
    from osm4eo_xr.rasters.open import open_raster
    from osm4eo_xr.sieving.lazy_sieve import compile_sieve, watch_borders
    from osm4eo_xr.sieving.lazy_sieve import sieve as sieve_map

    with outputs([(out, RASTER)], [class_map, legend], overwrite=overwrite) as place:
        do_ahead(compile_sieve)
        classes, opened = read_legend(legend), open_raster(class_map)
        sieved = sieve_map(
            opened,
            size=size,
            connectivity=int(connectivity),
            protected=[classes.find(name).id for name in protect or ()],
            reread=True,
        )
        with piece_bars() as watch, watch_borders(partial(watch, f"borders in {class_map.name}")):
            write_cog(sieved, place(out), legend=classes, progress=partial(watch, out.name))


@app.command()
def mosaic(
    class_maps: Annotated[list[Path], typer.Argument(help="Class maps on one grid.")],
    out: Out,
    boundary: Annotated[
        Path | None, typer.Option("--boundary", help="Vector file to clip to.")
    ] = None,
    country: Annotated[
        str | None, typer.Option("--country", help="Only this country's rows of --boundary.")
    ] = None,
    boundary_layer: BoundaryLayer = None,
    rule: Annotated[
        Literal["majority", "first"] | None, typer.Option(help="Who wins where maps overlap.")
    ] = None,
    legend: LegendFile = None,
    overwrite: Overwrite = False,
) -> None:
    """Join class maps of tiles into one map."""
    from osm4eo_xr.maps.country_mosaic import mosaic as join
    from osm4eo_xr.rasters.open import open_raster

    inputs = [*class_maps, boundary, legend]
    with outputs([(out, RASTER)], inputs, overwrite=overwrite) as place:
        outline = read_outline(boundary, country, boundary_layer)
        joined = join([open_raster(path) for path in class_maps], outline, rule=rule)
        write_raster(joined, place(out), read_legend(legend))


@app.command()
def extract(
    class_map: ClassMap,
    layer: Annotated[list[str], typer.Option("--layer", help="Class by name, id or clc:NN.")],
    out: Out,
    codes: Annotated[Literal["id", "clc", "mask"], typer.Option(help="What pixels hold.")] = "id",
    min_area: Annotated[float, typer.Option(min=0, help="Smallest patch and hole, m².")] = 0.0,
    threshold: Annotated[
        float | None, typer.Option(help="CLASS_MAP holds probabilities; least one, 0 to 1.")
    ] = None,
    vector: Annotated[
        Path | None, typer.Option(help="Also write polygons (.gpkg or .parquet).")
    ] = None,
    simplify: Annotated[float, typer.Option(min=0, help="Tolerance of polygons, m.")] = 0.0,
    legend: LegendFile = None,
    overwrite: Overwrite = False,
) -> None:
    """Extract one or several layers, for example water, from a class map."""
    from osm4eo_xr.geometry.vectors import write_vector
    from osm4eo_xr.maps.layers import extract_layer
    from osm4eo_xr.maps.polygons import to_vector
    from osm4eo_xr.rasters.open import open_probabilities, open_raster

    asked: Asked = [(out, RASTER), (vector, VECTOR)]
    with outputs(asked, [class_map, legend], overwrite=overwrite) as place:
        classes = read_legend(legend)
        opened = open_raster(class_map) if threshold is None else open_probabilities(class_map)
        how: Any = {"codes": codes, "min_area": min_area, "threshold": threshold}
        picked = extract_layer(opened, layer, legend=classes, **how)
        write_raster(picked, place(out), classes)
        if vector is not None:
            written = open_raster(place(out)).assign_attrs(picked.attrs)
            with progress_bar(vector.name) as progress:
                shapes = to_vector(written, legend=classes, simplify=simplify, progress=progress)
            write_vector(shapes, place(vector))


@app.command()
def run(
    country: Annotated[Path, typer.Argument(help="Country file (TOML).")],
    cluster: Annotated[
        str | None, typer.Option(help="Cluster to compute on, instead of the file's.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be done and submitted.")
    ] = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="Read every product again; remake what differs.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Make all maps of a country file; what is whole already is kept."""
    from osm4eo_xr.country.run import plan_country, run_country
    from osm4eo_xr.country.settings_file import read_country

    if as_json and not dry_run:
        raise InputError("--json without --dry-run", expected="a plan to print")
    if dry_run:
        planned = plan_country(country, verify=verify)
        if as_json:
            print_json(planned)
            return
        print_plan(planned)
        _print_scripts(cluster or read_country(country).cluster)
        return
    on_signal_stays("finished pieces stay; run the same command again to go on")
    with piece_bars() as watch:
        out = run_country(country, cluster=cluster, watch=watch, verify=verify)
    OUT.print(str(out), soft_wrap=True, highlight=False)


@app.command()
def doctor(
    cluster: Annotated[
        str, typer.Option(help="Cluster (name or YAML file) whose workers to look at.")
    ] = "local",
    wait: Annotated[
        float, typer.Option(min=1, help="Seconds to wait for workers, in the queue too.")
    ] = 600,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print the job scripts.")] = False,
    as_json: Json = False,
) -> None:
    """Say whether a run would work here and on a cluster, and what mends it if not."""
    if dry_run:
        _print_scripts(cluster)
        return
    from osm4eo_xr.cluster.doctor import examine

    findings = examine(cluster, wait=wait, report=print_note)
    (print_json if as_json else print_findings)(findings)
    if any(f.state == "wrong" for f in findings):
        raise typer.Exit(1)


def _print_scripts(cluster: str) -> None:
    """Print the script of each kind of job that a cluster would submit; nothing without jobs."""
    from osm4eo_xr.cluster.jobs import job_scripts
    from osm4eo_xr.cluster.site import BatchSite
    from osm4eo_xr.cluster.site_file import load_site

    site = load_site(cluster) if cluster else None
    if not isinstance(site, BatchSite):
        return
    for kind, script in job_scripts(site).items():
        print_note(f"a {kind} job is submitted with {site.submit_command}:")
        OUT.out(script, highlight=False)


def _print_version(show: bool) -> None:
    if show:
        print_versions()
        raise typer.Exit


@app.callback()
def _root(
    context: typer.Context,
    *,
    cluster: Annotated[
        str | None, typer.Option(help="Cluster (name or YAML file) to compute on.")
    ] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Threads; of each worker if there is a cluster.")
    ] = None,
    memory: Annotated[
        str | None, typer.Option(help='Memory of each worker of a cluster, such as "8 GB".')
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Show no progress.")] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", help="Show what the steps log, and whole tracebacks.")
    ] = False,
    log_file: Annotated[
        Path | None, typer.Option(help="Append what happens to this file, a JSON line each.")
    ] = None,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print versions and devices."
        ),
    ] = False,
) -> None:
    del version  # handled by its callback
    if log_file is not None:
        context.with_resource(logged(log_file))
    if verbose:
        show_debug()
    show_progress(not quiet)
    if cluster or threads or memory:
        context.with_resource(computing_on(cluster, threads, memory))
