"""One class map in a viewer, with what belongs to it: in a notebook or as a folder."""

from __future__ import annotations

import html
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from osm4eo_xr.errors import InputError
from osm4eo_xr.files import replace_text, scratch_folder, workplace
from osm4eo_xr.geometry.grid import geobox_of
from osm4eo_xr.geometry.known_classes import legend_of
from osm4eo_xr.maps.known_ground import COLORS, PROVENANCE
from osm4eo_xr.plot.maps import thinned, thinning
from osm4eo_xr.progress import with_bars
from osm4eo_xr.viewer.folder import one_page, write_viewer
from osm4eo_xr.viewer.overlays import (
    Entry,
    Overlay,
    class_overlay,
    confidence_overlay,
    legend_entries,
    scene_overlay,
    settled,
)

if TYPE_CHECKING:
    import xarray as xr

    from osm4eo_xr.legend import Legend
    from osm4eo_xr.progress import Progress

_HEIGHT = 560  # CSS pixels of the frame in a notebook


@dataclass(frozen=True)
class MapView:
    """A map that can be moved about; Jupyter shows it.

    Attributes
    ----------
    page : str
        HTML that holds everything and asks no server.

    Examples
    --------
    >>> import osm4eo_xr as oxr
    >>> oxr.MapView("<!doctype html><title>A map</title>").save("map.html").name
    'map.html'
    """

    page: str

    def __repr__(self) -> str:
        """Say how large the page is."""
        return f"<MapView: a page of {len(self.page) / 1e6:.1f} MB>"

    def _repr_html_(self) -> str:
        """Show the page in a frame."""
        return (
            f'<iframe srcdoc="{html.escape(self.page)}" width="100%" height="{_HEIGHT}" '
            'style="border:0"></iframe>'
        )

    def save(self, path: str | Path) -> Path:
        """Write the page as one HTML file."""
        return replace_text(path, self.page)


@with_bars("web tiles")
def explore(
    class_map: xr.DataArray,
    scene: xr.DataArray | None = None,
    *,
    labels: xr.DataArray | None = None,
    provenance: xr.DataArray | None = None,
    confidence: xr.DataArray | None = None,
    legend: Legend | None = None,
    title: str = "Land use",
    pixels: int = 2048,
    progress: Progress | None = None,
) -> MapView:
    """Show a class map in a notebook: move, zoom, swipe, fade, click. Needs no network.

    Parameters
    ----------
    class_map : DataArray (y, x), uint8
        Class ids; 0 = no data.
    scene : DataArray (band, y, x), float32 reflectance, optional
        Shown in true color; NaN = no data.
    labels : DataArray (y, x), uint8, optional
        What OpenStreetMap knows.
    provenance : DataArray (y, x), uint8, optional
        From ``provenance_of``.
    confidence : DataArray, optional
        (y, x) confidences or (class, y, x) probabilities, 0-250 (255 = no data) or 0-1 (NaN).
    legend : Legend, optional
        By default the package's that the map states, or the twelve classes of OSMlanduse.
    title : str
        Heading.
    pixels : int
        Longest edge of each raster in the page; of larger ones every n-th pixel is shown, which
        the heading says. ``osm4eo-xr view`` shows all.
    progress : callable, optional
        Called as ``progress(done, total)`` with web tiles.

    Returns
    -------
    MapView
        The last line of a cell shows it; ``save`` writes it as one HTML file.

    Raises
    ------
    InputError
        If a raster has no place on the ground or is not of its kind, or a map or labels hold a
        class that the legend lacks.

    Examples
    --------
    >>> import numpy as np, osm4eo_xr as oxr
    >>> from osm4eo_xr.geometry.grid import georeference
    >>> box = oxr.target_geobox((4321000, 3210000, 4321200, 3210100))
    >>> class_map = georeference(np.full((10, 20), 12, dtype="uint8"), box)
    >>> view = oxr.explore(class_map, title="A lake")
    >>> view.save("lake.html").name
    'lake.html'
    """
    given = (class_map, scene, labels, provenance, confidence)
    if pixels < 1:
        raise InputError(f"pixels is {pixels}", expected="1 or more")
    step = max(thinning(raster, pixels) for raster in given if raster is not None)
    if step > 1:
        title += f" (every {step}. pixel of {abs(geobox_of(class_map).resolution.x):g})"
    small = [None if r is None else thinned(r, pixels) for r in given]
    with scratch_folder("osm4eo-viewer-") as scratch:
        overlays = overlays_of(*small, legend=legend, scratch=scratch)
        return MapView(one_page(overlays, title=title, progress=progress))


def write_map_viewer(
    folder: Path,
    class_map: xr.DataArray,
    scene: xr.DataArray | None = None,
    labels: xr.DataArray | None = None,
    provenance: xr.DataArray | None = None,
    confidence: xr.DataArray | None = None,
    *,
    legend: Legend | None = None,
    title: str = "Land use",
    progress: Progress | None = None,
) -> Path:
    """Write the viewer of a map with all its pixels as a folder; parameters as for ``explore``."""
    given = (class_map, scene, labels, provenance, confidence)
    with workplace(folder) as scratch:
        overlays = overlays_of(*given, legend=legend, scratch=scratch, direct=True)
        return write_viewer(folder, overlays, title=title, progress=progress)


def overlays_of(
    class_map: xr.DataArray | None,
    scene: xr.DataArray | None,
    labels: xr.DataArray | None,
    provenance: xr.DataArray | None,
    confidence: xr.DataArray | None,
    *,
    legend: Legend | None,
    scratch: Path,
    direct: bool = False,
) -> list[Overlay]:
    """Return what there is of a map, from the top to the bottom.

    Parameters
    ----------
    class_map, scene, labels, provenance, confidence, legend
        As for ``explore``.
    scratch : Path
        Folder for lazy rasters, which are computed once.
    direct : bool
        Whether rasters but the scene come straight from files and can be read by windows.
    """
    legend = legend_of(*(m for m in (class_map, labels) if m is not None), given=legend)
    entries = legend_entries(legend)

    def ready(raster: xr.DataArray, name: str) -> list[xr.DataArray]:
        return [raster if direct else settled(raster, scratch / f"{name}.tif")]

    found: list[Overlay] = []
    if confidence is not None:
        sure = ready(confidence, "confidence")
        found.append(confidence_overlay("confidence", "Confidence", sure))
    if provenance is not None:
        found.append(provenance_overlay(ready(provenance, "provenance")))
    for name, title, raster in (
        ("labels", "OpenStreetMap labels", labels),
        ("map", "Land use", class_map),
    ):
        if raster is not None:
            shown, kept = ready(raster, name), name == "map"
            found.append(class_overlay(name, title, shown, entries, legend=legend, shown=kept))
    if scene is not None:
        found.append(scene_overlay("scene", "Sentinel-2", [scene], scratch))
    return found


def provenance_overlay(rasters: list[xr.DataArray]) -> Overlay:
    """Return where each pixel's class is from."""
    entries = {k: Entry(k, name, COLORS[name]) for k, name in enumerate(PROVENANCE, start=1)}
    return class_overlay("provenance", "Provenance", rasters, entries, shown=False)
