"""Inference on this machine: each engine and mode beside Keras, PyTorch and the sgemm peak.

    python -m tests.benchmarks.inference [--edge 1024] [--windows 2048] [--rounds 3] [--threads 2]

Dense mode runs a network with random weights, window mode one that Keras built where tensorflow is
installed; every engine has the same weights. Peers, where they are installed:

- PyTorch: the same networks, folded, channels-last, inference mode;
- Keras: the original's procedure, ``predict`` on the windows of one row of the scene at a time.

Rounds are interleaved and medians reported. ``per CPU s`` counts the seconds that all threads of
the process computed, which others on a busy machine hardly change; ratios are given by both. FLOP
are those of the convolutions for the pixels of the map, without the halo; the engine "winograd"
needs fewer, so its share of the peak may pass 100 %. Where jax sees a GPU, the peak is that of a
bfloat16 matrix product on it, and a scene is classified end to end to see how long the device was
idle.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from osm4eo_xr.cli.console import print_throughput
from osm4eo_xr.cogs.cog import write_cog
from osm4eo_xr.geometry.grid import georeference, target_geobox
from osm4eo_xr.inference.onnx_engine import OnnxEngine
from osm4eo_xr.inference.prediction import classify
from osm4eo_xr.inference.program import ProgramSpec
from osm4eo_xr.inference.throughput import read_throughput
from osm4eo_xr.inference.winograd_engine import WinogradEngine
from osm4eo_xr.inference.worker import Engine, JaxEngine, run_block
from osm4eo_xr.models.keras_import import import_keras
from osm4eo_xr.models.model import Model
from osm4eo_xr.models.record import Normalization
from osm4eo_xr.networks import resnet
from osm4eo_xr.networks.fold_batch_norm import fold
from osm4eo_xr.networks.resnet import init
from osm4eo_xr.networks.settings import NetSettings
from tests.cases import keras_case

BANDS = ("blue", "green", "red", "nir")
FIXED = Normalization((0.0,) * 4, (1.0,) * 4)
ROW = 64  # windows of a row in window mode
KERAS_ROW = 512  # and in the original's procedure, so that a call's overhead counts for little


def main() -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--edge", type=int, default=1024, help="edge of the dense block, pixels")
    parser.add_argument("--windows", type=int, default=2048, help="windows per round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2, help="of PyTorch")
    arguments = parser.parse_args()
    peak = device_peak()
    print(f"{jax.devices()[0].device_kind}: matrix products reach {peak / 1e9:.0f} GFLOP/s")
    network, window = window_models()
    dense = Model(
        net=NetSettings(bands=4, classes=12),
        variables=init(NetSettings(bands=4, classes=12), jax.random.key(0)),
        bands=BANDS,
        normalization=FIXED,
    )
    original = original_procedure(network) if network else None
    for model in (dense, window):
        compare(model, arguments, peak, original)
    print(f"matrix products again: {device_peak() / 1e9:.0f} GFLOP/s")
    if jax.default_backend() != "cpu":
        end_to_end(dense)


def window_models() -> tuple[Any, Model]:
    """Return the original's network in Keras, or None, and the same network here."""
    if not find_spec("tensorflow"):
        net = NetSettings(bands=4, classes=12, mode="window")
        return None, Model(net, init(net, jax.random.key(0)), BANDS, FIXED)
    keras = import_module("tensorflow").keras
    network = keras_case.build(keras, depth=29, bands=4)
    keras_case.randomise(network)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "network.h5")
        network.save(file)
        read = import_keras(file)
    return network, Model(read.net, read.variables, BANDS, FIXED, class_ids=read.class_ids)


def original_procedure(network: Any) -> tuple[int, Callable[[], Any]]:
    """Return the pixels and the function that predicts a row of windows as the original did."""
    x = np.random.default_rng(0).normal(size=(KERAS_ROW, 12, 12, 4)).astype(np.float32)
    return KERAS_ROW, lambda: network.predict(x, verbose=0).argmax(axis=-1)


