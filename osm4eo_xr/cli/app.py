"""The ``osm4eo-xr`` command: parse, call, print.

Every command imports the step it needs when it runs, so ``--help`` answers at once.
"""

from __future__ import annotations

import os
import signal
import sys
import warnings
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from osm4eo_xr._version import __version__
from osm4eo_xr.cli import labels, models, training
from osm4eo_xr.cli.console import (
    print_error,
    print_findings,
    print_note,
    print_plan,
    print_throughput,
    show_warning,
)
from osm4eo_xr.cli.options import (
    BoundaryLayer,
    LegendFile,
    Out,
    Seed,
    read_legend,
    read_outline,
    write_raster,
)
from osm4eo_xr.errors import InputError
from osm4eo_xr.progress import OUT, piece_bars, progress_bar

app = typer.Typer(
    name="osm4eo-xr",
    help="Land-use maps of whole countries at 10 m, from OpenStreetMap and Sentinel-2.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(models.app, name="models")

ClassMap = Annotated[Path, typer.Argument(help="Class map (GeoTIFF, COG or VRT).")]
ModelFolder = Annotated[Path, typer.Option("--model", help="Folder of a trained model.")]
SceneFiles = Annotated[list[Path], typer.Argument(help="A multi-band raster, or a file per band.")]


_ENDED_BY_SIGTERM = 128 + signal.SIGTERM  # as shells say it


def main() -> None:
    """Run the command line; bad input ends with one line and exit code 1, wrong usage with 2."""
    # Arrow's own pool keeps what it once had; land use is read before a map needs its memory.
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    warnings.showwarning = show_warning
    try:
        app()
    except InputError as error:
        print_error(error)
        sys.exit(1)
    except OSError as error:
        print_error(f"{error.strerror or error}: {error.filename}" if error.filename else error)
        sys.exit(1)


@app.command()
def demo(out: Out = Path("osm4eo-demo"), seed: Seed = 0) -> None:
    """Go the whole way, from OpenStreetMap to a water layer, on the data in the package."""
    from osm4eo_xr.demo.run import run_demo

    run_demo(out, seed=seed)


for command in (
    labels.labels,
    labels.agree,
    labels.composite,
    training.samples,
    training.train,
):
    app.command()(command)


@app.command()
def classify(
    scene: SceneFiles,
    model: ModelFolder,
    out: Out,
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
        str | None,
        typer.Option(help="Window models: original-train (r-5 … r+6), original-predict or 0-11."),
    ] = None,
    engine: Annotated[str, typer.Option(help="auto, jax, onnx (extra onnx) or winograd.")] = "auto",
) -> None:
    """Classify a scene with a trained model."""
    from osm4eo_xr.cogs.cog_set import write_maps
    from osm4eo_xr.imagery.scenes import open_scene
    from osm4eo_xr.inference.prediction import classify as predict
    from osm4eo_xr.inference.prediction import read_throughput
    from osm4eo_xr.models.model import load_model

    how: Any = {"engine": engine, "center": int(center) if center and center.isdigit() else center}
    asked = {
        "classes": out,
        "confidence": confidence,
        "margin": margin,
        "probabilities": probabilities,
    }
    paths = {name: path for name, path in asked.items() if path}
    trained = load_model(model)
    maps = predict(open_scene(scene), trained, outputs=list(paths), **how)
    with piece_bars() as watch:
        written = write_maps(maps, paths, legend=trained.legend, watch=watch)
    for path in written:
        OUT.print(str(path), soft_wrap=True, highlight=False)
    print_throughput(read_throughput())


@app.command()
def sieve(
    class_map: ClassMap,
    out: Out,
    size: Annotated[int, typer.Option(help="Smallest region that is kept, in pixels.")] = 64,
    connectivity: Annotated[int, typer.Option(help="4 or 8 neighbors.")] = 8,
    protect: Annotated[
        list[str] | None,
        typer.Option("--protect", help="Class to keep whatever its size, by name, id or clc:NN."),
    ] = None,
    legend: LegendFile = None,
) -> None:
    """Merge regions below a size into their largest neighbor, exactly as GDAL does.

    The file is read twice and never held whole. Its no-data pixels (0 if it names none) stay.
    """
    from osm4eo_xr.cogs.cog import write_cog
    from osm4eo_xr.rasters.open import open_raster
    from osm4eo_xr.sieving.lazy_sieve import sieve as sieve_map
    from osm4eo_xr.sieving.lazy_sieve import watch_borders

    classes, opened = read_legend(legend), open_raster(class_map)
    sieved = sieve_map(
        opened,
        size=size,
        connectivity=connectivity,
        nodata=opened.attrs["nodata"],
        protected=[classes.find(name).id for name in protect or ()],
        reread=True,
    )
    with piece_bars() as watch, watch_borders(partial(watch, f"borders in {class_map.name}")):
        write_cog(sieved, out, legend=classes, progress=partial(watch, out.name))
    OUT.print(str(out), soft_wrap=True, highlight=False)


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
        str | None, typer.Option(help="Who wins where maps overlap: majority or first.")
    ] = None,
    legend: LegendFile = None,
) -> None:
    """Join class maps of tiles into one map."""
    from osm4eo_xr.maps.country_mosaic import mosaic as join
    from osm4eo_xr.rasters.open import open_raster

    outline = read_outline(boundary, country, boundary_layer)
    joined = join([open_raster(path) for path in class_maps], outline, rule=rule)
    write_raster(joined, out, read_legend(legend))


