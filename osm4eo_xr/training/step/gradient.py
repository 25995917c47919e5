"""The gradient of a batch's loss, from XLA or from the package's own kernels."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from osm4eo_xr.errors import InputError
from osm4eo_xr.networks import resnet
from osm4eo_xr.networks.grouped_layers import group_order, parts_of
from osm4eo_xr.networks.presence import present
from osm4eo_xr.process.threads import compute_threads
from osm4eo_xr.samples.label_weights import is_given, is_open, unpack
from osm4eo_xr.training.step.losses import (
    bootstrap_cross_entropy,
    cross_entropy,
    forward_cross_entropy,
    generalized_cross_entropy,
)

if TYPE_CHECKING:
    from jaxtyping import Bool, Float32, Int32, UInt8

    from osm4eo_xr.networks.settings import NetSettings
    from osm4eo_xr.training.step.task import Numbers, Task

Gradient = Callable[..., tuple[Any, Any, dict[str, Array]]]
"""``gradient(numbers, params, stats, x, label)``: the gradient of the weighted sum of the loss by
the parameters, the new ``batch_stats``, and the sums. From the kernels the gradient is one vector,
as ``joined`` makes them."""

_WINDOW = 32  # pixels; of smaller windows XLA is faster


def runs_on_kernels(form: Task) -> bool:
    """Whether the package's own kernels compute the gradients of a task on these devices.

    Raises
    ------
    InputError
        If the settings ask for them, and they cannot.
    """
    settings, net = form.settings, form.net
    one_cpu = jax.default_backend() == "cpu" and jax.local_device_count() == 1
    serves = one_cpu and net.network == "resnet" and form.dtype == "float32"
    if settings.engine == "kernels" and not serves:
        raise InputError(
            "engine 'kernels' trains on one CPU alone, in float32",
            advice="give engine 'auto', or set JAX_PLATFORMS=cpu",
        )
    asked = settings.engine == "kernels"
    return serves and (asked or (settings.engine == "auto" and kernels_are_faster(net)))


def kernels_are_faster(net: NetSettings) -> bool:
    """Whether the package's own kernels train a network faster than jax does on a CPU."""
    return net.network == "resnet" and (net.mode == "dense" or net.window >= _WINDOW)


@cache
def jax_gradient(form: Task) -> Gradient:
    """Return the gradient as one program."""
    return jax.jit(partial(gradient, form))


def kernel_gradient(form: Task) -> Gradient:
    """Return the gradient on the kernels; the loss between forward and backward is a program."""
    from osm4eo_xr.networks.gradients.network import NetworkGradient

    network, loss = NetworkGradient(form.net.single, compute_threads()), _loss_slope(form)
    names = sorted(name for name, _ in parts_of(form.net))  # as jax goes through them

    def of_one(
        numbers: Numbers, params: Any, stats: Any, x: Array, label: Array
    ) -> tuple[Any, Any, dict[str, Array]]:
        given = jax.tree.map(np.asarray, {"params": params, "batch_stats": stats})
        logits, stats = network.forward(given, np.asarray(x))
        slope, sums = loss(numbers, logits, label)
        return joined(network.backward(np.asarray(slope))), stats, sums

    def of_members(
        numbers: Numbers, params: Any, stats: Any, x: Array, label: Array
    ) -> tuple[Any, Any, dict[str, Array]]:
        found = [of_one(numbers, params[name], stats[name], x, label) for name in names]
        grads, new, sums = zip(*found, strict=True)
        return np.concatenate(grads), dict(zip(names, new, strict=True)), _mean_of(list(sums))

    return of_members if names else of_one


@jax.jit
def _mean_of(sums: list[dict[str, Array]]) -> dict[str, Array]:
    """Return the mean of the members' sums."""
    return jax.tree.map(lambda *values: sum(values) / len(values), *sums)


def joined(tree: Any) -> Float32[np.ndarray, " n"]:
    """Return the arrays of a tree as one vector, which goes to jax faster than a hundred arrays."""
    return np.concatenate([leaf.ravel() for leaf in jax.tree.leaves(tree)])


def parted(values: Float32[Array, " n"], like: Any) -> Any:
    """Return a vector as a tree of arrays, which are shaped as those of another tree."""
    leaves, tree = jax.tree.flatten(like)
    ends = np.cumsum([leaf.size for leaf in leaves])[:-1]
    parts = jnp.split(values, ends)
    shaped = [part.reshape(leaf.shape) for part, leaf in zip(parts, leaves, strict=True)]
    return jax.tree.unflatten(tree, shaped)


@cache
def _loss_slope(form: Task) -> Callable[..., tuple[Array, dict[str, Array]]]:
    """Return ``slope(numbers, logits, label)``: the gradient by the logits, and the sums."""

    def slope(numbers: Numbers, logits: Array, label: Array) -> tuple[Array, dict[str, Array]]:
        differ: Any = jax.grad(lambda given: _scored(form, numbers, given, label)[:2], has_aux=True)
        return differ(logits)

    return jax.jit(slope)


