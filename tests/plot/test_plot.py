from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from matplotlib.text import Annotation, Text
from odc.geo.geobox import GeoBox
from PIL import Image

from osm4eo_xr.errors import InputError
from osm4eo_xr.geometry.grid import geobox_of, georeference, target_geobox
from osm4eo_xr.legend import Legend, default_legend
from osm4eo_xr.plot.charts import plot_confusion, plot_training
from osm4eo_xr.plot.maps import plot_classes, quicklook
from osm4eo_xr.plot.tones import true_color

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


def test_rasters_are_drawn_where_they_lie_whichever_way_they_run() -> None:
    pictures = []
    for rows, columns in ((1, 1), (-1, 1), (1, -1), (-1, -1)):
        corner = classes().compute()
        corner[:40, :60] = 12  # unlike its reflections
        turned = georeference(
            corner.to_numpy()[::rows, ::columns], geobox_of(corner[::rows, ::columns])
        )
        canvas: Any = plot_classes(turned).canvas
        canvas.draw()
        pictures.append(np.asarray(canvas.buffer_rgba()).copy())
    for other in pictures[1:]:
        np.testing.assert_array_equal(other, pictures[0])


def test_a_scene_alone_has_no_legend(tmp_path: Path) -> None:
    figure = quicklook(scene())
    assert len(figure.axes) == 1
    figure.savefig(tmp_path / "scene.png")
    assert len(quicklook(scene(), classes()).axes) == 3


def test_a_legend_in_another_order_gives_the_same_picture() -> None:
    turned = Legend("osmlanduse-12", default_legend().classes[::-1])
    pictures = []
    for legend in (default_legend(), turned):
        canvas: Any = plot_classes(classes(), legend=legend).canvas
        canvas.draw()
        pictures.append(np.asarray(canvas.buffer_rgba()).copy())
    np.testing.assert_array_equal(*pictures)


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
    axis = plot_confusion(np.array([[5, 0], [123_456, 7]]), ["urban", "water"]).axes[0]
    assert {t.get_text() for t in axis.texts} == {"5", "123k", "7"}
    with pytest.raises(InputError, match="does not fit 3"):
        plot_confusion(np.ones((2, 2)), ["a", "b", "c"])


def test_training_curves_part_losses_from_scores() -> None:
    history = {"loss": [1.0, 0.5], "validation_loss": [1.1, 0.7], "validation_accuracy": [0.6, 0.8]}
    figure = plot_training(history)
    assert [len(a.lines) for a in figure.axes] == [2, 1]
    np.testing.assert_array_equal(figure.axes[1].lines[0].get_xydata(), [[1, 0.6], [2, 0.8]])
    rows = [{"epoch": 1, "loss": 1.0}, {"epoch": 2, "loss": None}, {"epoch": 3, "loss": 0.5}]
    np.testing.assert_array_equal(
        plot_training(rows).axes[0].lines[0].get_ydata(), [1, np.nan, 0.5]
    )
    nothing: list[Any] = [{}, [], [{"epoch": 1}], {"loss": ["low"]}]
    for empty in nothing:
        with pytest.raises(InputError, match="empty training history"):
            plot_training(empty)


def texts(axis: Any) -> list[str]:
    return [t.get_text() for t in axis.findobj(Text) if t.get_text()]


def test_ticks_of_small_maps_are_told_apart() -> None:
    axis = plot_classes(classes()[:60, :60]).axes[0]  # 600 m
    axis.figure.canvas.draw()
    for part in (axis.xaxis, axis.yaxis):
        shown = [t.get_text() for t in part.get_ticklabels()]
        assert len(shown) >= 2
        assert len(set(shown)) == len(shown)
    assert [float(t.get_text()) for t in axis.xaxis.get_ticklabels()] == pytest.approx(
        [v / 1000 for v in axis.get_xticks()]
    )


def test_scale_bar_is_as_long_as_it_says_and_north_is_up() -> None:
    axis = plot_classes(classes()).axes[0]  # 3 km across
    bar = next(line for line in axis.lines if line.get_color() == "black")
    left, right = np.asarray(bar.get_xdata())  # of the axis
    assert "500 m" in texts(axis)
    assert (right - left) * 3000 == pytest.approx(500, rel=0.01)
    tail, head = (t for t in axis.texts if isinstance(t, Annotation))
    east, north = np.subtract(head.get_position(), tail.get_position())
    # EPSG:3035 at 10° E, its central meridian
    assert abs(np.degrees(np.arctan2(east, north))) < 0.1


def test_graticule_of_a_map_in_degrees_lies_on_its_ticks() -> None:
    box = GeoBox.from_bbox((12.6, 52.4, 12.7, 52.5), crs="EPSG:4326", shape=(50, 50))
    axis = plot_classes(georeference(np.ones((50, 50), np.uint8), box)).axes[0]
    told = texts(axis)
    assert "12°40'E" in told
    assert "52°28'N" in told
    assert axis.get_xlabel() == "longitude / °"
