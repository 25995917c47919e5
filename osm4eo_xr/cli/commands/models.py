"""The ``osm4eo-xr models`` commands: list, show, verify, import-keras."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from osm4eo_xr.cli.console import print_error, print_json
from osm4eo_xr.cli.options import Json, Out, Overwrite  # noqa: TC001 - typer reads them
from osm4eo_xr.cli.outputs import MODEL, check_outputs
from osm4eo_xr.errors import InputError
from osm4eo_xr.progress import OUT

if TYPE_CHECKING:
    from osm4eo_xr.models.model import Model

app = typer.Typer(
    help="List, show, check and import models.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)

ModelPath = Annotated[Path, typer.Argument(help="Folder of a model.")]


@app.command("list")
def list_models(
    folder: Annotated[Path, typer.Argument(help="Where to look, subfolders included.")] = Path(
        "models"
    ),
    as_json: Json = False,
) -> None:
    """List the models in a folder; damaged ones are named on standard error."""
    from osm4eo_xr.models.catalog import find_models
    from osm4eo_xr.models.model import load_model

    table, found = Table(), []
    for heading in ("folder", "mode", "depth", "bands", "classes", "field / px", "SHA-256"):
        table.add_column(heading, overflow="fold")
    for path in find_models(folder):
        try:
            model = load_model(path)
        except InputError as error:
            print_error(error)
            continue
        net = model.net
        numbers = (net.depth, net.bands, net.classes, model.receptive_field)
        table.add_row(str(path), net.mode, *map(str, numbers), model.digest[:12])
        found.append({"folder": str(path), **_facts(model)})
    if as_json:
        print_json(found)
    else:
        OUT.print(table)


@app.command()
def show(
    model: ModelPath,
    stac: Annotated[
        bool, typer.Option("--stac", help="Print a STAC item (MLM extension) instead.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show what a model is and takes."""
    from osm4eo_xr.models.model import load_model
    from osm4eo_xr.models.stac_mlm import stac_item

    loaded = load_model(model)
    if stac:
        OUT.print_json(json.dumps(stac_item(loaded)), ensure_ascii=False)
        return
    if as_json:
        print_json(_facts(loaded))
        return
    table = Table(show_header=False, box=None)
    for fact, value in _facts(loaded).items():
        table.add_row(fact, value)
    OUT.print(table)


@app.command()
def verify(model: ModelPath) -> None:
    """Check a model: record, hashes, receptive field, and one forward pass."""
    from osm4eo_xr.models.catalog import verify_model

    for check in verify_model(model):
        OUT.print(f"[green]ok[/] {check}", soft_wrap=True, highlight=False)


@app.command("import-keras")
def import_keras(
    file: Annotated[Path, typer.Argument(help="Network of the original, saved by Keras (.h5).")],
    out: Out,
    band: Annotated[
        list[str] | None, typer.Option("--band", help="Common name of each input, in order.")
    ] = None,
    legend: Annotated[Path | None, typer.Option("--legend", help="Legend as TOML.")] = None,
    overwrite: Overwrite = False,
) -> None:
    """Make a model folder of a network that the original system trained."""
    from osm4eo_xr.legend import load_legend
    from osm4eo_xr.models.keras_import import import_keras as read
    from osm4eo_xr.models.model import save_model

    check_outputs([(out, MODEL)], [file, legend], overwrite=overwrite)
    model = read(file, bands=band, legend=load_legend(legend) if legend else None)
    OUT.print(f"model in {save_model(model, out)}", soft_wrap=True, highlight=False)


def _facts(model: Model) -> dict[str, str]:
    """Return what people ask of a model."""
    net, normal = model.net, model.normalization
    scaling = "scene range to -1 … 1"
    if normal.kind == "fixed":
        pairs = zip(model.bands, normal.offset, normal.scale, strict=True)
        scaling = ", ".join(f"{band} ({low:.4g}, {scale:.4g})" for band, low, scale in pairs)
    facts = {
        "name": model.name,
        "network": f"ResNet v2, depth {net.depth}, {net.mode}, {net.kernel}x{net.kernel} kernels",
        "bands": ", ".join(model.bands),
        "unit": model.units,
        "normalization": scaling,
        "classes": ", ".join(
            f"{i} {model.legend.by_id[i].slug}" for i in model.class_ids if i in model.legend.by_id
        ),
        "receptive field": f"{model.receptive_field} px, stride {model.stride} px",
        "SHA-256": model.digest,
    }
    if net.mode == "window":
        before = int(model.center or 0)
        facts["window"] = f"rows r-{before} … r+{net.window - before - 1}"
    score = model.training.get("best_epoch")
    return facts if score is None else {**facts, "best epoch": str(score)}
