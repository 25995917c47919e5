"""Write an OpenStreetMap extract several times side by side, as a larger extract.

The copies fill a place about as wide as it is high, from south-west, as a country would; ids are
numbered anew, without gaps, in the order that extracts have.

    python tests/benchmarks/tiled_osm.py liechtenstein.osm.pbf larger.osm.pbf --copies 20
"""

import argparse
import math
from pathlib import Path
from typing import Any

import osmium
import osmium.osm

_SQUEEZE = 0.68  # a degree of longitude in degrees of latitude, in the Alps
_KINDS: dict[str, Any] = {"n": osmium.osm.NODE, "w": osmium.osm.WAY, "r": osmium.osm.RELATION}


def tile(source: Path, target: Path, copies: int) -> None:
    """Write ``copies`` of an extract, each shifted by widths and heights of the first."""
    numbers = {kind: _numbers(source, bits) for kind, bits in _KINDS.items()}
    width, height = _size(source)
    columns = max(round(math.sqrt(copies * height / (width * _SQUEEZE))), 1)
    with osmium.SimpleWriter(str(target), overwrite=True) as writer:
        for kind, bits in _KINDS.items():
            for copy in range(copies):
                shift = copy % columns * width, copy // columns * height
                for thing in osmium.FileProcessor(str(source), bits):
                    writer.add(_moved(thing, kind, copy, shift, numbers))


def _numbers(source: Path, bits: Any) -> dict[int, int]:
    """Number the objects of a kind, 0 for the first."""
    return {thing.id: k for k, thing in enumerate(osmium.FileProcessor(str(source), bits))}


def _size(source: Path) -> tuple[float, float]:
    """Return the extract's width and height in degrees, with a gap."""
    nodes: Any = osmium.FileProcessor(str(source), osmium.osm.NODE)
    lons, lats = zip(*((n.lon, n.lat) for n in nodes), strict=True)
    return round(max(lons) - min(lons) + 0.01, 2), round(max(lats) - min(lats) + 0.01, 2)


def _moved(
    thing: Any,
    kind: str,
    copy: int,
    shift: tuple[float, float],
    numbers: dict[str, dict[int, int]],
) -> Any:
    """Return one object of one copy."""

    def number(kind: str, old: int) -> int:
        # What an extract names and does not hold stays missing in every copy.
        at = numbers[kind].get(old)
        return 10**12 + old if at is None else copy * len(numbers[kind]) + at + 1

    new = {"id": number(kind, thing.id)}
    if thing.is_node():
        return thing.replace(**new, location=(thing.lon + shift[0], thing.lat + shift[1]))
    if thing.is_way():
        return thing.replace(**new, nodes=[number("n", n.ref) for n in thing.nodes])
    members = [(m.type, number(m.type, m.ref), m.role) for m in thing.members]
    return thing.replace(**new, members=members)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--copies", type=int, default=20)
    options = parser.parse_args()
    tile(options.source, options.target, options.copies)


if __name__ == "__main__":
    main()
