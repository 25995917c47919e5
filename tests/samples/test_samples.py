"""The draw of samples: any chunking, no leakage, whole quotas, whole files."""

from itertools import combinations
from pathlib import Path
from typing import Any, NoReturn

import dask.array as da
import dask.config
import numpy as np
import pandas as pd
import pytest
import xarray as xr
import zarr
from dask.local import get_sync
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from osm4eo_xr.errors import InputError
from osm4eo_xr.samples.counts import limit_by_cover, sample_counts
from osm4eo_xr.samples.draw import draw_samples
from osm4eo_xr.samples.patches import patch_samples
from osm4eo_xr.samples.spatial_split import (
    CELL,
    SPLITS,
    DrawSettings,
    apportion,
    draw_from_block,
    hash_pixels,
    split_of_blocks,
    split_of_pixels,
)
from osm4eo_xr.samples.store import open_samples, write_samples
from osm4eo_xr.training.batches import Windows
from tests.cases.train_case import (
    CLASSES,
    box,
    ground,
    raster,
    small_legend,
    small_samples,
    spectra,
)

ROWS, COLS = 120, 150
LABELS = ground(ROWS, COLS)
SCENE = spectra(LABELS)
DRAW: dict[str, Any] = {"per_class": 25, "patch": 6, "block": 200.0}


@pytest.mark.parametrize(
    ("cover", "expected"),
    [
        (8.0, 902),  # 1,352.1 windows side by side, eight times, for twelve classes
        (0.0, 5000),
        (100.0, 5000),
    ],
)
def test_windows_of_all_classes_cover_the_ground_so_often_at_most(
    cover: float, expected: int
) -> None:
    ground_of = {"pixels": 1586 * 873, "patch": 32, "classes": 12}
    assert limit_by_cover(5000, cover, **ground_of) == expected


@pytest.mark.parametrize("cover", [-1.0, np.nan, np.inf])
def test_a_cover_that_is_no_number_is_refused(cover: float) -> None:
    with pytest.raises(InputError, match=r"^cover is "):
        limit_by_cover(5000, cover, pixels=1e6, patch=32, classes=12)


@pytest.fixture(scope="module")
def whole() -> xr.Dataset:
    """The draw from rasters in one piece."""
    grid = box(ROWS, COLS)
    return draw_samples(raster(SCENE, grid), raster(LABELS, grid), **DRAW).compute()


@settings(max_examples=12)
@given(
    of_scene=st.tuples(st.integers(17, ROWS), st.integers(17, COLS)),
    of_labels=st.tuples(st.integers(17, ROWS), st.integers(17, COLS)),
)
def test_any_chunking_draws_the_same_samples(
    whole: xr.Dataset, of_scene: tuple[int, int], of_labels: tuple[int, int]
) -> None:
    grid = box(ROWS, COLS)
    found = draw_samples(raster(SCENE, grid, of_scene), raster(LABELS, grid, of_labels), **DRAW)
    xr.testing.assert_identical(found.compute(), whole)


def test_another_seed_draws_others_and_the_same_seed_the_same(whole: xr.Dataset) -> None:
    scene, labels = raster(SCENE, box(ROWS, COLS)), raster(LABELS, box(ROWS, COLS))
    again = draw_samples(scene, labels, **DRAW)
    other = draw_samples(scene, labels, seed=1, **DRAW)
    assert places(again) == places(whole)
    assert len(places(other) & places(whole)) < 0.5 * len(places(whole))


def test_the_hash_is_splitmix64() -> None:
    """First output of the published generator from state 0, taken three times in a chain."""
    assert int(hash_pixels(0, np.array([0]), np.array([0]))[0]) == chained_reference(0, 0, 0)
    assert int(hash_pixels(7, np.array([-3]), np.array([9]))[0]) == chained_reference(7, -3, 9)
    assert splitmix64(0) == 0xE220A8397B1DCDAF


def splitmix64(state: int) -> int:
    mask = 2**64 - 1
    z = (state + 0x9E3779B97F4A7C15) & mask
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
    return z ^ (z >> 31)


def chained_reference(seed: int, row: int, col: int) -> int:
    mask = 2**64 - 1
    return splitmix64(splitmix64(splitmix64(seed) ^ (row & mask)) ^ (col & mask))


