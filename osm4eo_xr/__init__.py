"""Land-use maps of whole countries at 10 m, learned from OpenStreetMap, seen by Sentinel-2.

``import osm4eo_xr as oxr`` is cheap: a name's module, and with it jax, dask or GDAL, is imported
when the name is first used.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from osm4eo_xr._allocation import open_allocation
    from osm4eo_xr._keras import import_keras
    from osm4eo_xr._net_settings import NetSettings
    from osm4eo_xr.accuracy import AccuracyReport, assess
    from osm4eo_xr.classify import classify, read_throughput
    from osm4eo_xr.cluster import dashboard_url, device_annotations, open_cluster
    from osm4eo_xr.cog import write_cog
    from osm4eo_xr.country import plan_country, run_country
    from osm4eo_xr.errors import InputError
    from osm4eo_xr.evaluate import evaluate
    from osm4eo_xr.forest import random_forest_report
    from osm4eo_xr.grid import find_country, target_geobox
    from osm4eo_xr.known import agreement, merge_known
    from osm4eo_xr.label_file import write_labels
    from osm4eo_xr.label_report import label_report
    from osm4eo_xr.labels import count_claims, rasterize_labels, read_labels
    from osm4eo_xr.landuse import open_landuse
    from osm4eo_xr.layers import extract_layer, fraction
    from osm4eo_xr.legend import Legend, default_legend, load_legend
    from osm4eo_xr.model import Model, Normalisation, load_model, save_model
    from osm4eo_xr.mosaic import mosaic
    from osm4eo_xr.osm import read_landuse, unclaimed_tags, write_landuse
    from osm4eo_xr.patches import patch_samples
    from osm4eo_xr.plot import quicklook
    from osm4eo_xr.radiometry import band_statistics, composite, mask_clouds
    from osm4eo_xr.samples import draw_samples, open_samples, sample_counts, write_samples
    from osm4eo_xr.scene import (
        composite_items,
        open_probabilities,
        open_raster,
        open_safe,
        open_safe_classes,
        open_scene,
        read_grid,
        stack_classes,
        stack_items,
    )
    from osm4eo_xr.sieve import sieve
    from osm4eo_xr.site_file import load_site
    from osm4eo_xr.train import TrainSettings, train
    from osm4eo_xr.vectors import to_vector, write_vector

__version__ = "0.1.0"

_MODULE_OF = {
    "AccuracyReport": "accuracy",
    "InputError": "errors",
    "Legend": "legend",
    "Model": "model",
    "NetSettings": "_net_settings",
    "Normalisation": "model",
    "TrainSettings": "train",
    "agreement": "known",
    "assess": "accuracy",
    "band_statistics": "radiometry",
    "classify": "classify",
    "composite": "radiometry",
    "count_claims": "labels",
    "composite_items": "scene",
    "dashboard_url": "cluster",
    "default_legend": "legend",
    "device_annotations": "cluster",
    "draw_samples": "samples",
    "evaluate": "evaluate",
    "extract_layer": "layers",
    "find_country": "grid",
    "fraction": "layers",
    "import_keras": "_keras",
    "label_report": "label_report",
    "load_legend": "legend",
    "load_model": "model",
    "load_site": "site_file",
    "mask_clouds": "radiometry",
    "merge_known": "known",
    "mosaic": "mosaic",
    "open_allocation": "_allocation",
    "open_cluster": "cluster",
    "open_landuse": "landuse",
    "open_probabilities": "scene",
    "open_raster": "scene",
    "open_safe": "scene",
    "open_safe_classes": "scene",
    "open_samples": "samples",
    "open_scene": "scene",
    "patch_samples": "patches",
    "plan_country": "country",
    "quicklook": "plot",
    "random_forest_report": "forest",
    "rasterize_labels": "labels",
    "read_grid": "scene",
    "read_labels": "labels",
    "read_landuse": "osm",
    "read_throughput": "classify",
    "run_country": "country",
    "sample_counts": "samples",
    "save_model": "model",
    "sieve": "sieve",
    "stack_classes": "scene",
    "stack_items": "scene",
    "target_geobox": "grid",
    "to_vector": "vectors",
    "train": "train",
    "unclaimed_tags": "osm",
    "write_cog": "cog",
    "write_labels": "label_file",
    "write_landuse": "osm",
    "write_samples": "samples",
    "write_vector": "vectors",
}

__all__ = [
    "AccuracyReport",
    "InputError",
    "Legend",
    "Model",
    "NetSettings",
    "Normalisation",
    "TrainSettings",
    "agreement",
    "assess",
    "band_statistics",
    "classify",
    "composite",
    "composite_items",
    "count_claims",
    "dashboard_url",
    "default_legend",
    "device_annotations",
    "draw_samples",
    "evaluate",
    "extract_layer",
    "find_country",
    "fraction",
    "import_keras",
    "label_report",
    "load_legend",
    "load_model",
    "load_site",
    "mask_clouds",
    "merge_known",
    "mosaic",
    "open_allocation",
    "open_cluster",
    "open_landuse",
    "open_probabilities",
    "open_raster",
    "open_safe",
    "open_safe_classes",
    "open_samples",
    "open_scene",
    "patch_samples",
    "plan_country",
    "quicklook",
    "random_forest_report",
    "rasterize_labels",
    "read_grid",
    "read_labels",
    "read_landuse",
    "read_throughput",
    "run_country",
    "sample_counts",
    "save_model",
    "sieve",
    "stack_classes",
    "stack_items",
    "target_geobox",
    "to_vector",
    "train",
    "unclaimed_tags",
    "write_cog",
    "write_labels",
    "write_landuse",
    "write_samples",
    "write_vector",
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


class _Package(ModuleType):
    """Keeps ``oxr.sieve`` the function when Python binds the submodule of that name."""

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, ModuleType) and name in _MODULE_OF:
            value = getattr(value, name)
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