def gradient(
    form: Task, numbers: Numbers, params: Any, stats: Any, x: Array, label: Array
) -> tuple[Any, Any, dict[str, Array]]:
    """Return the gradient of the weighted sum of the loss, the new statistics and the sums."""
    differ = jax.grad(_loss, argnums=2, has_aux=True)
    grads, (stats, sums) = differ(form, numbers, params, stats, x, label)
    return grads, stats, sums


def _loss(task: Task, numbers: Numbers, params: Any, stats: Any, x: Array, label: Array) -> Any:
    """Return the weighted sum of the loss, and the new statistics and the sums."""
    variables = {"params": params, "batch_stats": stats}
    if task.net.network == "coupled" and task.settings.auxiliary:
        apply = resnet.apply_train_with_branches
        logits, branches, stats = apply(task.net, variables, x, dtype=task.dtype)
    elif task.net.members > 1:
        members, stats = resnet.apply_train_members(task.net, variables, x, dtype=task.dtype)
        found = [_scored(task, numbers, logits, label)[:2] for logits in members]
        totals, sums = zip(*found, strict=True)
        return sum(totals), (stats, _mean_of(list(sums)))
    else:
        logits, stats = resnet.apply_train(task.net, variables, x, dtype=task.dtype)
        branches = None
    total, sums, index, weight = _scored(task, numbers, logits, label)
    if branches is not None:
        own = _branch_loss(task, numbers, branches, x, index, weight)
        total += task.settings.auxiliary * own
    return total, (stats, sums)


def _scored(
    task: Task, numbers: Numbers, logits: Array, label: Array
) -> tuple[Array, dict[str, Array], Array, Array]:
    """Return the weighted sum of the loss, the sums, and index and weight of each label."""
    classes, share = unpack(label)
    index, where = indices(task.class_ids, classes)
    weight = jnp.where(where, share * numbers.weights[index], 0.0)
    total = jnp.sum(weight * _pixel_loss(task, numbers, logits, index, where))
    given = where & is_given(label)
    hit = given & (logits.argmax(axis=-1).astype(jnp.int32) == index)
    sums = {
        "loss": total,
        "weight": weight.sum(),
        "correct": hit.sum(dtype=jnp.float32),
        "labeled": given.sum(dtype=jnp.float32),
    }
    if task.settings.self_training:
        sums["self_labeled"] = (where & ~given).sum(dtype=jnp.float32)
        sums["unlabeled"] = is_open(label).sum(dtype=jnp.float32)
    return total, sums, index, weight


def _branch_loss(
    task: Task,
    numbers: Numbers,
    branches: Float32[Array, "g *n k"],
    x: Float32[Array, "s y x b"],
    index: Int32[Array, "*n"],
    weight: Float32[Array, "*n"],
) -> Float32[Array, ""]:
    """Return the weighted sum of the losses of the groups' own heads, where each is there.

    Source
    ------
    Li et al. 2020 (doi:10.3390/rs12122067), auxiliary training: the sum of the losses of all
    sensors' outputs joins the loss of the fused output.
    """
    there = jnp.moveaxis(present(group_order(task.net), x), -1, 0)
    if there.ndim > branches.ndim - 1:  # a window has one label
        there = there.any(axis=(2, 3))
    spread = jnp.broadcast_to(index[None], branches.shape[:-1])
    where = there & (weight > 0)[None]
    return jnp.sum(weight[None] * _pixel_loss(task, numbers, branches, spread, where))


def _pixel_loss(
    task: Task,
    numbers: Numbers,
    logits: Float32[Array, "*n k"],
    index: Int32[Array, "*n"],
    where: Bool[Array, "*n"],
) -> Float32[Array, "*n"]:
    settings = task.settings
    if settings.logit_adjustment:
        logits += numbers.adjustment.reshape((1,) * index.ndim + (-1,))
    if numbers.noise is not None:
        return forward_cross_entropy(logits, index, numbers.noise, where=where)
    if settings.loss == "generalized":
        return generalized_cross_entropy(logits, index, where=where)
    if settings.loss == "bootstrap":
        return bootstrap_cross_entropy(logits, index, where=where)
    how: Any = {"smoothing": settings.label_smoothing, "spread": numbers.spread}
    return cross_entropy(logits, index, where=where, **how)


def indices(
    class_ids: tuple[int, ...], label: UInt8[Array, "*n"]
) -> tuple[Int32[Array, "*n"], Bool[Array, "*n"]]:
    """Return the logit of each label, and where the label is one of the classes."""
    table = np.full(256, -1, np.int32)
    table[list(class_ids)] = np.arange(len(class_ids), dtype=np.int32)
    index = jnp.asarray(table)[label]
    return jnp.maximum(index, 0), index >= 0
