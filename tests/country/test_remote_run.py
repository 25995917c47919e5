"""Country runs whose pixels lie on a server that asks for signatures, and fails."""

import logging
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from osm4eo_xr.catalogs.items import read_items
from osm4eo_xr.catalogs.stac import stack_items
from osm4eo_xr.country.run import run_country
from osm4eo_xr.errors import InputError
from osm4eo_xr.grid import target_geobox
from osm4eo_xr.rasters.remote import attempts
from osm4eo_xr.rasters.remote.access import OPTIONS
from tests.cases.asset_server import Store, as_cogs, at_address, serving_files
from tests.cases.search_case import PLACE, searching_country
from tests.cases.stac_server import Api, serving

KEYS = ("blue", "green", "red", "nir", "scl")
DAYS = ("20230813", "20230815", "20230820")


@pytest.fixture(scope="module")
def items(data_dir: Path) -> list[dict[str, Any]]:
    found = read_items(data_dir / "stac_33TW" / "catalog.json")
    return [i for i in found if "33TWM" in i["id"] and i["id"].split("_")[2] in DAYS]


@pytest.fixture(scope="module")
def folder(items: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("server")
    as_cogs(items, KEYS, folder)
    return folder


@pytest.fixture
def store(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """A server that asks for signatures, which we know where to get."""
    monkeypatch.setattr(attempts, "pause", 0.0)
    monkeypatch.setitem(OPTIONS, "GDAL_HTTP_MAX_RETRY", "0")
    with serving_files(Store(folder, "sas")) as server:
        monkeypatch.setenv("OSM4EO_XR_SAS_ENDPOINT", f"{server.url}/token")
        monkeypatch.setenv("OSM4EO_XR_SAS_HOSTS", server.host)
        yield server


@pytest.fixture(scope="module")
def undisturbed(
    items: list[dict[str, Any]], folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, bytes]:
    """What a run makes of the same files in a folder."""
    with serving(Api(at_address(items, KEYS, folder))) as api:
        return maps(run_country(searching_country(tmp_path_factory.mktemp("near"), api.url)))


def maps(out: Path) -> dict[str, bytes]:
    return {str(p.relative_to(out)): p.read_bytes() for p in sorted(out.rglob("*.tif"))}


def test_tokens_that_expire_in_the_middle_change_no_byte_and_are_written_nowhere(
    store: Store,
    items: list[dict[str, Any]],
    undisturbed: dict[str, bytes],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    store.uses, store.fail_every = 24, 11
    with serving(Api(at_address(items, KEYS, store.url))) as api:
        path = searching_country(tmp_path, api.url)
        out = run_country(path)
    assert maps(out) == undisturbed
    assert len(store.tokens) > 2
    written = [p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()]
    box = target_geobox(PLACE.bounds, bounds_crs="EPSG:4326")
    graph = stack_items(at_address(items, KEYS, store.url), box).data.__dask_graph__()
    told = [*written, caplog.text.encode(), pickle.dumps(dict(graph))]
    assert any(store.host.encode() in text for text in told)
    assert not [t for t in store.tokens if any(t.encode() in text for text in told)]


def test_a_server_that_is_down_is_one_line_and_the_run_is_finished_later(
    store: Store, items: list[dict[str, Any]], undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    with serving(Api(at_address(items, KEYS, store.url))) as api:
        path = searching_country(tmp_path, api.url)
        store.fail_every = 1
        with pytest.raises(InputError, match=r"1 of 1 tiles cannot be read: .*run again") as told:
            run_country(path)
        assert len(str(told.value).splitlines()) == 1
        store.fail_every = 0
        assert maps(run_country(path)) == undisturbed