@app.command()
def extract(
    class_map: ClassMap,
    layer: Annotated[list[str], typer.Option("--layer", help="Class by name, id or clc:NN.")],
    out: Out,
    codes: Annotated[str, typer.Option(help="What pixels hold: id, clc or mask.")] = "id",
    min_area: Annotated[float, typer.Option(min=0, help="Smallest patch and hole, m².")] = 0.0,
    threshold: Annotated[
        float | None, typer.Option(help="CLASS_MAP holds probabilities; least one, 0 to 1.")
    ] = None,
    vector: Annotated[
        Path | None, typer.Option(help="Also write polygons (.gpkg or .parquet).")
    ] = None,
    simplify: Annotated[float, typer.Option(min=0, help="Tolerance of polygons, m.")] = 0.0,
    legend: LegendFile = None,
) -> None:
    """Extract one or several layers, for example water, from a class map."""
    from osm4eo_xr.maps.layers import extract_layer
    from osm4eo_xr.maps.polygons import check_vector_path, to_vector, write_vector
    from osm4eo_xr.rasters.open import open_probabilities, open_raster

    if vector is not None:
        check_vector_path(vector)
    classes = read_legend(legend)
    opened = open_raster(class_map) if threshold is None else open_probabilities(class_map)
    how: Any = {"codes": codes, "min_area": min_area, "threshold": threshold}
    picked = extract_layer(opened, layer, legend=classes, **how)
    write_raster(picked, out, classes)
    if vector is not None:
        written = open_raster(out).assign_attrs(picked.attrs)
        with progress_bar(vector.name) as progress:
            shapes = to_vector(written, legend=classes, simplify=simplify, progress=progress)
        OUT.print(str(write_vector(shapes, vector)), soft_wrap=True, highlight=False)


@app.command()
def assess(
    class_map: ClassMap,
    points: Annotated[
        Path, typer.Option("--points", help="Vector file or table (lon, lat) with classes.")
    ],
    out: Out,
    column: Annotated[
        str | None, typer.Option(help="Column that holds the class (class_id, class, label, clc).")
    ] = None,
    points_layer: Annotated[
        str, typer.Option("--points-layer", help="Layer of --points, if it has several.")
    ] = "",
    legend: LegendFile = None,
) -> None:
    """Compare a class map with reference points and write the scores as JSON."""
    from osm4eo_xr.accuracy.estimators import assess as compare
    from osm4eo_xr.rasters.open import open_raster

    how: Any = {"legend": read_legend(legend), "column": column, "layer": points_layer}
    report = compare(open_raster(class_map), points, **how)
    OUT.print(report)
    report.save(out)


@app.command()
def run(
    country: Annotated[Path, typer.Argument(help="Country file (TOML).")],
    cluster: Annotated[
        str | None, typer.Option(help="Cluster to compute on, instead of the file's.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be done and submitted.")
    ] = False,
) -> None:
    """Make all maps of a country file; what is whole already is kept."""
    from osm4eo_xr.country.run import plan_country, run_country
    from osm4eo_xr.country.settings_file import read_country

    if dry_run:
        print_plan(plan_country(country))
        _print_scripts(cluster or read_country(country).cluster)
        return
    # A batch system ends a job with SIGTERM first: time to give the worker jobs back.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(_ENDED_BY_SIGTERM))
    with piece_bars() as watch:
        out = run_country(country, cluster=cluster, watch=watch)
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
) -> None:
    """Say whether a run would work here and on a cluster, and what mends it if not."""
    if dry_run:
        _print_scripts(cluster)
        return
    from osm4eo_xr.cluster.doctor import examine

    findings = examine(cluster, wait=wait, report=print_note)
    print_findings(findings)
    if any(f.state == "wrong" for f in findings):
        raise typer.Exit(1)


@app.command()
def tiles(
    country: Annotated[str, typer.Argument(help="Code, ISO code or English name.")],
) -> None:
    """List the tiles that cover a country."""
    from osm4eo_xr.countries import find_country

    found = find_country(country)
    OUT.print(" ".join(found.tiles), highlight=False)
    if found.stated != len(found.tiles):
        print_note(f"{found.name}: the original states {found.stated} tiles and lists these")


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
        OUT.print(f"osm4eo_xr {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    del version  # handled by its callback
