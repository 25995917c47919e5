from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from PIL import Image

from osm4eo_xr.errors import InputError
from osm4eo_xr.geometry.grid import georeference, target_geobox
from osm4eo_xr.legend import default_legend
from osm4eo_xr.plot import confusion_matrix, quicklook, training_curves, true_color

BOX = target_geobox((4_320_000, 3_210_000, 4_323_000, 3_212_000))


def scene() -> xr.DataArray:
    pixels = np.random.default_rng(0).random((3, 200, 300)).astype(np.float32)
    pixels[:, :20] = np.nan
    bands: Any = {"band": ["blue", "green", "red"]}
    data = da.from_array(pixels).rechunk(100)
    return georeference(data, BOX, dims=("band", "y", "x"), coords=bands)


def classes() -> xr.DataArray:
    pixels = np.arange(13, dtype=np.uint8).repeat(24)[:300][None].repeat(200, 0)
    return georeference(da.from_array(pixels).rechunk(100), BOX)


def colors_in(path: Path) -> set[tuple[int, ...]]:
    image = Image.open(path).convert("RGB")
    found = image.getcolors(maxcolors=2**24) or []
    return {color for n, color in found if n > 400 and isinstance(color, tuple)}


def test_quicklook_draws_every_class_in_its_color(tmp_path: Path) -> None:
    quicklook(scene(), classes(), classes(), title="Made up").savefig(tmp_path / "map.png")
    assert {c.color for c in default_legend().classes} <= colors_in(tmp_path / "map.png")


class Counted:
    """An array on disk that counts the pixels which are read from it."""

    def __init__(self, pixels: np.ndarray) -> None:
        self.pixels, self.read = pixels, 0
        self.shape, self.dtype, self.ndim = pixels.shape, pixels.dtype, pixels.ndim

    def __getitem__(self, at: Any) -> np.ndarray:
        found = self.pixels[at]
        self.read += found.size
        return found


def counted(raster: xr.DataArray, chunks: Any) -> tuple[xr.DataArray, Counted]:
    source = Counted(raster.to_numpy())
    lazy = da.from_array(source, chunks=chunks)
    source.read = 0  # of dask's look at the type
    return raster.copy(data=lazy), source


def test_quicklook_reads_only_the_pixels_that_it_draws() -> None:
    lazy_scene, of_scene = counted(scene(), (3, 96, 104))
    lazy_classes, of_classes = counted(classes(), (96, 104))
    figure = quicklook(lazy_scene, lazy_classes, pixels=40)
    drawn: list[Any] = [axis.images[0].get_array() for axis in figure.axes[:2]]
    shown = [np.ma.getdata(image) for image in drawn]
    assert [image.shape for image in shown] == [(25, 38, 3), (25, 38)]  # every eighth pixel
    assert (of_scene.read, of_classes.read) == (3 * 25 * 38, 25 * 38)
    np.testing.assert_array_equal(shown[1], classes()[::8, ::8])


def test_true_color_is_red_green_blue_and_white_where_nothing_is() -> None:
    image = true_color(scene())
    assert image.shape == (200, 300, 3)
    assert (image[:20] == 255).all()
    red = scene().sel(band="red").values[20:]
    assert np.corrcoef(red.ravel(), image[20:, :, 0].ravel())[0, 1] > 0.98


def test_scene_without_red_is_refused() -> None:
    with pytest.raises(InputError, match="no band 'red'"):
        quicklook(scene().sel(band=["blue", "green"]))


def test_confusion_matrix_writes_its_counts() -> None:
    axis = confusion_matrix(np.array([[5, 0], [123_456, 7]]), ["urban", "water"]).axes[0]
    assert {t.get_text() for t in axis.texts} == {"5", "123k", "7"}
    with pytest.raises(InputError, match="does not fit 3"):
        confusion_matrix(np.ones((2, 2)), ["a", "b", "c"])


def test_training_curves_part_losses_from_scores() -> None:
    history = {"loss": [1.0, 0.5], "validation_loss": [1.1, 0.7], "validation_accuracy": [0.6, 0.8]}
    figure = training_curves(history)
    assert [len(a.lines) for a in figure.axes] == [2, 1]
    np.testing.assert_array_equal(figure.axes[1].lines[0].get_xydata(), [[1, 0.6], [2, 0.8]])
    with pytest.raises(InputError, match="empty training history"):
        training_curves({})
