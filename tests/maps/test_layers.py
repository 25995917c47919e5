from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
import xarray as xr
from hypothesis import example, given, settings
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox
from rasterio.features import shapes
from rasterio.features import sieve as gdal_sieve
from rasterio.transform import Affine
from scipy.ndimage import uniform_filter
from shapely.geometry import shape

from osm4eo_xr.cogs.cog import write_cog
from osm4eo_xr.errors import InputError
from osm4eo_xr.geometry.grid import geobox_of, georeference, target_geobox
from osm4eo_xr.geometry.vectors import write_vector
from osm4eo_xr.labels.label_rasters import read_labels
from osm4eo_xr.legend import default_legend
from osm4eo_xr.maps.layers import extract_layer, fraction
from osm4eo_xr.maps.polygons import to_vector
from osm4eo_xr.plot.maps import plot_classes
from osm4eo_xr.rasters.open import open_probabilities, open_raster
from tests.cases.commands import attempt


def class_map() -> xr.DataArray:
    pixels = np.random.default_rng(0).integers(0, 13, (60, 70)).astype(np.uint8)
    geobox = target_geobox((4_320_000, 3_210_000, 4_320_700, 3_210_600))
    attrs = {**default_legend().attrs(), "nodata": 0, "model": "abc"}
    return georeference(pixels, geobox, attrs=attrs).chunk(17)


@pytest.mark.parametrize("layer", ["water", "Water bodies", 12, "12", "clc:5"])
def test_a_layer_is_found_by_name_id_or_code(layer: str | int) -> None:
    water = extract_layer(class_map(), layer)
    np.testing.assert_array_equal(water, np.where(class_map() == 12, 12, 0))
    assert water.name == "water"
    assert water.dtype == np.uint8
    assert water.attrs["flag_values"] == [12]
    assert water.attrs["flag_meanings"] == "water"
    assert water.attrs["model"] == "abc"
    assert water.attrs["nodata"] == 0


def test_several_classes_as_clc_codes() -> None:
    both = extract_layer(class_map(), ["forest", "water"], codes="clc")
    pixels = class_map().to_numpy()
    np.testing.assert_array_equal(both, np.where(pixels == 8, 31, np.where(pixels == 12, 5, 0)))
    assert both.attrs["flag_values"] == [31, 5]
    assert both.name == "forest-water"


@pytest.mark.parametrize(("codes", "said"), [("clc", "CORINE codes"), ("mask", "mask")])
def test_values_that_are_no_ids_are_not_taken_for_them(
    codes: Any, said: str, tmp_path: Path
) -> None:
    """CORINE's 5 is water, and a mask's 1; the legend's ids of these are arable land and urban."""
    layer = extract_layer(class_map(), "water", codes=codes)
    again = open_raster(write_cog(layer, tmp_path / "layer.tif"))
    for raster in (layer, again):
        with pytest.raises(InputError, match=f"made as {said} of legend 'osmlanduse-12'; expected"):
            extract_layer(raster, "arable")
        with pytest.raises(InputError, match="give the class map, or a layer of ids"):
            plot_classes(raster)
    # What knows how they are coded takes them.
    assert set(to_vector(layer)["slug"]) == {"water"}
    assert set(to_vector(again)["slug"]) == ({"water"} if codes == "clc" else {"layer"})
    if codes == "clc":
        ids = read_labels(tmp_path / "layer.tif", codes="clc").to_numpy()
        np.testing.assert_array_equal(ids, extract_layer(class_map(), "water"))


def test_mask_tells_other_land_from_no_data() -> None:
    mask = extract_layer(class_map(), "water", codes="mask")
    pixels = class_map().to_numpy()
    np.testing.assert_array_equal(mask, np.where(pixels == 0, 255, pixels == 12))
    assert mask.attrs["nodata"] == 255
    assert mask.attrs["flag_meanings"] == "other water"


@pytest.mark.usefixtures("no_compute")
def test_layers_are_lazy() -> None:
    assert extract_layer(class_map(), "water").chunks == class_map().chunks


@pytest.mark.parametrize("layer", ["lava", 13, []])
def test_unknown_layers_are_named(layer: str) -> None:
    with pytest.raises(InputError, match=r"no class|no layer"):
        extract_layer(class_map(), layer)


def test_other_rasters_are_refused() -> None:
    with pytest.raises(InputError, match="float64"):
        extract_layer(class_map().astype(float), "water")


