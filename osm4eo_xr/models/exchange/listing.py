"""Which models a catalog has."""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import Any

from osm4eo_xr.errors import InputError
from osm4eo_xr.models.exchange.documents import beside, document_place, read_document
from osm4eo_xr.models.exchange.entries import ModelEntry, read_entry
from osm4eo_xr.models.exchange.model_names import check_model_name, names_of

SHIPPED = Path(__file__).parents[1] / "shipped"
"""The catalog in the package: the demo's model."""

_ITEM = re.compile(r"\./([^/]+)/([^/]+)\.json")


def read_model_catalog(source: str | Path | None = None) -> tuple[ModelEntry, ...]:
    """Return the models of a catalog as their items describe them, in its order.

    Parameters
    ----------
    source : str or Path, optional
        Folder or address of a catalog, or of its ``catalog.json``; by default the one in the
        package, which has the demo's model and EuroSAT's.

    Raises
    ------
    InputError
        If there is none, or a name or link in it leads out of its folder.
    RemoteError
        If a server goes on failing or refuses access.

    Examples
    --------
    >>> import osm4eo_xr as oxr
    >>> from osm4eo_xr.demo import example_model
    >>> _ = oxr.push_model(example_model(), "catalog", name="untrained", license="MIT")
    >>> [(entry.name, entry.license) for entry in oxr.read_model_catalog("catalog")]
    [('untrained', 'MIT')]
    >>> [entry.name for entry in oxr.read_model_catalog()]
    ['demo-havelland', 'eurosat-rgb']
    """
    place = document_place(str(SHIPPED if source is None else source))
    return tuple(_entry(beside(place, name, f"{name}.json"), name) for name in item_names(place))


def item_names(place: str) -> list[str]:
    """Return the names of the models that a catalog's document lists.

    Raises
    ------
    InputError
        As ``read_model_catalog``.
    """
    return names_in(read_document(place), place)


def find_entry(wanted: str, catalog: str) -> ModelEntry:
    """Return the model of a name, or of a country, in a catalog.

    Raises
    ------
    InputError
        If it has none; the message lists what it has.
    """
    place = document_place(catalog)
    known = item_names(place)
    for name in names_of(wanted):
        if name in known:
            return _entry(beside(place, name, f"{name}.json"), name)
    near = difflib.get_close_matches(wanted, known, n=1)
    elsewhere = "name a catalog with {catalog}" if place == document_place(str(SHIPPED)) else ""
    raise InputError(
        f"{place} has no model {wanted!r}",
        expected=f"one of {', '.join(known)}" if known else "",
        advice=f"did you mean {near[0]}?" if near else elsewhere,
    )


def only_entry(source: str) -> ModelEntry:
    """Return the model of an item, or the only one of a catalog.

    Raises
    ------
    InputError
        If a catalog has several, or none.
    """
    place = document_place(source)
    tree = read_document(place)
    if tree.get("type") == "Feature":
        return read_entry(tree, place)
    known = names_in(tree, place)
    if len(known) != 1:
        raise InputError(
            f"{place} has {len(known)} models{': ' if known else ''}{', '.join(known)}",
            expected="one model",
            advice="give its name and {catalog}",
        )
    return _entry(beside(place, known[0], f"{known[0]}.json"), known[0])


def names_in(tree: dict[str, Any], place: str) -> list[str]:
    """Return the names of a catalog's items; their links lead to NAME/NAME.json alone."""
    links = tree.get("links")
    if tree.get("type") not in ("Catalog", "Collection") or not isinstance(links, list):
        raise InputError(f"{place} is no STAC catalog", advice="give a catalog or an item of it")
    hrefs = [e.get("href") for e in links if isinstance(e, dict) and e.get("rel") == "item"]
    found = []
    for href in hrefs:
        parts = _ITEM.fullmatch(href) if isinstance(href, str) else None
        if parts is None or parts[1] != parts[2]:
            raise InputError(f"{place}: link {href!r}", expected="./NAME/NAME.json")
        try:
            found.append(check_model_name(parts[1]))
        except InputError as error:
            raise error.within(place) from None
    return list(dict.fromkeys(found))


def _entry(place: str, name: str) -> ModelEntry:
    """Read the item of a name, which must be its own."""
    entry = read_entry(read_document(place), place)
    if entry.name != name:
        raise InputError(f"{place} is of model {entry.name!r}", expected=name)
    return entry
