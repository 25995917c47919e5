"""Commands that make maps and take layers from them."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from osm4eo_xr.cli.console import print_throughput
from osm4eo_xr.cli.given import refuse_alone
from osm4eo_xr.cli.options import (
    BoundaryLayer,
    LegendFile,
    LevelOf,
    MaskClouds,
    NoData,
    Offset,
    Out,
    Overwrite,
    Scale,
    open_checked,
    read_legend,
    read_outline,
    write_raster,
)
from osm4eo_xr.cli.outputs import RASTER, VECTOR, Asked, outputs
from osm4eo_xr.progress import piece_bars, progress_bar

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
    dissimilarity: Annotated[
        Path | None,
        typer.Option(help="Also write where the model applies: up to 100, and not above it."),
    ] = None,
    density: Annotated[
        Path | None,
        typer.Option(help="Also write the share of training points that are alike (0-250)."),
    ] = None,
    set_size: Annotated[
        Path | None,
        typer.Option("--set-size", help="Also write how many classes each pixel may have."),
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
    flips: Annotated[
        bool,
        typer.Option("--flips", help="Average all flips and quarter turns; eight times the time."),
    ] = False,
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
    from osm4eo_xr.inference.throughput import read_throughput
    from osm4eo_xr.inference.worker import compile_inference
    from osm4eo_xr.models.model_folder import load_model
    from osm4eo_xr.process.background import do_ahead

    middle = int(center) if center and center.isdigit() else center
    how: Any = {"engine": engine, "center": middle, "flips": flips}
    asked = {
        "classes": out,
        "confidence": confidence,
        "margin": margin,
        "dissimilarity": dissimilarity,
        "density": density,
        "set_size": set_size,
        "probabilities": probabilities,
    }
    files: Asked = [(path, RASTER) for path in asked.values()]
    with outputs(files, [*scene, model], overwrite=overwrite) as place:
        paths = {name: place(path) for name, path in asked.items() if path}
        trained = load_model(model)
        do_ahead(partial(compile_inference, trained.net, how["engine"]))
        how_clear: Any = {"mask": mask_clouds, "level": level}
        opened = open_checked(scene, scale, offset, nodata, seen=trained.bands, **how_clear)
        maps = predict(opened, trained, outputs=list(paths), **how)
        with piece_bars() as watch:
            write_maps(maps, paths, legend=trained.legend, watch=watch)
    print_throughput(read_throughput())


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

    A large file is read twice and never held whole. Its no-data pixels (0 if it names none) stay.
    """
    from osm4eo_xr.cogs.cog import write_cog
    from osm4eo_xr.process.background import do_ahead
    from osm4eo_xr.rasters.open import open_raster
    from osm4eo_xr.sieving.lazy_sieve import compile_sieve, watch_borders
    from osm4eo_xr.sieving.lazy_sieve import sieve as sieve_map

    with outputs([(out, RASTER)], [class_map, legend], overwrite=overwrite) as place:
        do_ahead(compile_sieve)
        opened = open_raster(class_map)
        classes = read_legend(legend, opened)
        sieved = sieve_map(
            opened,
            size=size,
            connectivity=int(connectivity),
            protected=[classes.find(name).id for name in protect or ()],
            legend=classes,
            reread="large",
        )
        with piece_bars() as watch, watch_borders(partial(watch, f"borders in {class_map.name}")):
            write_cog(sieved, place(out), legend=classes, progress=partial(watch, out.name))


def mosaic(
    class_maps: Annotated[list[Path], typer.Argument(help="Class maps on one grid.")],
    out: Out,
    boundary: Annotated[
        Path | None, typer.Option("--boundary", help="Vector file to clip to.")
    ] = None,
    country: Annotated[
        str | None,
        typer.Option(
            "--country",
            help="Only this country's rows of --boundary; without it, Natural Earth's outline.",
        ),
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
        maps = [open_raster(path) for path in class_maps]
        classes = read_legend(legend, *maps)
        joined = join(maps, outline, rule=rule, legend=classes)
        write_raster(joined, place(out), classes)


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
    if simplify and vector is None:
        refuse_alone(f"--simplify {simplify:g}", "--vector")
    with outputs(asked, [class_map, legend], overwrite=overwrite) as place:
        opened = open_raster(class_map) if threshold is None else open_probabilities(class_map)
        classes = read_legend(legend, opened)
        how: Any = {"codes": codes, "min_area": min_area, "threshold": threshold}
        picked = extract_layer(opened, layer, legend=classes, **how)
        write_raster(picked, place(out), classes)
        if vector is not None:
            written = open_raster(place(out)).assign_attrs(picked.attrs)
            with progress_bar(vector.name) as progress:
                shapes = to_vector(written, legend=classes, simplify=simplify, progress=progress)
            write_vector(shapes, place(vector))
