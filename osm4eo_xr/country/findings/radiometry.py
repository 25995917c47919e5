"""How the tiles of a run were brought to one radiometry, for the report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from osm4eo_xr.country.findings import page
from osm4eo_xr.country.scenes.harmony import read_harmony

if TYPE_CHECKING:
    from osm4eo_xr.country.context import CountryRun

_NOTE = (
    "Samples were drawn from, and tiles classified in, reflectance times a gain, plus an offset, "
    "that make tiles alike where they overlap. What all tiles share cannot be known; a tile that "
    "overlaps none stays as it is."
)


def find_harmony(run: CountryRun) -> dict[str, Any]:
    """Return gain and offset by tile and band, and the overlaps used; nothing without any."""
    return read_harmony(run).to_dict() if run.settings.harmonize else {}


def harmony_parts(harmony: dict[str, Any]) -> list[str]:
    """Show in the page the gains and offsets, and the overlaps that they come from."""
    if not harmony:
        return []
    rows = [
        (
            tile,
            ", ".join(f"{b} {g:.3f} r {harmony['offset'][tile][b]:+.4f}" for b, g in row.items()),
        )
        for tile, row in harmony["gain"].items()
    ]
    overlaps = [(" and ".join(o["tiles"]), f"{o['pixels']:,}") for o in harmony["overlaps"]]
    used = f"Overlaps used: {len(overlaps)}"
    return [
        "<h2>Radiometry</h2>",
        f"<p>{_NOTE}</p>",
        page.table(("tile", "what reflectance r becomes"), rows),
        page.folded(used, page.table(("tiles", "pixels compared"), overlaps)),
    ]
