"""Scenes of one date opened without their clouds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from osm4eo_xr.errors import InputError
from osm4eo_xr.geometry.grid import geobox_of
from osm4eo_xr.imagery.bands import METHOD_BANDS, common_name
from osm4eo_xr.imagery.clouds.detector import BANDS
from osm4eo_xr.imagery.clouds.masks import mask_clouds
from osm4eo_xr.imagery.clouds.rule import NEEDED
from osm4eo_xr.imagery.lazy_scene import name_files
from osm4eo_xr.imagery.products.opening import open_product_classes, product_level
from osm4eo_xr.imagery.scenes import open_scene
from osm4eo_xr.rasters.files import list_files

if TYPE_CHECKING:
    import xarray as xr

    from osm4eo_xr.rasters.files import PathLike

OpenedMethod = Literal["scl", "s2cloudless", "threshold"]
"""Methods of ``mask_clouds`` for which a scene's files have all that is needed."""


def open_clear_scene(
    path: PathLike | Sequence[PathLike],
    method: OpenedMethod,
    *,
    bands: Sequence[str] | None = None,
    dilation: int = 0,
    level: Literal["", "1C", "2A"] = "",
    **numbers: Any,
) -> xr.DataArray:
    """Open files as a lazy scene without clouds.

    Parameters
    ----------
    path, bands
        As in ``open_scene``. Bands that the method needs beyond those are read, used and left out.
    method, dilation
        As in ``mask_clouds``; "scl" takes SAFE and EOPF products of level 2A.
    level : str
        Of the reflectance, where no product tells it.
    **numbers
        Further arguments of ``open_scene``.

    Raises
    ------
    InputError
        As ``open_scene`` and ``mask_clouds``, or if "scl" is asked for and there is none.
    """
    one = path if isinstance(path, str | Path) else path[0] if len(path) == 1 else None
    product = None if one is None else product_level(one)
    known = product or level
    asked = list(METHOD_BANDS if bands is None else bands)
    names = [common_name(b) for b in asked]
    more = [b for b in bands_needed(method, product or "") if b not in names]
    wanted = [*asked, *more] if bands is not None or more else None
    scene = open_scene(path, bands=wanted, **numbers)
    if method == "scl":
        if one is None or product is None:
            where = one or name_files([str(p) for p in list_files(path)])
            raise InputError(
                f"{where} has no scene classification",
                expected="a SAFE or EOPF product of level 2A to mask clouds by 'scl'",
                advice="mask by 'threshold'",
            )
        classes = open_product_classes(one, geobox=geobox_of(scene), chunks=scene.data.chunksize[1])
        return mask_clouds(scene, classes, dilation=dilation)
    told: Any = known or None
    clear = mask_clouds(scene, method=method, dilation=dilation, level=told)
    return clear.isel(band=slice(len(asked))) if more else clear


def bands_needed(method: str, level: str = "") -> Sequence[str]:
    """Return the bands that a method looks at, of a product of a level or of other files."""
    if method == "s2cloudless":
        return BANDS
    if method == "threshold":
        return (*NEEDED, "cirrus") if level == "1C" else NEEDED
    return ()
