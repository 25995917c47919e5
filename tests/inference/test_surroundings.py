"""Maps of tiles that were cut from one scene are the scene's own map, pixel for pixel."""

import math
from typing import Any

import dask
import dask.array as da
import jax
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from osm4eo_xr.errors import InputError
from osm4eo_xr.feature_ids.channels import Channels
from osm4eo_xr.geometry.grid import georeference, target_geobox
from osm4eo_xr.inference import prediction
from osm4eo_xr.inference.blocks import BlockGrid, block_edges, read_around, read_blocks
from osm4eo_xr.inference.prediction import classify
from osm4eo_xr.inference.surroundings import Placed, gather
from osm4eo_xr.models.model import Model
from osm4eo_xr.models.record import Normalization
from osm4eo_xr.networks.resnet import init
from osm4eo_xr.networks.settings import NetSettings

BANDS = ("blue", "green", "red", "nir")
SIZE = 150
NAN = np.float32("nan")


def model() -> Model:
    net = NetSettings(bands=4, classes=12, depth=11, width=4, kernel=3)
    scale = Normalization(center=(0.5,) * 4, scale=(0.3,) * 4)
    return Model(net, init(net, jax.random.key(3)), bands=BANDS, normalization=scale)


def scene(*, shift: int = 0) -> xr.DataArray:
    """A smooth scene with a hole and a corner without data; ``shift`` pixels off the CRS's grid."""
    rng = np.random.default_rng(0)
    coarse = rng.random((4, 31, 31), dtype=np.float32)
    values = np.kron(coarse, np.ones((1, 5, 5), np.float32))[:, :SIZE, :SIZE]
    values += 0.1 * rng.random(values.shape, dtype=np.float32)
    values[:, 60:80, 70:95] = NAN
    values[:, np.add.outer(np.arange(SIZE), np.arange(SIZE)) < 25] = NAN
    left, top = 4_320_000 + 10 * shift, 3_200_000 - 10 * shift
    box = target_geobox((left, top - 10 * SIZE, left + 10 * SIZE, top))
    return georeference(values, box, dims=("band", "y", "x"), coords={"band": list(BANDS)})


CASES = {
    "two that touch": [(0, 150, 0, 64), (0, 150, 64, 150)],
    "two off the network's strides": [(0, 150, 0, 71), (0, 150, 71, 150)],
    "overlap": [(0, 150, 0, 90), (0, 150, 70, 150)],
    "four corners": [(0, 77, 0, 81), (0, 77, 81, 150), (77, 150, 0, 81), (77, 150, 81, 150)],
    "four that overlap": [(0, 90, 0, 90), (0, 90, 60, 150), (60, 150, 0, 90), (60, 150, 60, 150)],
}
OUTPUTS = ["classes", "probabilities"]


@pytest.fixture(scope="module")
def whole() -> dict[int, xr.Dataset]:
    return {
        n: classify(scene(shift=n), model(), outputs=OUTPUTS, around=[]).compute() for n in (0, 7)
    }


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("shift", [0, 7])
def test_maps_of_tiles_are_the_map_of_the_scene(
    case: str, shift: int, whole: dict[int, xr.Dataset]
) -> None:
    tiles = [scene(shift=shift)[:, a:b, c:d] for a, b, c, d in CASES[case]]
    for k, (a, b, c, d) in enumerate(CASES[case]):
        others = [t.chunk(y=37, x=53) for t in tiles[:k] + tiles[k + 1 :]]
        found = classify(
            tiles[k].chunk(y=40 + k, x=29), model(), outputs=OUTPUTS, around=others, block=64
        ).compute()
        expected = whole[shift].isel(y=slice(a, b), x=slice(c, d))
        assert (found["classes"].to_numpy() != expected["classes"].to_numpy()).sum() == 0
        # Blocks of another shape may round the last digits, and an 8-bit step, another way.
        shares = (m["probabilities"].to_numpy().astype(int) for m in (found, expected))
        assert np.abs(next(shares) - next(shares)).max() <= 1


