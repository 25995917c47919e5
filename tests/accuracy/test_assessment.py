"""A map against the labels of a design: each scheme's estimators, parts, probabilities, notes."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import osm4eo_xr as oxr
from osm4eo_xr.accuracy.designs.design import SamplingDesign, write_design
from osm4eo_xr.accuracy.designs.points import design_points
from osm4eo_xr.accuracy.reference_pairs import values_at
from osm4eo_xr.errors import InputError
from osm4eo_xr.geometry.grid import georeference, target_geobox
from osm4eo_xr.geometry.known_classes import A_PROVENANCE

LEGEND = oxr.default_legend()
ROWS, COLS = 120, 100
BOX = target_geobox((4_400_000, 2_700_000 - 10 * ROWS, 4_400_000 + 10 * COLS, 2_700_000))
KM2 = ROWS * COLS * 1e-4


@pytest.fixture(scope="module")
def truth() -> xr.DataArray:
    """Forest, arable, water in bands, 60, 30 and 10 %."""
    column = np.repeat(np.array([8, 5, 12], np.uint8), [60, 30, 10])
    return georeference(np.repeat(column[None], ROWS, axis=0), BOX, name="truth")


@pytest.fixture(scope="module")
def mapped(truth: xr.DataArray) -> xr.DataArray:
    """The truth with a fifth of the pixels in a class at random."""
    rng = np.random.default_rng(0)
    wrong = rng.choice(np.array([5, 8, 12], np.uint8), truth.shape)
    return truth.copy(data=np.where(rng.random(truth.shape) < 0.2, wrong, truth)).rename("map")


def labels(design: SamplingDesign, truth: xr.DataArray) -> pd.DataFrame:
    """Return what a perfect interpreter writes."""
    return pd.DataFrame(
        {"id": design.points["id"], "class": values_at(truth, design.points.geometry)}
    )


def draw(classes: xr.DataArray, **how: object) -> SamplingDesign:
    return design_points(classes, **({"n": 400, "min_per_stratum": 50} | how))  # type: ignore[arg-type]


def test_strata_that_are_classes_are_estimated_as_olofsson_2014(
    mapped: xr.DataArray, truth: xr.DataArray
) -> None:
    design = draw(mapped)
    report = oxr.assess(mapped, labels(design, truth), design=design, intervals="wald")
    assert report.method == "Olofsson et al. 2014"
    points, figures = design.points, report.figures
    right = values_at(truth, points.geometry) == points["map_class"].to_numpy()
    shares = {
        s.code: (s.pixels / (ROWS * COLS), right[points["stratum_code"] == s.code])
        for s in design.strata
    }
    overall = sum(w * r.mean() for w, r in shares.values())
    error = np.sqrt(
        sum(w**2 * r.mean() * (1 - r.mean()) / (len(r) - 1) for w, r in shares.values())
    )
    assert figures.overall.value == pytest.approx(overall)
    assert figures.overall.error == pytest.approx(error)
    for k, class_id in enumerate(LEGEND.ids):
        if class_id in shares:
            assert figures.users[k].value == pytest.approx(shares[class_id][1].mean())
            assert figures.counted[k] == pytest.approx(shares[class_id][0] * KM2)
    assert sum(a.value for a in figures.areas) == pytest.approx(KM2)
    assert figures.confusion.sum() == pytest.approx(1)


@pytest.mark.parametrize("scheme", ["stratified", "systematic", "cluster"])
def test_every_scheme_finds_the_true_areas(
    mapped: xr.DataArray, truth: xr.DataArray, scheme: str
) -> None:
    design = draw(mapped, scheme=scheme, cluster_pixels=15, per_cluster=12)
    report = oxr.assess(mapped, labels(design, truth), design=design)
    for class_id, share in ((8, 0.6), (5, 0.3), (12, 0.1)):
        area = report.figures.areas[LEGEND.ids.index(class_id)]
        assert abs(area.value - share * KM2) < 4 * area.error
        assert area.low < area.value < area.high
        assert 0 < area.error < 0.12 * KM2
    overall = float((mapped == truth).mean())
    assert abs(report.figures.overall.value - overall) < 4 * report.figures.overall.error


def test_any_chunking_gives_the_same_figures(mapped: xr.DataArray, truth: xr.DataArray) -> None:
    design = draw(mapped)
    given = labels(design, truth)
    provenance = truth.copy(data=np.where(truth == 8, 1, 2).astype(np.uint8))
    whole = oxr.assess(mapped, given, design=design, provenance=provenance)
    parts = oxr.assess(
        mapped.chunk(y=37, x=23), given, design=design, provenance=provenance.chunk(y=50)
    )
    assert parts.to_dict() == whole.to_dict()


def test_another_map_at_the_same_points_is_estimated_as_stehman_2014(
    mapped: xr.DataArray, truth: xr.DataArray
) -> None:
    design = draw(mapped)
    report = oxr.assess(truth.rename("other"), labels(design, truth), design=design)
    assert report.method == "Stehman 2014"
    assert "not the one that the points were drawn from" in report.notes[0]
    assert report.figures.overall.value == 1
    assert report.figures.overall.low < 1


def test_parts_of_the_map_are_described_apart(mapped: xr.DataArray, truth: xr.DataArray) -> None:
    origin = np.repeat(np.array([[1, 2]], np.uint8), COLS // 2, axis=1).repeat(ROWS, axis=0)
    provenance = georeference(origin, BOX, attrs={"legend": A_PROVENANCE})  # as a file says it
    known = truth.copy(data=np.where(origin == 1, truth, mapped))
    design = draw(known)
    report = oxr.assess(known, labels(design, truth), design=design, provenance=provenance)
    assert list(report.parts) == ["openstreetmap", "prediction"]
    first, second = report.parts.values()
    assert first.overall.value == 1
    assert second.overall.value < 0.95
    assert first.counted.sum() == pytest.approx(second.counted.sum()) == pytest.approx(KM2 / 2)
    together = (first.overall.value + second.overall.value) / 2
    assert report.figures.overall.value == pytest.approx(together, abs=0.05)
    assert first.counted[LEGEND.ids.index(12)] == 0


def test_what_no_point_tells_of_is_null_in_json(
    mapped: xr.DataArray, truth: xr.DataArray, tmp_path: Path
) -> None:
    """A part of the map without a point, and a class that no point is of, have no figures."""
    origin = np.ones((ROWS, COLS), np.uint8)
    design = draw(mapped)
    origin[~np.isin(np.arange(ROWS * COLS), _pixels(design)).reshape(ROWS, COLS)] = 2
    origin[origin == 1], origin[origin == 2] = 3, 1  # points lie on 3 alone
    provenance = georeference(origin, BOX)
    shares = np.stack([truth == 8, truth == 5, truth == 12, truth == 1]).astype(np.float32)
    names = ["forest", "arable", "water", "urban"]
    likely = georeference(shares, BOX, dims=("class", "y", "x"), coords={"class": names})
    how = {"provenance": provenance, "probabilities": likely}
    report = oxr.assess(mapped, labels(design, truth), design=design, **how)  # type: ignore[call-overload]

    def refuse(word: str) -> None:
        raise AssertionError(word)

    text = report.save(tmp_path / "report.json").read_text()
    tree = json.loads(text, parse_constant=refuse)  # NaN is none of JSON's words
    empty, seen = tree["parts"].values()
    assert empty["total"] == 0
    assert {share for row in empty["confusion"]["shares"] for share in row} == {None}
    assert seen["total"] == len(design.points)
    assert sum(map(sum, seen["confusion"]["shares"])) == pytest.approx(1)
    urban = next(c for c in tree["classes"] if c["slug"] == "urban")
    assert urban["assisted_by"]["points_ratio"] is None


def _pixels(design: SamplingDesign) -> np.ndarray:
    """Return the places of a design's points in the raveled map."""
    at = design.points.geometry
    col, row = ~BOX.affine * np.stack([at.x, at.y])
    return np.floor(row).astype(int) * COLS + np.floor(col).astype(int)


