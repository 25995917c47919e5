"""How a run writes maps that are made of its other maps."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from osm4eo_xr.country.context import PROBABILITIES, CountryRun

if TYPE_CHECKING:
    import xarray as xr

    from osm4eo_xr.progress import Progress


def write_map(
    run: CountryRun,
    lazy: Any,
    path: Path,
    day: str,
    progress: Progress | None,
    *,
    classes: bool = True,
    learned: bool = True,
) -> None:
    """Write a map that is made of other maps."""
    raster, digest = lazy(_open_map), run.model_digest() if learned else ""
    run.write(raster, path, day, progress, digest=digest, classes=classes)


def _open_map(path: Path) -> xr.DataArray:
    """Open a map of the run; lazy."""
    from osm4eo_xr.rasters.open import open_probabilities, open_raster

    return open_probabilities(path) if path.name.endswith(PROBABILITIES) else open_raster(path)
