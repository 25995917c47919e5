"""The layers of networks made of plain ones, stated once, and all layers of any network.

An ensemble holds plain networks, its members. A coupled network holds a plain one per encoder,
whose own head is the auxiliary one; a temporal network holds a plain one behind the attention over
periods. Beside these they have layers of their own, which are stated here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from osm4eo_xr.networks.layers import ConvLayer, Path, StageLayers, layers_of
from osm4eo_xr.networks.settings import HEADS, KEYS, NetSettings

if TYPE_CHECKING:
    from osm4eo_xr.feature_ids.ids import Group

SPATIAL = "spatial"
"""Under which the plain network of a temporal one is."""


@dataclass(frozen=True)
class FusionLayers:
    """What brings the encoders' features together, and the decoder behind it.

    Each group has layers of its own here, also where its encoder is that of other periods, so that
    periods are told apart.

    Attributes
    ----------
    levels : tuple of int
        Stages whose features are fused: all, or in window mode the last one.
    laterals : tuple of tuple of ConvLayer
        Per level and group, what brings its features to the decoder.
    joins : tuple of ConvLayer
        Per level, of all groups' features side by side; none unless fusion is "concatenation".
    scores : tuple of tuple of ConvLayer
        Per level and group, what its features count; none unless fusion is "attention".
    stages : tuple of StageLayers
        What smooths fused and repeated coarser features; no other layers.
    head : ConvLayer
        As that of a plain network.
    """

    levels: tuple[int, ...]
    laterals: tuple[tuple[ConvLayer, ...], ...]
    joins: tuple[ConvLayer, ...]
    scores: tuple[tuple[ConvLayer, ...], ...]
    stages: tuple[StageLayers, ...]
    head: ConvLayer

    @property
    def convolutions(self) -> Iterator[ConvLayer]:
        """All convolutions, in no order that matters."""
        for own in (*self.laterals, *self.scores):
            yield from own
        yield from self.joins
        yield from (stage.smooth for stage in self.stages if stage.smooth)
        yield self.head


@dataclass(frozen=True)
class PeriodLayers:
    """Attention over the periods of a source.

    Attributes
    ----------
    name : str
        Under which its layers are.
    periods : tuple of Group
        In order.
    embed, keys, mix : ConvLayer
        From a period's channels to its values, from values to keys, and of what was attended to.
    query : Path
        Where the learned query of each head is.
    """

    name: str
    periods: tuple[Group, ...]
    embed: ConvLayer
    keys: ConvLayer
    mix: ConvLayer
    query: Path


def encoders_of(net: NetSettings) -> tuple[tuple[Group, ...], ...]:
    """Return the groups of each encoder of a coupled network: one, or the periods of a source."""
    return net.periods if net.shared else tuple((group,) for group in net.groups)


def group_order(net: NetSettings) -> tuple[Group, ...]:
    """Return the groups of a coupled network in the order of its branches."""
    return tuple(group for groups in encoders_of(net) for group in groups)


def parts_of(net: NetSettings) -> Iterator[tuple[str, NetSettings]]:
    """Yield the plain networks within a network, with the names that they are under.

    A network that is a plain one holds none.
    """
    if net.members > 1:
        for k in range(net.members):
            yield f"member{k}", net.single
    if net.network == "coupled":
        for k, groups in enumerate(encoders_of(net)):
            yield f"branch{k}", net.as_resnet(len(groups[0].channels))
    elif net.network == "temporal":
        bands = sum(len(p[0].channels) if len(p) == 1 else temporal_width(net) for p in net.periods)
        yield SPATIAL, net.as_resnet(bands)


def fusion_layers(net: NetSettings) -> FusionLayers | None:
    """Return what fuses the features of a coupled network; none if its logits are fused."""
    if net.fusion == "decision":
        return None
    plain = layers_of(net.as_resnet(net.bands))
    top = len(plain.stages) - 1
    levels = (top,) if net.mode == "window" else tuple(range(top + 1))
    joins, scores = (), ()
    if net.fusion == "concatenation":
        joins = tuple(ConvLayer((f"join{level}",), net.decoder) for level in levels)
    if net.fusion == "attention":
        scores = _of_groups(net, "score", levels, 1)
    stages = (dataclasses.replace(stage, blocks=(), lateral=None) for stage in plain.stages)
    laterals = _of_groups(net, "lateral", levels, net.decoder)
    return FusionLayers(levels, laterals, joins, scores, tuple(stages), plain.head)


def _of_groups(
    net: NetSettings, name: str, levels: Sequence[int], features: int
) -> tuple[tuple[ConvLayer, ...], ...]:
    """Return a convolution per level and group, with its own normalization before it."""
    groups = range(len(net.groups))
    return tuple(
        tuple(
            ConvLayer((f"{name}{level}_{g}",), features, before=(f"{name}{level}_{g}_norm",))
            for g in groups
        )
        for level in levels
    )


def temporal_width(net: NetSettings) -> int:
    """Return the channels of values and of what attention gives: twice the width or more."""
    return -(-2 * net.width // HEADS) * HEADS


def period_layers(net: NetSettings) -> Iterator[PeriodLayers]:
    """Yield the attention of each source that has several periods."""
    width = temporal_width(net)
    for k, periods in enumerate(net.periods):
        name = f"source{k}"
        if len(periods) > 1:
            yield PeriodLayers(
                name,
                periods,
                embed=ConvLayer((name, "embed"), width, after=(name, "embed_norm")),
                keys=ConvLayer((name, "keys"), HEADS * KEYS),
                mix=ConvLayer((name, "mix"), width, after=(name, "mix_norm")),
                query=(name, "query"),
            )


def members_of(net: NetSettings, variables: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return one tree of variables per member; of a network without others, all as it is."""
    if net.members == 1:
        return [variables]
    return [variables[name] for name, _ in parts_of(net)]


def models_of(net: NetSettings, variables: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return ``params`` and ``batch_stats`` of each member."""
    trees = [members_of(net, tree) for tree in variables.values()]
    return [dict(zip(variables, own, strict=True)) for own in zip(*trees, strict=True)]


def convolutions_of(net: NetSettings) -> Iterator[ConvLayer]:
    """Yield all convolutions of a network, in no order that matters."""
    if net.network == "resnet" and net.members == 1:
        yield from layers_of(net).convolutions
    for name, part in parts_of(net):
        yield from (_within(name, layer) for layer in layers_of(part).convolutions)
    if net.network == "coupled" and (fusion := fusion_layers(net)):
        yield from fusion.convolutions
    if net.network == "temporal":
        for layers in period_layers(net):
            yield from (layers.embed, layers.keys, layers.mix)


def constants_of(net: NetSettings) -> Iterator[Path]:
    """Yield where the arrays of a network are that no convolution or normalization has."""
    if net.network == "temporal":
        for layers in period_layers(net):
            yield layers.query


def heads_of(net: NetSettings) -> tuple[Path, ...]:
    """Return where the convolutions are that give logits, also those of auxiliary heads."""
    return tuple(layer.path for layer in convolutions_of(net) if layer.path[-1] == "head")


def _within(name: str, layer: ConvLayer) -> ConvLayer:
    """Return a layer of a network that is under a name."""
    before, after = ((name, *path) if path else None for path in (layer.before, layer.after))
    return dataclasses.replace(layer, path=(name, *layer.path), before=before, after=after)