def test_probabilities_sharpen_areas(mapped: xr.DataArray, truth: xr.DataArray) -> None:
    rng = np.random.default_rng(2)
    share = np.clip((truth.to_numpy() == 8) * 0.8 + rng.normal(0.1, 0.05, truth.shape), 0, 1)
    scaled = np.round(share * 250).astype(np.uint8)[None]
    layer = georeference(scaled, BOX, dims=("class", "y", "x"), coords={"class": ["forest"]})
    design = draw(mapped)
    report = oxr.assess(
        mapped, labels(design, truth), design=design, probabilities=layer.chunk(y=50)
    )
    area, tuned, gain = report.figures.assisted[8]
    plain = report.figures.areas[LEGEND.ids.index(8)]
    assert 0.9 < tuned <= 1
    assert gain > 5
    assert gain == pytest.approx((plain.error / area.error) ** 2)
    assert abs(area.value - 0.6 * KM2) < 4 * area.error
    written = next(c for c in report.to_dict()["classes"] if c["id"] == 8)
    assert written["assisted_km2"]["value"] == pytest.approx(area.value, abs=1e-4)
    holed = layer.copy(data=np.where(scaled == scaled.max(), 255, scaled))
    with pytest.raises(InputError, match="pixels of the map have no probability"):
        oxr.assess(mapped, labels(design, truth), design=design, probabilities=holed)
    per_cent = layer.copy(data=scaled / np.float32(2.5))
    with pytest.raises(InputError, match="divide them by 100 if they are per cent"):
        oxr.assess(mapped, labels(design, truth), design=design, probabilities=per_cent)


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"scheme": "systematic"},
        {"scheme": "cluster", "cluster_pixels": 10, "per_cluster": 12},
        {"strata": True},
    ],
)
def test_ground_that_no_point_could_fall_on_is_refused(
    how: dict[str, object], mapped: xr.DataArray, truth: xr.DataArray
) -> None:
    part = mapped[:, :60]
    if how.get("strata"):
        how = {"strata": xr.ones_like(part).rename("strata")}
    design = draw(part, **how)
    given = labels(design, truth)
    with pytest.raises(
        InputError, match=r"map covers 1\.2 km², and the points were drawn from 0\.72"
    ):
        oxr.assess(mapped, given, design=design)
    assert oxr.assess(part, given, design=design).figures.points.sum() == len(given)


