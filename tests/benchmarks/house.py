"""How the package is laid out at given revisions, counted from its source.

By hand: ``python tests/benchmarks/house.py 49b0e54~1 HEAD`` prints a column per revision.
Imports for type checkers do not count.
"""

import argparse
import ast
import io
import statistics
import subprocess
import tarfile
import tempfile
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

PACKAGE = "osm4eo_xr"


def unpacked(revision: str, folder: Path) -> Path:
    """Write the files of a revision into a folder."""
    packed = subprocess.run(["git", "archive", revision], capture_output=True, check=False)
    if packed.returncode:
        raise SystemExit(f"git archive {revision}: {packed.stderr.decode().strip()}")
    with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
        archive.extractall(folder, filter="data")
    return folder


def modules_of(root: Path) -> dict[str, ast.Module]:
    """Return the syntax of each module by its dotted name; a folder is its ``__init__``."""
    found = {}
    for path in sorted((root / PACKAGE).rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = ast.parse(path.read_text(encoding="utf-8"))
    return found


def imports(tree: ast.AST, *, inside: bool = False) -> Iterator[tuple[str, bool]]:
    """Give each import and whether it stands in a function."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.Import):
            yield from ((alias.name, inside) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield from ((f"{node.module}.{alias.name}", inside) for alias in node.names)
        else:
            function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            yield from imports(node, inside=inside or function)


def arrows(modules: dict[str, ast.Module]) -> Iterator[tuple[str, str, bool]]:
    """Give each import of one module by another, and whether it stands in a function."""
    for name, tree in modules.items():
        for target, inside in imports(tree):
            found = target if target in modules else target.rpartition(".")[0]
            if found in modules and found != name:
                yield name, found, inside


def circles(graph: dict[str, set[str]]) -> list[set[str]]:
    """Return the sets of modules that reach each other."""
    reach = {name: reached(graph, name) for name in graph}
    found: list[set[str]] = []
    for name in graph:
        circle = {other for other in reach[name] if name in reach[other]}
        if len(circle) > 1 and circle not in found:
            found.append(circle)
    return found


def reached(graph: dict[str, set[str]], start: str) -> set[str]:
    """Return the modules that one imports, also through others."""
    seen: set[str] = set()
    todo = [start]
    while todo:
        new = graph[todo.pop()] - seen
        seen |= new
        todo += new
    return seen


def depth(graph: dict[str, set[str]]) -> int:
    """Return the length of the longest chain of imports; a circle counts once."""
    of = {
        name: next((frozenset(c) for c in circles(graph) if name in c), frozenset({name}))
        for name in graph
    }
    known: dict[frozenset[str], int] = {}

    def below(group: frozenset[str]) -> int:
        if group not in known:
            targets = {of[t] for name in group for t in graph[name]} - {group}
            known[group] = 1 + max((below(t) for t in targets), default=0)
        return known[group]

    return max(below(group) for group in of.values())


def arrows_up(root: Path, graph: dict[str, set[str]]) -> str:
    """Count the imports against the order that the revision states."""
    stated = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = stated["tool"].get("importlinter", {}).get("contracts", [])
    if not contracts:
        return "no order"
    floors = enumerate(contracts[0]["layers"])
    floor = {room.strip(): k for k, rooms in floors for room in rooms.split("|")}
    place = {name: floor.get([*name.split("."), ""][1], -1) for name in graph}
    return str(sum(place[a] > place[b] >= 0 for a, targets in graph.items() for b in targets))


def functions(modules: dict[str, ast.Module]) -> list[tuple[int, str]]:
    """Return the lines of each function, with its name."""
    return sorted(
        ((node.end_lineno or 0) - node.lineno + 1, f"{name}.{node.name}")
        for name, tree in modules.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )


def code_lines(modules: dict[str, ast.Module]) -> list[int]:
    """Return the lines of each function's code, without its signature and docstring."""
    found = []
    for tree in modules.values():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                body = node.body[1:] if ast.get_docstring(node) else node.body
                found.append((body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0)
    return found


def lines(folder: Path) -> int:
    """Count the lines of the Python files of a folder."""
    return sum(lines_of(path) for path in folder.rglob("*.py"))


def lines_of(path: Path) -> int:
    """Count the lines of a file."""
    return len(path.read_text(encoding="utf-8").splitlines())


def counted(root: Path) -> dict[str, str]:
    """Return the table's column of a revision."""
    modules = modules_of(root)
    plain = [p for p in (root / PACKAGE).rglob("*.py") if not p.name.startswith("__")]
    per_folder = Counter(p.parent for p in plain)
    graph: dict[str, set[str]] = {name: set() for name in modules}
    late: dict[str, set[str]] = {name: set() for name in modules}  # with those inside functions
    importers: dict[str, set[str]] = {name: set() for name in modules}
    hidden = 0
    for name, target, inside in arrows(modules):
        hidden += inside
        importers[target].add(name)
        late[name].add(target)
        if not inside:
            graph[name].add(target)
    sizes = functions(modules)
    private = sum(p.name.startswith("_") for p in plain)
    own = [n for n in modules if n.rpartition(".")[2] in {p.stem for p in plain}]
    ratio = lines(root / "tests") / lines(root / PACKAGE)
    return {
        "modules": str(len(plain)),
        "folders": str(len(per_folder)),
        "modules in the fullest folder": str(max(per_folder.values())),
        "median modules per folder": f"{statistics.median(per_folder.values()):g}",
        "depth of imports": str(depth(graph)),
        "circles": str(len(circles(graph))),
        "depth, imports in functions too": str(depth(late)),
        "circles, imports in functions too": str(len(circles(late))),
        "arrows up, imports in functions too": arrows_up(root, late),
        "own imports inside functions": str(hidden),
        "private modules": f"{private / len(plain):.0%}",
        "median function, lines": f"{statistics.median(n for n, _ in sizes):g}",
        "longest function, lines": f"{sizes[-1][0]} ({sizes[-1][1].removeprefix(PACKAGE + '.')})",
        "functions over 40 lines": str(sum(n > 40 for n, _ in sizes)),
        "of these, of code alone": str(sum(n > 40 for n in code_lines(modules))),
        "modules over 350 lines": str(sum(lines_of(p) > 350 for p in plain)),
        "modules with one importer": str(sum(len(importers[n]) == 1 for n in own)),
        "lines of tests per line of code": f"{ratio:.2f}",
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("revisions", nargs="*", default=["HEAD"], help="of git; HEAD by default")
    revisions = parser.parse_args().revisions
    columns = []
    for revision in revisions:
        with tempfile.TemporaryDirectory() as folder:
            columns.append(counted(unpacked(revision, Path(folder))))
    print("|".join(["", *revisions, ""]))
    for row in columns[0]:
        print("|".join([row, *(column[row] for column in columns)]))


if __name__ == "__main__":
    main()
