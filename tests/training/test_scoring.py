"""Held-out samples: which windows, logits of labeled pixels only, and what is refused."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from osm4eo_xr.errors import InputError
from osm4eo_xr.models.record import Normalization
from osm4eo_xr.networks import resnet
from osm4eo_xr.training.scoring import index_of, labeled_logits, windows_of
from osm4eo_xr.training.status import Totals, batch_origin
from osm4eo_xr.training.step.data_parallel import device_count, place_batch, place_state
from osm4eo_xr.training.step.inputs import normalized
from osm4eo_xr.training.step.task import Task, numbers_of
from osm4eo_xr.training.transfer import check_start, same_classes
from tests.cases.train_case import BANDS, CLASSES, TINY, small_legend, small_samples
from tests.models.test_model import tiny_model


@pytest.fixture(scope="module")
def samples() -> xr.Dataset:
    return small_samples(per_class=20).compute()


def task_of(**changes: Any) -> Task:
    settings = dataclasses.replace(TINY, **changes)
    net = settings.net(bands=4, classes=3)
    return Task(net, settings, CLASSES, (0.1,) * 4, (0.05,) * 4, (1.0,) * 3, 8, 10)


@given(st.lists(st.integers(0, 255), max_size=50))
def test_labels_become_positions_of_logits(labels: list[int]) -> None:
    found = index_of(np.array(labels, np.uint8), CLASSES)
    assert found.tolist() == [CLASSES.index(v) if v in CLASSES else -1 for v in labels]


@pytest.mark.parametrize("pixels", ["all", "center"])
@pytest.mark.parametrize("batch", [7, 16])
def test_logits_are_those_of_the_network_at_the_labeled_pixels(
    samples: xr.Dataset, pixels: str, batch: int
) -> None:
    task = task_of()
    variables = resnet.init(task.net, jax.random.key(0))
    windows = windows_of(samples, "test", bands=BANDS)
    parts = list(labeled_logits(task, variables, windows, batch, pixels=pixels))
    logits, truth, of = (np.concatenate(part) for part in zip(*parts, strict=True))
    test = samples.isel(sample=samples["split"].to_numpy() == 2)
    label = test["label"].to_numpy()
    if pixels == "center":
        middle = label.shape[1] // 2
        kept = np.zeros_like(label)
        kept[:, middle, middle] = label[:, middle, middle]
        label = kept
    image = normalized(task, *numbers_of(task)[:2], jnp.asarray(test["image"].to_numpy()))
    expected = np.asarray(resnet.apply_eval(task.net, variables, image))
    np.testing.assert_array_equal(truth, label[label > 0])
    held_out = np.flatnonzero(samples["split"].to_numpy() == 2)
    np.testing.assert_array_equal(of, held_out[np.nonzero(label)[0]])
    np.testing.assert_allclose(logits, expected[label > 0], atol=1e-4)


def test_bands_are_taken_in_the_order_of_the_model(samples: xr.Dataset) -> None:
    turned = windows_of(samples, "train", bands=("nir", "red", "green", "blue"))
    plain = windows_of(samples, "train", bands=BANDS)
    index = np.array([3, 0])
    np.testing.assert_array_equal(turned.read(index)[0][..., ::-1], plain.read(index)[0])


@pytest.mark.parametrize(
    ("split", "options", "message"),
    [
        ("holdout", {}, "split 'holdout' is unknown; give train, validation, test"),
        ("train", {"bands": ("red", "swir16")}, "no band 'swir16', only blue, green, red, nir"),
        ("train", {"window": 9}, "samples of 8 pixels do not hold windows of 9"),
        ("train", {"window": 8, "center": 1}, "do not hold windows of 8"),
    ],
)
def test_what_does_not_fit_is_refused(
    samples: xr.Dataset, split: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        windows_of(samples, split, **{"bands": BANDS, **options})


def test_an_empty_split_is_told(samples: xr.Dataset) -> None:
    training = samples.isel(sample=samples["split"].to_numpy() == 0)
    with pytest.raises(InputError, match="no sample in validation; draw with a share"):
        windows_of(training, "validation", bands=BANDS)


def test_sums_of_steps_become_means_per_pixel() -> None:
    totals = Totals()
    assert totals.means() == {"loss": 0.0, "accuracy": 0.0}
    totals.add({"loss": 6.0, "weight": 4.0, "correct": 3.0, "labeled": 8.0})
    totals.add({"loss": 2.0, "weight": 12.0, "correct": 5.0, "labeled": 8.0})
    assert totals.means() == {"loss": 0.5, "accuracy": 0.5}


def test_a_batch_is_named_by_its_largest_values(samples: xr.Dataset) -> None:
    loud = samples.copy(deep=True)
    loud["image"][5, 0, 0, 0], loud["image"][9, 3, 2, 1] = -70.0, 90.0
    told = batch_origin(loud, np.array([9, 2, 5]))
    assert told.startswith("its batch of 3 holds samples 9 (tile tile0, easting ")
    assert told.index("values up to 90)") < told.index("5 (tile") < told.index("values up to 70)")
    east = float(loud["easting"][9])
    assert f"easting {east:.0f}, northing {float(loud['northing'][9]):.0f}" in told
    assert "nan" not in batch_origin(samples, np.arange(samples.sizes["sample"]))


def test_batches_that_do_not_divide_go_to_each_device() -> None:
    x = np.arange(12.0, dtype=np.float32).reshape(3, 4)
    np.testing.assert_array_equal(place_batch(x), x)
    placed = place_state({"a": x, "b": {"c": np.int32(4)}})
    assert jax.tree.all(jax.tree.map(lambda leaf: leaf.is_fully_replicated, placed))
    assert device_count() == jax.local_device_count()


def test_a_start_must_be_of_the_same_network_and_unit() -> None:
    model = tiny_model()
    check_start(model, model.net, "reflectance")
    check_start(model, dataclasses.replace(model.net, classes=3, momentum=0.5), "reflectance")
    with pytest.raises(InputError, match="has depth 11, the settings say 20; give depth 11"):
        check_start(model, dataclasses.replace(model.net, depth=20), "reflectance")
    with pytest.raises(InputError, match="takes reflectance, the samples hold digital number"):
        check_start(model, model.net, "digital number")
    by_scene = tiny_model(normalization=Normalization(kind="scene range"))
    with pytest.raises(InputError, match="start from a model with fixed normalization"):
        check_start(by_scene, model.net, "reflectance")


def test_classes_are_the_same_by_id_and_by_name() -> None:
    model, legend = tiny_model(), small_legend()
    assert same_classes(model, model.legend)
    assert not same_classes(model, legend)
    renamed = tuple(dataclasses.replace(c, slug=f"{c.slug}x") for c in model.legend.classes)
    assert not same_classes(model, dataclasses.replace(model.legend, classes=renamed, rules=()))
