"""What mappers are asked to look at: against plain numpy, for any chunks; links and files."""

import json
from functools import cache
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import geopandas as gpd
import numpy as np
import pytest
import shapely
import xarray as xr
from geopandas.testing import assert_geodataframe_equal
from hypothesis import given, settings
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox
from rasterio.transform import Affine

from osm4eo_xr.errors import InputError
from osm4eo_xr.geometry.grid import geobox_of, georeference, target_geobox
from osm4eo_xr.labels.objects import rasterize_objects
from osm4eo_xr.labels.rasterize import rasterize_labels
from osm4eo_xr.legend import default_legend
from osm4eo_xr.maps.review.objects import review_objects
from osm4eo_xr.maps.review.places import review_places, uncertainty
from osm4eo_xr.maps.review.tasks import write_tasks
from osm4eo_xr.osm.areas import KINDS, object_keys, split_keys
from osm4eo_xr.osm.landuse import read_landuse, write_landuse

BOX = target_geobox((4_321_000, 3_210_000, 4_322_200, 3_210_900))  # 90 rows, 120 columns
SLUGS = {c.id: c.slug for c in default_legend().classes}


def areas(seed: int = 0, n: int = 25) -> gpd.GeoDataFrame:
    """Return made-up objects that overlap: rectangles and disks, small and large."""
    rng = np.random.default_rng(seed)
    left, bottom, right, top = BOX.boundingbox
    points = shapely.points(rng.uniform(left, right, n), rng.uniform(bottom, top, n))
    shapes = shapely.buffer(points, rng.uniform(30, 250, n), quad_segs=3)
    rows = {
        "osm_kind": rng.choice(KINDS, n),
        "osm_id": rng.integers(1, 10**10, n),
        "class_id": rng.integers(1, 13, n).astype(np.uint8),
        "tag": [f"landuse={k}" for k in range(n)],
        "area": shapely.area(shapes),
    }
    return gpd.GeoDataFrame(rows, geometry=shapes, crs=3035)


def maps(seed: int = 0) -> tuple[xr.DataArray, xr.DataArray]:
    """Return classes that come in patches, and a confidence; both with some no data."""
    rng = np.random.default_rng(seed)
    classes = rng.integers(1, 6, (9, 12), dtype=np.uint8).repeat(10, axis=0).repeat(10, axis=1)
    confidence = rng.integers(150, 251, classes.shape, dtype=np.uint8)
    classes[:5], confidence[:5] = 0, 255
    return georeference(classes, BOX), georeference(confidence, BOX)


def test_keys_hold_kind_id_and_class() -> None:
    kinds, ids, classes = (
        np.array(["way", "node", "relation"]),
        np.array([5, -7, 2**34]),
        [1, 12, 3],
    )
    keys = object_keys(kinds, ids, np.array(classes, np.uint8))
    kind, number, class_id = split_keys(keys)
    assert (kind.tolist(), number.tolist(), class_id.tolist()) == (
        kinds.tolist(),
        ids.tolist(),
        classes,
    )


@pytest.mark.parametrize("edge", ["center", "ignore"])
def test_objects_are_burnt_as_their_classes_are(edge: str) -> None:
    given_areas, (like, _) = areas(), maps()
    keys = rasterize_objects(given_areas, like.chunk(y=40, x=50), edge=edge).to_numpy()  # pyright: ignore[reportArgumentType] - parametrized
    labels = rasterize_labels(given_areas, like, edge=edge).to_numpy()  # pyright: ignore[reportArgumentType] - parametrized
    np.testing.assert_array_equal(split_keys(keys)[2], labels)
    assert len(np.unique(keys)) > 10


def test_of_one_class_the_smaller_object_is_named() -> None:
    wood = gpd.GeoDataFrame(
        {"osm_kind": "way", "osm_id": [3, 2], "class_id": [8, 8], "tag": "", "area": [1.0, 2.0]},
        geometry=[shapely.box(*BOX.boundingbox).centroid.buffer(r) for r in (100, 300)],
        crs=3035,
    )
    keys = rasterize_objects(wood, maps()[0], edge="center").to_numpy()
    assert split_keys(keys)[1][45, 60] == 3
    assert {*split_keys(keys)[1].ravel().tolist()} == {0, 2, 3}


