r"""EuroSAT (Helber et al. 2019, RGB, 10 classes) from scratch: accuracy on patches it never saw.

OSM4EO_XR_DATA has to name a folder with eurosat/train.zip and eurosat/val.zip. The patches of
val.zip are the test set, which neither training nor the choice of the epoch sees; a twentieth of
those of train.zip, of each class, is the validation set. On a GPU, whole, and into a catalog:

    python tests/benchmarks/eurosat.py --size 64 --depth 29 --width 32 --epochs 60 --batch 128 \
        --rate 4e-3 --smoothing 0 --average 0 --catalog CATALOG [--license MIT] [--overwrite]

On two CPU cores patches are halved, the network is small, and so are batches, whose maps then stay
in the cache; it ends in a quarter of an hour:

    python tests/benchmarks/eurosat.py

The model in the package was made so, small patches first: half an hour, and two hours of one core:

    python tests/benchmarks/eurosat.py --epochs 30 --catalog CATALOG
    python tests/benchmarks/eurosat.py --size 64 --epochs 18 --start CATALOG/eurosat-rgb \
        --catalog osm4eo_xr/models/shipped --overwrite

The seed settles the validation set, the order of patches and the first weights; a GPU may still add
in another order. The item has no training area: sample sets of patches have no places.
"""

import argparse
import io
import os
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from PIL import Image
from scipy.stats import binomtest

import osm4eo_xr as oxr
from osm4eo_xr.cli.console import training_bar
from osm4eo_xr.legend import Legend
from osm4eo_xr.legend_entries import LandUseClass
from osm4eo_xr.models.exchange.listing import find_entry
from osm4eo_xr.models.exchange.push import push_model
from osm4eo_xr.samples.spatial_split import SPLITS

NAME = "eurosat-rgb"
RGB = ("red", "green", "blue")
VALIDATION = 0.05  # of the patches of each class in train.zip
CAUTION = (
    "Patches lie near those of the training, from which they were set apart at random: elsewhere, "
    "and on scenes that are not made as EuroSAT's, expect less. The interval counts patches as if "
    "they were drawn one by one."
)


def read_zip(path: Path, size: int) -> tuple[np.ndarray, list[str]]:
    """Return images (n, size, size, 3) float32 0 … 255 and the class name of each."""
    images, names = [], []
    with zipfile.ZipFile(path) as archive:
        for entry in sorted(n for n in archive.namelist() if n.endswith(".jpg")):
            image = Image.open(io.BytesIO(archive.read(entry))).convert("RGB")
            if image.size != (size, size):
                image = image.resize((size, size), Image.Resampling.BOX)
            images.append(np.asarray(image, np.float32))
            names.append(entry.split("/")[-2])
    return np.stack(images), names


def eurosat_samples(folder: Path, size: int, limit: int | None, seed: int) -> xr.Dataset:
    """Return train.zip as train and validation, val.zip as test; ``limit`` thins the former."""
    rng = np.random.default_rng(seed)
    learned, learned_names = read_zip(folder / "train.zip", size)
    if limit:
        picked = rng.permutation(len(learned))[:limit]
        learned, learned_names = learned[picked], [learned_names[k] for k in picked]
    kept, kept_names = read_zip(folder / "val.zip", size)
    classes = sorted(set(kept_names))
    ids = {name: k + 1 for k, name in enumerate(classes)}
    legend = Legend(
        "EuroSAT",
        tuple(
            LandUseClass(k, k, name.lower(), name, (25 * k, 250 - 25 * k, 128), k)
            for name, k in ids.items()
        ),
    )
    label = np.array([ids[name] for name in learned_names + kept_names], np.uint8)
    split = np.full(len(label), SPLITS.index("test"), np.uint8)
    split[: len(learned)] = validation_split(label[: len(learned)], rng)
    return oxr.patch_samples(
        np.concatenate([learned, kept]),
        label,
        split,
        bands=RGB,
        legend=legend,
        units="digital number",
    )


