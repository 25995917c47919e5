"""The network: shapes, footprint by gradients, equivariance, convolutions, settings."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from osm4eo_xr.errors import InputError
from osm4eo_xr.networks import resnet
from osm4eo_xr.networks.convolution import conv2d
from osm4eo_xr.networks.footprint import footprint_of
from osm4eo_xr.networks.settings import NetSettings

TINY = NetSettings(bands=3, classes=4, depth=11, width=4, decoder=6)


APPLY = jax.jit(resnet.apply_eval, static_argnums=0, static_argnames="dtype")
TRAIN = jax.jit(resnet.apply_train, static_argnums=0)


def images(*shape: int, seed: int = 0) -> jax.Array:
    """Normally distributed values."""
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape).astype(np.float32))


def random_variables(settings: NetSettings, seed: int = 0) -> dict:
    """Variables with no zero bias and no trivial statistics."""
    variables = resnet.init(settings, jax.random.key(seed))
    rng = np.random.default_rng(seed)

    def perturb(path: tuple, leaf: jax.Array) -> np.ndarray:
        if path[-1].key == "kernel":
            return np.asarray(leaf)
        low, high = (0.5, 1.5) if path[-1].key in ("scale", "var") else (-0.3, 0.3)
        return rng.uniform(low, high, leaf.shape).astype(np.float32)

    return jax.tree_util.tree_map_with_path(perturb, variables)


def test_window_network_has_the_original_number_of_parameters() -> None:
    settings = NetSettings(bands=4, classes=13, depth=29, mode="window")
    shapes = resnet.variable_shapes(settings)["params"]
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes)) == 1_841_053


def test_dense_gives_one_logit_vector_per_pixel() -> None:
    variables = resnet.init(TINY, jax.random.key(0))
    logits = APPLY(TINY, variables, images(2, 8, 12, 3))
    assert logits.shape == (2, 8, 12, 4)
    assert logits.dtype == jnp.float32


def test_train_mode_normalizes_by_the_batch_and_moves_the_statistics() -> None:
    variables = resnet.init(TINY, jax.random.key(0))
    x = 5.0 + 3.0 * images(4, 16, 16, 3)
    logits, stats = TRAIN(TINY, variables, x)
    again, _ = TRAIN(TINY, {**variables, "batch_stats": stats}, x)
    np.testing.assert_array_equal(logits, again)  # running statistics play no part
    for _ in range(120):
        variables["batch_stats"] = TRAIN(TINY, variables, x)[1]
    assert float(jnp.abs(APPLY(TINY, variables, x) - logits).max()) < 0.05


@pytest.mark.parametrize(
    "settings",
    [
        TINY,
        NetSettings(bands=2, classes=3, depth=20, width=4, decoder=5, kernel=3),
    ],
)
def test_footprint_is_what_gradients_reach(settings: NetSettings) -> None:
    footprint = footprint_of(settings)
    edge = 160
    cell = 80
    # Non-negative weights and inputs keep every path through the rectifiers open.
    variables = jax.tree.map(jnp.abs, random_variables(settings))
    variables["batch_stats"] = jax.tree.map(jnp.zeros_like, variables["batch_stats"])
    variables["batch_stats"] = jax.tree_util.tree_map_with_path(
        lambda p, a: a + (1.0 if p[-1].key == "var" else 0.0), variables["batch_stats"]
    )

    def cell_sum(x: jax.Array) -> jax.Array:
        logits = resnet.apply_eval(settings, variables, x)
        return logits[0, cell : cell + 4, cell : cell + 4].sum()

    gradient = jax.jit(jax.grad(cell_sum))(
        jnp.full((1, edge, edge, settings.bands), 0.1, jnp.float32)
    )
    for axis in (1, 2):
        others = tuple(a for a in range(4) if a != axis)
        reached = np.flatnonzero(np.asarray(jnp.abs(gradient).sum(axis=others)))
        assert (reached.min(), reached.max()) == (
            cell - footprint.before,
            cell + footprint.stride - 1 + footprint.after,
        )


def test_halo_is_enough_and_one_stride_less_is_not() -> None:
    variables = random_variables(TINY)
    halo = footprint_of(TINY).halo
    x = images(1, 96, 96, 3)
    whole = np.asarray(APPLY(TINY, variables, x))[:, 40:56, 40:56]

    def cropped(reach: int) -> np.ndarray:
        part = x[:, 40 - reach : 56 + reach, 40 - reach : 56 + reach]
        logits = APPLY(TINY, variables, part)
        return np.asarray(logits)[:, reach : reach + 16, reach : reach + 16]

    np.testing.assert_allclose(cropped(halo), whole, atol=1e-5)
    assert np.abs(cropped(halo - 8) - whole).max() > 1e-4


@pytest.mark.parametrize("edge", [3, 4, 9])
@pytest.mark.parametrize("width", [1, 3, 5])
def test_convolution_equals_its_definition(edge: int, width: int) -> None:
    x, kernel = images(2, edge, edge, 3), images(width, width, 3, 4, seed=1)
    bias = jnp.arange(4, dtype=jnp.float32)
    reach = width // 2
    padded = np.pad(np.asarray(x), ((0, 0), (reach, reach), (reach, reach), (0, 0)))
    expected = np.zeros((2, edge, edge, 4)) + np.asarray(bias)
    for row in range(width):
        for col in range(width):
            expected += padded[:, row : row + edge, col : col + edge] @ np.asarray(kernel)[row, col]
    np.testing.assert_allclose(conv2d(x, kernel, bias), expected, atol=1e-4)


def test_bfloat16_stays_close_and_logits_are_float32() -> None:
    variables = random_variables(TINY)
    x = images(1, 32, 32, 3)
    exact = APPLY(TINY, variables, x)
    short = APPLY(TINY, variables, x, dtype=jnp.bfloat16)
    assert short.dtype == jnp.float32
    assert float(jnp.abs(short - exact).mean() / jnp.abs(exact).mean()) < 0.05


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"depth": 30}, "depth 30 is not 9 n \\+ 2"),
        ({"depth": 2}, "depth 2 is not"),
        ({"mode": "both"}, "mode 'both' is unknown"),
        ({"window": 10}, "window 10 is not a multiple"),
        ({"kernel": 4}, "kernel 4 is not odd"),
        ({"bands": 0}, "bands is 0"),
        ({"momentum": 1.0}, "momentum 1.0 is outside"),
    ],
)
def test_wrong_settings_are_refused_by_name(change: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        NetSettings(**{"bands": 4, "classes": 12, **change})


@pytest.mark.parametrize(
    ("settings", "shape", "message"),
    [
        (TINY, (1, 8, 8, 4), "images have 4 bands, the network takes 3"),
        (TINY, (1, 10, 8, 3), "multiples of 4"),
        (NetSettings(bands=3, classes=4, depth=11, mode="window"), (1, 16, 16, 3), "12 x 12"),
    ],
)
def test_images_that_do_not_fit_are_refused(
    settings: NetSettings, shape: tuple[int, ...], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        resnet.apply_eval(settings, {}, images(*shape))
