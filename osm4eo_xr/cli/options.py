"""What several commands share: options, the legend and boundary they name, writing a raster."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from osm4eo_xr.errors import InputError
from osm4eo_xr.progress import progress_bar

if TYPE_CHECKING:
    import xarray as xr
    from geopandas import GeoDataFrame

    from osm4eo_xr.legend import Legend

LegendFile = Annotated[
    Path | None, typer.Option("--legend", help="Legend as TOML; OSMlanduse's twelve if left out.")
]
Out = Annotated[Path, typer.Option("--out", help="File or folder to write.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace files that exist.")]
Seed = Annotated[int, typer.Option("--seed", help="Seed of every random choice.")]


def write_raster(raster: xr.DataArray, path: Path, legend: Legend | None) -> None:
    """Write a raster as COG behind a progress bar."""
    from osm4eo_xr.cogs.cog import write_cog

    with progress_bar(path.name) as progress:
        write_cog(raster, path, legend=legend, progress=progress)


def read_outline(boundary: Path | None, country: str | None) -> Path | GeoDataFrame | None:
    """Return a boundary's file, or one country's rows of it."""
    if country is None:
        return boundary
    if boundary is None:
        raise InputError(f"--country {country} needs --boundary with a file of countries; give it")
    from osm4eo_xr.maps.boundary import country_boundary

    return country_boundary(country, boundary)


def read_legend(path: Path | None) -> Legend:
    """Return the legend of a file, or OSMlanduse's twelve classes."""
    from osm4eo_xr.legend import default_legend, load_legend

    return load_legend(path) if path else default_legend()
