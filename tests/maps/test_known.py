"""Agreement, merge and label report."""

import json
from pathlib import Path
from typing import Any

import dask.array as da
import geopandas as gpd
import numpy as np
import pytest
import shapely
import xarray as xr

from osm4eo_xr.demo import demo_osm_path
from osm4eo_xr.errors import InputError
from osm4eo_xr.geometry.grid import georeference, target_geobox
from osm4eo_xr.labels.rasterize import count_claims, rasterize_labels
from osm4eo_xr.labels.report import label_report, save_report
from osm4eo_xr.maps.known_ground import agreement, merge_known
from osm4eo_xr.osm.landuse import read_landuse, write_landuse
from osm4eo_xr.plot.maps import label_figure

PLACE = (4_492_000.0, 3_265_000.0, 4_494_300.0, 3_266_700.0)
KNOWN = np.array([[8, 8, 8], [0, 0, 0]], np.uint8)
PREDICTED = np.array([[8, 12, 0], [8, 0, 5]], np.uint8)


def raster(values: np.ndarray, *, left: float = 0) -> xr.DataArray:
    height, width = values.shape
    return georeference(values, target_geobox((left, 0, left + 10 * width, 10 * height)))


def test_agreement_tells_the_cases_apart() -> None:
    layer = agreement(raster(KNOWN), raster(PREDICTED))
    assert layer.values.tolist() == [[1, 2, 4], [3, 0, 3]]
    assert layer.dtype == np.uint8
    assert layer.attrs["flag_meanings"].split()[:2] == ["equal", "different"]


def test_what_is_known_wins_and_says_so() -> None:
    merged = merge_known(raster(KNOWN), raster(PREDICTED))
    assert merged["classes"].values.tolist() == [[8, 8, 8], [8, 0, 5]]
    assert merged["provenance"].values.tolist() == [[1, 1, 1], [2, 0, 2]]


def test_both_are_lazy_and_any_chunking_gives_the_same(no_compute: None) -> None:
    del no_compute
    rng = np.random.default_rng(0)
    known, predicted = rng.integers(0, 13, (2, 40, 50), dtype=np.uint8)
    whole = (
        agreement(raster(known), raster(predicted)),
        merge_known(raster(known), raster(predicted)),
    )
    for a, b in (((7, 50), (40, 11)), ((13, 13), (40, 50))):
        chunked = raster(known).chunk(y=a[0], x=a[1]), raster(predicted).chunk(y=b[0], x=b[1])
        layer, merged = agreement(*chunked), merge_known(*chunked)
        assert layer.chunks is not None
        assert merged["provenance"].chunks is not None
        np.testing.assert_array_equal(da.compute(layer.data, scheduler="sync")[0], whole[0])
        for name in merged:
            found = da.compute(merged[name].data, scheduler="sync")[0]
            np.testing.assert_array_equal(found, whole[1][name])


def test_rasters_of_different_grids_are_refused() -> None:
    with pytest.raises(InputError, match="not on one grid"):
        agreement(raster(KNOWN), raster(PREDICTED, left=20))
    with pytest.raises(InputError, match="give .y, x. of uint8"):
        merge_known(raster(KNOWN.astype(np.int16)), raster(PREDICTED))


def test_the_report_counts_pixels_tags_and_problems(tmp_path: Path) -> None:
    geobox = target_geobox(PLACE)
    like = georeference(np.zeros(geobox.shape, np.uint8), geobox).chunk(64)
    frame = read_landuse(demo_osm_path())
    landuse = write_landuse(demo_osm_path(), tmp_path / "areas", cell=0.01)
    labels, claims = rasterize_labels(landuse, like, edge="ignore"), count_claims(landuse, like)
    report = label_report(labels, claims, landuse, unclaimed={"natural=valley": 3})
    found, claimed = labels.to_numpy(), claims.to_numpy()
    assert report["area_km2"] == pytest.approx(2.3 * 1.7)
    assert report["labeled"] == pytest.approx((found > 0).mean())
    assert report["left_out"] == pytest.approx(((claimed > 0) & (found == 0)).mean())
    assert report["left_out"] > 0
    assert report["conflicts"] == pytest.approx((claimed > 1).mean())
    for row in report["classes"]:
        assert row["share"] == pytest.approx((found == row["id"]).mean())
        assert row["km2"] == pytest.approx((found == row["id"]).sum() * 1e-4)
    assert sum(t["areas"] for t in report["tags"].values()) == 604
    assert report["unclaimed"] == {"natural=valley": 3}
    again = label_report(labels, claims, frame)
    assert again["broken"] == report["broken"]
    assert {k: v["areas"] for k, v in again["tags"].items()} == {
        k: v["areas"] for k, v in report["tags"].items()
    }
    saved = json.loads(save_report(report, tmp_path / "labels.json").read_text(encoding="utf-8"))
    assert saved == report
    figure = label_figure(labels, report, title="Havelland")
    picture, bars = figure.axes
    shown: Any = picture.images[0].get_array()
    np.testing.assert_array_equal(shown.filled(0), found)
    drawn: list[Any] = list(bars.patches)
    shares = [100 * row["share"] for row in report["classes"]]
    assert [bar.get_width() for bar in drawn] == pytest.approx(shares)
    assert bars.get_title() == (
        f"unlabeled {1 - report['labeled']:.1%}, conflicts {report['conflicts']:.1%}"
    )


def test_a_boundary_limits_the_report() -> None:
    square = gpd.GeoDataFrame({"class_id": [8]}, geometry=[shapely.box(0, 0, 50, 100)], crs=3035)
    like = raster(np.zeros((10, 10), np.uint8))
    labels, claims = rasterize_labels(square, like), count_claims(square, like)
    square["tag"], square["area"] = "landuse=forest", 5000.0
    assert label_report(labels, claims, square)["labeled"] == 0.5
    assert label_report(labels, claims + labels.clip(max=1), square)["conflicts"] == 0.5
    half = gpd.GeoDataFrame(geometry=[shapely.box(0, 0, 80, 100)], crs=3035)
    assert label_report(labels, claims, square, boundary=half)["labeled"] == 50 / 80
    far = gpd.GeoDataFrame(geometry=[shapely.box(900, 0, 980, 100)], crs=3035)
    with pytest.raises(InputError, match="the boundary holds no pixel of the labels"):
        label_report(labels, claims, square, boundary=far)
