"""What is refused as no reflectance, with which evidence; and that real scenes are not."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import xarray as xr
from rasterio.transform import from_origin

import osm4eo_xr as oxr
from osm4eo_xr.errors import InputError, InputWarning
from osm4eo_xr.imagery.plausibility import judge_band, judge_bands, places_of


def write(path: Path, numbers: np.ndarray, names: Any = ("red", "nir"), **tags: Any) -> Path:
    place: Any = {"crs": "EPSG:3035", "transform": from_origin(4_321_000, 3_210_000, 10, 10)}
    count, height, width = numbers.shape
    shape: Any = {"count": count, "height": height, "width": width, "dtype": numbers.dtype}
    with rasterio.open(path, "w", driver="GTiff", **place, **shape, nodata=tags.get("nodata")) as f:
        f.write(numbers)
        f.descriptions = list(names)[:count]
        if "scale" in tags:
            f.scales = [tags["scale"]] * count
    return path


def land(dtype: Any = np.uint16, scale: float = 1.0) -> np.ndarray:
    """Two bands of plausible land, 256 x 256."""
    rng = np.random.default_rng(0)
    numbers = rng.uniform(300, 4000, (2, 256, 256)) * scale
    return numbers.round().astype(dtype) if np.dtype(dtype).kind in "iu" else numbers.astype(dtype)


def filled(value: float, dtype: Any, scale: float = 1.0) -> np.ndarray:
    numbers = land(dtype, scale)
    numbers[:, :50] = value
    return numbers


CASES: list[tuple[np.ndarray, dict[str, Any], str]] = [
    (filled(-9999, np.int16), {}, "19.5 % of the values are below -0.2 (least -0.9999"),
    (filled(-32768, np.int16), {}, "19.5 % are -3.2768"),
    (filled(-9999, np.float32, 1e-4), {}, "19.5 % are -9999"),
    (np.full((2, 256, 256), -10000, np.int16), {}, "100 % of the values are below -0.2"),
    (np.full((2, 256, 256), 64500, np.uint16), {}, "as numbers below 0 that were stored as uint16"),
    (np.where(land() < 400, 65000, land()), {}, "reflectances above 5"),
    (land(np.float32, 1e-2), {}, "percent, 0-255 or radiances"),
    (land(np.float32, 255 / 4000), {}, "percent, 0-255 or radiances"),
    (land(np.uint16, 255 / 4000), {}, "like a display image"),
    (land(np.uint16, 0.1), {}, "x1000"),
    (land(np.float32, 1e-4), {"scale": 1e-4}, "a scale is applied twice"),
    (land(np.float32, 1e-4) - np.float32(0.2), {}, "as where an offset is applied to pixels"),
]


@pytest.mark.parametrize(("numbers", "tags", "says"), CASES)
def test_what_cannot_be_reflectance_is_refused_with_evidence(
    tmp_path: Path, numbers: np.ndarray, tags: dict[str, Any], says: str
) -> None:
    path = write(tmp_path / "scene.tif", numbers, **tags)
    with pytest.raises(InputError) as caught:
        oxr.check_scene(oxr.open_scene(path, geobox="native"), "scene.tif")
    message = str(caught.value)
    assert says in message
    assert "\n" not in message
    assert re.search(r"(scale|offset|nodata)=", message)  # what settles it


def test_the_option_settles_it(tmp_path: Path) -> None:
    fill = write(tmp_path / "fill.tif", filled(-9999, np.int16))
    scene = oxr.open_scene(fill, nodata=-9999, geobox="native")
    assert oxr.check_scene(scene) == pytest.approx(np.isnan(places_of(scene)).mean())
    assert np.isnan(scene[:, :50]).all()
    assert scene.attrs["no_data_seen"] == "19.5 % of 65,536 pixels in the middle of nir"
    twice = write(tmp_path / "twice.tif", land(np.float32, 1e-4), scale=1e-4)
    oxr.check_scene(oxr.open_scene(twice, scale=1.0, geobox="native"))
    low = write(tmp_path / "low.tif", np.full((2, 256, 256), 400, np.uint16))
    with pytest.warns(InputWarning, match=r"100 % of the reflectances are below -0.02"):
        oxr.check_scene(oxr.open_scene(low, scale=1e-4, offset=-0.1), settled=True)


@pytest.mark.parametrize("dtype", [np.float32, np.int16])
def test_an_untagged_frame_is_found_at_the_edge(tmp_path: Path, dtype: Any) -> None:
    numbers = land(dtype, 1e-4 if dtype == np.float32 else 1.0)
    big = np.kron(numbers, np.ones((1, 6, 6), dtype))
    big[:, :60] = big[:, :, -60:] = 0
    nodata = None if dtype == np.float32 else -9999
    path = write(tmp_path / "framed.tif", big, nodata=nodata)
    scene = oxr.open_scene(path, geobox="native")  # the middle is right
    with pytest.raises(InputError, match=r"% of the pixels are 0 in every band, as a frame"):
        oxr.check_scene(scene)
    oxr.check_scene(oxr.open_scene(path, nodata=0, geobox="native"))


def test_files_of_landsat_are_no_bands_of_sentinel_2(tmp_path: Path) -> None:
    path = write(tmp_path / "LC08_L2SP_192023_20200601_02_T1_SR_B5.TIF", land()[:1], [""])
    with pytest.raises(InputError, match=r"named as a Landsat file.*scale=2.75e-5"):
        oxr.open_scene(path)
    scene = oxr.open_scene(path, names=["nir08"], scale=2.75e-5, offset=-0.0, geobox="native")
    assert list(scene["band"].values) == ["nir08"]


@pytest.mark.usefixtures("no_compute")
def test_opening_stays_lazy(tmp_path: Path) -> None:
    scene = oxr.open_scene(write(tmp_path / "scene.tif", land()))
    assert scene.chunks is not None


def test_a_look_reads_little() -> None:
    seen: list[int] = []

    def counted(block: np.ndarray) -> np.ndarray:
        seen.append(block.size)
        return block

    data: Any = xr.DataArray(
        np.full((2, 4096, 4096), 0.2, np.float32), dims=("band", "y", "x")
    ).chunk(y=512, x=512)
    oxr.check_scene(data.copy(data=data.data.map_blocks(counted, dtype=np.float32)))
    assert sum(seen) <= 13 * 2 * 4 * 512 * 512  # of 64 blocks at most those 13 places lie in


def test_every_date_of_a_cube_is_looked_at() -> None:
    values = np.full((3, 2, 64, 64), 0.2, np.float32)
    values[1] = -0.06
    cube = xr.DataArray(
        values, dims=("time", "band", "y", "x"), coords={"item": ("time", ["a", "b", "c"])}
    )
    with pytest.raises(InputError, match="^b, band 0: 100 % of the reflectances are below -0.02"):
        oxr.check_scene(cube)


def test_few_pixels_and_none_are_not_judged() -> None:
    assert judge_band(np.full(99, -9999.0)) is None
    assert judge_bands(np.full((2, 500), np.nan)) is None


def real_scenes(data: Path) -> dict[str, xr.DataArray]:
    """Open every real scene there is, each on its own grid."""
    jp2 = sorted((data / "brandenburg" / "IMG_DATA").glob("*.jp2"))
    tifs = sorted((data / "slovenia" / "derived").glob("S2_L1C_*.tif"))
    ids = [
        "B01",
        "B02",
        "B03",
        "B04",
        "B05",
        "B06",
        "B07",
        "B08",
        "B8A",
        "B09",
        "B10",
        "B11",
        "B12",
    ]
    found = {"brandenburg": oxr.open_scene(jp2, geobox="native")}
    for path in tifs:
        with rasterio.open(path) as source:
            named = all(source.descriptions)
        names = None if named else ids
        found[path.stem] = oxr.open_scene(path, names=names, geobox="native")
    for folder in sorted((data / "stac_33TW" / "sentinel-2-l2a").glob("S2*")):
        item = json.loads((folder / f"{folder.name}.json").read_text())
        assert item["properties"]["earthsearch:boa_offset_applied"]
        files = [folder / f"B{n}.tif" for n in ("02", "03", "04", "08")]
        found[folder.name] = oxr.open_scene(files, geobox="native")
    demo = Path(oxr.__file__).parent / "demo" / "scene"
    return found | {"demo": oxr.open_scene(demo, geobox="native")}


def test_no_real_scene_is_refused(data_dir: Path) -> None:
    scenes = real_scenes(data_dir)
    assert len(scenes) == 17
    for name, scene in scenes.items():
        oxr.check_scene(scene, name)


def test_each_single_file_of_esa_is_opened(data_dir: Path) -> None:
    for path in sorted((data_dir / "brandenburg" / "IMG_DATA").glob("*.jp2")):
        name = path.stem[-3:]
        if name in ("B09", "B10"):  # of no surface: dark, and rightly asked about
            continue
        scene = oxr.open_scene(path, bands=[name], geobox="native")
        assert scene.attrs.get("level", "") == ""
        assert float(scene[0, 100:110, 100:110].mean()) > 0