def test_the_draw_is_pandas_least_hashes_of_each_class_and_split() -> None:
    settings = DrawSettings(
        seed=3, patch=5, block=20, margin=2, blocks=(15, 5, 5), quotas=(9, 4, 3)
    )
    usable = np.random.default_rng(1).random(LABELS.shape) < 0.7
    drawn = draw_from_block(LABELS, usable, -40, 7, settings)
    rows, cols = np.arange(ROWS) - 40, np.arange(COLS) + 7
    i, j = np.indices(LABELS.shape)
    table: Any = pd.DataFrame(
        {
            "label": LABELS.ravel(),
            "split": split_of_pixels(rows, cols, settings).ravel(),
            "row": rows[i.ravel()],
            "col": cols[j.ravel()],
        }
    )[usable.ravel() & (LABELS.ravel() > 0)]
    table = table[table["split"] < len(SPLITS)]
    table["key"] = hash_pixels(3, table["row"].to_numpy(), table["col"].to_numpy())
    wanted = set()
    strata = table.groupby(["label", "split"])
    for (_, split), group in strata:
        least = group.nsmallest(settings.quotas[split], "key")
        wanted |= set(zip(least["row"], least["col"], strict=True))
    assert set(zip(drawn.row.tolist(), drawn.col.tolist(), strict=True)) == wanted


@given(st.integers(0, 10_000), st.tuples(st.floats(0.01, 1), st.floats(0, 1), st.floats(0, 1)))
def test_quotas_are_whole_and_add_up(total: int, shares: tuple[float, float, float]) -> None:
    parts = apportion(total, shares)
    assert sum(parts) == total
    exact = np.asarray(shares) / sum(shares) * total
    assert (np.abs(np.asarray(parts) - exact) < 1 + 1e-6).all()


@given(st.integers(0, 2**32), st.integers(-40, 40), st.integers(-40, 40))
def test_every_cell_has_its_blocks_of_each_split(seed: int, row: int, col: int) -> None:
    rows, cols = np.arange(CELL) + row * CELL, np.arange(CELL) + col * CELL
    table = split_of_blocks(rows, cols, seed=seed, blocks=(15, 5, 5))
    assert np.bincount(table.ravel(), minlength=3).tolist() == [15, 5, 5]


def least_distance(samples: xr.Dataset) -> float:
    """Return the least ground distance in meters between windows of different splits.

    Windows are squares of one size, so two are apart by what their centers are apart along the
    further axis, less an edge.
    """
    ends = np.stack([samples["easting"].to_numpy(), samples["northing"].to_numpy()], axis=1)
    split = samples["split"].to_numpy()
    pairs = [
        cdist(ends[split == a], ends[split == b], "chebyshev").min()
        for a, b in combinations(np.unique(split), 2)
    ]
    return min(pairs) - samples.sizes["y"] * samples.attrs["resolution"]


@settings(max_examples=15)
@given(
    seed=st.integers(0, 2**40),
    patch=st.integers(1, 9),
    gap=st.one_of(st.none(), st.sampled_from([0.0, 10.0, 35.0, 60.0])),
    shift=st.tuples(st.integers(-70, 70), st.integers(-70, 70)),
)
def test_windows_of_different_splits_keep_the_gap_also_across_tiles(
    seed: int, patch: int, gap: float | None, shift: tuple[int, int]
) -> None:
    first, second = box(ROWS, COLS), box(ROWS, COLS, shift[0], shift[1])
    found = draw_samples(
        [raster(SCENE, first), raster(SCENE, second)],
        [raster(LABELS, first), raster(LABELS, second)],
        per_class=60,
        seed=seed,
        patch=patch,
        gap=gap,
        block=280.0,
    )
    wanted = patch * 10.0 if gap is None else gap
    assert set(np.unique(found["split"])) == {0, 1, 2}
    assert least_distance(found) >= wanted
    assert found.attrs["gap"] >= wanted


def test_ground_in_two_tiles_is_in_one_split() -> None:
    settings = DrawSettings(
        seed=5, patch=6, block=20, margin=3, blocks=(15, 5, 5), quotas=(9, 4, 3)
    )
    left = split_of_pixels(np.arange(0, 120), np.arange(-90, 60), settings)
    right = split_of_pixels(np.arange(-30, 70), np.arange(10, 170), settings)
    np.testing.assert_array_equal(left[:70, 100:], right[30:, :50])


