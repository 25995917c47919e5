"""Land-use maps of whole countries at 10 m, learned from OpenStreetMap, seen by Sentinel-2.

``import osm4eo_xr as oxr`` is cheap: a name's module, and with it jax, dask or GDAL, is imported
when the name is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from osm4eo_xr.cluster import dashboard_url, device_annotations, open_cluster
    from osm4eo_xr.errors import InputError
    from osm4eo_xr.grid import target_geobox
    from osm4eo_xr.legend import Legend, default_legend, load_legend
    from osm4eo_xr.sieve import sieve
    from osm4eo_xr.site_file import load_site

__version__ = "0.1.0"

_MODULE_OF = {
    "InputError": "errors",
    "Legend": "legend",
    "dashboard_url": "cluster",
    "default_legend": "legend",
    "device_annotations": "cluster",
    "load_legend": "legend",
    "load_site": "site_file",
    "open_cluster": "cluster",
    "sieve": "sieve",
    "target_geobox": "grid",
}

__all__ = [
    "InputError",
    "Legend",
    "dashboard_url",
    "default_legend",
    "device_annotations",
    "load_legend",
    "load_site",
    "open_cluster",
    "sieve",
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
