"""A real scene in many chunkings and in one forward pass: how many pixels of the map differ.

    python tests/benchmarks/chunkings.py MODEL [--edge 704] [--tile 256] [--engines winograd jax]

The scene is the demo's. Every chunking is compared with the first; then come one block as large
as the scene, one evaluation of the network as it was trained (not folded), and, in jax, bfloat16.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
import xarray as xr

import osm4eo_xr as oxr
from osm4eo_xr.demo import demo_scene_paths
from osm4eo_xr.networks import resnet


def main() -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("--edge", type=int, default=700, help="pixels of the scene along an axis")
    parser.add_argument("--tile", type=int, default=256)
    parser.add_argument("--engines", nargs="+", default=["winograd", "onnx", "jax"])
    arguments = parser.parse_args()
    model = oxr.load_model(arguments.model)
    scene = oxr.open_scene(demo_scene_paths(), bands=list(model.bands), geobox="native")
    edge = arguments.edge
    scene = scene.isel(y=slice(edge), x=slice(edge)).compute()
    print(f"scene {dict(scene.sizes)}, blocks of {arguments.tile}, halo {model.footprint.halo} px")
    whole = whole_pass(scene, model)
    for engine in arguments.engines:
        compare(scene, model, arguments.tile, engine, whole)
    short = oxr.classify(scene, model, block=arguments.tile, engine="jax", dtype="bfloat16").values
    report("bfloat16 in jax, against the whole pass in float32", short, whole)


def compare(scene: xr.DataArray, model: Any, tile: int, engine: Any, whole: np.ndarray) -> None:
    """Print one engine's lines."""
    maps = {}
    for name, chunks in chunkings(scene):
        chunked = scene.chunk({"band": -1, **chunks})
        maps[name] = oxr.classify(chunked, model, block=tile, engine=engine).values
        report(f"{engine}: {name}", maps[name], maps["1 chunk"])
    first = maps["1 chunk"]
    one = oxr.classify(scene, model, block=max(scene.shape), engine=engine).values
    report(f"{engine}: one block over the whole scene", one, first)
    report(f"{engine}: against the network as trained, one pass", first, whole)


def chunkings(scene: xr.DataArray) -> Iterator[tuple[str, dict[str, Any]]]:
    """Name chunkings and give them."""
    rows, cols = scene.sizes["y"], scene.sizes["x"]
    cuts = np.sort(np.random.default_rng(0).choice(np.arange(1, min(rows, cols)), 4, replace=False))
    ragged = {d: tuple(int(n) for n in np.diff([0, *cuts, scene.sizes[d]])) for d in ("y", "x")}
    yield "1 chunk", {"y": -1, "x": -1}
    yield "blocks of 256", {"y": 256, "x": 256}
    yield "97 x 131, no multiple of the stride", {"y": 97, "x": 131}
    yield f"ragged {ragged['y']}", ragged
    yield "strips of 50 rows", {"y": 50, "x": -1}
    yield "strips of 33 columns", {"y": -1, "x": 33}
    yield "half and half", {"y": rows // 2, "x": cols // 2}


def whole_pass(scene: xr.DataArray, model: Any) -> np.ndarray:
    """Classify the padded scene at once, with batch normalization as in training."""
    data = scene.values
    valid = np.isfinite(data).all(axis=0)
    normal = model.normalization
    center, scale = (np.float32(v).reshape(-1, 1, 1) for v in (normal.center, normal.scale))
    x = np.where(valid, (data - center) / scale, 0)
    halo, rows, cols = model.footprint.halo, scene.sizes["y"], scene.sizes["x"]
    x = np.pad(x, ((0, 0), *((halo, halo + -n % model.stride) for n in (rows, cols))))
    x = x.transpose(1, 2, 0)[None].astype(np.float32)
    logits = jax.jit(resnet.apply_eval, static_argnums=0)(model.net, model.variables, x)
    best = np.asarray(logits)[0, halo : halo + rows, halo : halo + cols].argmax(axis=-1)
    return np.where(valid, np.asarray(model.class_ids)[best], 0)


def report(name: str, found: np.ndarray, expected: np.ndarray) -> None:
    """Print how many pixels differ."""
    print(f"  {name}: {int((found != expected).sum())} of {found.size:,} differ", flush=True)


if __name__ == "__main__":
    main()
