r"""EuroSAT (Helber et al. 2019, RGB, 10 classes) from scratch: accuracy on its validation patches.

OSM4EO_XR_DATA has to name a folder with eurosat/train.zip and eurosat/val.zip. On a GPU, whole:

    python tests/benchmarks/eurosat.py --size 64 --depth 29 --width 32 --epochs 60 --batch 128 \
        --rate 4e-3 --smoothing 0 --average 0

On two CPU cores patches are halved, the network is small, and so are batches, whose maps then stay
in the cache; it ends in a quarter of an hour:

    python tests/benchmarks/eurosat.py
"""

import argparse
import io
import os
import time
import zipfile
from pathlib import Path

import numpy as np
import xarray as xr
from PIL import Image

import osm4eo_xr as oxr
from osm4eo_xr.cli.console import training_bar
from osm4eo_xr.legend import Legend
from osm4eo_xr.legend_entries import LandUseClass

RGB = ("red", "green", "blue")


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


def eurosat_samples(folder: Path, size: int, limit: int | None) -> xr.Dataset:
    """Return train and val as a sample set; ``limit`` thins the training patches."""
    train, train_names = read_zip(folder / "train.zip", size)
    if limit:
        picked = np.random.default_rng(0).permutation(len(train))[:limit]
        train, train_names = train[picked], [train_names[k] for k in picked]
    val, val_names = read_zip(folder / "val.zip", size)
    classes = sorted(set(val_names))
    ids = {name: k + 1 for k, name in enumerate(classes)}
    legend = Legend(
        "EuroSAT",
        tuple(
            LandUseClass(k, k, name.lower(), name, (25 * k, 250 - 25 * k, 128), k)
            for name, k in ids.items()
        ),
    )
    return oxr.patch_samples(
        np.concatenate([train, val]),
        np.array([ids[name] for name in train_names + val_names], np.uint8),
        np.repeat(np.array([0, 1], np.uint8), [len(train), len(val)]),
        bands=RGB,
        legend=legend,
        units="digital number",
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
    parser.add_argument("--folder", help="keep the run here; a stopped one is continued")
    options = parser.parse_args()
    folder = Path(os.environ["OSM4EO_XR_DATA"]) / "eurosat"
    samples = eurosat_samples(folder, options.size, options.limit)
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
        model = oxr.train(samples, settings, folder=options.folder, on_status=tell)
    seconds = time.perf_counter() - start
    print("epoch  loss   train %  val %  samples/s  waiting %")
    for row in model.training["history"]:
        print(
            f"{row['epoch']:5} {row['loss']:6.3f} {100 * row['accuracy']:8.2f} "
            f"{100 * row['validation_accuracy']:6.2f} {row['samples_per_second']:10.0f} "
            f"{100 * row['waiting']:10.2f}"
        )
    report = oxr.evaluate(model, samples, "validation")
    print(report)
    print(
        f"val accuracy {100 * report.overall_accuracy:.2f} % (best of {settings.epochs} epochs, "
        f"epoch {model.training['best_epoch']}); {seconds / settings.epochs:.1f} s per epoch; "
        f"reference: ResNet-18 from scratch 96.5 % (test), best without pre-training 97.2 %"
    )


if __name__ == "__main__":
    main()
