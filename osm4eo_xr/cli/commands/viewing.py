"""The command that shows a result in a browser."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Annotated, Any

import typer

from osm4eo_xr.cli.console import print_note
from osm4eo_xr.cli.given import refuse_given_beside
from osm4eo_xr.cli.options import LegendFile, Overwrite, read_legend
from osm4eo_xr.cli.outputs import VIEWER, outputs
from osm4eo_xr.cli.signals import Ended
from osm4eo_xr.errors import InputError
from osm4eo_xr.progress import OUT, progress_bar


def view(
    context: typer.Context,
    result: Annotated[
        Path, typer.Argument(help="Folder or country file of a finished run, or a class map.")
    ],
    *,
    scene: Annotated[
        list[Path] | None, typer.Option("--scene", help="Beside a class map: the scene's files.")
    ] = None,
    labels: Annotated[Path | None, typer.Option(help="Beside a class map: labels.")] = None,
    provenance: Annotated[
        Path | None, typer.Option(help="Beside a class map: where its classes are from.")
    ] = None,
    confidence: Annotated[
        Path | None, typer.Option(help="Beside a class map: its greatest probabilities.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder to keep; viewer/ in a run's folder.")
    ] = None,
    static: Annotated[
        bool, typer.Option("--static", help="Only write the folder; serve nothing.")
    ] = False,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to serve at; 0 takes a free one.")
    ] = 0,
    legend: LegendFile = None,
    overwrite: Overwrite = False,
) -> None:
    """Show maps in a browser: scene, map, labels, provenance and confidence, to swipe and click.

    The folder it writes holds all it needs, works from disk, on any web server and through
    Jupyter's proxy, and asks no other machine for anything.
    """
    if static:
        refuse_given_beside(context, "--static", "port")
    named = {"scene": scene, "labels": labels, "provenance": provenance, "confidence": confidence}
    if not result.exists():
        raise InputError(
            f"no file or folder {result}",
            expected="the folder or country file of a finished run, or a class map",
        )
    if result.is_dir() or result.suffix.lower() == ".toml":
        given = [name for name, value in (named | {"legend": legend}).items() if value]
        if given:
            raise InputError(f"--{given[0]} with a run", expected="it beside a class map alone")
        folder = _of_run(result, out, overwrite=overwrite)
        _offer(folder, port, static=static)
        return
    if out is not None:
        read = [result, *(scene or ()), labels, provenance, confidence, legend]
        with outputs([(out, VIEWER)], read, overwrite=overwrite) as place:
            _of_map(place(out), result, named, legend)
        _offer(out, port, static=static)
        return
    if static:
        raise InputError("--static without --out", expected="a folder to write", advice="add --out")
    from osm4eo_xr.files import scratch_folder

    with scratch_folder("osm4eo-viewer-") as scratch:
        _of_map(scratch / "viewer", result, named, legend)
        _offer(scratch / "viewer", port, static=False)


def _of_run(result: Path, out: Path | None, *, overwrite: bool) -> Path:
    """Write the viewer of a run, if there is none of the same files."""
    from osm4eo_xr.cli.outputs import check_outputs
    from osm4eo_xr.country.context import VIEWER as FOLDER
    from osm4eo_xr.country.viewing import open_run, write_run_viewer

    run = open_run(result)
    folder = out or run.out / FOLDER
    check_outputs([(folder, VIEWER)], [], overwrite=overwrite or out is None)
    with progress_bar("web tiles") as progress:
        write_run_viewer(run, folder, progress=progress)
    return folder


def _of_map(folder: Path, class_map: Path, named: dict[str, Any], legend: Path | None) -> None:
    """Write the viewer of a class map and what is named beside it."""
    from osm4eo_xr.imagery.scenes import open_scene
    from osm4eo_xr.rasters.open import open_bands, open_raster
    from osm4eo_xr.viewer.shown import write_map_viewer

    openers = {"scene": open_scene, "confidence": open_bands}
    opened = {k: openers.get(k, open_raster)(v) for k, v in named.items() if v}
    shown = open_raster(class_map)
    how: Any = {"legend": read_legend(legend, shown), "title": class_map.stem}
    with progress_bar("web tiles") as progress:
        write_map_viewer(folder, shown, **opened, **how, progress=progress)


def _offer(folder: Path, port: int, *, static: bool) -> None:
    """Print where the page is, and serve it until a signal ends the command."""
    from osm4eo_xr.viewer.folder import PAGE
    from osm4eo_xr.viewer.serving import served

    if static:
        OUT.print(str(folder / PAGE), soft_wrap=True, highlight=False)
        return
    with served(folder, port) as address:
        OUT.print(address, soft_wrap=True, highlight=False)
        print_note(
            "open this address in a browser; behind Jupyter's proxy it is proxy/"
            f"{address.rsplit(':', 1)[1]} after the server's own. Ctrl-C ends"
        )
        try:
            signal.pause()
        except Ended as ended:  # Ctrl-C is how a server is meant to end
            if ended.number != signal.SIGINT:
                raise
