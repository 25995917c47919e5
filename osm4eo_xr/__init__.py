"""Land-use maps of whole countries at 10 m, learned from OpenStreetMap, seen by Sentinel-2.

``import osm4eo_xr as oxr`` is cheap: a name's module, and with it jax, dask or GDAL, is imported
when the name is first used. ``__init__.pyi`` lists the names.
"""

from importlib import import_module
from typing import Any

import lazy_loader

from osm4eo_xr.node import prepare_environment

prepare_environment()

_resolve, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, and give rasters their ``.oxr`` with it."""
    value = _resolve(name)
    if name in __all__ and name != "__version__":
        import_module("osm4eo_xr.accessor")
    return value