def smooth_map(chunks: Any = 40, seed: int = 0) -> xr.DataArray:
    """A map with patches that cross chunk borders."""
    field = uniform_filter(np.random.default_rng(seed).normal(size=(120, 150)), 5)
    pixels = np.digitize(field, np.quantile(field, [0.1, 0.4, 0.7])).astype(np.uint8)
    geobox = target_geobox((4_320_000, 3_210_000, 4_321_500, 3_211_200))
    attrs = {**default_legend().attrs(), "nodata": 0}
    return georeference(pixels, geobox, attrs=attrs).chunk(chunks)


def whole_polygons(raster: xr.DataArray) -> list[tuple[int, Any]]:
    pixels = raster.to_numpy()
    found = shapes(pixels, mask=pixels != 0, transform=geobox_of(raster).affine, connectivity=4)
    return [(int(v), shapely.normalize(shapely.make_valid(shape(g)))) for g, v in found]


@settings(max_examples=5)
@given(st.integers(9, 160), st.integers(9, 160), st.integers(0, 50))
def test_vectors_equal_those_of_the_unchunked_raster(y: int, x: int, seed: int) -> None:
    raster = smooth_map({"y": y, "x": x}, seed)
    frame = to_vector(raster)
    expected = whole_polygons(raster)
    assert len(frame) == len(expected)
    assert frame.geometry.is_valid.all()
    by_area = sorted(expected, key=lambda item: (item[0], item[1].area, item[1].bounds))
    frame = frame.assign(at=[g.bounds for g in frame.geometry])
    frame = frame.sort_values(["value", "area", "at"])
    assert frame["value"].tolist() == [value for value, _ in by_area]
    for (_, polygon), ours in zip(by_area, frame.geometry, strict=True):
        assert shapely.equals(ours, polygon)
    pd.testing.assert_frame_equal(to_vector(raster), to_vector(raster.chunk(-1)))


def test_vector_has_names_areas_and_skips_other_land_of_a_mask() -> None:
    mask = extract_layer(smooth_map(), "urban", codes="mask")
    frame = to_vector(mask)
    assert set(frame["slug"]) == {"urban"}
    assert frame["area"].sum() == (smooth_map().to_numpy() == 1).sum() * 100
    assert frame.crs == "EPSG:3035"


def test_simplified_neighbors_still_fit_together() -> None:
    raster = smooth_map().copy(data=uniform_filter(smooth_map().to_numpy(), 15) + 1)
    exact, simple = to_vector(raster), to_vector(raster, simplify=20)
    assert simple.geometry.is_valid.all()
    assert simple.geometry.count_coordinates().sum() < exact.geometry.count_coordinates().sum() / 2
    assert simple.area.sum() == pytest.approx(exact.area.sum(), rel=0.05)
    assert shapely.union_all(simple.geometry).area == pytest.approx(simple.area.sum(), rel=1e-6)


@pytest.mark.parametrize("name", ["water.gpkg", "water.parquet"])
def test_vector_files_hold_the_polygons_and_repeat_byte_by_byte(tmp_path: Path, name: str) -> None:
    frame = to_vector(extract_layer(smooth_map(), "mine"))
    path = write_vector(frame, tmp_path / name)
    first = path.read_bytes()
    assert write_vector(frame, path).read_bytes() == first
    back = gpd.read_file(path) if path.suffix == ".gpkg" else gpd.read_parquet(path)
    assert back["area"].tolist() == frame["area"].tolist()
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_vector_of_an_empty_layer_and_of_wrong_endings(tmp_path: Path) -> None:
    frame = to_vector(extract_layer(smooth_map(), "water"))
    assert len(frame) == 0
    assert len(gpd.read_file(write_vector(frame, tmp_path / "none.gpkg"))) == 0
    with pytest.raises(InputError, match=r"\.gpkg, \.parquet, \.geojson"):
        write_vector(frame, tmp_path / "water.shp")


def test_small_patches_and_holes_vanish_exactly() -> None:
    raster = smooth_map()
    mask = extract_layer(raster, "urban", codes="mask", min_area=3000.0)
    old = np.where(raster.to_numpy() == 0, 0, np.where(raster.to_numpy() == 1, 1, 2)).astype(
        np.uint8
    )
    valid = (old != 0).astype(np.uint8)
    expected = gdal_sieve(old, 30, mask=valid, connectivity=4)
    np.testing.assert_array_equal(mask, np.where(old == 0, 255, expected == 1))
    assert (mask != extract_layer(raster, "urban", codes="mask")).any()


