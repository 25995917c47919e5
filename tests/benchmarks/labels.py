"""Labels of an extract beside GDAL's OSM driver: seconds, memory, and the areas that each finds.

Each way is timed as whole processes, from the extract to a class raster of 10 m:

ours      ``osm4eo-xr labels``
start     what of that loads Python and libraries, whatever the extract
ogr2ogr   ``ogr2ogr`` to a GeoPackage on EPSG:3035, then ``gdal_rasterize`` in burn order
pyogrio   ``pyogrio`` with GDAL's OSM driver, geopandas, ``rasterio.features.rasterize``
quackosm  QuackOSM (DuckDB) with the legend's keys, then as before; where it is installed, with
          ``duckdb-extensions`` and ``duckdb-extension-spatial`` or a network for DuckDB's own

The others take the same legend: its rules as SQL, its widths as buffers, its priorities as
order. With ``--copies`` a larger extract is made of that many copies side by side first. Afterwards
the areas of ours are compared by id with those of the GeoPackage and with those of pyosmium's own
pass over areas, and those of one side are named.

    python tests/benchmarks/labels.py liechtenstein.osm.pbf --copies 20 --repeats 3
"""

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import osmium
import osmium.geom
import pyogrio
import rasterio
from tiled_osm import tile

from osm4eo_xr.geometry.grid import target_geobox
from osm4eo_xr.legend import default_legend
from osm4eo_xr.legend_entries import TagRule
from osm4eo_xr.osm.landuse import read_landuse

RULES = default_legend().rules
PRIORITY = {c.id: c.priority for c in default_legend().classes}
KEYS = sorted({k for r in RULES for k, _ in ((r.key, ""), *r.exclude, *r.require)} | {"area"})
LAYERS = {"multipolygons": "area", "lines": "line"}
Run = tuple[float, float, float]
Found = dict[tuple[str, int], tuple[int, float]]  # class and m² by kind and id
LAUNCH = """
import json, os, subprocess, sys
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
_, status, used = os.wait4(process.pid, 0)
code = os.waitstatus_to_exitcode(status)
print(json.dumps([code, used.ru_utime + used.ru_stime, used.ru_maxrss]))
"""


def rank(rule: TagRule) -> int:
    return rule.priority or PRIORITY[rule.class_id]


def column(key: str) -> str:
    """Return the name that GDAL gives a key as a column."""
    return key.replace(":", "_")


def condition(rule: TagRule) -> str:
    """Return a rule as SQL."""

    def equal(key: str, value: str) -> str:
        return f"\"{column(key)}\" = '{value}'"

    parts = [equal(rule.key, rule.value)]
    parts += [f"coalesce({equal(*tag)}, 0) = 0" for tag in rule.exclude]
    if rule.require:
        parts.append("(" + " OR ".join(equal(*tag) for tag in rule.require) + ")")
    return " AND ".join(parts)


def select(layer: str) -> str:
    """Return SQL for class, rank and shape of one layer's areas."""
    rules = sorted((r for r in RULES if r.geometry == LAYERS[layer]), key=rank)

    def case(value: Callable[[TagRule], Any]) -> str:
        whens = " ".join(f"WHEN {condition(r)} THEN {value(r)}" for r in rules)
        return f"CASE {whens} END"

    shape = (
        "geom" if layer == "multipolygons" else f"ST_Buffer(geom, {case(lambda r: r.width / 2)})"
    )
    chosen = f"{case(lambda r: r.class_id)} AS class_id, {case(rank)} AS place"
    return f"SELECT {shape} AS geom, {chosen} FROM {layer}"  # noqa: S608 - our own legend


def write_config(path: Path) -> None:
    """Write the OSM driver's settings: the legend's keys as columns."""
    names = ",".join(KEYS)
    text = "closed_ways_are_polygons=aeroway,amenity,boundary,building,craft,geological,historic,"
    text += "landuse,leisure,military,natural,office,place,shop,sport,tourism,highway=platform,"
    text += (
        "public_transport=platform,power,man_made,crop,waterway\nattribute_name_laundering=yes\n"
    )
    for layer in ("points", *LAYERS, "multilinestrings", "other_relations"):
        way = "osm_way_id=yes\n" if layer == "multipolygons" else ""
        text += f"[{layer}]\nosm_id=yes\n{way}attributes={names}\nother_tags=no\n"
    path.write_text(text, encoding="utf-8")


