# The public names: the one list, from which the package imports each when it is first used.

from ._version import __version__ as __version__
from .accuracy.accuracy_report import AccuracyReport as AccuracyReport
from .accuracy.assessment import assess as assess
from .accuracy.change.change_map import ChangeMap as ChangeMap
from .accuracy.change.detection import detect_change as detect_change
from .accuracy.design_report import DesignReport as DesignReport
from .accuracy.designs.design import SamplingDesign as SamplingDesign
from .accuracy.designs.design import open_design as open_design
from .accuracy.designs.design import write_design as write_design
from .accuracy.designs.points import design_points as design_points
from .accuracy.held_out import estimate_label_noise as estimate_label_noise
from .accuracy.held_out import evaluate as evaluate
from .accuracy.lucas.grid_design import lucas_design as lucas_design
from .accuracy.lucas.grid_design import write_lucas as write_lucas
from .accuracy.lucas.reading import read_lucas as read_lucas
from .accuracy.map_comparison import MapComparison as MapComparison
from .accuracy.map_comparison import compare as compare
from .accuracy.random_forest import random_forest_report as random_forest_report
from .accuracy.validation.ablation import Ablation as Ablation
from .accuracy.validation.ablation import ablate as ablate
from .accuracy.validation.cross_validation import crossvalidate as crossvalidate
from .accuracy.validation.fold_report import CrossValidation as CrossValidation
from .accuracy.validation.training_points import fit_applicability as fit_applicability
from .catalogs.stac import composite_items as composite_items
from .catalogs.stac import stack_classes as stack_classes
from .catalogs.stac import stack_items as stack_items
from .cluster.allocation import open_allocation as open_allocation
from .cluster.clusters import dashboard_url as dashboard_url
from .cluster.clusters import open_cluster as open_cluster
from .cluster.device_tasks import device_annotations as device_annotations
from .cluster.site_file import load_site as load_site
from .cogs.cog import write_cog as write_cog
from .country.findings.review import review_result as review_result
from .country.run import plan_country as plan_country
from .country.run import run_country as run_country
from .errors import InputError as InputError
from .features.cube import open_features as open_features
from .features.sources import FeatureSource as FeatureSource
from .geometry.grid import target_geobox as target_geobox
from .geometry.vectors import write_vector as write_vector
from .imagery.clouds.masks import mask_clouds as mask_clouds
from .imagery.clouds.rule import CloudRule as CloudRule
from .imagery.compositing import composite as composite
from .imagery.harmonization import Harmony as Harmony
from .imagery.harmonization import harmonize as harmonize
from .imagery.plausibility import check_scene as check_scene
from .imagery.products.opening import open_cloud_probability as open_cloud_probability
from .imagery.products.opening import open_product as open_product
from .imagery.products.opening import open_product_classes as open_product_classes
from .imagery.products.opening import open_safe as open_safe
from .imagery.products.opening import open_safe_classes as open_safe_classes
from .imagery.scene_grid import read_grid as read_grid
from .imagery.scenes import open_scene as open_scene
from .imagery.statistics import band_statistics as band_statistics
from .inference.prediction import classify as classify
from .inference.throughput import read_throughput as read_throughput
from .labels.label_rasters import read_labels as read_labels
from .labels.rasterize import count_claims as count_claims
from .labels.rasterize import rasterize_labels as rasterize_labels
from .labels.report import label_report as label_report
from .labels.write import write_labels as write_labels
from .legend import Legend as Legend
from .legend import default_legend as default_legend
from .legend import load_legend as load_legend
from .maps.country_mosaic import mosaic as mosaic
from .maps.known_ground import agreement as agreement
from .maps.known_ground import merge_known as merge_known
from .maps.known_ground import provenance_of as provenance_of
from .maps.layers import extract_layer as extract_layer
from .maps.layers import fraction as fraction
from .maps.polygons import to_vector as to_vector
from .maps.review.objects import review_objects as review_objects
from .maps.review.places import review_places as review_places
from .maps.review.places import uncertainty as uncertainty
from .maps.review.tasks import write_tasks as write_tasks
from .maps.seams import seam_certificate as seam_certificate
from .models.exchange.entries import ModelAccuracy as ModelAccuracy
from .models.exchange.entries import ModelEntry as ModelEntry
from .models.exchange.listing import read_model_catalog as read_model_catalog
from .models.exchange.model_names import country_model as country_model
from .models.exchange.pull import pull_model as pull_model
from .models.exchange.push import push_model as push_model
from .models.keras_import import import_keras as import_keras
from .models.model import Model as Model
from .models.model_folder import load_model as load_model
from .models.model_folder import save_model as save_model
from .models.record import Normalization as Normalization
from .networks.settings import NetSettings as NetSettings
from .osm.landuse import read_landuse as read_landuse
from .osm.landuse import unclaimed_tags as unclaimed_tags
from .osm.landuse import write_landuse as write_landuse
from .osm.partitions import open_landuse as open_landuse
from .places.countries import find_country as find_country
from .places.mgrs import mgrs_geobox as mgrs_geobox
from .places.outlines import country_boundary as country_boundary
from .places.tilings import country_tiles as country_tiles
from .plot.charts import plot_confusion as plot_confusion
from .plot.charts import plot_training as plot_training
from .plot.maps import plot_classes as plot_classes
from .plot.maps import quicklook as quicklook
from .rasters.open import open_probabilities as open_probabilities
from .rasters.open import open_raster as open_raster
from .samples.counts import sample_counts as sample_counts
from .samples.draw import draw_samples as draw_samples
from .samples.patches import patch_samples as patch_samples
from .samples.store import open_samples as open_samples
from .samples.store import write_samples as write_samples
from .sieving.lazy_sieve import sieve as sieve
from .training.fit import train as train
from .training.label_noise.estimate import LabelNoise as LabelNoise
from .training.label_noise.estimate import find_label_noise as find_label_noise
from .training.label_noise.objects import name_objects as name_objects
from .training.settings import TrainSettings as TrainSettings
from .viewer.shown import MapView as MapView
from .viewer.shown import explore as explore

