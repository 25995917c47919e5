"""Commands about countries: the tiles that cover them, the scenes that show them."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

import typer

from osm4eo_xr.cli.console import print_fetch, print_found, print_json, print_note
from osm4eo_xr.cli.given import refuse_given_alone, refuse_given_beside
from osm4eo_xr.cli.options import BoundaryLayer, Json, Out, Overwrite  # noqa: TC001 - typer reads them
from osm4eo_xr.cli.outputs import REPORT, SETTINGS, VECTOR, Asked, outputs
from osm4eo_xr.cli.signals import on_signal_stays
from osm4eo_xr.errors import InputError
from osm4eo_xr.progress import OUT, progress_bar


def tiles(
    context: typer.Context,
    country: Annotated[str, typer.Argument(help="ISO code or name; original:CODE for its codes.")],
    *,
    grid: Annotated[
        Literal["mgrs", "laea", "original"],
        typer.Option(help="Sentinel-2's tiles, EPSG:3035's of 100 km, or the original's numbers."),
    ] = "mgrs",
    out: Annotated[
        Path | None, typer.Option(help="Also write their ground (.gpkg, .geojson, .parquet).")
    ] = None,
    boundary: Annotated[
        Path | None, typer.Option(help="Vector file finer than Natural Earth's 1:50 million.")
    ] = None,
    cut: Annotated[bool, typer.Option("--cut", help="Cut the ground at the boundary.")] = False,
    boundary_layer: BoundaryLayer = None,
    overwrite: Overwrite = False,
) -> None:
    """List the tiles that cover a country."""
    if grid == "original":
        if out is not None or boundary is not None or boundary_layer or cut:
            raise InputError(
                "the original's tiles are numbers without ground",
                advice="leave --out, --boundary, --boundary-layer and --cut out, or take --grid "
                "mgrs or laea",
            )
        _print_original(country)
        return
    if out is None:
        refuse_given_alone(context, "--out", "cut")
    if boundary is None:
        refuse_given_alone(context, "--boundary", "boundary_layer")
    from osm4eo_xr.geometry.vectors import write_vector
    from osm4eo_xr.places.tilings import country_tiles

    with outputs([(out, VECTOR)], [boundary], overwrite=overwrite) as place:
        found = country_tiles(
            country, grid, boundaries=boundary, layer=boundary_layer or "", cut=cut
        )
        OUT.print(" ".join(found["tile"]), highlight=False, soft_wrap=True)
        if out is not None:
            write_vector(found, place(out))


def init(
    context: typer.Context,
    country: Annotated[str, typer.Argument(help="ISO code or name.")],
    *,
    out: Out = Path("country.toml"),
    osm: Annotated[
        str, typer.Option(help="OpenStreetMap extract that labels are made of.")
    ] = "landuse.osm.pbf",
    scenes: Annotated[
        list[str] | None, typer.Option("--scenes", help="Scenes: paths or globs.")
    ] = None,
    search: Annotated[
        str, typer.Option(help="Without --scenes: catalog, a name or the root of a STAC API.")
    ] = "earth-search",
    year: Annotated[
        int | None, typer.Option(help="Without --scenes: year whose summer is searched.")
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Write a country file with every key explained, and a schema for editors beside it."""
    from osm4eo_xr.country.settings_file import SCHEMA_NAME, country_schema, country_template

    if scenes:
        refuse_given_beside(context, "--scenes", "search", "year")
    schema = out.with_name(SCHEMA_NAME)
    told = json.dumps(country_schema(), indent=2, ensure_ascii=False) + "\n"
    stands = schema.is_file() and schema.read_bytes() == told.encode()  # for a file beside this one
    asked: Asked = [(out, SETTINGS), (None if stands else schema, REPORT)]
    with outputs(asked, [], overwrite=overwrite) as place:
        last = year or datetime.now(UTC).year - 1
        text = country_template(
            country, osm=osm, files=tuple(scenes or ()), search=search, year=last
        )
        place(out).write_text(text, encoding="utf-8")
        if not stands:
            place(schema).write_text(told, encoding="utf-8")


def _print_original(country: str) -> None:
    """Print the numbers of the original's tiles."""
    from osm4eo_xr.places.countries import countries, find_country

    found = find_country(country)
    if not found.tiles:
        known = ", ".join(c.name for c in countries())
        raise InputError(f"the original has no tiles of {found.name}", expected=f"one of {known}")
    OUT.print(" ".join(found.tiles), highlight=False, soft_wrap=True)
    if found.stated != len(found.tiles):
        print_note(f"{found.name}: the original states {found.stated} tiles and lists these")


def search(
    country: Annotated[Path, typer.Argument(help="Country file (TOML) whose scenes are searched.")],
    *,
    refresh: Annotated[
        bool, typer.Option("--refresh", help="Search again where items are kept already.")
    ] = False,
    looks: Annotated[
        int, typer.Option(min=1, help="Once fetched: count pixels with fewer clear looks.")
    ] = 3,
    as_json: Json = False,
) -> None:
    """Search the scenes of a country file, keep what is found beside it, and show it."""
    from osm4eo_xr.country.scenes.clear_looks import with_clear_looks
    from osm4eo_xr.country.scenes.searches import items_folder, search_scenes
    from osm4eo_xr.country.settings_file import read_country

    settings, file = read_country(country), Path(os.path.realpath(country))
    if not any(scene.search for scene in settings.scenes):
        raise InputError(f"no [[scenes]] of {country} has search", advice="name a catalog there")
    with progress_bar("search") as progress:
        found = search_scenes(settings, file, refresh=refresh, progress=progress)
    found = with_clear_looks(found, file, looks)
    if as_json:
        print_json(found)
        return
    print_found(found, looks)
    OUT.print(str(items_folder(file)), soft_wrap=True, highlight=False)


def fetch(
    country: Annotated[Path, typer.Argument(help="Country file (TOML) whose scenes are fetched.")],
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say how much would be fetched.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Copy what a run reads over the network beside its country file; the run then needs none."""
    from osm4eo_xr.country.scenes.fetching import fetch_country, plan_fetch

    if dry_run:
        plan = plan_fetch(country)
        if not plan:
            raise _nothing_to_fetch(country)
        (print_json if as_json else print_fetch)(plan)
        return
    on_signal_stays("what was fetched stays; run the same command again to go on")
    with progress_bar("fetch") as progress:
        folders = fetch_country(country, progress=progress)
    if not folders:
        raise _nothing_to_fetch(country)
    if as_json:
        print_json(folders)
        return
    OUT.print(str(folders[0].parent), soft_wrap=True, highlight=False)


def _nothing_to_fetch(country: Path) -> InputError:
    """Return the error of a country file that names no imagery of the network."""
    return InputError(
        f"no [[scenes]] of {country} has search or stac", advice="files need no fetching"
    )
