"""Inference on this CPU: every engine and mode against PyTorch and the machine's sgemm peak.

    python tests/benchmarks/inference.py [--edge 512] [--rounds 3] [--windows 4096] [--threads 2]

The same network with the same random weights, folded, runs in jax, ONNX Runtime and, where torch
is installed, PyTorch (channels-last, inference mode). Rounds are interleaved, medians reported.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from osm4eo_xr._engine import JaxEngine, run_block
from osm4eo_xr._engine_onnx import OnnxEngine
from osm4eo_xr._program import Plan
from osm4eo_xr.model import Model, Normalisation
from osm4eo_xr.resnet import NetSettings, fold, footprint, init

BANDS = ("blue", "green", "red", "nir")
FLOP_PER_PIXEL = {"dense": 0.47e6, "window": 60e6}


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--edge", type=int, default=512, help="edge of the dense block, pixels")
    parser.add_argument("--windows", type=int, default=2048, help="windows per round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2, help="of PyTorch")
    arguments = parser.parse_args()
    peak = sgemm_peak()
    print(f"sgemm peak {peak / 1e9:.0f} GFLOP/s")
    for mode in ("dense", "window"):
        compare(mode, arguments, peak)


def compare(mode: Any, arguments: argparse.Namespace, peak: float) -> None:
    """Print one mode's table."""
    net = NetSettings(bands=4, classes=12, mode=mode)
    model = Model(
        net=net,
        variables=init(net, jax.random.key(0)),
        bands=BANDS,
        normalisation=Normalisation((0.0,) * 4, (1.0,) * 4),
    )
    rows = arguments.edge if mode == "dense" else arguments.windows // 64
    cols = arguments.edge if mode == "dense" else 64
    plan = Plan(net, model.class_ids, ("classes",), rows, cols, footprint(net).halo, 6, "float32")
    block = np.random.default_rng(0).normal(size=plan.block_shape).astype(np.float32)
    zero, one = np.zeros(4, np.float32), np.ones(4, np.float32)
    engines = {"jax": JaxEngine(model, plan), "onnx": OnnxEngine(model, plan)}
    runs: dict[str, Any] = {
        name: lambda engine=engine: run_block(engine, block, zero, one)
        for name, engine in engines.items()
    }
    torch_run = torch_network(model, plan, block, arguments.threads)
    if torch_run:
        runs["torch"] = torch_run
    maps = {name: np.asarray(run()) for name, run in runs.items()}
    seconds = interleaved(runs, arguments.rounds)
    reference = seconds.get("torch", seconds["jax"])
    print(f"{mode}: {rows} x {cols} pixels, halo included in the time")
    for name, each in seconds.items():
        rate = rows * cols / each
        flops = rate * FLOP_PER_PIXEL[mode]
        differing = int((maps[name] != maps["jax"]).sum())
        print(
            f"  {name:6} {rate:10,.0f} px/s  {flops / 1e9:6.1f} GFLOP/s useful  "
            f"{flops / peak:5.0%} of peak  {reference / each:5.2f} x reference  "
            f"{differing} pixels differ from jax"
        )


def interleaved(runs: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Median seconds of each, measured in turns."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            started = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - started)
    return {name: statistics.median(values) for name, values in seconds.items()}


def sgemm_peak(size: int = 2048) -> float:
    """Floating-point operations per second of a large matrix product."""
    a = np.random.default_rng(0).normal(size=(size, size)).astype(np.float32)
    best = min(interleaved({"sgemm": lambda: a @ a}, 1)["sgemm"] for _ in range(6))
    return 2 * size**3 / best


def torch_network(
    model: Model, plan: Plan, block: np.ndarray, threads: int
) -> Callable[[], Any] | None:
    """Return a function that runs the folded network in PyTorch, or None without torch."""
    try:
        import torch  # pyright: ignore[reportMissingImports] - a peer, not a dependency
    except ImportError:
        return None
    torch.set_num_threads(threads)
    network = TorchNetwork(torch, fold(model.variables), plan.net)
    margin = plan.margin
    if plan.net.mode == "dense":
        x = block[None]
    else:
        first = margin - plan.centre
        views = np.lib.stride_tricks.sliding_window_view(block, (12, 12), axis=(1, 2))
        views = views[:, first : first + plan.rows, first : first + plan.cols]
        x = views.transpose(1, 2, 0, 3, 4).reshape(-1, 4, 12, 12)
    tensor = torch.from_numpy(np.array(x)).to(memory_format=torch.channels_last)

    def run() -> np.ndarray:
        with torch.inference_mode():
            if plan.net.mode == "window":
                logits = torch.cat([network(part) for part in tensor.split(256)])
                return logits.argmax(1).numpy().reshape(1, plan.rows, plan.cols) + 1
            crop = slice(margin, margin + plan.rows), slice(margin, margin + plan.cols)
            return network(tensor)[0].argmax(0).numpy()[crop][None] + 1

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
        return self.torch.from_numpy(leaf.reshape(-1, 1, 1) if affine else leaf)

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