@cache
def ranked_by_hand() -> dict[int, tuple[int, str, float, float]]:
    """Return pixels, suggested class, share and score of each object that is to be listed."""
    classes, confidence = (m.to_numpy() for m in maps())
    ids = split_keys(rasterize_objects(areas(), maps()[0]).to_numpy())[1]
    expected = {}
    for osm_id, class_id in areas()[["osm_id", "class_id"]].to_numpy().tolist():
        here = (ids == osm_id) & (classes > 0)
        certain = here & (confidence >= 175)
        others = [k for k in range(1, 13) if k != class_id]
        weights = [int(confidence[certain & (classes == k)].sum()) for k in others]
        best = int(np.argmax(weights))
        share = (certain & (classes == others[best])).sum() / max(here.sum(), 1)
        if here.sum() >= 5 and share >= 0.2:
            score = weights[best] / 250 / here.sum()
            expected[osm_id] = (here.sum(), SLUGS[others[best]], share, score)
    return expected


@settings(max_examples=4)
@given(y=st.integers(17, 90), x=st.integers(17, 120))
def test_objects_are_ranked_as_counted_by_hand_for_any_chunks(y: int, x: int) -> None:
    given_areas, (classes, confidence) = areas(), maps()
    chunked = classes.chunk(y=y, x=x), confidence.chunk(y=50, x=31)
    found = review_objects(given_areas, *chunked, sure=0.7, least_share=0.2, least_pixels=5)
    expected = ranked_by_hand()
    assert set(found["osm_id"]) == set(expected)
    assert len(found) >= 5
    assert (np.diff(found["score"]) <= 0).all()
    for row in found.to_dict("records"):
        pixels, slug, share, score = expected[row["osm_id"]]
        assert (row["pixels"], row["suggested"]) == (pixels, slug)
        assert row["share"] == pytest.approx(share, abs=1e-4)
        assert row["score"] == pytest.approx(score, abs=1e-4)


def test_partitions_are_reviewed_as_a_frame_is(
    demo: tuple[xr.DataArray, Path], tmp_path: Path
) -> None:
    like, extract = demo
    classes = like.copy(data=np.full(like.shape, 8, np.uint8))
    confidence = like.copy(data=np.full(like.shape, 240, np.uint8))
    frame = review_objects(read_landuse(extract), classes, confidence, n=30)
    folder = write_landuse(extract, tmp_path / "landuse", cell=0.1).folder
    stored = review_objects(folder, classes.chunk(y=100, x=100), confidence, n=30)
    assert_geodataframe_equal(frame, stored)
    assert len(frame) == 30
    assert frame["tag"].str.contains("=").all()


@pytest.fixture(scope="module")
def demo() -> tuple[xr.DataArray, Path]:
    """A grid within the demo's scene, and its extract."""
    from osm4eo_xr.demo import demo_osm_path

    box = target_geobox((4_498_000, 3_267_000, 4_500_000, 3_269_000))
    return georeference(np.zeros(box.shape, np.uint8), box), demo_osm_path()


@pytest.mark.usefixtures("no_compute")
def test_nothing_computes_before_it_must() -> None:
    shares = georeference(np.full((3, *BOX.shape), 80, np.uint8), BOX, dims=("class", "y", "x"))
    unsure = uncertainty(shares.chunk(y=30, x=30))
    keys = rasterize_objects(areas(), maps()[0].chunk(y=30, x=30))
    assert unsure.chunks is not None
    assert keys.chunks is not None


def test_uncertainty_is_the_share_of_the_greatest_entropy() -> None:
    shares = np.array(
        [[0.25, 1, 0.5, np.nan]] + [[0.25, 0, 0.5, np.nan]] + 2 * [[0.25, 0, 0, np.nan]]
    )
    box = target_geobox((4_321_000, 3_210_000, 4_321_040, 3_210_010))
    given_shares = georeference(shares[:, None].astype(np.float32), box, dims=("class", "y", "x"))
    assert uncertainty(given_shares).to_numpy().tolist() == [[250, 0, 125, 255]]


@settings(max_examples=4)
@given(y=st.integers(17, 90), x=st.integers(17, 120), cell=st.integers(7, 40))
def test_places_are_scored_as_counted_by_hand_for_any_chunks(y: int, x: int, cell: int) -> None:
    (classes, unsure), labels = maps(), rasterize_labels(areas(), BOX).compute()
    labels = georeference(labels.to_numpy(), BOX)
    found = review_places(
        labels, classes.chunk(y=y, x=x), unsure.chunk(y=33, x=44), n=10**6, cell=cell * 10, apart=0
    )
    values, doubts = classes.to_numpy(), unsure.to_numpy()
    bare, land = (values > 0) & (labels.to_numpy() == 0), values > 0
    mix = np.bincount(values[bare], minlength=13).astype(float)
    scores = []
    for top in range(0, 90, cell):
        for left in range(0, 120, cell):
            at = np.s_[top : top + cell, left : left + cell]
            here = bare[at]
            if here.any():
                own = np.bincount(values[at][here], minlength=13)
                like = own @ mix / np.linalg.norm(own) / np.linalg.norm(mix)
                doubt = doubts[at][here].mean() / 250
                scores.append(here.sum() / land[at].sum() * doubt * like)
    np.testing.assert_allclose(found["score"], sorted(scores, reverse=True), atol=1.1e-4)


