"""The command that leads back to OpenStreetMap."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from osm4eo_xr.cli.options import LegendFile, Out, Overwrite, read_legend
from osm4eo_xr.cli.outputs import GEOJSON, outputs
from osm4eo_xr.cli.setting_options import with_settings
from osm4eo_xr.maps.settings import Review
from osm4eo_xr.names import counted
from osm4eo_xr.progress import OUT


@with_settings(Review)
def review(
    result: Annotated[Path, typer.Argument(help="Folder of a run that keeps confidences.")],
    *,
    out: Out,
    settings: Review,
    comment: Annotated[
        str, typer.Option(help="What links propose for the changeset, with #hashtags.")
    ] = "Check land use #osmlanduse",
    legend: LegendFile = None,
    overwrite: Overwrite = False,
) -> None:
    """List what mappers should look at: objects that look wrong, unmapped land to begin with."""
    from osm4eo_xr.country.findings.review import review_result
    from osm4eo_xr.maps.review.tasks import write_tasks

    with outputs([(out, GEOJSON)], [result, legend], overwrite=overwrite) as place:
        objects, places = review_result(result, settings, legend=read_legend(legend))
        write_tasks(place(out), objects, places, comment=comment)
        counts = [0 if found is None else len(found) for found in (objects, places)]
        OUT.print(f"{counted(counts[0], 'object')} to check, {counted(counts[1], 'place')} to map")
