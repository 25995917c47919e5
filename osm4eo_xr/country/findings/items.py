"""Areas and accuracies, with intervals and methods, in the STAC items of a run's maps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from osm4eo_xr.cogs.sidecars import item_of
from osm4eo_xr.country.pieces.layer_pieces import layer_path
from osm4eo_xr.errors import InputError
from osm4eo_xr.files import replace_text
from osm4eo_xr.names import OWN_WORDS

if TYPE_CHECKING:
    from osm4eo_xr.country.context import CountryRun

COUNTED = "counted from the map's pixels, which carry its errors"
"""Method of areas that no labeled points of a design estimate."""

_SCORES = ("producers_accuracy", "users_accuracy", "f1")


def described_items(run: CountryRun) -> dict[Path, list[str]]:
    """Return the items of the final map and of the layers, each with the classes that it shows.

    Maps have items where the country file says when the ground was seen.
    """
    if not run.settings.date:
        return {}
    shown = {item_of(run.final_map): [c.slug for c in run.legend.classes]}
    for layer in run.settings.layers:
        slugs = [run.legend.find(name).slug for name in layer.classes]
        shown[item_of(layer_path(run, layer))] = slugs
    return shown


def describe_maps(run: CountryRun, report: dict[str, Any]) -> None:
    """Put the report's areas and accuracies into the items, each whole.

    Raises
    ------
    InputError
        If an item is no JSON any more.
    """
    layers = _layers(run, report)
    for path, slugs in described_items(run).items():
        try:
            item = json.loads(path.read_text(encoding="utf-8"))
            item["properties"] |= _properties(report, slugs) | layers.get(path, {})
        except (ValueError, LookupError, TypeError):
            raise InputError(f"{path} is damaged", advice="remove it and run again") from None
        replace_text(path, json.dumps(item, indent=1))


def _properties(report: dict[str, Any], slugs: list[str]) -> dict[str, Any]:
    areas = [a for a in report["areas"] if a["class"] in slugs]
    return {
        f"{OWN_WORDS}areas": [_area(a) for a in areas],
        f"{OWN_WORDS}areas_method": _method(areas),
        f"{OWN_WORDS}accuracy": [_accuracy(n, s, slugs) for n, s in report["accuracy"].items()],
    }


def _method(areas: list[dict[str, Any]]) -> str:
    return areas[0].get("estimated_by", COUNTED) if areas else COUNTED


def _layers(run: CountryRun, report: dict[str, Any]) -> dict[Path, dict[str, Any]]:
    """Return what items of layers say besides: the layer's own area, which its patches change."""
    counted = {told["file"]: told["km2"] for told in report["layers"]}
    found = {}
    for layer in run.settings.layers:
        path = layer_path(run, layer)
        found[item_of(path)] = {f"{OWN_WORDS}layer_km2": counted[str(path.relative_to(run.out))]}
        if layer.min_area > 0:
            said = (
                f"{_method(report['areas'])}; areas and accuracy of the classes are those of the "
                f"map, before min_area = {layer.min_area:g} m² took small patches out of the "
                "layer and filled small holes in it"
            )
            found[item_of(path)][f"{OWN_WORDS}areas_method"] = said
    return found


def _area(area: dict[str, Any]) -> dict[str, Any]:
    """Return a class's area as counted and, with its interval, as estimated."""
    named = {"class": area["class"], "counted_km2": area["km2"]}
    return named | {k: area[k] for k in ("estimated_km2",) if k in area}


def _accuracy(name: str, scores: dict[str, Any], slugs: list[str]) -> dict[str, Any]:
    """Return overall accuracy and scores of classes with their limits, and by which method."""
    rows = [c for c in scores["classes"] if c["slug"] in slugs]
    if "design" in scores:
        method = f"{scores['method']}; intervals {scores['intervals']}"
        overall, size = scores["overall_accuracy"], "reference_points"
    else:
        limits = scores.get("overall_interval", {"low": None, "high": None})
        method = limits.get("method", scores["caution"])
        overall, size = _figure(scores["overall_accuracy"], limits), "reference"
    classes = [
        {"class": c["slug"], size: c[size]}
        | {k: _figure(c[k], c.get("intervals", {}).get(k)) for k in _SCORES if k in c}
        for c in rows
        if c[size]
    ]
    return {"of": name, "method": method, "overall_accuracy": overall, "classes": classes}


def _figure(value: Any, limits: dict[str, Any] | None) -> dict[str, Any]:
    """Return a value with its limits, as far as there are any."""
    if isinstance(value, dict):  # of a design
        return value
    bounds = limits or {}
    return {"value": value, "low": bounds.get("low"), "high": bounds.get("high")}
