"""Augmentation leaves classes as they are."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.ndimage import affine_transform

from osm4eo_xr.samples.label_weights import pack, unpack
from osm4eo_xr.training.step.augment import drop_bands, hide, jitter, mix, turn, warp

RNG = np.random.default_rng(0)
IMAGE = RNG.normal(0, 1, (200, 5, 5, 3)).astype(np.float32)
LABEL = RNG.integers(0, 200, (200, 5, 5)).astype(np.uint8)
KEY = jax.random.key(4)


def eight(x: np.ndarray) -> list[np.ndarray]:
    """Return numpy's turns and flips of one sample."""
    return [np.rot90(y, k) for y in (x, x[::-1]) for k in range(4)]


def test_samples_are_seen_in_all_eight_turns_and_labels_with_them() -> None:
    image, label = turn(jnp.asarray(IMAGE), jnp.asarray(LABEL), KEY)
    seen = []
    for k in range(len(IMAGE)):
        which = [np.array_equal(image[k], y) for y in eight(IMAGE[k])]
        assert sum(which) == 1
        assert np.array_equal(label[k], eight(LABEL[k])[which.index(True)])
        seen.append(which.index(True))
    assert np.bincount(seen, minlength=8).min() > 10


def test_labels_of_whole_windows_stay() -> None:
    _, label = turn(jnp.asarray(IMAGE), jnp.asarray(LABEL[:, 0, 0]), KEY)
    assert np.array_equal(label, LABEL[:, 0, 0])


@pytest.mark.parametrize(
    ("angle", "growth", "shape"),
    [(180.0, 0.0, (9, 9)), (0.0, 0.8, (9, 9)), (40.0, 0.25, (8, 8)), (90.0, 1.0, (6, 11))],
)
def test_warped_samples_are_those_of_scipy(
    angle: float, growth: float, shape: tuple[int, int]
) -> None:
    rng = np.random.default_rng(1)
    n = 60
    image = rng.normal(size=(n, *shape, 2)).astype(np.float32)
    label = rng.integers(0, 200, (n, *shape)).astype(np.uint8)
    weight = rng.integers(0, 256, label.shape).astype(np.uint8)
    packed = jnp.asarray(pack(label, weight))
    shown, found = jax.jit(warp, static_argnums=(3, 4))(
        jnp.asarray(image), packed, KEY, angle, growth
    )
    classes, weights = map(np.asarray, unpack(found))
    turns, sizes = np.asarray(
        jax.random.uniform(KEY, (2, n, 1, 1), minval=-1.0, maxval=1.0)
    ).reshape(2, n)
    degrees, factors = turns * angle, (1 + growth) ** sizes
    assert np.ptp(degrees) >= 1.8 * angle
    assert (factors.min() < 1 < factors.max()) or not growth
    middle = (np.array(shape) - 1) / 2
    for k in range(n):
        a = np.radians(degrees[k])
        matrix = np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]]) / factors[k]
        how = {"offset": middle - matrix @ middle, "mode": "mirror"}
        for band in range(2):
            expected = affine_transform(image[k, ..., band], matrix, order=1, **how)
            np.testing.assert_allclose(shown[k, ..., band], expected, atol=2e-5)
        both = [(classes[k], label[k]), (np.round(255 * weights[k]), weight[k])]
        for given, whole in both:
            nearest = affine_transform(whole, matrix, order=0, **how)
            assert np.mean(given == nearest) > 0.98  # halves may be rounded to either side


def test_a_warped_value_is_missing_where_one_around_it_is() -> None:
    image = np.ones((50, 12, 12, 2), np.float32)
    image[:, 5, 6, 0] = np.nan
    shown, _ = warp(jnp.asarray(image), jnp.zeros((50, 12, 12), jnp.uint8), KEY, 45.0, 0.2)
    missing = np.isnan(np.asarray(shown))
    assert not missing[..., 1].any()
    assert missing[..., 0].any(axis=(1, 2)).all()
    assert missing[..., 0].sum(axis=(1, 2)).max() <= 9
    assert np.allclose(np.asarray(shown)[~missing], 1.0)


