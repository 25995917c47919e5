"""Pixels of a run's maps, counted chunk by chunk, beside what numpy and pandas count."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import osm4eo_xr as oxr
from osm4eo_xr.country.counts import class_areas, count_pairs, tile_coverage
from osm4eo_xr.geometry.grid import georeference, target_geobox

LEGEND = oxr.default_legend()
ROWS, COLS = 40, 30
BOX = target_geobox((4_400_000, 2_700_000 - 10 * ROWS, 4_400_000 + 10 * COLS, 2_700_000))
SCENE = {"validity": "value 0"}


def raster(seed: int, values: list[int]) -> xr.DataArray:
    rng = np.random.default_rng(seed)
    return georeference(rng.choice(np.array(values, np.uint8), (ROWS, COLS)), BOX)


FINAL, LABELS = raster(0, [0, 5, 8, 12]), raster(1, [0, 5, 8, 12])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("counts")
    (folder / "classified").mkdir()
    for name, made in (
        ("final", FINAL),
        ("labels", LABELS),
        ("empty", FINAL * np.uint8(0)),
        ("classified/a", FINAL),
        ("classified/a_dissimilarity", FINAL.copy(data=index()).assign_attrs(nodata=255)),
    ):
        oxr.write_cog(made, folder / f"{name}.tif")
    return folder


def count(raster: xr.DataArray, class_id: int) -> int:
    return int((raster == class_id).sum())


def index() -> np.ndarray:
    """Return dissimilarities: up to 100 the model applies, 255 is no data."""
    found = np.random.default_rng(4).choice(np.array([0, 99, 100, 101, 200], np.uint8), BOX.shape)
    return np.where(FINAL == 0, 255, found).astype(np.uint8)


def a_run(
    folder: Path,
    *,
    final: str = "final",
    labels: Any = True,
    known: Any = None,
    applies: bool = False,
) -> Any:
    """Return as much of a run as is counted."""
    tile = SimpleNamespace(id="a")
    return SimpleNamespace(
        settings=SimpleNamespace(
            labels=labels or None, known=known, classify=SimpleNamespace(applicability=applies)
        ),
        legend=LEGEND,
        out=folder,
        tiles=[tile],
        final_map=folder / f"{final}.tif",
        product=lambda name: folder / f"{name}.tif",
        open_scene=lambda _tile: SimpleNamespace(attrs=SCENE),
        skipped_of=lambda _tile: sorted(folder.glob("skipped*.json")),
    )


@settings(max_examples=8)
@given(y=st.integers(6, ROWS), x=st.integers(6, COLS), own=st.integers(6, COLS))
def test_pairs_are_pandas_crosstab_for_any_chunks(y: int, x: int, own: int) -> None:
    found = count_pairs(LABELS.chunk(y=own, x=own), FINAL.chunk(y=y, x=x))
    expected = pd.crosstab(LABELS.to_numpy().ravel(), FINAL.to_numpy().ravel())
    assert found.shape == (256, 256)
    assert found.sum() == ROWS * COLS
    for row in expected.index:
        assert found[row, expected.columns].tolist() == expected.loc[row].tolist()


def test_pairs_of_the_greatest_values_do_not_overflow() -> None:
    most = (FINAL * np.uint8(0) + np.uint8(255)).chunk(7)
    found = count_pairs(most, most)
    assert found[255, 255] == found.sum() == ROWS * COLS


def test_areas_are_pixels_of_a_hundred_square_meters(folder: Path) -> None:
    rows = {row["class"]: row for row in class_areas(a_run(folder))}
    assert list(rows) == [c.slug for c in LEGEND.classes]
    land = int((FINAL > 0).sum())
    for slug, class_id in (("arable", 5), ("forest", 8), ("water", 12)):
        pixels = count(FINAL, class_id)
        row = rows[slug]
        assert (row["id"], row["pixels"]) == (class_id, pixels)
        assert row["km2"] == pytest.approx(pixels * 1e-4, abs=1e-9)
        assert row["share"] == pytest.approx(pixels / land, abs=1e-6)
        # Labels count wherever the map is, also where it has no class.
        assert row["labeled_km2"] == pytest.approx(count(LABELS, class_id) * 1e-4, abs=1e-9)
        assert "known_km2" not in row
    assert rows["urban"]["pixels"] == rows["urban"]["km2"] == rows["urban"]["share"] == 0
    assert sum(row["share"] for row in rows.values()) == pytest.approx(1, abs=1e-5)


def test_known_predicted_and_overruled_ground_add_up(folder: Path) -> None:
    rows = {row["class"]: row for row in class_areas(a_run(folder, known=object()))}
    water = rows["water"]
    mapped, said = FINAL == 12, LABELS
    assert water["known_km2"] == pytest.approx(int((mapped & (said == 12)).sum()) * 1e-4)
    assert water["predicted_km2"] == pytest.approx(int((mapped & (said == 0)).sum()) * 1e-4)
    others = mapped & (said != 12) & (said != 0)
    assert water["overruled_km2"] == pytest.approx(int(others.sum()) * 1e-4)


def test_without_labels_there_are_none_and_without_land_no_shares(folder: Path) -> None:
    rows = class_areas(a_run(folder, final="empty", labels=False))
    assert {(row["pixels"], row["km2"], row["share"]) for row in rows} == {(0, 0.0, 0.0)}
    assert not any("labeled_km2" in row for row in rows)


def test_tiles_say_what_has_no_class_and_where_the_model_does_not_apply(folder: Path) -> None:
    faults = [{"item": "x", "reason": "cut off"}]
    (folder / "skipped.json").write_text(json.dumps(faults))
    found = tile_coverage(a_run(folder, applies=True))["a"]
    assert found["validity"] == "value 0"
    assert found["skipped"] == faults
    assert found["no_data"] == pytest.approx(float((FINAL == 0).mean()), abs=1e-6)
    valid = index()[index() != 255]
    assert found["outside"] == pytest.approx((valid > 100).mean(), abs=1e-6)
    (folder / "skipped.json").unlink()
    assert tile_coverage(a_run(folder))["a"].keys() == {"validity", "no_data", "skipped"}
