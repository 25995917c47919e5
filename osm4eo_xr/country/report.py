"""The result folder explains itself: ``report.json`` and ``report.html``, one file, no network."""

from __future__ import annotations

import dataclasses
import html
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import rasterio
import xarray as xr
from odc.geo.geobox import GeoBox

from osm4eo_xr._version import __version__
from osm4eo_xr.accuracy.design_report import EXPLANATION, figure_km2, report_html
from osm4eo_xr.country.context import VIEWER
from osm4eo_xr.country.counts import class_areas, layer_areas, tile_coverage
from osm4eo_xr.country.findings import page
from osm4eo_xr.country.findings.items import describe_maps
from osm4eo_xr.country.findings.radiometry import find_harmony, harmony_parts
from osm4eo_xr.country.findings.review import review_parts
from osm4eo_xr.country.findings.seams import find_block_seam, find_seams, seam_parts
from osm4eo_xr.country.findings.trust import find_trust, trust_parts
from osm4eo_xr.country.pieces.scores import ACCURACY_FILE
from osm4eo_xr.files import replace_text
from osm4eo_xr.geometry.grid import georeference
from osm4eo_xr.names import counted
from osm4eo_xr.plot.charts import plot_confusion, plot_training, training_series
from osm4eo_xr.plot.maps import plot_classes
from osm4eo_xr.viewer.folder import PAGE

if TYPE_CHECKING:
    from osm4eo_xr.country.context import CountryRun, Piece
    from osm4eo_xr.maps.seams import Seam

_PICTURE = 1400  # pixels of the map's longest edge
_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem;
  color: #222; }
