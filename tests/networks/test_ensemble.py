"""Members side by side: the mean of what each says alone, and each learns as if it were alone."""

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import softmax

from osm4eo_xr.errors import InputError
from osm4eo_xr.networks import resnet
from osm4eo_xr.networks.fold_batch_norm import fold
from osm4eo_xr.networks.footprint import footprint_of
from osm4eo_xr.networks.grouped_layers import members_of, models_of
from osm4eo_xr.networks.settings import NetSettings
from osm4eo_xr.training.settings import TrainSettings
from osm4eo_xr.training.step.gradient import gradient, kernel_gradient, parted
from osm4eo_xr.training.step.optimizer import optimizer, rate_schedule
from osm4eo_xr.training.step.task import Task, numbers_of
from tests.networks.test_resnet import random_variables

DENSE = NetSettings(bands=3, classes=4, depth=11, width=4, kernel=3, decoder=5, members=3)
NETS = {
    "dense": DENSE,
    "window": replace(DENSE, mode="window", members=2),
    "eleven": replace(DENSE, members=11),  # member10 comes before member2 where names are sorted
}


def _images(net: NetSettings, samples: int = 2) -> np.ndarray:
    shape = samples, net.window, net.window, net.bands
    return np.random.default_rng(1).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("net", NETS.values(), ids=NETS)
def test_probabilities_are_the_mean_of_the_members(net: NetSettings) -> None:
    variables, x = random_variables(net), jnp.asarray(_images(net))
    single = replace(net, members=1)
    each = [np.asarray(resnet.apply_eval(single, own, x)) for own in models_of(net, variables)]
    assert len(each) == net.members
    assert np.abs(each[0] - each[1]).max() > 0.1
    wanted = np.log(np.mean([softmax(logits, axis=-1) for logits in each], axis=0))
    folded = fold(net, variables)
    for found in (resnet.apply_eval(net, variables, x), resnet.apply_folded(net, folded, x)):
        assert found.dtype == jnp.float32
        np.testing.assert_allclose(found, wanted, atol=2e-4)
    logits, seen = resnet.apply_with_features(net, folded, x)
    np.testing.assert_allclose(logits, wanted, atol=2e-4)
    for own, part in zip(members_of(net, folded), np.split(seen, net.members, -1), strict=True):
        _, alone = resnet.apply_with_features(single, own, x)
        np.testing.assert_allclose(part, alone, atol=1e-4)


def test_members_see_as_far_as_one_and_begin_apart() -> None:
    assert footprint_of(DENSE) == footprint_of(replace(DENSE, members=1))
    first, second, _ = models_of(DENSE, resnet.init(DENSE, jax.random.key(0)))
    kernels = (own["params"]["stem"]["kernel"] for own in (first, second))
    assert np.abs(np.subtract(*kernels)).max() > 0.1


@pytest.mark.parametrize("name", ["dense", "eleven"])
def test_each_member_learns_as_if_it_were_alone(name: str) -> None:
    net = NETS[name]
    variables = jax.tree.map(np.asarray, random_variables(net))
    x, rng = _images(net), np.random.default_rng(2)
    label = jnp.asarray(rng.integers(0, 5, x.shape[:3]).astype(np.uint8))
    settings = TrainSettings(label_smoothing=0.1, members=net.members)
    task = Task(net, settings, (1, 2, 3, 4), (0.0,) * 3, (1.0,) * 3, (1.0, 2.0, 1.0, 0.5))
    numbers = numbers_of(task)
    single = replace(task, net=replace(net, members=1))
    found, stats, sums = gradient(
        task.form, numbers, variables["params"], variables["batch_stats"], jnp.asarray(x), label
    )
    losses = []
    for k, own in enumerate(models_of(net, variables)):
        wanted, own_stats, own_sums = gradient(
            single.form, numbers, own["params"], own["batch_stats"], jnp.asarray(x), label
        )
        losses.append(own_sums["loss"])
        _assert_close(found[f"member{k}"], wanted)
        _assert_close(stats[f"member{k}"], own_stats)
    np.testing.assert_allclose(sums["loss"], np.mean(losses), rtol=1e-5)
    given: Any = (numbers, variables["params"], variables["batch_stats"], jnp.asarray(x), label)
    vector, kernel_stats, kernel_sums = kernel_gradient(task.form)(*given)
    _assert_close(parted(jnp.asarray(vector), variables["params"]), found)
    _assert_close(kernel_stats, stats)
    for key, value in sums.items():
        np.testing.assert_allclose(kernel_sums[key], value, rtol=1e-4)


def _assert_close(found: Any, wanted: Any) -> None:
    known, ours = (dict(jax.tree_util.tree_leaves_with_path(tree)) for tree in (wanted, found))
    assert known.keys() == ours.keys()
    whole = np.sqrt(sum((np.asarray(leaf) ** 2).sum() for leaf in known.values()))
    for path, leaf in known.items():
        apart = np.linalg.norm(np.asarray(ours[path]) - leaf)
        assert apart <= 1e-2 * max(np.linalg.norm(leaf), 1e-3 * whole), path


@pytest.mark.parametrize("name", ["dense", "eleven"])
def test_a_member_whose_gradient_is_long_shortens_no_other(name: str) -> None:
    """Two steps of the optimizer: each member moves as it would alone."""
    net = NETS[name]
    params = jax.tree.map(jnp.asarray, resnet.init(net, jax.random.key(0))["params"])
    rng = np.random.default_rng(0)
    grads = {
        member: jax.tree.map(
            lambda leaf, s=10.0**-k: jnp.asarray(s * rng.normal(size=leaf.shape), "f4"), own
        )
        for k, (member, own) in enumerate(params.items())
    }
    several, alone = (TrainSettings(clip=0.5, members=m) for m in (net.members, 1))
    rate = rate_schedule(several, 10)

    def moved(settings: TrainSettings, params: Any, grads: Any) -> Any:
        rule = optimizer(settings, rate)
        state = rule.init(params)
        with jax.numpy_dtype_promotion("standard"):
            for scale in (1.0, 3.0):  # Adam's first step is blind to lengths
                longer = jax.tree.map(lambda g, s=scale: g * s, grads)
                updates, state = rule.update(longer, state, params)
        return updates

    together = moved(several, params, grads)
    for member, own in params.items():
        wanted = moved(alone, own, grads[member])
        for one, other in zip(*map(jax.tree.leaves, (together[member], wanted)), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-12)


@pytest.mark.parametrize("members", [0, 33])
def test_so_many_members_are_refused(members: int) -> None:
    with pytest.raises(InputError, match=f"members is {members}"):
        TrainSettings(members=members)


def test_networks_with_groups_have_no_members() -> None:
    """Settings for plain networks say nothing of others, as a preset names them."""
    settings = TrainSettings.preset("small", network="coupled")
    net = settings.net(bands=2, classes=3, features=("s2:red@1", "s2:red@2"))
    assert net.members == 1
    with pytest.raises(InputError, match="members is 2 and network 'coupled'"):
        replace(net, members=2)
