"""Logits of the plain network under a batch's own statistics, and the gradient of its parameters.

Each step forward notes what takes its gradient back; backwards these run in reverse order. A
gradient of convolutions right ahead of a normalization is linear in what has come back behind it
and in the convolution's output, and so is worked out where it is read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jax.tree_util import tree_map

from osm4eo_xr.networks.gradients import pointwise, windows
from osm4eo_xr.networks.gradients.maps import NO_AFFINE, NO_MAP, Map, Norm, Workshop
from osm4eo_xr.networks.gradients.products import padded, whole
from osm4eo_xr.networks.gradients.sums import repeat, repeat_back
from osm4eo_xr.networks.layers import BlockLayers, ConvLayer, Path, arrays_at, layers_of, put_arrays
from osm4eo_xr.networks.resnet import check_shape, variable_shapes
from osm4eo_xr.networks.settings import STRIDE, NetSettings

if TYPE_CHECKING:
    from jaxtyping import Float32


class NetworkGradient:
    """Computes logits, then gradients; its working memory is kept from step to step.

    Parameters
    ----------
    net : NetSettings
        Shape of the network, of kind "resnet".
    threads : int
        Threads to compute with.
    """

    def __init__(self, net: NetSettings, threads: int) -> None:
        self._net, self._layers = net, layers_of(net)
        self._workshop = Workshop(threads)
        self._params: Mapping[str, Any] = {}
        self._stats: Mapping[str, Any] = {}
        self._new_stats: dict[str, Any] = {}
        self._gradients: dict[str, Any] = {}
        self._norms: dict[Path, Norm] = {}
        self._back: list[Callable[[], None]] = []
        self._logits = Map(NO_MAP)

    def forward(
        self, variables: Mapping[str, Any], x: Float32[np.ndarray, "n y x c"]
    ) -> tuple[Float32[np.ndarray, "n *yx k"], dict[str, Any]]:
        """Return logits under the batch's own statistics, and the updated ``batch_stats``.

        Parameters
        ----------
        variables : mapping
            ``params`` and ``batch_stats``.
        x : ndarray
            Normalized images, finite. The parameters are read once more by ``backward``. The
            logits' memory is overwritten by the next call.

        Raises
        ------
        InputError
            If the images do not fit the network.
        """
        check_shape(self._net, x.shape)
        self._workshop.begin(len(x))
        self._params, self._stats = variables["params"], variables["batch_stats"]
        self._new_stats, self._gradients, self._norms, self._back = {}, {}, {}, []
        levels = self._encoded(Map(self._workshop.copied(x)))
        decide = self._of_windows if self._layers.head.before else self._of_pixels
        return decide(levels), self._new_stats

    def backward(self, gradient: Float32[np.ndarray, "n *yx k"]) -> dict[str, Any]:
        """Return the gradient of the parameters from that of the logits; once after ``forward``."""
        self._logits.gradient = self._workshop.copied(gradient)
        for step in reversed(self._back):
            step()
        for path, norm in self._norms.items():
            put_arrays(self._gradients, path, norm.parameter_gradients())
        # The caller's arrays are its own again; and steps that stayed would hold this object and
        # its memory until Python looks for circles.
        self._params, self._stats, self._norms, self._back = {}, {}, {}, []
        return self._gradients

    def _encoded(self, x: Map) -> list[tuple[Map, np.ndarray]]:
        """Return the sum of each stage, with its sums per span."""
        found: Any = self._convolved(self._layers.stem, x)
        levels, sums = [], np.empty(0)
        for stage in self._layers.stages:
            for block in stage.blocks:
                found, sums = self._block(block, found, sums)
            levels.append((found, sums))
        return levels

    def _block(self, block: BlockLayers, x: Map | Norm, sums: np.ndarray) -> tuple[Map, np.ndarray]:
        """Return a bottleneck's sum, and its sums per span; of the stem, a normalized map comes."""
        first, wide, last = block.main
        inner = x
        if first.before and isinstance(x, Map):
            inner = self._normalized(first.before, x, sums, step=first.stride)
        inner = self._convolved(wide, self._convolved(first, inner))
        if block.shortcut:
            return self._mixed(last, inner, side=(block.shortcut, x))
        return self._mixed(last, inner, base=x)

    def _of_pixels(self, levels: Sequence[tuple[Map, np.ndarray]]) -> np.ndarray:
        """Return the logits of pixels, from the stages' sums, coarse to fine."""
        top: Any = None
        factor = 1
        for stage, (found, sums) in reversed(list(zip(self._layers.stages, levels, strict=True))):
            lateral: Any = stage.lateral
            base = None if top is None else self._repeated(top, factor)
            top, _ = self._mixed(lateral, self._normalized(lateral.before, found, sums), base=base)
            if stage.smooth:
                top = self._convolved(stage.smooth, top)
            factor = stage.stride
        self._logits, _ = self._mixed(self._layers.head, top)
        return self._logits.values

    def _of_windows(self, levels: Sequence[tuple[Map, np.ndarray]]) -> np.ndarray:
        """Return the logits of windows, from the mean of the last stage's normalized sum."""
        head, (found, sums) = self._layers.head, levels[-1]
        norm = self._normalized(head.before or (), found, sums)
        weight, bias = self._weights(head)
        kernel, (scale, shift) = weight[0, 0], norm.affine
        seen = np.maximum(norm.values * scale + shift, np.float32(0))
        top = seen.mean(axis=(1, 2))
        self._logits = logits = Map(top @ kernel + bias)

        def back() -> None:
            above: Any = logits.gradient
            given = {"kernel": (top.T @ above)[None, None], "bias": above.sum(axis=0)}
            put_arrays(self._gradients, head.path, given)
            share = above @ kernel.T / np.float32(seen[0, ..., 0].size)
            spread = np.where(seen > 0, share[:, None, None], np.float32(0))
            products = spread, spread * (norm.values - norm.mean)
            norm.receive(spread, np.stack([v.sum((0, 1, 2), np.float64) for v in products])[None])

        self._back.append(back)
        return logits.values

    def _normalized(self, path: Path, x: Map, sums: np.ndarray, *, step: int = 1) -> Norm:
        """Return a map behind its normalization and rectifier; the map may have other readers.

        Of its pixels every ``step``-th row and column is used.
        """
        norm = self._norm(path, x, sums)
        if step == 1:
            x.beside = norm
        else:
            x.stepped = norm
        return norm

    def _norm(self, path: Path, x: Map, sums: np.ndarray) -> Norm:
        norm = Norm(x, sums, arrays_at(self._params, path))
        self._norms[path] = norm
        old, keep = arrays_at(self._stats, path), self._net.momentum
        seen = {"mean": norm.mean, "var": norm.variance}
        put_arrays(
            self._new_stats,
            path,
            {k: np.float32(keep * np.asarray(old[k]) + (1 - keep) * v) for k, v in seen.items()},
        )
        return norm

    def _mixed(
        self,
        layer: ConvLayer,
        x: Map | Norm,
        *,
        side: tuple[ConvLayer, Map | Norm] | None = None,
        base: Any = None,
    ) -> tuple[Map, np.ndarray]:
        """Convolve with a kernel of one pixel, and add what another one gives, or a map."""
        work, weight, bias = self._workshop, *self._weights(layer)
        n, rows, cols, _ = x.values.shape
        shape = n, -(-rows // layer.stride), -(-cols // layer.stride), layer.features
        out, sums = Map(work.memory(shape)), work.sums(2, layer.features)
        beside = NO_MAP, 1, NO_AFFINE, NO_AFFINE
        if side:
            other, source = side
            side_weight, more = self._weights(other)
            beside = source.values, other.stride, source.affine, work.matrix(side_weight[0, 0])
            bias = bias + more
        under = NO_MAP if base is None else base.values
        work.run(
            pointwise.mix, x.values, layer.stride, x.affine, work.matrix(weight[0, 0]), *beside,
            bias, under, out.values, sums,
        )  # fmt: skip

        def back() -> None:
            self._mixed_back(layer, x, out)
            if side:
                self._mixed_back(*side, out, bias_of=layer)
            if base is not None:
                base.gradient = out.gradient

        self._back.append(back)
        return out, sums

    def _mixed_back(
        self, layer: ConvLayer, x: Map | Norm, out: Map, *, bias_of: ConvLayer | None = None
    ) -> None:
        """Bring the gradient to the input of such a convolution, and to its parameters.

        The gradient of its bias may be that of another convolution, already known.
        """
        work, weight = self._workshop, self._weights(layer)[0][0, 0]
        inputs, outputs = weight.shape
        weight_sums = work.sums(whole(inputs), padded(outputs), dtype=np.float32)
        bias_sums, moments = work.sums(0 if bias_of else outputs), work.sums(2, inputs)
        g, z, slope = out.come_back(work)
        add = isinstance(x, Norm) and x.gradient.size > 0
        to: Any = x.gradient if add else work.memory((*g.shape[:3], inputs))
        work.run(
            pointwise.mix_back, x.values, layer.stride, x.affine, x.mean, work.matrix(weight.T), g,
            z, slope, weight_sums, bias_sums, int(add), to, moments,
        )  # fmt: skip
        x.receive(to, moments)
        if bias_of:
            bias = arrays_at(self._gradients, bias_of.path)["bias"]
        else:
            bias = bias_sums.sum(axis=0).astype(np.float32)
        kernel = weight_sums.sum(axis=0)[None, None, :inputs, :outputs]
        put_arrays(self._gradients, layer.path, {"kernel": kernel, "bias": bias})

    def _convolved(self, layer: ConvLayer, x: Map | Norm) -> Norm:
        """Convolve, normalize and rectify."""
        path: Any = layer.after
        if layer.kernel == 1:
            out, sums = self._mixed(layer, x)
        else:
            out, sums = self._wide(layer, x)
        out.norm = self._norm(path, out, sums)
        return out.norm

    def _wide(self, layer: ConvLayer, x: Map | Norm) -> tuple[Map, np.ndarray]:
        """Convolve with a kernel of several pixels."""
        work, weight, bias = self._workshop, *self._weights(layer)
        out = Map(work.memory((*x.values.shape[:3], layer.features)))
        sums, width = work.sums(2, layer.features), layer.kernel
        inputs = x.values.shape[3]
        flat = work.matrix(weight.reshape(-1, layer.features))
        work.run(windows.convolve, x.values, width, x.affine, flat, bias, out.values, sums)

        def back() -> None:
            wide = padded(layer.features)
            turned = work.memory((width, width, wide, padded(inputs)))
            if turned.size > weight.size:
                turned[:] = 0
            turned[:, :, : layer.features, :inputs] = weight[::-1, ::-1].transpose(0, 1, 3, 2)
            weight_sums = work.sums(width, whole(width * inputs), wide, dtype=np.float32)
            moments, asked = work.sums(2, inputs), layer is not self._layers.stem
            to = work.memory(x.values.shape) if asked else NO_MAP
            work.run(
                windows.convolve_back, x.values, width, x.affine, x.mean,
                turned.reshape(-1, padded(inputs)), *out.come_back(work), weight_sums, to, moments,
            )  # fmt: skip
            found = weight_sums.sum(axis=0)[:, : width * inputs, : layer.features]
            # Whatever the bias, the normalization behind it takes it away again.
            given = {"kernel": found.reshape(weight.shape), "bias": 0 * bias}
            put_arrays(self._gradients, layer.path, given)
            if isinstance(x, Norm):
                x.receive(to, moments)
            else:
                x.gradient = to

        self._back.append(back)
        return out, sums

    def _repeated(self, x: Map | Norm, factor: int) -> Map:
        """Repeat each pixel along both axes."""
        work = self._workshop
        n, rows, cols, channels = x.values.shape
        out = Map(work.memory((n, rows * factor, cols * factor, channels)))
        work.run(repeat, x.values, x.affine, factor, out.values)

        def back() -> None:
            to, moments = work.memory(x.values.shape), work.sums(2, channels)
            work.run(repeat_back, out.gradient, factor, x.values, x.affine, x.mean, to, moments)
            if isinstance(x, Norm):
                x.receive(to, moments)
            else:
                x.gradient = to

        self._back.append(back)
        return out

    def _weights(self, layer: ConvLayer) -> tuple[np.ndarray, np.ndarray]:
        """Return a convolution's kernel, and a copy of its bias that may be written."""
        arrays = arrays_at(self._params, layer.path)
        return np.asarray(arrays["kernel"]), np.array(arrays["bias"])


def compile_gradients() -> None:
    """Compile the kernels; at once where numba's cache has them."""
    net = NetSettings(bands=2, classes=2, depth=11, width=4, kernel=3, decoder=4)
    shapes = variable_shapes(net)
    variables = tree_map(lambda leaf: np.ones(leaf.shape, np.float32), shapes)
    network = NetworkGradient(net, threads=1)
    logits, _ = network.forward(variables, np.ones((1, STRIDE, STRIDE, net.bands), np.float32))
    network.backward(logits.copy())
