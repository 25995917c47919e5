import itertools
from pathlib import Path
from typing import Any

import dask.array as da
import geopandas as gpd
import numpy as np
import pytest
import shapely
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.features import geometry_mask

from osm4eo_xr.errors import InputError
from osm4eo_xr.geometry.grid import geobox_of, georeference, target_geobox
from osm4eo_xr.maps.country_mosaic import mosaic
from osm4eo_xr.places.outlines import country_boundary

LEFT, TOP = 4_320_000, 3_210_000


def tile(
    row: int, column: int, pixels: np.ndarray, chunks: Any = 40, name: str | None = None
) -> xr.DataArray:
    """Place pixels so that their upper left one is at row, column of the country."""
    height, width = pixels.shape
    left, top = LEFT + 10 * column, TOP - 10 * row
    geobox = target_geobox((left, top - 10 * height, left + 10 * width, top))
    attrs = {"nodata": 0, **({"tile": name} if name else {})}
    return georeference(da.from_array(pixels, chunks=chunks), geobox, attrs=attrs)


def three(chunks: Any = 40, seed: int = 0) -> list[xr.DataArray]:
    """Three overlapping tiles, none of whose pixels is no data for sure."""
    rng = np.random.default_rng(seed)
    places = [(0, 0), (60, 30), (20, 70)]
    return [
        tile(y, x, rng.integers(0, 4, (100, 110)).astype(np.uint8), chunks, f"T{k}")
        for k, (y, x) in enumerate(places)
    ]


def reference(tiles: list[xr.DataArray]) -> np.ndarray:
    """Vote pixel by pixel, in plain Python, on the union of the tiles."""
    boxes = [geobox_of(t) for t in tiles]
    top = max(b.boundingbox.top for b in boxes)
    left = min(b.boundingbox.left for b in boxes)
    votes: dict[tuple[int, int], list[int]] = {}
    for box, t in zip(boxes, tiles, strict=True):
        row, column = (
            round((top - box.boundingbox.top) / 10),
            round((box.boundingbox.left - left) / 10),
        )
        for (y, x), value in np.ndenumerate(t.values):
            votes.setdefault((row + y, column + x), []).append(int(value))
    shape = tuple(max(k[axis] for k in votes) + 1 for axis in (0, 1))
    out = np.zeros(shape, np.uint8)
    for place, given_values in votes.items():
        values = [v for v in given_values if v]
        if values:
            out[place] = max(values, key=lambda v: (values.count(v), -values.index(v)))
    return out


def test_majority_then_lowest_tile_id_equals_plain_votes() -> None:
    tiles = three()
    joined = mosaic(tiles, chunks=64)
    np.testing.assert_array_equal(joined.values, reference(tiles))
    assert joined.dtype == np.uint8
    assert joined.attrs == {"nodata": 0}
    assert geobox_of(joined).boundingbox[0] == LEFT


@pytest.mark.parametrize("named", [True, False])
def test_order_of_tiles_does_not_matter(named: bool) -> None:
    tiles = three()
    if not named:
        tiles = [t.drop_attrs(deep=False) for t in tiles]
    expected = mosaic(tiles, chunks=50)
    for order in itertools.permutations(tiles):
        np.testing.assert_array_equal(mosaic(list(order), chunks=50), expected)


@settings(max_examples=12)
@given(st.integers(7, 130), st.integers(7, 130), st.integers(16, 300), st.integers(0, 99))
def test_any_chunking_gives_the_same_map(y: int, x: int, out: int, seed: int) -> None:
    outline = shapely.Point(LEFT + 800, TOP - 800).buffer(600)
    expected = mosaic(three(-1, seed), outline, chunks=1000).values
    np.testing.assert_array_equal(mosaic(three((y, x), seed), outline, chunks=out), expected)


def test_first_takes_the_order_given() -> None:
    a, b = (tile(0, 0, np.full((4, 4), v, np.uint8)) for v in (3, 5))
    assert (mosaic({"z": a, "a": b}, rule="first") == 3).all()
    assert (mosaic({"a": b, "z": a}, rule="first") == 5).all()
    assert (mosaic({"z": a, "a": b}) == 5).all()


