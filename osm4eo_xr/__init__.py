"""Land-use maps of whole countries at 10 m, learned from OpenStreetMap, seen by Sentinel-2.

``import osm4eo_xr as oxr`` is cheap: a name's module, and with it jax, dask or GDAL, is imported
when the name is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from osm4eo_xr._net_settings import NetSettings
    from osm4eo_xr.errors import InputError
    from osm4eo_xr.grid import target_geobox
    from osm4eo_xr.legend import Legend, default_legend, load_legend
    from osm4eo_xr.model import Model, Normalisation, load_model, save_model

__version__ = "0.1.0"

_MODULE_OF = {
    "InputError": "errors",
    "Legend": "legend",
    "Model": "model",
    "NetSettings": "_net_settings",
    "Normalisation": "model",
    "default_legend": "legend",
    "load_legend": "legend",
    "load_model": "model",
    "save_model": "model",
    "target_geobox": "grid",
}

__all__ = [
    "InputError",
    "Legend",
    "Model",
    "NetSettings",
    "Normalisation",
    "default_legend",
    "load_legend",
    "load_model",
    "save_model",
    "target_geobox",
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
