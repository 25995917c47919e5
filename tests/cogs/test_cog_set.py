"""Several maps of one computation as files, computed once."""

import threading
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
import rasterio
import xarray as xr

from osm4eo_xr.cogs import cog_set
from osm4eo_xr.cogs.cog_set import one_pass, write_maps
from osm4eo_xr.geometry.grid import georeference, target_geobox
from osm4eo_xr.legend import default_legend

BOX = target_geobox((4_320_000, 3_210_000, 4_321_500, 3_211_200))
LEGEND = default_legend()


class Scene:
    """An array on disk that counts the chunks which are read from it."""

    def __init__(self) -> None:
        self.values = np.random.default_rng(0).integers(1, 13, BOX.shape).astype(np.uint8)
        self.shape, self.dtype, self.ndim = self.values.shape, self.values.dtype, 2
        self.reads = 0

    def __getitem__(self, at: Any) -> np.ndarray:
        self.reads += 1
        return self.values[at]


def maps_of(scene: Scene) -> xr.Dataset:
    """Return classes, confidence and probabilities that all read the same lazy scene."""
    source: Any = scene
    lazy = da.from_array(source, chunks=64)  # pyright: ignore[reportArgumentType] # dask's gap
    scene.reads = 0  # of dask's look at the type
    shares = da.stack([(lazy == k).astype(np.uint8) * 250 for k in (1, 12)])
    classes: Any = {"class": [1, 12]}
    dims = ("class", "y", "x")
    return xr.Dataset(
        {
            "classes": georeference(lazy, BOX, attrs={**LEGEND.attrs(), "nodata": 0}),
            "confidence": georeference(lazy * 3, BOX, attrs={"nodata": 255}),
            "probabilities": georeference(shares, BOX, dims=dims, coords=classes),
        }
    )


@pytest.mark.parametrize("names", [("classes",), ("classes", "confidence", "probabilities")])
def test_maps_are_written_in_one_pass(names: tuple[str, ...], tmp_path: Path) -> None:
    scene = Scene()
    paths = {name: tmp_path / f"{name}.tif" for name in names}
    seen: list[str] = []
    made = write_maps(
        maps_of(scene), paths, legend=LEGEND, watch=lambda piece, *_: seen.append(piece)
    )
    assert made == [*paths.values()]
    blocks = -(-BOX.shape[0] // 64) * -(-BOX.shape[1] // 64)
    assert scene.reads == blocks
    expected = {"classes": scene.values, "confidence": scene.values * 3}
    for name in set(names) & set(expected):
        with rasterio.open(paths[name]) as file:
            np.testing.assert_array_equal(file.read(1), expected[name])
            if name == "classes":
                assert file.colormap(1)[12][:3] == LEGEND.by_id[12].color
    if "probabilities" in names:
        with rasterio.open(paths["probabilities"]) as file:
            assert file.descriptions == ("urban", "water")
            np.testing.assert_array_equal(file.read(2), (scene.values == 12) * 250)
    assert {p.suffix for p in tmp_path.iterdir()} <= {".tif", ".qml", ".xml", ".json"}
    assert set(seen) == {path.name for path in made} | ({"inference"} if len(names) > 1 else set())


def test_the_store_between_goes_with_the_context(tmp_path: Path) -> None:
    maps = maps_of(Scene())
    with one_pass(maps, tmp_path / "classes.tif", LEGEND) as made:
        assert list(tmp_path.iterdir())
        assert all(raster.chunks for raster in made.values())
        assert made["probabilities"]["class"].to_numpy().tolist() == ["urban", "water"]
        whole = {name: raster.compute() for name, raster in made.items()}
    assert not list(tmp_path.iterdir())
    for name, raster in whole.items():
        np.testing.assert_array_equal(raster, maps[name])
        assert raster.attrs == maps[name].attrs


def test_a_failure_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, failing = threading.Event(), threading.Event()

    def broken(block: np.ndarray, block_id: Any) -> np.ndarray:
        if block_id == (0, 1):  # still at work when the others fail
            begun.set()
            assert failing.wait(60)
            return block
        assert begun.wait(60)
        failing.set()
        raise OSError(f"the disk is gone, {block.size} pixels are lost")

    maps = maps_of(Scene())
    lazy = maps["confidence"].data
    maps["confidence"].data = lazy.map_blocks(broken, dtype=np.uint8, meta=lazy._meta)
    monkeypatch.setattr(cog_set, "allowed_threads", lambda: lazy.npartitions)
    with (
        pytest.raises(OSError, match="the disk is gone"),
        one_pass(maps, tmp_path / "classes.tif", LEGEND),
    ):
        pytest.fail("nothing was computed")
    assert not list(tmp_path.iterdir())