def test_confidence_decides_and_nan_loses() -> None:
    maps = {k: tile(0, 0, np.full((2, 3), v, np.uint8)) for k, v in (("a", 3), ("b", 5))}
    a = np.array([[0.9, 0.2, 0.5], [np.nan, np.nan, 0.1]], np.float32)
    b = np.array([[0.1, 0.8, 0.5], [0.1, np.nan, np.nan]], np.float32)
    sure = {"b": maps["b"].copy(data=da.from_array(b)), "a": maps["a"].copy(data=da.from_array(a))}
    joined = mosaic(maps, confidence=sure)
    np.testing.assert_array_equal(joined, [[3, 5, 3], [5, 3, 3]])


@pytest.mark.parametrize("chunks", [None, 2])
@pytest.mark.parametrize("stated", [{"nodata": 255}, {"_FillValue": 255}, {}])
def test_a_confidence_of_no_data_loses(stated: dict[str, int], chunks: int | None) -> None:
    maps = {k: tile(0, 0, np.full((1, 3), v, np.uint8)) for k, v in (("a", 3), ("b", 5))}
    numbers = {"a": [[255, 0, 250]], "b": [[1, 255, 240]]}
    sure = {
        k: georeference(np.array(numbers[k], np.uint8), geobox_of(m), attrs=stated)
        for k, m in maps.items()
    }
    if chunks:
        sure = {k: s.chunk(chunks) for k, s in sure.items()}
    np.testing.assert_array_equal(mosaic(maps, confidence=sure), [[5, 3, 3]])
    shorts = {k: s.astype(np.int16).assign_attrs(nodata=250) for k, s in sure.items()}
    np.testing.assert_array_equal(mosaic(maps, confidence=shorts), [[3, 5, 5]])


def test_a_plan_holds_one_task_per_block_for_what_is_no_confidence() -> None:
    """Countries have tens of thousands of blocks, of which few are weighed."""
    maps = {k: tile(0, 0, np.full((8, 8), v, np.uint8), 2) for k, v in (("a", 3), ("b", 5))}
    floats = {k: m.astype(np.float32) for k, m in maps.items()}
    plain = {k: m.assign_attrs(nodata=None) for k, m in floats.items()}
    stated = {k: m.assign_attrs(nodata=9.0) for k, m in floats.items()}
    sizes = [len(dict(mosaic(maps, confidence=c).data.dask)) for c in (plain, stated)]
    assert sizes[1] - sizes[0] == 2 * 16


def test_tiles_are_of_one_legend_which_the_mosaic_states() -> None:
    west, east = tile(0, 0, np.full((1, 2), 8, np.uint8)), tile(0, 2, np.full((1, 2), 5, np.uint8))
    named = west.assign_attrs(legend="woods first")
    assert "legend" not in mosaic([west, east]).attrs
    for maps in ([named, east], [named, east.assign_attrs(legend="woods first")], [east, named]):
        assert mosaic(maps).attrs["legend"] == "woods first"
    assert mosaic({"a": east, "b": named}).attrs["legend"] == "woods first"
    for other in ("osmlanduse-12", "woods first, CORINE codes"):
        with pytest.raises(InputError, match=f"made with legends 'woods first' and '{other}'"):
            mosaic([named, east.assign_attrs(legend=other)])


@pytest.mark.parametrize("chunks", [None, 2])
def test_what_tiles_are_weighed_by_lies_on_their_grid(chunks: int | None) -> None:
    wide = {k: tile(0, 0, np.full((3, 6), v, np.uint8)) for k, v in (("a", 3), ("b", 5))}
    wide = {k: m.compute() if chunks is None else m.chunk(chunks) for k, m in wide.items()}
    maps = {k: m[:, 2:] for k, m in wide.items()}
    for cut in (np.s_[:], np.s_[:, :4], np.s_[:, 3:], np.s_[1:, 2:]):
        sure = {k: m[cut].astype(np.float32) for k, m in wide.items()}
        with pytest.raises(InputError, match=r"confidence .* is not on the grid of its tile"):
            mosaic(maps, confidence=sure)
        shares = {k: s.expand_dims({"class": [3, 5]}) / 10 for k, s in sure.items()}
        with pytest.raises(InputError, match=r"probabilities .* is not on the grid of its tile"):
            mosaic(maps, probabilities=shares, rule="blend")
    with pytest.raises(InputError, match=r"confidence with dims .*; expected \(y, x\)"):
        mosaic(maps, confidence={k: m.expand_dims({"class": [3]}) for k, m in maps.items()})


