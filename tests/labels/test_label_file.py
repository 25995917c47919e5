import json
import subprocess
import sys
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import xarray as xr
from odc.geo.geobox import GeoBox
from odc.geo.xr import xr_coords
from rio_cogeo.cogeo import cog_validate

from osm4eo_xr.cogs.cog import write_cog
from osm4eo_xr.demo import demo_osm_path, demo_scene_paths
from osm4eo_xr.errors import InputError
from osm4eo_xr.geometry.grid import target_geobox
from osm4eo_xr.imagery.scene_grid import read_grid
from osm4eo_xr.labels.rasterize import rasterize_labels
from osm4eo_xr.labels.write import write_labels
from osm4eo_xr.legend import default_legend
from osm4eo_xr.osm.landuse import read_landuse, write_landuse

HEAVY = ("dask.array", "geopandas", "pandas", "pyarrow", "xarray")


@pytest.fixture(scope="module")
def grid() -> GeoBox:
    """The demo's grid and a margin, so that some blocks have no areas."""
    folder = demo_scene_paths()[0].parent
    assert read_grid([folder]) == read_grid(folder) == read_grid(demo_scene_paths())
    return read_grid(demo_scene_paths()).pad(600)


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"edge": "ignore"},
        {"min_area": 20_000.0},
        {"legend": default_legend(coastal=True)},
    ],
    ids=["plain", "edge", "min_area", "legend"],
)
def test_the_file_is_that_of_the_lazy_steps(
    tmp_path: Path, grid: GeoBox, how: dict[str, Any]
) -> None:
    legend = how.get("legend")
    areas = write_landuse(demo_osm_path(), tmp_path / "areas", legend)
    labels = rasterize_labels(areas, grid, **how)
    lazy = write_cog(labels, tmp_path / "lazy.tif", legend=legend)
    made = write_labels(demo_osm_path(), tmp_path / "made.tif", grid, **how)
    assert made.read_bytes() == lazy.read_bytes()
    again = write_labels(areas, tmp_path / "again.tif", grid, **how)
    assert again.read_bytes() == lazy.read_bytes()
    for ending in (".qml", ".tif.aux.xml"):
        assert made.with_suffix(ending).read_text() == lazy.with_suffix(ending).read_text()
    assert cog_validate(made, strict=True)[0]


def test_extract_folder_and_frame_give_one_file_with_its_day_and_packing(
    tmp_path: Path, grid: GeoBox
) -> None:
    osm, folder = demo_osm_path(), write_landuse(demo_osm_path(), tmp_path / "areas").folder
    like = xr.DataArray(np.zeros(grid.shape, np.uint8), xr_coords(grid), dims=("y", "x"))
    how: Any = {"datetime": "2020-06-01T00:00:00Z", "compression": "deflate"}
    made = [
        write_labels(osm, tmp_path / "0.tif", grid, **how),
        write_labels(osm, tmp_path / "1.tif", like, **how),
        write_labels(folder, tmp_path / "2.tif", grid, **how),
        write_labels(read_landuse(osm), tmp_path / "3.tif", like.chunk(y=700), **how),
    ]
    assert len({path.read_bytes() for path in made}) == 1
    items = [json.loads(path.with_suffix(".stac.json").read_text()) for path in made]
    assert {item["properties"]["datetime"] for item in items} == {how["datetime"]}
    with rasterio.open(made[0]) as file:
        assert file.compression.value == "DEFLATE"


def test_a_grid_on_another_crs_gets_the_same_labels_too(tmp_path: Path) -> None:
    grid = GeoBox.from_bbox((330_000, 5_812_000, 345_000, 5_824_000), "EPSG:32633", resolution=20)
    areas = write_landuse(demo_osm_path(), tmp_path / "areas")
    lazy = rasterize_labels(areas, grid).to_numpy()
    with rasterio.open(write_labels(demo_osm_path(), tmp_path / "made.tif", grid)) as file:
        np.testing.assert_array_equal(file.read(1), lazy)
        assert lazy.any()


@pytest.mark.parametrize("chunk", [512, 1024, 4096])
@pytest.mark.parametrize("batch", [7, 5_000])
def test_any_blocks_and_batches_give_the_same_bytes(
    tmp_path: Path, grid: GeoBox, monkeypatch: pytest.MonkeyPatch, chunk: int, batch: int
) -> None:
    expected = write_labels(demo_osm_path(), tmp_path / "a.tif", grid).read_bytes()
    monkeypatch.setattr("osm4eo_xr.labels.write.CHUNK", chunk)
    monkeypatch.setattr("osm4eo_xr.osm.areas.BATCH", batch)
    assert write_labels(demo_osm_path(), tmp_path / "b.tif", grid).read_bytes() == expected


def test_both_halves_tell_how_far_they_are(tmp_path: Path, grid: GeoBox) -> None:
    calls: dict[str, list[tuple[int, int]]] = {"reading": [], "writing": []}

    @contextmanager
    def bar(name: str) -> Any:
        yield lambda done, total: calls[name].append((done, total))

    write_labels(
        demo_osm_path(), tmp_path / "a.tif", grid, reading=bar("reading"), writing=bar("writing")
    )
    for told in calls.values():
        assert told[-1][0] == told[-1][1] > 0
        assert all(a[0] <= b[0] for a, b in pairwise(told))


def test_what_cannot_be_made_leaves_the_old_file(tmp_path: Path, grid: GeoBox) -> None:
    path = tmp_path / "labels.tif"
    path.write_bytes(b"old")
    far = target_geobox((5_000_000, 1_500_000, 5_001_000, 1_501_000))
    with pytest.raises(InputError, match="do not overlap"):
        write_labels(demo_osm_path(), path, far)
    broken = tmp_path / "broken.osm.pbf"
    broken.write_bytes(demo_osm_path().read_bytes()[:40_000])
    with pytest.raises(InputError, match=r"broken\.osm\.pbf cannot be read"):
        write_labels(broken, path, grid)
    with pytest.raises(InputError, match="edge is 'blur'"):
        write_labels(demo_osm_path(), path, grid, edge="blur")  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match="the grid has no CRS"):
        write_labels(demo_osm_path(), path, GeoBox((10, 10), grid.affine, None))
    with pytest.raises(InputError, match=r"no folder .*gone"):
        write_labels(demo_osm_path(), tmp_path / "gone" / "labels.tif", grid)
    assert path.read_bytes() == b"old"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["broken.osm.pbf", "labels.tif"]


def test_a_block_that_fails_ends_the_whole(
    tmp_path: Path, grid: GeoBox, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> Any:
        raise OSError("disk is gone")

    monkeypatch.setattr("osm4eo_xr.labels.write.burn", fail)
    with pytest.raises(OSError, match="disk is gone"):
        write_labels(demo_osm_path(), tmp_path / "a.tif", grid)
    assert not list(tmp_path.iterdir())


def test_the_command_starts_without_what_it_does_not_need(tmp_path: Path) -> None:
    arguments = ["labels", demo_osm_path(), "--out", tmp_path / "labels.tif"]
    arguments += ["--like", demo_scene_paths()[0]]
    program = (
        f"import sys; sys.argv = ['osm4eo-xr', *{[str(a) for a in arguments]}]\n"
        "from osm4eo_xr.cli.app import main\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code\n"
        f"print('loaded:', *(name for name in {HEAVY} if name in sys.modules))"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert run.stdout.splitlines()[-1] == "loaded:"
    assert (tmp_path / "labels.tif").is_file()
