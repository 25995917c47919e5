"""An extract → its land-use areas in a spool; with what a reader says of a wrong file."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import osmium

from osm4eo_xr.errors import InputError, InputWarning
from osm4eo_xr.legend import default_legend
from osm4eo_xr.names import counted
from osm4eo_xr.osm.areas import OSM_CRS, Bounds, Problems, to_areas
from osm4eo_xr.osm.edits import as_libosmium_reads
from osm4eo_xr.osm.scan import Scan
from osm4eo_xr.osm.spool import Spool

if TYPE_CHECKING:
    from osm4eo_xr.legend import Legend
    from osm4eo_xr.progress import Progress


_NAMED = 12  # tags in a warning
_LACKING = "not in the file"  # in the reason of what is broken, as repair puts it


def spool_landuse(
    path: Path,
    scratch: Path,
    legend: Legend,
    *,
    cell: float,
    crs: str = OSM_CRS,
    bbox: Bounds | None = None,
    progress: Progress | None = None,
) -> tuple[Spool, Problems]:
    """Read an extract into a spool, whose files are in a folder that the caller clears.

    The cells have an edge in units of the CRS, the bbox is in degrees.

    Memory holds some thousand areas at a time, however large the extract; node locations of one
    above 300 MB are in that folder too.
    """
    with ExitStack() as closing, readable(path) as file:
        if not legend.rules:
            raise nothing_in(path, legend, bbox)
        spool = closing.enter_context(Spool(scratch, cell))
        scan = Scan(file, legend, progress, scratch)
        read = 0
        for rows in scan.batches():
            read += len(rows)
            spool.add(to_areas(rows, bbox, crs))
        if not len(spool):
            raise nothing_in(path, legend, bbox, () if read else scan.problems.broken)
        closing.pop_all()  # the spool is the caller's now
    scan.progress.finish()
    warn_of_unmatched(path, legend, spool.tags, bbox)
    return spool, scan.problems


def warn_of_unmatched(
    path: Path, legend: Legend, seen: Collection[str], bbox: Bounds | None
) -> None:
    """Warn of tags of somebody's own legend that no area came by: they may be misspelled."""
    if legend.rules in (default_legend().rules, default_legend(coastal=True).rules):
        return  # rules that are right, many of which a small extract has no object for
    missing = list(dict.fromkeys(rule.tag for rule in legend.rules if rule.tag not in seen))
    if missing:
        rest = f" and {len(missing) - _NAMED} more (a label report lists all)"
        more = rest * (len(missing) > _NAMED)
        where = f"{path.name}{' within the bbox' * bool(bbox)}"
        text = f"no object of {where} is land by {', '.join(missing[:_NAMED])}{more}; the tags are "
        text += f"those of legend {legend.name!r}"
        warnings.warn(InputWarning(text), stacklevel=2)


@contextmanager
def readable(path: Path) -> Iterator[Path]:
    """Yield the file to read for an extract; say plainly when it is missing, damaged or none."""
    if not path.is_file():
        raise InputError(
            f"no OpenStreetMap file {path}", advice="give the path of an .osm.pbf or .osm file"
        )
    try:
        with as_libosmium_reads(path) as file:
            yield file
    except InputError:
        raise
    except _UNREADABLE as error:
        advice = next((a for said, a in _ADVICE.items() if said in str(error)), _AGAIN)
        advice = advice.replace("FILE", path.name)
        raise InputError(
            f"{path} cannot be read as OpenStreetMap data ({error})", advice=f"{advice}"
        ) from None


# As libosmium and the XML parser put it.
_UNREADABLE = (
    *(RuntimeError, SyntaxError, LookupError, ValueError, OverflowError),
    osmium.InvalidLocationError,
)
_AGAIN = "download the extract again"
_ADVICE = {
    "out of order": "bring it in order with osmium sort FILE -o SORTED.osm.pbf",
    "twice": "join extracts with osmium merge A.osm.pbf B.osm.pbf -o BOTH.osm.pbf, which keeps one "
    "of each object",
    "is negative": "give its objects new ids with osmium sort FILE -o SORTED.osm.pbf and osmium "
    "renumber SORTED.osm.pbf -o NEW.osm.pbf",
}


def nothing_in(
    path: Path, legend: Legend, bbox: Bounds | None, broken: Sequence[Mapping[str, Any]] = ()
) -> InputError:
    """Return the error of an extract without land use, or whose every area is broken."""
    if broken:
        first = broken[0]
        advice = "mend it, or give another extract"
        if _LACKING in first["reason"]:
            advice = "give an extract with its ways and nodes; ask Overpass for (._;>;); out body;"
        return InputError(
            f"{path} has no area that legend {legend.name!r} names, only "
            f"{counted(len(broken), 'object')} with its tags that cannot be made one "
            f"({first['osm_kind']} {first['osm_id']}: {first['reason']})",
            advice=advice,
        )
    return InputError(
        f"{path} has no area that legend {legend.name!r} names{' within the bbox' * bool(bbox)}",
        advice="give an extract with land use, or a legend with rules for its tags",
    )