def test_a_map_of_less_ground_than_the_design_says_so(
    mapped: xr.DataArray, truth: xr.DataArray
) -> None:
    design = draw(mapped)
    part = mapped.where(mapped.x < float(mapped.x[80]), 0).astype(np.uint8)
    report = oxr.assess(part, labels(design, truth), design=design)
    assert any("covers 0.96 km² of the 1.2 km²" in note for note in report.notes)


@pytest.mark.parametrize("points", [60, 61, 70, 97, 400])
def test_areas_of_points_that_are_all_right_keep_an_interval(
    points: int, truth: xr.DataArray
) -> None:
    """Rounding leaves a variance of 1e-36, which is none."""
    design = draw(truth, n=points, min_per_stratum=15)
    figures = oxr.assess(truth, labels(design, truth), design=design).figures
    for class_id in (8, 5, 12):
        area = figures.areas[LEGEND.ids.index(class_id)]
        assert area.low < 0.99 * area.value
        assert area.high > 1.01 * area.value


def test_unsure_points_are_left_out_and_bound_the_accuracy(
    mapped: xr.DataArray, truth: xr.DataArray
) -> None:
    design = draw(mapped)
    given = labels(design, truth).astype({"class": object})
    given.loc[:39, "class"] = "unsure"
    given.loc[40:44, "class"] = None
    report = oxr.assess(mapped, given, design=design)
    assert report.left_out == {"unsure": 40, "unlabeled": 5, "off_map": 0}
    assert report.figures.points.sum() == 355
    assert report.bounds is not None
    low, high = report.bounds
    assert low < report.figures.overall.value < high
    assert high - low == pytest.approx(45 / 400, abs=0.06)
    assert "more than 5%" in report.notes[-1]
    assert f"were wrong: {low:.1%}; or right: {high:.1%}" in report._repr_html_()


def test_an_alternative_label_may_count_as_right(mapped: xr.DataArray, truth: xr.DataArray) -> None:
    design = draw(mapped)
    given = labels(design, truth).assign(alternative=design.points["map_class"])
    strict = oxr.assess(mapped, given, design=design)
    assert strict.figures.overall.value < 0.95
    assert strict.either is not None
    assert strict.either.value == 1
    loose = oxr.assess(mapped, given, design=design, labels="either")
    assert loose.figures.overall.value == 1


def test_bounds_count_the_labels_that_the_figures_count(
    mapped: xr.DataArray, truth: xr.DataArray
) -> None:
    design = draw(mapped)
    given = labels(design, truth).assign(alternative=design.points["map_class"])
    given = given.astype({"class": object})
    given.loc[0, "class"] = "?"
    loose = oxr.assess(mapped, given, design=design, labels="either")
    strict = oxr.assess(mapped, given, design=design)
    for report in (loose, strict):
        assert report.bounds is not None
        assert report.bounds[0] <= report.figures.overall.value <= report.bounds[1]
    assert loose.figures.overall.value == 1
    assert loose.bounds is not None
    assert 0.98 < loose.bounds[0] < loose.bounds[1] == 1


def test_rare_classes_that_strata_may_hold_unseen_are_named(truth: xr.DataArray) -> None:
    """A pond in the forest that no point meets, and water that the map shows."""
    classes = truth.copy(data=np.where(truth == 12, 5, truth).astype(np.uint8))
    classes[:30, 90:] = 12
    design = draw(classes, n=150)
    points = design.points.assign(**{"class": design.points["map_class"]})
    report = oxr.assess(classes, points[["id", "class"]], design=design)
    assert not any("may hold" in note for note in report.notes)  # without any spread all are wide
    at = np.flatnonzero(points["map_class"] == 12)[:10]
    points.loc[points.index[at], "class"] = 5
    report = oxr.assess(classes, points[["id", "class"]], design=design)
    [note] = [note for note in report.notes if "may hold" in note]
    forest = next(s for s in design.strata if s.name == "forest")
    room = (forest.pixels - forest.points) * (1 - 0.05 ** (1 / forest.points)) * 1e-4
    assert f"water {room:.3g} km²" in note
    assert "forest" not in note
    water = report.figures.areas[LEGEND.ids.index(12)]
    assert water.high < water.value + room


