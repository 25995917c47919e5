"""The protocol of Li et al. 2020 (doi:10.3390/rs12122067): two sensors, pixel by pixel.

    python tests/benchmarks/fusion.py FOLDER [--seeds 5] [--epochs 60] [--window 12]
    python tests/benchmarks/fusion.py FOLDER --synthetic     # writes a cube of the same form first

FOLDER holds four rasters of one size, .mat or .tif: a hyperspectral cube, LiDAR (its name holds
"lidar" or "dsm"), and the classes of training and of test pixels (names hold "tr", or "ts" or
"test"; 0 = none). Of a .mat file the largest array counts. A network learns from the window around
each training pixel: each sensor alone, both as one cube (early fusion), the coupled network, and
the coupled network with auxiliary losses; a random forest and an RBF-SVM see single pixels. Printed
are overall accuracy, average accuracy and kappa of the test pixels: mean and standard
deviation over seeds. A tenth of the training pixels chooses the epoch of the networks.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import rasterio
import xarray as xr
from scipy.io import loadmat, savemat

import osm4eo_xr as oxr
from osm4eo_xr.accuracy.accuracy_report import AccuracyReport
from osm4eo_xr.legend import Legend, legend_from_dict
from osm4eo_xr.legend_entries import LandUseClass
from osm4eo_xr.samples.store import STORE_CHUNK

CHOOSING = 0.1  # share of the training pixels
SENSORS = ("hsi", "lidar")
NETWORKS: dict[str, dict[str, Any]] = {
    "hyperspectral alone": {"network": "resnet"},
    "LiDAR alone": {"network": "resnet"},
    "early fusion": {"network": "resnet"},
    "coupled": {"network": "coupled", "fusion": "concatenation", "auxiliary": 0.0},
    "coupled, auxiliary": {"network": "coupled", "fusion": "concatenation", "auxiliary": 0.3},
    "coupled, decision": {"network": "coupled", "fusion": "decision", "auxiliary": 0.3},
}


def read_raster(path: Path) -> np.ndarray:
    """Return (rows, cols, bands) of a .tif, or the largest array of a .mat file."""
    if path.suffix == ".mat":
        arrays = [v for v in loadmat(path).values() if isinstance(v, np.ndarray) and v.ndim > 1]
        found = max(arrays, key=lambda v: v.size)
    else:
        with rasterio.open(path) as file:
            found = file.read().transpose(1, 2, 0)
    return found if found.ndim > 2 else found[..., None]


def find_files(folder: Path) -> dict[str, Path]:
    """Return the four rasters of a folder by what they hold."""
    found: dict[str, Path] = {}
    for path in sorted(p for p in folder.iterdir() if p.suffix in (".mat", ".tif")):
        name = path.stem.lower()
        if "lidar" in name or "dsm" in name:
            found["lidar"] = path
        elif name.startswith("ts") or "test" in name:
            found["test"] = path
        elif name.startswith("tr") and "trento" not in name:
            found["train"] = path
        else:
            found["hsi"] = path
    if missing := [kind for kind in (*SENSORS, "train", "test") if kind not in found]:
        sys.exit(f"{folder} has no raster of {', '.join(missing)}; found {found}")
    return found


def first_components(cube: np.ndarray, count: int) -> np.ndarray:
    """Return the first principal components of a cube's bands; all bands for 0."""
    if not count or count >= cube.shape[2]:
        return cube
    flat = cube.reshape(-1, cube.shape[2]).astype(np.float64)
    flat -= flat.mean(axis=0)
    vectors = np.linalg.eigh(flat.T @ flat)[1][:, ::-1]
    return (flat @ vectors[:, :count]).reshape(*cube.shape[:2], count)


def windows_of(cube: np.ndarray, places: np.ndarray, edge: int) -> da.Array:
    """Return the windows (n, y, x, band) around pixels of a cube, mirrored at its edges; lazy."""
    half = edge // 2
    padded = np.pad(cube.astype(np.float32), ((half, half), (half, half), (0, 0)), "reflect")
    views = np.lib.stride_tricks.sliding_window_view(padded, (edge, edge), axis=(0, 1))

    def cut(part: np.ndarray) -> np.ndarray:
        return np.moveaxis(views[part[:, 0], part[:, 1]], 1, -1)

    lazy = da.from_array(places).rechunk((STORE_CHUNK, 2))
    chunks = (lazy.chunks[0], edge, edge, cube.shape[2])
    how: Any = {"drop_axis": 1, "new_axis": [1, 2, 3], "chunks": chunks, "dtype": np.float32}
    return da.map_blocks(cut, lazy, **how)


def samples_of(
    cubes: dict[str, np.ndarray], train: np.ndarray, test: np.ndarray, edge: int, seed: int
) -> xr.Dataset:
    """Return the windows of all labeled pixels as a sample set of one group per sensor."""
    rng = np.random.default_rng(seed)
    places = np.concatenate([np.argwhere(train > 0), np.argwhere(test > 0)])
    label = np.concatenate([train[train > 0], test[test > 0]]).astype(np.uint8)
    learned = int((train > 0).sum())
    split = np.full(len(places), 2, np.uint8)
    split[:learned] = 0
    for k in np.unique(label[:learned]):
        own = rng.permutation(np.flatnonzero(label[:learned] == k))
        split[own[: max(1, round(CHOOSING * len(own)))]] = 1
    classes = [
        LandUseClass(int(k), int(k), f"class{k}", f"Class {k}", _color(int(k)), int(k))
        for k in np.unique(label)
    ]
    windows = da.concatenate([windows_of(cube, places, edge) for cube in cubes.values()], axis=-1)
    names = [f"{sensor}:b{n}" for sensor, cube in cubes.items() for n in range(cube.shape[2])]
    legend = Legend("fusion", tuple(classes))
    return oxr.patch_samples(
        windows, label, split, bands=names, legend=legend, units="digital number"
    )


