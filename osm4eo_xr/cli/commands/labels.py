"""Commands that prepare what is learned from: labels, their agreement with a map, composites."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from osm4eo_xr.cli.console import print_note
from osm4eo_xr.cli.given import refuse_alone
from osm4eo_xr.cli.options import (
    BoundaryLayer,
    LegendFile,
    LevelOf,
    MaskClouds,
    Offset,
    Out,
    Overwrite,
    Scale,
    check_level,
    read_legend,
    read_outline,
    write_raster,
)
from osm4eo_xr.cli.outputs import AREAS, PICTURE, RASTER, REPORT, Asked, outputs
from osm4eo_xr.errors import InputError
from osm4eo_xr.progress import OUT, progress_bar
from osm4eo_xr.tables import Table

if TYPE_CHECKING:
    import xarray as xr
    from geopandas import GeoDataFrame

    from osm4eo_xr.legend import Legend
    from osm4eo_xr.osm.partitions import Landuse


def labels(
    osm: Annotated[
        Path,
        typer.Argument(help="Extract (.osm.pbf, .osm, .osm.gz, .osm.bz2), or folder of polygons."),
    ],
    like: Annotated[
        list[Path], typer.Option("--like", help="Scene or raster whose grid the labels take.")
    ],
    *,
    out: Out,
    legend: LegendFile = None,
    edge: Annotated[
        Literal["center", "ignore"], typer.Option(help="ignore leaves mixed pixels unlabeled.")
    ] = "center",
    min_area: Annotated[float, typer.Option(min=0, help="Smallest polygon, m².")] = 0.0,
    polygons: Annotated[
        Path | None, typer.Option(help="Folder that keeps the polygons (GeoParquet).")
    ] = None,
    claims: Annotated[
        Path | None, typer.Option(help="Also write how many classes claim each pixel.")
    ] = None,
    report: Annotated[Path | None, typer.Option(help="Also write a label report (JSON).")] = None,
    picture: Annotated[Path | None, typer.Option(help="Also draw labels and shares.")] = None,
    boundary: Annotated[
        Path | None, typer.Option(help="Vector file of the place that the report is about.")
    ] = None,
    country: Annotated[
        str | None,
        typer.Option(help="Only this country's rows of it; without it, Natural Earth's outline."),
    ] = None,
    overwrite: Overwrite = False,
    boundary_layer: BoundaryLayer = None,
) -> None:
    """Turn OpenStreetMap land use into a class raster on a scene's grid."""
    from osm4eo_xr.cogs.levels import compile_overviews
    from osm4eo_xr.imagery.scene_grid import read_grid
    from osm4eo_xr.labels.write import write_labels
    from osm4eo_xr.process.background import do_ahead

    asked: Asked = [
        (polygons, AREAS),
        (out, RASTER),
        (claims, RASTER),
        (report, REPORT),
        (picture, PICTURE),
    ]
    if (boundary or country) and not (report or picture):
        refuse_alone("--boundary" if boundary else f"--country {country}", "--report")
    if polygons and osm.is_dir():
        raise InputError(
            f"--polygons {polygons} of {osm}, a folder",
            expected="an extract",
            advice=f"leave --polygons out; {osm} keeps the polygons already",
        )
    with outputs(asked, [osm, *like, legend, boundary], overwrite=overwrite) as place:
        classes, outline = read_legend(legend), read_outline(boundary, country, boundary_layer)
        grid = read_grid(like)
        do_ahead(compile_overviews)
        how: Any = {"legend": classes, "min_area": min_area}
        bars: Any = {
            "reading": progress_bar(f"{osm.name}, bytes of three passes"),
            "writing": progress_bar(out.name),
        }
        if not (polygons or claims or report or picture):
            write_labels(osm, place(out), grid, edge=edge, **how, **bars)
            _print_areas(place(out), classes)
            return
        from osm4eo_xr.labels.rasterize import count_claims
        from osm4eo_xr.osm.landuse import partitions_of

        kept = None if polygons is None else place(polygons)
        with partitions_of(osm, kept, classes, bars.pop("reading")) as areas:
            write_labels(areas, place(out), grid, edge=edge, **how, **bars)
            _print_areas(place(out), classes)
            if not (claims or report or picture):
                return
            claimed = count_claims(areas, grid, **how)
            if claims is not None:
                write_raster(claimed, place(claims), None)
            if report is not None or picture is not None:
                found = _report_labels(osm, place(out), claimed, areas, classes, outline)
                _save_report(
                    found, place(out), report and place(report), picture and place(picture), classes
                )