__all__ = [
    "Ablation",
    "AccuracyReport",
    "ChangeMap",
    "CloudRule",
    "CrossValidation",
    "DesignReport",
    "FeatureSource",
    "Harmony",
    "InputError",
    "LabelNoise",
    "Legend",
    "MapComparison",
    "MapView",
    "Model",
    "ModelAccuracy",
    "ModelEntry",
    "NetSettings",
    "Normalization",
    "SamplingDesign",
    "TrainSettings",
    "__version__",
    "ablate",
    "agreement",
    "assess",
    "band_statistics",
    "check_scene",
    "classify",
    "compare",
    "composite",
    "composite_items",
    "count_claims",
    "country_boundary",
    "country_model",
    "country_tiles",
    "crossvalidate",
    "dashboard_url",
    "default_legend",
    "design_points",
    "detect_change",
    "device_annotations",
    "draw_samples",
    "estimate_label_noise",
    "evaluate",
    "explore",
    "extract_layer",
    "find_country",
    "find_label_noise",
    "fit_applicability",
    "fraction",
    "harmonize",
    "import_keras",
    "label_report",
    "load_legend",
    "load_model",
    "load_site",
    "lucas_design",
    "mask_clouds",
    "merge_known",
    "mgrs_geobox",
    "mosaic",
    "name_objects",
    "open_allocation",
    "open_cloud_probability",
    "open_cluster",
    "open_design",
    "open_features",
    "open_landuse",
    "open_probabilities",
    "open_product",
    "open_product_classes",
    "open_raster",
    "open_safe",
    "open_safe_classes",
    "open_samples",
    "open_scene",
    "patch_samples",
    "plan_country",
    "plot_classes",
    "plot_confusion",
    "plot_training",
    "provenance_of",
    "pull_model",
    "push_model",
    "quicklook",
    "random_forest_report",
    "rasterize_labels",
    "read_grid",
    "read_labels",
    "read_landuse",
    "read_lucas",
    "read_model_catalog",
    "read_throughput",
    "review_objects",
    "review_places",
    "review_result",
    "run_country",
    "sample_counts",
    "save_model",
    "seam_certificate",
    "sieve",
    "stack_classes",
    "stack_items",
    "target_geobox",
    "to_vector",
    "train",
    "uncertainty",
    "unclaimed_tags",
    "write_cog",
    "write_design",
    "write_labels",
    "write_landuse",
    "write_lucas",
    "write_samples",
    "write_tasks",
    "write_vector",
]
