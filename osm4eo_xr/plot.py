"""Pictures: scene, labels and map side by side; legend, confusion matrix, training curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator

from osm4eo_xr.errors import InputError
from osm4eo_xr.geometry.grid import geobox_of
from osm4eo_xr.legend import NO_DATA, Legend, default_legend

if TYPE_CHECKING:
    from jaxtyping import Float, Float32, Num, UInt8

_TRUE_COLOR = ("red", "green", "blue")
_DARK = 0.5  # share of a row above which a cell's number is written in white
_DPI = 150
_LIFT = 0.75  # exponent of the tones of a true-color picture


def quicklook(
    scene: xr.DataArray,
    labels: xr.DataArray | None = None,
    class_map: xr.DataArray | None = None,
    *,
    legend: Legend | None = None,
    title: str = "",
    pixels: int = 900,
) -> Figure:
    """Draw scene, labels, class map and legend side by side.

    Parameters
    ----------
    scene : DataArray (band, y, x), float32 reflectance
        Drawn in true color; NaN = no data.
    labels, class_map : DataArray (y, x), uint8, optional
        0 = no data, drawn white.
    legend : Legend, optional
        By default the twelve classes of OSMlanduse.
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
        If the scene lacks the bands red, green and blue.

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
    legend = legend or default_legend()
    panels = [("Sentinel-2", scene), ("OpenStreetMap", labels), ("Land use", class_map)]
    panels = [(name, thinned(raster, pixels)) for name, raster in panels if raster is not None]
    height, width = panels[0][1].shape[-2:]
    across = 4.2
    size = (across * len(panels) + 3.0, max(across * height / width, 2.8) + 0.9)
    figure = _figure(size)
    axes: Any = figure.subplots(1, len(panels) + 1, width_ratios=[across] * len(panels) + [2.6])
    for k, (name, raster) in enumerate(panels):
        axis = axes[k]
        extent = tuple(geobox_of(raster).boundingbox)
        if raster.ndim > 2:  # noqa: PLR2004
            _show(axis, true_color(raster), extent)
        else:
            _show_classes(axis, raster.values, extent, legend)
        axis.set_title(name)
    draw_legend(axes[-1], legend)
    figure.suptitle(title)
    return figure


