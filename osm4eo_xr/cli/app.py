"""The ``osm4eo-xr`` command: parse, call, print.

Every command imports the step it needs when it runs, so ``--help`` answers at once.
"""

from __future__ import annotations

import io
import json
import os
import shlex
import sys
import warnings
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from osm4eo_xr.cli.commands import (
    accuracy,
    labels,
    maps,
    models,
    places,
    review,
    training,
    viewing,
    warm,
)
from osm4eo_xr.cli.computing import ComputingCommand, Place
from osm4eo_xr.cli.console import (
    print_findings,
    print_json,
    print_note,
    print_plan,
    print_versions,
    show_warning,
)
from osm4eo_xr.cli.failures import report_failure
from osm4eo_xr.cli.given import refuse_given_beside
from osm4eo_xr.cli.logs import logged, show_debug
from osm4eo_xr.cli.options import Json, Out, Seed  # noqa: TC001 - typer reads them
from osm4eo_xr.cli.signals import ended_by_signals, on_signal_stays
from osm4eo_xr.cli.spelling import Spelling
from osm4eo_xr.errors import InputError
from osm4eo_xr.process.node import address_limit, raise_open_files
from osm4eo_xr.progress import ERR, OUT, piece_bars, show_progress

if TYPE_CHECKING:
    from osm4eo_xr.cluster.site import Site

app = typer.Typer(
    name="osm4eo-xr",
    help="Land-use maps of whole countries at 10 m, from OpenStreetMap and Sentinel-2.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(models.app, name="models")


def main() -> None:
    """Run the command line; bad input ends with one line and exit code 1, wrong usage with 2.

    A signal ends it with 143 (SIGTERM) or 130 (SIGINT), an error that nobody foresaw with 70.
    """
    # Arrow's own pool keeps what it once had; land use is read before a map needs its memory.
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    # XLA's alarm on slow compilation; what fails there is raised as well. Read when jax is loaded.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    spell = Spelling(app, sys.argv[1:])
    warnings.showwarning = partial(show_warning, spell=spell, seen=set())
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
def demo(context: typer.Context, out: Out = Path("osm4eo-demo"), seed: Seed = 0) -> None:
    """Go the whole way, from OpenStreetMap to a water layer, on the data in the package."""
    from osm4eo_xr.demo.run import run_demo

    place: Place = context.obj
    place.refuse_cluster("demo, which computes on cluster local")
    on_signal_stays(f"finished pieces stay in {out}; run the same command again to go on")
    with place.here():
        run_demo(out, seed=seed)


for command in (
    labels.labels,
    labels.agree,
    labels.composite,
    training.samples,
    training.train,
    training.crossvalidate,
    training.ablate,
    training.applicability,
    maps.classify,
    maps.sieve,
    maps.mosaic,
    maps.extract,
    places.init,
    places.tiles,
    places.search,
    places.fetch,
    warm.warm,
    viewing.view,
    accuracy.design_points,
    accuracy.assess,
    accuracy.lucas,
    accuracy.compare,
    accuracy.change,
    review.review,
):
    app.command(cls=ComputingCommand)(command)


@app.command()
def run(
    context: typer.Context,
    country: Annotated[Path, typer.Argument(help="Country file (TOML).")],
    cluster: Annotated[
        str | None, typer.Option(help="Cluster to compute on; the file's if none is named.")
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
    from osm4eo_xr.country.settings_file import cluster_of, read_country

    if as_json and not dry_run:
        raise InputError("--json without --dry-run", expected="a plan to print")
    place: Place = context.obj
    named = cluster or place.cluster
    if named is None:
        named = cluster_of(read_country(country), country.resolve().parent)  # a link as a run does
    site = place.site(named) if named else None
    if dry_run:
        planned = plan_country(country, verify=verify)
        if as_json:
            print_json(planned)
            return
        print_plan(planned)
        _print_scripts(site)
        return
    on_signal_stays("finished pieces stay; run the same command again to go on")
    with piece_bars() as watch, nullcontext() if site else place.here():
        out = run_country(country, cluster=site, watch=watch, verify=verify)
    shown = f"to look at the maps in a browser: osm4eo-xr view {shlex.quote(str(out))}"
    ERR.print(shown, soft_wrap=True, highlight=False, markup=False)
    for line in (*_layers_of(out), str(out / "report.html"), str(out)):
        OUT.print(line, soft_wrap=True, highlight=False)


def _layers_of(out: Path) -> list[str]:
    """Return a line for each layer of a finished run: its file and its ground."""
    told = json.loads((out / "report.json").read_text(encoding="utf-8"))
    return [f"{out / layer['file']}: {layer['km2']:,.2f} km²" for layer in told.get("layers", ())]


@app.command()
def doctor(
    context: typer.Context,
    cluster: Annotated[
        str | None,
        typer.Option(
            help="Cluster (name or YAML file) whose workers to look at.", show_default="local"
        ),
    ] = None,
    wait: Annotated[
        float, typer.Option(min=1, help="Seconds to wait for workers, in the queue too.")
    ] = 600,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print the job scripts.")] = False,
    keys: Annotated[
        bool, typer.Option("--keys", help="Only print every key of a cluster's YAML file.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Say whether a run would work here and on a cluster, and what mends it if not."""
    if keys:
        refuse_given_beside(context, "--keys", "cluster", "wait", "dry_run", "as_json")
        from osm4eo_xr.cluster.site_file import site_keys

        OUT.out(site_keys(), highlight=False)
        return
    place: Place = context.obj
    site = place.site(cluster or place.cluster or "local")
    if dry_run:
        refuse_given_beside(context, "--dry-run", "wait", "as_json")
        _print_scripts(site)
        return
    from osm4eo_xr.cluster.doctor import examine

    findings = examine(site, wait=wait, report=print_note)
    (print_json if as_json else print_findings)(findings)
    if any(f.state == "wrong" for f in findings):
        raise typer.Exit(1)


def _print_scripts(site: Site | None) -> None:
    """Print the script of each kind of job that a cluster would submit; nothing without jobs."""
    from osm4eo_xr.cluster.checks import image_fault
    from osm4eo_xr.cluster.job_scripts import job_scripts
    from osm4eo_xr.cluster.site import BatchSite

    if not isinstance(site, BatchSite):
        return
    if fault := image_fault(site.python):
        print_note("; ".join(fault))
    for kind, script in job_scripts(site).items():
        numbers = site.groups[kind].numbers
        print_note(f"{kind}: {numbers}; each is submitted with {site.submit_command}:")
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
        int | None,
        typer.Option(min=1, help="Threads that compute; of each worker if there is a cluster."),
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
    context.obj = Place(cluster, threads, memory)
