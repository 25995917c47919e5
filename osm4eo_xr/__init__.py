"""Land-use maps of whole countries at 10 m, learned from OpenStreetMap, seen by Sentinel-2.

``import osm4eo_xr as oxr`` is cheap: a name's module, and with it jax, dask or GDAL, is imported
when the name is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from osm4eo_xr.cog import write_cog
    from osm4eo_xr.errors import InputError
    from osm4eo_xr.grid import target_geobox
    from osm4eo_xr.layers import extract_layer
    from osm4eo_xr.legend import Legend, default_legend, load_legend
    from osm4eo_xr.sieve import sieve
    from osm4eo_xr.mosaic import mosaic
    from osm4eo_xr.plot import quicklook

__version__ = "0.1.0"

_MODULE_OF = {
    "InputError": "errors",
    "Legend": "legend",
    "default_legend": "legend",
    "extract_layer": "layers",
    "load_legend": "legend",
    "sieve": "sieve",
    "mosaic": "mosaic",
    "quicklook": "plot",
    "target_geobox": "grid",
    "write_cog": "cog",
}

__all__ = [
    "InputError",
    "Legend",
    "default_legend",
    "extract_layer",
    "load_legend",
    "sieve",
    "mosaic",
    "quicklook",
    "target_geobox",
    "write_cog",
]


def __getattr__(name: str) -> Any:
    """Import a public name from its module on first use."""
    try:
        module = _MODULE_OF[name]
    except KeyError:
        raise AttributeError(f"module 'osm4eo_xr' has no attribute {name!r}") from None
    return getattr(import_module(f"osm4eo_xr.{module}"), name)


def __dir__() -> list[str]:
    """List the public names."""
    return sorted([*__all__, "__version__"])
