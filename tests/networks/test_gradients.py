"""The kernels of training beside XLA: products, logits, statistics and gradients."""

import ctypes
import gc
import math
import mmap
import os
import platform
import subprocess
import sys
import weakref
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osm4eo_xr.errors import InputError
from osm4eo_xr.networks.gradients.maps import NO_AFFINE, NO_MAP
from osm4eo_xr.networks.gradients.network import NetworkGradient, compile_gradients
from osm4eo_xr.networks.gradients.pointwise import mix, mix_back
from osm4eo_xr.networks.gradients.products import HEIGHT, LANES, multiply, padded, whole
from osm4eo_xr.networks.gradients.rows import blocks_of, places_of, spare_of
from osm4eo_xr.networks.gradients.sums import join_back, repeat, repeat_back
from osm4eo_xr.networks.gradients.windows import convolve, convolve_back
from osm4eo_xr.networks.resnet import apply_train
from osm4eo_xr.networks.settings import NetSettings
from osm4eo_xr.process.compiled import compiled
from tests.networks.test_resnet import random_variables

CLOSE = 1e-2  # of a gradient's length: a rectifier near 0 may open by one sum and not by another

PLAIN = NetSettings(bands=4, classes=5, depth=11, width=6, kernel=3, decoder=10)
NETS = {
    "dense": (PLAIN, 8),
    "whole vectors": (NetSettings(bands=16, classes=16, depth=11, width=16, kernel=3), 12),
    "deep, kernel 5": (NetSettings(bands=3, classes=2, depth=20, width=4, decoder=8), 16),
    "kernel 1": (NetSettings(bands=3, classes=3, depth=11, width=5, kernel=1), 4),
    "window": (NetSettings(bands=4, classes=5, depth=20, width=6, mode="window", window=12), 12),
    "rows longer than a product": (PLAIN, 260),
}


