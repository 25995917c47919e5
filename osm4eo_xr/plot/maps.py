"""Maps as pictures: scene, labels and map side by side, one class map, labels with their shares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure
from odc.geo.geobox import GeoBox

from osm4eo_xr.geometry.grid import geobox_of
from osm4eo_xr.geometry.known_classes import legend_of, with_known_classes
from osm4eo_xr.plot.figures import draw_legend, new_figure, wrapped
from osm4eo_xr.plot.map_frame import frame_map
from osm4eo_xr.plot.tones import true_color

if TYPE_CHECKING:
    from osm4eo_xr.legend import Legend

_IN_A_ROW = 5  # panels


def quicklook(
    scene: xr.DataArray,
    labels: xr.DataArray | None = None,
    class_map: xr.DataArray | None = None,
    *,
    legend: Legend | None = None,
    title: str = "",
    pixels: int = 900,
) -> Figure:
    """Draw scene, labels, class map and legend side by side, each with a frame as ``plot_classes``.

    A scene alone has no legend.

    Parameters
    ----------
    scene : DataArray (band, y, x), float32 reflectance
        Drawn in true color; NaN = no data.
    labels, class_map : DataArray (y, x), uint8, optional
        0 = no data, drawn white.
    legend : Legend, optional
        By default the package's that the map states, or the twelve classes of OSMlanduse.
    title : str
        Heading of the figure.
    pixels : int
        Longest edge of each picture; larger rasters are thinned before they are computed.

    Returns
    -------
    Figure
        Save it with ``figure.savefig(path)``; it needs no display.

    Raises
    ------
    InputError
        If the scene lacks the bands red, green and blue, or a drawn pixel of labels or map is of no
        class of the legend.

    Examples
    --------
    >>> import numpy as np, osm4eo_xr as oxr
    >>> from osm4eo_xr.geometry.grid import georeference
    >>> box = oxr.target_geobox((4321000, 3210000, 4321500, 3210300))
    >>> names = {"band": ["red", "green", "blue"]}
    >>> pixels = np.full((3, 30, 50), 0.1, dtype="float32")
    >>> scene = georeference(pixels, box, dims=("band", "y", "x"), coords=names)
    >>> oxr.quicklook(scene, title="gray").savefig("scene.png")
    """
    legend = legend_of(*(m for m in (labels, class_map) if m is not None), given=legend)
    panels = [("Sentinel-2", scene), ("OpenStreetMap", labels), ("Land use", class_map)]
    panels = [(name, thinned(raster, pixels)) for name, raster in panels if raster is not None]
    height, width = panels[0][1].shape[-2:]
    across, named = 4.2, len(panels) > 1
    size = (across * len(panels) + (3.0 if named else 0), max(across * height / width, 2.8) + 0.9)
    figure = new_figure(size)
    widths = [across] * len(panels) + [2.6] * named
    axes: Any = figure.subplots(1, len(widths), width_ratios=widths, squeeze=False)[0]
    for k, (name, raster) in enumerate(panels):
        axis = axes[k]
        geobox = geobox_of(raster)
        if raster.ndim > 2:  # noqa: PLR2004
            _draw(axis, true_color(raster), geobox)
            frame_map(axis, geobox)
        else:
            _show_classes(axis, raster, legend)
        axis.set_title(name)
    if named:
        draw_legend(axes[-1], legend)
    figure.suptitle(title)
    return figure


def plot_classes(
    class_map: xr.DataArray,
    *,
    legend: Legend | None = None,
    title: str = "",
    pixels: int = 1400,
) -> Figure:
    """Draw one class map with its legend, coordinates, graticule, scale bar and north arrow.

    Parameters
    ----------
    class_map : DataArray (y, x), uint8
        Class ids; 0 = no data, drawn white.
    legend : Legend, optional
        By default the package's that the map states, or the twelve classes of OSMlanduse.
    title : str
        Heading.
    pixels : int
        Longest edge of the picture; a larger map is thinned before it is computed.

    Returns
    -------
    Figure
        Save it with ``figure.savefig(path)``; it needs no display.

    Raises
    ------
    InputError
        If the map has no CRS or no regular grid, or a drawn pixel is of no class of the legend.

    Examples
    --------
    >>> import numpy as np, osm4eo_xr as oxr
    >>> from osm4eo_xr.geometry.grid import georeference
    >>> box = oxr.target_geobox((4321000, 3210000, 4321500, 3210300))
    >>> class_map = georeference(np.full((30, 50), 12, dtype="uint8"), box)
    >>> oxr.plot_classes(class_map, title="A lake").savefig("lake.png")
    """
    legend, class_map = legend_of(class_map, given=legend), thinned(class_map, pixels)
    height, width = class_map.shape
    across = min(9.0, 7.0 * width / height)
    figure = new_figure((across + 3.0, max(across * height / width, 2.8) + 0.6))
    axes: Any = figure.subplots(1, 2, width_ratios=[across, 2.6])
    _show_classes(axes[0], class_map, legend)
    axes[0].set_title(title)
    draw_legend(axes[1], legend)
    return figure


def class_panels(
    panels: Sequence[tuple[str, xr.DataArray, str, float]], *, legend: Legend
) -> Figure:
    """Draw parts of class maps, five in a row.

    Each has a title, classes (y, x), uint8, 0 = no data, an axis ("x" or "y") and the coordinate on
    it that ticks mark on both sides.
    """
    rows, columns = -(-len(panels) // _IN_A_ROW), min(len(panels), _IN_A_ROW)
    figure = new_figure((3.0 * columns, 3.2 * rows))
    axes = np.atleast_1d(figure.subplots(rows, columns)).ravel()
    for axis in axes[len(panels) :]:
        axis.set_axis_off()
    for axis, (title, part, across, at) in zip(axes, panels, strict=False):
        _draw_classes(axis, part, legend)
        axis.set(xticks=[], yticks=[])
        axis.set(**{f"{across}ticks": [at], f"{across}ticklabels": [""]})
        axis.tick_params(length=8, width=2, top=across == "x", right=across == "y")
        axis.set_title(title, fontsize=6)
    return figure


def label_figure(
    labels: xr.DataArray,
    report: Mapping[str, Any],
    *,
    legend: Legend | None = None,
    title: str = "",
    pixels: int = 1400,
) -> Figure:
    """Draw labels in the legend's colors beside the share of the area that each class has.

    Parameters
    ----------
    labels : DataArray (y, x), uint8
        0 = unlabeled, drawn white.
    report : mapping
        From ``label_report``.
    legend : Legend, optional
        By default the package's that the map states, or the twelve classes of OSMlanduse.
    title : str
        Heading.
    pixels : int
        Longest edge of the picture; larger rasters are thinned before they are computed.
    """
    legend, thin = legend_of(labels, given=legend), thinned(labels, pixels)
    height, width = thin.shape
    tall = min(8.0, max(4.4, 7.0 * height / width))
    across = min(9.0, max(2.6, tall * width / height))
    figure = new_figure((across + 5.4, tall + 0.7))
    left, right = figure.subplots(1, 2, width_ratios=[across, 4.6])
    _show_classes(left, thin, legend)
    shares = [100 * c["share"] for c in report["classes"]]
    colors = [c.hex_color for c in legend.classes]
    rows = range(len(shares))
    right.barh(rows, shares, color=colors, edgecolor="0.4", linewidth=0.5)
    right.set_yticks(rows, [wrapped(c.name) for c in legend.classes], fontsize=7)
    right.invert_yaxis()
    right.set_xlim(0, max(shares) * 1.2 + 0.1)
    for row, share in enumerate(shares):
        right.text(share, row, f" {share:.2f}", va="center", fontsize=7)
    right.set_xlabel("share of the area / %", fontsize=8)
    open_share, conflicts = 1 - report["labeled"], report["conflicts"]
    right.set_title(f"unlabeled {open_share:.1%}, conflicts {conflicts:.1%}", fontsize=9)
    right.spines[["top", "right"]].set_visible(False)
    figure.suptitle(title)
    return figure


def thinning(raster: xr.DataArray, pixels: int) -> int:
    """Return of how many pixels one is taken, so that no side has more than ``pixels``."""
    return max(1, -(-max(raster.shape[-2:]) // pixels))


def thinned(raster: xr.DataArray, pixels: int) -> xr.DataArray:
    """Take every n-th pixel, so that a country is drawn without computing all of it."""
    step = thinning(raster, pixels)
    return raster.isel(y=slice(None, None, step), x=slice(None, None, step))


def _show_classes(axis: Axes, class_map: xr.DataArray, legend: Legend) -> None:
    _draw_classes(axis, class_map, legend)
    frame_map(axis, geobox_of(class_map))


def _draw_classes(axis: Axes, class_map: xr.DataArray, legend: Legend) -> None:
    """Draw classes in the legend's colors; the legend must have them all."""
    classes = with_known_classes(class_map, legend).to_numpy()
    edges = [*legend.ids, legend.ids[-1] + 1]
    colors = ListedColormap([c.hex_color for c in legend.classes])
    values = np.ma.masked_where(~np.isin(classes, legend.ids), classes)
    _draw(axis, values, geobox_of(class_map), cmap=colors, norm=BoundaryNorm(edges, colors.N))


def _draw(axis: Axes, image: Any, geobox: GeoBox, **style: Any) -> None:
    """Draw a raster where it lies, whichever way its rows and columns run."""
    left, bottom, right, top = geobox.boundingbox
    if geobox.resolution.y > 0:
        image = image[::-1]
    if geobox.resolution.x < 0:
        image = image[:, ::-1]
    axis.imshow(image, extent=(left, right, bottom, top), interpolation="nearest", **style)
