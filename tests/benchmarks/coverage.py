"""How often 95 % intervals hold the truth, on a map whose truth is known.

    python tests/benchmarks/coverage.py [--edge 4000] [--points 1000] [--draws 1000]

The truth has 12 classes, two of them rare; the map errs by class. Each design draws its points anew
each time. Columns: how often the interval of overall accuracy, of user's and producer's accuracies
and of areas holds the truth, for the ten common classes together and the two rare ones together,
with both kinds of intervals. Below, PPI++: the variance of areas alone over that of areas with
probabilities, as it is over the draws and as the report says.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from class_maps import class_window

from osm4eo_xr.accuracy.designs.allocation import allocate
from osm4eo_xr.accuracy.estimators import effective_size, interval, power_tuned
from osm4eo_xr.accuracy.figures import Figure, Figures, figures_of
from osm4eo_xr.accuracy.sampling import Clustered, PostStratified, Sample, Stratified

CLASSES = 12
RARE = {5: 0.02, 10: 0.05}  # place of a class → share of its pixels that stays


@dataclass
class World:
    """Truth, map and older map as places of classes, flat; pixels of each class on the maps."""

    edge: int
    truth: np.ndarray
    mapped: np.ndarray
    older: np.ndarray
    of_map: list[np.ndarray]
    of_older: list[np.ndarray]

    @property
    def sizes(self) -> np.ndarray:
        """Pixels of each class on the map."""
        return np.array([len(p) for p in self.of_map])


def main() -> None:
    """Draw and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--edge", type=int, default=4000)
    parser.add_argument("--points", type=int, default=1000)
    parser.add_argument("--draws", type=int, default=1000)
    given = parser.parse_args()
    world = make_world(given.edge)
    truth = true_figures(world)
    print("shares on the map, %: ", np.round(100 * world.sizes / world.sizes.sum(), 2).tolist())
    print("user's accuracies, %: ", np.round(100 * truth["users"]).astype(int).tolist())
    print("                              overall   user's      producer's  area")
    print("design             intervals            common rare common rare common rare")
    for name, draw in DESIGNS.items():
        held: dict[str, list[dict[str, np.ndarray]]] = {"wilson": [], "wald": []}
        for seed in range(given.draws):
            at, sample = draw(world, given.points, np.random.default_rng(seed))
            for kind, rows in held.items():
                rows.append(covered(world, at, sample, truth, kind))
        for kind, rows in held.items():
            print(f"{name:18} {kind:9} {line(rows)}", flush=True)
    assisted(world, given.points, given.draws)


def make_world(edge: int) -> World:
    """Return a truth, a map of it with errors by class, and an older map with more."""
    rng = np.random.default_rng(0)
    truth = np.minimum(class_window(0, 0, edge, edge).ravel(), CLASSES).astype(np.int8) - 1
    for place, share in RARE.items():
        truth[(truth == place) & (rng.random(truth.size) > share)] = (place + 1) % CLASSES
    mapped = with_errors(truth, np.linspace(0.03, 0.3, CLASSES), rng)
    older = with_errors(mapped, np.full(CLASSES, 0.1), rng)
    places = [[np.flatnonzero(m == k) for k in range(CLASSES)] for m in (mapped, older)]
    return World(edge, truth, mapped, older, *places)