def ours(extract: Path, grid: Path, folder: Path) -> list[list[str]]:
    command = str(Path(sys.executable).with_name("osm4eo-xr"))
    words = ["--like", str(grid), "--out", str(folder / "o.tif"), "--overwrite"]
    return [[command, "labels", str(extract), *words]]


def start(extract: Path, grid: Path, folder: Path) -> list[list[str]]:
    del extract, grid, folder
    return [[sys.executable, "-c", "import osm4eo_xr.cli.app, osm4eo_xr.labels.write"]]


def ogr2ogr(extract: Path, grid: Path, folder: Path) -> list[list[str]]:
    config, raw = folder / "osmconf.ini", folder / "raw.gpkg"
    write_config(config)
    with rasterio.open(grid) as file:
        bounds = [str(v) for v in file.bounds]
    sql = " UNION ALL ".join(select(layer) for layer in LAYERS)
    sql = f"SELECT geom, class_id FROM ({sql}) WHERE class_id IS NOT NULL ORDER BY place DESC"  # noqa: S608 - our own legend
    size = ["-te", *bounds, "-tr", "10", "10", "-ot", "Byte", "-co", "COMPRESS=ZSTD"]
    return [
        [
            *("ogr2ogr", "-f", "GPKG", str(raw), str(extract), *LAYERS, "-overwrite", "-q"),
            *("-t_srs", "EPSG:3035", "--config", "OSM_CONFIG_FILE", str(config)),
        ],
        [
            *("gdal_rasterize", "-q", "-a", "class_id", "-dialect", "SQLITE", "-sql", sql),
            *(*size, "-co", "TILED=YES", str(raw), str(folder / "g.tif")),
        ],
    ]


def pyogrio_way(extract: Path, grid: Path, folder: Path) -> list[list[str]]:
    config = folder / "osmconf.ini"
    write_config(config)
    one = ["--one", str(extract), str(grid), str(folder / "p.tif"), str(config)]
    return [[sys.executable, __file__, *one]]


def quackosm_way(extract: Path, grid: Path, folder: Path) -> list[list[str]]:
    one = ["--quack", str(extract), str(grid), str(folder / "q.tif")]
    return [[sys.executable, __file__, *one]]


WAYS = {
    "ours": ours,
    "start": start,
    "ogr2ogr": ogr2ogr,
    "pyogrio": pyogrio_way,
    "quackosm": quackosm_way,
}


def chosen(frame: gpd.GeoDataFrame, layer: str) -> gpd.GeoDataFrame:
    """Give each object the class and rank of its rule; leave the others out."""
    found = np.zeros(len(frame), np.uint8)
    place, width = np.zeros(len(frame), np.int64), np.zeros(len(frame))
    for rule in sorted((r for r in RULES if r.geometry == LAYERS[layer]), key=rank):
        fits = (frame[column(rule.key)] == rule.value) & (found == 0)
        for key, value in rule.exclude:
            fits &= frame[column(key)] != value
        if rule.require:
            fits &= np.any([frame[column(k)] == v for k, v in rule.require], axis=0)
        found[fits], place[fits], width[fits] = rule.class_id, rank(rule), rule.width
    columns = frame.assign(class_id=found, place=place, width=width)
    return gpd.GeoDataFrame(columns[found > 0]).to_crs("EPSG:3035")


def by_pyogrio(extract: str, grid: str, target: str, config: str) -> None:
    """Make the raster with GDAL's OSM driver in Python."""
    pyogrio.set_gdal_config_options({"OSM_CONFIG_FILE": config})
    areas = chosen(pyogrio.read_dataframe(extract, layer="multipolygons"), "multipolygons")
    lines = chosen(pyogrio.read_dataframe(extract, layer="lines"), "lines")
    burn(areas, lines, grid, target)


