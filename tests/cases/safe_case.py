"""Small SAFE products with the folders, file names and metadata of ESA's."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import rasterio
from rasterio.transform import from_origin

from osm4eo_xr.imagery.bands import SENTINEL2_BANDS

METERS: dict[str, int] = {
    **dict.fromkeys(("B05", "B06", "B07", "B8A", "B11", "B12"), 20),
    **dict.fromkeys(("B01", "B09", "B10"), 60),
}
EDGE = 2400  # meters
LEFT, TOP = 600_000, 5_500_020

_PRODUCT = """<?xml version="1.0" encoding="UTF-8" standalone="no"?>
<n1:Level-{level}_User_Product xmlns:n1="https://psd-14.sentinel2.eo.esa.int/PSD/User_Product_Level-{level}.xsd">
  <n1:General_Info>
    <Product_Info>
      <PRODUCT_START_TIME>2023-08-20T09:45:49.024Z</PRODUCT_START_TIME>
      <PRODUCT_STOP_TIME>2023-08-20T09:45:49.024Z</PRODUCT_STOP_TIME>
      <PRODUCT_URI>{name}</PRODUCT_URI>
      <PROCESSING_LEVEL>Level-{level}</PROCESSING_LEVEL>
      <PROCESSING_BASELINE>{baseline}</PROCESSING_BASELINE>
    </Product_Info>
    <Product_Image_Characteristics>
      <Special_Values>
        <SPECIAL_VALUE_TEXT>NODATA</SPECIAL_VALUE_TEXT>
        <SPECIAL_VALUE_INDEX>0</SPECIAL_VALUE_INDEX>
      </Special_Values>
      <Special_Values>
        <SPECIAL_VALUE_TEXT>SATURATED</SPECIAL_VALUE_TEXT>
        <SPECIAL_VALUE_INDEX>65535</SPECIAL_VALUE_INDEX>
      </Special_Values>
      {quantification}
      {offsets}
    </Product_Image_Characteristics>
  </n1:General_Info>
  <n1:Geometric_Info>
    <Product_Footprint>
      <Product_Footprint>
        <Global_Footprint>
          <EXT_POS_LIST>49.65 16.38 49.65 16.42 49.62 16.42 49.62 16.38 49.65 16.38 </EXT_POS_LIST>
        </Global_Footprint>
      </Product_Footprint>
    </Product_Footprint>
  </n1:Geometric_Info>
</n1:Level-{level}_User_Product>
"""

SUN = (151.25, 33.5)
"""Mean azimuth and zenith of the sun in the products' metadata."""

_GRANULE = """<?xml version="1.0" encoding="UTF-8" standalone="no"?>
<n1:Level-2A_Tile_ID xmlns:n1="https://psd-14.sentinel2.eo.esa.int/PSD/S2_PDI_Level-2A_Tile.xsd">
  <n1:Geometric_Info>
    <Tile_Angles metadataLevel="Standard">
      <Mean_Sun_Angle>
        <ZENITH_ANGLE unit="deg">{1}</ZENITH_ANGLE>
        <AZIMUTH_ANGLE unit="deg">{0}</AZIMUTH_ANGLE>
      </Mean_Sun_Angle>
    </Tile_Angles>
  </n1:Geometric_Info>
</n1:Level-2A_Tile_ID>
"""

_QUANTIFICATION = {
    "1C": '<QUANTIFICATION_VALUE unit="none">10000</QUANTIFICATION_VALUE>',
    "2A": """<QUANTIFICATION_VALUES_LIST>
        <BOA_QUANTIFICATION_VALUE unit="none">10000</BOA_QUANTIFICATION_VALUE>
        <AOT_QUANTIFICATION_VALUE unit="none">1000.0</AOT_QUANTIFICATION_VALUE>
        <WVP_QUANTIFICATION_VALUE unit="cm">1000.0</WVP_QUANTIFICATION_VALUE>
      </QUANTIFICATION_VALUES_LIST>""",
}
_OFFSETS = {
    "1C": ("Radiometric_Offset_List", "RADIO_ADD_OFFSET"),
    "2A": ("BOA_ADD_OFFSET_VALUES_LIST", "BOA_ADD_OFFSET"),
}