def validation_split(label: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return 0 for train and 1 for validation, the latter drawn from each class."""
    split = np.full(label.shape, SPLITS.index("train"), np.uint8)
    for class_id in np.unique(label):
        own = rng.permutation(np.flatnonzero(label == class_id))
        split[own[: max(1, round(VALIDATION * len(own)))]] = SPLITS.index("validation")
    return split


def accuracy_for_catalog(report: oxr.AccuracyReport) -> dict[str, Any]:
    """Return a report on the test set for a catalog, with the interval of its patches."""
    right = int(np.trace(report.counts))
    limits = binomtest(right, report.total).proportion_ci(method="wilson")
    method = f"95 % score interval (Wilson), {report.total:,} patches"
    return report.to_dict() | {
        "name": "EuroSAT's val.zip, kept for the test",
        "caution": CAUTION,
        "overall_interval": {"low": limits.low, "high": limits.high, "method": method},
    }


def about(size: int) -> str:
    """Say what the model is for."""
    return (
        f"The class of patches of {size} x {size} pixels at {640 / size:g} m, from red, green and "
        f"blue as EuroSAT's JPEG has them (Helber et al. 2019), in Europe. Contains modified "
        f"Copernicus Sentinel data."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("size", 32), ("depth", 11), ("width", 16), ("kernel", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--epochs", type=int, default=18)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit", type=int, help="training patches at most")
    parser.add_argument("--smoothing", type=float, default=0.1)
    parser.add_argument("--average", type=float, default=0.998)
    parser.add_argument("--start", help="folder of a model to start from, of any window")
    parser.add_argument("--folder", help="keep the run here; a stopped one is continued")
    parser.add_argument("--catalog", type=Path, help="put the model into this one")
    parser.add_argument("--license", default="MIT")
    parser.add_argument("--overwrite", action="store_true", help="replace it there")
    options = parser.parse_args()
    folder = Path(os.environ["OSM4EO_XR_DATA"]) / "eurosat"
    samples = eurosat_samples(folder, options.size, options.limit, options.seed)
    settings = oxr.TrainSettings(
        depth=options.depth,
        width=options.width,
        kernel=options.kernel,
        mode="window",
        window=options.size,
        epochs=options.epochs,
        batch=options.batch,
        learning_rate=options.rate,
        weight_decay=1e-2,
        label_smoothing=options.smoothing,
        average=options.average,
        seed=options.seed,
    )
    print(settings)
    start = time.perf_counter()
    with training_bar() as tell:
        model = oxr.train(
            samples, settings, folder=options.folder, start=options.start, on_status=tell
        )
    seconds = time.perf_counter() - start
    print("epoch  loss   train %  val %  samples/s  waiting %")
    for row in model.training["history"]:
        print(
            f"{row['epoch']:5} {row['loss']:6.3f} {100 * row['accuracy']:8.2f} "
            f"{100 * row['validation_accuracy']:6.2f} {row['samples_per_second']:10.0f} "
            f"{100 * row['waiting']:10.2f}"
        )
    report = oxr.evaluate(model, samples, "test")
    print(report)
    accuracy = accuracy_for_catalog(report)
    limits = accuracy["overall_interval"]
    print(
        f"test accuracy {100 * report.overall_accuracy:.2f} % ({100 * limits['low']:.2f} to "
        f"{100 * limits['high']:.2f}; {limits['method']}), epoch {model.training['best_epoch']} of "
        f"{settings.epochs}; {seconds / settings.epochs:.1f} s per epoch; "
        f"reference: ResNet-18 from scratch 96.5 % (test), best without pre-training 97.2 %"
    )
    if options.catalog:
        push_model(
            model,
            options.catalog,
            name=NAME,
            license=options.license,
            accuracy=accuracy,
            description=about(options.size),
            overwrite=options.overwrite,
        )
        entry = find_entry(NAME, str(options.catalog))
        print(f"{entry.name}: digest {entry.digest}, {entry.size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
