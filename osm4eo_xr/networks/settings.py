"""Shape of the network, as settings."""

from __future__ import annotations

import dataclasses
from collections import Counter
from dataclasses import dataclass
from typing import Literal

from osm4eo_xr.errors import InputError
from osm4eo_xr.feature_ids.ids import Group  # noqa: TC001 - read from the hints

STRIDES = (1, 2, 2)
"""Stride of each stage relative to the one before."""

STRIDE = 4
"""Pixels between cells of the coarsest feature map."""

SMOOTH = 3
"""Kernel width of the decoder's convolutions."""

EngineName = Literal["auto", "jax", "onnx", "winograd"]
"""What computes the network; "auto" is the fastest that serves the worker and the network."""

WINOGRAD_WIDTHS = (3, 5)
"""Kernel widths that the engine "winograd" computes, in pixels."""

_LAYERS_PER_BLOCK = 9  # depth = 9 n + 2: three stages of n bottlenecks of three layers


_WIDEST = 2**16  # channels; beyond, sizes of arrays no longer fit
_DEEPEST = 1001  # layers, the most that ResNets were published with (He et al. 2016)
_WIDEST_KERNEL = 2**10 - 1  # pixels; as wide as the largest blocks
_MOST_MEMBERS = 32


NetworkName = Literal["resnet", "coupled", "temporal"]
"""What a network does with groups of channels: nothing, couple encoders, attend to periods."""

NETWORKS: tuple[NetworkName, ...] = ("resnet", "coupled", "temporal")

FUSIONS = ("sum", "concatenation", "attention", "decision")
"""How coupled encoders come together."""

HEADS = 4
"""Heads of the attention over periods, each with a share of the channels of its values."""

KEYS = 8
"""Channels of a key of the attention over periods, per head."""


@dataclass(frozen=True)
class NetSettings:
    """Shape of the network; what training takes by default, ``TrainSettings`` says.

    Attributes
    ----------
    bands : int
        Input channels.
    classes : int
        Logits per pixel or window.
    depth : int
        Layers, 9 n + 2 with n bottlenecks per stage: 11, 20, 29, 38, …
    width : int
        Filters of the stem; the stages give 4, 8 and 16 times as many.
    mode : {"dense", "window"}
        One logit vector per pixel, or per window.
    window : int
        Edge of a window in pixels, a multiple of 4; used in window mode only.
    kernel : int
        Kernel width in pixels of stem and bottlenecks, odd.
    decoder : int
        Channels of the decoder; used in dense mode only.
    momentum : float
        Share of the running statistics that batch normalization keeps per training step.
    network : {"resnet", "coupled", "temporal"}
        All channels in one encoder; an encoder per group, fused; or attention over the periods of
        each source ahead of the one encoder.
    groups : tuple of Group
        Which channels are there or missing together, of "coupled" and "temporal"; each channel is
        in one of them.
    fusion : {"sum", "concatenation", "attention", "decision"}
        How features of the groups come together at each level (a mean of those that are there, a
        convolution of all, or a mean by learned weights); or the mean of each group's own logits.
        Used by "coupled" only.
    shared : bool
        One encoder for all periods of a source; used by "coupled" only.
    members : int
        Networks of kind "resnet" side by side, 1 to 32: their probabilities are averaged.

    Examples
    --------
    >>> import osm4eo_xr as oxr
    >>> net = oxr.NetSettings(bands=4, classes=12)
    >>> net.depth, net.mode
    (29, 'dense')
    """

    bands: int
    classes: int
    depth: int = 29
    width: int = 16
    mode: Literal["dense", "window"] = "dense"
    window: int = 12
    kernel: int = 5
    decoder: int = 32
    momentum: float = 0.9
    network: NetworkName = "resnet"
    groups: tuple[Group, ...] = ()
    fusion: Literal["sum", "concatenation", "attention", "decision"] = "sum"
    shared: bool = False
    members: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "groups", tuple(self.groups))
        _check_groups(self)
        _check_members(self)
        for name in ("bands", "classes", "width", "decoder"):
            if not 1 <= getattr(self, name) <= _WIDEST:
                raise InputError(
                    f"{name} is {getattr(self, name)}", advice=f"give 1 or more, up to {_WIDEST:,}"
                )
        if self.depth < _LAYERS_PER_BLOCK + 2 or (self.depth - 2) % _LAYERS_PER_BLOCK:
            raise InputError(
                f"depth {self.depth} is not 9 n + 2", advice="give 11, 20, 29, 38 or so on"
            )
        if self.depth > _DEEPEST:
            raise InputError(f"depth is {self.depth}", expected=f"at most {_DEEPEST:,} layers")
        if self.mode not in ("dense", "window"):
            raise InputError(f"mode {self.mode!r} is unknown", advice="give 'dense' or 'window'")
        if not STRIDE <= self.window <= _WIDEST or self.window % STRIDE:
            raise InputError(
                f"window {self.window} is not a multiple of {STRIDE} pixels, up to {_WIDEST:,}",
                advice="give 12",
            )
        if not 1 <= self.kernel <= _WIDEST_KERNEL or self.kernel % 2 == 0:
            raise InputError(
                f"kernel {self.kernel} is not odd, up to {_WIDEST_KERNEL:,}", advice="give 3 or 5"
            )
        if not 0 <= self.momentum < 1:
            raise InputError(
                f"momentum {self.momentum} is outside 0 to 1", advice="give 0.9 or 0.99"
            )

    @property
    def blocks(self) -> int:
        """Bottlenecks per stage."""
        return (self.depth - 2) // _LAYERS_PER_BLOCK

    @property
    def fits_winograd(self) -> bool:
        """Whether the engine "winograd" computes the network."""
        return self.fits_onnx and self.mode == "dense" and self.kernel in WINOGRAD_WIDTHS

    @property
    def fits_onnx(self) -> bool:
        """Whether the engine "onnx" computes the network."""
        return self.network == "resnet"

    @property
    def empty(self) -> float:
        """What stands for a channel that a pixel lacks: 0, or NaN where groups are told apart."""
        return 0.0 if self.network == "resnet" else float("nan")

    @property
    def periods(self) -> tuple[tuple[Group, ...], ...]:
        """The groups, those of one source and of as many channels together, in order."""
        found: dict[tuple[str, int], list[Group]] = {}
        for group in self.groups:
            found.setdefault((group.source, len(group.channels)), []).append(group)
        return tuple(map(tuple, found.values()))

    @property
    def single(self) -> NetSettings:
        """One member's network."""
        return dataclasses.replace(self, members=1)

    def as_resnet(self, bands: int) -> NetSettings:
        """Return the network of the same shape with one encoder, for so many channels."""
        plain = {f.name: f.default for f in dataclasses.fields(self) if f.name in UNSAID}
        return dataclasses.replace(self, bands=bands, **plain)


