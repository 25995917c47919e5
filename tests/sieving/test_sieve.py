import dataclasses
import os
import signal
import time
from pathlib import Path
from typing import Any, cast

import dask.array as da
import dask.config
import numpy as np
import pytest
import xarray as xr
from dask.callbacks import Callback
from distributed import Client, LocalCluster
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.features import sieve as gdal_sieve

from osm4eo_xr.errors import InputError
from osm4eo_xr.geometry.grid import georeference, target_geobox
from osm4eo_xr.sieving import kernels, lazy_sieve, neighbors
from osm4eo_xr.sieving.borders import NO_FATES, Rule
from osm4eo_xr.sieving.chunks import Pixels, Place, Regions, hold_chunk
from osm4eo_xr.sieving.lazy_sieve import _strip_of, compile_sieve, sieve, watch_borders
from osm4eo_xr.sieving.merging import merge_borders, settle_borders

_BLOB = 40

# Random cases of equality with GDAL; the long run takes 10,000 and more.
EXAMPLES = int(os.environ.get("OSM4EO_XR_SIEVE_EXAMPLES", "100"))


def raster(values: np.ndarray, chunks: Any = None) -> xr.DataArray:
    data = values if chunks is None else da.from_array(values, chunks=chunks)
    return xr.DataArray(data, dims=("y", "x"))