def class_figure(
    class_map: xr.DataArray,
    *,
    legend: Legend | None = None,
    title: str = "",
    pixels: int = 1400,
) -> Figure:
    """Draw one class map (y, x), uint8, 0 = no data, with its legend.

    A map with a longer edge than ``pixels`` is thinned before it is computed.
    """
    legend, class_map = legend or default_legend(), thinned(class_map, pixels)
    height, width = class_map.shape
    across = min(9.0, 7.0 * width / height)
    figure = _figure((across + 3.0, max(across * height / width, 2.8) + 0.6))
    axes: Any = figure.subplots(1, 2, width_ratios=[across, 2.6])
    _show_classes(axes[0], class_map.to_numpy(), tuple(geobox_of(class_map).boundingbox), legend)
    axes[0].set_title(title)
    draw_legend(axes[1], legend)
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
        By default the twelve classes of OSMlanduse.
    title : str
        Heading.
    pixels : int
        Longest edge of the picture; larger rasters are thinned before they are computed.
    """
    legend, thin = legend or default_legend(), thinned(labels, pixels)
    height, width = thin.shape
    tall = min(8.0, max(4.4, 7.0 * height / width))
    across = min(9.0, max(2.6, tall * width / height))
    figure = _figure((across + 5.4, tall + 0.7))
    left, right = figure.subplots(1, 2, width_ratios=[across, 4.6])
    _show_classes(left, thin.to_numpy(), tuple(geobox_of(thin).boundingbox), legend)
    shares = [100 * c["share"] for c in report["classes"]]
    colors = [c.hex_color for c in legend.classes]
    rows = range(len(shares))
    right.barh(rows, shares, color=colors, edgecolor="0.4", linewidth=0.5)
    right.set_yticks(rows, [_wrap(c.name) for c in legend.classes], fontsize=7)
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


def true_color(scene: xr.DataArray) -> UInt8[np.ndarray, "y x 3"]:
    """Return red, green, blue, stretched from percentile 0.2 to 98; no data is white."""
    return _stretch(np.moveaxis(color_bands(scene).values.astype(np.float32), 0, -1))


def color_bands(scene: xr.DataArray) -> xr.DataArray:
    """Return red, green and blue of a scene, in this order.

    Raises
    ------
    InputError
        If it lacks one of them.
    """
    have = [str(v) for v in np.atleast_1d(scene.coords["band"].values)]
    missing = [b for b in _TRUE_COLOR if b not in have]
    if missing:
        raise InputError(f"no band {missing[0]!r} to draw; the scene has {', '.join(have)}")
    return scene.sel(band=list(_TRUE_COLOR))


def _stretch(image: Float32[np.ndarray, "y x 3"]) -> UInt8[np.ndarray, "y x 3"]:
    """Scale each band by itself, which also takes the blue of the haze away.

    Dark tones are lifted: winter forest would be as black as no data is in other pictures.
    """
    valid = np.isfinite(image).all(axis=-1)
    shown = np.full(image.shape, 255, np.uint8)
    if valid.any():
        shown[valid] = toned(image[valid], *tone_limits(image[valid])) * 255
    return shown


def tone_limits(
    colors: Float32[np.ndarray, "pixel 3"],
) -> tuple[Float[np.ndarray, "3"], Float[np.ndarray, "3"]]:
    """Return what is drawn black and what is drawn brightest of each band: 0.2 and 98 per cent."""
    low, high = np.percentile(colors, (0.2, 98), axis=0)
    return low, high


def toned(
    colors: Float32[np.ndarray, "pixel 3"],
    low: Float[np.ndarray, "3"],
    high: Float[np.ndarray, "3"],
) -> Float[np.ndarray, "pixel 3"]:
    """Return tones 0-1 of reflectances between two limits."""
    return np.clip((colors - low) / np.maximum(high - low, 1e-6), 0, 1) ** _LIFT


def draw_legend(axis: Axes, legend: Legend | None = None) -> None:
    """Fill an axis with the names and colors of a legend."""
    legend = legend or default_legend()
    axis.set_axis_off()
    patches = [
        Patch(facecolor=c.hex_color, edgecolor="0.4", linewidth=0.5, label=_wrap(c.name))
        for c in legend.classes
    ]
    axis.legend(handles=patches, loc="center left", frameon=False, fontsize=8, borderaxespad=0)


def confusion_matrix(
    counts: Num[np.ndarray, "reference map"], names: Sequence[str], *, title: str = ""
) -> Figure:
    """Draw a confusion matrix: counts, shaded by their share of the reference class.

    Parameters
    ----------
    counts : ndarray (reference, map)
        Pixels or points of each reference class (rows) that the map gives each class (columns).
    names : sequence of str
        Class names in the order of rows and columns.
    title : str
        Heading.

    Raises
    ------
    InputError
        If the matrix is not square with a name for each row.
    """
    counts = np.asarray(counts)
    n = len(names)
    if counts.shape != (n, n):
        raise InputError(f"a matrix of {counts.shape} does not fit {n} class names")
    rows = counts.sum(axis=1, keepdims=True)
    share = np.divide(counts, rows, out=np.zeros(counts.shape), where=rows > 0)
    figure = _figure((0.62 * n + 3.2, 0.5 * n + 2.4))
    axis = figure.subplots()
    axis.imshow(share, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    axis.set_xticks(range(n), names, rotation=45, ha="right", fontsize=8)
    axis.set_yticks(range(n), names, fontsize=8)
    axis.set(xlabel="map", ylabel="reference", title=title)
    for (i, j), value in np.ndenumerate(counts):
        if value:
            color = "white" if share[i, j] > _DARK else "black"
            axis.text(j, i, _short(value), ha="center", va="center", color=color, fontsize=7)
    return figure


def training_curves(history: Mapping[str, Sequence[float]], *, title: str = "") -> Figure:
    """Draw how losses and scores went over the epochs.

    Parameters
    ----------
    history : mapping of str to sequence of float
        One value per epoch, for example ``loss``, ``validation_loss``, ``validation_accuracy``.
        Names that hold "loss" share one panel, all others a second one.
    title : str
        Heading.
    """
    losses = {k: v for k, v in history.items() if "loss" in k}
    scores = {k: v for k, v in history.items() if "loss" not in k}
    panels = [(label, p) for label, p in (("loss", losses), ("score", scores)) if p]
    if not panels:
        raise InputError(
            "an empty training history has no curves", advice="train for at least one epoch"
        )
    figure = _figure((5.0 * len(panels), 3.6))
    for axis, (label, curves) in zip(
        np.atleast_1d(figure.subplots(1, len(panels))), panels, strict=True
    ):
        for name, values in curves.items():
            axis.plot(range(1, len(values) + 1), values, marker=".", label=name.replace("_", " "))
        axis.set(xlabel="epoch", ylabel=label)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.grid(alpha=0.3)
        axis.legend(frameon=False, fontsize=8)
    figure.suptitle(title)
    return figure


def distance_curves(distances: Mapping[str, np.ndarray], *, title: str = "") -> Figure:
    """Draw the share of places whose nearest sample lies within each distance.

    Parameters
    ----------
    distances : mapping of str to ndarray
        Meters, a curve per name; 0 is drawn as 1 m.
    title : str
        Heading.
    """
    figure = _figure((6.4, 3.9))
    axis = figure.subplots()
    for name, values in distances.items():
        meters = np.sort(np.maximum(values, 1.0))
        if meters.size:
            share = np.arange(1, meters.size + 1) / meters.size
            axis.step(meters, share, where="post", label=f"{name}, {meters.size:,}")
    axis.set_xscale("log")
    axis.set(xlabel="distance to the nearest sample / m", ylabel="share", ylim=(0, 1.02))
    axis.grid(alpha=0.3, which="both")
    axis.legend(frameon=False, fontsize=8, loc="lower right")
    axis.set_title(title, fontsize=10)
    return figure


def _figure(size: tuple[float, float]) -> Figure:
    """Return a figure that is drawn in memory, whatever backend pyplot would choose."""
    figure = Figure(figsize=size, dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def thinned(raster: xr.DataArray, pixels: int) -> xr.DataArray:
    """Take every n-th pixel, so that a country is drawn without computing all of it."""
    step = max(1, -(-max(raster.shape[-2:]) // pixels))
    return raster.isel(y=slice(None, None, step), x=slice(None, None, step))


def _show_classes(
    axis: Axes, classes: UInt8[np.ndarray, "y x"], extent: tuple[float, ...], legend: Legend
) -> None:
    edges = [*legend.ids, legend.ids[-1] + 1]
    colors = ListedColormap([c.hex_color for c in legend.classes])
    values = np.ma.masked_where(~np.isin(classes, legend.ids) | (classes == NO_DATA), classes)
    _show(axis, values, extent, cmap=colors, norm=BoundaryNorm(edges, colors.N))


def _show(axis: Axes, image: Any, extent: tuple[float, ...], **style: Any) -> None:
    """Draw a raster with kilometer coordinates."""
    left, bottom, right, top = extent
    axis.imshow(image, extent=(left, right, bottom, top), interpolation="nearest", **style)
    kilometers = FuncFormatter(lambda v, _: f"{v / 1000:.0f}")
    axis.xaxis.set_major_formatter(kilometers)
    axis.yaxis.set_major_formatter(kilometers)
    axis.xaxis.set_major_locator(MaxNLocator(4))
    axis.yaxis.set_major_locator(MaxNLocator(5))
    axis.tick_params(labelsize=7)
    axis.set_xlabel("easting / km", fontsize=7)
    axis.set_ylabel("northing / km", fontsize=7)


def _wrap(name: str, width: int = 28) -> str:
    import textwrap

    return "\n".join(textwrap.wrap(name, width))


def _short(value: float) -> str:
    """Write a count in at most four characters or so."""
    for limit, unit, suffix in ((1e6, 1e6, "M"), (1e4, 1e3, "k")):
        if value >= limit:
            return f"{value / unit:.3g}{suffix}"
    return f"{value:.0f}"
