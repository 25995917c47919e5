"""Training steps beside the same network in PyTorch: samples/s and share of the peak.

Needs torch beside the package. All start from the same weights and see the same batch; logits are
compared first. A step is forward, cross entropy over labeled pixels, backward, clipping and AdamW.
Rounds of a few steps alternate, so that other load on the machine meets all; the first step of a
round is not counted. Both of our engines are shown; "auto" takes the kernels for dense networks and
jax for small windows. Our loop keeps the heap between steps (``kept_heap``), so PyTorch is shown
both as its users have it and with that. Ratios are to PyTorch as it is:

    python tests/benchmarks/training.py --depth 11 --kernel 3 --batch 32
    python tests/benchmarks/training.py --depth 11 --kernel 3 --batch 32 --mode window --patch 12
"""

import argparse
import importlib
import statistics
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from osm4eo_xr import TrainSettings
from osm4eo_xr.networks.fold_batch_norm import EPSILON
from osm4eo_xr.networks.resnet import apply_train, init
from osm4eo_xr.networks.settings import STRIDES, NetSettings
from osm4eo_xr.process.heap import kept_heap
from osm4eo_xr.training.step.inputs import normalized
from osm4eo_xr.training.step.task import Task, numbers_of
from osm4eo_xr.training.step.train_step import fresh_state, make_train_step

# Loaded by name: torch is no dependency of the tests, and the type checker does not know it.
torch: Any = importlib.import_module("torch")
nn: Any = torch.nn
cross_entropy: Any = nn.functional.cross_entropy
FlopCounterMode: Any = importlib.import_module("torch.utils.flop_counter").FlopCounterMode

CLASSES, BANDS = 12, 10
_ROUND = 3  # steps of each in turn


class Net(nn.Module):
    """The package's network, layer by layer, channels first."""

    def __init__(self, net: NetSettings, variables: dict[str, Any]) -> None:
        super().__init__()
        self.net, self.given, self.layers = net, variables["params"], nn.ModuleDict()

    def take(self, name: str, make: Callable[[Any], Any]) -> Any:
        """Return a layer, made with its weights when it is met first."""
        key = name.replace(".", "_")
        if key not in self.layers:
            part = self.given
            for step in name.split("."):
                part = part[step]
            self.layers[key] = make(part)
        return self.layers[key]

    def conv(self, x: Any, name: str, stride: int = 1) -> Any:
        def make(part: Any) -> Any:
            kernel = torch.tensor(np.asarray(part["kernel"])).permute(3, 2, 0, 1)
            layer = nn.Conv2d(
                kernel.shape[1], kernel.shape[0], kernel.shape[2], stride, kernel.shape[2] // 2
            )
            layer.weight.data = kernel.contiguous(memory_format=torch.channels_last)
            layer.bias.data = torch.tensor(np.asarray(part["bias"]))
            return layer

        return self.take(name, make)(x)

    def act(self, x: Any, name: str) -> Any:
        def make(part: Any) -> Any:
            return nn.BatchNorm2d(len(part["scale"]), eps=EPSILON, momentum=0.1)

        return torch.relu(self.take(name, make)(x))

    def forward(self, x: Any) -> Any:
        x, levels = self.act(self.conv(x, "stem"), "stem_norm"), []
        for stage, stride in enumerate(STRIDES):
            for block in range(self.net.blocks):
                x = self.block(x, f"stage{stage}_block{block}", stage + block, block, stride)
            levels.append(x)
        if self.net.mode == "window":
            top = self.act(levels[-1], "out_norm2").mean((2, 3), keepdim=True)
            return self.conv(top, "head")[:, :, 0, 0]
        return self.conv(self.decode(levels), "head")

    def block(self, x: Any, name: str, nth: int, block: int, stride: int) -> Any:
        stride = stride if block == 0 else 1
        y = self.act(x, f"{name}.norm1") if nth else x
        y = self.act(self.conv(y, f"{name}.conv1", stride), f"{name}.norm2")
        y = self.act(self.conv(y, f"{name}.conv2"), f"{name}.norm3")
        y = self.conv(y, f"{name}.conv3")
        return y + (self.conv(x, f"{name}.shortcut", stride) if block == 0 else x)

    def decode(self, levels: list[Any]) -> Any:
        lateral = [
            self.conv(self.act(x, f"out_norm{k}"), f"lateral{k}") for k, x in enumerate(levels)
        ]
        top = lateral.pop()
        while lateral:
            k = len(lateral) - 1
            wide = top.repeat_interleave(STRIDES[k + 1], 2).repeat_interleave(STRIDES[k + 1], 3)
            top = self.act(self.conv(lateral.pop() + wide, f"smooth{k}"), f"smooth_norm{k}")
        return top


def our_step(task: Task, variables: Any, image: np.ndarray, label: np.ndarray) -> Callable[[], Any]:
    """Return a function that takes one step of the package's loop."""
    held = [fresh_state(task, variables)]
    step, x, y = make_train_step(task), jnp.asarray(image), jnp.asarray(label)

    def take() -> None:
        held[0], sums = step(held[0], x, y)
        jax.block_until_ready((held[0], sums))

    return take