def test_windows_hold_the_ground_they_name(whole: xr.Dataset) -> None:
    grid, patch = box(ROWS, COLS), DRAW["patch"]
    for k in range(0, whole.sizes["sample"], 7):
        one = whole.isel(sample=k)
        col = round((float(one["easting"]) - grid.affine.c) / 10 - 0.5)
        row = round((grid.affine.f - float(one["northing"])) / 10 - 0.5)
        part = np.s_[row - patch // 2 : row - patch // 2 + patch]
        part = (part, np.s_[col - patch // 2 : col - patch // 2 + patch])
        pixels = SCENE[(slice(None), *part)].transpose(1, 2, 0)
        np.testing.assert_array_equal(one["image"].to_numpy(), pixels)
        expected = np.where(np.isnan(pixels).any(axis=-1), 0, LABELS[part])
        if one["split"] == 0:
            np.testing.assert_array_equal(one["label"].to_numpy(), expected)
        assert one["label"].to_numpy()[patch // 2, patch // 2] == LABELS[row, col] > 0


def test_held_out_ground_is_scored_once_and_all_of_it(whole: xr.Dataset) -> None:
    reach = np.arange(DRAW["patch"]) - DRAW["patch"] // 2
    for split in (1, 2):
        part = whole.isel(sample=whole["split"].to_numpy() == split)
        rows = np.round(-part["northing"].to_numpy() / 10 - 0.5)[:, None, None] + reach[:, None]
        cols = np.round(part["easting"].to_numpy() / 10 - 0.5)[:, None, None] + reach
        ground_of = np.stack(np.broadcast_arrays(rows, cols), axis=-1)
        seen = np.unique(ground_of[part["label"].to_numpy() > 0], axis=0)
        assert len(seen) == (part["label"].to_numpy() > 0).sum()
        grid = box(ROWS, COLS)
        top, left = round(-grid.affine.f / 10), round(grid.affine.c / 10)
        i, j = (ground_of - (top, left)).reshape(-1, 2).T.astype(int)
        labeled = (LABELS > 0) & np.isfinite(SCENE).all(axis=0)
        assert len(seen) == len(set(zip(i[labeled[i, j]], j[labeled[i, j]], strict=True)))


def test_quotas_are_met_and_shortfalls_reported() -> None:
    labels = LABELS.copy()
    labels[labels == 12] = 0
    labels[60:64, 60:64] = 12
    grid = box(ROWS, COLS)
    found = draw_samples(raster(SCENE, grid), raster(labels, grid), **DRAW)
    table = sample_counts(found)
    assert (table["shortfall"] == table["wanted"] - table["drawn"]).all()
    assert table.query("class_id == 1")["wanted"].tolist() == [15, 5, 5]
    assert (table.query("class_id in (1, 5)")["shortfall"] == 0).all()
    assert table.query("class_id == 12")["drawn"].sum() <= 16
    assert (table.query("class_id == 7")["drawn"] == 0).all()
    center = found["label"][:, 3, 3].to_numpy()
    for class_id, drawn in table.groupby("class_id")["drawn"].sum().items():
        assert (center == class_id).sum() == drawn


def test_opening_reads_no_window(tmp_path: Path, whole: xr.Dataset) -> None:
    path = write_samples(whole.chunk(), tmp_path / "samples.zarr")
    with dask.config.set(scheduler=refuse):
        opened = open_samples(path)
    assert isinstance(opened["image"].data, da.Array)
    assert isinstance(opened["label"].data, da.Array)
    assert opened.sizes == whole.sizes


def refuse(*_args: object, **_kwargs: object) -> NoReturn:
    pytest.fail("windows were read where only a graph should be built")


def test_the_draw_computes_once_and_leaves_the_windows_lazy() -> None:
    runs: list[int] = []

    def count(graph: Any, keys: Any, **options: Any) -> Any:
        runs.append(len(keys))
        return get_sync(graph, keys, **options)

    grid = box(ROWS, COLS)
    with dask.config.set(scheduler=count):
        found = draw_samples(raster(SCENE, grid, 40), raster(LABELS, grid, 40), **DRAW)
    assert len(runs) == 1
    assert isinstance(found["image"].data, da.Array)
    assert isinstance(found["label"].data, da.Array)


def test_a_written_set_reads_back_the_same(tmp_path: Path, whole: xr.Dataset) -> None:
    seen: list[tuple[int, int]] = []
    path = write_samples(
        whole.chunk(), tmp_path / "a" / "s.zarr", progress=lambda *n: seen.append(n)
    )
    xr.testing.assert_identical(open_samples(path).compute(), whole)
    assert seen[-1] == (whole.sizes["sample"],) * 2
    write_samples(whole.isel(sample=slice(3)), path)
    assert open_samples(path).sizes["sample"] == 3


def test_weights_objects_and_all_else_are_written_too(tmp_path: Path, whole: xr.Dataset) -> None:
    rng, shape = np.random.default_rng(0), whole["label"].shape
    samples = whole.assign(
        weight=(whole["label"].dims, rng.integers(0, 256, shape, np.uint8)),
        object=(whole["label"].dims, rng.integers(0, 2**40, shape)),
        cover=("sample", rng.random(shape[0])),
        mean=("band", da.from_array(rng.random(whole.sizes["band"]))),
    ).assign_coords(scene="march")
    path = write_samples(samples.chunk(), tmp_path / "s.zarr")
    xr.testing.assert_identical(open_samples(path).compute(), samples.compute())
    assert [entry.name for entry in path.parent.iterdir()] == ["s.zarr"]


@pytest.mark.parametrize(
    ("attribute", "value", "says"),
    [
        ("legend", "{", "is no sample set"),
        ("legend", "[]", "legend"),
        ("resolution", 0, "resolution is 0"),
        ("block", float("nan"), "block is nan"),
        ("patch", "x", "is no sample set"),
        ("bands", 5, "is no sample set"),
    ],
)
def test_a_set_whose_attributes_are_damaged_is_refused(
    tmp_path: Path, whole: xr.Dataset, attribute: str, value: Any, says: str
) -> None:
    path = write_samples(whole.isel(sample=slice(3)), tmp_path / "s.zarr")
    zarr.open_group(path).attrs[attribute] = value
    with pytest.raises(InputError, match=says):
        open_samples(path)


def test_a_set_larger_than_the_memory_is_read_in_parts(tmp_path: Path) -> None:
    samples = small_samples().compute()
    path = write_samples(samples.chunk(), tmp_path / "s.zarr")
    positions = np.nonzero(samples["split"].to_numpy() == 0)[0]
    windows = Windows(open_samples(path), positions, memory=1)
    assert windows.group < len(windows)
    index = np.array([5, 0, 31, 100])
    image, label = windows.read(index)
    np.testing.assert_array_equal(image, samples["image"].to_numpy()[positions[index]])
    np.testing.assert_array_equal(label, samples["label"].to_numpy()[positions[index]])


def test_a_failed_write_leaves_nothing(tmp_path: Path, whole: xr.Dataset) -> None:
    def stop(*_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_samples(whole.chunk(), tmp_path / "s.zarr", progress=stop)
    assert list(tmp_path.iterdir()) == []


def test_other_files_are_not_replaced(tmp_path: Path, whole: xr.Dataset) -> None:
    other = tmp_path / "thesis"
    other.mkdir()
    (other / "draft.txt").write_text("years of work")
    with pytest.raises(InputError, match="not a sample set"):
        write_samples(whole, other)
    assert (other / "draft.txt").read_text() == "years of work"
    with pytest.raises(InputError, match="no sample set"):
        open_samples(tmp_path / "nothing.zarr")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"per_class": 0}, "per_class 0 and patch 6"),
        ({"shares": (0.0, 0.5, 0.5)}, "shares"),
        ({"block": 100.0}, "too small for windows of 60"),
        ({"names": ["a", "b"]}, "2 names for 1 tiles"),
        ({"patch": 130, "block": 4000.0}, "no labeled pixel"),
    ],
)
def test_wrong_arguments_are_named(change: dict[str, Any], message: str) -> None:
    grid = box(ROWS, COLS)
    with pytest.raises(InputError, match=message):
        draw_samples(raster(SCENE, grid), raster(LABELS, grid), **{**DRAW, **change})


def test_rasters_that_do_not_fit_are_refused() -> None:
    grid, far = box(ROWS, COLS), box(ROWS, COLS, 0, 1000)
    scene, labels = raster(SCENE, grid), raster(LABELS, grid)
    with pytest.raises(InputError, match="do not overlap"):
        draw_samples(scene, raster(LABELS, far), **DRAW)
    with pytest.raises(InputError, match="1 scenes and 2 label rasters"):
        draw_samples([scene], [labels, labels], **DRAW)
    counted = (scene * 10_000).assign_attrs(units="digital number")
    with pytest.raises(InputError, match="tile B is in units 'digital number', A in '1'"):
        draw_samples([scene, counted], [labels, labels], names=["A", "B"], **DRAW)
    unknown = LABELS.copy()
    unknown[unknown == 5] = 77
    with pytest.raises(InputError, match="class 77"):
        draw_samples(scene, raster(unknown, grid), **DRAW)


def test_scene_and_labels_of_different_extent_are_cut_to_their_common_ground() -> None:
    grid, inner = box(ROWS, COLS), box(90, 100, 20, 30)
    cut = np.s_[20:110, 30:130]
    wide = draw_samples(raster(SCENE, grid), raster(LABELS[cut], inner), **DRAW)
    tight = draw_samples(
        raster(SCENE[(slice(None), *cut)], inner), raster(LABELS[cut], inner), **DRAW
    )
    xr.testing.assert_identical(wide.compute(), tight.compute())


def test_small_sets_of_the_tests_hold_their_three_classes() -> None:
    found = small_samples()
    names = sample_counts(found)["class"].unique().tolist()
    assert names == [c.slug for c in small_legend().classes]
    assert set(np.unique(found["label"])) == {0, *CLASSES}


def places(samples: xr.Dataset) -> set[tuple[float, float]]:
    return set(zip(samples["easting"].to_numpy(), samples["northing"].to_numpy(), strict=True))


def test_patches_of_one_class_each_are_a_sample_set() -> None:
    image = np.random.default_rng(0).random((9, 8, 8, 3)).astype(np.float32)
    label, split = np.tile(np.array(CLASSES), 3), np.arange(3).repeat(3)
    bands = ("red", "green", "blue")
    found = patch_samples(image, label, split, bands=bands, legend=small_legend())
    assert isinstance(found["image"].data, da.Array)
    shown, classes = Windows(found, np.arange(9), window=8).read(np.array([4, 0]))
    np.testing.assert_array_equal(shown, image[[4, 0]])
    np.testing.assert_array_equal(classes, label[[4, 0]])
    assert sample_counts(found)["drawn"].tolist() == [1] * 9
    holed = image.copy()
    holed[4, 2:5, 1, 2] = np.nan
    found = patch_samples(holed, label, split, bands=bands, legend=small_legend())
    np.testing.assert_array_equal(found["label"].to_numpy() > 0, np.isfinite(holed).all(axis=-1))
    with pytest.raises(InputError, match="holds classes 2, .* which legend 'three'"):
        patch_samples(image, label + 1, split, bands=bands, legend=small_legend())
    with pytest.raises(InputError, match="for 9 labels and 2 bands"):
        patch_samples(image, label, split, bands=bands[:2], legend=small_legend())


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"shares": (0.96, 0.02, 0.02)}, "a share of 0.02 gets none of the 25 blocks of a cell"),
        ({"shares": (0.01, 0.495, 0.495)}, "a share of 0.01 gets none"),
    ],
)
def test_a_share_without_a_block_is_refused(changed: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        draw_samples(
            raster(SCENE, box(ROWS, COLS)), raster(LABELS, box(ROWS, COLS)), **(DRAW | changed)
        )


def test_a_band_that_is_there_twice_is_refused() -> None:
    scene = raster(SCENE, box(ROWS, COLS))
    again = scene.assign_coords(band=["nir"] * scene.sizes["band"])
    with pytest.raises(InputError, match="band 'nir' is there twice"):
        draw_samples(again, raster(LABELS, box(ROWS, COLS)), **DRAW)


def test_pixels_may_lack_optional_groups_and_no_others() -> None:
    labels, grid = np.full((ROWS, COLS), CLASSES[0], np.uint8), box(ROWS, COLS)
    pixels = np.full((3, ROWS, COLS), 0.1, np.float32)
    pixels[1, :, : COLS // 2] = np.nan  # radar, whose other band is there
    pixels[0, : ROWS // 4] = np.nan
    scene = raster(np.concatenate([pixels, pixels[:1]]), grid).assign_coords(
        band=["nir", "s1:vv@2024", "s1:vh@2024", "s2:red"]
    )
    drawn = draw_samples(scene, raster(labels, grid), optional=["s1@2024"], **DRAW).compute()
    assert drawn.attrs["bands"] == ["nir", "s1:vv@2024", "s1:vh@2024", "red"]
    assert drawn.attrs["optional"] == ["s1@2024"]
    image = drawn["image"].to_numpy()
    learned = drawn["split"].to_numpy() == 0  # held-out pixels count for one sample each
    counted = (drawn["label"].to_numpy() > 0)[learned]
    np.testing.assert_array_equal(counted, np.isfinite(image[learned][..., [0, 3]]).all(axis=-1))
    assert np.isnan(image[..., 1]).any()
    strict = draw_samples(scene, raster(labels, grid), **DRAW).compute()
    assert np.isfinite(strict["image"].to_numpy()[strict["label"].to_numpy() > 0]).all()
    other = scene.assign_coords(band=["nir", "s1:vv@2025", "s1:vh@2025", "red"])
    with pytest.raises(InputError, match="tile tile1 has bands nir, s1:vv@2025"):
        draw_samples([scene, other], [raster(labels, grid)] * 2, **DRAW)
