"""The viewer as one static folder, or as one page that holds everything."""

from __future__ import annotations

import base64
import html
import json
import shutil
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from osm4eo_xr.files import replaced
from osm4eo_xr.viewer.pyramid import Pyramid, Take
from osm4eo_xr.viewer.web_mercator import SIDE, Cells, Place

if TYPE_CHECKING:
    from osm4eo_xr.progress import Progress
    from osm4eo_xr.viewer.objects import Objects
    from osm4eo_xr.viewer.overlays import Overlay

PAGE = "index.html"

CREDITS = (
    "© OpenStreetMap contributors, ODbL; contains modified Copernicus Sentinel data; "
    "MapLibre GL JS, BSD-3-Clause"
)

_STATIC = files("osm4eo_xr") / "viewer" / "static"
_STYLES = ("maplibre-gl.css", "viewer.css")
_SCRIPTS = ("maplibre-gl.js", "viewer.js")
_LICENSE = "maplibre-gl.LICENSE.txt"
_ABOUT = "about.js"
_MARKER = "viewer.json"
_OBJECTS = "objects"


def write_viewer(
    folder: str | Path,
    overlays: Sequence[Overlay],
    *,
    title: str,
    note: str = "",
    key: str = "",
    objects: Objects | None = None,
    progress: Progress | None = None,
) -> Path:
    """Write a viewer's folder, whole or not at all; one that is there is replaced.

    It works on any web server, through proxies, and as ``file://``: tiles are scripts, which
    browsers load from disk where they refuse to fetch pictures, and all addresses are relative.

    Parameters
    ----------
    folder : str or Path
        Takes ``index.html``, what it needs, and ``tiles/``.
    overlays : sequence of Overlay
        From the top to the bottom.
    title : str
        Heading.
    note : str
        A sentence on the figures in the legend.
    key : str
        What ``is_current`` asks for.
    objects : Objects, optional
        OpenStreetMap's objects, which clicks name; at the zoom of the last class map.
    progress : callable, optional
        Called as ``progress(done, total)`` with tiles of the finest zooms.

    Returns
    -------
    Path
        The page.
    """
    with replaced(folder) as part:
        part.mkdir()

        def take(name: str, place: Place, text: str) -> None:
            path = part / "tiles" / f"{_key(name, place)}.js"
            path.parent.mkdir(parents=True, exist_ok=True)
            call = f"osm4eoTile({json.dumps(_key(name, place))},{json.dumps(text)});\n"
            path.write_text(call, encoding="ascii")

        about = _cut(overlays, take, progress, objects) | {
            "title": title,
            "note": note,
            "credits": CREDITS,
        }
        for name in (*_STYLES, *_SCRIPTS, _LICENSE):
            shutil.copyfile(str(_STATIC / name), part / name)
        (part / _ABOUT).write_text(_about(about), encoding="utf-8")
        styles = [f'<link rel="stylesheet" href="{name}">' for name in _STYLES]
        scripts = [f'<script src="{name}"></script>' for name in (_ABOUT, *_SCRIPTS)]
        (part / PAGE).write_text(_page(title, styles, scripts), encoding="utf-8")
        (part / _MARKER).write_text(json.dumps({"key": key}) + "\n", encoding="utf-8")
    return Path(folder) / PAGE


def is_current(folder: Path, key: str) -> Path | None:
    """Return the page of a folder that was written with this key, if there is one."""
    try:
        same = json.loads((folder / _MARKER).read_text(encoding="utf-8")) == {"key": key}
    except (OSError, ValueError):
        return None
    return folder / PAGE if same else None


