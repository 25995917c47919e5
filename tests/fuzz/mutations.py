"""Damage to files: of their bytes, of the tags of a TIFF, of what JSON, TOML, XML and YAML say."""

from __future__ import annotations

import json
import random
import re
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

JUNK: list[Any] = [None, True, -1, 0, 0.5, 10**6, 2**31, 2**63, 1e308, float("nan"), "", "x", "é\n"]
JUNK += [[], {}, [[]], [None], ["x"], [1, 2, 3], {"x": 1}, "A" * 5000, "../x", "/dev/null", "NaN"]
"""Values of wrong types and sizes, as JSON has them."""

WORDS = ("-1", "0", "1e999", "nan", '"x"', "[]", "{}", "[[1]]", "true", "", "2024-02-30", "1000000")
WORDS += (
    "99999999999999999999",
    '""',
    "'",
    "\\",
    "null",
    "é",
    "\0",
    "[1, 'a']",
    "-0.0",
    "1979-01-01",
)

_MODEST = 4096  # bytes at the front, where headers lie
_TEXTS = {
    ".json",
    ".geojson",
    ".toml",
    ".xml",
    ".yaml",
    ".csv",
    ".osm",
    ".vrt",
    ".zattrs",
    ".zgroup",
}


def mutate(path: Path, rng: random.Random) -> str:
    """Damage a file, or one of a folder's, in one to three ways; return what was done."""
    if path.is_dir():
        inside = sorted(p for p in path.rglob("*") if p.is_file())
        return mutate(rng.choice(inside), rng)
    if rng.random() < 0.04:
        return _replace(path, rng)
    done = [_once(path, rng) for _ in range(rng.choice((1, 1, 1, 2, 3)))]
    return f"{path.name}: {', '.join(done)}"


def mutate_arguments(arguments: list[str], rng: random.Random) -> list[str]:
    """Change the value of one option, or a positional argument that is no file."""
    places = [k for k, a in enumerate(arguments) if k and not a.startswith(("-", "in/", "out/"))]
    if not places:
        return arguments
    changed = list(arguments)
    changed[rng.choice(places)] = rng.choice((*WORDS, "-5", "12", "water", "clc:51", "inf", " "))
    return [a.replace("\0", "") for a in changed]  # no shell can pass it


def _replace(path: Path, rng: random.Random) -> str:
    kind = rng.choice(("gone", "empty", "folder", "loop", "copy of another"))
    others = sorted(p for p in path.parent.iterdir() if p.is_file() and p != path)
    content = rng.choice(others).read_bytes() if others else b"?"
    path.unlink()
    if kind == "empty":
        path.touch()
    elif kind == "folder":
        path.mkdir()
    elif kind == "loop":
        path.symlink_to(path.name)
    elif kind == "copy of another":
        path.write_bytes(content)
    return f"{path.name} is {kind}"


def _once(path: Path, rng: random.Random) -> str:
    whole = path.read_bytes()
    ways: list[Callable[[bytes, random.Random], bytes]] = [_cut, _flip, _splice, _number]
    if whole[:2] in (b"II", b"MM"):
        ways += [_tag] * 8
    if path.suffix in _TEXTS or whole[:1] in (b"{", b"["):
        ways += [_word] * 6 + [_line] * 3 + [_encoding]
    if whole[:1] in (b"{", b"["):
        ways += [_json] * 12
    way = rng.choice(ways)
    path.write_bytes(way(whole, rng))
    return way.__name__.strip("_")


def _at(whole: bytes | bytearray, rng: random.Random) -> int:
    """Choose a place: half of them in the header."""
    reach = min(_MODEST, len(whole)) if rng.random() < 0.5 else len(whole)
    return rng.randrange(max(reach, 1))


def _cut(whole: bytes, rng: random.Random) -> bytes:
    return whole[: _at(whole, rng)]


def _flip(whole: bytes, rng: random.Random) -> bytes:
    changed = bytearray(whole or b"\0")
    for _ in range(rng.choice((1, 1, 4, 32))):
        changed[_at(changed, rng)] = rng.randrange(256)
    return bytes(changed)


