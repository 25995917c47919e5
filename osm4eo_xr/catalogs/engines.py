"""Which asset holds which band of each item, as stackstac or odc-stac find it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from odc.geo.geobox import GeoBox

from osm4eo_xr.errors import InputError, extra

if TYPE_CHECKING:
    from osm4eo_xr.catalogs.assets import Asset


def found_by_stackstac(
    items: list[dict[str, Any]], names: list[str], geobox: GeoBox
) -> list[dict[str, Asset]]:
    """Return each item's assets by band as stackstac finds them."""
    from stackstac.prepare import prepare_items

    epsg = geobox.crs.epsg if geobox.crs is not None else None
    if epsg is None:
        raise InputError("stackstac needs a grid with an EPSG code", advice="pass {backend='odc'}")
    box = geobox.boundingbox
    plain: Any = items  # its declared types are too narrow for what it takes
    table, _, bands, _ = prepare_items(
        plain,
        assets=names,
        epsg=epsg,
        resolution=(abs(geobox.resolution.x), abs(geobox.resolution.y)),
        bounds=(box.left, box.bottom, box.right, box.top),
        snap_bounds=False,
        rescale=False,
    )
    urls = table["url"]
    return [{b: url for b, url in zip(bands, row, strict=True) if url} for row in urls]


def found_by_odc(
    items: list[dict[str, Any]], names: list[str], geobox: GeoBox
) -> list[dict[str, Asset]]:
    """Return each item's assets by band as odc-stac finds them."""
    del geobox
    with extra("odc", "backend='odc'"):
        import odc.stac
        import pystac

    given = {a["href"].href: a["href"] for i in items for a in i["assets"].values()}
    plain = [pystac.Item.from_dict(_with_plain_hrefs(i)) for i in items]
    parsed: Any = odc.stac.parse_items(plain)
    found = [item.resolve_bands(names) for item in parsed]
    return [{n: given[s.uri] for n, s in row.items() if s is not None} for row in found]


def _with_plain_hrefs(item: dict[str, Any]) -> dict[str, Any]:
    """Return an item whose hrefs are text, as pystac wants them."""
    assets = {k: {**a, "href": a["href"].href} for k, a in item["assets"].items()}
    return {**item, "assets": assets}