def test_no_data_of_one_tile_is_filled_by_another() -> None:
    holes = np.array([[0, 3], [3, 0]], np.uint8)
    joined = mosaic({"a": tile(0, 0, holes), "b": tile(0, 0, np.full((2, 2), 7, np.uint8))})
    np.testing.assert_array_equal(joined, [[7, 3], [3, 7]])


def test_boundary_file_in_degrees_clips_by_pixel_centers(tmp_path: Path) -> None:
    tiles = three()
    shape = shapely.Polygon(
        [(LEFT + 55, TOP - 33), (LEFT + 1505, TOP - 313), (LEFT + 711, TOP - 1411)]
    )
    path = tmp_path / "boundary.gpkg"
    gpd.GeoDataFrame(geometry=[shape], crs=3035).to_crs(4326).to_file(path)
    whole, clipped = mosaic(tiles, chunks=37), mosaic(tiles, path, chunks=37)
    back = gpd.read_file(path).to_crs(3035).geometry
    box = geobox_of(whole)
    outside = geometry_mask(back, out_shape=box.shape, transform=box.affine)
    # An edge that is straight in degrees bends by centimeters on the map; PROJ's versions differ.
    edge = back.boundary.buffer(0.1)
    clear = geometry_mask(edge, out_shape=box.shape, transform=box.affine)
    assert (~clear).sum() < 20  # of 28,800
    np.testing.assert_array_equal(clipped.where(clear, 0), np.where(outside | ~clear, 0, whole))
    assert 0 < outside.mean() < 1


def test_a_country_is_clipped_by_its_name(data_dir: Path) -> None:
    boundaries = next((data_dir / "boundaries").rglob("*.shp"))
    box = target_geobox((4_280_000, 2_650_000, 4_320_000, 2_690_000))  # Liechtenstein's corner
    full = georeference(da.full(tuple(box.shape), np.uint8(7), chunks=1000), box)
    joined = mosaic([full], boundaries, country="Austria")
    frame = gpd.read_file(boundaries)
    frame = frame.set_geometry(frame.segmentize(0.01)).to_crs(3035)
    outline = frame.loc[frame["ADM0_A3"] == "AUT"].geometry
    outside = geometry_mask(outline, out_shape=tuple(box.shape), transform=box.affine)
    np.testing.assert_array_equal(joined, np.where(outside, 0, 7))
    assert 0.1 < outside.mean() < 0.9
    for country in ("FR", "UK", "ETO"):  # rows with gaps or traps among their codes
        assert len(country_boundary(country, boundaries)) == 1
    for country in ("LIE", "liechtenstein"):  # not in the table of countries
        assert country_boundary(country, boundaries)["ADM0_A3"].tolist() == ["LIE"]
    with pytest.raises(InputError, match="no row for 'Atlantis'"):
        country_boundary("Atlantis", boundaries)
    with pytest.raises(InputError, match="give boundary="):
        mosaic([full], outline, country="Austria")


def test_a_country_needs_no_file_of_boundaries() -> None:
    box = target_geobox((4_280_000, 2_650_000, 4_320_000, 2_690_000))  # Liechtenstein's corner
    full = georeference(da.full(tuple(box.shape), np.uint8(7), chunks=1000), box)
    outline = country_boundary("LIE").segmentize(0.01).to_crs(3035)
    outside = geometry_mask(outline, out_shape=tuple(box.shape), transform=box.affine)
    np.testing.assert_array_equal(mosaic([full], country="LIE"), np.where(outside, 0, 7))


