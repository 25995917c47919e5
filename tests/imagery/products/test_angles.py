"""The sun that metadata state is the sun that shadows fall by."""

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import osm4eo_xr as oxr
from osm4eo_xr.catalogs.acquisitions import sun_of
from osm4eo_xr.imagery.clouds.sun import Sun, sun_position, suns_of
from osm4eo_xr.imagery.products.angles import eopf_sun, safe_suns
from tests.cases.eopf_case import write_eopf
from tests.cases.safe_case import SUN, write_safe


@pytest.mark.parametrize("level", ["1C", "2A"])
def test_products_of_both_formats_state_the_sun(level: str, tmp_path: Path) -> None:
    safe = write_safe(tmp_path, level, "03.01", bands=("B02", "B04"))
    for path in (safe, write_eopf(safe, tmp_path)):
        scene = oxr.open_product(path, bands=["red"])
        assert (scene.attrs["sun_azimuth"], scene.attrs["sun_zenith"]) == SUN
        assert suns_of(scene, None, None) == [Sun(*SUN)]
    next(safe.rglob("MTD_TL.xml")).write_text("<cut")
    assert "sun_azimuth" not in oxr.open_product(safe, bands=["red"]).attrs


def test_granules_are_found_by_new_and_old_names() -> None:
    angles = b"<ZENITH_ANGLE>30</ZENITH_ANGLE><AZIMUTH_ANGLE>%d</AZIMUTH_ANGLE>"
    xml = b"<a><Mean_Sun_Angle>" + angles + b"</Mean_Sun_Angle></a>"
    new = "x.SAFE/GRANULE/L2A_T33UXQ_A033710_20230820T095146/MTD_TL.xml"
    old = (
        "GRANULE/S2A_OPER_MSI_L1C_TL_EPA__20160930T184120_A000223_T33UVV_N02.04/"
        "S2A_OPER_MTD_L1C_TL_EPA__20160930T184120_A000223_T33UVV.xml"
    )
    names = {new: 150, old: 160, "MTD_MSIL2A.xml": 0, "GRANULE/L2A_T33UXQ_A1/QI_DATA/x.xml": 0}
    suns = safe_suns(names, lambda name: xml % names[name])
    assert suns == {"33UXQ": (150.0, 30.0), "33UVV": (160.0, 30.0)}
    assert safe_suns([new], lambda _: xml % 720) == {}


def test_the_suns_of_real_stores_are_near_those_of_time_and_place(data_dir: Path) -> None:
    folder = data_dir.parent / "eopf"
    if not folder.is_dir():
        pytest.skip("no metadata of real stores here")
    found = 0
    for path in folder.glob("*.json"):
        told = json.loads(path.read_text())["attributes"]
        azimuth, zenith = eopf_sun(told) or (np.nan, np.nan)
        item = told["stac_discovery"]
        west, south, east, north = item["bbox"]
        time = told["other_metadata"]["mean_sensing_time"].removesuffix("Z")
        sun = sun_position(np.datetime64(time), (west + east) / 2, (south + north) / 2)
        assert abs(sun.zenith - zenith) < 1
        assert abs(sun.azimuth - azimuth) < 1.5
        found += 1
    assert found == 2


def test_items_state_suns_date_by_date(data_dir: Path) -> None:
    items = [
        {"properties": {"view:sun_azimuth": 151.1, "view:sun_elevation": 56.3}},
        {"properties": {"s2:mean_solar_azimuth": 160.0, "s2:mean_solar_zenith": 40.0}},
        {"properties": {"view:sun_azimuth": 151.1}},
    ]
    suns = [sun_of(item) for item in items]
    np.testing.assert_allclose(suns[:2], [(151.1, 33.7), (160.0, 40.0)])
    assert np.isnan(suns[2]).all()
    box = oxr.target_geobox((15.4, 45.9, 15.5, 46.0), bounds_crs="EPSG:4326", resolution=120)
    cube = oxr.stack_items(data_dir / "stac_33TW" / "catalog.json", box, ["red"])
    assert cube["sun_zenith"].dims == ("time",)
    cube["sun_azimuth"][3] = np.nan
    told = suns_of(cube, box, None)
    assert told[0] == Sun(float(cube["sun_azimuth"][0]), float(cube["sun_zenith"][0]))
    for sun, time in zip(told, cube["time"].values, strict=True):
        assert sun is not None
        guess = sun_position(time, 15.45, 45.95)
        assert abs(sun.zenith - guess.zenith) < 1.5
        assert abs(sun.azimuth - guess.azimuth) < 3
    assert suns_of(xr.DataArray(np.zeros(2), dims="time"), None, None) == [None, None]


def test_the_sun_of_a_series_is_not_that_of_its_first_scene() -> None:
    """Attrs of scenes that are put together are the first one's."""
    first = xr.DataArray(0.0, attrs={"sun_azimuth": 160.0, "sun_zenith": 30.0})
    series = xr.concat([first, first.assign_attrs(sun_azimuth=170.0)], "time")
    assert series.attrs["sun_azimuth"] == 160
    assert suns_of(first, None, None) == [Sun(160, 30)]
    assert suns_of(series, None, None) == [None, None]
    told = {"sun_azimuth": ("time", [160.0, 170.0]), "sun_zenith": ("time", [30.0, 75.0])}
    assert suns_of(series.assign_coords(told), None, None) == [Sun(160, 30), Sun(170, 75)]
