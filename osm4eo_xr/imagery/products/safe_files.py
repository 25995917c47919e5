"""Files of SAFE products, in a folder or its zip: which there are, and which hold which image."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

from osm4eo_xr.errors import InputError

METADATA = re.compile(
    r"(^|/)(?:MTD_MSIL|S2[A-D]_(?:OPER|USER)_MTD_SAFL)(?P<level>1C|2A)(?:_[^/]*)?\.xml$"
)
"""The metadata file of a whole product, and its level."""

_IMAGE = re.compile(
    r"(?:^|/)GRANULE/(?P<granule>[^/]+)/IMG_DATA/(?:R\d\dm/)?[^/]*?"
    r"_(?P<band>B\w\w|SCL)(?:_(?P<meters>\d\d)m)?\.jp2$"
)
_PROBABILITY = re.compile(
    r"(?:^|/)GRANULE/(?P<granule>[^/]+)/QI_DATA/MSK_CLD(?P<band>PRB)_(?P<meters>\d\d)m\.jp2$"
)
_TILE = re.compile(r"_T(\d\d[A-Z]{3})_")


def files_in(root: Path) -> tuple[list[str], str]:
    """Return the names inside a folder or zip, and what GDAL puts before them."""
    if root.is_dir():
        files = (p for p in root.rglob("*") if p.is_file())
        return sorted(p.relative_to(root).as_posix() for p in files), f"{root}/"
    try:
        with zipfile.ZipFile(root) as archive:
            return sorted(archive.namelist()), f"/vsizip/{{{root.absolute()}}}/"
    except FileNotFoundError:
        raise InputError(f"no product {root}", advice="give a .SAFE folder or its zip") from None
    except zipfile.BadZipFile:
        raise InputError(
            f"{root} is neither a folder nor a whole zip", advice="download it again"
        ) from None


def read_file(root: Path, name: str) -> bytes:
    """Return the bytes of a file inside a folder or zip."""
    if root.is_dir():
        return (root / name).read_bytes()
    with zipfile.ZipFile(root) as archive:
        return archive.read(name)


def finest_images(names: list[str], prefix: str) -> dict[tuple[str, str], str]:
    """Return the finest image of each tile and band."""
    finest: dict[tuple[str, str], tuple[int, str]] = {}
    for name in names:
        if name.rpartition("/")[2].startswith("."):  # "._NAME.jp2", which macOS leaves in zips
            continue
        match = _IMAGE.search(name) or _PROBABILITY.search(name)
        tile = match and _TILE.search(f"_{match['granule']}_")
        if match and tile:
            key = tile[1], match["band"].upper()
            candidate = int(match["meters"] or 0), prefix + name
            other = finest.get(key, candidate)
            if other[0] == candidate[0] and other != candidate:
                raise InputError(
                    f"{prefix} holds band {key[1]} of tile {key[0]} twice: "
                    f"{other[1].removeprefix(prefix)} and {name}",
                    expected="the files of one product",
                    advice="download it again",
                )
            finest[key] = min(other, candidate)
    return {key: path for key, (_, path) in finest.items()}
