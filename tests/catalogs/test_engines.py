"""What stackstac lays out of items is read by one reader, once for all bands of a chunk."""

import pickle
from typing import Any

import numpy as np
import pytest
from odc.geo.geobox import GeoBox
from rasterio.transform import from_origin
from rasterio.windows import Window

from osm4eo_xr.catalogs import engines
from osm4eo_xr.catalogs.engines import ItemBand, StackReader, found_by_odc, stacked_by_stackstac
from osm4eo_xr.errors import InputError, MissingExtraError
from osm4eo_xr.geometry.grid import target_geobox

ROWS, COLS = 30, 50
BOX = target_geobox((4_400_000, 2_700_000 - 10 * ROWS, 4_400_000 + 10 * COLS, 2_700_000))
NAMES = ["red", "nir"]


class Reader:
    """Has the pixels of an item, and counts how often they are read."""

    def __init__(self, seed: int) -> None:
        self.pixels = np.random.default_rng(seed).random((1, 2, ROWS, COLS)).astype(np.float32)
        self.reads: list[tuple[slice, slice]] = []

    def __getitem__(self, key: Any) -> np.ndarray:
        self.reads.append(key[2:])
        return self.pixels[key]


@pytest.fixture(autouse=True)
def nothing_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines._block, "kept", None, raising=False)


def items(n: int) -> list[dict[str, Any]]:
    return [{"id": f"i{k}", "properties": {"datetime": f"2021-06-0{k + 1}"}} for k in range(n)]


def part(top: int, bottom: int, left: int, right: int) -> Window:
    return Window.from_slices((top, bottom), (left, right))


def test_bands_of_a_window_are_read_together_and_handed_out_one_by_one() -> None:
    reader: Any = Reader(0)
    window = part(2, 9, 4, 20)
    for k in (1, 0):  # in whatever order they are asked for
        found = StackReader(url=ItemBand(reader, k)).read(window)
        np.testing.assert_array_equal(found, reader.pixels[0, k, 2:9, 4:20])
    assert len(reader.reads) == 1


@pytest.mark.parametrize("other", ["window", "item", "same band again"])
def test_what_was_read_before_serves_nothing_else(other: str) -> None:
    first, second = Reader(0), Reader(1)
    one: Any = first
    StackReader(url=ItemBand(one, 0)).read(part(0, 5, 0, 5))
    reader: Any = second if other == "item" else first
    window = part(0, 5, 1, 6) if other == "window" else part(0, 5, 0, 5)
    index = 0 if other == "same band again" else 1
    found = StackReader(url=ItemBand(reader, index)).read(window)
    left = 1 if other == "window" else 0
    np.testing.assert_array_equal(found, reader.pixels[0, index, :5, left : left + 5])
    assert len(first.reads) + len(second.reads) == 2


def test_a_reader_travels_as_its_band() -> None:
    reader: Any = 7
    found = StackReader(url=ItemBand(reader, 3))
    again = pickle.loads(pickle.dumps(found))  # noqa: S301 - our own bytes
    assert again.__getstate__() == ItemBand(reader, 3)
    again.close()


@pytest.mark.parametrize("sides", [(30, 50), (7, 11), (1, 50)])
def test_the_stack_is_the_items_pixels_for_any_chunks(sides: tuple[int, int]) -> None:
    readers: Any = [Reader(k) for k in range(3)]
    lazy: Any = stacked_by_stackstac(items(3), NAMES, BOX, readers, sides)
    assert lazy.dtype == np.float32
    assert lazy.shape == (3, 2, ROWS, COLS)
    assert lazy.chunksize == (1, 2, *sides)
    expected = np.concatenate([r.pixels for r in readers])
    np.testing.assert_array_equal(lazy.compute(scheduler="synchronous"), expected)
    chunks = -(-ROWS // sides[0]) * -(-COLS // sides[1])
    assert [len(r.reads) for r in readers] == [chunks] * 3


def test_a_grid_without_an_epsg_code_needs_the_other_backend() -> None:
    own = GeoBox((4, 4), from_origin(0, 0, 10, 10), "+proj=laea +lat_0=12 +lon_0=20")
    for grid in (own, GeoBox((4, 4), from_origin(0, 0, 10, 10), None)):
        with pytest.raises(InputError) as refused:
            stacked_by_stackstac(items(1), NAMES, grid, [Reader(0)], (4, 4))  # type: ignore[list-item]
        assert refused.value.given == "stackstac needs a grid with an EPSG code"
        assert refused.value.advice == "pass {backend='odc'}"


def test_odc_without_its_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "odc.stac", None)
    with pytest.raises(MissingExtraError) as refused:
        found_by_odc([], [])
    assert refused.value.given.startswith("backend='odc' needs odc.stac")
    assert refused.value.advice == 'pip install "osm4eo-xr[odc]"'