def with_errors(classes: np.ndarray, rate: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Put a share of each class's pixels, its own, into classes near it or into any."""
    wrong = rng.random(classes.size) < rate[classes]
    near = (classes + rng.integers(1, 3, classes.size)) % CLASSES
    anywhere = rng.choice(classes, classes.size)
    other = np.where(rng.random(classes.size) < 0.5, near, anywhere)
    return np.where(wrong, other, classes).astype(np.int8)


def true_figures(world: World) -> dict[str, np.ndarray]:
    """Return what the intervals should hold."""
    pairs = np.bincount(world.truth.astype(int) * CLASSES + world.mapped, minlength=CLASSES**2)
    counts = pairs.reshape(CLASSES, CLASSES)
    right = np.diag(counts)
    return {
        "overall": np.array([right.sum() / counts.sum()]),
        "users": right / counts.sum(axis=0),
        "producers": right / counts.sum(axis=1),
        "areas": counts.sum(axis=1) / counts.sum(),
    }


def stratified(places: list[np.ndarray], points: int, rng: Any, *, finite: bool) -> Any:
    """Draw in strata, 50 points at least in each."""
    sizes = np.array([len(p) for p in places])
    least = np.full(CLASSES, 50)
    numbers = allocate(points, sizes, np.full(CLASSES, 0.8), "neyman", least)
    at = [p[rng.choice(len(p), n, replace=False)] for p, n in zip(places, numbers, strict=True)]
    return np.concatenate(at), Stratified(np.repeat(np.arange(CLASSES), numbers), sizes, finite)


def olofsson(world: World, points: int, rng: np.random.Generator) -> tuple[np.ndarray, Sample]:
    """Strata are the map's classes."""
    return stratified(world.of_map, points, rng, finite=False)


def stehman(world: World, points: int, rng: np.random.Generator) -> tuple[np.ndarray, Sample]:
    """Strata are an older map's classes."""
    return stratified(world.of_older, points, rng, finite=True)


def systematic(world: World, points: int, rng: np.random.Generator) -> tuple[np.ndarray, Sample]:
    """Take a grid; classes with few points go into one post-stratum."""
    step = int(world.edge / np.sqrt(points))
    top, left = rng.integers(0, step, 2)
    rows, cols = np.arange(top, world.edge, step), np.arange(left, world.edge, step)
    return post_stratified(world, (rows[:, None] * world.edge + cols).ravel())


def simple(world: World, points: int, rng: np.random.Generator) -> tuple[np.ndarray, Sample]:
    """Draw simply at random."""
    return post_stratified(world, rng.choice(world.truth.size, points, replace=False))


def post_stratified(world: World, at: np.ndarray) -> tuple[np.ndarray, Sample]:
    """Stratify by map class, as ``assess`` does."""
    hits = np.bincount(world.mapped[at], minlength=CLASSES)
    order = np.argsort(hits, kind="stable")
    few = int((hits < 2).sum())
    while few > 0 and hits[order[:few]].sum() < 2:
        few += 1
    group = np.zeros(CLASSES, int)
    group[order] = np.maximum(np.arange(CLASSES) - max(few - 1, 0), 0)
    sizes = np.bincount(group, weights=world.sizes).astype(int)
    return at, PostStratified(group[world.mapped[at]], sizes)


def clustered(world: World, points: int, rng: np.random.Generator) -> tuple[np.ndarray, Sample]:
    """Draw squares of 100 pixels, and 10 pixels in each."""
    side, each = world.edge // 100, 10
    drawn = rng.choice(side**2, points // each, replace=False)
    inside = np.stack([rng.choice(10_000, each, replace=False) for _ in drawn])
    rows = (drawn // side * 100)[:, None] + inside // 100
    cols = (drawn % side * 100)[:, None] + inside % 100
    cluster = np.repeat(np.arange(len(drawn)), each)
    sample = Clustered(cluster, np.full(len(drawn), 10_000), side**2)
    return (rows * world.edge + cols).ravel(), sample


DESIGNS: dict[str, Callable[..., Any]] = {
    "Olofsson 2014": olofsson,
    "Stehman 2014": stehman,
    "simple, post-strat": simple,
    "systematic, post-s": systematic,
    "clusters, ratio": clustered,
}


def covered(
    world: World, at: np.ndarray, sample: Sample, truth: dict[str, np.ndarray], kind: Any
) -> dict[str, np.ndarray]:
    """Say which intervals hold the truth; NaN where there is no figure."""
    pair = world.truth[at].astype(int), world.mapped[at].astype(int)
    areas = world.sizes / world.sizes.sum()
    found = figures_of(sample, *pair, np.ones(len(at)), areas, kind)
    return {name: np.array(list(holds(found, name, truth[name]))) for name in truth}


def holds(found: Figures, name: str, truth: np.ndarray) -> Iterator[float]:
    """Yield 1, 0 or NaN per figure."""
    figures: Any = getattr(found, name)
    for figure, value in zip([figures] if name == "overall" else figures, truth, strict=True):
        known = isinstance(figure, Figure) and np.isfinite(figure.value)
        yield float(figure.low <= value <= figure.high) if known else np.nan


def line(rows: list[dict[str, np.ndarray]]) -> str:
    """Write coverage in %, common and rare classes apart."""
    rare = np.isin(np.arange(CLASSES), list(RARE))
    cells = [f"{100 * np.mean([row['overall'] for row in rows]):7.1f}  "]
    for name in ("users", "producers", "areas"):
        held = np.stack([row[name] for row in rows])
        cells += [f"{100 * np.nanmean(held[:, ~rare]):6.1f} {100 * np.nanmean(held[:, rare]):4.1f}"]
    return " ".join(cells)


def assisted(world: World, points: int, draws: int) -> None:
    """Print what probabilities add to areas: weak, good and near perfect ones."""
    rng = np.random.default_rng(1)
    print("PPI++, class 12: spread of p    gain over draws, stated, coverage %")
    for spread in (3.0, 1.0, 0.4):
        logit = np.where(world.truth == CLASSES - 1, 1.5, -1.5) + spread * rng.normal(
            size=world.truth.size
        )
        share = 1 / (1 + np.exp(-logit.astype(np.float32)))
        true, mean = (world.truth == CLASSES - 1).mean(), np.array([share.mean(dtype=float)])
        rows = []
        for seed in range(draws):
            at, sample = olofsson(world, points, np.random.default_rng(seed))
            y = (world.truth[at] == CLASSES - 1).astype(float)[:, None]
            one, p = np.ones_like(y), share[at].astype(float)[:, None]
            plain, plain_error, _ = power_tuned(sample, y, np.zeros_like(y), one, np.zeros(1))
            value, error, _ = power_tuned(sample, y, p, one, mean)
            low, high = interval(value, error, effective_size(sample, one, value, error), np.inf)
            rows.append(
                (plain[0], value[0], (plain_error / error)[0] ** 2, low[0] <= true <= high[0])
            )
        plain, value, stated, held = np.array(rows, float).T
        gain = plain.var() / value.var()
        print(
            f"{spread:27} {gain:16.2f} {stated.mean():8.2f} {100 * held.mean():11.1f}", flush=True
        )


if __name__ == "__main__":
    main()
