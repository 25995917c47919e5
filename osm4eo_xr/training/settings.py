"""How a network is trained, as settings."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import Field, dataclass, fields
from typing import Any, ClassVar, Literal

from osm4eo_xr.errors import InputError
from osm4eo_xr.feature_ids.ids import aligned_groups
from osm4eo_xr.networks.settings import FUSIONS, NETWORKS, NetSettings, NetworkName
from osm4eo_xr.settings_text import Presets
from osm4eo_xr.tables import html_table

OPTIMIZERS = ("adamw", "nadam")
LOSSES = ("cross_entropy", "generalized", "bootstrap")
ENGINES = ("auto", "jax", "kernels")
NOISE = ("none", "prune", "reweight", "forward")
_FOLDS = 2, 25
_SEEDS = 2**63
_HALF_TURN = 180  # degrees

_PRESETS = Presets(
    "Settings for a machine and a time, which the others change: small learns the demo in "
    "under three minutes on two cores, default a country's samples in an hour or two of a laptop, "
    "large is for a GPU.",
    {
        "default": {},
        "small": {"epochs": 9, "batch": 16, "validate_every": 3, "members": 3},
        "large": {"depth": 29, "width": 64, "decoder": 64, "epochs": 60, "batch": 64},
    },
)


@dataclass(frozen=True)
class TrainSettings:
    """How a network is trained.

    Attributes
    ----------
    depth : int
        Layers of the network, 9 n + 2.
    width : int
        Filters of the stem.
    mode : {"dense", "window"}
        One class per pixel, or per window (that of its center pixel).
    window : int
        Edge of a window in pixels, a multiple of 4; used in window mode only.
    kernel : int
        Kernel width in pixels, odd.
    decoder : int
        Channels of the decoder; used in dense mode only.
    network : {"resnet", "coupled", "temporal"}
        What is done with groups of features, which are those of one source and period: nothing, as
        all channels enter one network; an encoder per group, fused at each level; or attention over
        the periods of each source ahead of the network.
    fusion : {"sum", "concatenation", "attention", "decision"}
        How a coupled network brings its groups together: the mean of their features, a convolution
        of all of them, a mean by learned weights, or the mean of each group's own decision.
    shared : bool
        Whether a coupled network has one encoder for all periods of a source; not with fusion
        "decision", which could not tell them apart.
    auxiliary : float
        What the loss of each group's own head counts beside that of a coupled network; 0 leaves
        them out.
    members : int
        Networks of kind "resnet" that learn side by side, each from weights of its own, 1 to 32. A
        map has the mean of their probabilities: fewer errors that are one network's luck, and
        surer probabilities, for as many times the computing, and on a GPU the memory of training.
    group_dropout : float
        Probability with which a coupled or temporal network does without a group of a sample, 0 to
        below 1. Above 0 the model classifies pixels and scenes that lack any groups.
    epochs : int
        Passes over the training samples.
    batch : int
        Samples per step.
    seed : int
        Seed of the weights, the order of the samples and the augmentation.
    optimizer : {"adamw", "nadam"}
        AdamW with a warm-up and a cosine to 0; or Nadam, whose rate falls to 0.1, 0.01, 0.001 and
        0.0005 of itself after 0.4, 0.6, 0.8 and 0.9 of the steps, as the original system did with
        a rate of 0.01.
    learning_rate : float
        Highest rate, per step. 0 looks for one, in a hundred steps with ever higher rates before
        the training; the model's record has what was found. Where the loss does not surely fall,
        a warning says so and 0.002 is taken, or less.
    weight_decay : float
        Of AdamW, on kernels only, relative to the rate.
    warmup : float
        Share of the steps over which AdamW's rate rises from 0.
    clip : float
        Largest norm of a gradient; 0 leaves it as it is.
    loss : {"cross_entropy", "generalized", "bootstrap"}
        What is minimized over labeled pixels; "generalized" and "bootstrap" bear wrong
        labels.
    noise : {"none", "prune", "reweight", "forward"}
        What is done about wrong labels, which models find that have not seen them: nothing; labels
        of objects that are likely wrong are left out; each counts by the probability that it is
        right; or the loss takes into account how often classes are confused.
    noise_folds : int
        Trainings that find wrong labels, 2 to 25; used unless noise is "none".
    noise_epochs : int
        Epochs of each of these; 0 takes ``epochs``. Fewer save time and find fewer wrong labels.
    average : float
        Decay per step of a moving average of the weights, 0 to below 1: what is validated and saved
        is the average. 0 takes the weights of the last step.
    label_smoothing : float
        Share of each label that is spread over the classes that occur, 0 to below 1; used with
        plain cross entropy only.
    class_weights : {"none", "balanced"}
        Whether the loss counts every labeled pixel alike or every class alike.
    logit_adjustment : float
        How many times the logarithm of a class's share in the labels is added to its logit in
        training, 0 or more. At 1 the network learns probabilities as of classes that are equally
        frequent: it finds rare ones oftener and frequent ones less often. Validation still looks
        at the overall accuracy. Not with balanced class weights, which would do the same once more.
    flips : bool
        Show samples in all eight flips and quarter turns.
    rotation : float
        Largest angle in degrees by which samples are turned either way about their middle, 0 to
        180; in dense mode.
    scaling : float
        Share by which samples are enlarged at most, or made smaller as often: 0.25 shows them at
        0.8 to 1.25 times their size. 0 or more. What then lies outside of a sample is its mirror
        image. In dense mode.
    cutmix : float
        Probability with which a square of a sample is that of another, labels too, 0 to below 1;
        used in dense mode only.
    self_training : float
        Probability from which on the moving average's own class counts as the label of a pixel
        that has none, in the second half of the training; 0 leaves such pixels out. It is the
        probability without what ``label_smoothing`` spreads. In dense mode, with ``average``, and
        not with logit adjustment or noise "forward"; what noise "prune" leaves out has no label.
        History tells which share of these pixels was labeled so. A step then looks once more at
        its whole batch, which takes a third longer.
    band_jitter : float
        Standard deviation of a random gain and shift per band and sample, in normalized units.
    band_dropout : float
        Probability with which a band of a sample is hidden, 0 to below 1.
    missing : float
        Probability with which a sample lacks the data of one side or of a hole, as at the ends of
        orbits and under clouds, 0 to below 1.
    accumulate : int
        Parts into which a batch is cut to save memory; their gradients are added up.
    dtype : {"auto", "float32", "bfloat16"}
        In which layers compute; "auto" is bfloat16 on GPUs. Weights are float32 always.
    engine : {"auto", "jax", "kernels"}
        What computes the gradients: jax, or on CPUs the package's own kernels, for plain networks
        in float32. "auto" is the faster of both: on CPUs the kernels, but for windows below 32
        pixels. What both learn differs by rounding.
    validate_every : int
        Epochs between two looks at the validation samples; the last epoch is always looked at. It
        is the one that is kept, unless an earlier look was surely better: by more than the places
        of the validation samples differ.
    patience : int
        Looks without a better validation accuracy after which training ends, and the best epoch
        is kept; 0 never ends it.
    checkpoint_every : int
        Steps between two checkpoints of a run with a folder; the end of an epoch has one too.

    Examples
    --------
    >>> import osm4eo_xr as oxr
    >>> settings = oxr.TrainSettings(epochs=5, loss="generalized")
    >>> settings.optimizer, settings.batch
    ('adamw', 32)
    >>> oxr.TrainSettings.preset("small", epochs=5).depth
    11
    """

    PRESETS: ClassVar[Presets] = _PRESETS

    depth: int = 11
    width: int = 16
    mode: Literal["dense", "window"] = "dense"
    window: int = 12
    kernel: int = 3
    decoder: int = 32
    network: NetworkName = "resnet"
    fusion: Literal["sum", "concatenation", "attention", "decision"] = "sum"
    shared: bool = False
    auxiliary: float = 0.3
    members: int = 1
    group_dropout: float = 0.2
    epochs: int = 30
    batch: int = 32
    seed: int = 0
    optimizer: Literal["adamw", "nadam"] = "adamw"
    learning_rate: float = 2e-3
    weight_decay: float = 5e-2
    warmup: float = 0.1
    clip: float = 1.0
    loss: Literal["cross_entropy", "generalized", "bootstrap"] = "cross_entropy"
    noise: Literal["none", "prune", "reweight", "forward"] = "none"
    noise_folds: int = 3
    noise_epochs: int = 0
    average: float = 0.99
    label_smoothing: float = 0.1
    class_weights: Literal["none", "balanced"] = "none"
    logit_adjustment: float = 0.0
    flips: bool = True
    rotation: float = 0.0
    scaling: float = 0.0
    cutmix: float = 0.5
    self_training: float = 0.0
    band_jitter: float = 0.0
    band_dropout: float = 0.0
    missing: float = 0.0
    accumulate: int = 1
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    engine: Literal["auto", "jax", "kernels"] = "auto"
    validate_every: int = 1
    patience: int = 0
    checkpoint_every: int = 500

    def __repr__(self) -> str:
        """Name the settings that differ from the defaults; evaluates to an equal object."""
        changed = [f"{f.name}={v!r}" for f, v in self._values() if v != f.default]
        return f"TrainSettings({', '.join(changed)})"

    def _repr_html_(self) -> str:
        """Show every setting, its value and the default."""
        return html_table(
            "TrainSettings",
            [
                [f.name, v, "" if v == f.default else f"default {f.default}"]
                for f, v in self._values()
            ],
        )

    def _values(self) -> list[tuple[Field[Any], Any]]:
        return [(f, getattr(self, f.name)) for f in fields(self)]

    def __post_init__(self) -> None:
        _one_of(self, "network", NETWORKS)
        self.net(bands=2, classes=1, features=("s2:any@1", "s2:any@2"))
        _one_of(self, "fusion", FUSIONS)
        for name in ("epochs", "batch", "accumulate", "validate_every", "checkpoint_every"):
            _check(self, name, getattr(self, name) >= 1, "1 or more")
        for name in (
            *("weight_decay", "clip", "band_jitter", "patience", "noise_epochs"),
            *("auxiliary", "logit_adjustment", "learning_rate", "scaling"),
        ):
            _check(self, name, getattr(self, name) >= 0, "0 or more")
        _check(self, "seed", 0 <= self.seed < _SEEDS, "0 to below 2**63")
        for name in (
            *("warmup", "average", "label_smoothing", "band_dropout", "group_dropout"),
            *("missing", "cutmix", "self_training"),
        ):
            _check(self, name, 0 <= getattr(self, name) < 1, "0 to below 1")
        steady = self.mode == "dense" and self.average > 0
        plain = self.logit_adjustment == 0 and self.noise != "forward"
        why = "0, or dense mode with an average, without logit adjustment and noise 'forward'"
        _check(self, "self_training", self.self_training == 0 or (steady and plain), why)
        _check(self, "rotation", 0 <= self.rotation <= _HALF_TURN, "0 to 180 degrees")
        for name in ("rotation", "scaling"):
            _check(self, name, getattr(self, name) == 0 or self.mode == "dense", "0, or mode dense")
        _one_of(self, "optimizer", OPTIMIZERS)
        _one_of(self, "loss", LOSSES)
        _one_of(self, "noise", NOISE)
        fits = _FOLDS[0] <= self.noise_folds <= _FOLDS[1]
        _check(self, "noise_folds", fits, f"{_FOLDS[0]} to {_FOLDS[1]}")
        forward = self.noise == "forward" and self.loss != "cross_entropy"
        _check(self, "loss", not forward, "cross_entropy, as noise is forward")
        _one_of(self, "class_weights", ("none", "balanced"))
        twice = self.logit_adjustment > 0 and self.class_weights == "balanced"
        _check(self, "logit_adjustment", not twice, "0, as class_weights is balanced")
        _one_of(self, "dtype", ("auto", "float32", "bfloat16"))
        _one_of(self, "engine", ENGINES)
        plain = self.network == "resnet" and self.dtype != "bfloat16"
        why = "auto, as kernels compute plain networks in float32"
        _check(self, "engine", self.engine != "kernels" or plain, why)
        _check(self, "accumulate", self.batch % self.accumulate == 0, f"a divisor of {self.batch}")

    @classmethod
    def preset(cls, name: str, **changes: Any) -> TrainSettings:
        """Return the settings of a preset, with some of them changed.

        Parameters
        ----------
        name : {"small", "default", "large"}
            The demo in under three minutes; an hour or two of a laptop for a country; a GPU.
        **changes
            Settings that are to differ.

        Raises
        ------
        InputError
            If there is no such preset, or a setting is out of range.
        """
        _refuse_unknown("preset", name, cls.PRESETS.names)
        return cls(**cls.PRESETS.changed(name, changes))

    @property
    def networks(self) -> int:
        """Networks that learn side by side: the members, which only plain ones have."""
        return self.members if self.network == "resnet" else 1

    @property
    def fold_epochs(self) -> int:
        """Epochs of each training that finds wrong labels."""
        return self.noise_epochs or self.epochs

    def net(self, *, bands: int, classes: int, features: Sequence[str] = ()) -> NetSettings:
        """Return the shape of the network for so many bands and classes.

        A network with groups takes the ids of the features, one per band.

        Raises
        ------
        InputError
            If the network is of periods, or shares its encoders, and the periods of a source have
            other bands than each other.
        """
        plain = NetSettings(
            bands=bands,
            classes=classes,
            depth=self.depth,
            width=self.width,
            mode=self.mode,
            window=self.window,
            kernel=self.kernel,
            decoder=self.decoder,
            members=self.networks,
        )
        if self.network == "resnet":
            return plain
        alike = self.network == "temporal" or self.shared
        groups = aligned_groups(features, alike=alike)
        grouped = {"network": self.network, "fusion": self.fusion, "shared": self.shared}
        return dataclasses.replace(plain, groups=groups, **grouped)


def _check(settings: Any, name: str, holds: bool, expected: str) -> None:  # noqa: FBT001 - private
    """Refuse a value that is out of range."""
    if not holds:
        raise InputError(f"{name} is {getattr(settings, name)!r}", advice=f"give {expected}")


def _one_of(settings: Any, name: str, known: tuple[str, ...]) -> None:
    """Refuse an unknown word of a setting."""
    _refuse_unknown(name, getattr(settings, name), known)


def _refuse_unknown(name: str, word: str, known: Sequence[str]) -> None:
    if word not in known:
        raise InputError(f"{name} {word!r} is unknown", advice=f"give {', '.join(known)}")
