"""Learners that a user would pick instead of ours, on the same windows.

Each fits on the training windows of a fold within a budget of seconds, chooses by its validation
windows, and returns a function from images (n, y, x, band) float32, NaN = no data, to probabilities
(n, y, x, class) float32.
"""

import importlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import jax.numpy as jnp
import numpy as np
import xarray as xr
from scipy.ndimage import maximum_filter, minimum_filter, uniform_filter
from scipy.special import softmax

import osm4eo_xr as oxr
from osm4eo_xr.feature_ids.channels import Channels
from osm4eo_xr.legend import legend_from_dict
from osm4eo_xr.samples.ground import place_numbers
from osm4eo_xr.training.calibration import fit_temperature
from osm4eo_xr.training.scoring import model_task
from osm4eo_xr.training.selection import Look, surely_better
from osm4eo_xr.training.single_fit import robust_statistics
from osm4eo_xr.training.step.eval_step import make_eval_step
from osm4eo_xr.training.step.rate_search import search_steps

Predict = Callable[[np.ndarray], np.ndarray]

REACHES = (3, 7, 15)
"""Edges in pixels of the neighborhoods whose features a learner of pixels may see."""

_PIXELS = 50_000  # that learners of pixels learn from, at most
_AT_ONCE = 64  # windows
_TRIAL = 12  # steps of an epoch that tells the speed
_LOOKS = 5  # at the validation windows, while a network of torch learns
_STRIDE = 32  # that windows have to be a multiple of there


@dataclass(frozen=True)
class Windows:
    """The windows of one split: images, and the place of each label in the legend (-1: none)."""

    image: np.ndarray
    index: np.ndarray


def class_ids(samples: xr.Dataset) -> tuple[int, ...]:
    """Return the classes of a set's legend."""
    return legend_from_dict(json.loads(samples.attrs["legend"]), source="samples").ids


def windows_of(samples: xr.Dataset, split: int, ids: tuple[int, ...]) -> Windows:
    """Return the windows of a split."""
    part = samples.isel(sample=np.flatnonzero(samples["split"].to_numpy() == split))
    place = np.full(256, -1, np.int64)
    place[list(ids)] = np.arange(len(ids))
    return Windows(part["image"].to_numpy(), place[part["label"].to_numpy()])


