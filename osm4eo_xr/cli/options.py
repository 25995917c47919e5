"""What several commands share: options, the legend and boundary they name, writing a raster."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from osm4eo_xr.cli.given import refuse_alone
from osm4eo_xr.progress import progress_bar

if TYPE_CHECKING:
    import xarray as xr
    from geopandas import GeoDataFrame

    from osm4eo_xr.legend import Legend

_MARGIN = 2  # pixels around clouds that go with them, as in country files

LegendFile = Annotated[
    Path | None,
    typer.Option(
        "--legend",
        help="A TOML file, osmlanduse-12 or osmlanduse-13; else what a map states, or the first.",
    ),
]
Out = Annotated[Path, typer.Option("--out", help="File or folder to write.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace files that exist.")]
BoundaryLayer = Annotated[
    str | None, typer.Option("--boundary-layer", help="Layer of --boundary, if it has several.")
]
Scale = Annotated[
    float | None,
    typer.Option(
        "--scale", help="Reflectance per digital number; what the files state if left out."
    ),
]
Offset = Annotated[
    float | None,
    typer.Option("--offset", help="Reflectance of digital number 0, for example -0.1 or 0."),
]
NoData = Annotated[float | None, typer.Option("--nodata", help="Digital number that is no data.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]
MaskClouds = Annotated[
    Literal["scl", "threshold", "s2cloudless"] | None,
    typer.Option(
        "--mask-clouds",
        help="Take clouds out: by scene classification (SAFE), thresholds or s2cloudless.",
    ),
]
LevelOf = Annotated[
    Literal["1C", "2A"] | None,
    typer.Option("--level", help="Of the reflectance, for --mask-clouds threshold."),
]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Seed of every random choice.")]


def write_raster(raster: xr.DataArray, path: Path, legend: Legend | None) -> None:
    """Write a raster as COG behind a progress bar."""
    from osm4eo_xr.cogs.cog import write_cog

    with progress_bar(path.name) as progress:
        write_cog(raster, path, legend=legend, progress=progress)


def read_outline(
    boundary: Path | None, country: str | None, layer: str | None
) -> Path | GeoDataFrame | None:
    """Return a boundary's file, or one layer or country's rows of it."""
    if boundary is None and layer:
        refuse_alone(f"--boundary-layer {layer}", "--boundary")
    if country:
        from osm4eo_xr.places.outlines import country_boundary

        return country_boundary(country, boundary, layer or "")
    if boundary is None or not layer:
        return boundary
    from osm4eo_xr.geometry.vectors import read_vector

    return read_vector(boundary, "boundary", layer=layer or "")


def check_level(
    mask: Literal["scl", "threshold", "s2cloudless"] | None, level: Literal["1C", "2A"] | None
) -> None:
    """Refuse a level where no rule on reflectance asks for it."""
    if level and mask != "threshold":
        refuse_alone(f"--level {level}", "--mask-clouds threshold")


def open_checked(
    scene: list[Path],
    scale: float | None,
    offset: float | None,
    nodata: float | None,
    *,
    mask: Literal["scl", "threshold", "s2cloudless"] | None = None,
    level: Literal["1C", "2A"] | None = None,
    seen: Sequence[str] = (),
) -> xr.DataArray:
    """Open scene files, without clouds if asked to, and look at their numbers before work.

    Of a scene are opened the usual bands, or those that a model sees if it sees others.
    """
    from osm4eo_xr.feature_ids.ids import is_plain
    from osm4eo_xr.imagery.bands import METHOD_BANDS
    from osm4eo_xr.imagery.clouds.opening import open_clear_scene
    from osm4eo_xr.imagery.plausibility import check_scene
    from osm4eo_xr.imagery.scenes import open_scene

    # Features of other sources are in no scene, and what lacks them says so.
    others = set(seen) - set(METHOD_BANDS) and all(is_plain(name) for name in seen)
    bands = list(seen) if others else None
    numbers: Any = {"scale": scale, "offset": offset, "nodata": nodata, "bands": bands}
    check_level(mask, level)
    if mask is None:
        opened = open_scene(scene, **numbers)
    else:
        how: Any = {"dilation": _MARGIN, "level": level or ""}
        opened = open_clear_scene(scene, mask, **how, **numbers)
    check_scene(opened, str(scene[0]), settled=not (scale is None and offset is None))
    return opened


def read_legend(path: Path | None, *rasters: xr.DataArray) -> Legend:
    """Return the legend of a file, or the one that rasters of classes state; refuse another."""
    from osm4eo_xr.legend import default_legend, load_legend

    given = load_legend(path) if path else None
    if not rasters:  # the command starts without what opens rasters
        return given or default_legend()
    from osm4eo_xr.geometry.known_classes import legend_of

    return legend_of(*rasters, given=given)
