"""The kernels for CPUs, compared with XLA's convolutions and NumPy's products."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osm4eo_xr.networks import resnet, winograd
from osm4eo_xr.networks.fold_batch_norm import fold
from osm4eo_xr.networks.footprint import footprint_of
from osm4eo_xr.networks.settings import NetSettings
from osm4eo_xr.networks.winograd import WinogradNetwork, prepare
from osm4eo_xr.networks.winograd_kernels import convolve_rows, tile_of, transform_kernel
from tests.networks.test_resnet import random_variables


def reference(x: np.ndarray, kernel: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """XLA's convolution in double precision, rectified."""
    with jax.enable_x64(True):
        found = jax.lax.conv_general_dilated(
            jnp.asarray(x[None], np.float64),
            jnp.asarray(kernel, np.float64),
            (1, 1),
            "SAME",
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )
        return np.maximum(np.asarray(found)[0] + bias, 0)


@settings(max_examples=25, deadline=None)
@given(
    width=st.sampled_from([3, 5]),
    rows=st.integers(1, 40),
    cols=st.integers(1, 700),
    inputs=st.integers(1, 9),
    outputs=st.integers(1, 9),
    cut=st.integers(0, 10),
)
def test_convolutions_equal_those_of_xla(
    width: int, rows: int, cols: int, inputs: int, outputs: int, cut: int
) -> None:
    rng = np.random.default_rng(rows * cols)
    x = rng.normal(size=(rows, cols, inputs)).astype(np.float32)
    kernel = rng.normal(size=(width, width, inputs, outputs)).astype(np.float32)
    bias = rng.normal(size=outputs).astype(np.float32)
    tile, image = tile_of(width), winograd._Image.padded((rows, cols), inputs, width)
    image.fill(x.transpose(2, 0, 1))
    out = winograd._Image.tiled((rows, cols), outputs, tile)
    last = len(out.array) // tile
    for first, end in ((0, min(cut, last)), (min(cut, last), last)):
        convolve_rows(image.array, transform_kernel(kernel), bias, out.array, first, end)
    found = out.array.transpose(0, 2, 1, 3).reshape(len(out.array), -1, outputs)[:rows, :cols]
    size = np.abs(kernel).sum(axis=(0, 1, 2)).max()
    np.testing.assert_allclose(found, reference(x, kernel, bias), atol=2e-5 * size)


@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("depth", [11, 20, 29])
def test_blocks_have_the_logits_of_the_whole_network(kernel: int, depth: int) -> None:
    net = NetSettings(bands=3, classes=5, depth=depth, width=4, kernel=kernel, decoder=6)
    folded = fold(net, random_variables(net))
    margin = footprint_of(net).halo
    rng = np.random.default_rng(0)
    for rows, cols in ((4, 12), (60, 36)):
        shape = 3, rows + 2 * margin, cols + 2 * margin
        network = WinogradNetwork(net, rows, cols, margin, 3)
        for _ in range(2):  # memory that is used again leaves no trace
            x = rng.normal(size=shape).astype(np.float32)
            image = jnp.asarray(x.transpose(1, 2, 0)[None])
            whole = np.asarray(resnet.apply_folded(net, folded, image))[0]
            wanted = whole[margin : margin + rows, margin : margin + cols]
            found = network(x, prepare(net, folded))
            np.testing.assert_allclose(found, wanted, atol=2e-4 * np.abs(wanted).max())


def test_a_block_at_another_place_has_the_same_logits() -> None:
    net = NetSettings(bands=4, classes=12, depth=11, width=4, decoder=6)
    layers, margin = prepare(net, fold(net, random_variables(net))), footprint_of(net).halo
    x = np.random.default_rng(0).normal(size=(4, 64 + 2 * margin, 96 + 2 * margin))
    x = x.astype(np.float32)
    large = WinogradNetwork(net, 64, 96, margin, 2)(x, layers)
    small = WinogradNetwork(net, 32, 48, margin, 2)
    for top in (0, 32):
        for left in (0, 48):
            part = x[:, top : top + 32 + 2 * margin, left : left + 48 + 2 * margin]
            wanted = large[top : top + 32, left : left + 48]
            np.testing.assert_allclose(small(part, layers), wanted, atol=1e-4 * np.abs(large).max())
    assert dataclasses.replace(net, kernel=7).fits_winograd is False
