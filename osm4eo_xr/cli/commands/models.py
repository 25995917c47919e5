"""The ``osm4eo-xr models`` commands: list, show, verify, import-keras, catalog, pull, push."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from osm4eo_xr.cli.computing import LocalCommand
from osm4eo_xr.cli.console import print_error, print_json
from osm4eo_xr.cli.options import Json, Out, Overwrite  # noqa: TC001 - typer reads them
from osm4eo_xr.cli.outputs import MODEL, check_outputs
from osm4eo_xr.errors import InputError
from osm4eo_xr.progress import OUT
from osm4eo_xr.tables import Table

if TYPE_CHECKING:
    from osm4eo_xr.models.exchange.entries import ModelEntry
    from osm4eo_xr.models.model import Model

app = typer.Typer(
    help="List, show, check, import, publish and fetch models.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)

ModelPath = Annotated[Path, typer.Argument(help="Folder of a model.")]
Catalog = Annotated[
    str | None,
    typer.Option(
        "--catalog",
        envvar="OSM4EO_XR_MODELS",
        help="Folder or address of the catalog that has the name.",
        show_default="the package's own",
    ),
]


@app.command("list", cls=LocalCommand)
def list_models(
    folder: Annotated[Path, typer.Argument(help="Where to look, subfolders included.")] = Path(
        "models"
    ),
    as_json: Json = False,
) -> None:
    """List the models in a folder; damaged ones are named on standard error."""
    from osm4eo_xr.models.catalog import find_models
    from osm4eo_xr.models.model_folder import load_model

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


@app.command(cls=LocalCommand)
def show(
    model: ModelPath,
    stac: Annotated[
        bool, typer.Option("--stac", help="Print a STAC item (MLM extension) instead.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show what a model is and takes."""
    from osm4eo_xr.models.model_folder import load_model
    from osm4eo_xr.models.stac_mlm import stac_item

    loaded = load_model(model)
    if stac:
        OUT.print_json(json.dumps(stac_item(loaded)), ensure_ascii=False)
        return
    if as_json:
        print_json(_facts(loaded))
        return
    table = Table(show_header=False, box=None)
    table.add_column(no_wrap=True)
    table.add_column()
    for fact, value in _facts(loaded).items():
        table.add_row(fact, value)
    OUT.print(table)


@app.command(cls=LocalCommand)
def verify(model: ModelPath) -> None:
    """Check a model: record, hashes, receptive field, and one forward pass."""
    from osm4eo_xr.models.catalog import verify_model

    for check in verify_model(model):
        OUT.print(f"[green]ok[/] {check}", soft_wrap=True, highlight=False)


