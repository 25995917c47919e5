"""Land-use maps of whole countries at 10 m, learned from OpenStreetMap, seen by Sentinel-2.

``import osm4eo_xr as oxr`` is cheap: a name's module, and with it jax, dask or GDAL, is imported
when the name is first used.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from osm4eo_xr.errors import InputError
    from osm4eo_xr.grid import target_geobox
    from osm4eo_xr.legend import Legend, default_legend, load_legend
    from osm4eo_xr.sieve import sieve

__version__ = "0.1.0"

_MODULE_OF = {
    "InputError": "errors",
    "Legend": "legend",
    "default_legend": "legend",
    "load_legend": "legend",
    "sieve": "sieve",
    "target_geobox": "grid",
}

__all__ = [
    "InputError",
    "Legend",
    "default_legend",
    "load_legend",
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


class _Package(ModuleType):
    """The package, where a step's function and its module share a name and the function has it.

    Importing the module ``sieve`` makes it the package's attribute ``sieve``; this gives the
    function in its place. ``from osm4eo_xr.sieve import …`` finds the module all the same.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, ModuleType) and _MODULE_OF.get(name) == name:
            value = getattr(value, name)
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __dir__() -> list[str]:
    """List the public names."""
    return sorted([*__all__, "__version__"])
