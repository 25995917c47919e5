"""Dense network, window network and random forest on the demo's scene, on the same held-out blocks.

    python tests/benchmarks/learners.py [--first 0] [--seeds 3] [--window-epochs 12]

Each seed draws other blocks and other samples. Two tables: all labeled pixels of the test windows
(which the window network does not predict), and the drawn pixel of each (which all three do).
"""

import argparse
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import xarray as xr

import osm4eo_xr as oxr
from osm4eo_xr.accuracy.accuracy_report import AccuracyReport
from osm4eo_xr.demo import demo_osm_path, demo_scene_paths
from osm4eo_xr.training.fit import DEMO_SAMPLES, DEMO_SETTINGS

Row = tuple[str, str, AccuracyReport, float]


def samples_of(seed: int) -> xr.Dataset:
    scene = oxr.open_scene(demo_scene_paths(), chunks=512).compute()
    labels = oxr.rasterize_labels(oxr.read_landuse(demo_osm_path()), scene)
    return oxr.draw_samples(scene, labels, **DEMO_SAMPLES, seed=seed).compute()


def reports(samples: xr.Dataset, seed: int, window_epochs: int) -> Iterator[Row]:
    """Yield pixels, learner, report and seconds."""
    dense_settings = replace(DEMO_SETTINGS, seed=seed)
    window_settings = replace(
        dense_settings, mode="window", batch=64, epochs=window_epochs, validate_every=window_epochs
    )
    start = time.perf_counter()
    dense = oxr.train(samples, dense_settings)
    seconds = time.perf_counter() - start
    yield "all", "dense network", oxr.evaluate(dense, samples), seconds
    yield "drawn", "dense network", oxr.evaluate(dense, samples, pixels="center"), seconds
    start = time.perf_counter()
    window = oxr.train(samples, window_settings)
    seconds = time.perf_counter() - start
    yield "drawn", "window network", oxr.evaluate(window, samples), seconds
    for pixels in ("all", "drawn"):
        start = time.perf_counter()
        forest = oxr.random_forest_report(samples, seed=seed, center=pixels == "drawn")
        yield pixels, "random forest", forest, time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--seeds", type=int, default=3, help="how many")
    parser.add_argument("--window-epochs", type=int, default=12)
    arguments = parser.parse_args()
    scores: dict[tuple[str, str], list[tuple[float, float, float]]] = defaultdict(list)
    for seed in range(arguments.first, arguments.first + arguments.seeds):
        samples = samples_of(seed)
        for pixels, learner, report, seconds in reports(samples, seed, arguments.window_epochs):
            scores[pixels, learner].append((report.overall_accuracy, report.kappa, seconds))
            print(
                f"seed {seed}  {pixels:5}  {learner:14}  overall {report.overall_accuracy:.3f}  "
                f"kappa {report.kappa:.3f}  {report.total} pixels  {seconds:.0f} s",
                flush=True,
            )
    print(f"\nmean ± standard deviation over {arguments.seeds} seeds, test blocks")
    print("pixels  learner         overall          kappa            seconds")
    for (pixels, learner), values in sorted(scores.items()):
        mean, spread = np.mean(values, axis=0), np.std(values, axis=0)
        print(
            f"{pixels:6}  {learner:14}  {mean[0]:.3f} ± {spread[0]:.3f}    "
            f"{mean[1]:.3f} ± {spread[1]:.3f}    {mean[2]:.0f}"
        )


if __name__ == "__main__":
    main()