@app.command("import-keras", cls=LocalCommand)
def import_keras(
    file: Annotated[Path, typer.Argument(help="Network of the original, saved by Keras (.h5).")],
    out: Out,
    band: Annotated[
        list[str] | None, typer.Option("--band", help="Common name of each input, in order.")
    ] = None,
    legend: Annotated[
        Path | None, typer.Option("--legend", help="A TOML file, or osmlanduse-13.")
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Make a model folder of a network that the original system trained."""
    from osm4eo_xr.legend import load_legend
    from osm4eo_xr.models.keras_import import import_keras as read
    from osm4eo_xr.models.model_folder import save_model

    check_outputs([(out, MODEL)], [file, legend], overwrite=overwrite)
    model = read(file, bands=band, legend=load_legend(legend) if legend else None)
    OUT.print(f"model in {save_model(model, out)}", soft_wrap=True, highlight=False)


@app.command(cls=LocalCommand)
def catalog(
    source: Annotated[
        str | None,
        typer.Argument(
            envvar="OSM4EO_XR_MODELS",
            help="Folder or address of a catalog.",
            show_default="the package's own",
        ),
    ] = None,
    countries: Annotated[
        bool,
        typer.Option(
            "--countries", help="Tell for each of the original's 28 codes whether it has a model."
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """List the models of a catalog, in a folder or on a web server."""
    from osm4eo_xr.models.exchange.listing import read_model_catalog

    entries = read_model_catalog(source)
    if countries:
        _print_countries({entry.name for entry in entries}, as_json=as_json)
    elif as_json:
        print_json(entries)
    else:
        OUT.print(_catalog_table(entries))


@app.command(cls=LocalCommand)
def pull(
    source: Annotated[
        str,
        typer.Argument(
            help="Name in --catalog, a country there, or the address or path of a model's item."
        ),
    ],
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder to make; models/NAME if left out.")
    ] = None,
    catalog: Catalog = None,
    digest: Annotated[
        str | None,
        typer.Option("--digest", help="Beginning of the SHA-256 that the model must have."),
    ] = None,
    max_gigabytes: Annotated[
        float, typer.Option("--max-gigabytes", min=0, help="Most that a model may hold.")
    ] = 2.0,
    overwrite: Overwrite = False,
) -> None:
    """Fetch a model; its files are checked against their hashes before it is there."""
    from osm4eo_xr.models.exchange.documents import is_document
    from osm4eo_xr.models.exchange.pull import pull_model

    found = pull_model(
        source,
        out,
        catalog=None if is_document(source) else catalog,
        digest=digest,
        max_gigabytes=max_gigabytes,
        overwrite=overwrite,
    )
    OUT.print(f"model in {found}", soft_wrap=True, highlight=False, markup=False)


@app.command(cls=LocalCommand)
def push(
    model: ModelPath,
    catalog: Annotated[
        Path,
        typer.Option(
            "--catalog",
            envvar="OSM4EO_XR_MODELS",
            help="Folder of the catalog; made if it is not there.",
        ),
    ],
    license: Annotated[  # noqa: A002 - as STAC calls it
        str, typer.Option("--license", help="SPDX expression such as CC-BY-4.0, or other.")
    ],
    name: Annotated[
        str | None, typer.Option("--name", help="In the catalog; the folder's if left out.")
    ] = None,
    country: Annotated[
        str | None,
        typer.Option("--country", help="That it was trained for: gives name and training area."),
    ] = None,
    area: Annotated[
        Path | None,
        typer.Option("--area", help="Polygons of the training area; as recorded if left out."),
    ] = None,
    accuracy: Annotated[
        Path | None,
        typer.Option(
            "--accuracy",
            help="JSON report of train or assess; of several in a file FILE#TABLE.",
        ),
    ] = None,
    description: Annotated[
        str, typer.Option("--description", help="What it learned from, what it is for.")
    ] = "",
    overwrite: Overwrite = False,
) -> None:
    """Put a model into a catalog: a folder that any web server can give."""
    from osm4eo_xr.models.exchange.push import push_model

    item = push_model(
        model,
        catalog,
        license=license,
        name=name,
        country=country,
        area=area,
        accuracy=accuracy,
        description=description,
        overwrite=overwrite,
    )
    OUT.print(f"model in {item.parent}", soft_wrap=True, highlight=False, markup=False)


def _catalog_table(entries: tuple[ModelEntry, ...]) -> Table:
    """Set what a catalog says of its models side by side."""
    table = Table()
    table.add_column("name", overflow="fold")
    for heading in ("bands", "classes", "accuracy, 95 %", "trained / km²", "MB", "license"):
        table.add_column(heading)
    for entry in entries:
        accuracy = entry.accuracy.percent() if entry.accuracy else "not stated"
        area = "not stated" if entry.area_km2 is None else f"{entry.area_km2:,.0f}"
        numbers = (str(len(entry.bands)), str(len(entry.classes)), accuracy, area)
        table.add_row(entry.name, *numbers, f"{entry.size / 1e6:.1f}", entry.license)
    return table


def _print_countries(known: set[str], *, as_json: bool) -> None:
    """Print the name of the model of each of the original's countries, and whether it is there."""
    from osm4eo_xr.models.exchange.model_names import original_models
    from osm4eo_xr.places.countries import countries

    names, of_code = original_models(), {c.code: c.name for c in countries()}
    if as_json:
        print_json({code: {"name": name, "there": name in known} for code, name in names.items()})
        return
    table = Table()
    for heading in ("code", "country", "model", ""):
        table.add_column(heading)
    for code, name in names.items():
        table.add_row(code, of_code[code], name, "there" if name in known else "-")
    OUT.print(table)


def _facts(model: Model) -> dict[str, str]:
    """Return what people ask of a model."""
    from osm4eo_xr.models.stac_mlm import architecture

    net, normal = model.net, model.normalization
    scaling = "scene range to -1 … 1"
    if normal.kind == "fixed":
        pairs = zip(model.bands, normal.center, normal.scale, strict=True)
        scaling = ", ".join(f"{band} ({center:.4g}, {scale:.4g})" for band, center, scale in pairs)
    facts = {
        "name": model.name,
        "network": f"{architecture(net)}, {net.kernel}x{net.kernel} kernels",
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