GROUPED = ("network", "groups", "fusion", "shared")
"""Settings that say nothing of a network without groups."""

UNSAID = (*GROUPED, "members")
"""Settings that models of one plain network do not state."""


def _check_members(net: NetSettings) -> None:
    """Refuse a number of members that no network has."""
    if not 1 <= net.members <= _MOST_MEMBERS:
        raise InputError(
            f"members is {net.members}", advice=f"give 1 or more, up to {_MOST_MEMBERS}"
        )
    if net.members > 1 and net.network != "resnet":
        raise InputError(
            f"members is {net.members} and network {net.network!r}",
            advice="give members 1, as several are of network 'resnet'",
        )


def _check_groups(net: NetSettings) -> None:
    """Refuse groups that do not share out the channels."""
    if net.network not in NETWORKS:
        raise InputError(
            f"network {net.network!r} is unknown", advice=f"give {', '.join(NETWORKS)}"
        )
    if net.fusion not in FUSIONS:
        raise InputError(f"fusion {net.fusion!r} is unknown", advice=f"give {', '.join(FUSIONS)}")
    if net.network == "resnet":
        if net.groups:
            raise InputError(
                "network 'resnet' takes no groups", advice="leave them out, or give coupled"
            )
        return
    names = Counter(group.name for group in net.groups)
    if twice := [name for name, n in names.items() if n > 1]:
        raise InputError(f"two groups are named {twice[0]!r}", advice="give each its own name")
    channels = sorted(c for group in net.groups for c in group.channels)
    if channels != list(range(net.bands)):
        raise InputError(
            f"the groups have channels {channels}",
            expected=f"each of the {net.bands} channels of the network in one group",
        )
    if net.network == "coupled" and net.shared and net.fusion == "decision":
        raise InputError(
            "fusion 'decision' with shared encoders cannot tell the periods of a source apart",
            advice="give shared = false or another fusion",
        )
    if net.network == "temporal" and all(len(periods) == 1 for periods in net.periods):
        raise InputError(
            "network 'temporal' has no source with two periods or more",
            advice="give features of more periods, or network coupled or resnet",
        )