def agree(
    labels: Annotated[Path, typer.Argument(help="Labels (class ids).")],
    class_map: Annotated[Path, typer.Argument(help="Predicted class map on the same grid.")],
    out: Out,
    merged: Annotated[
        Path | None, typer.Option(help="Also write the map in which OpenStreetMap wins.")
    ] = None,
    provenance: Annotated[
        Path | None, typer.Option(help="Also write where each of its pixels is from.")
    ] = None,
    legend: LegendFile = None,
    overwrite: Overwrite = False,
) -> None:
    """Compare labels with a predicted map pixel by pixel, and merge the two."""
    from osm4eo_xr.labels.label_rasters import read_labels
    from osm4eo_xr.maps.known_ground import agreement, merge_known
    from osm4eo_xr.rasters.open import open_raster

    asked: Asked = [(out, RASTER), (merged, RASTER), (provenance, RASTER)]
    with outputs(asked, [labels, class_map, legend], overwrite=overwrite) as place:
        known = read_labels(labels, legend=read_legend(legend) if legend else None)
        predicted = open_raster(class_map)
        classes = read_legend(legend, known, predicted)
        write_raster(agreement(known, predicted, legend=classes), place(out), None)
        final = merge_known(known, predicted, legend=classes)
        if merged is not None:
            write_raster(final["classes"], place(merged), classes)
        if provenance is not None:
            write_raster(final["provenance"], place(provenance), None)


def composite(
    catalog: Annotated[Path, typer.Argument(help="STAC catalog, item collection or item (JSON).")],
    out: Out,
    *,
    like: Annotated[
        list[Path] | None, typer.Option("--like", help="Raster whose grid the scene takes.")
    ] = None,
    bbox: Annotated[
        tuple[float, float, float, float] | None,
        typer.Option("--bbox", help="Or west, south, east, north in degrees (EPSG:3035 grid)."),
    ] = None,
    resolution: Annotated[
        float | None, typer.Option(help="Pixel size with --bbox, in m; 10 if left out.")
    ] = None,
    bands: Annotated[str, typer.Option(help="Bands, joined by commas.")] = "blue,green,red,nir",
    method: Annotated[
        Literal["medoid", "median", "best"], typer.Option(help="How to choose from the dates.")
    ] = "medoid",
    dilation: Annotated[int, typer.Option(help="Pixels by which clouds grow.")] = 2,
    mask_clouds: MaskClouds = None,
    level: LevelOf = None,
    scale: Scale = None,
    offset: Offset = None,
    skip_unreadable: Annotated[
        bool,
        typer.Option("--skip-unreadable", help="Leave out items that cannot be read, and say so."),
    ] = False,
    overwrite: Overwrite = False,
) -> None:
    """Make one cloudless scene of STAC items; its last band counts the clear observations."""
    from osm4eo_xr.catalogs.asset_looks import check_items
    from osm4eo_xr.catalogs.items import read_items
    from osm4eo_xr.catalogs.stac import composite_items
    from osm4eo_xr.geometry.grid import target_geobox
    from osm4eo_xr.imagery.compositing import with_observations
    from osm4eo_xr.imagery.scene_grid import read_grid

    if (like is None) == (bbox is None):
        both = "both --like and --bbox" if bbox else "no grid"
        raise InputError(
            f"{both} given", expected="--like RASTER or --bbox WEST SOUTH EAST NORTH, one of them"
        )
    if resolution is not None and not bbox:
        refuse_alone(f"--resolution {resolution:g}", "--bbox")
    check_level(mask_clouds, level)
    with outputs([(out, RASTER)], [catalog, *(like or [])], overwrite=overwrite) as place:
        if bbox:
            edge = 10.0 if resolution is None else resolution
            grid = target_geobox(bbox, bounds_crs="EPSG:4326", resolution=edge)
        else:
            grid = read_grid(like or [])
        names = [name.strip() for name in bands.split(",")]
        items, numbers = read_items(catalog), dict[str, Any](scale=scale, offset=offset)
        check_items(items, grid, names, **numbers)
        how: Any = {"dilation": dilation, "clouds": mask_clouds or "scl", "level": level}
        how |= {"method": method, "skip_unreadable": skip_unreadable}
        made = composite_items(items, grid, names, **how, **numbers)
        write_raster(with_observations(made), place(out), None)


def _print_areas(labels: Path, legend: Legend) -> None:
    """Print the ground of each class, where the pixels' size says it."""
    from osm4eo_xr.labels.areas import labeled_km2

    try:
        areas = labeled_km2(labels)
    except InputError as error:
        print_note(str(error))
        return
    table = Table()
    table.add_column("class")
    table.add_column("labeled / km²", justify="right")
    for c in legend.classes:
        table.add_row(c.slug, f"{areas[c.id]:,.2f}")
    OUT.print(table)


def _report_labels(
    osm: Path,
    labels: Path,
    claims: xr.DataArray,
    areas: Landuse,
    legend: Legend,
    outline: Path | GeoDataFrame | None,
) -> dict[str, Any]:
    from osm4eo_xr.labels.report import label_report
    from osm4eo_xr.osm.landuse import unclaimed_tags
    from osm4eo_xr.rasters.open import open_raster

    seen = unclaimed_tags(osm, legend) if osm.is_file() else {}
    written = open_raster(labels)
    return label_report(written, claims, areas, legend=legend, boundary=outline, unclaimed=seen)


def _save_report(
    found: dict[str, Any], labels: Path, report: Path | None, picture: Path | None, legend: Legend
) -> None:
    from osm4eo_xr.labels.report import save_report
    from osm4eo_xr.plot.maps import label_figure
    from osm4eo_xr.rasters.open import open_raster

    if report is not None:
        save_report(found, report)
    if picture is not None:
        label_figure(open_raster(labels), found, legend=legend).savefig(picture)