def _case(net: NetSettings, edge: int, samples: int = 3) -> tuple[Any, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    variables = jax.tree.map(np.asarray, random_variables(net))
    x = rng.normal(size=(samples, edge, edge, net.bands)).astype(np.float32)
    shape = jax.eval_shape(lambda v, x: apply_train(net, v, x)[0], variables, x).shape
    return variables, x, (rng.normal(size=shape) / np.prod(shape)).astype(np.float32)


def _by_xla(net: NetSettings, variables: Any, x: np.ndarray, slope: np.ndarray) -> Any:
    def total(params: Any) -> Any:
        given = {"params": params, "batch_stats": variables["batch_stats"]}
        logits, stats = apply_train(net, given, jnp.asarray(x))
        return (logits * slope).sum(), (logits, stats)

    differ = jax.jit(jax.value_and_grad(total, has_aux=True))
    (_, (logits, stats)), found = differ(variables["params"])
    return jax.tree.map(np.asarray, (logits, stats, found))


def _assert_close(found: Any, expected: Any) -> None:
    known, ours = (dict(jax.tree_util.tree_leaves_with_path(tree)) for tree in (expected, found))
    assert known.keys() == ours.keys()
    least = 1e-3 * np.sqrt(sum((leaf**2).sum() for leaf in known.values()))
    for path, leaf in known.items():
        assert ours[path].shape == leaf.shape
        assert ours[path].dtype == np.float32
        length = max(float(np.linalg.norm(leaf)), least)
        assert np.linalg.norm(ours[path] - leaf) <= CLOSE * length, path


@pytest.mark.parametrize("name", NETS)
def test_logits_statistics_and_gradients_are_those_of_xla(name: str) -> None:
    net, edge = NETS[name]
    variables, x, slope = _case(net, edge, samples=1 if edge > 100 else 3)
    network = NetworkGradient(net, threads=2)
    logits, stats = network.forward(variables, x)
    expected, known_stats, known = _by_xla(net, variables, x, slope)
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-4)
    for one, other in zip(*map(jax.tree.leaves, (stats, known_stats)), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
    _assert_close(network.backward(slope), known)


def test_memory_is_used_again_for_batches_of_other_sizes() -> None:
    network = NetworkGradient(PLAIN, threads=2)
    for samples, edge in ((5, 8), (2, 12), (5, 8)):
        variables, x, slope = _case(PLAIN, edge, samples)
        fresh = NetworkGradient(PLAIN, threads=2)
        pair = [(n.forward(variables, x)[0].copy(), n.backward(slope)) for n in (network, fresh)]
        for one, other in zip(*map(jax.tree.leaves, pair), strict=True):
            np.testing.assert_array_equal(one, other)


def test_memory_is_free_once_nobody_trains() -> None:
    variables, x, slope = _case(PLAIN, 8)
    network = NetworkGradient(PLAIN, threads=2)
    network.forward(variables, x)
    network.backward(slope)
    held = weakref.ref(network)
    gc.disable()  # which would find circles
    try:
        del network
        assert held() is None
    finally:
        gc.enable()


def test_kernels_are_compiled_once_for_arrays_of_jax_and_of_numpy() -> None:
    """What ``compile_gradients`` compiles is all that a training needs."""
    compile_gradients()
    variables, x, slope = _case(PLAIN, 8)
    for array in (*jax.tree.leaves(variables), x, slope):
        array.flags.writeable = False  # as jax hands them out
    network = NetworkGradient(PLAIN, threads=1)
    network.forward(variables, x)
    network.backward(slope)
    for kernel in (mix, mix_back, convolve, convolve_back, join_back, repeat, repeat_back):
        assert len(kernel.signatures) == 1, kernel


@pytest.mark.parametrize(("shape", "said"), [((1, 8, 10, 4), "8 x 10"), ((1, 8, 8, 3), "3 bands")])
def test_images_that_do_not_fit_are_refused(shape: tuple[int, ...], said: str) -> None:
    network = NetworkGradient(PLAIN, threads=1)
    with pytest.raises(InputError, match=said):
        network.forward(_case(PLAIN, 8)[0], np.zeros(shape, np.float32))


@pytest.mark.parametrize("name", ["dense", "window"])
def test_what_is_not_a_number_shows_in_the_logits(name: str) -> None:
    """So that a training stops at once, as with jax."""
    net, edge = NETS[name]
    variables, x, _ = _case(net, edge)
    x[1, 2, 3] = np.nan
    logits, _ = NetworkGradient(net, threads=2).forward(variables, x)
    assert np.isnan(logits).all()


def test_how_many_threads_share_the_samples_changes_no_digit() -> None:
    variables, x, slope = _case(PLAIN, 8, samples=11)
    found = []
    for threads in (1, 2, 3, 16):
        network = NetworkGradient(PLAIN, threads)
        network.forward(variables, x)
        found.append(jax.tree.leaves(network.backward(slope)))
    for leaves in zip(*found, strict=True):
        for leaf in leaves[1:]:
            np.testing.assert_array_equal(leaf, leaves[0])


@compiled()
def _multiplied(
    a: np.ndarray, offsets: np.ndarray, count: int, a_step: int, a_line: int, lines: int,
    depth: int, b: np.ndarray, columns: int, c: np.ndarray, add: int,
) -> None:  # fmt: skip
    multiply(
        a, 1, offsets, count, a_step, a_line, lines, depth, b, 0, columns, depth * columns, c, 0,
        columns, add,
    )  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(
    rows=st.integers(1, 21),
    columns=st.integers(1, 70),
    lines=st.integers(1, 4),
    depth=st.integers(1, 9),
    step=st.integers(1, 3),
    add=st.booleans(),
    seed=st.integers(0, 99),
)
def test_products_of_windows_are_those_of_numpy(
    rows: int, columns: int, lines: int, depth: int, step: int, add: bool, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    wide, high, a_line = padded(columns), whole(rows), 11
    assert wide % LANES == high % HEIGHT == 0
    offsets = rng.integers(0, 50, high)
    a = rng.normal(size=1 + 50 + lines * a_line + depth * step).astype(np.float32)
    b = rng.normal(size=(lines, depth, wide)).astype(np.float32)
    c = rng.normal(size=(high, wide)).astype(np.float32)
    at = 1 + offsets[:, None, None] + a_line * np.arange(lines)[:, None] + step * np.arange(depth)
    expected = np.einsum("mlk,lkc->mc", a[at].astype(float), b) + (c if add else 0)
    out = c.copy()
    _multiplied(
        a, offsets, rows, step, a_line, lines, depth, b.ravel(), wide, out.reshape(-1), int(add)
    )
    np.testing.assert_allclose(out[:high], expected, rtol=1e-4, atol=1e-4)


@settings(max_examples=60, deadline=None)
@given(
    rows=st.integers(1, 40),
    cols=st.integers(1, 40),
    width=st.sampled_from((1, 3, 5)),
    inputs=st.integers(1, 3),
)
def test_products_of_windows_read_nothing_behind_their_memory(
    rows: int, cols: int, width: int, inputs: int
) -> None:
    images, high = blocks_of.py_func(rows, cols)
    line = (cols + width - 1) * inputs
    plane = (rows + width - 1) * line
    places = places_of.py_func(images, plane, high, line, cols, inputs)
    held = images * plane + spare_of.py_func(cols, line)
    for top in range(0, rows, high):
        for many in range(1, images + 1):
            read = places[: whole(many * min(high, rows - top) * cols)]
            assert read.max() + (top + width - 1) * line + width * inputs <= held


def test_products_of_pixels_read_nothing_behind_a_map() -> None:
    """The map ends where memory ends that may be read, and its last rows fill half of a product."""
    shape, page = (1, 23, 13, 4), mmap.PAGESIZE
    held = -(-4 * math.prod(shape) // page) * page
    memory = mmap.mmap(-1, held + page)
    begin = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    assert ctypes.CDLL(None).mprotect(ctypes.c_void_p(begin + held), page, 0) == 0
    x = np.frombuffer(memory, np.float32, math.prod(shape), held - 4 * math.prod(shape))
    x = x.reshape(shape)
    x[:] = np.random.default_rng(0).normal(size=shape)
    out, sums, weight = np.empty(shape, np.float32), np.empty((1, 2, 4)), np.zeros((4, padded(4)))
    weight[:, :4] = np.eye(4)
    none, ends = np.empty((0, 0, 0, 0), np.float32), np.array([0, 1])
    plain = np.empty((2, 0), np.float32)
    mix(
        x, 1, plain, weight.astype(np.float32), none, 1, plain, plain, np.zeros(4, np.float32),
        none, out, sums, ends, 0, 1,
    )  # fmt: skip
    np.testing.assert_array_equal(out, x)


@pytest.mark.skipif(platform.machine() != "x86_64", reason="processors of another kind")
@pytest.mark.parametrize("processor", ["haswell", "nehalem"])
def test_other_processors_get_vectors_of_their_own(processor: str) -> None:
    """Kernels compiled for fewer registers, or without fused products, give the same gradients."""
    features = {"haswell": "+avx,+avx2,+fma", "nehalem": ""}[processor]
    lanes = {"haswell": 8, "nehalem": 4}[processor]
    script = (
        "from tests.networks import test_gradients as t\n"
        f"assert t.LANES == {lanes}\n"
        "t.test_logits_statistics_and_gradients_are_those_of_xla('dense')\n"
    )
    environment = {**os.environ, "NUMBA_CPU_NAME": processor, "NUMBA_CPU_FEATURES": features}
    subprocess.run([sys.executable, "-c", script], check=True, env=environment)


@pytest.mark.parametrize("channels", [16, 300, 600])
def test_sums_keep_their_digits_however_many_pixels(channels: int) -> None:
    """The variance is a small difference of large sums."""
    rng = np.random.default_rng(0)
    x = rng.normal(8, 1, (4, 64, 64, channels)).astype(np.float32)
    weight = np.zeros((channels, padded(channels)), np.float32)
    np.fill_diagonal(weight, 1)
    sums, ends = np.empty((1, 2, channels)), np.array([0, len(x)])
    nothing = NO_MAP, 1, NO_AFFINE, np.empty((0, 0), np.float32)
    bias = np.zeros(channels, np.float32)
    mix(x, 1, NO_AFFINE, weight, *nothing, bias, NO_MAP, np.empty_like(x), sums, ends, 0, 1)
    mean, square = sums[0] / x[..., 0].size
    np.testing.assert_allclose(square - mean**2, x.var(axis=(0, 1, 2), dtype=np.float64), rtol=2e-4)
