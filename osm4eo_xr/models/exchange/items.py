"""The STAC item of a model in a catalog: the one record of what is said of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from osm4eo_xr.files import sha256_of
from osm4eo_xr.models.exchange.entries import FILES, MULTIHASH, ModelFile
from osm4eo_xr.models.exchange.training_area import bounds_and_km2
from osm4eo_xr.models.stac_mlm import stac_item
from osm4eo_xr.names import OWN_WORDS

if TYPE_CHECKING:
    from osm4eo_xr.models.exchange.entries import ModelAccuracy
    from osm4eo_xr.models.model import Model

FILE_EXTENSION = "https://stac-extensions.github.io/file/v2.1.0/schema.json"

_TYPES = {
    "applicability": ("Training points that tell where the model applies", "safetensors"),
    "applicability_facts": ("How those were fitted, and what was measured", "json"),
    "card": ("Model card", "markdown"),
}
_MEDIA = {
    "safetensors": "application/octet-stream; application=safetensors",
    "json": "application/json",
    "markdown": "text/markdown",
}


@dataclasses.dataclass(frozen=True)
class Published:
    """What whoever publishes a model says of it.

    Attributes
    ----------
    name, license, description : str
        Its name in the catalog, an SPDX expression, words for people.
    area : mapping or None
        Where it was trained, as GeoJSON in degrees.
    accuracy : ModelAccuracy or None
        How right its maps are.
    """

    name: str
    license: str
    description: str
    area: Mapping[str, Any] | None
    accuracy: ModelAccuracy | None


def catalog_item(model: Model, said: Published, files: Mapping[str, ModelFile]) -> dict[str, Any]:
    """Return the item of a model whose files lie beside it.

    Parameters
    ----------
    model : Model
        Of a folder.
    said : Published
        What is said of it.
    files : mapping
        By asset, its files; the card, which is made from the item, is added by ``with_file``.
    """
    item = stac_item(model)
    item["id"] = said.name
    item["stac_extensions"] = [*item["stac_extensions"], FILE_EXTENSION]
    properties = item["properties"]
    properties |= {"license": said.license, f"{OWN_WORDS}digest": model.digest}
    properties[f"{OWN_WORDS}units"] = model.units
    if said.description:
        properties["description"] = said.description
    if said.area is not None:
        item["geometry"] = said.area
        item["bbox"], properties[f"{OWN_WORDS}area_km2"] = bounds_and_km2(said.area)
    if said.accuracy is not None:
        properties[f"{OWN_WORDS}accuracy"] = dataclasses.asdict(said.accuracy)
    if model.applicability is not None:
        properties[f"{OWN_WORDS}applicability"] = str(model.applicability)
    item["links"] = [
        {"rel": rel, "href": "../catalog.json", "type": "application/json"}
        for rel in ("root", "parent")
    ]
    for key, file in files.items():
        with_file(item, key, file)
    return item


def with_file(item: dict[str, Any], key: str, file: ModelFile) -> None:
    """Let an item's asset say which bytes it is."""
    if key not in item["assets"]:
        title, kind = _TYPES[key]
        item["assets"][key] = {
            "href": f"./{FILES[key]}",
            "title": title,
            "type": _MEDIA[kind],
            "roles": ["metadata"],
        }
    item["assets"][key] |= {"file:size": file.size, "file:checksum": MULTIHASH + file.sha256}


def file_of(path: Path) -> ModelFile:
    """Return what tells a file from others of its name."""
    return ModelFile(path.name, path.stat().st_size, sha256_of(path))