def test_strata_without_labels_are_refused(mapped: xr.DataArray, truth: xr.DataArray) -> None:
    design = draw(mapped)
    given = labels(design, truth)
    kept = given[(design.points["stratum_code"] != 12).to_numpy()]
    with pytest.raises(InputError, match="stratum water has 0 labeled points"):
        oxr.assess(mapped, kept, design=design)
    clusters = draw(mapped, scheme="cluster", cluster_pixels=15)
    given = labels(clusters, truth)
    first = clusters.points["cluster"].iloc[0]
    with pytest.raises(InputError, match="1 of 40 clusters have no labeled point"):
        oxr.assess(mapped, given[(clusters.points["cluster"] != first).to_numpy()], design=clusters)


def test_classes_that_a_grid_hits_once_share_a_post_stratum(
    mapped: xr.DataArray, truth: xr.DataArray
) -> None:
    classes = mapped.copy()
    classes[:3, :3] = 2
    design = draw(classes, scheme="systematic", seed=3)
    assert (design.points["map_class"] == 2).sum() < 2
    report = oxr.assess(classes, labels(design, truth), design=design)
    assert "industrial" in report.notes[1]
    assert sum(a.value for a in report.figures.areas) == pytest.approx(KM2)


def test_reports_are_written_as_json_and_page(
    tmp_path: Path, mapped: xr.DataArray, truth: xr.DataArray
) -> None:
    design = draw(mapped)
    write_design(design, tmp_path / "design")
    labels(design, truth).to_csv(tmp_path / "s.csv", index=False)
    sheet = pd.read_csv(tmp_path / "design/sheet_1.csv").drop(columns="class")
    sheet.merge(labels(design, truth)).to_csv(tmp_path / "filled.csv", index=False)
    report = oxr.assess(mapped, tmp_path / "filled.csv", design=tmp_path / "design")
    tree = json.loads(report.save(tmp_path / "r.json").read_text())
    assert tree["overall_accuracy"].keys() == {"value", "standard_error", "low", "high"}
    assert tree["method"] == "Olofsson et al. 2014"
    assert "Counted areas" in tree["explanation"]
    page = report.save(tmp_path / "r.html").read_text()
    assert page.startswith("<!doctype html>")
    assert "forest" in page
    assert "Olofsson" in str(report)
    assert "Olofsson" in repr(report)


def test_figures_without_a_design_say_so(mapped: xr.DataArray, truth: xr.DataArray) -> None:
    report = oxr.assess(mapped, truth)
    assert "without intervals" in report.to_dict()["caution"]
    assert "without intervals" in " ".join(str(report).split())


def in_other_words(raster: xr.DataArray, none: int) -> xr.DataArray:
    """Return a raster whose no data is another value, which it states."""
    return raster.copy(data=np.where(raster == 0, np.uint8(none), raster)).assign_attrs(nodata=none)


@pytest.mark.parametrize("chunks", [None, 37])
def test_no_data_is_what_map_and_parts_state(
    mapped: xr.DataArray, truth: xr.DataArray, chunks: int | None
) -> None:
    """A map with 255 for no data is drawn from, counted and assessed as one with 0."""
    classes = mapped.where(truth != 12, 0).astype(np.uint8)
    parts = truth.copy(data=np.where(truth == 8, 1, np.where(truth == 5, 2, 0)).astype(np.uint8))
    usual = draw(classes)
    given = labels(usual, truth)
    expected = oxr.assess(classes, given, design=usual, provenance=parts).to_dict()
    others = [in_other_words(raster, 255) for raster in (classes, parts)]
    if chunks is not None:
        others = [raster.chunk(chunks) for raster in others]
    design = draw(others[0])
    assert design.points.equals(usual.points)
    assert design.pixels == usual.pixels == int((classes > 0).sum())
    found = oxr.assess(others[0], given, design=design, provenance=others[1]).to_dict()
    assert found == expected
    assert set(found["parts"]) == {"truth 1", "truth 2"} or len(found["parts"]) == 2


def test_strata_that_state_no_data_have_none_there(mapped: xr.DataArray) -> None:
    strata = mapped.copy(data=np.where(mapped == 8, 1, 0).astype(np.uint8)).rename("relief")
    for raster in (strata, in_other_words(strata, 255)):
        with pytest.raises(InputError, match="the raster of strata has no value on"):
            draw(mapped, strata=raster)