def _splice(whole: bytes, rng: random.Random) -> bytes:
    """Copy, drop or repeat a range."""
    start, to = _at(whole, rng), _at(whole, rng)
    piece = whole[start : start + rng.choice((1, 4, 16, 256))]
    return whole[:to] + piece * rng.choice((0, 1, 2)) + whole[to + rng.choice((0, len(piece))) :]


def _number(whole: bytes, rng: random.Random) -> bytes:
    """Put a number that is out of the ordinary where one may stand."""
    width = rng.choice((1, 2, 4, 8))
    value = rng.choice((0, 1, 2 ** (8 * width) - 1, 2 ** (8 * width - 1), 10**6 % 2 ** (8 * width)))
    start = _at(whole, rng) & -width
    return (
        whole[:start]
        + value.to_bytes(width, rng.choice(("little", "big")))
        + whole[start + width :]
    )


def _tag(whole: bytes, rng: random.Random) -> bytes:
    """Change type, count or value of one entry of the first directory of a classic TIFF."""
    order = "<" if whole[:2] == b"II" else ">"
    version, first = struct.unpack(f"{order}HI", whole[2:8])
    if version != 42 or first + 2 > len(whole):
        return _number(whole, rng)
    (count,) = struct.unpack_from(f"{order}H", whole, first)
    start = first + 2 + 12 * rng.randrange(max(count, 1))
    if start + 12 > len(whole):
        return _number(whole, rng)
    tag, kind, number, value = struct.unpack_from(f"{order}HHII", whole, start)
    odd = rng.choice((0, 1, 2, 3, 5, 7, 16, 255, 10**6, 2**31, 2**32 - 1))
    entry = rng.choice(
        ((tag, kind, number, odd), (tag, kind, odd, value), (tag, odd % 20, number, value))
        if rng.random() < 0.9
        else ((odd % 2**16, kind, number, value),)
    )
    return whole[:start] + struct.pack(f"{order}HHII", *entry) + whole[start + 12 :]


def _word(whole: bytes, rng: random.Random) -> bytes:
    """Replace what stands between separators, a number or a quoted text for example."""
    found = list(re.finditer(rb"[^\s,:=<>\[\]{}\"']+", whole))
    if not found:
        return rng.choice(WORDS).encode()
    hit = rng.choice(found)
    return whole[: hit.start()] + rng.choice(WORDS).encode() + whole[hit.end() :]


def _line(whole: bytes, rng: random.Random) -> bytes:
    """Drop, repeat, move or change a line."""
    lines = whole.split(b"\n")
    k = rng.randrange(len(lines))
    key, sign, _ = lines[k].partition(rng.choice((b"=", b":")))
    change: list[list[bytes]] = [[], [lines[k]] * 2, [lines[k], rng.choice(lines)]]
    change.append([key + sign + b" " + rng.choice(WORDS).encode()])
    return b"\n".join([*lines[:k], *rng.choice(change), *lines[k + 1 :]])


def _encoding(whole: bytes, rng: random.Random) -> bytes:
    text = whole.decode("utf-8", "replace")
    return rng.choice(
        (b"\xef\xbb\xbf" + whole, text.encode("utf-16"), b"\xff\xfe" + whole, whole + b"\xc3")
    )


def _json(whole: bytes, rng: random.Random) -> bytes:
    """Replace or drop a value anywhere in a document."""
    try:
        tree = json.loads(whole)
    except ValueError:
        return _word(whole, rng)
    found = list(places(tree))
    if not found:
        return json.dumps(rng.choice(JUNK)).encode()
    holder, key = rng.choice(found)
    if isinstance(holder, dict) and rng.random() < 0.25:
        del holder[key]
    else:
        holder[key] = rng.choice(JUNK)
    return json.dumps(tree if rng.random() < 0.99 else rng.choice(JUNK)).encode()


def places(tree: Any) -> Any:
    """Yield where each value of a document stands."""
    entries = (
        tree.items()
        if isinstance(tree, dict)
        else enumerate(tree)
        if isinstance(tree, list)
        else ()
    )
    for key, value in list(entries):
        yield tree, key
        yield from places(value)


def copy(source: Path, target: Path) -> None:
    """Copy a file or folder."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True)
    else:
        shutil.copyfile(source, target)
