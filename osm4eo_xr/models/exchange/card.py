"""A model's card for people, in Markdown, made from its item."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from osm4eo_xr.feature_ids.ids import groups_of
from osm4eo_xr.names import OWN_WORDS

_NOT_STATED = "not stated by whoever publishes it"

_OPENED = {
    "reflectance": (
        'oxr.open_scene("SCENE.tif")',
        "`osm4eo-xr models pull` and `osm4eo-xr classify` do the same.",
    ),
    "digital number": (
        'oxr.open_scene("SCENE.tif", scale=1, offset=0).assign_attrs(units="digital number")',
        (
            "The file has to hold numbers made as those that the model learned from. "
            "`osm4eo-xr classify` reads reflectance, which this model does not take."
        ),
    ),
    "per feature": (
        "oxr.open_features({{{sources}}})",
        (
            "A country run takes the same groups as `[[features]]`; `osm4eo-xr classify` reads "
            "scenes alone."
        ),
    ),
}
"""How a scene is opened by the unit that a model takes, and what is to be said of it."""


def card_of(item: Mapping[str, Any]) -> str:
    """Return the card of a catalog's item."""
    known = item["properties"]
    parts = [
        f"# {known['title']}: {item['id']}",
        known.get("description", ""),
        "\n".join(_table(("what", "how"), _facts(item))),
        "## Classes",
        "\n".join(_table(("value", "class", "producer's", "user's"), _classes(known))),
        "## Accuracy",
        _accuracy(known.get(f"{OWN_WORDS}accuracy")),
        "## Where it applies",
        _applicability(known.get(f"{OWN_WORDS}applicability", "")),
        "## Use",
        _use(item),
        "## Files",
        "\n".join(_table(("file", "bytes", "SHA-256"), _files(item["assets"]))),
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def _facts(item: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    known, [given] = item["properties"], item["properties"]["mlm:input"]
    yield "license", known["license"]
    yield "network", f"{known['mlm:architecture']}; {known['mlm:total_parameters']:,} parameters"
    yield "input features", ", ".join(given["bands"])
    yield "unit", known[f"{OWN_WORDS}units"]
    yield "scaling", _scaling(given)
    yield "trained in", _area(item)
    yield "digest", f"`{known[f'{OWN_WORDS}digest']}`"


def _scaling(given: Mapping[str, Any]) -> str:
    """Say how numbers enter the network."""
    steps = given.get("value_scaling")
    if not steps:
        return given["pre_processing_function"]["expression"]
    pairs = zip(given["bands"], steps, strict=True)
    return ", ".join(f"{name} (x - {s['mean']:.4g}) / {s['stddev']:.4g}" for name, s in pairs)


def _area(item: Mapping[str, Any]) -> str:
    if item.get("geometry") is None:
        return _NOT_STATED
    west, south, east, north = item["bbox"]
    size = item["properties"][f"{OWN_WORDS}area_km2"]
    return f"{size:,.0f} km² within {west:.2f} to {east:.2f}° E, {south:.2f} to {north:.2f}° N"


def _classes(known: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    [found] = known["mlm:output"]
    scores = (known.get(f"{OWN_WORDS}accuracy") or {}).get("classes", {})
    for c in found["classification:classes"]:
        own = scores.get(c["name"], {})
        shares = (_percent(own.get(f"{name}_accuracy")) for name in ("producers", "users"))
        yield str(c["value"]), f"{c['name']}: {c['description']}", *shares


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"


def _accuracy(figures: Mapping[str, Any] | None) -> str:
    if figures is None:
        return (
            f"Overall accuracy: {_NOT_STATED}. Score it on points of your own before you trust it."
        )
    low, high, method = figures["low"], figures["high"], figures["interval"]
    limits = "without an interval"
    if low is not None and high is not None:
        limits = f"{_percent(low)} to {_percent(high)} ({method})"
    return (
        f"Overall accuracy {_percent(figures['value'])}, {limits}, from {figures['total']:,} "
        f"pixels or points: {figures['of']}.\n\n{figures['caution']}"
    ).strip()


def _applicability(said: str) -> str:
    if not said:
        return (
            "Not fitted: nothing tells whether a scene resembles what the model has learned from. "
            "Trust it where it was trained, in the season that it was trained on."
        )
    lines = "\n".join(f"- {line}" for line in said.splitlines())
    lead = "`osm4eo-xr classify --dissimilarity` maps where a scene is unlike the training:"
    return f"{lead}\n\n{lines}"


def _use(item: Mapping[str, Any]) -> str:
    """Say how the model is asked, in the unit that it takes."""
    units = item["properties"][f"{OWN_WORDS}units"]
    opened, said = _OPENED.get(units, _OPENED["reflectance"])
    [given] = item["properties"]["mlm:input"]
    if units == "per feature":
        sources = ", ".join(f'"{group.name}": …' for group in groups_of(given["bands"]))
        opened = opened.format(sources=sources)
    return (
        "```python\n"
        "import osm4eo_xr as oxr\n\n"
        f'model = oxr.load_model(oxr.pull_model("{item["id"]}", catalog="ADDRESS"))\n'
        f"scene = {opened}\n"
        "classes = oxr.classify(scene, model)\n"
        "```\n\n"
        f"{said}"
    )


def _files(assets: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    for asset in assets.values():
        if "file:checksum" in asset:
            name, sha256 = asset["href"].removeprefix("./"), asset["file:checksum"][4:]
            yield name, f"{asset['file:size']:,}", f"`{sha256}`"


def _table(head: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> Iterator[str]:
    """Yield the lines of a table."""
    for row in (head, ("---",) * len(head), *rows):
        cells = (" ".join(cell.replace("|", "\\|").split()) for cell in row)
        yield f"| {' | '.join(cells)} |"
