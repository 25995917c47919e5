"""A model into a catalog: a folder that any web server can give."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from osm4eo_xr.errors import InputError
from osm4eo_xr.files import replace_text, replaced
from osm4eo_xr.models.exchange.card import card_of
from osm4eo_xr.models.exchange.documents import CATALOG_FILE, read_document
from osm4eo_xr.models.exchange.entries import FILES, check_license, read_entry
from osm4eo_xr.models.exchange.items import Published, catalog_item, file_of, with_file
from osm4eo_xr.models.exchange.listing import names_in
from osm4eo_xr.models.exchange.model_names import check_model_name, country_model
from osm4eo_xr.models.exchange.published_accuracy import published_accuracy
from osm4eo_xr.models.exchange.training_area import training_area
from osm4eo_xr.models.model import Model
from osm4eo_xr.models.model_folder import CARD_FILE, load_model, save_model
from osm4eo_xr.rasters.remote.addresses import is_remote, text_of

if TYPE_CHECKING:
    from geopandas import GeoDataFrame

_EMPTY = {
    "type": "Catalog",
    "stac_version": "1.1.0",
    "id": "osm4eo_xr-models",
    "title": "Models of osm4eo_xr",
    "description": "Networks that make land-use maps, with what is known of each",
}
_ROOT = {"rel": "root", "href": f"./{CATALOG_FILE}", "type": "application/json"}


def push_model(
    model: Model | str | Path,
    catalog: str | Path,
    *,
    license: str,  # noqa: A002 - as STAC calls it
    name: str | None = None,
    country: str | None = None,
    area: str | Path | GeoDataFrame | None = None,
    accuracy: object = None,
    description: str = "",
    overwrite: bool = False,
) -> Path:
    """Put a model into a static STAC catalog, with a card that says what it is and how good.

    The catalog is a folder; copy it to any web server, and ``pull_model`` takes models from there.

    Parameters
    ----------
    model : Model, str or Path
        A model or its folder.
    catalog : str or Path
        Folder of the catalog; made if it is not there.
    license : str
        SPDX expression, for example ``"CC-BY-4.0"``, or ``"other"``.
    name : str, optional
        Its name in the catalog: letters, digits, dots, dashes, underscores. By default that of the
        country's model, or of the model's folder.
    country : str, optional
        Country that it was trained for: its outline is the training area.
    area : path or GeoDataFrame, optional
        Polygons that it was trained in. By default the hull of its training samples, which
        ``train`` has recorded.
    accuracy : report, mapping or path, optional
        What ``evaluate`` or ``assess`` returned, or the JSON file it was saved as.
    description : str
        For people: what it learned from, what it is for.
    overwrite : bool
        Replace a model of that name.

    Returns
    -------
    Path
        Its item in the catalog.

    Raises
    ------
    InputError
        If the model is damaged, the catalog is a folder of something else, or has the name
        already; if the license, the name, the area or the report cannot be used.

    Source
    ------
    STAC 1.1, its Machine Learning Model extension 1.5.2 and its file extension 2.1.

    Examples
    --------
    >>> import osm4eo_xr as oxr
    >>> from osm4eo_xr.demo import example_model
    >>> item = oxr.push_model(example_model(), "catalog", country="Liechtenstein", license="MIT")
    >>> sorted(path.name for path in item.parent.iterdir())
    ['MODEL_CARD.md', 'landuse-LI.json', 'model.json', 'weights.safetensors']
    """
    folder = Path(catalog)
    tree = _read_catalog(folder, text_of(catalog))
    loaded = model if isinstance(model, Model) else load_model(model)
    if name is None:
        name = country_model(country) if country else _folder_name(loaded)
    said = Published(
        _check_free(check_model_name(name)),
        check_license(license),
        " ".join(description.split()),
        training_area(loaded, area, country),
        None if accuracy is None else published_accuracy(accuracy),
    )
    place = folder / said.name
    if place.exists() and not overwrite:
        raise InputError(f"{place} exists already", advice="give another name or {overwrite=True}")
    if place.exists() and not (place / f"{said.name}.json").is_file():
        raise InputError(f"{place} exists and is no model of a catalog", advice="give another name")
    folder.mkdir(parents=True, exist_ok=True)
    with replaced(place) as part:
        _write(loaded, said, part)
    _write_catalog(folder, tree)
    return place / f"{said.name}.json"


def _check_free(name: str) -> str:
    """Refuse a name whose item would take the place of one of the model's own files."""
    if f"{name}.json" in FILES.values():
        raise InputError(
            f"model name {name!r} is that of a file of each model, {name}.json",
            advice="give {name}",
        )
    return name


def _folder_name(model: Model) -> str:
    """Return the name of a model's folder."""
    if model.path is None:
        raise InputError("the model is in memory only and has no name", advice="give {name}")
    return model.path.resolve().name


def _read_catalog(folder: Path, shown: str) -> dict[str, Any]:
    """Return a catalog's document, or that of a new one."""
    if is_remote(shown):
        raise InputError(
            f"{shown} is an address",
            expected="a folder",
            advice="push into a folder, and copy it to the server",
        )
    if (folder / CATALOG_FILE).is_file():
        tree = read_document(str(folder / CATALOG_FILE))
        names_in(tree, str(folder / CATALOG_FILE))
        return tree
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise InputError(f"{folder} exists and is no catalog", advice="give another folder")
    return dict(_EMPTY)


def _write(model: Model, said: Published, part: Path) -> None:
    """Write a model's files, its card and its item."""
    save_model(model, part)  # not a copy of its folder, which may hold another by now
    model = load_model(part)
    found = {key: file_of(part / f) for key, f in FILES.items() if (part / f).is_file()}
    item = catalog_item(model, said, found)
    (part / CARD_FILE).write_text(card_of(item), encoding="utf-8")
    with_file(item, "card", file_of(part / CARD_FILE))
    where = part / f"{said.name}.json"
    where.write_text(json.dumps(item, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    read_entry(item, str(where))


def _write_catalog(folder: Path, tree: dict[str, Any]) -> None:
    """Write the document of a catalog: whatever models lie in it now."""
    names = sorted(p.parent.name for p in folder.glob("[!.]*/*.json") if p.stem == p.parent.name)
    links = [
        {"rel": "item", "href": f"./{name}/{name}.json", "type": "application/geo+json"}
        for name in names
    ]
    others = [e for e in tree.get("links", []) if e.get("rel") not in ("item", "root")]
    text = json.dumps({**tree, "links": [_ROOT, *others, *links]}, indent=1, ensure_ascii=False)
    replace_text(folder / CATALOG_FILE, text + "\n")
