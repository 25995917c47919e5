"""Folded parameters give the logits of the network with batch normalization."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from osm4eo_xr.networks import resnet
from osm4eo_xr.networks.fold_batch_norm import fold
from osm4eo_xr.networks.settings import NetSettings
from tests.networks.test_resnet import images, random_variables

NETS = {
    "dense": NetSettings(bands=3, classes=5, depth=11, width=4, decoder=6),
    "deep": NetSettings(bands=2, classes=3, depth=29, width=4, kernel=3, decoder=5),
    "window": NetSettings(bands=3, classes=5, depth=20, width=4, mode="window"),
}


@pytest.mark.parametrize("name", NETS)
def test_logits_stay(name: str) -> None:
    net = NETS[name]
    variables = random_variables(net, seed=3)
    x = images(2, 12, 12, net.bands)
    expected = resnet.apply_eval(net, variables, x)
    found = resnet.apply_folded(net, fold(net, variables), x)
    scale = float(jnp.abs(expected).max())
    np.testing.assert_allclose(found, expected, atol=1e-5 * scale)


def test_nothing_is_left_to_normalize_after_a_convolution() -> None:
    variables = random_variables(NETS["dense"])
    leaves = jax.tree_util.tree_leaves_with_path(fold(NETS["dense"], variables))
    assert all(leaf.dtype == np.float32 for _, leaf in leaves)
    assert not any("mean" in str(path) or "var" in str(path) for path, _ in leaves)
    assert not any("stem_norm" in str(path) for path, _ in leaves)
    count = sum(leaf.size for leaf in jax.tree.leaves(variables))
    assert sum(leaf.size for _, leaf in leaves) < count


def test_the_variables_stay_as_they_were() -> None:
    variables = random_variables(NETS["dense"])
    before = jax.tree.map(np.copy, variables)
    fold(NETS["dense"], variables)
    assert jax.tree.all(jax.tree.map(np.array_equal, variables, before))
