"""What a country file may say: a frozen tree of settings, checked key by key."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from osm4eo_xr.country.scenes.settings import SceneFiles, check_date
from osm4eo_xr.features.settings import FeatureGroup, check_groups
from osm4eo_xr.maps.settings import Joining, Known, LayerSettings, Review, Sieving
from osm4eo_xr.networks.settings import EngineName  # noqa: TC001 - read from the hints
from osm4eo_xr.settings_io import check_value
from osm4eo_xr.training.settings import TrainSettings


@dataclass(frozen=True)
class LabelFiles:
    """``[labels]``: an OpenStreetMap extract, or class rasters.

    Attributes
    ----------
    osm : str
        Path of an .osm.pbf extract.
    rasters : tuple of str
        Class rasters that cover the tiles, one per tile: called as the tiles are, or in
        the order of their ids, which is refused where another shows more of a tile.
    codes : {"id", "clc"}
        What the rasters hold: class ids or CORINE codes.
    edge : {"center", "ignore"}
        A pixel has the class of its center; "ignore" leaves pixels unlabeled that an outline of
        the land use goes through.
    min_area : float
        Smallest area of ``osm`` that becomes labels, m².
    """

    osm: str = ""
    rasters: tuple[str, ...] = ()
    codes: Literal["id", "clc"] = "id"
    edge: Literal["center", "ignore"] = "center"
    min_area: float = 0.0

    def __post_init__(self) -> None:
        check_value(self.min_area >= 0, "min_area", self.min_area, "m², 0 or more")
        one = bool(self.osm) != bool(self.rasters)
        check_value(one, "labels", (self.osm, *self.rasters), "either osm or rasters")


@dataclass(frozen=True)
class Boundary:
    """``[boundary]``: where the map ends.

    Attributes
    ----------
    file : str
        Vector file.
    country : str
        A name or code as ``find_country`` takes; picks that country's polygons from ``file``, or
        from Natural Earth's outlines in the package.
    layer : str
        Which of several layers of ``file``.
    """

    file: str = ""
    country: str = ""
    layer: str = ""

    def __post_init__(self) -> None:
        check_value(bool(self.file) or not self.layer, "file", self.file, "a vector file")


@dataclass(frozen=True)
class Sampling:
    """``[samples]``; which samples are drawn, as by the command ``samples``.

    Attributes
    ----------
    per_class : int
        Pixels to draw per class and tile.
    cover : float
        How often the windows of all classes may cover the ground of a tile: in small tiles fewer
        than ``per_class`` are drawn, so that training takes time in proportion to the ground, and
        not to windows that show the same pixels again. 0 sets no limit.
    patch : int
        Edge of the windows in pixels.
    block : float
        Edge of the spatial blocks that are split, m.
    shares : tuple of float
        Shares of training, validation and test.
    gap : float
        Least distance between windows of different splits, m; -1 is the edge of a window.
    """

    per_class: int = 5000
    cover: float = 8.0
    patch: int = 32
    block: float = 1600.0
    shares: tuple[float, ...] = (0.6, 0.2, 0.2)
    gap: float = -1.0

    def __post_init__(self) -> None:
        check_value(self.per_class > 0, "per_class", self.per_class, "a positive number")
        check_value(0 <= self.cover < math.inf, "cover", self.cover, "0 or a positive number")
        check_value(self.patch > 0, "patch", self.patch, "a positive number of pixels")
        check_value(self.block > 0, "block", self.block, "a positive length in m")
        shares = len(self.shares) == 3 and min(self.shares) >= 0  # noqa: PLR2004
        whole = abs(sum(self.shares) - 1) < 1e-6  # noqa: PLR2004
        known = "shares of train, validation, test, 1 in all"
        check_value(shares and whole, "shares", self.shares, known)


@dataclass(frozen=True)
class Inference:
    """``[classify]``.

    Attributes
    ----------
    model : str
        Folder of a trained model; left out, one is trained from the labels.
    engine : {"auto", "jax", "onnx", "winograd"}
        What computes, as in ``classify``.
    dtype : {"auto", "float32", "bfloat16"}
        In which layers compute.
    flips : bool
        Average what the network says of all flips and quarter turns, as in ``classify``: eight
        times the time.
    probabilities : bool
        Also write each tile's class probabilities.
    applicability : bool
        Also write where the model applies to each tile (``…_dissimilarity.tif``,
        ``…_density.tif``, ``…_set_size.tif`` beside its classes) and to the country
        (``dissimilarity.tif``, ``density.tif``, ``set_size.tif``); the report says the shares
        outside. A model that is given must know it (``osm4eo-xr applicability``).
    pixels_per_second : float
        Speed of one device, for the plan's estimate; a CPU of two cores does 400,000.
    """

    model: str = ""
    engine: EngineName = "auto"
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    flips: bool = False
    probabilities: bool = False
    applicability: bool = False
    pixels_per_second: float = 400_000.0

    def __post_init__(self) -> None:
        speed = self.pixels_per_second
        check_value(speed > 0, "pixels_per_second", speed, "a positive number")
        both = self.flips and self.applicability
        check_value(not both, "flips", self.flips, "false, as applicability is of single views")


@dataclass(frozen=True)
class Reference:
    """``[accuracy]``: what the final map is compared with, beside the held-out samples.

    Attributes
    ----------
    points : str
        Vector file or table of points with a class each, or a label raster.
    column : str
        Column that holds the class; left out, the first that ``assess`` knows.
    layer : str
        Which of several layers of ``points``.
    design : str
        Folder of ``design-points``, if ``points`` are its labels: figures come with intervals.
    """

    points: str = ""
    column: str = ""
    layer: str = ""
    design: str = ""

    def __post_init__(self) -> None:
        named = self.column or self.layer or self.design
        check_value(bool(self.points) or not named, "points", self.points, "a vector file")


@dataclass(frozen=True)
class Products:
    """``[products]``.

    Attributes
    ----------
    names : {"plain", "original"}
        How the country's maps are called: ``mosaic.tif``, ``sieved.tif`` and ``labels.tif``, or as
        the original system did: ``DE_10m_3035_classified.tif``, ``…_classified_sieved.tif`` and
        ``…_label.tif``, after the boundary's country, pixel size and EPSG code. Maps that hold
        known ground (``[known]``) are ``…_osmlanduse`` there, not ``…_classified``.
    viewer : bool
        Also write ``viewer/``, a page that shows the maps in a browser; the report links to it.
    """

    names: Literal["plain", "original"] = "plain"
    viewer: bool = False


@dataclass(frozen=True)
class CountrySettings:
    """A country file.

    Attributes
    ----------
    name : str
        Name of the run, for the report.
    scenes : tuple of SceneFiles
        The tiles.
    out : str
        Folder of the results, relative to the country file.
    date : str
        Day or first day of the imagery, YYYY-MM-DD; STAC items carry it.
    seed : int
        Of every random choice.
    legend : str
        Legend file, or the name of a legend of the package as ``load_legend`` takes it
        ("osmlanduse-13"); left out, the twelve classes of OSMlanduse.
    cluster : str
        Name of a cluster, or its YAML file, relative to the country file; left out, threads of
        this machine.
    compression : {"zstd", "deflate"}
        Of all rasters.
    fractions : tuple of float
        Cell sizes in m of grids on which class shares are written.
    harmonize : bool
        Bring all tiles to one radiometry, as ``harmonize`` does from what they show of the same
        ground: samples are drawn from, and tiles classified in, reflectance times a gain, plus an
        offset, per tile and band (``harmony.json``, and in the report). Tiles have to overlap.
    features : tuple of FeatureGroup
        Groups of features that the model sees; left out, the bands of the tiles' scenes alone.
    train : TrainSettings
        Its ``seed`` is the country's.
    labels, boundary, samples, classify, mosaic, known, sieve, layers, accuracy, products, review
        Tables of the same names.
    """

    name: str
    scenes: tuple[SceneFiles, ...]
    out: str = "result"
    date: str = ""
    seed: int = 0
    legend: str = ""
    cluster: str = ""
    compression: Literal["zstd", "deflate"] = "zstd"
    fractions: tuple[float, ...] = ()
    harmonize: bool = False
    features: tuple[FeatureGroup, ...] = ()
    labels: LabelFiles | None = None
    boundary: Boundary = field(default_factory=Boundary)
    samples: Sampling = field(default_factory=Sampling)
    train: TrainSettings = field(default_factory=TrainSettings)
    classify: Inference = field(default_factory=Inference)
    mosaic: Joining = field(default_factory=Joining)
    known: Known | None = None
    sieve: Sieving = field(default_factory=Sieving)
    layers: tuple[LayerSettings, ...] = (LayerSettings(classes=("water",), vector="gpkg"),)
    accuracy: Reference = field(default_factory=Reference)
    products: Products = field(default_factory=Products)
    review: Review | None = None

    def __post_init__(self) -> None:
        check_value(bool(self.scenes), "scenes", self.scenes, "at least one [[scenes]] table")
        check_date(self.date, "date")
        check_value(self.seed >= 0, "seed", self.seed, "0 or more")
        learns = bool(self.labels) or bool(self.classify.model)
        check_value(learns, "labels", "nothing", "[labels] to learn from, or a model in [classify]")
        own = self.train.seed == TrainSettings().seed
        check_value(
            own, "train.seed", self.train.seed, "nothing there; set seed at the top of the file"
        )
        check_value(all(f > 0 for f in self.fractions), "fractions", self.fractions, "sizes in m")
        check_groups(self.features)
        country, original = self.boundary.country, self.products.names == "original"
        named = "a country, which products.names = 'original' begin with"
        check_value(bool(country) or not original, "boundary.country", country, named)
        needed = "[labels], which the map is compared with"
        check_value(self.review is None or bool(self.labels), "review", "a table", needed)
        if self.mosaic.rule == "blend":
            self._check_blend()
        if self.known is not None:
            self._check_known(self.known)

    def _check_blend(self) -> None:
        """Refuse what would be undone where tiles are blended."""
        when, weighs = self.sieve.when, self.known is not None and self.known.needs_noise
        fits = "'after' or 'never', as mosaic.rule = 'blend' joins what was not sieved"
        check_value(when != "before", "sieve.when", when, fits)
        rule = "" if self.known is None else self.known.rule
        fits = "'osm' or 'model', as mosaic.rule = 'blend' weighs predictions alone"
        check_value(not weighs, "known.rule", rule, fits)

    def _check_known(self, known: Known) -> None:
        """Refuse a rule that this run has not the means for."""
        check_value(self.labels is not None, "known.rule", known.rule, "[labels] that are known")
        settled = not known.needs_noise or bool(known.noise) or not self.classify.model
        needed = "a table, as this run holds no samples out of the training of a given model"
        check_value(settled, "known.noise", dict(known.noise), needed)
