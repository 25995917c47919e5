"""SAFE products as ESA delivers them: what their own metadata says, and where their files are."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import numpy as np

from osm4eo_xr.errors import InputError
from osm4eo_xr.imagery.band_looks import darkest
from osm4eo_xr.imagery.bands import SENTINEL2_BANDS, common_name
from osm4eo_xr.imagery.offsets import ADVICE, Evidence, Look, baseline_of, settle_offset
from osm4eo_xr.imagery.products.angles import safe_suns
from osm4eo_xr.imagery.products.band_files import bands_of_file
from osm4eo_xr.imagery.products.safe_files import METADATA, files_in, finest_images, read_file
from osm4eo_xr.imagery.reflectance import Scaling
from osm4eo_xr.rasters.remote.addresses import is_remote

if TYPE_CHECKING:
    from osm4eo_xr.imagery.reader import Band
    from osm4eo_xr.rasters.files import PathLike

CLASS_BAND = "scl"
"""Name under which a product's scene classification is kept beside its bands."""


@dataclass(frozen=True)
class SafeProduct:
    """What a product's metadata file says.

    It is called MTD_MSIL1C.xml or MTD_MSIL2A.xml; before December 2016 S2A_OPER_MTD_SAFL1C_*.xml
    or S2A_USER_MTD_SAFL2A_*.xml.

    Attributes
    ----------
    name : str
        Its PRODUCT_URI.
    level : str
        "1C" (top of atmosphere) or "2A" (surface).
    baseline : str
        Processing baseline, for example "05.09".
    date : str
        Start of sensing, ISO 8601.
    footprint : str
        Polygon in lon/lat, WKT.
    quantification : float
        Digital numbers per reflectance of 1.
    offsets : dict of str to float
        Digital numbers to add, by band id ("B02"); empty before baseline 04.00.
    invalid : tuple of float
        Digital numbers that are no data or saturated.
    processed : str
        When it was processed, ISO 8601; empty if that is not said.
    images : dict of (str, str) to str
        What GDAL opens, by tile ("33UUU") and band id, "SCL" or "PRB" (cloud probability); of
        several the finest.
    suns : dict of str to tuple
        The sun's mean azimuth and zenith in degrees, by tile.
    """

    name: str
    level: str
    baseline: str
    date: str
    footprint: str
    quantification: float
    offsets: dict[str, float]
    invalid: tuple[float, ...]
    processed: str
    images: dict[tuple[str, str], str]
    suns: dict[str, tuple[float, float]]

    @property
    def tiles(self) -> list[str]:
        """MGRS tiles of the product; products before December 2016 hold several."""
        return sorted({tile for tile, _ in self.images})


def is_safe(path: PathLike) -> bool:
    """Whether a path looks like a SAFE product: its folder, archive or metadata file."""
    path = Path(path)
    if path.suffix.casefold() == ".safe" or METADATA.search(path.name):
        return True
    if path.is_dir():
        return metadata_in(path)
    return path.suffix.casefold() == ".zip"


def metadata_in(folder: Path) -> bool:
    """Whether a folder holds the metadata file of a product."""
    return any(METADATA.search(p.name) for p in folder.glob("*.xml"))


def read_product(path: PathLike) -> SafeProduct:
    """Read a product's metadata.

    Raises
    ------
    InputError
        If there is no product there, it is an address, or its metadata lack what its numbers
        need.
    """
    if is_remote(str(path)):
        raise InputError(
            f"{path} is an address, and SAFE products are read from disk",
            advice="download it, or give the addresses of its band files or of an EOPF store",
        )
    path = Path(path)
    root = path.parent if METADATA.search(path.name) and not path.is_dir() else path
    names, prefix = files_in(root)
    found = [match for n in names if (match := METADATA.search(n))]
    if len(found) != 1:
        raise InputError(
            f"{path} holds {len(found)} files MTD_MSIL1C.xml or MTD_MSIL2A.xml, expected 1",
            advice="give the .SAFE folder or the zip of one product",
        )
    metadata = found[0].string
    try:
        tree = ET.fromstring(read_file(root, metadata))  # noqa: S314 -- see the import
    except ET.ParseError as error:
        raise InputError(
            f"{path}: {metadata} is no XML ({error})", advice="download it again"
        ) from None
    try:
        suns = safe_suns(names, lambda name: read_file(root, name))
        return _product_of(
            tree, found[0]["level"], path, root.name, finest_images(names, prefix), suns
        )
    except InputError:
        raise
    except (KeyError, OverflowError, ValueError) as error:  # of numbers that are none
        raise InputError(
            f"{path}: {metadata} is damaged ({type(error).__name__}: {error})",
            advice="download it again",
        ) from None


