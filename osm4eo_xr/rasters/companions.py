"""Files that are read with another: what lies beside it, and what it refers to."""

from __future__ import annotations

import html
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

from osm4eo_xr.files import scratch_folder
from osm4eo_xr.rasters.remote.addresses import is_remote

# What GDAL, QGIS, SQLite and shapefiles keep beside a file: behind its name or instead of its
# suffix. Edits of a GeoPackage that is open elsewhere are in -wal, edits to be undone in -journal.
_AUXILIARY = ".aux.xml"
_OF_SQLITE = ("-wal", "-journal")
_BEHIND = (_AUXILIARY, ".msk", *_OF_SQLITE)
_INSTEAD = (".tfw", ".j2w", ".wld", ".hdr", ".prj", ".shx", ".dbf", ".cpg")
_OF_ARRAY = ("_scales.npy", ".tiff", ".tif")  # of TESSERA's tiles: their scales, and their place
_TOLD = (".qml", ".stac.json")  # says how to show or find the file, and changes nothing in it
_OF_LOOKS = (".qml", ".ovr", "-shm")
_BEHIND_TOLD = (_AUXILIARY, ".ovr", "-shm")  # -shm says where edits are in -wal; readers write it
_OF_DATA = re.compile(
    r"<(?:SRS|GeoTransform|GCPList|NoDataValue|Description|Scale|Offset|Mask\w*)\b|NODATA_VALUES"
)
# Of <Metadata>, what is reckoned from the pixels and what says how they are compressed.
_RECKONED, _OF_STORAGE = "STATISTICS_", "IMAGE_STRUCTURE"
_IN_WORDS = "AsString"  # typeAsString="Integer", usageAsString="Name"
_REFERENCE = re.compile(
    r'"href"\s*:\s*"([^"]+)"|>([^<>]+)</(?:Source(?:Filename|Dataset)|SrcDataSource)>'
)
# What stands around a file's name where GDAL reads inside it or is told by which driver to read it:
# /vsizip/{a.zip}/b.tif, NETCDF:"a.nc":red, vrt://a.tif?bands=1.
_AROUND = re.compile(r"/vsi\w+/|[{}\":?]")


def read_with(path: Path) -> list[Path]:
    """Return an input, what lies beside it, and the files that it refers to."""
    told = [path.with_suffix(end) for end in _TOLD if path.name]
    told += [path.with_name(path.name + end) for end in _BEHIND_TOLD if path.name]
    return list(dict.fromkeys([*files_of_data(path), *(p for p in told if p.exists())]))


def files_of_data(path: Path) -> list[Path]:
    """Return an input and all files, beside it or referred to, that decide what is read from it.

    Statistics that QGIS or GDAL leave in ``.aux.xml``, and the names of bands that they copy there,
    decide nothing, nor do overviews.
    """
    refers = list(referred(path))
    found = [path, *_beside(path), *refers, *(p for file in refers for p in _beside(file))]
    return list(dict.fromkeys(found))


def referred(path: Path) -> Iterator[Path]:
    """Yield the files that a VRT or a STAC document refers to, through others like it."""
    yield from _referred(path, set())


def _beside(path: Path) -> list[Path]:
    places = [path.with_name(path.name + end) for end in _BEHIND if path.name]
    places += [path.with_suffix(end) for end in _INSTEAD if path.name]
    if path.suffix == ".npy":
        places += [path.with_name(path.stem + end) for end in _OF_ARRAY]
    return [place for place in places if place.is_file() and decides(place)]


def decides(place: Path) -> bool:
    """Whether a file, beside another or in a folder, says more than how that looks."""
    if place.name.endswith(_OF_LOOKS):
        return False
    if place.name.endswith(_OF_SQLITE):
        return place.stat().st_size > 0  # emptied ones stay as long as a file is open
    if not place.name.endswith(_AUXILIARY):
        return True
    return bool(_OF_DATA.search(said_beside(place)))


def is_auxiliary(path: Path) -> bool:
    """Whether a file is what GDAL keeps beside a raster."""
    return path.name.endswith(_AUXILIARY)


def said_beside(auxiliary: Path) -> str:
    """Return what an ``.aux.xml`` says but for what its raster tells: canonical XML.

    Whoever looks at a raster in QGIS or asks GDAL for its statistics leaves these there, with
    histograms and with the names that the raster itself gives its bands.
    """
    text = auxiliary.read_text(encoding="utf-8", errors="replace")
    try:
        root = ET.fromstring(text)  # noqa: S314 - expat bounds what entities expand to
    except ET.ParseError:
        return text  # GDAL may still find something in it
    names = _own_names(auxiliary) if root.find("PAMRasterBand/Description") is not None else {}
    for band in root.findall("PAMRasterBand"):
        for name in band.findall("Description"):
            if (name.text or "") == names.get(band.get("band"), ""):
                band.remove(name)
        _remove_reckoned(band)
        if not len(band):
            root.remove(band)
    _remove_reckoned(root)
    for field in root.iter():  # words that GDAL of late puts beside the numbers of a table
        for name in [name for name in field.attrib if name.endswith(_IN_WORDS)]:
            del field.attrib[name]
    return ET.canonicalize(ET.tostring(root, encoding="unicode"), strip_text=True)


def _remove_reckoned(element: ET.Element) -> None:
    """Take statistics, histograms and the compression out of a raster's element or a band's."""
    for told in [*element.findall("Histograms"), *element.findall("Metadata")]:
        for item in told.findall("MDI"):
            if (item.get("key") or "").startswith(_RECKONED):
                told.remove(item)
        if told.tag == "Histograms" or told.get("domain") == _OF_STORAGE or not len(told):
            element.remove(told)


def _own_names(auxiliary: Path) -> dict[str | None, str]:
    """Return what a raster itself calls its bands, by their numbers; nothing if none can tell."""
    import rasterio  # here, since the commands' checks of outputs import this module
    from rasterio.errors import RasterioIOError

    raster = auxiliary.with_name(auxiliary.name.removesuffix(_AUXILIARY)).absolute()
    with scratch_folder("osm4eo-names-") as folder:
        link = folder / raster.name  # beside which nothing lies; GDAL's options are of all threads
        link.symlink_to(raster)
        try:
            with warnings.catch_warnings(action="ignore"), rasterio.open(link) as file:
                return {str(k): name or "" for k, name in enumerate(file.descriptions, start=1)}
        except RasterioIOError:
            return {}


def _referred(path: Path, seen: set[Path]) -> Iterator[Path]:
    if path.suffix.lower() not in (".vrt", ".json", ".geojson") or path.resolve() in seen:
        return
    seen.add(path.resolve())
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return  # the step that needs it says what is wrong with it
    for name in _REFERENCE.findall(text):
        target = _file_of("".join(name), path.parent)
        if target is not None:
            yield target
            yield from _referred(target, seen)


def _file_of(name: str, folder: Path) -> Path | None:
    """Return the file that a reference names, or the archive that it names something in."""
    plain = html.unescape(name)
    if is_remote(plain):  # a catalog has thousands, and none of them lies here
        return None
    for part in (plain.removeprefix("file://"), *_AROUND.split(plain)):
        # As far as there is a file, what follows lies inside it.
        place = folder / part
        for target in (place, *place.parents) if part else ():
            if target.is_file():
                return target
    return None