def test_places_keep_their_distance() -> None:
    classes, unsure = maps()
    empty = georeference(np.zeros(BOX.shape, np.uint8), BOX)
    found = review_places(empty, classes, unsure, cell=100, apart=350).to_crs(3035)
    points = shapely.get_coordinates(found.centroid)
    gaps = np.hypot(*(points[:, None] - points[None]).transpose(2, 0, 1))
    assert 4 <= len(found) < 20
    assert gaps[np.triu_indices(len(found), 1)].min() > 349


def test_places_are_measured_in_meters_and_degrees_refused() -> None:
    classes, unsure = maps()
    empty = georeference(np.zeros(BOX.shape, np.uint8), BOX)
    expected = review_places(empty, classes, unsure, cell=100, apart=350)
    affine = Affine(10 / 0.3048, 0, BOX.affine.c / 0.3048, 0, -10 / 0.3048, BOX.affine.f / 0.3048)
    crs = "+proj=laea +lat_0=52 +lon_0=10 +x_0=4321000 +y_0=3210000 +ellps=GRS80 +units=ft"
    feet = GeoBox(BOX.shape, affine, crs)
    moved = [georeference(r.to_numpy(), feet, attrs=r.attrs) for r in (empty, classes, unsure)]
    found = review_places(*moved, cell=100, apart=350)
    assert found["score"].tolist() == expected["score"].tolist()
    assert found.geometry.geom_equals_exact(expected.geometry, 1e-6).all()
    degrees = GeoBox(BOX.shape, Affine(1e-4, 0, 10, 0, -1e-4, 50), "EPSG:4326")
    moved = [georeference(r.to_numpy(), degrees) for r in (empty, classes, unsure)]
    with pytest.raises(InputError, match="counts in degrees"):
        review_places(*moved)


def test_tasks_are_features_with_links(tmp_path: Path) -> None:
    classes, confidence = maps()
    objects = review_objects(areas(), classes, confidence, sure=0.7, least_share=0.2)
    empty = georeference(np.zeros(BOX.shape, np.uint8), BOX)
    places = review_places(empty, classes, confidence, n=2, apart=300)
    path = write_tasks(tmp_path / "tasks.geojson", objects, places, comment="A b #one #two")
    features = json.loads(path.read_text())["features"]
    assert len({f["id"] for f in features}) == len(features) == len(objects) + 2
    first, row = features[0]["properties"], objects.iloc[0]
    assert first["suggested"] in first["instruction"]
    assert first["osm"] == f"https://www.openstreetmap.org/{row.osm_kind}/{row.osm_id}"
    asked = parse_qs(urlsplit(first["josm"]).query)
    assert asked["select"] == [f"{row.osm_kind}{row.osm_id}"]
    assert asked["changeset_comment"] == ["A b #one #two"]
    assert asked["changeset_hashtags"] == ["one,two"]
    left, _, right, _ = objects.geometry.iloc[0].bounds
    assert float(asked["left"][0]) < left < right < float(asked["right"][0])
    read = gpd.read_file(path)
    assert read.crs == "EPSG:4326"
    assert read.iloc[0].geometry.symmetric_difference(objects.geometry.iloc[0]).area < 1e-9
    with pytest.raises(InputError, match="cannot write tasks to tasks.gpkg"):
        write_tasks(tmp_path / "tasks.gpkg", objects)


def test_what_cannot_be_reviewed_is_refused() -> None:
    classes, confidence = maps()
    with pytest.raises(InputError, match="no column osm_kind"):
        review_objects(gpd.GeoDataFrame(areas()[["class_id", "geometry"]]), classes, confidence)
    with pytest.raises(InputError, match=r"sure = 80; expected 0 to 1"):
        review_objects(areas(), classes, confidence, sure=80)
    with pytest.raises(InputError, match=r"confidence .* are not on one grid"):
        review_objects(areas(), classes, confidence.isel(y=slice(50)))
    assert geobox_of(classes) == BOX
    with pytest.raises(InputError, match="a cell of a pixel"):
        review_places(classes, classes, confidence, cell=1)