def test_on_the_grid_s_strides_alone_is_as_without(whole: dict[int, xr.Dataset]) -> None:
    alone = classify(scene(), model())
    np.testing.assert_array_equal(alone, whole[0]["classes"])
    cut = classify(scene()[:, :, :64], model()).to_numpy()
    assert (cut != whole[0]["classes"][:, :64].to_numpy()).any()  # the seam that there was


def test_pixels_of_neighbors_are_seen_and_not_shown() -> None:
    one, other = scene(), scene()
    hole = one.where(np.arange(SIZE) < 64)
    found = classify(hole, model(), outputs=OUTPUTS, around=[other]).compute()
    expected = classify(other, model(), outputs=OUTPUTS, around=[]).compute()
    assert (found["classes"][:, 64:] == 0).all()
    assert (found["probabilities"][..., 64:] == 255).all()
    np.testing.assert_array_equal(found["classes"][:, :64], expected["classes"][:, :64])


@pytest.mark.usefixtures("no_compute")
def test_edges_of_blocks_are_those_that_are_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    alone = scene(shift=7)
    sizes = classify(alone, model(), block=64).chunksizes
    expected = tuple(np.cumsum(sizes[dim])[:-1].tolist() for dim in ("y", "x"))
    assert block_edges(alone.odc.geobox, model(), block=64) == expected
    seen: list[tuple[BlockGrid, Placed]] = []

    def spy(sources: Any, grid: BlockGrid, margin: int, *more: Any) -> da.Array:
        seen.append((grid, sources[0]))
        return read_around(sources, grid, margin, *more)

    monkeypatch.setattr(prediction, "read_around", spy)
    classify(alone, model(), block=64, around=[])
    ((grid, placed),) = seen
    first = placed.top, placed.left
    assert any(first)
    edges = block_edges(alone.odc.geobox, model(), block=64, around=True)
    for found, size, ahead in zip(edges, (grid.rows, grid.cols), first, strict=True):
        assert found == [k * size - ahead for k in range(1, 4) if 0 < k * size - ahead < SIZE]


@pytest.mark.usefixtures("no_compute")
def test_nothing_is_read_before_it_is_asked_for_and_other_grids_are_refused() -> None:
    lazy = scene().chunk(y=50, x=50)
    assert classify(lazy, model(), around=[lazy]).chunks is not None
    with pytest.raises(InputError, match="a scene around lies on EPSG:3035"):
        classify(lazy, model(), around=[lazy.assign_coords(x=lazy["x"] + 3)])


@settings(max_examples=20)
@given(
    height=st.integers(5, 40),
    width=st.integers(5, 40),
    margin=st.integers(0, 6),
    y=st.integers(2, 40),
    x=st.integers(2, 40),
    cut=st.integers(1, 39),
)
def test_blocks_are_those_of_the_whole_for_any_cut_and_chunks(
    height: int, width: int, margin: int, y: int, x: int, cut: int
) -> None:
    pixels = np.random.default_rng(0).random((2, height, width), dtype=np.float32)
    tiles, cut = BlockGrid((height, width), 8, 16), min(cut, width - 1)
    chunks: Any = (1, y, x)
    parts = [
        Placed(da.from_array(pixels[:, :, :cut], chunks=chunks), 0, 0),
        Placed(da.from_array(pixels[:, :, cut:], chunks=chunks), 0, cut),
    ]
    found = read_around(parts, tiles, margin)
    expected = read_blocks(da.asarray(pixels), tiles, margin)
    assert found.chunks == expected.chunks
    np.testing.assert_array_equal(*da.compute(found, expected, scheduler="sync"))


def test_the_first_source_that_has_all_bands_is_taken() -> None:
    a, b = np.full((2, 1, 3), 1, np.float32), np.full((2, 1, 3), 2, np.float32)
    a[1, 0, 1] = NAN
    sources = [Placed(da.asarray(a), 0, 0), Placed(da.asarray(b), 0, 1)]
    found = gather(sources, [(0, 1)], [(-1, 5)]).compute(scheduler="sync")
    np.testing.assert_array_equal(found[0, 0], [NAN, 1, 2, 1, 2, NAN])