def by_quackosm(extract: str, grid: str, target: str) -> None:
    """Make the raster with QuackOSM, without its cache."""
    quackosm = import_module("quackosm")
    if find_spec("duckdb_extensions"):
        import_module("duckdb_extensions").import_extension("spatial")
    frame = quackosm.convert_pbf_to_geodataframe(
        extract,
        tags_filter=dict.fromkeys(KEYS, True),
        explode_tags=True,
        ignore_cache=True,
        working_directory=Path(target).with_suffix(".quack"),
        verbosity_mode="silent",
    )
    frame = frame.rename(columns=column)
    for missing in {column(key) for key in KEYS} - set(frame.columns):
        frame[missing] = None
    kinds = frame.geometry.geom_type
    areas = chosen(frame[kinds.isin(["Polygon", "MultiPolygon"])], "multipolygons")
    burn(areas, chosen(frame[kinds == "LineString"], "lines"), grid, target)


def burn(areas: gpd.GeoDataFrame, lines: gpd.GeoDataFrame, grid: str, target: str) -> None:
    """Rasterize areas and widened lines in burn order."""
    from rasterio.features import rasterize

    lines["geometry"] = lines.buffer(lines["width"] / 2, cap_style="flat")
    pairs = [*zip(areas["place"], areas.geometry, areas["class_id"], strict=True)]
    pairs += [*zip(lines["place"], lines.geometry, lines["class_id"], strict=True)]
    shapes = [(g, c) for _, g, c in sorted(pairs, key=lambda p: -p[0])]
    with rasterio.open(grid) as file:
        profile = file.profile
        burnt = rasterize(shapes, out_shape=file.shape, transform=file.transform, dtype="uint8")
    with rasterio.open(target, "w", **profile) as file:
        file.write(burnt, 1)


def measure(commands: list[list[str]]) -> Run:
    """Run commands one after another; return seconds, processor seconds and peak memory (MB)."""
    began, cpu, peak = time.perf_counter(), 0.0, 0.0
    for command in commands:
        # A process counts its parent's memory at the fork as its own, so a small one starts it.
        started = [sys.executable, "-S", "-c", LAUNCH, *command]
        run = subprocess.run(started, capture_output=True, text=True, check=False)
        code, used, memory = json.loads(run.stdout)
        if code:
            raise SystemExit(f"{command[0]} failed: {run.stderr[-2000:]}")
        cpu, peak = cpu + used, max(peak, memory / 1024)
    return time.perf_counter() - began, cpu, peak


def compare(extract: Path, folder: Path, options: argparse.Namespace) -> None:
    """Time all ways on one extract in turns and print medians and ratios."""
    grid = folder / "grid.tif"
    make_grid(extract, grid)
    found: dict[str, list[Run]] = {way: [] for way in options.ways}
    for _ in range(options.repeats):
        for way in options.ways:
            found[way].append(measure(WAYS[way](extract, grid, folder)))
    medians = {
        w: [statistics.median(v) for v in zip(*runs, strict=True)] for w, runs in found.items()
    }
    base = medians[options.ways[0]]
    print(f"{extract.name}, {extract.stat().st_size / 1e6:.1f} MB, {options.repeats} runs")
    print(f"{'way':9} {'s':>8} {'ratio':>6} {'cpu s':>8} {'ratio':>6} {'MB':>7} {'ratio':>6}")
    for way, values in medians.items():
        cells = (f"{v:8.1f} {v / b:6.2f}" for v, b in zip(values, base, strict=True))
        print(f"{way:9} {' '.join(cells)}", flush=True)


def make_grid(extract: Path, path: Path) -> None:
    """Write an empty raster over the areas of an extract."""
    west, south, east, north = read_landuse(extract).total_bounds.tolist()
    box = target_geobox((west, south, east, north), bounds_crs="EPSG:4326")
    profile = {"driver": "GTiff", "dtype": "uint8", "count": 1, "crs": "EPSG:3035", "tiled": True}
    profile |= {"transform": box.affine, "sparse_ok": True, "compress": "ZSTD"}
    with rasterio.open(path, "w", height=box.shape[0], width=box.shape[1], **profile):
        pass


def areas_of_frame(frame: gpd.GeoDataFrame) -> Found:
    """Return ours without widened lines and points, which the others do not make."""
    mine = frame[frame["osm_kind"] != "node"]
    mine = mine[~mine["tag"].isin([r.tag for r in RULES if r.geometry == "line"])]
    columns = (mine["osm_kind"], mine["osm_id"], mine["class_id"], mine["area"])
    return {(k, i): (c, a) for k, i, c, a in zip(*columns, strict=True)}