def probabilities(dtype: str = "uint8", chunks: int = 13) -> xr.DataArray:
    """Three classes whose probabilities add up to 1, and a corner without data."""
    parts = np.random.default_rng(1).integers(0, 126, (2, 60, 70))
    shares = np.stack([parts[0], parts[1], 250 - parts.sum(axis=0)]).astype(np.uint8)
    shares[:, :5, :5] = 255
    data = shares if dtype == "uint8" else np.where(shares == 255, np.nan, shares / 250)
    return georeference(
        data.astype(dtype),
        target_geobox((4_320_000, 3_210_000, 4_320_700, 3_210_600)),
        dims=("class", "y", "x"),
        coords={"class": ["forest", "12", "Urban fabric"]},
    ).chunk({"class": 1, "y": chunks, "x": chunks})


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_threshold_on_the_sum_of_the_layers_probabilities(dtype: str) -> None:
    shares = probabilities().to_numpy()
    empty = (shares == 255).all(axis=0)
    water = extract_layer(probabilities(dtype), "water", codes="mask", threshold=0.3)
    np.testing.assert_array_equal(water, np.where(empty, 255, shares[1] >= 75))
    both = extract_layer(probabilities(dtype), ["forest", "water"], threshold=0.6)
    enough = ~empty & (shares[:2].sum(axis=0, dtype=int) >= 150)
    likeliest = np.where(shares[0] >= shares[1], 8, 12)
    np.testing.assert_array_equal(both, np.where(enough, likeliest, 0))


@pytest.mark.usefixtures("no_compute")
def test_thresholds_are_lazy_and_wrong_ones_are_named() -> None:
    assert extract_layer(probabilities(), "water", threshold=0.5).chunks is not None
    with pytest.raises(InputError, match=r"probabilities \(class, y, x\) pass threshold="):
        extract_layer(probabilities(), "water")
    with pytest.raises(InputError, match="leave it out for a class map"):
        extract_layer(class_map(), "water", threshold=0.5)
    with pytest.raises(InputError, match=r"threshold=1\.5; give a probability"):
        extract_layer(probabilities(), "water", threshold=1.5)
    with pytest.raises(InputError, match="no probabilities of mine"):
        extract_layer(probabilities(), "mine", threshold=0.5)


def test_probabilities_survive_a_file(tmp_path: Path) -> None:
    path = write_cog(probabilities().assign_attrs(nodata=255), tmp_path / "p.tif")
    opened = open_probabilities(path, chunks=31)
    assert opened["class"].to_numpy().tolist() == ["forest", "12", "Urban fabric"]
    expected = extract_layer(probabilities(), "water", threshold=0.4)
    xr.testing.assert_equal(extract_layer(opened, "water", threshold=0.4), expected)
    arguments = [str(path), "--layer", "water", "--threshold", "0.4"]
    out = tmp_path / "water.tif"
    done = attempt("extract", *arguments, "--out", str(out))
    assert done.exit_code == 0
    np.testing.assert_array_equal(open_raster(out), expected)


@pytest.mark.parametrize("resolution", [20, 70, 100])
def test_fractions_equal_plain_counts_on_a_snapped_grid(resolution: int) -> None:
    raster = class_map()
    shares = fraction(raster, resolution)
    box = geobox_of(shares)
    assert box.affine.c % resolution == 0
    assert box.affine.f % resolution == 0
    np.testing.assert_allclose(shares.sum("class").to_numpy(), 1, rtol=1e-6)
    cell = box.affine
    left, top = 4_320_000, 3_210_600
    i, j = box.shape[0] // 2, box.shape[1] // 2
    y0 = round((top - (cell.f - i * resolution)) / 10)
    x0 = round((cell.c + j * resolution - left) / 10)
    n = resolution // 10
    window = raster.to_numpy()[y0 : y0 + n, x0 : x0 + n]
    for k, slug in enumerate(shares["class"].to_numpy()):
        expected = (window == k + 1).sum() / (window != 0).sum()
        assert shares.sel({"class": slug}).to_numpy()[i, j] == pytest.approx(expected)


