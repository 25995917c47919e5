"""Layers, losses and optimizers beside PyTorch's; skipped where PyTorch is not installed."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from osm4eo_xr.networks import resnet
from osm4eo_xr.networks.convolution import conv2d
from osm4eo_xr.networks.settings import NetSettings
from osm4eo_xr.training.settings import TrainSettings
from osm4eo_xr.training.step.losses import cross_entropy
from osm4eo_xr.training.step.optimizer import optimizer, rate_schedule
from tests.networks.test_resnet import random_variables

torch: Any = pytest.importorskip("torch")

RNG = np.random.default_rng(0)


def channels_first(x: Any) -> Any:
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(np.asarray(x), -1, 1)))


def channels_last(x: Any) -> np.ndarray:
    return np.moveaxis(x.detach().numpy(), 1, -1)


@pytest.mark.parametrize("edge", [2, 4, 7, 12])
@pytest.mark.parametrize(("width", "stride"), [(1, 1), (1, 2), (3, 1), (5, 1)])
def test_convolutions_are_those_of_torch(edge: int, width: int, stride: int) -> None:
    x = RNG.normal(size=(2, edge, edge + 1, 3)).astype(np.float32)
    kernel = RNG.normal(size=(width, width, 3, 5)).astype(np.float32)
    bias = RNG.normal(size=5).astype(np.float32)
    weight = torch.from_numpy(kernel.transpose(3, 2, 0, 1).copy())
    expected = torch.nn.functional.conv2d(
        channels_first(x), weight, torch.from_numpy(bias), stride=stride, padding=width // 2
    )
    found = conv2d(jnp.asarray(x), kernel, bias, stride=stride)
    np.testing.assert_allclose(found, channels_last(expected), atol=1e-4)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy_and_its_gradient_are_those_of_torch(smoothing: float) -> None:
    logits = RNG.normal(0, 3, (50, 6)).astype(np.float32)
    index = RNG.integers(0, 6, 50).astype(np.int32)
    known = RNG.random(50) < 0.7
    theirs = torch.tensor(logits, requires_grad=True)
    ignored = torch.from_numpy(np.where(known, index, -100).astype(np.int64))
    expected = torch.nn.functional.cross_entropy(
        theirs, ignored, label_smoothing=smoothing, reduction="none"
    )
    expected.sum().backward()

    def total(x: jax.Array) -> jax.Array:
        return cross_entropy(
            x, jnp.asarray(index), where=jnp.asarray(known), smoothing=smoothing
        ).sum()

    found = cross_entropy(
        jnp.asarray(logits), jnp.asarray(index), where=jnp.asarray(known), smoothing=smoothing
    )
    np.testing.assert_allclose(found, expected.detach().numpy(), atol=1e-5)
    slope = jax.grad(total)(jnp.asarray(logits))
    np.testing.assert_allclose(slope, theirs.grad.numpy(), atol=1e-6)


@pytest.mark.parametrize("decay", [0.0, 0.01])
def test_adamw_takes_the_steps_of_torch(decay: float) -> None:
    settings = TrainSettings(
        learning_rate=0.02, weight_decay=decay, warmup=0.0, clip=0.0, optimizer="adamw"
    )
    steps, start = 12, RNG.normal(size=(3, 4)).astype(np.float32)
    slopes = RNG.normal(size=(steps, 3, 4)).astype(np.float32)
    rule = optimizer(settings, rate_schedule(settings, steps))
    params: Any = {"kernel": jnp.asarray(start)}
    state = rule.init(params)
    theirs = torch.nn.Parameter(torch.from_numpy(start.copy()))
    torch_rule = torch.optim.AdamW([theirs], lr=settings.learning_rate, weight_decay=decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(torch_rule, steps)
    for slope in slopes:
        with jax.numpy_dtype_promotion("standard"):
            updates, state = rule.update({"kernel": jnp.asarray(slope)}, state, params)
        params = optax.apply_updates(params, updates)
        theirs.grad = torch.from_numpy(slope)
        torch_rule.step()
        schedule.step()
        np.testing.assert_allclose(params["kernel"], theirs.detach().numpy(), atol=2e-6)


def test_clipping_is_that_of_torch() -> None:
    settings = TrainSettings(learning_rate=0.1, clip=0.5, warmup=0.0, weight_decay=0.0)
    slopes = [RNG.normal(0, s, (4, 3)).astype(np.float32) for s in (0.01, 3.0)]
    for slope in slopes:
        theirs = torch.nn.Parameter(torch.zeros(4, 3))
        theirs.grad = torch.from_numpy(slope.copy())
        torch.nn.utils.clip_grad_norm_([theirs], 0.5)
        chain: Any = optimizer(settings, rate_schedule(settings, 10))
        state = chain.init({"kernel": jnp.zeros((4, 3), jnp.float32)})
        with jax.numpy_dtype_promotion("standard"):
            params = {"kernel": jnp.zeros((4, 3), jnp.float32)}
            _, state = chain.update({"kernel": jnp.asarray(slope)}, state, params)
        moments = optax.tree_utils.tree_get(state, "mu")
        np.testing.assert_allclose(moments["kernel"], 0.1 * theirs.grad.numpy(), rtol=1e-4)


def test_normalization_by_the_batch_is_that_of_torch() -> None:
    """One block of the network would hide it; the statistics show the stem's on their own."""
    net = NetSettings(bands=3, classes=4, depth=11, width=4, decoder=6)
    variables = random_variables(net)
    images = RNG.normal(0.2, 2.0, (2, 8, 8, 3)).astype(np.float32)
    _, stats = resnet.apply_train(net, variables, jnp.asarray(images))
    kernel = np.asarray(variables["params"]["stem"]["kernel"]).transpose(3, 2, 0, 1).copy()
    bias = torch.from_numpy(np.array(variables["params"]["stem"]["bias"]))
    x = torch.nn.functional.conv2d(
        channels_first(images), torch.from_numpy(kernel), bias, padding=net.kernel // 2
    )
    before = variables["batch_stats"]["stem_norm"]
    mean, var = (torch.from_numpy(np.array(before[k])) for k in ("mean", "var"))
    torch.nn.functional.batch_norm(x, mean, var, training=True, momentum=1 - net.momentum)
    np.testing.assert_allclose(stats["stem_norm"]["mean"], mean.numpy(), rtol=1e-4, atol=1e-5)
    # PyTorch keeps the unbiased variance, Keras and Flax the biased one.
    n = images[..., 0].size
    kept = net.momentum * np.asarray(before["var"])
    biased = (var.numpy() - kept) * (n - 1) / n + kept
    np.testing.assert_allclose(stats["stem_norm"]["var"], biased, rtol=1e-4)
