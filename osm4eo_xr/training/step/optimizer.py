"""The optimizer and its learning rate by step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import optax

if TYPE_CHECKING:
    from osm4eo_xr.training.settings import TrainSettings

_STEPS = ((0.4, 1e-1), (0.6, 1e-2), (0.8, 1e-3), (0.9, 5e-4))


def rate_schedule(settings: TrainSettings, steps: int) -> optax.Schedule:
    """Return the learning rate by step, of ``steps`` steps."""
    peak = settings.learning_rate
    if settings.optimizer == "nadam":
        marks = {round(share * steps): factor for share, factor in _STEPS}
        falls, last = {}, 1.0
        for mark, factor in marks.items():
            falls[mark], last = factor / last, factor
        return optax.piecewise_constant_schedule(peak, falls)
    warmup = min(round(settings.warmup * steps), steps - 1)
    return optax.warmup_cosine_decay_schedule(peak / 100, peak, warmup, max(steps, 1))


def optimizer(settings: TrainSettings, rate: optax.Schedule) -> optax.GradientTransformation:
    """Return the optimizer with a learning rate by step."""
    if settings.optimizer == "nadam":
        rule = optax.nadam(rate)
    else:
        rule = optax.adamw(rate, weight_decay=settings.weight_decay, mask=_are_kernels)
    if not settings.clip:
        return rule
    clip = optax.clip_by_global_norm(settings.clip)
    return optax.chain(_each(clip) if settings.networks > 1 else clip, rule)


def _each(rule: optax.GradientTransformation) -> optax.GradientTransformation:
    """Return a rule without state for each member by itself."""

    def apply(updates: Any, params: Any) -> Any:
        return {k: rule.update(own, rule.init(own), params)[0] for k, own in updates.items()}

    return optax.stateless(apply)


def _are_kernels(params: Any) -> Any:
    """Mark the kernels among the parameters."""
    return jax.tree_util.tree_map_with_path(lambda path, _: path[-1].key == "kernel", params)