def test_what_counts_nothing_may_be_missing() -> None:
    """Samples that are neither turned nor scaled come out as they were."""
    image = np.random.default_rng(0).normal(size=(9, 8, 8, 2)).astype(np.float32)
    image[:, 3, 4, 0] = image[:, 0, 7, 1] = np.nan
    label = np.arange(9 * 64, dtype=np.uint16).reshape(9, 8, 8)
    shown, kept = warp(jnp.asarray(image), jnp.asarray(label), KEY, 0.0, 0.0)
    np.testing.assert_array_equal(shown, image)
    np.testing.assert_array_equal(kept, label)


def test_jitter_is_one_gain_and_shift_per_sample_and_band() -> None:
    found = np.asarray(jitter(jnp.asarray(IMAGE), KEY, 0.1))
    gains = []
    for k in range(0, 200, 5):
        for band in range(3):
            x, y = IMAGE[k, ..., band].ravel(), found[k, ..., band].ravel()
            gain, shift = np.polyfit(x, y, 1)
            np.testing.assert_allclose(gain * x + shift, y, atol=1e-4)
            gains.append((gain - 1, shift))
    assert np.allclose(np.std(gains, axis=0), 0.1, atol=0.03)
    assert np.allclose(np.mean(gains, axis=0), 0.0, atol=0.03)


def test_dropped_bands_are_zero_as_often_as_asked() -> None:
    found = np.asarray(drop_bands(jnp.asarray(IMAGE), KEY, 0.3))
    gone = (found == 0).all(axis=(1, 2))
    assert abs(gone.mean() - 0.3) < 0.06
    kept = np.broadcast_to(~gone[:, None, None], found.shape)
    assert np.array_equal(found[kept], IMAGE[kept])


def test_hidden_pixels_have_neither_data_nor_label() -> None:
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.uniform(1, 2, (400, 16, 16, 3)).astype(np.float32))
    label = jnp.asarray(rng.integers(1, 9, (400, 16, 16)).astype(np.uint8))
    shown, labels = jax.jit(hide, static_argnums=3)(x, label, jax.random.key(0), 0.5)
    gone = (np.asarray(shown) == 0).any(axis=-1)
    np.testing.assert_array_equal(np.asarray(shown), np.where(gone[..., None], 0, x))
    np.testing.assert_array_equal(np.asarray(labels), np.where(gone, 0, label))
    some = gone.any(axis=(1, 2))
    assert 0.4 < some.mean() < 0.55  # an edge may miss the sample
    straight = (gone.all(axis=1).any(axis=1) | gone.all(axis=2).any(axis=1))[some]
    assert 0.1 < straight.mean() < 0.7
    assert not gone.all(axis=(1, 2)).any()
    _, centers = hide(x, label[:, 8, 8], jax.random.key(0), 0.5)
    np.testing.assert_array_equal(np.asarray(centers) == 0, gone[:, 8, 8])
    same, _ = hide(x, label, jax.random.key(1), 0.0)
    np.testing.assert_array_equal(same, x)


def test_mixed_samples_hold_a_square_of_the_sample_before_with_its_labels() -> None:
    n, edge = 300, 20
    image = RNG.normal(0, 1, (n, edge, edge, 2)).astype(np.float32)
    label = RNG.integers(0, 200, (n, edge, edge)).astype(np.uint8)
    x, found = (np.asarray(v) for v in mix(jnp.asarray(image), jnp.asarray(label), KEY, 0.7))
    other = (x != image).all(axis=-1)
    np.testing.assert_array_equal(x, np.where(other[..., None], np.roll(image, 1, 0), image))
    np.testing.assert_array_equal(found, np.where(other, np.roll(label, 1, 0), label))
    sizes = []
    for inside in other[other.any(axis=(1, 2))]:
        rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
        square = np.ix_(rows, columns)
        assert inside[square].all()
        assert inside.sum() == inside[square].size  # a single rectangle
        assert (np.ptp(rows) + 1, np.ptp(columns) + 1) == inside[square].shape
        assert abs(len(rows) - len(columns)) <= 1
        sizes.append(len(rows))
    assert 0.6 < len(sizes) / n < 0.8
    assert min(sizes) in (6, 7)  # a tenth of 400 pixels
    assert max(sizes) in (14, 15)  # a half


def test_samples_that_are_not_mixed_stay() -> None:
    for given, share in ((IMAGE, 0.0), (IMAGE[:1], 1.0)):
        x, label = mix(jnp.asarray(given), jnp.asarray(LABEL[: len(given)]), KEY, share)
        np.testing.assert_array_equal(x, given)
        np.testing.assert_array_equal(label, LABEL[: len(given)])
