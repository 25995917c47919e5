"""Land-use maps of whole countries at 10 m, learned from OpenStreetMap, seen by Sentinel-2.

``import osm4eo_xr as oxr`` is cheap: a name's module, and with it jax, dask or GDAL, is imported
when the name is first used. ``__init__.pyi`` lists the names.
"""

import lazy_loader

from osm4eo_xr.node import prepare_environment

prepare_environment()

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