def numbers_of(band: str, meters: int) -> np.ndarray:
    """Digital numbers of a band: another level in each band, another number in each pixel."""
    edge = EDGE // meters
    base = 1500 + 200 * list(SENTINEL2_BANDS).index(band)
    return (base + np.arange(edge * edge).reshape(edge, edge) % 3001).astype(np.uint16)


def classes_of() -> np.ndarray:
    """SCL at 20 m: vegetation with a cloud."""
    classes = np.full((EDGE // 20, EDGE // 20), 4, np.uint8)
    classes[40:60, 30:50] = 9
    return classes


def probabilities_of() -> np.ndarray:
    """Cloud probability at 20 m, per cent: 0 to 100 along rows."""
    edge = EDGE // 20
    return np.tile(np.linspace(0, 100, edge).astype(np.uint8), (edge, 1))


def write_jp2(path: Path, values: np.ndarray, meters: int, left: int = LEFT) -> None:
    """Write a lossless JP2 at the products' place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(
        path,
        "w",
        driver="JP2OpenJPEG",
        height=values.shape[0],
        width=values.shape[1],
        count=1,
        dtype=values.dtype,
        crs="EPSG:32633",
        transform=from_origin(left, TOP, meters, meters),
        QUALITY=100,
        REVERSIBLE="YES",
    ) as sink:
        sink.write(values, 1)


def write_safe(
    folder: Path,
    level: str,
    baseline: str,
    *,
    offsets: Mapping[int, int] | None = None,
    tiles: tuple[str, ...] = ("33UXQ",),
    bands: tuple[str, ...] = tuple(SENTINEL2_BANDS),
) -> Path:
    """Write a product; ``offsets`` by band_id, as in its metadata."""
    number = baseline.replace(".", "")
    name = f"S2B_MSIL{level}_20230820T094549_N{number}_R079_T{tiles[0]}_20230820T130000.SAFE"
    safe = folder / name
    (safe / "DATASTRIP").mkdir(parents=True)
    for i, tile in enumerate(tiles):
        granule = safe / "GRANULE" / f"L{level}_T{tile}_A033710_20230820T095146"
        stem = f"T{tile}_20230820T094549"
        granule.mkdir(parents=True)
        (granule / "MTD_TL.xml").write_text(_GRANULE.format(*SUN), encoding="utf-8")
        for band in bands:
            own, left = METERS.get(band, 10), LEFT + 100_000 * i
            if level == "1C":
                write_jp2(
                    granule / "IMG_DATA" / f"{stem}_{band}.jp2", numbers_of(band, own), own, left
                )
                continue
            for meters in (m for m in (10, 20, 60) if m >= own and band != "B10"):
                path = granule / "IMG_DATA" / f"R{meters}m" / f"{stem}_{band}_{meters}m.jp2"
                write_jp2(path, numbers_of(band, meters), meters, left)
        if level == "2A":
            write_jp2(granule / "IMG_DATA" / "R20m" / f"{stem}_SCL_20m.jp2", classes_of(), 20)
            write_jp2(granule / "QI_DATA" / "MSK_CLDPRB_20m.jp2", probabilities_of(), 20)
        write_jp2(granule / "QI_DATA" / f"MSK_QUALIT_{bands[0]}.jp2", classes_of(), 20)
    outer, inner = _OFFSETS[level]
    listed = "".join(f'<{inner} band_id="{i}">{v}</{inner}>' for i, v in (offsets or {}).items())
    (safe / f"MTD_MSIL{level}.xml").write_text(
        _PRODUCT.format(
            level=level,
            name=name,
            baseline=baseline,
            quantification=_QUANTIFICATION[level],
            offsets=f"<{outer}>{listed}</{outer}>" if offsets else "",
        ),
        encoding="utf-8",
    )
    return safe
