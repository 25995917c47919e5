"""Groups of features in a country file."""

from __future__ import annotations

from dataclasses import dataclass

from osm4eo_xr.errors import InputError
from osm4eo_xr.feature_ids.ids import parse_group
from osm4eo_xr.settings_io import check_value

TILE = "{tile}"
"""Stands for a tile's id in the paths of files."""


@dataclass(frozen=True)
class FeatureGroup:
    """``[[features]]``: a group of features of every tile, as ``FeatureSource`` reads it.

    Attributes
    ----------
    group : str
        Its name, ``source@period`` or ``source``: "s2@2024-07", "s1@2024-summer", "dem",
        "aef@2024", "tessera-1.1@2024", or any other source.
    files : tuple of str
        Paths or globs, relative to the country file, in which {tile} stands for the tile's id.
        One group has none: it is of the tiles' own scenes, and is "s2" or one of its periods.
    bands : tuple of str
        Which features: bands and spectral indices, height, slope, aspect_sin and aspect_cos, A00 to
        A63, T000 to T127, or what the files' bands are called; left out, all but indices.
    names : tuple of str
        What the files' bands are, in order; left out, what they state.
    unit : str
        Of radar: "linear" or "dB", which has to be stated; of others for people.
    resampling : str
        GDAL's method; left out, cubic for s2 and dem, nearest for embeddings, bilinear for others.
    scale, offset, nodata : float
        Of the files' numbers, in place of what they state.
    optional : bool
        Whether a pixel may lack the group: it has a class all the same, and samples are drawn
        there too.
    """

    group: str = "s2"
    files: tuple[str, ...] = ()
    bands: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    unit: str = ""
    resampling: str = ""
    scale: float | None = None
    offset: float | None = None
    nodata: float | None = None
    optional: bool = False

    def __post_init__(self) -> None:
        source, _ = parse_group(self.group)
        if self.files:
            return
        check_value(source == "s2", "group", self.group, "s2 or s2@period, as it has no files")
        alone = not self.names and (self.scale, self.offset, self.nodata) == (None, None, None)
        known = "files, as [[scenes]] says how the tiles' own are read"
        check_value(alone, "files", self.files, known)


def check_groups(groups: tuple[FeatureGroup, ...]) -> None:
    """Refuse groups that a run cannot make one cube of.

    Raises
    ------
    InputError
        If two have one name, or not just one is of the tiles' own scenes, or that is optional.
    """
    names = [group.group for group in groups]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"features name group {twice[0]!r} twice", expected="each once")
    own = [group for group in groups if not group.files]
    if groups and len(own) != 1:
        raise InputError(
            f"{len(own)} of {len(groups)} groups of features have no files",
            expected="one, of the tiles' own scenes",
            advice='add [[features]] group = "s2"' if not own else "give the others files",
        )
    if own and own[0].optional:
        raise InputError(
            f"group {own[0].group!r} of the tiles' own scenes is optional",
            expected="a group with files, as a tile is where its scene has data",
        )
