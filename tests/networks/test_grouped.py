"""Networks with groups: folding, seams, and what a group does that is missing."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from osm4eo_xr.errors import InputError
from osm4eo_xr.feature_ids.ids import groups_of
from osm4eo_xr.networks import resnet
from osm4eo_xr.networks.bottlenecks import Norms
from osm4eo_xr.networks.fold_batch_norm import fold
from osm4eo_xr.networks.footprint import footprint_of
from osm4eo_xr.networks.grouped_layers import encoders_of, period_layers
from osm4eo_xr.networks.layers import arrays_at
from osm4eo_xr.networks.presence import soft_weights
from osm4eo_xr.networks.settings import NetSettings
from osm4eo_xr.networks.temporal import PeriodAttention, attend, day_sines, days_of_periods
from tests.networks.test_resnet import images, random_variables

FEATURES = ("s2:red@2024-04", "s2:red@2024-07", "dem:slope", "s2:nir@2024-04", "s2:nir@2024-07")
SHAPE: dict[str, Any] = {"bands": 5, "classes": 4, "depth": 11, "width": 4, "kernel": 3}
COUPLED = NetSettings(
    **SHAPE, decoder=4, network="coupled", groups=groups_of(FEATURES), shared=True
)
NETS = {
    "sum": COUPLED,
    "concatenation": dataclasses.replace(COUPLED, fusion="concatenation"),
    "attention": dataclasses.replace(COUPLED, fusion="attention"),
    "decision": dataclasses.replace(COUPLED, fusion="decision", shared=False),
    "temporal": dataclasses.replace(COUPLED, network="temporal"),
    "windows": dataclasses.replace(COUPLED, mode="window", window=8),
}
EVAL = jax.jit(resnet.apply_eval, static_argnums=0)


@pytest.fixture(scope="module", autouse=True)
def quick_compilation() -> Iterator[None]:
    """Have XLA compile fast rather than well: compiling is what these tests take their time for."""
    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", before)


def holed(*shape: int, seed: int = 0) -> jax.Array:
    """Images in which each channel has a hole, and one corner has nothing at all."""
    x = np.array(images(*shape, seed=seed))
    for channel in range(shape[-1]):
        x[:, channel : channel + 4, 2 * channel : 2 * channel + 5, channel] = np.nan
    x[:, -3:, -2:] = np.nan
    return jnp.asarray(x)


@pytest.mark.parametrize("name", NETS)
def test_folded_networks_give_the_same_logits(name: str) -> None:
    net = NETS[name]
    variables, x = random_variables(net, seed=1), holed(2, 8, 8, 5)
    found = np.asarray(resnet.apply_folded(net, fold(net, variables), x))
    expected = np.asarray(resnet.apply_eval(net, variables, x))
    assert expected.shape == ((2, 4) if net.mode == "window" else (2, 8, 8, 4))
    np.testing.assert_allclose(found, expected, atol=2e-5 * float(np.abs(expected).max()))


def test_a_part_with_its_halo_equals_the_whole() -> None:
    net = NETS["attention"]
    variables, halo = random_variables(net), footprint_of(net).halo
    x = np.array(images(1, 72, 72, 5))
    gone = np.random.default_rng(1).random((1, 18, 18, 5)) < 0.3
    x[gone.repeat(4, 1).repeat(4, 2)] = np.nan
    part = x[:, 28 - halo : 36 + halo, 28 - halo : 36 + halo]
    whole = np.asarray(EVAL(net, variables, jnp.asarray(x)))[:, 28:36, 28:36]
    found = np.asarray(EVAL(net, variables, jnp.asarray(part)))[:, halo:-halo, halo:-halo]
    np.testing.assert_allclose(found, whole, atol=1e-5 * float(np.abs(whole).max()))


def test_a_missing_group_is_as_if_the_network_had_none() -> None:
    net, x = NETS["sum"], np.array(images(2, 8, 8, 5))
    x[..., 2] = np.nan  # the slope, group 2
    variables = random_variables(net)
    assert [group.name for group in net.groups] == ["s2@2024-04", "s2@2024-07", "dem"]
    less = dataclasses.replace(net, bands=4, groups=groups_of(FEATURES[:2] + FEATURES[3:]))

    def kept(tree: Any) -> dict[str, Any]:
        return {k: v for k, v in tree.items() if k != "branch1" and "_2" not in k}

    without = {kind: kept(variables[kind]) for kind in ("params", "batch_stats")}
    found = resnet.apply_eval(net, variables, jnp.asarray(x))
    expected = resnet.apply_eval(less, without, jnp.asarray(x[..., [0, 1, 3, 4]]))
    np.testing.assert_allclose(found, expected, atol=1e-5 * float(jnp.abs(expected).max()))


def test_a_group_counts_where_it_is_and_periods_are_told_apart() -> None:
    net, variables = NETS["sum"], random_variables(NETS["sum"])
    x = np.array(images(2, 8, 8, 5))
    x[:, 4, 4, 2] = np.nan
    other = x.copy()
    other[0, 4, 5, 2] += 1.0  # beside the missing pixel
    swapped = x[..., [1, 0, 2, 4, 3]]  # July for April
    logits, changed, turned = (
        np.asarray(resnet.apply_eval(net, variables, jnp.asarray(v))) for v in (x, other, swapped)
    )
    assert np.abs(logits - changed)[0, 4, 5].max() > 1e-4
    assert np.abs(logits - turned).max() > 1e-2  # though both have one encoder
    assert [len(groups) for groups in encoders_of(net)] == [2, 1]
    assert [len(g) for g in encoders_of(dataclasses.replace(net, shared=False))] == [1, 1, 1]


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_gradients_are_finite_whatever_is_missing(share: float) -> None:
    rng = np.random.default_rng(0)
    score = jnp.asarray(rng.normal(0, 60, (4, 3)).astype(np.float32))
    there = jnp.asarray([[share] * 3, [share, 0.5, 0.0], [1.0, 0.0, 0.0], [0.0] * 3], jnp.float32)
    slope = jax.grad(lambda s: (soft_weights(s, there) * score).sum())(score)
    assert np.isfinite(slope).all()
    assert (np.asarray(slope)[3] == 0).all()


def test_attention_is_that_of_plain_loops() -> None:
    rng, (t, n, rows, cols, h, k, d) = np.random.default_rng(0), (3, 2, 2, 3, 4, 8, 2)
    values = rng.normal(size=(t, n, rows, cols, h * d)).astype(np.float32)
    keys = rng.normal(size=(t, n, rows, cols, h, k)).astype(np.float32)
    query = rng.normal(size=(k, h)).astype(np.float32)
    there = rng.random((n, rows, cols, t)) < 0.6
    there[0, 0, 0] = False
    expected = np.zeros((n, rows, cols, h * d))
    for i, y, x, head in np.ndindex(n, rows, cols, h):
        known = np.flatnonzero(there[i, y, x])
        score = np.array([query[:, head] @ keys[p, i, y, x, head] for p in known]) / np.sqrt(k)
        weight = np.exp(score) / np.exp(score).sum()
        for w, p in zip(weight, known, strict=True):
            part = slice(head * d, (head + 1) * d)
            expected[i, y, x, part] += w * values[p, i, y, x, part]
    found = attend(*map(jnp.asarray, (values, keys, query, there)))
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_attention_learns_whatever_is_missing() -> None:
    (layers,) = period_layers(NETS["temporal"])
    module, x = PeriodAttention(layers, Norms("train", 0.9)), holed(1, 8, 8, 5)
    variables = module.init(jax.random.key(0), x)

    def total(params: Any) -> jax.Array:
        given = {**variables, "params": params}
        seen = module.apply(given, x.at[:, 0].set(jnp.nan), mutable=["batch_stats"])[0]
        return (seen**2).sum()

    slopes = jax.jit(jax.grad(total))(variables["params"])
    assert all(np.isfinite(slope).all() for slope in jax.tree.leaves(slopes))
    assert float(np.abs(slopes["query"]["kernel"]).max()) > 0


def test_days_are_told_by_the_sines_of_the_paper() -> None:
    periods = groups_of(FEATURES)[:2]
    assert days_of_periods(periods) == [0.0, 92.0]  # 15 April and 16 July, counted from the first
    assert days_of_periods(groups_of(["s1:vv@wet", "s1:vv@dry"])) == [0.0, 30.0]
    found = day_sines([0.0, 91.0], 16)
    for row, day in enumerate((0.0, 91.0)):
        for i in range(4):  # a head has four channels
            angle = day / 1000 ** (2 * (i // 2) / 4) + np.pi / 2 * (i % 2)
            np.testing.assert_allclose(found[row, i::4], np.sin(angle), atol=1e-6)


def test_weights_count_shares_and_leave_out_what_is_missing() -> None:
    score = jnp.array([[0.0, 0.0, 50.0], [1.0, 3.0, 2.0], [0.0, 0.0, 0.0]])
    share = jnp.array([[1.0, 0.5, 0.0], [1.0, 1.0, 1.0], [0.0, 0.0, 0.0]])
    found = soft_weights(score, share)
    np.testing.assert_allclose(found[0], [2 / 3, 1 / 3, 0], atol=1e-6)
    np.testing.assert_allclose(found[1], jax.nn.softmax(score[1]), atol=1e-6)
    np.testing.assert_array_equal(found[2], 0)


def test_variables_begin_as_those_of_plain_networks() -> None:
    variables = resnet.init(NETS["temporal"], jax.random.key(0))
    assert float(np.abs(arrays_at(variables["params"], ("source0", "query"))["kernel"]).sum()) > 0
    assert "spatial" in variables["params"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"network": "coupled", "groups": ()}, "the groups have channels \\[\\]"),
        ({"network": "coupled", "groups": groups_of(FEATURES[:4])}, "each of the 5 channels"),
        ({"network": "coupled", "groups": groups_of(FEATURES), "fusion": "max"}, "fusion 'max'"),
        ({"groups": groups_of(FEATURES)}, "network 'resnet' takes no groups"),
        (
            {"network": "coupled", "groups": groups_of(FEATURES), "shared": True}
            | {"fusion": "decision"},
            "cannot tell the periods of a source apart",
        ),
        ({"network": "lstm"}, "network 'lstm' is unknown"),
        (
            {"network": "temporal", "bands": 2, "groups": groups_of(["dem:a", "s1:vv"])},
            "no source with two periods",
        ),
    ],
)
def test_wrong_groups_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        NetSettings(**{**SHAPE, **change})
