"""Commands that draw points from a map and say how good it is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from osm4eo_xr.cli.given import refuse_given_alone, refuse_given_beside
from osm4eo_xr.cli.options import LegendFile, Out, Overwrite, Seed, read_legend, write_raster
from osm4eo_xr.cli.outputs import DESIGN, PAGE, RASTER, REPORT, Asked, check_outputs, outputs
from osm4eo_xr.errors import InputError
from osm4eo_xr.progress import OUT

if TYPE_CHECKING:
    import xarray as xr

ClassMap = Annotated[Path, typer.Argument(help="Class map (GeoTIFF, COG or VRT).")]


def design_points(
    context: typer.Context,
    class_map: ClassMap,
    *,
    out: Out,
    n: Annotated[int | None, typer.Option("--n", min=1, help="Points to draw.")] = None,
    target: Annotated[
        list[str] | None,
        typer.Option("--target", help="Instead of --n: standard error, overall=0.01, users=0.05."),
    ] = None,
    strata: Annotated[
        Path | None, typer.Option(help="Raster of strata (1-255) instead of the map's classes.")
    ] = None,
    cross: Annotated[bool, typer.Option("--cross", help="Divide --strata by class.")] = False,
    min_per_stratum: Annotated[int, typer.Option(help="Points per stratum at least.")] = 50,
    allocation: Annotated[
        Literal["neyman", "proportional", "equal"], typer.Option(help="How --n is divided.")
    ] = "neyman",
    expected: Annotated[
        list[str] | None,
        typer.Option(
            "--expected", help="Share where the map is right: 0.8 if not given, or water=0.95."
        ),
    ] = None,
    scheme: Annotated[
        Literal["stratified", "systematic", "cluster"], typer.Option(help="How points are drawn.")
    ] = "stratified",
    cluster_pixels: Annotated[int, typer.Option(help="Edge of a cluster in pixels.")] = 500,
    per_cluster: Annotated[int, typer.Option(help="Points per cluster.")] = 10,
    scene: Annotated[
        list[Path] | None, typer.Option("--scene", help="Scene files, for pictures of the places.")
    ] = None,
    interpreters: Annotated[int, typer.Option(min=1, help="Sheets to write.")] = 1,
    seed: Seed = 0,
    legend: LegendFile = None,
    overwrite: Overwrite = False,
) -> None:
    """Draw points from a class map for interpreters, as a folder with sheets for their labels."""
    from osm4eo_xr.accuracy.designs.design import write_design
    from osm4eo_xr.accuracy.designs.points import design_points as draw
    from osm4eo_xr.rasters.open import open_raster

    if scheme != "cluster":
        refuse_given_alone(context, "--scheme cluster", "cluster_pixels", "per_cluster")
    if scheme != "stratified":
        of_strata = "min_per_stratum", "allocation", "expected"
        refuse_given_beside(context, f"--scheme {scheme}", *of_strata)
    inputs = [class_map, strata, legend, *(scene or [])]
    check_outputs([(out, DESIGN)], inputs, overwrite=overwrite)
    how: Any = {
        "n": n,
        "target": _numbers(target, "--target") if target else None,
        "strata": open_raster(strata) if strata else None,
        "cross": cross,
        "min_per_stratum": min_per_stratum,
        "allocation": allocation,
        "expected": _expected(expected or ["0.8"]),
        "scheme": scheme,
        "cluster_pixels": cluster_pixels,
        "per_cluster": per_cluster,
    }
    opened = open_raster(class_map)
    design = draw(opened, **how, legend=read_legend(legend, opened), seed=seed)
    write_design(design, out, scene=_scene(scene), interpreters=interpreters)
    OUT.print(f"{design.describe()} in {out}", soft_wrap=True, highlight=False)


def assess(
    context: typer.Context,
    class_map: ClassMap,
    *,
    points: Annotated[
        list[Path],
        typer.Option(
            "--points", help="Vector file or table (lon, lat) with classes; one per interpreter."
        ),
    ],
    out: Out,
    design: Annotated[
        Path | None, typer.Option(help="Folder of design-points; gives figures with intervals.")
    ] = None,
    column: Annotated[
        str | None, typer.Option(help="Column that holds the class (class_id, class, label, clc).")
    ] = None,
    points_layer: Annotated[
        str, typer.Option("--points-layer", help="Layer of --points, if it has several.")
    ] = "",
    labels: Annotated[
        Literal["primary", "either"],
        typer.Option(help="With --design: primary labels, or either of two counts as right."),
    ] = "primary",
    provenance: Annotated[
        Path | None, typer.Option(help="With --design: raster of known and predicted ground.")
    ] = None,
    probabilities: Annotated[
        Path | None, typer.Option(help="With --design: the map's probabilities, for areas.")
    ] = None,
    intervals: Annotated[
        Literal["wilson", "wald"],
        typer.Option(help="With --design: score intervals, or estimate ± 1.96 standard errors."),
    ] = "wilson",
    page: Annotated[
        Path | None, typer.Option("--page", help="With --design: also write a web page (.html).")
    ] = None,
    legend: LegendFile = None,
    overwrite: Overwrite = False,
) -> None:
    """Compare a class map with reference points and write the figures as JSON."""
    from osm4eo_xr.accuracy.assessment import assess as compare
    from osm4eo_xr.rasters.open import open_probabilities, open_raster

    if design is None:
        of_design = "provenance", "probabilities", "page", "labels", "intervals"
        refuse_given_alone(context, "--design", *of_design)
        if len(points) > 1:
            raise InputError("several --points without --design", advice="add it, or give one")
    inputs = [class_map, *points, design, provenance, probabilities, legend]
    asked: Asked = [(out, REPORT), (page, PAGE)]
    how: Any = {"column": column, "layer": points_layer}
    with outputs(asked, inputs, overwrite=overwrite) as place:
        opened = open_raster(class_map)
        how["legend"] = read_legend(legend, opened)
        if design is None:
            report: Any = compare(opened, points[0], **how)
        else:
            how |= {"design": design, "labels": labels, "intervals": intervals}
            how["provenance"] = open_raster(provenance) if provenance else None
            how["probabilities"] = open_probabilities(probabilities) if probabilities else None
            report = compare(opened, points, **how)
        OUT.print(report)
        report.save(place(out))
        if page is not None:
            report.save(place(page))


def lucas(
    points: Annotated[Path, typer.Argument(help="LUCAS 2018 or 2022: CSV or vector file.")],
    *,
    class_map: Annotated[Path, typer.Option("--map", help="Class map (GeoTIFF, COG or VRT).")],
    out: Out,
    crosswalk: Annotated[
        Path | None, typer.Option(help="TOML of what codes mean; else the package's.")
    ] = None,
    observed: Annotated[
        Literal["all", "field", "near"],
        typer.Option(help="Points of all kinds, seen in the field, or from up to 100 m."),
    ] = "all",
    max_distance: Annotated[
        float | None, typer.Option(help="Greatest meters from the surveyor to the point.")
    ] = None,
    min_parcel: Annotated[float, typer.Option(min=0, help="Least parcel, hectares.")] = 0.0,
    min_share: Annotated[
        float, typer.Option(help="Least share that the land cover covers, 0 to 1.")
    ] = 0.0,
    on_the_point: Annotated[
        bool, typer.Option("--on-the-point", help="Leave out points on a boundary.")
    ] = False,
    points_layer: Annotated[
        str, typer.Option("--points-layer", help="Layer of the vector file, if it has several.")
    ] = "",
    legend: LegendFile = None,
    overwrite: Overwrite = False,
) -> None:
    """Make points of LUCAS that lie on a map a design with labels, for assess and country runs."""
    from osm4eo_xr.accuracy.lucas.grid_design import LABELS_FILE, write_lucas
    from osm4eo_xr.accuracy.lucas.reading import read_lucas
    from osm4eo_xr.rasters.open import open_raster

    check_outputs([(out, DESIGN)], [points, class_map, crosswalk, legend], overwrite=overwrite)
    how: Any = {"observed": observed, "max_distance": max_distance, "min_parcel": min_parcel}
    how |= {"min_share": min_share, "on_the_point": on_the_point, "layer": points_layer}
    read = read_lucas(points, legend=read_legend(legend), crosswalk=crosswalk, **how)
    write_lucas(read, open_raster(class_map), out)
    for reason, count in (read.attrs["left_out"] | read.attrs["undecided"]).items():
        if count:
            OUT.print(f"{count:,} {reason}", soft_wrap=True, highlight=False)
    OUT.print(f"design in {out}, labels in {out / LABELS_FILE}", soft_wrap=True, highlight=False)


def compare(
    class_map: ClassMap,
    other: Annotated[Path, typer.Argument(help="Another product, or the map of another year.")],
    *,
    out: Out,
    crosswalk: Annotated[
        str | None,
        typer.Option(help="worldcover, dynamic-world, clc, clcplus or a TOML; else one legend."),
    ] = None,
    agreement: Annotated[
        Path | None, typer.Option(help="Also write where they agree (GeoTIFF).")
    ] = None,
    legend: LegendFile = None,
    overwrite: Overwrite = False,
) -> None:
    """Compare a class map with another map: areas in km², quantity and allocation difference."""
    from osm4eo_xr.accuracy.crosswalk import read_crosswalk
    from osm4eo_xr.accuracy.map_comparison import compare as compare_maps
    from osm4eo_xr.rasters.open import open_raster

    asked: Asked = [(out, REPORT), (agreement, RASTER)]
    inputs = [class_map, other, legend, Path(crosswalk) if crosswalk else None]
    with outputs(asked, inputs, overwrite=overwrite) as place:
        ours = open_raster(class_map)
        classes = read_legend(legend, ours)
        unused = read_crosswalk(crosswalk, classes).unused
        theirs = open_raster(other, fill=unused)  # 0 may be a code
        found = compare_maps(ours, theirs, crosswalk=crosswalk, legend=classes)
        OUT.print(found)
        found.save(place(out))
        if agreement is not None:
            write_raster(found.agreement, place(agreement), None)


def change(
    context: typer.Context,
    before: Annotated[Path, typer.Argument(help="Class map of the first year.")],
    after: Annotated[Path, typer.Argument(help="Class map of the second year, on the same grid.")],
    *,
    out: Out,
    confidence: Annotated[
        tuple[Path, Path] | None, typer.Option(help="Confidence of both maps, in this order.")
    ] = None,
    probabilities: Annotated[
        tuple[Path, Path] | None,
        typer.Option(help="Probabilities of both years instead: a two-year filter."),
    ] = None,
    threshold: Annotated[
        float, typer.Option(help="Least confidence of both years, or probability of a change.")
    ] = 0.8,
    stay: Annotated[
        float, typer.Option(help="With --probabilities: share of the ground that keeps its class.")
    ] = 0.98,
    size: Annotated[int, typer.Option(min=1, help="Minimum mapping unit in pixels.")] = 1,
    connectivity: Annotated[
        Literal["4", "8"], typer.Option(help="With --size: neighbors that make one region.")
    ] = "8",
    report: Annotated[
        Path | None, typer.Option(help="Also write what changed into what, in km² (.json).")
    ] = None,
    design: Annotated[
        Path | None, typer.Option(help="Also draw points for interpreters, into this folder.")
    ] = None,
    n: Annotated[int, typer.Option("--n", help="With --design: points.")] = 500,
    seed: Seed = 0,
    legend: LegendFile = None,
    overwrite: Overwrite = False,
) -> None:
    """Map where the class changed between two years, only where both maps are sure."""
    from osm4eo_xr.accuracy.change.detection import detect_change
    from osm4eo_xr.accuracy.designs.design import write_design
    from osm4eo_xr.legend import change_legend
    from osm4eo_xr.rasters.open import open_probabilities, open_raster

    if probabilities is None:
        refuse_given_alone(context, "--probabilities", "stay")
    if size == 1:
        refuse_given_alone(context, "--size", "connectivity")
    if design is None:
        refuse_given_alone(context, "--design", "n", "seed")
    asked: Asked = [(out, RASTER), (report, REPORT), (design, DESIGN)]
    inputs = [before, after, legend, *(confidence or ()), *(probabilities or ())]
    how: Any = {"threshold": threshold, "stay": stay, "size": size}
    how["connectivity"] = int(connectivity)
    if confidence:
        how["confidence"] = (open_raster(confidence[0]), open_raster(confidence[1]))
    if probabilities:
        how["probabilities"] = tuple(open_probabilities(path) for path in probabilities)
    with outputs(asked, inputs, overwrite=overwrite) as place:
        years = open_raster(before), open_raster(after)
        found = detect_change(*years, **how, legend=read_legend(legend, *years))
        write_raster(found.happened, place(out), change_legend())
        found = replace(found, happened=open_raster(place(out)))
        OUT.print(found)
        if report is not None:
            found.save(place(report))
        if design is not None:
            write_design(found.design_points(n, seed=seed), place(design))


def _numbers(given: Iterable[str], option: str) -> dict[str, float]:
    """Read NAME=NUMBER."""
    found = {}
    for text in given:
        name, _, number = text.partition("=")
        if name in found:
            raise InputError(f"{option} {text} gives {name} twice", advice="give it once")
        found[name] = _number(number, f"{option} {text}", "name=0.05")
    return found


def _expected(given: list[str]) -> float | dict[str, float]:
    """Read one share, or one per stratum."""
    if len(given) == 1 and "=" not in given[0]:
        return _number(given[0], f"--expected {given[0]}", "0.8 or water=0.95")
    return _numbers(given, "--expected")


def _number(text: str, option: str, example: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InputError(f"{option} has no number", advice=f"write it as {example}") from None


def _scene(files: list[Path] | None) -> xr.DataArray | None:
    """Open a scene in true color, if there is one."""
    from osm4eo_xr.imagery.scenes import open_scene

    return open_scene(files, bands=["red", "green", "blue"], geobox="native") if files else None