h1, h2 { line-height: 1.2; } h2 { margin-top: 2.2rem; }
img { max-width: min(100%, 54rem); height: auto; }
summary { cursor: pointer; margin: .5rem 0; }
table { border-collapse: collapse; margin: 1rem 0; }
td, th { padding: .25rem .8rem; text-align: left; border-bottom: 1px solid #ddd; }
td.n { text-align: right; font-variant-numeric: tabular-nums; }
.swatch { display: inline-block; width: 1.1em; height: 1.1em; border: 1px solid #777;
  vertical-align: -0.2em; margin-right: .5em; }
code { font-size: .85em; overflow-wrap: anywhere; } footer { margin-top: 3rem; color: #666; }
"""


_AREAS_NOTE = (
    "Counted from the map's pixels, so that they carry its errors; estimates with intervals "
    "need labeled points of a design ([accuracy] points and design in the country file)."
)

_KM2 = {
    "km2": "counted km²",
    "known_km2": "known",
    "predicted_km2": "predicted",
    "overruled_km2": "overruling a label",
    "labeled_km2": "km² labeled by OpenStreetMap",
}

_RULES = {
    "osm": "OpenStreetMap wins",
    "model": "the model wins",
    "confidence": "the surer of OpenStreetMap and the model wins",
    "bayes": "the class wins that OpenStreetMap and the model together make likeliest",
}

_SCORES = {
    "overall_accuracy": "overall accuracy",
    "average_accuracy": "average accuracy",
    "kappa": "kappa",
    "mean_f1": "mean F1",
    "ece": "expected calibration error",
}
_CLASS_SCORES = ("producers_accuracy", "users_accuracy", "f1")

_FOOTER = (
    f"<footer>osm4eo_xr {__version__}. Contains modified Copernicus Sentinel data; labels "
    "© OpenStreetMap contributors, ODbL.</footer>"
)


def write_report(run: CountryRun, pieces: list[Piece], inputs: dict[str, str]) -> None:
    """Write ``report.json`` and ``report.html``, and figures into the maps' items, each whole."""
    seams, inside = find_seams(run), find_block_seam(run)
    report = _collect(run, pieces, inputs) | {"seams": [seam.to_dict() for seam in seams]}
    report["block_edges"] = inside.to_dict() if inside else {}
    describe_maps(run, report)
    replace_text(run.out / "report.json", json.dumps(report, indent=1))
    replace_text(run.out / "report.html", _page(run, report, seams, inside))


def _collect(run: CountryRun, pieces: list[Piece], inputs: dict[str, str]) -> dict[str, Any]:
    """Gather everything the report says, as plain JSON."""
    digest, training = _model_record(run)
    accuracy = _accuracy(run, pieces)
    return {
        "name": run.settings.name,
        "software": {"osm4eo_xr": __version__},
        "settings": dataclasses.asdict(run.settings),
        "tiles": [t.id for t in run.tiles],
        "coverage": tile_coverage(run),
        "harmony": find_harmony(run),
        "areas": with_estimates(class_areas(run), accuracy),
        "layers": layer_areas(run),
        "applicability": find_trust(run),
        "known": _known(run),
        "accuracy": accuracy,
        "model": {"sha256": digest, "training": training},
        "pieces": {p.name: p.key for p in pieces},
        "inputs": {_relative(run, path): digest for path, digest in inputs.items()},
    }


def _relative(run: CountryRun, name: str) -> str:
    """Name an input relative to the country file, so that a moved run reports the same."""
    where = Path(os.path.normpath(run.out / name))
    return str(where.relative_to(run.base)) if where.is_relative_to(run.base) else str(where)


def _model_record(run: CountryRun) -> tuple[str, dict[str, Any]]:
    """Return hash and training record of the model."""
    from osm4eo_xr.models.model_folder import load_model

    model = load_model(run.model_path)
    return model.digest, json.loads(json.dumps(model.training, default=str))


def _known(run: CountryRun) -> dict[str, Any]:
    """Say how known ground came into the map, with the noise of labels that its rule weighed."""
    known = run.settings.known
    if known is None:
        return {}
    told: dict[str, Any] = {"rule": known.rule, "protect": known.protect}
    if known.needs_noise:
        slugs = [c.slug for c in run.legend.classes]
        rows = run.noise().to_numpy().tolist()
        told["noise"] = {
            s: dict(zip(slugs, r, strict=True)) for s, r in zip(slugs, rows, strict=True)
        }
    return told


def _accuracy(run: CountryRun, pieces: list[Piece]) -> dict[str, Any]:
    """Return the scores that this run's accuracy piece wrote, if it has one."""
    if not any(p.kind == "accuracy" for p in pieces):
        return {}
    return json.loads((run.out / ACCURACY_FILE).read_text(encoding="utf-8"))


def _page(run: CountryRun, report: dict[str, Any], seams: list[Seam], inside: Seam | None) -> str:
    name = html.escape(report["name"])
    parts = [
        f"<h1>{name}: land use at 10 m</h1>",
        _summary(run, report),
        page.image(plot_classes(_picture(run.final_map), legend=run.legend), "The map"),
        "<h2>Areas</h2>",
        f"<p>{html.escape(_areas_note(report['areas']))}</p>",
        _areas(run, report["areas"]),
        page.folded("Pixels without data, by tile", _coverage(report["coverage"])),
        *harmony_parts(report["harmony"]),
        *seam_parts(run, seams, inside),
        *trust_parts(report["applicability"]),
        *review_parts(run),
        "<h2>Accuracy</h2>",
        *_scores(report["accuracy"], {a["class"]: a["name"] for a in report["areas"]}),
        "<h2>Training</h2>",
        *_learning(report["model"]["training"]),
        "<h2>Provenance</h2>",
        f"<p>Model SHA-256 <code>{report['model']['sha256']}</code></p>",
        page.folded("Inputs", page.table(("input", "SHA-256"), report["inputs"].items())),
        page.folded("Pieces", page.table(("piece", "made from (hash)"), report["pieces"].items())),
        page.folded(
            "Settings", f"<pre>{html.escape(json.dumps(report['settings'], indent=1))}</pre>"
        ),
        _FOOTER,
    ]
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{name}</title>'
        f"<style>{_STYLE}</style></head>\n<body>\n" + "\n".join(parts) + "\n</body></html>\n"
    )


def _summary(run: CountryRun, report: dict[str, Any]) -> str:
    day = html.escape(run.settings.date or "date not given")
    maps = f"final map <code>{run.final_map.name}</code>"
    if run.settings.labels is not None:
        maps += f", labels <code>{run.product('labels').name}</code>"
    if run.settings.known is not None:
        rule = _RULES[run.settings.known.rule]
        maps += f", provenance <code>{run.provenance.name}</code>. On labeled ground {rule}"
    viewer = (
        f' <a href="{VIEWER}/{PAGE}">Look at the maps</a>.' if run.settings.products.viewer else ""
    )
    return f"<p>{counted(len(report['tiles']), 'tile')}, {day}, {maps}.{viewer}</p>"


def _picture(path: Path) -> xr.DataArray:
    """Read the map at the size of the picture, from its overviews."""
    with rasterio.open(path) as file:
        shrink = max(1.0, max(file.shape) / _PICTURE)
        shape = max(1, round(file.height / shrink)), max(1, round(file.width / shrink))
        pixels = file.read(1, out_shape=shape)
        bounds, crs = file.bounds, file.crs
    return georeference(pixels, GeoBox.from_bbox(tuple(bounds), crs=str(crs), shape=shape))


def _coverage(tiles: dict[str, dict[str, Any]]) -> str:
    """Show how much of each tile has no class, and what said which pixels hold data."""
    rows = [(i, f"{tile['no_data']:.2%} ({tile['validity']})") for i, tile in tiles.items()]
    skipped = [(i, fault) for i, tile in tiles.items() for fault in tile["skipped"]]
    shown = page.table(("tile", "without data (told by)"), rows)
    outside = [(i, f"{tile['outside']:.1%}") for i, tile in tiles.items() if "outside" in tile]
    if outside:
        shown += page.table(("tile", "outside of what the model knows"), outside)
    return shown + (page.table(("tile", "item left out"), skipped) if skipped else "")


def with_estimates(areas: list[dict[str, Any]], accuracy: dict[str, Any]) -> list[dict[str, Any]]:
    """Put the areas that points of a design estimate beside the counted ones, if there are any."""
    reports = [report for report in accuracy.values() if "design" in report]
    if not reports:
        return areas
    by_id = {c["id"]: c["estimated_km2"] for c in reports[0]["classes"]}
    method = f"{reports[0]['method']}; intervals {reports[0]['intervals']}"
    return [{**a, "estimated_km2": by_id[a["id"]], "estimated_by": method} for a in areas]


def _areas_note(areas: list[dict[str, Any]]) -> str:
    """Say in a sentence what the figures are, and by which method."""
    estimated = "estimated_km2" in areas[0]
    return f"{EXPLANATION} Method: {areas[0]['estimated_by']}." if estimated else _AREAS_NOTE


def _areas(run: CountryRun, areas: list[dict[str, Any]]) -> str:
    shown = [(k, title) for k, title in _KM2.items() if k in areas[0]]
    rows = []
    for area in areas:
        color = run.legend.by_id[area["id"]].hex_color
        numbers = [*(f"{area[k]:,.2f}" for k, _ in shown), f"{area['share']:.1%}"]
        numbers += [figure_km2(area["estimated_km2"])] if "estimated_km2" in area else []
        rows.append(
            f'<tr><td><span class="swatch" style="background:{color}"></span>'
            f"{html.escape(area['name'])}</td>"
            + "".join(f'<td class="n">{number}</td>' for number in numbers)
            + "</tr>"
        )
    estimated = ["estimated km², 95 %"] if "estimated_km2" in areas[0] else []
    titles = ("class", *(title for _, title in shown), "share", *estimated)
    head = "".join(f"<th>{title}</th>" for title in titles)
    return f"<table><tr>{head}</tr>{''.join(rows)}</table>"


def _scores(accuracy: dict[str, Any], names: dict[str, str]) -> list[str]:
    """Show each comparison: overall scores, scores per class, confusion matrix."""
    if not accuracy:
        return ["<p>Nothing to compare with: no samples were drawn and no points given.</p>"]
    return [part for name, report in accuracy.items() for part in _score(name, report, names)]


def _score(name: str, report: dict[str, Any], names: dict[str, str]) -> list[str]:
    if "design" in report:
        return [f"<h3>On {html.escape(name)}</h3>", report_html(report)]
    listed = [(t, _figure(k, report[k])) for k, t in _SCORES.items() if report.get(k) is not None]
    if limits := report.get("overall_interval"):
        span = f"{_percent(limits['low'])} to {_percent(limits['high'])}"
        listed.insert(1, (f"overall accuracy, {limits['method']}", span))
    known = [c for c in report["classes"] if c["reference"] or c["map"]]
    rows = "".join(
        f"<tr><td>{html.escape(names[c['slug']])}</td>"
        + "".join(f'<td class="n">{c[k]:,}</td>' for k in ("reference", "map"))
        + "".join(f'<td class="n">{_with_limits(c, k)}</td>' for k in _CLASS_SCORES)
        + "</tr>"
        for c in known
    )
    head = "".join(
        f"<th>{h}</th>" for h in ("class", "reference", "map", "producer's", "user's", "F1")
    )
    places = [report["classes"].index(c) for c in known]
    counts = np.array(report["confusion"]["counts"])[np.ix_(places, places)]
    return [
        f"<h3>On {html.escape(name)}: {report['total']:,} compared</h3>",
        f"<p>{html.escape(report['caution'])}</p>",
        page.table(("score", ""), listed),
        f"<table><tr>{head}</tr>{rows}</table>",
        page.image(plot_confusion(counts, [c["slug"] for c in known]), f"Confusion on {name}"),
    ]


def _with_limits(scores: dict[str, Any], name: str) -> str:
    """Return a class's score, with its 95 % interval if there is one."""
    limits = scores.get("intervals", {}).get(name, {"low": None})
    if limits["low"] is None:
        return _percent(scores[name])
    return f"{_percent(scores[name])} ({_percent(limits['low'])} to {_percent(limits['high'])})"


def _figure(score: str, value: float) -> str:
    """Return a score as it is read: kappa is no share."""
    return f"{value:.3f}" if score == "kappa" else _percent(value)


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def _learning(training: dict[str, Any]) -> list[str]:
    """Show curves and record as far as the model has them."""
    parts: list[str] = []
    curves = training_series(training.get("history"))
    if curves:
        parts.append(page.image(plot_training(curves), "Training curves"))
    record = {k: v for k, v in _flat(training) if isinstance(v, int | float | str)}
    if record:
        parts.append(page.folded("Record of the training", page.table(("", ""), record.items())))
    return parts or ["<p>The model says nothing about its training.</p>"]


def _flat(tree: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for key, value in tree.items():
        if isinstance(value, dict) and key != "history":
            found += _flat(value, f"{prefix}{key} ")
        else:
            found.append((f"{prefix}{key}".replace("_", " "), value))
    return found