def one_page(
    overlays: Sequence[Overlay], *, title: str, note: str = "", progress: Progress | None = None
) -> str:
    """Return the viewer as one page with all its tiles inside; for small maps.

    Parameters
    ----------
    overlays, title, note, progress
        As for ``write_viewer``.
    """
    tiles: dict[str, str] = {}

    def take(name: str, place: Place, text: str) -> None:
        tiles[_key(name, place)] = text

    about = _cut(overlays, take, progress) | {"title": title, "note": note, "credits": CREDITS}
    styles = [f"<style>{(_STATIC / name).read_text('utf-8')}</style>" for name in _STYLES]
    code = [_about(about | {"inside": tiles})]
    code += [(_STATIC / name).read_text("utf-8") for name in _SCRIPTS]
    scripts = [f"<script>{_within_script(text)}</script>" for text in code]
    return _page(title, styles, scripts)


def _cut(
    overlays: Sequence[Overlay],
    take: Any,
    progress: Progress | None,
    objects: Objects | None = None,
) -> dict[str, Any]:
    """Make the tiles of all overlays, and return what the page has to know of them."""
    cells = [overlay.cells for overlay in overlays]
    indexed = [o.cells for o in overlays if o.kind == "classes"][-1] if objects else None
    total = sum(c.count for c in (*cells, *([indexed] if indexed else [])))
    done, told, counting = 0, [], Lock()

    def step() -> None:
        nonlocal done
        with counting:  # tiles are made by several threads
            done += 1
            if progress is not None:
                progress(done, total)

    for overlay in overlays:
        pyramid = Pyramid(overlay, _for(take, overlay.name), step)
        pyramid.make()
        told.append(_told(overlay, pyramid))
    about: dict[str, Any] = {"side": SIDE, "overlays": told}
    if objects is not None and indexed is not None:
        made = objects.cut(indexed, _for(take, _OBJECTS), step)
        about["objects"] = {"name": _OBJECTS, "zooms": {indexed.zoom: _whereabouts(indexed, made)}}
    return about


def _for(take: Any, name: str) -> Take:
    return lambda place, text: take(name, place, text)


def _told(overlay: Overlay, pyramid: Pyramid) -> dict[str, Any]:
    """Say as JSON what an overlay is and which tiles it has."""
    zooms = {cells.zoom: _whereabouts(cells, pyramid.made) for cells in pyramid.zooms}
    entries = [
        {"value": e.value, "name": e.name, "color": e.color, "figures": e.figures}
        for e in overlay.entries
    ]
    return {
        "name": overlay.name,
        "title": overlay.title,
        "kind": overlay.kind,
        "nodata": overlay.nodata,
        "shown": overlay.shown,
        "bounds": [round(v, 6) for v in overlay.bounds],
        "zooms": zooms,
        "entries": entries,
    }


def _whereabouts(cells: Cells, made: Sequence[Place]) -> list[Any]:
    """Return the first tile of a zoom, columns and rows, and a bit for each tile that is there."""
    there = np.zeros((len(cells.rows), len(cells.columns)), bool)
    for zoom, column, row in made:
        if zoom == cells.zoom:
            there[row - cells.rows.start, column - cells.columns.start] = True
    bits = base64.b64encode(np.packbits(there).tobytes()).decode()
    return [cells.columns.start, cells.rows.start, len(cells.columns), len(cells.rows), bits]


def _key(name: str, place: Place) -> str:
    zoom, column, row = place
    return f"{name}/{zoom}/{column}_{row}"


def _about(about: dict[str, Any]) -> str:
    told = json.dumps(about, separators=(",", ":")).replace("<", "\\u003c")  # no tag in names
    return f"window.osm4eoAbout = {told};\n"


def _within_script(code: str) -> str:
    """Return code that ends no script element early."""
    return code.replace("</script", "<\\/script").replace("<!--", "<\\!--")


def _page(title: str, styles: list[str], scripts: list[str]) -> str:
    body = (_STATIC / "body.html").read_text("utf-8")
    head = (
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width, '
        f'initial-scale=1"><link rel="icon" href="data:,"><title>{html.escape(title)}</title>'
    )
    return (
        f'<!doctype html>\n<html lang="en"><head>{head}\n'
        + "\n".join(styles)
        + f"</head>\n<body>\n{body}\n"
        + "\n".join(scripts)
        + "\n</body></html>\n"
    )