def compare(
    model: Model, arguments: argparse.Namespace, peak: float, original: tuple[int, Any] | None
) -> None:
    """Print one mode's table."""
    net = model.net
    rows = arguments.edge if net.mode == "dense" else arguments.windows // ROW
    cols = arguments.edge if net.mode == "dense" else ROW
    halo = model.footprint.halo
    spec = ProgramSpec(net, model.class_ids, ("classes",), rows, cols, halo, 6, "float32")
    block = np.random.default_rng(0).normal(size=spec.block_shape).astype(np.float32)
    zero, one = np.zeros(4, np.float32), np.ones(4, np.float32)
    engines: dict[str, Engine] = {"jax": JaxEngine(model, spec), "onnx": OnnxEngine(model, spec)}
    if net.fits_winograd:
        engines["winograd"] = WinogradEngine(model, spec)
    runs: dict[str, Any] = {
        name: lambda engine=engine: run_block(engine, block, zero, one)
        for name, engine in engines.items()
    }
    count = rows * cols
    pixels = {**dict.fromkeys(engines, count), "torch": count}
    torch_run = torch_network(model, spec, block, arguments.threads)
    if torch_run:
        runs["torch"] = torch_run
    maps = {name: np.asarray(run()) for name, run in runs.items()}
    if original:
        pixels["keras"], runs["keras"] = original
        runs["keras"]()
    seconds = interleaved(runs, arguments.rounds)
    rates = {name: pixels[name] / each.wall for name, each in seconds.items()}
    thrift = {name: pixels[name] / each.cpu for name, each in seconds.items()}
    flop = dict.fromkeys(rates, flop_per_pixel(net))
    if original:
        flop["keras"] = flop_per_pixel(NetSettings(bands=4, classes=13, mode="window"))
    print(f"{net.mode}: {rows} x {cols} pixels, halo of {halo} included in the time")
    print(
        "            pixels/s   per CPU s  GFLOP/s  of peak  x torch (CPU)  x original (CPU) "
        " differ"
    )
    for name, rate in rates.items():
        speed = rate * flop[name]
        ratios = (
            f"{rate / rates[peer]:8.2f} ({thrift[name] / thrift[peer]:6.2f})"
            if peer in rates
            else f"{'-':>17}"
            for peer in PEERS
        )
        differing = f"{int((maps[name] != maps['jax']).sum())}" if name in maps else "-"
        print(
            f"  {name:8}{rate:10,.0f} {thrift[name]:11,.0f} {speed / 1e9:8.1f} {speed / peak:8.0%} "
            f"{' '.join(ratios)} {differing:>7}",
            flush=True,
        )


PEERS = ("torch", "keras")


def flop_per_pixel(net: NetSettings) -> float:
    """Floating-point operations of the convolutions per pixel of the map."""
    total = 0.0
    shapes = resnet.variable_shapes(net)["params"]
    for path, leaf in jax.tree_util.tree_flatten_with_path(shapes)[0]:
        name = path[0].key
        if path[-1].key == "kernel":
            level = int(name[5]) if name.startswith("stage") else int(name[-1:].strip("dm") or 0)
            total += 2 * leaf.size / 4**level
    return total * (net.window**2 if net.mode == "window" else 1)


def end_to_end(model: Model) -> None:
    """Classify a scene from memory to a COG and print how busy the device was."""
    data = np.random.default_rng(0).normal(size=(4, 8192, 8192)).astype(np.float32)
    geobox = target_geobox((0, 0, 81920, 81920))
    scene = georeference(data, geobox, dims=("band", "y", "x"), coords={"band": list(BANDS)})
    read_throughput(reset=True)
    with tempfile.TemporaryDirectory() as folder:
        write_cog(classify(scene.chunk({"y": 1024, "x": 1024}), model), Path(folder) / "map.tif")
    print_throughput(read_throughput())


class Seconds(NamedTuple):
    """Wall time, and the time that all threads of this process computed."""

    wall: float
    cpu: float