def _color(k: int) -> tuple[int, int, int]:
    """Return some color for a class."""
    return 37 * k % 256, 91 * k % 256, 173 * k % 256


def report_of_network(
    name: str, samples: xr.Dataset, options: argparse.Namespace, seed: int
) -> AccuracyReport:
    """Train a network and score it on the test pixels."""
    if name.endswith("alone"):
        sensor = "lidar" if "LiDAR" in name else "hsi"
        bands = samples["band"].to_numpy().astype(str)
        samples = samples.isel(band=np.flatnonzero(np.char.startswith(bands, f"{sensor}:")))
    settings = oxr.TrainSettings(
        depth=options.depth,
        width=options.width,
        kernel=3,
        mode="window",
        window=options.window,
        epochs=options.epochs,
        batch=options.batch,
        weight_decay=1e-2,
        validate_every=5,
        group_dropout=0.0,
        seed=seed,
        **NETWORKS[name],
    )
    return oxr.evaluate(oxr.train(samples, settings), samples, "test")


def report_of_pixels(learner: Any, samples: xr.Dataset) -> AccuracyReport:
    """Train a classifier on the middle pixels and score it."""
    middle = samples.sizes["y"] // 2
    pixels = samples["image"][:, middle, middle].compute().to_numpy()
    label = samples["label"][:, 0, 0].compute().to_numpy()
    split = samples["split"].to_numpy()
    learner.fit(pixels[split < 2], label[split < 2])
    found = learner.predict(pixels[split == 2])
    ids = np.unique(label)
    counts = np.zeros((len(ids), len(ids)), np.int64)
    at = np.searchsorted(ids, label[split == 2]), np.searchsorted(ids, found)
    np.add.at(counts, at, 1)
    legend = legend_from_dict(json.loads(samples.attrs["legend"]), source="samples")
    return AccuracyReport(counts, legend)


def pixel_learners(seed: int) -> Iterator[tuple[str, Any]]:
    """Yield the classifiers of pixels by themselves."""
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    yield "random forest", RandomForestClassifier(200, random_state=seed)
    grid = {"svc__C": [1, 10, 100, 1000], "svc__gamma": ["scale", 0.01, 0.1, 1.0]}
    yield "RBF-SVM", GridSearchCV(make_pipeline(StandardScaler(), SVC()), grid, cv=3)


def write_synthetic(folder: Path, *, size: int = 96, bands: int = 30, classes: int = 6) -> None:
    """Write a cube of the protocol's form: some classes differ in height only, some in spectra."""
    rng = np.random.default_rng(0)
    truth = np.kron(rng.integers(1, classes + 1, (size // 8, size // 8)), np.ones((8, 8), int))
    spectra = np.cumsum(rng.normal(0, 0.1, (classes + 1, bands)), axis=1)
    spectra[2::2] = spectra[1:-1:2][: len(spectra[2::2])]  # each second class looks like another
    height = np.array([0.0, *(3.0 * (k // 2 + k % 2) for k in range(1, classes + 1))])
    height[1::2] += 6.0
    hsi = spectra[truth] + rng.normal(0, 0.25, (size, size, bands))
    lidar = height[truth] + rng.normal(0, 1.5, (size, size))
    chosen = rng.random((size, size)) < 0.03
    folder.mkdir(parents=True, exist_ok=True)
    savemat(folder / "HSI_data.mat", {"HSI_data": hsi.astype(np.float32)})
    savemat(folder / "LiDAR_data.mat", {"LiDAR_data": lidar.astype(np.float32)})
    savemat(folder / "TRLabel.mat", {"TRLabel": np.where(chosen, truth, 0).astype(np.uint8)})
    savemat(folder / "TSLabel.mat", {"TSLabel": np.where(chosen, 0, truth).astype(np.uint8)})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--synthetic", action="store_true", help="write a cube there first")
    for name, default in (("seeds", 5), ("epochs", 60), ("window", 12), ("components", 0)):
        parser.add_argument(f"--{name}", type=int, default=default)
    for name, default in (("depth", 11), ("width", 16), ("batch", 64)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    if options.synthetic:
        write_synthetic(options.folder)
    read = {kind: read_raster(path) for kind, path in find_files(options.folder).items()}
    cubes = {sensor: read[sensor] for sensor in SENSORS}
    cubes["hsi"] = first_components(cubes["hsi"], options.components)
    train, test = (read[kind][..., 0] for kind in ("train", "test"))
    print(f"{int((train > 0).sum()):,} training and {int((test > 0).sum()):,} test pixels")
    print(f"{'mean ± sd, %':22}{'OA':>16}{'AA':>16}{'kappa':>16}")
    for name in (*NETWORKS, "random forest", "RBF-SVM"):
        found = []
        for seed in range(options.seeds):
            samples = samples_of(cubes, train, test, options.window, seed)
            if name in NETWORKS:
                found.append(report_of_network(name, samples, options, seed))
            else:
                found.append(report_of_pixels(dict(pixel_learners(seed))[name], samples))
        scores = [[r.overall_accuracy, r.average_accuracy, r.kappa] for r in found]
        mean, sd = 100 * np.mean(scores, axis=0), 100 * np.std(scores, axis=0, ddof=len(scores) > 1)
        told = "".join(f"{m:9.2f} ± {s:4.2f}" for m, s in zip(mean, sd, strict=True))
        print(f"{name:22}{told}", flush=True)


if __name__ == "__main__":
    main()