@settings(max_examples=30)
@given(data=st.data())
def test_windows_are_those_of_sources_laid_over_each_other_in_any_chunks(
    data: st.DataObject,
) -> None:
    """The reference fills a raster of the ground from the last source to the first."""
    sizes = st.integers(1, 20)
    groups = data.draw(st.sampled_from([((0, 1, 2),), ((0,), (1, 2))]))
    channels = Channels(groups, (False,) * len(groups))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    ground = np.full((3, 60, 60), NAN, np.float32)  # row and column 0 are at 20
    sources = []
    for _ in range(data.draw(st.integers(1, 3))):
        pixels = rng.random((3, data.draw(sizes), data.draw(sizes)), dtype=np.float32)
        pixels[rng.random(pixels.shape) < 0.2] = NAN
        chunks: Any = (data.draw(st.integers(1, 3)), data.draw(sizes), data.draw(sizes))
        place = data.draw(st.integers(-10, 20)), data.draw(st.integers(-10, 20))
        sources.append(Placed(da.from_array(pixels, chunks=chunks), *place))
    for k, (lazy, top, left) in reversed(list(enumerate(sources))):
        pixels = lazy.compute(scheduler="sync")
        area = ground[:, 20 + top : 20 + top + lazy.shape[1], 20 + left : 20 + left + lazy.shape[2]]
        for group in groups:
            members = list(group)
            there = np.isfinite(pixels[members]).all(axis=0)
            last = k == len(sources) - 1  # where nobody has all bands, the last one's stand
            area[members] = np.where(there | last, pixels[members], area[members])
    starts = st.lists(st.tuples(st.integers(-15, 30), sizes), min_size=1, max_size=3)
    rows, columns = ([(at, at + n) for at, n in data.draw(starts)] for _ in range(2))
    found: Any = gather(sources, rows, columns, channels)
    assert found.numblocks == (1, len(rows), len(columns))
    for i, j in np.ndindex(len(rows), len(columns)):
        (top, bottom), (left, right) = rows[i], columns[j]
        padded = np.pad(ground, ((0, 0), (20, 20), (20, 20)), constant_values=NAN)
        expected = padded[:, 40 + top : 40 + bottom, 40 + left : 40 + right]
        block = found.blocks[0, i, j].compute(scheduler="sync")
        for group in groups:
            members = list(group)
            whole = np.isfinite(expected[members]).all(axis=0)
            np.testing.assert_array_equal(block[members][:, whole], expected[members][:, whole])
            assert not np.isfinite(block[members][:, ~whole]).all(axis=0).any()


def test_blocks_take_few_tasks() -> None:
    """A scheduler gives out some thousand tasks per second, and a GPU a hundred blocks."""
    lazy = scene().chunk(y=64, x=64)
    beside = lazy.assign_coords(x=lazy["x"] + 320)
    for around, most in ((None, 5), ([beside], 14)):
        maps = classify(lazy, model(), block=64, around=around)
        (planned,) = dask.optimize(maps.data)  # pyright: ignore[reportPrivateImportUsage] - documented there
        blocks = math.prod(maps.data.numblocks)
        assert blocks >= 4
        assert len(planned.__dask_graph__()) <= most * blocks + 10


def test_a_chunk_of_a_whole_scene_is_not_copied_for_its_windows() -> None:
    """One object with all windows in it would be twice the scene, and go to each worker."""
    grid = BlockGrid((96, 96), 32, 32)
    lazy = read_blocks(da.zeros((2, 96, 96), chunks=-1, dtype="float32"), grid, 4)
    kinds = {str(key[0]).split("-")[0] for key in lazy.__dask_graph__() if isinstance(key, tuple)}
    assert "slice" in kinds
    assert "parts" not in kinds
    np.testing.assert_array_equal(np.isfinite(lazy.compute(scheduler="sync")).sum(), 2 * 112 * 112)