class Network:
    """Ours: as many epochs as fit into the budget, by the speed of a few steps beforehand."""

    def __init__(self, settings: oxr.TrainSettings) -> None:
        self.settings = settings

    def fit(self, samples: xr.Dataset, seconds: float, seed: int) -> Predict:
        """Train; nothing but epochs and their looks differs from the settings."""
        settings = replace(self.settings, seed=seed)
        if seconds:
            size, few = _sized(samples, _TRIAL * settings.batch)
            rate = settings.learning_rate or oxr.TrainSettings.learning_rate
            brief: Any = {"epochs": 2, "validate_every": 2, "learning_rate": rate}
            trial = oxr.train(few, replace(settings, **brief))
            speed = trial.training["history"][-1]["samples_per_second"]
            looking = search_steps(settings) * settings.batch
            epochs = max(2, int((seconds * speed - looking) / size))
            settings = replace(settings, epochs=epochs, validate_every=max(1, epochs // _LOOKS))
        model = oxr.train(samples, settings)
        logits = make_eval_step(model_task(model))
        known = np.isin(class_ids(samples), model.class_ids)
        order = [model.class_ids.index(k) for k in class_ids(samples) if k in model.class_ids]

        def predict(image: np.ndarray) -> np.ndarray:
            parts = np.array_split(image, max(1, -(-len(image) // _AT_ONCE)))
            found = [np.asarray(logits(model.variables, jnp.asarray(part))) for part in parts]
            chances = np.zeros((*image.shape[:3], known.size), np.float32)
            chances[..., known] = softmax(np.concatenate(found), axis=-1)[..., order]
            return chances

        return predict


def _sized(samples: xr.Dataset, most: int) -> tuple[int, xr.Dataset]:
    """Return how many windows are learned from, and the set with few of each split."""
    places = [np.flatnonzero(samples["split"].to_numpy() == k) for k in range(3)]
    return len(places[0]), samples.isel(sample=np.concatenate([at[:most] for at in places]))


def neighborhoods(image: np.ndarray) -> np.ndarray:
    """Return bands, and their means, standard deviations and ranges around each pixel."""
    found = [image]
    for reach in REACHES:
        box: Any = (1, reach, reach, 1)
        mean = uniform_filter(image, box, mode="nearest")
        square = uniform_filter(image * image, box, mode="nearest")
        spread = np.sqrt(np.maximum(square - mean * mean, 0))
        high, low = (f(image, box, mode="nearest") for f in (maximum_filter, minimum_filter))
        found += [mean, spread, high - low]
    return np.concatenate(found, axis=-1)


class Pixels:
    """A classifier of scikit-learn's kind on single pixels, or on them and what is around them."""

    def __init__(self, kind: str, *, around: bool) -> None:
        self.kind, self.around = kind, around

    def fit(self, samples: xr.Dataset, _seconds: float, seed: int) -> Predict:
        """Fit; boosting stops where the validation windows no longer gain."""
        ids = class_ids(samples)
        learn, check = (windows_of(samples, split, ids) for split in (0, 1))
        medians = np.nanmedian(learn.image, axis=(0, 1, 2))

        def features(image: np.ndarray) -> np.ndarray:
            whole = np.where(np.isfinite(image), image, medians)
            return neighborhoods(whole) if self.around else whole

        rng = np.random.default_rng(seed)
        pairs = []
        for windows in (learn, check):
            at = np.flatnonzero(windows.index.ravel() >= 0)
            at = rng.permutation(at)[:_PIXELS]
            seen = features(windows.image)
            pairs.append((seen.reshape(-1, seen.shape[-1])[at], windows.index.ravel()[at]))
        (x, y), checked = pairs
        learner = self._made(seed)
        if self.kind == "forest":
            learner.fit(x, y)
        else:
            stop: Any = importlib.import_module("lightgbm").early_stopping(20, verbose=False)
            known = np.isin(checked[1], np.unique(y))
            within = [(checked[0][known], checked[1][known])]
            learner.fit(x, y, eval_set=within, callbacks=[stop])
        columns = learner.classes_.astype(int)

        def predict(image: np.ndarray) -> np.ndarray:
            chances = np.zeros((*image.shape[:3], len(ids)), np.float32)
            for first in range(0, len(image), _AT_ONCE):
                part = features(image[first : first + _AT_ONCE])
                flat = learner.predict_proba(part.reshape(-1, part.shape[-1]))
                chances[first : first + _AT_ONCE][..., columns] = flat.reshape(*part.shape[:3], -1)
            return chances

        return predict

    def _made(self, seed: int) -> Any:
        if self.kind == "forest":
            from sklearn.ensemble import RandomForestClassifier

            return RandomForestClassifier(200, n_jobs=-1, random_state=seed)
        lightgbm: Any = importlib.import_module("lightgbm")
        return lightgbm.LGBMClassifier(
            n_estimators=500, learning_rate=0.1, random_state=seed, verbose=-1
        )


class Segmentation:
    """A network of segmentation-models-pytorch with random weights, trained as ours is.

    Normalization, flips and turns, cross entropy, AdamW with a cosine and the temperature are the
    same; the rate falls by the time that is left.
    """

    def __init__(self, name: str, settings: oxr.TrainSettings) -> None:
        self.name, self.settings = name, settings

    def fit(self, samples: xr.Dataset, seconds: float, seed: int) -> Predict:
        """Train until the budget is spent; the last look is kept unless one was surely better."""
        torch: Any = importlib.import_module("torch")
        smp: Any = importlib.import_module("segmentation_models_pytorch")
        torch.manual_seed(seed)
        ids = class_ids(samples)
        learn, check = (windows_of(samples, split, ids) for split in (0, 1))
        channels = Channels.joint(learn.image.shape[-1])
        center, scale = (
            np.asarray(v, np.float32) for v in robust_statistics(learn.image, channels)
        )

        def tensor(image: np.ndarray) -> Any:
            there = np.isfinite(image).all(axis=-1, keepdims=True)
            x = np.where(there, (image - center) / scale, np.float32(0))
            return torch.from_numpy(np.ascontiguousarray(_padded(x).transpose(0, 3, 1, 2)))

        net = getattr(smp, self.name)(
            encoder_name="resnet18",
            encoder_weights=None,
            in_channels=len(center),
            classes=len(ids),
        )
        rule = torch.optim.AdamW(
            net.parameters(), self.settings.learning_rate, weight_decay=self.settings.weight_decay
        )
        rng, batch = np.random.default_rng(seed), self.settings.batch
        places = place_numbers(samples, np.flatnonzero(samples["split"].to_numpy() == 1))
        begun, looks, best, kept = time.perf_counter(), 0, None, net.state_dict()
        while (share := (time.perf_counter() - begun) / seconds) < 1:
            for group in rule.param_groups:
                group["lr"] = self.settings.learning_rate * max(
                    np.cos(share * np.pi / 2) ** 2, 1e-3
                )
            chosen = rng.choice(len(learn.image), batch)
            image, index = _turned(learn.image[chosen], learn.index[chosen], rng)
            net.train()
            edge = index.shape[1]
            logits = net(tensor(image))[:, :, :edge, :edge]
            loss = torch.nn.functional.cross_entropy(
                logits, torch.from_numpy(index.copy()), ignore_index=-1
            )
            rule.zero_grad()
            loss.backward()
            rule.step()
            if share * _LOOKS > looks:
                looks += 1
                look = self._look(net, tensor, check, places, torch)
                if best is None or look.accuracy > best.accuracy:
                    best, kept = look, {k: v.clone() for k, v in net.state_dict().items()}
        if best and surely_better(best, self._look(net, tensor, check, places, torch)):
            net.load_state_dict(kept)
        logits = _logits(net, tensor, check.image, torch)
        known = check.index >= 0
        warmth = fit_temperature(logits[known], check.index[known], independent=places[1])
        return lambda image: softmax(_logits(net, tensor, image, torch) / warmth, axis=-1)

    @staticmethod
    def _look(
        net: Any, tensor: Any, check: Windows, places: tuple[np.ndarray, int], torch: Any
    ) -> Look:
        found = _logits(net, tensor, check.image, torch).argmax(axis=-1)
        known, right = check.index >= 0, found == check.index
        numbers, count = places
        found_right, pixels = (
            np.bincount(numbers, weights=(mask & known).sum(axis=(1, 2)), minlength=count)
            for mask in (right, known)
        )
        return Look(found_right, pixels)


def _logits(net: Any, tensor: Any, image: np.ndarray, torch: Any) -> np.ndarray:
    """Return (n, y, x, class) logits under the running statistics."""
    net.eval()
    edge, found = image.shape[1], []
    with torch.no_grad():
        for first in range(0, len(image), _AT_ONCE):
            logits = net(tensor(image[first : first + _AT_ONCE]))[:, :, :edge, :edge]
            found.append(logits.numpy().transpose(0, 2, 3, 1))
    return np.concatenate(found)


def _padded(x: np.ndarray) -> np.ndarray:
    """Mirror windows to the edge that these networks need."""
    after = -x.shape[1] % _STRIDE
    return np.pad(x, ((0, 0), (0, after), (0, after), (0, 0)), "symmetric") if after else x


def _turned(
    image: np.ndarray, index: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Turn and flip windows and labels, each batch its own way."""
    turns, flip = int(rng.integers(4)), bool(rng.integers(2))
    image, index = np.rot90(image, turns, (1, 2)), np.rot90(index, turns, (1, 2))
    return (image[:, ::-1], index[:, ::-1]) if flip else (image, index)
