"""The coupled network: its encoders are plain networks, its parts sum up as the paper says."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from osm4eo_xr.feature_ids.ids import groups_of
from osm4eo_xr.networks import resnet
from osm4eo_xr.networks.bottlenecks import SEEN, ResNet
from osm4eo_xr.networks.coupled import Coupled
from osm4eo_xr.networks.grouped_layers import parts_of
from osm4eo_xr.networks.settings import NetSettings
from tests.networks.test_resnet import images, random_variables

GROUPS = groups_of(("s2:red", "s2:nir", "s1:vv", "dem:slope"))
CHANNELS = ((0, 1), (2,), (3,))
NET = NetSettings(
    bands=4, classes=3, depth=11, width=4, kernel=3, decoder=4, network="coupled", groups=GROUPS
)
DECISION = dataclasses.replace(NET, fusion="decision")


def seen(net: NetSettings, variables: dict[str, Any], x: np.ndarray) -> tuple[np.ndarray, Any]:
    """Return the logits, and what the network sows beside them."""
    logits, state = Coupled(net).apply(variables, jnp.asarray(x), mutable=[SEEN])
    return np.asarray(logits), state[SEEN]


def alone(net: NetSettings, variables: dict[str, Any], x: np.ndarray, group: int) -> np.ndarray:
    """Return the logits of a plain network with the variables of a group's encoder."""
    name, part = list(parts_of(net))[group]
    own = {kind: variables[kind][name] for kind in ("params", "batch_stats")}
    return np.asarray(ResNet(part).apply(own, jnp.asarray(x[..., CHANNELS[group]])))


@pytest.mark.parametrize("net", [NET, DECISION], ids=["sum", "decision"])
def test_each_branch_is_the_plain_network_of_its_channels(net: NetSettings) -> None:
    variables, x = random_variables(net), np.asarray(images(2, 8, 8, 4))
    _, found = seen(net, variables, x)
    branches = np.asarray(found["branches"][0])
    assert branches.shape == (3, 2, 8, 8, 3)
    for group, logits in enumerate(branches):
        np.testing.assert_allclose(logits, alone(net, variables, x, group), atol=1e-5)


def test_decisions_are_the_mean_of_the_groups_that_are_there() -> None:
    variables, x = random_variables(DECISION, seed=1), np.array(images(1, 8, 8, 4, seed=1))
    own = [alone(DECISION, variables, x, group) for group in range(3)]
    # Far from it an encoder sees a hole in its own group; this one is the last of its row.
    x[0, 7, 7, 3] = np.nan
    own[2] = alone(DECISION, variables, np.nan_to_num(x, nan=0.0), 2)
    found, _ = seen(DECISION, variables, x)
    expected = np.mean(own, axis=0)
    expected[0, 7, 7] = (own[0] + own[1])[0, 7, 7] / 2
    np.testing.assert_allclose(found, expected, atol=1e-5)
    # The mean of logits is the normalized geometric mean of probabilities.
    product = np.prod([np.exp(o) / np.exp(o).sum(-1, keepdims=True) for o in own], axis=0)
    mean = product ** (1 / 3)
    share = np.exp(found) / np.exp(found).sum(-1, keepdims=True)
    np.testing.assert_allclose(
        share[0, 0, 0], (mean / mean.sum(-1, keepdims=True))[0, 0, 0], rtol=1e-4
    )


def test_where_nothing_is_there_logits_are_those_of_no_features() -> None:
    variables, x = random_variables(DECISION), np.full((1, 8, 8, 4), np.nan, np.float32)
    found, _ = seen(DECISION, variables, x)
    np.testing.assert_array_equal(found, np.zeros((1, 8, 8, 3)))


@pytest.mark.parametrize("fusion", ["sum", "concatenation", "attention"])
def test_what_a_missing_group_holds_elsewhere_counts_and_its_number_does_not(fusion: Any) -> None:
    net = dataclasses.replace(NET, fusion=fusion)
    variables, x = random_variables(net), np.array(images(1, 8, 8, 4))
    x[0, 2, 2, 0] = np.nan  # red alone: nir of that pixel is no longer seen either
    first, _ = seen(net, variables, x)
    x[0, 2, 2, 1] = 50.0
    second, _ = seen(net, variables, x)
    np.testing.assert_array_equal(first, second)
    x[0, 2, 3, 1] += 1.0
    third, _ = seen(net, variables, x)
    assert np.abs(third - first).max() > 1e-4


def test_training_returns_the_same_branches_as_the_parts_under_the_batch() -> None:
    variables, x = random_variables(NET), images(2, 8, 8, 4)
    logits, branches, stats = resnet.apply_train_with_branches(NET, variables, x)
    plain, same = resnet.apply_train(NET, variables, x)
    np.testing.assert_array_equal(logits, plain)
    for found, expected in zip(jax.tree.leaves(stats), jax.tree.leaves(same), strict=True):
        np.testing.assert_array_equal(found, expected)
    name, part = list(parts_of(NET))[1]
    own: Any = {kind: variables[kind][name] for kind in ("params", "batch_stats")}
    expected, _ = resnet.apply_train(part, own, x[..., 2:3])
    np.testing.assert_allclose(branches[1], expected, atol=1e-5)