def torch_step(model: Net, settings: TrainSettings, x: Any, y: Any) -> Callable[[], Any]:
    """Return a function that takes one step in PyTorch."""
    rule = torch.optim.AdamW(model.parameters(), settings.learning_rate)

    def take() -> None:
        rule.zero_grad(set_to_none=True)
        cross_entropy(model(x), y, ignore_index=-1).backward()
        nn.utils.clip_grad_norm_(model.parameters(), settings.clip)
        rule.step()
        if x.is_cuda:
            torch.cuda.synchronize()

    return take


def peak_of(device: str) -> float:
    """Return the FLOP/s of a large product of float32 matrices, the better of torch and jax."""
    size = 2048
    a, b = torch.rand(size, size, device=device), jnp.ones((size, size), jnp.float32)
    product = jax.jit(lambda m: m @ m)

    def in_torch() -> None:
        (a @ a).sum().item()

    works = (in_torch, lambda: product(b).block_until_ready())
    best = min(timed(work) for work in works for _ in range(5))
    return 2 * size**3 / best


def timed(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def compare(options: argparse.Namespace) -> None:
    settings = TrainSettings(
        depth=options.depth,
        width=options.width,
        kernel=options.kernel,
        mode=options.mode,
        window=options.patch,
        batch=options.batch,
        flips=False,
    )
    net = settings.net(bands=BANDS, classes=CLASSES)
    ids = tuple(range(1, CLASSES + 1))
    zero, one = (0.0,) * BANDS, (1.0,) * BANDS
    tasks = {
        engine: Task(
            net, replace(settings, engine=engine), ids, zero, one, (1.0,) * CLASSES, options.batch,
            1000,
        )
        for engine in ("kernels", "jax")
    }  # fmt: skip
    task = tasks["jax"]
    rng = np.random.default_rng(0)
    shape = (options.batch, options.patch, options.patch)
    image = rng.normal(size=(*shape, BANDS)).astype(np.float32)
    label = rng.integers(0, CLASSES + 1, shape[:1] if net.mode == "window" else shape)
    # Copies, since each engine gives the memory of its own away.
    variables = jax.tree.map(np.array, init(net, jax.random.key(0)))

    device = "cuda" if torch.cuda.is_available() else "cpu"
    x = torch.tensor(image.transpose(0, 3, 1, 2)).contiguous(memory_format=torch.channels_last)
    x, y = x.to(device), torch.tensor(label.astype(np.int64) - 1, device=device)
    model = Net(net, variables).train()
    with torch.no_grad():
        theirs = model.cpu()(x.cpu()).numpy()
    logits = np.asarray(
        apply_train(net, variables, normalized(task, *numbers_of(task)[:2], jnp.asarray(image)))[0]
    )
    theirs = theirs if net.mode == "window" else theirs.transpose(0, 2, 3, 1)
    print(
        f"largest difference of logits {np.abs(logits - theirs).max():.2e}, of {np.ptp(logits):.3g}"
    )
    model.to(device)
    with FlopCounterMode(display=False) as counter:
        cross_entropy(model(x), y, ignore_index=-1).backward()
    flops = counter.get_total_flops()

    ours = {k: our_step(v, variables, image, label.astype(np.uint8)) for k, v in tasks.items()}
    theirs_at_once = torch_step(model, settings, x, y)
    named = f"PyTorch {torch.__version__} (float32)"
    steps = {
        **{f"osm4eo_xr, engine {k!r} ({task.dtype})": (kept_heap, v) for k, v in ours.items()},
        f"{named}, heap kept": (kept_heap, theirs_at_once),
        named: (nullcontext, theirs_at_once),
    }
    times: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(-(-options.steps // _ROUND)):
        for name, (around, take) in steps.items():
            with around():
                take()
                times[name] += [timed(take) for _ in range(_ROUND)]
    report(options, times, flops, peak_of(device))


def report(
    options: argparse.Namespace, times: dict[str, list[float]], flops: float, peak: float
) -> None:
    print(
        f"{options.mode}, depth {options.depth}, width {options.width}, kernel {options.kernel}, "
        f"batch {options.batch} of {options.patch} x {options.patch} x {BANDS}; "
        f"{flops / 1e9:.1f} GFLOP per step, sgemm peak {peak / 1e9:.0f} GFLOP/s"
    )
    medians = {name: statistics.median(found) for name, found in times.items()}
    theirs = list(medians.values())[-1]
    print(f"{'':40} {'samples/s':>10} {'ms/step':>9} {'of peak':>8} {'ratio':>6}")
    for name, median in medians.items():
        print(
            f"{name:40} {options.batch / median:10.0f} {1e3 * median:9.0f} "
            f"{100 * flops / median / peak:7.0f}% {theirs / median:6.2f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mode", choices=["dense", "window"], default="dense")
    for name, default in (("depth", 29), ("width", 16), ("kernel", 5), ("batch", 16)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--patch", type=int, default=32, help="edge in pixels")
    parser.add_argument("--steps", type=int, default=7)
    compare(parser.parse_args())


if __name__ == "__main__":
    main()
