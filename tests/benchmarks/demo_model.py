"""The demo's model in a catalog, made anew from the data in the package; some minutes.

    python tests/benchmarks/demo_model.py CATALOG [--license MIT]

The same seed and versions give the same weights, so the same digest. Add to the catalog with
``--overwrite`` where it has the model already. The catalog in the package was made by

    python tests/benchmarks/demo_model.py osm4eo_xr/models/shipped --overwrite
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from osm4eo_xr.demo import DEMO_TIME
from osm4eo_xr.demo.run import run_demo
from osm4eo_xr.models.exchange.listing import find_entry
from osm4eo_xr.models.exchange.push import push_model

NAME = "demo-havelland"
DESCRIPTION = (
    f"Made by the demo from one Sentinel-2 scene of Havelland, Germany, {DEMO_TIME[:10]}, winter. "
    "Contains modified Copernicus Sentinel data 2017; labels © OpenStreetMap contributors (ODbL)."
)


def main() -> None:
    """Make and publish the model, and say what came out."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("catalog", type=Path)
    parser.add_argument("--license", default="MIT")
    parser.add_argument("--overwrite", action="store_true")
    given = parser.parse_args()
    start = time.perf_counter()
    with TemporaryDirectory() as folder:
        report = run_demo(Path(folder))
        push_model(
            Path(folder) / "model",
            given.catalog,
            name=NAME,
            license=given.license,
            accuracy=report["test"]["network"],
            description=DESCRIPTION,
            overwrite=given.overwrite,
        )
    entry = find_entry(NAME, str(given.catalog))
    accuracy = entry.accuracy.percent() if entry.accuracy else "-"
    print(f"{entry.name}: digest {entry.digest}")
    print(f"{entry.size / 1e6:.2f} MB, {entry.area_km2} km², {accuracy}")
    print(f"{time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