def areas_of_driver(table: Path) -> Found:
    """Return what GDAL's OSM driver put into a GeoPackage."""
    gdal = chosen(pyogrio.read_dataframe(table, layer="multipolygons"), "multipolygons")
    found: Found = {}
    columns = (gdal["osm_id"], gdal["osm_way_id"], gdal["class_id"], gdal.area)
    for relation, way, class_id, area in zip(*columns, strict=True):
        of_way = isinstance(way, str)
        found["way" if of_way else "relation", int(way if of_way else relation)] = class_id, area
    return found


def areas_of_processor(extract: Path) -> Found:
    """Return what pyosmium's own pass over areas gives, with rules applied one by one here."""
    rules = sorted((r for r in RULES if r.geometry == "area"), key=rank)
    factory, keys, classes, shapes = osmium.geom.WKBFactory(), [], [], []
    areas: Any = osmium.FileProcessor(str(extract)).with_areas()
    for thing in areas:
        if not thing.is_area():
            continue
        tags = dict(thing.tags)
        rule = next((r for r in rules if fits(r, tags)), None)
        try:
            shape = factory.create_multipolygon(thing) if rule else None
        except RuntimeError:  # no ring came together
            shape = None
        if rule and shape:
            keys.append(("way" if thing.from_way() else "relation", thing.orig_id()))
            classes.append(rule.class_id)
            shapes.append(shape)
    metric = gpd.GeoSeries.from_wkb(shapes, crs="EPSG:4326").to_crs("EPSG:3035").area
    return dict(zip(keys, zip(classes, metric, strict=True), strict=True))


def fits(rule: TagRule, tags: dict[str, str]) -> bool:
    return (
        tags.get(rule.key) == rule.value
        and all(tags.get(k) != v for k, v in rule.exclude)
        and (not rule.require or any(tags.get(k) == v for k, v in rule.require))
    )


def compare_areas(name: str, ours: Found, peer: str, theirs: Found) -> None:
    """Name the areas that only one side finds or that differ by more than a millionth."""
    both = ours.keys() & theirs.keys()
    print(f"{name}: areas {len(ours)} ours, {len(theirs)} {peer}, both {len(both)}")
    for title, keys in (
        ("only ours", ours.keys() - theirs.keys()),
        (f"only {peer}", theirs.keys() - ours.keys()),
        ("other class", {k for k in both if ours[k][0] != theirs[k][0]}),
        ("other area", {k for k in both if abs(ours[k][1] / theirs[k][1] - 1) > 1e-6}),
    ):
        print(f"  {title}: {len(keys)}", *(f"{k} {i}" for k, i in sorted(keys)[:20]))
    print(f"  class     ours n    km²     {peer} n    km²")
    for c in default_legend().classes:
        a = [v for k, v in ours.values() if k == c.id]
        b = [v for k, v in theirs.values() if k == c.id]
        print(f"  {c.slug:17} {len(a):6} {sum(a) / 1e6:9.4f} {len(b):6} {sum(b) / 1e6:9.4f}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("extract", type=Path, nargs="?")
    parser.add_argument("--copies", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=list(WAYS))
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)
    parser.add_argument("--quack", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        by_pyogrio(*options.one)
        return
    if options.quack:
        by_quackosm(*options.quack)
        return
    if find_spec("quackosm") is None:
        options.ways = [way for way in options.ways if way != "quackosm"]
    if "ogr2ogr" in options.ways and shutil.which("ogr2ogr") is None:
        raise SystemExit("no ogr2ogr on the path; install GDAL's programs or leave that way out")
    with tempfile.TemporaryDirectory() as temporary:
        folder, extract = Path(temporary), options.extract
        if options.copies > 1:
            larger = folder / f"{extract.name.split('.')[0]}-{options.copies}.osm.pbf"
            tile(extract, larger, options.copies)
            extract = larger
        compare(extract, folder, options)
        if "ogr2ogr" in options.ways:
            frame = read_landuse(extract)
            ours_found = areas_of_frame(frame)
            compare_areas(extract.name, ours_found, "GDAL", areas_of_driver(folder / "raw.gpkg"))
            compare_areas(extract.name, ours_found, "pyosmium", areas_of_processor(extract))
            for problem in ("broken", "repaired", "duplicates"):
                print(f"  {problem}: {len(frame.attrs[problem])}", *frame.attrs[problem][:20])


if __name__ == "__main__":
    main()