def _product_of(
    tree: ET.Element,
    level: str,
    path: Path,
    name: str,
    images: dict[tuple[str, str], str],
    suns: dict[str, tuple[float, float]],
) -> SafeProduct:
    """Return what a product's metadata say."""
    return SafeProduct(
        name=_text(tree, "PRODUCT_URI") or _text(tree, "PRODUCT_URI_2A") or name,
        level=level,
        baseline=_need(tree, "PROCESSING_BASELINE", path),
        date=_need(tree, "PRODUCT_START_TIME", path),
        footprint=_footprint(tree),
        quantification=_quantification(tree, level, path),
        offsets=_offsets(tree),
        invalid=_special_values(tree),
        processed=_text(tree, "GENERATION_TIME") or "",
        images=images,
        suns=suns,
    )


def safe_bands(
    product: SafeProduct,
    *,
    tile: str | None,
    scale: float | None,
    offset: float | None,
    resampling: str,
) -> list[Band]:
    """Describe the product's bands (finest file each) with the scaling of its metadata.

    Parameters
    ----------
    product : SafeProduct
        From ``read_product``.
    tile : str, optional
        Which tile; needed if the product holds several.
    scale, offset : float, optional
        The caller's words (unit: reflectance per digital number, reflectance) in place of the
        metadata's.
    resampling : str
        GDAL's method for bands that are not on the target grid.
    """
    chosen = _tile_of(product, tile)
    bands: dict[str, Band] = {}
    for band_id in SENTINEL2_BANDS:
        path = product.images.get((chosen, band_id))
        if path is not None:
            (band,) = bands_of_file(path, resampling=resampling, nodata=None)
            validity = band.validity.instead(
                product.invalid, np.dtype(band.dtype), "special value of the product"
            )
            bands[band_id] = replace(band, name=str(common_name(band_id)), validity=validity)
    if not bands:
        raise InputError(
            f"{product.name} has no band file (.jp2)", advice="download the whole product"
        )
    look = cache(lambda: darkest(list(bands.values())[::-1]))
    return [
        replace(band, scaling=_scaling(product, band_id, scale, offset, look))
        for band_id, band in bands.items()
    ]


def _scaling(
    product: SafeProduct, band_id: str, scale: float | None, offset: float | None, look: Look
) -> Scaling:
    if offset is None:
        offset = settle_offset(product_evidence(product, band_id), look)
    return Scaling(1 / product.quantification if scale is None else scale, offset)


def product_evidence(product: SafeProduct, band_id: str) -> Evidence:
    """Return what a product's metadata say of a band's offset; 04.00 and later must state it.

    Raises
    ------
    InputError
        If they do not.
    """
    known = Evidence(
        where=f"{product.name} of baseline {product.baseline}, {band_id}",
        stated=product.offsets[band_id] / product.quantification
        if band_id in product.offsets
        else None,
        baseline=baseline_of(product.baseline),
        processed=product.processed,
    )
    if known.stated is None and known.baseline and settle_offset(known):
        raise InputError(
            f"{product.name} is of baseline {product.baseline}, whose digital numbers carry an "
            f"offset, but its metadata state none for {band_id}",
            advice=ADVICE,
        )
    return known


def product_sun(product: SafeProduct, *, tile: str | None) -> tuple[float, float] | None:
    """Return the sun's azimuth and zenith over a tile of a product, if its metadata tell them."""
    return product.suns.get(_tile_of(product, tile))


