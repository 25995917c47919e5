"""Shape of the network, as settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from osm4eo_xr.errors import InputError

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


@dataclass(frozen=True)
class NetSettings:
    """Shape of the network.

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

    def __post_init__(self) -> None:
        for name in ("bands", "classes", "width", "decoder"):
            if not 1 <= getattr(self, name) <= _WIDEST:
                raise InputError(
                    f"{name} is {getattr(self, name)}", advice=f"give 1 or more, up to {_WIDEST:,}"
                )
        if self.depth < _LAYERS_PER_BLOCK + 2 or (self.depth - 2) % _LAYERS_PER_BLOCK:
            raise InputError(
                f"depth {self.depth} is not 9 n + 2", advice="give 11, 20, 29, 38 or so on"
            )
        if self.mode not in ("dense", "window"):
            raise InputError(f"mode {self.mode!r} is unknown", advice="give 'dense' or 'window'")
        if self.window < STRIDE or self.window % STRIDE:
            raise InputError(
                f"window {self.window} is not a multiple of {STRIDE} pixels", advice="give 12"
            )
        if self.kernel < 1 or self.kernel % 2 == 0:
            raise InputError(f"kernel {self.kernel} is not odd", advice="give 3 or 5")
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
        return self.mode == "dense" and self.kernel in WINOGRAD_WIDTHS
