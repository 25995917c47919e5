"""Ten lines to a map, water and a report: the demo's place from a STAC API of this machine.

    python tests/benchmarks/ten_lines.py [--quick]

Prints the country file, its dry run and what the run has made. It trains as it does by default,
which takes long on few cores; ``--quick`` adds lines that train next to nothing.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

QUICK = """[samples]
per_class = 12
patch = 16
block = 400
[train]
width = 8
epochs = 2
batch = 16
"""


def main() -> None:
    """Print file, plan and products."""
    from tests.cases.ten_lines import served

    command = [sys.executable, "-m", "osm4eo_xr"]
    with tempfile.TemporaryDirectory() as name, served(Path(name)) as country:
        print(country.read_text())
        if "--quick" in sys.argv:
            country.write_text(country.read_text() + QUICK)
        for words in (["search"], ["run", "--dry-run"], ["run"], ["search", "--json"]):
            subprocess.run([*command, words[0], str(country), *words[1:]], check=True)
        out = country.parent / "result"
        for path in sorted(p for p in out.rglob("*") if p.is_file() and p.suffix != ".npy"):
            print(f"{path.stat().st_size:10,} {path.relative_to(out)}")
        report = json.loads((out / "report.json").read_text())
        print({key: report[key] for key in list(report)[:6]})


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))
    main()
