"""Figures that are drawn in memory, and the legend beside maps."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch

if TYPE_CHECKING:
    from osm4eo_xr.legend import Legend

_DPI = 150


def new_figure(size: tuple[float, float]) -> Figure:
    """Return a figure of a size in inches, whatever backend pyplot would choose."""
    figure = Figure(figsize=size, dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def draw_legend(axis: Axes, legend: Legend) -> None:
    """Fill an axis with the names and colors of a legend."""
    axis.set_axis_off()
    patches = [
        Patch(facecolor=c.hex_color, edgecolor="0.4", linewidth=0.5, label=wrapped(c.name))
        for c in legend.classes
    ]
    axis.legend(handles=patches, loc="center left", frameon=False, fontsize=8, borderaxespad=0)


def wrapped(name: str, width: int = 28) -> str:
    """Return a name in lines of at most so many characters."""
    return "\n".join(textwrap.wrap(name, width))
