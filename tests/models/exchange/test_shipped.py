"""The models that the package ships: whole, small, and as good as their cards say."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

import osm4eo_xr as oxr
from osm4eo_xr.demo import demo_osm_path, demo_scene_paths
from osm4eo_xr.models.exchange.card import card_of
from osm4eo_xr.models.exchange.listing import SHIPPED
from osm4eo_xr.samples.spatial_split import SPLITS
from osm4eo_xr.training.fit import DEMO_SETTINGS
from tests.benchmarks.eurosat import read_zip

NAME, EUROSAT = "demo-havelland", "eurosat-rgb"


@pytest.fixture
def pulled(tmp_path: Path) -> oxr.Model:
    return oxr.load_model(oxr.pull_model(NAME, tmp_path / "model"))


def test_the_demos_was_made_by_the_demo_of_today(pulled: oxr.Model) -> None:
    digests = {entry.name: entry.digest for entry in oxr.read_model_catalog()}
    assert digests.keys() == {NAME, EUROSAT}
    assert digests[NAME] == pulled.digest
    assert pulled.net == DEMO_SETTINGS.net(bands=10, classes=12)
    assert oxr.TrainSettings(**pulled.training["settings"]) == DEMO_SETTINGS
    assert sum(file.stat().st_size for file in SHIPPED.rglob("*") if file.is_file()) < 6_000_000


def test_it_agrees_with_openstreetmap_where_it_learned(pulled: oxr.Model) -> None:
    scene = oxr.open_scene(demo_scene_paths(), chunks=512)[:, 200:600, 400:900]
    labels = oxr.rasterize_labels(oxr.read_landuse(demo_osm_path()), scene)
    given, found = labels.values, oxr.classify(scene, pulled).values
    known = (given > 0) & (found > 0)
    assert known.sum() > 20_000
    assert np.mean(given[known] == found[known]) > 0.65  # it learned nine epochs, and not by heart


def test_their_cards_say_what_cards_of_today_say() -> None:
    for name in (NAME, EUROSAT):
        item = json.loads((SHIPPED / name / f"{name}.json").read_text())
        listed = item["assets"].pop("card")
        card = (SHIPPED / name / "MODEL_CARD.md").read_bytes()
        assert card.decode() == card_of(item)
        checksum = f"1220{hashlib.sha256(card).hexdigest()}"
        assert (listed["file:size"], listed["file:checksum"]) == (len(card), checksum)


def test_eurosats_knows_the_patches_that_were_kept_from_it(data_dir: Path, tmp_path: Path) -> None:
    model = oxr.load_model(oxr.pull_model(EUROSAT, tmp_path / "model"))
    accuracy = {entry.name: entry.accuracy for entry in oxr.read_model_catalog()}[EUROSAT]
    assert accuracy is not None
    images, names = read_zip(data_dir / "eurosat" / "val.zip", model.net.window)
    known = {c.name: c.id for c in model.legend.classes}
    ids = np.array([known[name] for name in names], np.uint8)
    split = np.full(len(ids), SPLITS.index("test"), np.uint8)
    samples = oxr.patch_samples(
        images, ids, split, bands=model.bands, legend=model.legend, units="digital number"
    )
    found = oxr.evaluate(model, samples, "test").overall_accuracy
    assert found == pytest.approx(accuracy.value, abs=0.002)  # another processor, near ties


def test_a_name_that_is_not_shipped_wants_a_catalog(tmp_path: Path) -> None:
    with pytest.raises(oxr.InputError, match=r"no model 'landuse-DE'.*catalog"):
        oxr.pull_model("landuse-DE", tmp_path / "model")
    assert list(tmp_path.iterdir()) == []