def class_band(product: SafeProduct, *, tile: str | None) -> Band:
    """Describe the product's scene classification."""
    path = product.images.get((_tile_of(product, tile), "SCL"))
    if path is None:
        raise InputError(
            f"{product.name} (level {product.level}) has no scene classification; only products "
            f"of level 2A have one",
            advice="leave {mask} out",
        )
    (band,) = bands_of_file(path, resampling="nearest", nodata=0)
    return replace(band, name=CLASS_BAND, scaling=Scaling(1.0))


def probability_band(product: SafeProduct, *, tile: str | None) -> Band:
    """Describe the product's cloud probability."""
    path = product.images.get((_tile_of(product, tile), "PRB"))
    if path is None:
        raise InputError(
            f"{product.name} (level {product.level}) has no cloud probability; only products of "
            f"level 2A have one, in QI_DATA/MSK_CLDPRB_20m.jp2"
        )
    (band,) = bands_of_file(path, resampling="nearest", nodata=None)
    return replace(band, name="cld", scaling=Scaling(1.0))


def _tile_of(product: SafeProduct, tile: str | None) -> str:
    """Return the tile that is meant."""
    wanted = None if tile is None else tile.upper().removeprefix("T")
    if wanted is None and len(product.tiles) == 1:
        return product.tiles[0]
    if wanted in product.tiles:
        return str(wanted)
    has = ", ".join(product.tiles) or "no tile"
    asked = "none was named" if tile is None else f"not {tile}"
    raise InputError(f"{product.name} holds {has}; {asked}", advice="pass {tile} with one of them")


def _text(tree: ET.Element, tag: str) -> str | None:
    """Return the text of the first element of a name."""
    found = tree.find(f".//{tag}")
    return None if found is None or found.text is None else found.text.strip()


def _need(tree: ET.Element, tag: str, path: Path) -> str:
    """Return the text of an element that every product has."""
    text = _text(tree, tag)
    if not text:
        raise InputError(f"{path}: its metadata lack {tag}", advice="download the product again")
    return text


def _quantification(tree: ET.Element, level: str, path: Path) -> float:
    """Return digital numbers per reflectance of 1."""
    names = ("QUANTIFICATION_VALUE",)
    if level == "2A":  # products before baseline 02.07 say L2A_BOA_…
        names = ("BOA_QUANTIFICATION_VALUE", "L2A_BOA_QUANTIFICATION_VALUE")
    text = next((t for t in (_text(tree, n) for n in names) if t), None)
    if text is None:
        raise InputError(
            f"{path}: its metadata lack {names[0]}", advice="download the product again"
        )
    value = float(text)
    if not 0 < value < np.inf:
        raise ValueError(f"{names[0]} {text}")
    return value


def _offsets(tree: ET.Element) -> dict[str, float]:
    """Return BOA_ADD_OFFSET or RADIO_ADD_OFFSET by band id; band_id counts in ESA's order."""
    ids = dict(enumerate(SENTINEL2_BANDS))
    return {
        ids[int(element.attrib["band_id"])]: float(element.text or "nan")
        for tag in ("BOA_ADD_OFFSET", "RADIO_ADD_OFFSET")
        for element in tree.iter(tag)
    }


def _special_values(tree: ET.Element) -> tuple[float, ...]:
    """Return the digital numbers of NODATA and SATURATED."""
    found = [float(e.text) for e in tree.iter("SPECIAL_VALUE_INDEX") if e.text]
    return tuple(found) or (0.0, 65535.0)


def _footprint(tree: ET.Element) -> str:
    """Return the product's footprint as WKT; its list of positions goes lat lon lat lon …."""
    numbers = (_text(tree, "EXT_POS_LIST") or "").split()
    if not numbers:
        return ""
    corners = zip(numbers[1::2], numbers[::2], strict=False)
    return f"POLYGON (({', '.join(f'{float(x):.10g} {float(y):.10g}' for x, y in corners)}))"