def by_gdal(values: np.ndarray, size: int, connectivity: int, mask: np.ndarray) -> np.ndarray:
    # rasterio refuses a size above the number of pixels, so masked rows make the raster larger
    rows = ((0, size // values.shape[1] + 1), (0, 0))
    padded, where = np.pad(values, rows), np.pad(mask, rows)
    return gdal_sieve(padded, size, connectivity=connectivity, mask=where)[: values.shape[0]]


@st.composite
def chunkings(draw: st.DrawFn, length: int) -> tuple[int, ...]:
    longest = draw(st.sampled_from([1, 2, 5] if length < 10 else [5, 12, 60]))
    sizes = []
    while sum(sizes) < length:
        sizes.append(draw(st.integers(1, min(longest, length - sum(sizes)))))
    return tuple(sizes)


@st.composite
def cases(draw: st.DrawFn) -> dict[str, Any]:
    side = st.sampled_from([1, 2, 3, 7, 20, 45])
    shape = draw(side), draw(side)
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    zoom = draw(st.integers(1, 4))
    classes = draw(st.integers(2, 13))
    coarse = rng.integers(0, classes, shape, np.uint8)
    values = np.kron(coarse, np.ones((zoom, zoom), np.uint8))[: shape[0], : shape[1]]
    salt = rng.random(shape) < draw(st.sampled_from([0, 0.05, 0.3]))
    values[salt] = rng.integers(0, classes, int(salt.sum()))
    masked = draw(st.sampled_from([None, 0.1, 0.5]))
    return {
        "values": values,
        "chunks": (draw(chunkings(shape[0])), draw(chunkings(shape[1]))),
        "size": draw(st.sampled_from([1, 2, 3, 4, 6, 10, 25, 64, 500, 5000])),
        "connectivity": draw(st.sampled_from([4, 8])),
        "mask": None if masked is None else rng.random(shape) >= masked,
        "nodata": draw(st.sampled_from([0, None])),
        "reread": draw(st.booleans()),
    }


@settings(max_examples=EXAMPLES)
@given(cases())
def test_equals_gdal_whatever_the_chunks(case: dict[str, Any]) -> None:
    values, mask = case["values"], case["mask"]
    where = np.ones(values.shape, bool) if mask is None else mask
    if case["nodata"] == 0:
        where = where & (values != 0)
    ours = sieve(
        raster(values, case["chunks"]),
        case["size"],
        case["connectivity"],
        mask=mask,
        nodata=case["nodata"],
        reread=case["reread"],
    )
    assert ours.chunks == case["chunks"]
    expected = by_gdal(values, case["size"], case["connectivity"], where)
    np.testing.assert_array_equal(ours.data.compute(scheduler="synchronous"), expected)


def class_map(shape: tuple[int, int], seed: int = 0) -> np.ndarray:
    """13 classes in blobs some 60 pixels wide, with 3 % salt noise."""
    rng = np.random.default_rng(seed)
    coarse = rng.random((13, shape[0] // _BLOB + 2, shape[1] // _BLOB + 2))
    y, x = (np.arange(n) / _BLOB for n in shape)
    j, i, v, u = x.astype(int), y.astype(int)[:, None], x % 1, (y % 1)[:, None]
    field = (coarse[:, i, j] * (1 - v) + coarse[:, i, j + 1] * v) * (1 - u) + (
        coarse[:, i + 1, j] * (1 - v) + coarse[:, i + 1, j + 1] * v
    ) * u
    values = field.argmax(0).astype(np.uint8)
    salt = rng.random(shape) < 0.03
    values[salt] = rng.integers(0, 13, int(salt.sum()))
    return values


@pytest.mark.parametrize("connectivity", [4, 8])
@pytest.mark.parametrize("size", [64, 1000])
def test_equals_gdal_on_a_class_map_in_threads(size: int, connectivity: int) -> None:
    values = class_map((900, 1100))
    ours = sieve(raster(values, 128), size, connectivity).data.compute(scheduler="threads")
    expected = by_gdal(values, size, connectivity, values != 0)
    assert (expected != values).mean() > 0.02
    np.testing.assert_array_equal(ours, expected)


@pytest.mark.usefixtures("no_compute")
def test_builds_a_graph_only() -> None:
    values = raster(np.ones((8, 8), np.uint8), 2)
    lazy = sieve(values, mask=np.ones((8, 8), bool), protected=(1,), reread=True)
    assert isinstance(lazy.data, da.Array)
    assert lazy.chunks == values.chunks


@pytest.mark.usefixtures("no_compute")
def test_tasks_are_linear_in_chunks() -> None:
    def tasks_per_chunk(chunks: int) -> float:
        lazy = da.zeros((chunks * 10, chunks * 10), chunks=10, dtype=np.uint8)
        return len(sieve(xr.DataArray(lazy, dims=("y", "x"))).data.dask) / chunks**2

    assert tasks_per_chunk(32) < 7
    assert tasks_per_chunk(32) <= tasks_per_chunk(8) + 0.1


@pytest.mark.usefixtures("no_compute")
def test_no_task_waits_for_more_than_a_few_others() -> None:
    lazy = da.zeros((330, 330), chunks=10, dtype=np.uint8)
    graph = sieve(xr.DataArray(lazy, dims=("y", "x"))).data.dask
    assert max(len(needed) for needed in graph.get_all_dependencies().values()) <= 17


class Source:
    """An array on a slow disk that notes what is read."""

    def __init__(self, values: np.ndarray) -> None:
        self.values = values
        self.shape, self.dtype, self.ndim = values.shape, values.dtype, values.ndim
        self.reads: list[tuple[int, int]] = []

    def __getitem__(self, at: tuple[slice, slice]) -> np.ndarray:
        self.reads.append((at[0].start, at[1].start))
        return self.values[at]


@pytest.mark.parametrize(
    ("reread", "most_held", "again"),
    [(False, 0, False), (True, 2**28, True), ("large", 10_800, False), ("large", 10_799, True)],
)
def test_reads_each_chunk_once_or_once_per_phase(
    reread: Any, most_held: int, again: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("osm4eo_xr.sieving.lazy_sieve._MOST_HELD", most_held)
    source = Source(class_map((60, 90)))
    lazy = da.from_array(source, chunks=15)  # pyright: ignore[reportArgumentType] # dask's gap
    source.reads.clear()  # of dask's look at the type
    ours = sieve(xr.DataArray(lazy, dims=("y", "x")), 20, reread=reread)
    assert source.reads == []
    result = ours.data.compute(scheduler="synchronous")
    np.testing.assert_array_equal(result, by_gdal(source.values, 20, 8, source.values != 0))
    chunks = sorted((y, x) for y in range(0, 60, 15) for x in range(0, 90, 15))
    assert sorted(source.reads[:24]) == chunks
    assert sorted(source.reads[24:]) == (chunks if again else [])


def test_tells_the_first_phase_s_progress() -> None:
    ours = sieve(raster(class_map((60, 90)), 15), 20, reread=True)
    told = []
    with watch_borders(lambda done, total: told.append((done, total))):
        ours.data.compute(scheduler="threads")
    assert told == [(k, 24) for k in range(1, 25)]


def test_holds_what_is_smaller_between_the_phases() -> None:
    rule = Rule(size=64, diagonal=1, width=300, nodata=0, protected=())
    place = Place(0, 0, top=False, bottom=False, left=False, right=True)
    noise = np.random.default_rng(0).integers(1, 13, (200, 200), np.uint8)
    smooth, rough = (
        hold_chunk(Pixels(v, None), rule, place).chunk for v in (class_map((200, 200)), noise)
    )
    assert isinstance(smooth, Regions)
    assert smooth.nbytes <= 2 * noise.nbytes
    assert isinstance(rough, Pixels)


def test_refuses_a_map_that_changes_between_readings() -> None:
    source = Source(class_map((20, 20)))
    lazy = da.from_array(source, chunks=10)  # pyright: ignore[reportArgumentType] # dask's gap
    source.reads.clear()

    def scramble(block: np.ndarray) -> np.ndarray:
        if len(source.reads) > 4:
            return np.arange(block.size, dtype=np.uint8).reshape(block.shape)
        return block

    changing = xr.DataArray(lazy.map_blocks(scramble, dtype=np.uint8), dims=("y", "x"))
    with pytest.raises(InputError, match="other values when it was read again"):
        sieve(changing, reread=True).data.compute(scheduler="synchronous")


def test_sizes_saturate_like_gdals() -> None:
    # a small region between two whose sizes differ only beyond 2**31 - 1: the first met wins
    rule = Rule(size=64, diagonal=1, width=8, nodata=0, protected=())
    values = np.repeat(np.array([[1], [2], [3]], np.uint8), 4, axis=1)
    blocks = []
    for column in (0, 4):
        place = Place(0, column, top=False, bottom=False, left=column > 0, right=column == 0)
        border = hold_chunk(Pixels(values, None), rule, place).border
        huge = np.array([2**31, 2, 2**31 + 999])[border.value - 1]
        blocks.append(dataclasses.replace(border, size=huge))
    whole = merge_borders([blocks], rule)
    assert whole.outer == 0
    for block, fates in zip(blocks, settle_borders([blocks], NO_FATES, rule)[0], strict=True):
        target = dict(zip(block.value.tolist(), fates.target.tolist(), strict=False))
        assert target == {1: 1, 2: 1, 3: 3}
        assert fates.size.max() == 2**31 - 1


def hold_back(block: np.ndarray, go: Path, block_info: Any = None) -> np.ndarray:
    """Give the last chunks when the file ``go`` is there."""
    while block_info[0]["chunk-location"][0] > 5 and not go.exists():
        time.sleep(0.01)
    return block


def test_runs_on_worker_processes_and_survives_the_death_of_one(tmp_path: Path) -> None:
    values = class_map((480, 480))
    lazy, go = raster(values, 60), tmp_path / "go"
    held = lazy.copy(data=lazy.data.map_blocks(hold_back, go, dtype=np.uint8))
    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0"
        ) as started,
        Client(started) as client,
    ):
        cluster = cast("Any", started)  # its workers are typed as a coroutine
        future: Any = client.compute(sieve(held, 64).data)
        victim = next(iter(cluster.workers.values()))
        while not cast("Any", client.has_what())[victim.worker_address]:
            time.sleep(0.01)
        os.kill(int(victim.pid), signal.SIGKILL)  # with borders that the others need
        go.touch()
        result = future.result(timeout=120)
    np.testing.assert_array_equal(result, by_gdal(values, 64, 8, values != 0))


def test_keeps_everything_but_pixels() -> None:
    values = class_map((40, 60))
    geobox = target_geobox((4_321_000, 3_210_000, 4_321_600, 3_210_400))
    source = georeference(values, geobox, attrs={"nodata": 0, "legend": "x"}, name="classes")
    for given_map in (source, source.chunk(17)):
        ours = sieve(given_map, 20)
        assert ours.attrs == source.attrs
        assert ours.name == "classes"
        assert ours.dtype == np.uint8
        assert ours.chunks == given_map.chunks
        assert ours.odc.geobox == geobox
    np.testing.assert_array_equal(source, values)


def test_an_array_in_memory_is_sieved_at_once() -> None:
    values = class_map((60, 2100))
    ours = sieve(raster(values), 64)
    assert isinstance(ours.data, np.ndarray)
    np.testing.assert_array_equal(ours, by_gdal(values, 64, 8, values != 0))


@pytest.mark.parametrize(
    ("shape", "threads", "rows"),
    [
        ((300, 300), 64, 300),  # small: one strip whatever the threads
        ((1024, 1024), 64, 256),
        ((1024, 1024), 2, 512),
        ((10000, 10000), 2, 834),  # 12 strips of less than 2**23 pixels
        ((1, 2**24), 2, 1),
    ],
)
def test_an_array_in_memory_is_cut_into_strips(
    shape: tuple[int, int], threads: int, rows: int
) -> None:
    with dask.config.set(num_workers=threads):
        assert _strip_of(*shape) == rows


@pytest.mark.parametrize("order", ["C", "F"])
def test_strips_of_an_array_that_is_read_only_give_the_same(
    monkeypatch: pytest.MonkeyPatch, order: Any
) -> None:
    monkeypatch.setattr(lazy_sieve, "_STRIP", (2**9, 2**12))
    values = class_map((200, 150))
    held = np.asarray(values, order=order)
    held.flags.writeable = False
    with dask.config.set(num_workers=3):
        assert _strip_of(200, 150) == 23
        ours = sieve(raster(held), 64)
    np.testing.assert_array_equal(ours, by_gdal(values, 64, 8, values != 0))


class _Kept(Callback):
    """Keeps results by their names and gives them again, as dask's opportunistic cache does."""

    def __init__(self) -> None:
        self.known: dict[Any, Any] = {}
        super().__init__(start=self._give, posttask=self._keep)

    def _give(self, graph: Any) -> None:
        for key in self.known.keys() & graph.keys():
            graph[key] = self.known[key]

    def _keep(self, key: Any, value: Any, *_state: Any) -> None:
        self.known[key] = value


def test_maps_in_memory_do_not_share_results_that_dask_keeps() -> None:
    maps = [class_map((90, 70)), class_map((90, 70))[::-1].copy()]
    with _Kept():
        sieved = [sieve(raster(values), 64) for values in maps]
    for values, ours in zip(maps, sieved, strict=True):
        np.testing.assert_array_equal(ours, by_gdal(values, 64, 8, values != 0))


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "uint16", "int32", "uint32", ">i2"])
def test_integer_types_keep_their_values(dtype: str) -> None:
    low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    palette = np.array([low, 1, 2, 3, high]).astype(dtype)
    index = np.random.default_rng(1).integers(0, 5, (30, 30))
    ours = sieve(raster(palette[index], 7), 6, nodata=int(low), protected=(int(high),))
    same = sieve(raster(index.astype(np.uint8), 7), 6, nodata=0, protected=(4,))
    assert ours.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(ours, palette[same.to_numpy()])


def test_empty_chunks_and_empty_maps() -> None:
    values = class_map((30, 30))
    lazy = raster(values, ((10, 0, 20), (0, 30)))
    assert sieve(lazy, 9).chunks == lazy.chunks
    np.testing.assert_array_equal(sieve(lazy, 9), by_gdal(values, 9, 8, values != 0))
    assert sieve(raster(np.zeros((0, 5), np.uint8))).shape == (0, 5)


@pytest.mark.parametrize("connectivity", [4, 8])
def test_long_chains_of_small_regions(connectivity: int) -> None:
    # every pixel is its own small region, so chains run through whole chunks
    board = (np.indices((60, 50)).sum(0) % 2 + 1).astype(np.uint8)
    noise = np.random.default_rng(0).integers(1, 250, (60, 50), np.uint8)
    for values in (board, noise):
        ours = sieve(raster(values, 25), 30, connectivity)
        np.testing.assert_array_equal(ours, by_gdal(values, 30, connectivity, values != 0))


def test_protected_classes_stay_and_absorb() -> None:
    values = np.full((9, 9), 1, np.uint8)
    values[4, 2:6] = 12  # a pond below the size
    values[4, 3] = 5  # a speck in it
    values[0:2, 8] = 7
    plain = sieve(raster(values, 3), 20, 4)
    kept = sieve(raster(values, 3), 20, 4, protected=(12,))
    assert set(np.unique(plain)) == {1}
    assert (kept == 12).sum() == 3
    lone = np.array([[12, 12, 3, 0]], np.uint8)  # nothing of at least the size anywhere
    np.testing.assert_array_equal(sieve(raster(lone, 2), 9), lone)
    np.testing.assert_array_equal(sieve(raster(lone, 2), 9, protected=(12,)), [[12, 12, 12, 0]])


@pytest.mark.parametrize(
    ("change", "given", "expected"),
    [
        ({"size": 0}, "size is 0", "a whole number of pixels"),
        ({"size": 2.5}, "size is 2.5", "a whole number"),
        ({"size": 2**31}, "size is 2147483648", "1 to 2147483647"),
        ({"size": True}, "size is True", "a whole number"),
        ({"connectivity": 6}, "connectivity is 6", "4 or 8"),
        ({"nodata": "sea"}, "nodata is 'sea'", "a number"),
        (
            {"mask": np.ones((3, 4), bool)},
            "mask has shape (3, 4), dims ('y', 'x'), and the map",
            "of the map's shape",
        ),
        ({"mask": raster(np.ones((4, 4), bool)).T}, "dims ('x', 'y')", "of the map's shape"),
        ({"mask": np.ones((4, 4))}, "the mask is float64", "booleans"),
        ({"protected": (1, 300)}, "protected is [1, 300]", "classes that uint8 can hold"),
        ({"protected": ("water",)}, "protected is ['water']", "a list of classes"),
        ({"protected": 12}, "protected is 12", "a list of classes"),
        ({"class_map": raster(np.zeros((4, 4), np.float32))}, "is float32", "at most 32 bits"),
        ({"class_map": raster(np.zeros((4, 4), np.int64))}, "is int64", "at most 32 bits"),
        ({"class_map": raster(np.zeros((4, 4), bool))}, "is bool", "at most 32 bits"),
        (
            {"class_map": raster(np.zeros((4, 4), np.uint8)).expand_dims("band")},
            "('band', 'y', 'x')",
            "dims (y, x)",
        ),
    ],
)
def test_refuses(change: dict[str, Any], given: str, expected: str) -> None:
    arguments = {"class_map": raster(np.zeros((4, 4), np.uint8)), **change}
    with pytest.raises(InputError) as caught:
        sieve(**arguments)
    assert given in caught.value.given
    assert expected in caught.value.expected
    assert "\n" not in str(caught.value)


def test_a_sieve_after_compiling_ahead_compiles_nothing_more() -> None:
    told: list[tuple[int, int]] = []
    with watch_borders(lambda done, total: told.append((done, total))):
        compile_sieve()
    assert told == []  # it is nobody's map
    used = kernels.fill_runs, kernels.paint_runs, kernels.join_runs, neighbors.find_biggest
    ready = {k: len(k.signatures) for k in used}
    assert min(ready.values()) > 0
    values = np.random.default_rng(1).integers(1, 4, (90, 70)).astype(np.uint8)
    np.testing.assert_array_equal(
        sieve(raster(values, (40, 40)), size=9).values,
        by_gdal(values, 9, 8, np.ones_like(values)),
    )
    assert ready == {k: len(k.signatures) for k in ready}