def interleaved(runs: dict[str, Callable[[], Any]], rounds: int) -> dict[str, Seconds]:
    """Median seconds of each, measured in turns."""
    seconds: dict[str, list[Seconds]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            wall, cpu = time.perf_counter(), time.process_time()
            run()
            seconds[name].append(Seconds(time.perf_counter() - wall, time.process_time() - cpu))
    return {
        name: Seconds(*(statistics.median(part) for part in zip(*values, strict=True)))
        for name, values in seconds.items()
    }


def device_peak() -> float:
    """Floating-point operations per second of a large matrix product: sgemm, bfloat16 on a GPU."""
    if jax.default_backend() == "cpu":
        size = 2048
        a: Any = np.random.default_rng(0).normal(size=(size, size)).astype(np.float32)
        best = min(interleaved({"peak": lambda: a @ a}, 1)["peak"].wall for _ in range(6))
        return 2 * size**3 / best
    size = 8192
    b = jnp.ones((size, size), jnp.bfloat16)
    product = jax.jit(jnp.matmul)
    run = {"peak": lambda: jax.block_until_ready(product(b, b))}
    return 2 * size**3 / min(interleaved(run, 1)["peak"].wall for _ in range(6))


def torch_network(
    model: Model, spec: ProgramSpec, block: np.ndarray, threads: int
) -> Callable[[], Any] | None:
    """Return a function that runs the folded network in PyTorch, or None without torch."""
    try:
        import torch  # pyright: ignore[reportMissingImports] - a peer, not a dependency
    except ImportError:
        return None
    torch.set_num_threads(threads)
    network = TorchNetwork(torch, fold(model.net, model.variables), spec.net)
    margin = spec.margin
    if spec.net.mode == "dense":
        x = block[None]
    else:
        first = margin - spec.center
        views = np.lib.stride_tricks.sliding_window_view(block, (12, 12), axis=(1, 2))
        views = views[:, first : first + spec.rows, first : first + spec.cols]
        x = views.transpose(1, 2, 0, 3, 4).reshape(-1, 4, 12, 12)
    tensor = torch.from_numpy(np.array(x)).to(memory_format=torch.channels_last)

    def run() -> np.ndarray:
        with torch.inference_mode():
            if spec.net.mode == "window":
                logits = torch.cat([network(part) for part in tensor.split(256)])
                best = logits.argmax(1).numpy().reshape(1, spec.rows, spec.cols)
                return np.asarray(spec.class_ids)[best]
            crop = slice(margin, margin + spec.rows), slice(margin, margin + spec.cols)
            best = network(tensor)[0].argmax(0).numpy()[crop][None]
            return np.asarray(spec.class_ids)[best]

    return run


class TorchNetwork:
    """The folded network in PyTorch."""

    def __init__(self, torch: Any, folded: dict[str, Any], net: NetSettings) -> None:
        self.torch, self.net = torch, net
        self.params = jax.tree_util.tree_map_with_path(self._tensor, folded)

    def _tensor(self, path: Any, leaf: np.ndarray) -> Any:
        if path[-1].key == "kernel":
            tensor = self.torch.from_numpy(np.ascontiguousarray(leaf.transpose(3, 2, 0, 1)))
            return tensor.to(memory_format=self.torch.channels_last)
        affine = "norm" in path[-2].key
        return self.torch.from_numpy(np.array(leaf.reshape(-1, 1, 1) if affine else leaf))

    def conv(self, x: Any, layer: dict[str, Any], stride: int = 1) -> Any:
        kernel = layer["kernel"]
        reach = kernel.shape[-1] // 2
        return self.torch.nn.functional.conv2d(x, kernel, layer["bias"], stride, reach)

    def affine(self, x: Any, layer: dict[str, Any]) -> Any:
        return (x * layer["scale"] + layer["bias"]).relu_()

    def __call__(self, x: Any) -> Any:
        """Return logits."""
        p, levels = self.params, []
        x = self.conv(x, p["stem"]).relu_()
        for stage, stride in enumerate((1, 2, 2)):
            for block in range(self.net.blocks):
                q = p[f"stage{stage}_block{block}"]
                step = stride if block == 0 else 1
                y = self.affine(x, q["norm1"]) if stage + block else x
                y = self.conv(self.conv(y, q["conv1"], step).relu_(), q["conv2"]).relu_()
                y = self.conv(y, q["conv3"])
                x = (self.conv(x, q["shortcut"], step) if block == 0 else x) + y
            levels.append(x)
        if self.net.mode == "window":
            top = self.affine(levels[-1], p["out_norm2"]).mean((2, 3), keepdim=True)
            return self.conv(top, p["head"])[:, :, 0, 0]
        lateral = [
            self.conv(self.affine(v, p[f"out_norm{i}"]), p[f"lateral{i}"])
            for i, v in enumerate(levels)
        ]
        top = lateral[2]
        for i in (1, 0):
            up = self.torch.nn.functional.interpolate(top, scale_factor=2, mode="nearest")
            top = self.conv(lateral[i] + up, p[f"smooth{i}"]).relu_()
        return self.conv(top, p["head"])


if __name__ == "__main__":
    main()
