"""What each group of features is worth: the training repeated without it, on the same folds."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dask.array as da
import numpy as np

from osm4eo_xr.accuracy.confusion import plain_number
from osm4eo_xr.accuracy.held_out import evaluate
from osm4eo_xr.accuracy.validation.intervals import FOLD_METHOD, fold_interval
from osm4eo_xr.errors import InputError
from osm4eo_xr.feature_ids.ids import Group, groups_of
from osm4eo_xr.files import replace_text
from osm4eo_xr.samples.folds import Fold, block_folds
from osm4eo_xr.training.fit import train
from osm4eo_xr.training.settings import TrainSettings

if TYPE_CHECKING:
    import xarray as xr
    from rich.table import Table

    from osm4eo_xr.accuracy.accuracy_report import AccuracyReport
    from osm4eo_xr.accuracy.figures import Figure
    from osm4eo_xr.legend import Legend
    from osm4eo_xr.progress import Watch

__all__ = ["Ablation", "ablate"]

_LEAST = 2  # groups, without which nothing would be left to learn from


@dataclass(frozen=True, eq=False)
class Ablation:
    """Scores with all groups of features and without each, on the same held-out ground.

    Attributes
    ----------
    folds : tuple of str
        What was held out.
    legend : Legend
        The classes.
    whole : tuple of AccuracyReport
        Per fold, of the training with all groups.
    without : mapping of str to tuple of AccuracyReport
        Per group, per fold, of the training without it.
    settings : mapping
        Of the trainings.

    Examples
    --------
    >>> import numpy as np, osm4eo_xr as oxr
    >>> legend = oxr.Legend("woods and water", oxr.default_legend().classes[7::4])
    >>> with_radar = [oxr.AccuracyReport(np.diag(n), legend) for n in ([90, 95], [80, 99])]
    >>> less = [oxr.AccuracyReport(np.array([[80, 20], [5, 95]]), legend)] * 2
    >>> found = oxr.Ablation(("1", "2"), legend, tuple(with_radar), {"s1": tuple(less)})
    >>> found.gain("s1").value
    0.125
    """

    folds: tuple[str, ...]
    legend: Legend
    whole: tuple[AccuracyReport, ...]
    without: Mapping[str, tuple[AccuracyReport, ...]]
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def overall(self) -> Figure:
        """Mean overall accuracy with all groups, with its 95 % interval."""
        accuracies = np.array([report.overall_accuracy for report in self.whole])
        return fold_interval(accuracies, len(self.folds)).within(0, 1)

    def gain(self, group: str, k: int | None = None) -> Figure:
        """Return what a group adds: a mean difference, paired by fold, with its 95 % interval.

        Parameters
        ----------
        group : str
            Name of the group, ``source@period``.
        k : int, optional
            Place of a class in the legend: then of its F1 score, else of the overall accuracy.
        """

        def score(report: AccuracyReport) -> float:
            return report.overall_accuracy if k is None else float(report.f1[k])

        pairs = zip(self.whole, self.without[group], strict=True)
        apart = np.array([score(one) - score(other) for one, other in pairs])
        return fold_interval(apart, len(self.folds)).within(-1, 1)

    def to_dict(self) -> dict[str, Any]:
        """Return all figures as plain JSON types; what is undefined is None."""
        classes = list(enumerate(self.legend.classes))
        return {
            "folds": list(self.folds),
            "intervals": f"{FOLD_METHOD}, {len(self.folds)} folds, paired",
            "overall_accuracy": self.overall.to_dict(),
            "groups": [
                {
                    "name": group,
                    "gain": self.gain(group).to_dict(),
                    "f1_gain": {c.slug: self.gain(group, k).to_dict() for k, c in classes},
                    "overall_accuracy_without": [plain_number(r.overall_accuracy) for r in reports],
                }
                for group, reports in self.without.items()
            ],
            "settings": dict(self.settings),
        }

    def save(self, path: str | Path) -> Path:
        """Write ``to_dict()`` as JSON; the file appears whole."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        return replace_text(path, json.dumps(self.to_dict(), indent=1) + "\n")

    def __rich__(self) -> Table:
        """Show a row per group, a column per class, in percentage points."""
        from rich.table import Table

        caption = (
            f"Points that a group adds to the overall accuracy and to the F1 score of each class, "
            f"{len(self.folds)} folds. With all groups the overall accuracy is "
            f"{self.overall.percent()}. Intervals: {FOLD_METHOD}, paired."
        )
        table = Table(title="What each group is worth", caption=caption)
        seen = [
            k for k in range(len(self.legend.ids)) if any(r.counts[k].any() for r in self.whole)
        ]
        names = ["group", "overall", *(self.legend.classes[k].slug for k in seen)]
        for n, name in enumerate(names):
            table.add_column(name, justify="right" if n else "left")
        for group in self.without:
            gains = [self.gain(group), *(self.gain(group, k) for k in seen)]
            table.add_row(group, *(figure.points() for figure in gains))
        return table

    def __repr__(self) -> str:
        """Give the gains over all classes."""
        gains = ", ".join(f"{group} {self.gain(group).points()}" for group in self.without)
        return f"<Ablation {len(self.folds)} folds: {gains}>"

    def __str__(self) -> str:
        from rich.console import Console

        console = Console(width=130, color_system=None)
        with console.capture() as captured:
            console.print(self)
        return captured.get()


