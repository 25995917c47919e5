"""Land-use maps of whole countries at 10 m, learned from OpenStreetMap, seen by Sentinel-2.

``import osm4eo_xr as oxr`` is cheap: a name's module, and with it jax, dask or GDAL, is imported
when the name is first used. ``__init__.pyi`` lists the names.
"""

import ast
from importlib import import_module
from pathlib import Path
from typing import Any

from osm4eo_xr.process.node import prepare_environment

prepare_environment()


def _homes() -> dict[str, str]:
    """Return the module of each public name, as ``__init__.pyi`` imports them."""
    stub = ast.parse(Path(__file__).with_suffix(".pyi").read_text(encoding="utf-8"))
    imports = [node for node in stub.body if isinstance(node, ast.ImportFrom)]
    return {name.name: f"{__name__}.{node.module}" for node in imports for name in node.names}


_HOMES = _homes()
__all__, _ = sorted(_HOMES), None  # a type checker reads the stub's


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    if name != "__version__":
        import_module("osm4eo_xr.accessor")  # gives rasters their .oxr
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return list(__all__)
