"""Which object of OpenStreetMap lies at each pixel of a map: an index per web tile, for clicks."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rasterio.features import rasterize

from osm4eo_xr.geometry.geodesy import project_bounds
from osm4eo_xr.labels.burn import ranks
from osm4eo_xr.osm.areas import Areas, join, project, within
from osm4eo_xr.osm.partitions import Landuse, read_areas
from osm4eo_xr.viewer.web_mercator import SIDE, WEB_MERCATOR, Cells, Place

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox

    from osm4eo_xr.legend import Legend

_HELD = 4  # partitions in memory; neighboring tiles share them


@dataclass(frozen=True)
class Objects:
    """The land use that a map's labels are made of.

    Attributes
    ----------
    landuse : Landuse
        From ``write_landuse``.
    legend : Legend
        Whose priorities decide where areas overlap, as in the labels.
    """

    landuse: Landuse
    legend: Legend

    def cut(
        self, cells: Cells, take: Callable[[Place, str], None], progress: Callable[[], None]
    ) -> list[Place]:
        """Hand over the tiles that have an object, and return which they are.

        A tile's text is base64 of zlib's stream of SIDE x SIDE numbers (uint32, little-endian, row
        by row), a bar, and JSON: kind, id and tag of objects 1, 2, …; number 0 is none.
        """
        made = []
        for place in cells.places():
            text = self._text(cells.box_of(place))
            progress()
            if text:
                take(place, text)
                made.append(place)
        return made

    def _text(self, box: GeoBox) -> str:
        """Return a tile's text; nothing if no object meets it."""
        areas = self._meeting(project_bounds(tuple(box.boundingbox), WEB_MERCATOR, "EPSG:4326"))
        if areas is None:
            return ""
        shapes = project(areas.geometry, WEB_MERCATOR)
        numbered = ((shape, k) for k, shape in enumerate(shapes, start=1) if not shape.is_empty)
        index = np.zeros((SIDE, SIDE), np.uint32)
        rasterize(numbered, out=index, transform=box.affine)
        seen, small = np.unique(index, return_inverse=True)
        if not seen.any():
            return ""
        small = small.reshape(index.shape) + (seen[0] > 0)
        data = zlib.compress(small.astype("<u4").tobytes(), 6)
        told = [_told(areas, k - 1) for k in seen if k]
        return f"{base64.b64encode(data).decode()}|{json.dumps(told)}"

    def _meeting(self, bounds: tuple[float, float, float, float]) -> Areas | None:
        """Return the areas that meet a box in degrees, in the order in which they are burnt."""
        parts = [_read(path, path.stat().st_mtime_ns) for path in self.landuse.meeting(bounds)]
        near = [p.take(within(p.geometry, bounds)) for p in parts]
        if not sum(map(len, near)):
            return None
        areas = join(near).in_order()
        priority = {c.id: c.priority for c in self.legend.classes}
        rank = ranks(areas.class_id, areas.priority, priority)
        return areas.take(np.lexsort((areas.class_id, rank)))


@lru_cache(maxsize=_HELD)
def _read(path: Path, written: int) -> Areas:
    """Read a partition."""
    del written  # part of the cache's key alone
    return read_areas([path])[0]


def _told(areas: Areas, k: int) -> tuple[str, int, str]:
    return str(areas.osm_kind[k]), int(areas.osm_id[k]), str(areas.tag[k])