def ablate(
    samples: xr.Dataset,
    settings: TrainSettings | None = None,
    *,
    k: int = 5,
    validation: float = 0.1,
    block: float | None = None,
    groups: Sequence[str] | None = None,
    folder: str | Path | None = None,
    watch: Watch | None = None,
) -> Ablation:
    """Train with all groups of features and without each, on the same spatial folds.

    All trainings of a fold learn from the same windows and are scored on the same held-out pixels:
    those that have data whichever group is left out.

    Parameters
    ----------
    samples : Dataset
        As ``draw_samples`` or ``open_samples`` returns it, of two or more groups of features; its
        own splits do not count.
    settings : TrainSettings, optional
        Network and training, the same in each training, but for a learning rate that each finds
        itself (0 in the settings); their seed also decides the folds. A temporal network without
        a source of several periods is trained as "resnet".
    k : int
        Folds of blocks, 2 to 25.
    validation : float
        Share of the blocks that choose the best epoch and the temperature.
    block : float, optional
        Edge of a block in meters; by default that of the set.
    groups : sequence of str, optional
        Names of the groups to leave out, one at a time; by default each.
    folder : str or Path, optional
        Where the trainings keep their checkpoints. What was stopped goes on there; trainings that
        have ended are read.
    watch : callable, optional
        Called as ``watch(fold and group, steps done, steps in all)``.

    Returns
    -------
    Ablation
        Gains of groups in overall accuracy and F1 scores, paired by fold, with 95 % intervals.

    Raises
    ------
    InputError
        If the samples have one group only or none of a name, or as for ``crossvalidate``.

    Source
    ------
    The interval of a paired difference over folds is the corrected resampled t of Nadeau & Bengio
    2003, Machine Learning 52, as ``crossvalidate`` has it.

    Examples
    --------
    >>> import osm4eo_xr as oxr
    >>> from osm4eo_xr.demo import example_samples
    >>> bands = ["s2:red@2023", "s2:nir@2024"]
    >>> drawn = example_samples(fields=24).assign_coords(band=bands)
    >>> tiny = oxr.TrainSettings(width=4, epochs=1, batch=8)
    >>> found = oxr.ablate(drawn, tiny, k=2, validation=0.2, groups=["s2@2023"])
    >>> list(found.without), len(found.folds)
    (['s2@2023'], 2)
    """
    settings = settings or TrainSettings()
    known = groups_of([str(name) for name in samples["band"].values])
    left_out = _chosen(known, groups)
    samples = _comparable(samples, known, left_out)
    variants = {"": samples} | {group.name: _without(samples, group) for group in left_out}
    found: dict[str, list[AccuracyReport]] = {name: [] for name in variants}
    names = []
    for fold in block_folds(samples, k, validation=validation, block=block, seed=settings.seed):
        names.append(fold.name)
        for group, variant in variants.items():
            where = f"{fold.name} without {group}" if group else fold.name
            own = None if folder is None else Path(folder) / _file_name(where)
            told: Any = _telling(watch, where)
            part = _cut_to(fold, variant)
            model = train(part, _fitting(settings, part), folder=own, progress=told)
            pixels: Any = "all" if settings.mode == "dense" else "center"
            found[group].append(evaluate(model, part, "test", pixels=pixels))
    whole = tuple(found.pop(""))
    return Ablation(
        folds=tuple(names),
        legend=whole[0].legend,
        whole=whole,
        without={group: tuple(reports) for group, reports in found.items()},
        settings=dataclasses.asdict(settings),
    )


def _chosen(known: Sequence[Group], names: Sequence[str] | None) -> list[Group]:
    """Return the groups to leave out."""
    every = ", ".join(group.name for group in known)
    if len(known) < _LEAST:
        raise InputError(
            f"the samples have one group of features, {every}",
            expected="two or more, of which one can be left out",
        )
    if strange := [name for name in names or () if name not in {g.name for g in known}]:
        raise InputError(f"the samples have no group {strange[0]!r}", expected=f"some of {every}")
    return [group for group in known if names is None or group.name in names]


def _comparable(
    samples: xr.Dataset, known: Sequence[Group], left_out: Sequence[Group]
) -> xr.Dataset:
    """Leave labels only where there is data whichever group is left out."""
    image = da.asarray(samples["image"].data)
    finite = {g.name: da.isfinite(image[..., list(g.channels)]).all(axis=-1) for g in known}
    sure = da.ones_like(finite[known[0].name])
    for group in left_out:
        others = [finite[g.name] for g in known if g is not group]
        sure &= da.stack(others).any(axis=0)
    label = da.where(sure, da.asarray(samples["label"].data), np.uint8(0))
    return samples.assign(label=(samples["label"].dims, label))


def _without(samples: xr.Dataset, group: Group) -> xr.Dataset:
    """Return the samples without a group of features."""
    stay = [n for n in range(samples.sizes["band"]) if n not in group.channels]
    optional = [name for name in samples.attrs.get("optional", ()) if name != group.name]
    names = [str(samples["band"].values[n]) for n in stay]
    return samples.isel(band=stay).assign_attrs(optional=optional, bands=names)


def _cut_to(fold: Fold, variant: xr.Dataset) -> xr.Dataset:
    """Return a fold's samples with the features of a variant."""
    names = list(variant["band"].values)
    told = {name: variant.attrs[name] for name in ("optional", "bands") if name in variant.attrs}
    return fold.samples.sel(band=names).assign_attrs(told)


def _fitting(settings: TrainSettings, samples: xr.Dataset) -> TrainSettings:
    """Return the settings, or those of a plain network where no source has several periods."""
    sources = [group.source for group in groups_of([str(n) for n in samples["band"].values])]
    if settings.network == "temporal" and len(set(sources)) == len(sources):
        return dataclasses.replace(settings, network="resnet")
    return settings


def _telling(watch: Watch | None, where: str) -> Callable[..., None] | None:
    return None if watch is None else lambda *steps: watch(where, *steps)


def _file_name(where: str) -> str:
    return where.replace(" ", "_").replace(":", "_")