@settings(max_examples=10)
@given(st.integers(5, 80), st.integers(5, 80))
def test_fraction_does_not_depend_on_chunks(y: int, x: int) -> None:
    expected = fraction(class_map().chunk(-1), 50)
    np.testing.assert_array_equal(fraction(class_map().chunk(y=y, x=x), 50), expected)


@pytest.mark.usefixtures("no_compute")
def test_fraction_and_min_area_are_lazy() -> None:
    assert fraction(class_map(), 100).chunks
    assert extract_layer(class_map(), "water", min_area=500).chunks


def test_crooked_resolution_is_refused() -> None:
    with pytest.raises(InputError, match="whole multiple"):
        fraction(class_map(), 15)
    with pytest.raises(InputError, match="resolution is nan"):
        fraction(class_map(), float("nan"))


@settings(max_examples=30)
@given(
    rows=st.integers(1, 420),
    columns=st.integers(1, 420),
    top=st.integers(-450, 450),
    left=st.integers(-450, 450),
    chunk=st.integers(50, 500),
)
@example(rows=201, columns=200, top=-200, left=200, chunk=500)  # 0.5 % of a cell hangs over
@example(rows=200, columns=201, top=199, left=199, chunk=77)
def test_cells_that_a_map_overhangs_by_a_pixel_count(
    rows: int, columns: int, top: int, left: int, chunk: int
) -> None:
    pixels = np.random.default_rng(rows).integers(0, 13, (rows, columns)).astype(np.uint8)
    grid = GeoBox((rows, columns), Affine(10, 0, 10 * left, 0, -10, -10 * top), "EPSG:3035")
    found = fraction(georeference(pixels, grid).chunk(chunk), 2000)
    cell, at = (np.arange(n) + first for n, first in ((rows, top), (columns, left)))
    down, across = np.unique(cell // 200), np.unique(at // 200)
    assert geobox_of(found).affine[:6] == (2000, 0, across[0] * 2000, 0, -2000, -down[0] * 2000)
    expected = np.full((12, down.size, across.size), np.nan, np.float32)
    for i, j in np.ndindex(down.size, across.size):
        part = pixels[cell // 200 == down[i]][:, at // 200 == across[j]]
        if part.any():
            counts = np.bincount(part.ravel(), minlength=13)[1:]
            expected[:, i, j] = counts.astype(np.float32) / counts.sum()
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("crs", ["EPSG:32632", "EPSG:2263"])  # m, US survey feet
@pytest.mark.parametrize("beyond", [(0.5, 0.5), (-0.5, 0.25), (0.0, -0.3)])
def test_cells_lie_where_their_pixels_do(beyond: tuple[float, float], crs: str) -> None:
    pixel = 30 * (3937 / 1200 if crs == "EPSG:2263" else 1)
    top, left = -183_333 + beyond[0], 9_999 + beyond[1]  # in pixels, as Landsat has them
    classes = np.zeros((12, 15), np.uint8)
    classes[5, 4] = 12
    transform = Affine(pixel, 0, left * pixel, 0, -pixel, -top * pixel)
    for flip in (slice(None), slice(None, None, -1)):
        raster = georeference(classes, GeoBox(classes.shape, transform, crs))[flip]
        shares = fraction(raster, 90).sel({"class": "water"})
        cell, found = geobox_of(shares), np.argwhere(shares.to_numpy() > 0)
        assert len(found) == 1
        column, row = ~cell.affine @ (transform @ (4, 5))  # a corner of the pixel, in cells
        thirds = np.rint([3 * row, 3 * column])
        np.testing.assert_allclose([3 * row, 3 * column], thirds, atol=1e-6)
        assert found[0].tolist() == (thirds // 3).tolist()


def test_fractions_of_a_map_from_south_to_north_are_the_same() -> None:
    expected = fraction(class_map(), 70)
    for axes in ("y", "x", "yx"):
        turned = class_map().isel({axis: slice(None, None, -1) for axis in axes})
        assert geobox_of(turned).resolution.y == (10 if "y" in axes else -10)
        found = fraction(turned, 70)
        np.testing.assert_array_equal(found, expected)
        assert geobox_of(found) == geobox_of(expected)


def test_pixels_that_are_not_square_have_no_fractions() -> None:
    grid = GeoBox((4, 4), Affine(10, 0, 4_321_000, 0, -20, 3_210_080), "EPSG:3035")
    with pytest.raises(InputError, match=r"pixels of 10 x 20 m; expected square ones"):
        fraction(georeference(np.ones((4, 4), np.uint8), grid), 20)
