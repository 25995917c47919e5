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
from osm4eo_xr.networks.grouped_layers import members_of
from osm4eo_xr.networks.settings import NetSettings
from osm4eo_xr.training.settings import TrainSettings
from osm4eo_xr.training.step.gradient import gradient, kernel_gradient, parted
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


def _alone(net: NetSettings, variables: Any) -> list[dict[str, Any]]:
    return [
        {"params": params, "batch_stats": stats}
        for params, stats in zip(
            members_of(net, variables["params"]),
            members_of(net, variables["batch_stats"]),
            strict=True,
        )
    ]


@pytest.mark.parametrize("net", NETS.values(), ids=NETS)
def test_probabilities_are_the_mean_of_the_members(net: NetSettings) -> None:
    variables, x = random_variables(net), jnp.asarray(_images(net))
    single = replace(net, members=1)
    each = [np.asarray(resnet.apply_eval(single, own, x)) for own in _alone(net, variables)]
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
    first, second, _ = _alone(DENSE, resnet.init(DENSE, jax.random.key(0)))
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
    for k, own in enumerate(_alone(net, variables)):
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


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"members": 0}, "members is 0"),
        ({"members": 33}, "members is 33"),
        ({"members": 2, "network": "coupled"}, "members is 2"),
    ],
)
def test_what_cannot_be_is_refused(settings: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        TrainSettings(**settings)
