"""Made-up ground on which the tests draw samples and train tiny networks."""

from typing import TYPE_CHECKING

import jax
import numpy as np
import xarray as xr
from odc.geo.geobox import GeoBox

from osm4eo_xr.geometry.grid import georeference, target_geobox
from osm4eo_xr.legend import Legend, default_legend
from osm4eo_xr.samples.draw import draw_samples
from osm4eo_xr.training.settings import TrainSettings

if TYPE_CHECKING:
    from osm4eo_xr.legend_entries import LandUseClass
    from osm4eo_xr.models.model import Model

LEFT, TOP = 4_321_230, 3_209_870
BANDS = ("blue", "green", "red", "nir")
CLASSES = (1, 5, 12)
TINY = TrainSettings(
    width=4, decoder=16, epochs=5, batch=8, learning_rate=1e-2, weight_decay=1e-2, cutmix=0.0
)


def box(rows: int, cols: int, top: int = 0, left: int = 0) -> GeoBox:
    """Return a grid whose first pixel is ``top`` rows and ``left`` columns into the ground."""
    west, north = LEFT + 10 * left, TOP - 10 * top
    return target_geobox((west, north - 10 * rows, west + 10 * cols, north))


def ground(rows: int = 120, cols: int = 150, *, seed: int = 0) -> np.ndarray:
    """Return fields of 10 pixels of three classes; a tenth of the pixels is unlabeled."""
    rng = np.random.default_rng(seed)
    fields = rng.choice(CLASSES, (-(-rows // 10), -(-cols // 10))).astype(np.uint8)
    labels = fields.repeat(10, axis=0).repeat(10, axis=1)[:rows, :cols]
    labels[rng.random((rows, cols)) < 0.1] = 0
    return labels


def spectra(labels: np.ndarray, *, noise: float = 0.02, seed: int = 0) -> np.ndarray:
    """Return reflectances (band, y, x) that tell the classes apart, with no-data in a corner."""
    rng = np.random.default_rng(seed)
    means = np.array([[0.1, 0.1, 0.1, 0.1], [0.2, 0.1, 0.1, 0.2], [0.1, 0.1, 0.2, 0.2]])
    table = np.zeros((256, len(BANDS)), np.float32)
    table[list(CLASSES)] = means
    image = table[labels] + rng.normal(0.0, noise, (*labels.shape, len(BANDS)))
    image[:7, :5, 2] = np.nan
    return image.astype(np.float32).transpose(2, 0, 1)


def raster(pixels: np.ndarray, grid: GeoBox, chunks: int | tuple | None = None) -> xr.DataArray:
    """Return pixels as a scene (band, y, x) or labels (y, x)."""
    if pixels.ndim == 2:
        flat = georeference(pixels, grid)
    else:
        flat = georeference(pixels, grid, dims=("band", "y", "x"), coords={"band": list(BANDS)})
    if isinstance(chunks, tuple):
        return flat.chunk(dict(zip(("y", "x"), chunks, strict=True)))
    return flat if chunks is None else flat.chunk({"y": chunks, "x": chunks})


def small_samples(*, patch: int = 8, per_class: int = 60, seed: int = 0) -> xr.Dataset:
    """Return a sample set of three separable classes."""
    labels = ground(seed=seed)
    grid = box(*labels.shape)
    return draw_samples(
        raster(spectra(labels, seed=seed), grid),
        raster(labels, grid),
        per_class=per_class,
        patch=patch,
        block=300.0,
        legend=small_legend(),
        seed=seed,
    )


def same_weights(a: "Model", b: "Model") -> bool:
    """Whether two models have the same weights, bit for bit."""
    return all(map(np.array_equal, jax.tree.leaves(a.variables), jax.tree.leaves(b.variables)))


def small_legend() -> Legend:
    """Return the three classes of the ground."""
    classes: tuple[LandUseClass, ...] = tuple(default_legend().by_id[i] for i in CLASSES)
    return Legend(name="three", classes=classes)


def holed_samples() -> xr.Dataset:
    """Return the small samples with a hole of no data in every fifth image."""
    samples = small_samples().compute()
    samples["image"][::5, 2:4, :, 1] = np.nan
    return samples
