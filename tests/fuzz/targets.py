"""What is fuzzed: each command, with inputs of each kind that it reads."""

from __future__ import annotations

from tests.fuzz.driver import Target

_JP2 = " ".join(
    f"in/jp2/T33UXQ_20170820T094549_{band}.jp2" for band in ("B02", "B03", "B04", "B08")
)
_CLASSIFY = "--model in/model --out out/c.tif"
_R10M = "S2.zarr/measurements/reflectance/r10m"
_EOPF = ("S2.zarr", "S2.zarr/.zattrs", f"{_R10M}/b02/.zattrs", f"{_R10M}/b02/.zarray")
_STAC = tuple(f"stac/{name}.tif" for name in ("blue", "green", "red", "nir", "scl"))
_TRAIN = "--out out/m --depth 11 --width 4 --kernel 3 --decoder 16 --epochs 1 --batch 8"
_SAMPLES = "--per-class 5 --patch 8 --block 200 --out out/s.zarr"

TARGETS = (
    Target("sieve in/map.tif --size 5 --legend in/legend.toml --out out/s.tif"),
    Target("sieve in/cog.tif --size 5 --connectivity 4 --out out/s.tif"),
    Target(
        "mosaic in/map.tif in/map2.tif --rule first --boundary in/boundary.geojson --out out/m.tif"
    ),
    Target("mosaic in/map.tif --boundary in/boundary.gpkg --rule first --out out/m.tif"),
    Target("extract in/map.tif --layer water --vector out/w.gpkg --out out/w.tif"),
    Target(
        "extract in/proba.tif --layer water --threshold 0.4 --legend in/legend.toml --out out/w.tif"
    ),
    Target("assess in/map.tif --points in/points.gpkg --out out/r.json", damage=("points.gpkg",)),
    Target("assess in/map.tif --points in/points.geojson --out out/r.json"),
    Target("assess in/map.tif --points in/points.csv --out out/r.json", damage=("points.csv",)),
    Target("assess in/map.tif --points in/points.parquet --out out/r.json"),
    Target(
        "agree in/map.tif in/map2.tif --merged out/m.tif --provenance out/p.tif --out out/a.tif"
    ),
    Target("labels in/land.osm --like in/ground.tif --report out/r.json --out out/l.tif"),
    Target("labels in/land.osm.pbf --like in/ground.tif --min-area 10 --out out/l.tif"),
    Target("labels in/areas --like in/ground.tif --claims out/c.tif --out out/l.tif"),
    Target(
        "composite in/stac/catalog.json --like in/map.tif --out out/c.tif",
        more=("stac/item.json", *_STAC),
        damage=(
            "stac/catalog.json",
            "stac/item.json",
            "stac/item.json",
            "stac/blue.tif",
            "stac/scl.tif",
        ),
    ),
    Target(
        "composite in/stac/item.json --bbox 10.002 51.993 10.012 51.999 --out out/c.tif", more=_STAC
    ),
    Target(f"samples --scene in/scene.tif --labels in/map.tif {_SAMPLES}"),
    Target(f"samples --scene in/scene.zarr --labels in/map.tif {_SAMPLES}", damage=("scene.zarr",)),
    Target(f"train in/samples.zarr {_TRAIN}", weight=2, compiles=True),
    Target(f"train in/samples.zarr --init in/start {_TRAIN}", damage=("start",), compiles=True),
    Target(f"classify in/scene.tif {_CLASSIFY}", damage=("scene.tif",)),
    Target(f"classify in/scene.tif {_CLASSIFY} --margin out/m.tif", damage=("model",)),
    Target(f"classify in/scene.vrt {_CLASSIFY}", more=("scene.tif",), damage=("scene.vrt",)),
    Target(f"classify {_JP2} {_CLASSIFY}", damage=("jp2/T33UXQ_20170820T094549_B03.jp2",)),
    Target(
        f"classify in/S2.SAFE {_CLASSIFY}", damage=("S2.SAFE", "S2.SAFE/MTD_MSIL2A.xml"), weight=2
    ),
    Target(f"classify in/scene.zarr {_CLASSIFY}", damage=("scene.zarr",)),
    Target(f"classify in/scene.nc {_CLASSIFY}", damage=("scene.nc",)),
    Target(f"classify in/packed.nc {_CLASSIFY}", damage=("packed.nc",)),
    Target(f"classify in/S2.zarr {_CLASSIFY}", damage=_EOPF, weight=2),
    Target(f"classify in/S2.zarr.zip {_CLASSIFY}", damage=("S2.zarr.zip",)),
    Target("compare in/map.tif in/map2.tif --agreement out/a.tif --out out/r.json"),
    Target(
        "change in/map.tif in/map2.tif --probabilities in/proba.tif in/proba.tif "
        "--legend in/legend.toml --report out/r.json --out out/c.tif"
    ),
    Target("lucas in/lucas.csv --map in/map.tif --out out/d", damage=("lucas.csv",)),
    Target("design-points in/map.tif --n 60 --min-per-stratum 2 --out out/d"),
    Target(
        "crossvalidate in/few.zarr --k 2 --no-forest --out out/r.json --depth 11 --width 4 "
        "--kernel 1 --decoder 4 --epochs 1 --batch 8",
        compiles=True,
    ),
    Target("models list in/model"),
    Target("models show in/model"),
    Target("models show in/model --stac"),
    Target("models verify in/model", compiles=True),
    Target("models import-keras in/network.h5 --legend in/legend.toml --out out/k"),
    Target(
        "run in/country/country.toml --dry-run",
        more=("country",),
        damage=("country/country.toml",),
        weight=2,
    ),
    Target(
        "run in/country/country.toml",
        more=("country",),
        damage=("country/result/ledger.json", "country"),
        arguments=False,
    ),
    Target("doctor --cluster in/site.yaml --dry-run"),
    Target(
        "run in/country/country.toml --cluster in/site.yaml --dry-run",
        more=("country",),
        damage=("site.yaml",),
    ),
    Target(
        "fetch in/country/country.toml --dry-run",
        more=("country",),
        damage=("country/country.toml",),
        arguments=False,
    ),
    Target("init DE --out out/country.toml"),
    Target("tiles DE"),
)