def test_given_geobox_cuts_and_pads() -> None:
    tiles = three()
    box = target_geobox((LEFT - 200, TOP - 700, LEFT + 500, TOP + 100))
    joined = mosaic(tiles, geobox=box, chunks=33)
    assert geobox_of(joined) == box
    np.testing.assert_array_equal(joined[10:, 20:], reference(tiles)[:70, :50])
    assert not joined[:10].any()


@pytest.mark.usefixtures("no_compute")
def test_mosaic_is_lazy_and_tasks_are_only_where_data_is() -> None:
    pixels = da.zeros((1000, 1000), dtype=np.uint8, chunks=500)
    tiles = []
    for k in range(400):
        left, top = LEFT + 10 * 5000 * (k % 20), TOP - 10 * 5000 * (k // 20)
        box = target_geobox((left, top - 10_000, left + 10_000, top))
        tiles.append(georeference(pixels, box, attrs={"tile": str(k)}))
    joined = mosaic(tiles, chunks=1000)
    assert joined.shape == (96_000, 96_000)
    name = joined.data.name
    layer = joined.data.dask.layers[name]
    busy = [task for task in layer.values() if task[0] is not np.full]
    assert len(layer) == 96 * 96
    assert len(busy) == 400


@pytest.mark.parametrize(
    ("tiles", "options", "message"),
    [
        ([], {}, "no class map"),
        ([three()[0], three()[0]], {}, "tiles 1 and 2 of 2 are called T0.*rule=first"),
        ([tile(0, 0, np.ones((4, 4), np.uint8))] * 2, {}, "tiles 1 and 2 of 2 have one grid"),
        ([three()[0].astype(np.int32)], {}, "expected .* uint8"),
        (three(), {"rule": "confidence"}, "needs confidence of each tile"),
        (three(), {"confidence": three()[:2]}, "give one each"),
        (three(), {"boundary": "nowhere.gpkg"}, "no boundary nowhere.gpkg; give a vector file"),
        (three(), {"boundary": shapely.box(0, 0, 10, 10)}, "do not overlap"),
        (three(), {"boundary": shapely.Point(LEFT, TOP)}, "no polygon"),
    ],
)
def test_wrong_input_is_named(tiles: Any, options: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        mosaic(tiles, **options)


def test_a_tile_without_its_place_is_refused_and_not_filled_up_to() -> None:
    here = tile(0, 0, np.ones((4, 4), np.uint8))
    far = georeference(here.data, target_geobox((0, 0, 40, 40)))
    with pytest.raises(InputError) as caught:
        mosaic([here, far], rule="first")
    assert "0.0000% of the" in caught.value.given
    assert "tile 2 lies at (0, 0, 40, 40)" in caught.value.given


def test_tiles_on_another_grid_are_refused() -> None:
    other = target_geobox((LEFT + 5, TOP - 100, LEFT + 105, TOP))
    shifted = georeference(
        da.zeros((10, 10), dtype=np.uint8),
        type(other)((10, 10), other.affine @ other.affine.translation(0.5, 0), other.crs),
    )
    with pytest.raises(InputError, match="one grid"):
        mosaic({"a": three()[0], "b": shifted})


def test_worker_processes_give_the_same_map() -> None:
    from distributed import Client

    tiles, outline = three(), shapely.Point(LEFT + 800, TOP - 800).buffer(600)
    expected = mosaic(tiles, outline, chunks=50).values
    with Client(n_workers=1, threads_per_worker=1, dashboard_address=None):
        np.testing.assert_array_equal(mosaic(tiles, outline, chunks=50).compute(), expected)


def shares_of(tiles: list[xr.DataArray], classes: int = 4) -> list[xr.DataArray]:
    """Return 8-bit probabilities of classes 1 … of which each tile's class is the greatest."""
    found = []
    for k, t in enumerate(tiles):
        values = t.to_numpy()
        rng = np.random.default_rng(k)
        steps = rng.integers(0, 120, (classes, *values.shape), dtype=np.uint8)
        for c in range(classes):
            steps[c][values == c + 1] = 125 + k
        steps[:, values == 0] = 255
        names: Any = {"class": list(range(1, classes + 1))}
        box = geobox_of(t)
        found.append(georeference(steps, box, dims=("class", "y", "x"), coords=names))
    return found


def blended(tiles: list[xr.DataArray], shares: list[xr.DataArray]) -> np.ndarray:
    """Average in plain NumPy on the union of the tiles."""
    whole = geobox_of(mosaic(tiles))
    total = np.zeros((4, *whole.shape))
    one, count = np.zeros(whole.shape, np.uint8), np.zeros(whole.shape, int)
    for t, s in zip(tiles, shares, strict=True):
        box, (height, width) = geobox_of(t), t.shape
        column, row = (round(v) for v in ~whole.affine @ (box.affine.c, box.affine.f))
        y, x = np.indices(t.shape)
        edges = (y + 0.5, x + 0.5, height - 0.5 - y, width - 0.5 - x)
        p = np.where(t.to_numpy() > 0, s.to_numpy(), 0).astype(float)
        at = np.s_[row : row + height, column : column + width]
        total[:, *at] += np.min(edges, axis=0) * p.max(axis=0) * p
        one[at] = np.where(one[at] == 0, t.to_numpy(), one[at])
        count[at] += t.to_numpy() > 0
    return np.where(count > 1, total.argmax(axis=0) + 1, one)


@settings(max_examples=5)
@given(chunks=st.integers(30, 200), own=st.integers(25, 110))
def test_blended_tiles_are_the_weighed_average_for_any_chunks(chunks: int, own: int) -> None:
    tiles = three(own)
    tiles[0][:20, :50] = 0
    shares = shares_of(tiles)
    lazy = [s.chunk({"class": 2, "y": 31, "x": 47}) for s in shares]
    found = mosaic(tiles, rule="blend", probabilities=lazy, chunks=chunks)
    assert found.chunks is not None
    np.testing.assert_array_equal(found, blended(tiles, shares))
    backwards = mosaic(tiles[::-1], rule="blend", probabilities=shares[::-1], chunks=chunks)
    np.testing.assert_array_equal(found, backwards)
    floats = [s.where(s != 255) / np.float32(250) for s in shares]
    np.testing.assert_array_equal(found, mosaic(tiles, rule="blend", probabilities=floats))


@pytest.mark.parametrize("first", [0, 2])
def test_a_networks_class_of_unlabeled_ground_wins_no_blend(first: int) -> None:
    """Wherever it is among the classes, and however likely."""
    maps = {k: tile(0, 0, np.full((1, 2), v, np.uint8)) for k, v in (("a", 8), ("b", 12))}
    steps = {"a": {0: 110, 8: 130, 12: 10}, "b": {0: 110, 8: 10, 12: 130}}
    ids = [8, 12]
    ids.insert(first, 0)
    shares = {
        k: georeference(
            np.array([[[steps[k][i]] * 2] for i in ids], np.uint8),
            geobox_of(m),
            dims=("class", "y", "x"),
            coords={"class": ids},
        )
        for k, m in maps.items()
    }
    shares["b"][:, 0, 1] = [240 if i == 0 else 5 for i in ids]
    found = mosaic(maps, probabilities=shares, rule="blend")
    np.testing.assert_array_equal(found, [[8, 8]])
    for s in shares.values():  # of no class is anything known
        s[:] = np.where(s["class"] == 0, 250, 0)[:, None, None]
    np.testing.assert_array_equal(mosaic(maps, probabilities=shares, rule="blend"), [[8, 8]])


def test_what_cannot_be_blended_is_refused() -> None:
    tiles = three()
    shares = shares_of(tiles)
    with pytest.raises(InputError, match="rule 'blend' needs probabilities of each tile"):
        mosaic(tiles, rule="blend")
    others = [shares[0].assign_coords({"class": [1, 2, 3, 5]}), *shares[1:]]
    with pytest.raises(InputError, match="probabilities are of different classes"):
        mosaic(tiles, rule="blend", probabilities=others)
