"""What the products of a run are called."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from osm4eo_xr.errors import InputError
from osm4eo_xr.geometry.grid import crs_name

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox

    from osm4eo_xr.country.settings import CountrySettings


def product_name(
    settings: CountrySettings, kind: Literal["mosaic", "sieved", "labels"], stem: str
) -> str:
    """Return what the file of a country's map is called; original names begin with ``stem``."""
    if settings.products.names == "plain":
        return f"{kind}.tif"
    sieved = kind == "sieved" or settings.sieve.when == "before"
    shown = "classified" if settings.known is None else "osmlanduse"
    name = "label" if kind == "labels" else f"{shown}_sieved" if sieved else shown
    return f"{stem}_{name}.tif"


def landuse_in(folder: Path, settings: CountrySettings) -> Path | None:
    """Return where a run keeps the areas that its labels are made of; None of label rasters."""
    labels = settings.labels
    return folder / "landuse" if labels is not None and labels.osm else None


def original_stem(settings: CountrySettings, box: GeoBox) -> str:
    """Return country, pixel size and CRS, as the original names its maps by: ``DE_10m_3035``.

    Raises
    ------
    InputError
        If the tiles' grid counts in no meters or has no EPSG code, or the run names no country.
    """
    from osm4eo_xr.places.countries import find_country

    code = None if box.crs is None else box.crs.to_epsg()
    if box.crs is None or box.crs.geographic or not code:
        raise InputError(
            f"products.names = 'original' for tiles in {crs_name(box.crs)}",
            expected="tiles in a CRS that has an EPSG code and counts in meters",
            advice="use names = 'plain'",
        )
    country = find_country(settings.boundary.country).code
    return f"{country}_{abs(box.resolution.x):g}m_{code}"
