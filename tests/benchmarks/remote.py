"""COGs over HTTP with latency: ours, plain rioxarray, odc-stac; seconds, requests, bytes.

    python tests/benchmarks/remote.py [milliseconds] [--settings]

A server of this machine gives four bands of 3,072 x 3,072 pixels (DEFLATE, blocks of 512). Each
reader gets the same window of 1,536 x 1,536 pixels on the files' own grid, in chunks of 768,
with 8 threads, from an address of its own, so that no cache of GDAL helps. All readers take turns;
medians, and ratios to ours of the same turns. Readers that are not installed are left out. With
``--settings`` our reader under other settings of GDAL takes turns instead.

Readers without GDAL, looked at in November 2026: lazycogs (0.7, MIT) wants Python 3.12, and we run
on 3.11; it reads COGs alone, and resamples by nearest neighbor. async-geotiff (0.5.1, MIT, marked
alpha) reads GeoTIFF pixels without warping; JP2 files, masks and our grants of
access would stay with GDAL, so that it would be a second reader beside the first. Neither is taken.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

REPEATS = 5
BANDS = ("blue", "green", "red", "nir")
SIDE, WINDOW, CHUNK, THREADS = 3072, (700, 2236), 768, 8
SETTINGS: dict[str, dict[str, str]] = {
    "as they are": {},
    "header as GDAL has it, 16 KB": {"GDAL_INGESTED_BYTES_AT_OPEN": "16384"},
    "header of 128 KB": {"GDAL_INGESTED_BYTES_AT_OPEN": "131072"},
    "ranges not merged": {"GDAL_HTTP_MERGE_CONSECUTIVE_RANGES": "NO"},
    "ranges one by one": {"GDAL_HTTP_MULTIRANGE": "SERIAL"},
    "no VSI_CACHE": {"VSI_CACHE": "FALSE"},
    "no HEAD": {"CPL_VSIL_CURL_USE_HEAD": "NO"},
    "chunks of 256 KB": {"CPL_VSIL_CURL_CHUNK_SIZE": "262144"},
}


def write_bands(folder: Path) -> None:
    """Write the bands as COGs: smooth ground with noise, which compresses as imagery does."""
    import rasterio
    from rasterio.transform import from_origin

    (folder / "blobs").mkdir()
    rows, cols = np.mgrid[:SIDE, :SIDE]
    ground = 1500 + 800 * np.sin(rows / 90) * np.cos(cols / 70)
    place: Any = {"crs": "EPSG:32633", "transform": from_origin(500000, 5200020, 10, 10)}
    for number, band in enumerate(BANDS):
        noise = np.random.default_rng(number).normal(0, 40, ground.shape)
        with rasterio.open(
            folder / "blobs" / f"{band}.tif",
            "w",
            driver="COG",
            compress="deflate",
            predictor=2,
            blocksize=512,
            dtype="uint16",
            count=1,
            height=SIDE,
            width=SIDE,
            **place,
        ) as file:
            file.write((ground + noise).astype(np.uint16), 1)


def item(url: str) -> dict[str, Any]:
    """Return the STAC item of the bands."""
    from odc.geo.geobox import GeoBox

    box = GeoBox((SIDE, SIDE), _affine(), "EPSG:32633").geographic_extent
    common: dict[str, Any] = {"type": "Feature", "stac_version": "1.0.0", "links": []}
    return common | {
        "id": "bench",
        "bbox": list(box.boundingbox),
        "geometry": box.json,
        "properties": {"datetime": "2023-08-20T10:00:00Z", "proj:epsg": 32633},
        "assets": {b: {"href": f"{url}/blobs/{b}.tif", "roles": ["data"]} for b in BANDS},
    }


def _affine() -> Any:
    from affine import Affine

    return Affine(10, 0, 500000, 0, -10, 5200020)


def _grid() -> Any:
    from odc.geo.geobox import GeoBox

    part = slice(*WINDOW)
    return GeoBox((SIDE, SIDE), _affine(), "EPSG:32633")[part, part]


def ours(url: str) -> np.ndarray:
    """Read through ``stack_items``."""
    import osm4eo_xr as oxr

    cube = oxr.stack_items([item(url)], _grid(), BANDS, chunks=CHUNK, scale=1.0, offset=0.0)
    return cube[0].to_numpy()


def rioxarray(url: str) -> np.ndarray:
    """Read through ``rioxarray.open_rasterio``, a band at a time as a user would."""
    import rioxarray
    import xarray as xr

    part = {"y": slice(*WINDOW), "x": slice(*WINDOW)}
    chunks: Any = {"x": CHUNK, "y": CHUNK}
    read = [
        rioxarray.open_rasterio(f"{url}/blobs/{b}.tif", chunks=chunks, lock=False) for b in BANDS
    ]
    return xr.concat([r.isel(band=0, **part) for r in read], "band").to_numpy()  # type: ignore[union-attr]


def odc(url: str) -> np.ndarray:
    """Read through ``odc.stac.load`` with its settings for the cloud."""
    import odc.stac
    import pystac

    odc.stac.configure_rio(cloud_defaults=True)
    loaded = odc.stac.load(
        [pystac.Item.from_dict(item(url))],
        bands=BANDS,
        geobox=_grid(),
        chunks={"x": CHUNK, "y": CHUNK},
        dtype="uint16",
    )
    return loaded.to_dataarray("band")[:, 0].to_numpy()


def async_geotiff(url: str) -> np.ndarray:
    """Read through async-geotiff and obstore: pixels alone, without warping or no data."""
    from async_geotiff import GeoTIFF, Window  # pyright: ignore[reportMissingImports]
    from obstore.store import HTTPStore  # pyright: ignore[reportMissingImports]

    side = WINDOW[1] - WINDOW[0]
    window = Window(col_off=WINDOW[0], row_off=WINDOW[0], width=side, height=side)

    async def read() -> np.ndarray:
        store: Any = HTTPStore.from_url(f"{url}/blobs", client_options={"allow_http": True})
        files = await asyncio.gather(*(GeoTIFF.open(f"{b}.tif", store=store) for b in BANDS))
        found = await asyncio.gather(*(file.read(window=window) for file in files))
        return np.stack([band.data[0] for band in found])

    return asyncio.run(read())


READERS = {"ours": ours, "rioxarray": rioxarray, "odc-stac": odc}
if find_spec("async_geotiff") and find_spec("obstore"):
    READERS["async-geotiff"] = async_geotiff


def cases(*, settings: bool) -> list[tuple[str, str, dict[str, str]]]:
    """Return what takes turns: reader, what it is called, settings of GDAL."""
    if settings:
        return [("ours", told, changed) for told, changed in SETTINGS.items()]
    return [(name, name, {}) for name in READERS]


def read_all(root: str, *, settings: bool) -> None:
    """Read in every way from addresses below ``root``; print a line of JSON for each time."""
    import dask.config
    import rasterio

    import osm4eo_xr
    from osm4eo_xr.rasters.files import GDAL_OPTIONS
    from osm4eo_xr.rasters.remote.access import OPTIONS

    osm4eo_xr.stack_items  # noqa: B018 - imports are not timed
    number = itertools.count()
    for turn in range(-1, REPEATS):  # the first warms up
        for reader, told, changed in cases(settings=settings):
            options = GDAL_OPTIONS if "VSI_CACHE" in changed else OPTIONS
            before = dict(options)
            options.update(changed)
            place = f"{next(number)}"
            with dask.config.set(scheduler="threads", num_workers=THREADS), rasterio.Env():
                start = time.perf_counter()
                pixels = READERS[reader](f"{root}/{place}")
                seconds = time.perf_counter() - start
            line = {"told": told, "place": place, "turn": turn, "seconds": seconds}
            print(json.dumps(line | {"sum": float(pixels.sum(dtype=np.float64))}), flush=True)
            options.clear()
            options.update(before)


def main() -> None:
    """Print a line for each reader or setting."""
    from tests.cases.asset_server import Store, serving_files

    given = [word for word in sys.argv[1:] if word != "--settings"]
    settings = len(given) < len(sys.argv) - 1
    latency = float(given[0] if given else 50) / 1000
    with tempfile.TemporaryDirectory() as name, serving_files(Store(Path(name))) as store:
        write_bands(Path(name))
        for number in range((REPEATS + 1) * len(cases(settings=settings))):
            (Path(name) / f"{number}").symlink_to(name)
        store.latency = latency
        command = [sys.executable, __file__, "--read", store.url, *sys.argv[1:]]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            times = [json.loads(line) for line in process.stdout if line.startswith("{")]
        print(f"{f'{latency * 1000:.0f} ms latency':<31} seconds   ratio  requests      MB")
        by_name = {told: [] for _, told, _ in cases(settings=settings)}
        for line in times:
            by_name[line["told"]] += [line] if line["turn"] >= 0 else []
        first = next(iter(by_name.values()))
        for told, lines in by_name.items():
            seconds = float(np.median([t["seconds"] for t in lines]))
            pairs = zip(lines, first, strict=True)
            ratio = float(np.median([t["seconds"] / other["seconds"] for t, other in pairs]))
            asked = [r for r in store.requests if r[1].startswith(f"/{lines[0]['place']}/")]
            size = sum(map(length, asked)) / 1e6
            print(f"{told:<31} {seconds:7.2f} {ratio:7.2f} {len(asked):9} {size:7.1f}")
        if len({t["sum"] for t in times}) > 1:
            print("the readers disagree")


def length(request: tuple[str, str, str]) -> int:
    """Return how many bytes a request with a range asked for."""
    first, _, last = request[2].removeprefix("bytes=").partition("-")
    return int(last) - int(first) + 1 if last else 0


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))
    if "--read" in sys.argv:
        read_all(sys.argv[2], settings="--settings" in sys.argv)
    else:
        main()
