"""Country runs whose pixels lie on a server that asks for signatures, and fails; fetched ahead."""

import json
import logging
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from odc.geo.geobox import GeoBox
from rasterio.io import MemoryFile
from rasterio.shutil import copy as copy_raster

from osm4eo_xr.catalogs.items import read_items
from osm4eo_xr.catalogs.stac import composite_items, stack_items
from osm4eo_xr.cli.app import main
from osm4eo_xr.country.run import run_country
from osm4eo_xr.country.scenes.composites import open_searched
from osm4eo_xr.country.scenes.fetching import fetch_country, plan_fetch
from osm4eo_xr.country.scenes.searches import search_scenes
from osm4eo_xr.country.settings_file import read_country
from osm4eo_xr.errors import InputError, InputWarning
from osm4eo_xr.geometry.grid import target_geobox
from osm4eo_xr.rasters.remote import attempts
from osm4eo_xr.rasters.remote.access import OPTIONS
from tests.cases.asset_server import Store, as_cogs, at_address, serving_files
from tests.cases.eopf_case import as_eopf, pack, store_of_item
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
    """The same pixels as COGs, as EOPF stores, and as zips of these."""
    folder = tmp_path_factory.mktemp("server")
    as_cogs(items, KEYS, folder)
    for item in items:
        files = {key: folder / "blobs" / item["id"] / f"{key}.tif" for key in KEYS}
        pack(store_of_item(item, files, folder / "blobs"))
    return folder


def at_stores(items: list[dict[str, Any]], root: str) -> list[dict[str, Any]]:
    """Return the items with their EOPF stores as assets, the second with the zip of its store."""
    found = []
    for number, item in enumerate(items):
        name = item["properties"]["s2:product_uri"].replace(".SAFE", ".zarr")
        found.append(as_eopf(item, f"{root}/blobs/{name}{'.zip' if number == 1 else ''}"))
    return found


def of_all_kinds(items: list[dict[str, Any]], root: str) -> list[dict[str, Any]]:
    """Return the items, the first of COGs, the second of a zipped store, the third of a store."""
    return [*at_address(items[:1], KEYS, root), *at_stores(items, root)[1:]]


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


def test_stores_on_a_server_that_fails_in_every_way_change_no_byte(
    store: Store, items: list[dict[str, Any]], undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    store.uses, store.fail_every = 30, 13
    store.failures = deque([429, "html", 500, "truncated"])
    found = Api(at_stores(items, store.url), page=2, failures=deque([500, "html"]))
    with serving(found) as api:
        out = run_country(searching_country(tmp_path, api.url))
    assert maps(out) == undisturbed
    assert not store.failures
    assert len(store.tokens) > 2
    written = [p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()]
    assert any(store.host.encode() in text for text in written)
    assert not [t for t in store.tokens if any(t.encode() in text for text in written)]


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


def test_from_search_to_report_on_a_cluster(
    store: Store, items: list[dict[str, Any]], undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    store.uses = 24  # of a token, in whichever worker; each asks for its own
    found = Api(of_all_kinds(items, store.url), page=2, failures=deque([503, "truncated"]))
    with serving(found) as api:
        path = searching_country(tmp_path, api.url)
        out = run_country(path, cluster="local")
    assert maps(out) == undisturbed
    assert len(store.tokens) > 2
    report = (out / "report.json").read_text() + (out / "report.html").read_text()
    assert "100kmE47N25" in report
    assert not [token for token in store.tokens if token in report]


@pytest.fixture
def far(store: Store, items: list[dict[str, Any]], tmp_path: Path) -> Path:
    """A country file whose items are frozen and whose pixels lie on the server."""
    with serving(Api(at_address(items, KEYS, store.url))) as api:
        path = searching_country(tmp_path, api.url)
        search_scenes(read_country(path), path)
    return path


def copies(country: Path) -> dict[str, bytes]:
    folder = country.with_suffix(".fetched")
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*.tif")}


def test_fetched_in_pieces_a_run_has_the_same_bytes_and_asks_nobody(
    store: Store, far: Path, undisturbed: dict[str, bytes]
) -> None:
    (planned,) = plan_fetch(far)
    assert (planned.items, planned.done) == (3, 0)
    # 2 x 2 km (EPSG:3035, so a little more) at 10 m: four bands of two bytes, one of one at 20 m.
    assert planned.gigabytes == pytest.approx(3 * 2.2e3 * 1.8e3 / 1e11 * 8.25, rel=0.4)
    assert not store.requests
    for whole in (0, 1, 1, 2, 3):  # the server stops in the middle, five times, each time later
        store.whole = tuple(sorted(KEYS))[:whole]
        with pytest.raises(
            InputError, match=r"3 of 3 items could not be fetched: .*all others are"
        ):
            fetch_country(far)
        assert len(copies(far)) == 3 * whole
    store.whole = KEYS
    seen: list[tuple[int, int]] = []
    (folder,) = fetch_country(far, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]  # three items, and looks counted
    assert plan_fetch(far)[0].gigabytes == 0
    by_pieces = copies(far)
    asked = len(store.requests)
    fetch_country(far)
    assert len(store.requests) == asked
    for record in folder.glob("*.json"):
        record.unlink()
    for copy in folder.rglob("*.tif"):
        copy.unlink()
    fetch_country(far)
    assert copies(far) == by_pieces
    asked = len(store.requests)
    assert maps(run_country(far)) == undisturbed
    assert len(store.requests) == asked


def test_few_clear_looks_are_counted_once_fetched(
    far: Path, items: list[dict[str, Any]], folder: Path, monkeypatch, capsys
) -> None:
    def shown(*options: str) -> str:
        monkeypatch.setattr("sys.argv", ["osm4eo-xr", "search", str(far), *options])
        with pytest.raises(SystemExit) as end:
            main()
        assert not end.value.code
        return capsys.readouterr().out

    (before,) = json.loads(shown("--json"))
    assert (before["clear_looks"], before["few_looks"]) == ([], None)
    fetch_country(far)
    (after,) = json.loads(shown("--json", "--looks", "3"))
    made = composite_items(at_address(items, KEYS, folder), box_of(far), ["blue"], method="median")
    counts = np.bincount(made["observations"].values.ravel(), minlength=4)
    assert after["clear_looks"] == counts.tolist()
    assert 0 < counts[2] < counts[3]
    assert after["few_looks"] == counts[:3].sum()
    few = f"{counts[:3].sum():,} ({counts[:3].sum() / counts.sum():.1%})"
    assert few in shown()


def box_of(country: Path) -> GeoBox:
    (tile,) = (run := open_searched(country)).tiles
    return run.boxes[tile.id]


def test_stores_fetched_in_pieces_give_the_same_bytes_and_ask_nobody(
    store: Store, items: list[dict[str, Any]], undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    with serving(Api(at_stores(items, store.url))) as api:
        path = searching_country(tmp_path, api.url)
        search_scenes(read_country(path), path)
    kept = 0
    for answers in (3, 5, 10, 15, 20):  # the server stops in the middle, five times
        store.answers = answers
        with pytest.raises(InputError, match="items could not be fetched: .*run the same command"):
            fetch_country(path)
        there = len([p for p in path.with_suffix(".fetched").rglob("*") if p.is_file()])
        assert there > kept
        kept = there
    store.answers = float("inf")
    (folder,) = fetch_country(path)
    asked = len(store.requests)
    fetch_country(path)
    assert plan_fetch(path)[0].done == 3
    assert maps(run_country(path)) == undisturbed
    assert len(store.requests) == asked
    changed = next(folder.rglob("r10m/b04/0.0"))
    changed.write_bytes(changed.read_bytes()[:-9])
    assert plan_fetch(path)[0].done == 2


def test_fetched_masks_lossy_files_and_what_is_left_out_are_those_of_the_originals(
    store: Store, items: list[dict[str, Any]], folder: Path, tmp_path: Path
) -> None:
    given = at_address(items, KEYS, store.url)
    for band in KEYS[:4]:
        lossy_copy(folder / "blobs" / items[0]["id"] / f"{band}.tif")
        given[0]["assets"][band]["href"] = f"{store.url}/blobs/{items[0]['id']}/{band}.jp2"
        masked_copy(folder / "blobs" / items[1]["id"] / f"{band}.tif")
        given[1]["assets"][band]["href"] = f"{store.url}/blobs/{items[1]['id']}/{band}.masked.tif"
    given[2]["assets"]["red"]["href"] = f"{store.url}/blobs/gone.tif"
    found = {}
    with serving(Api(given)) as api:
        for name in ("far", "fetched"):
            (tmp_path / name).mkdir()
            path = searching_country(tmp_path / name, api.url)
            how = 'limit = 3\nmask_clouds = "threshold"\nskip_unreadable = true'
            path.write_text(path.read_text().replace("limit = 3", how))
            if name == "fetched":
                with pytest.warns(InputWarning, match="1 of 3 items cannot be read and are left"):
                    fetch_country(path)
                assert plan_fetch(path)[0].done == 3
                store.access = "bearer"  # now nobody reads there
            with pytest.warns(InputWarning, match=r"1 of 3 items cannot .*: .*gone\.tif"):
                found[name] = maps(run_country(path))
    assert found["far"] == found["fetched"]
    assert json.loads(next(tmp_path.rglob("fetched/result/scenes/*.skipped.json")).read_text())


def lossy_copy(path: Path) -> None:
    with rasterio.open(path) as source:
        place = {"crs": source.crs, "transform": source.transform}
        size = {"count": 1, "height": source.height, "width": source.width, "dtype": "uint16"}
        how: dict[str, Any] = {"driver": "JP2OpenJPEG", "QUALITY": 60, "REVERSIBLE": "NO"}
        with rasterio.open(path.with_suffix(".jp2"), "w", **how, **place, **size) as file:
            file.write(source.read())


def masked_copy(path: Path) -> None:
    """Write a COG with a mask, which lies at its head: rasterio holds the GIL where it reads on."""
    with rasterio.open(path) as source, rasterio.Env(GDAL_TIFF_INTERNAL_MASK="YES"):
        profile = source.profile | {"nodata": None, "driver": "GTiff"}
        with MemoryFile() as memory:
            with memory.open(**profile) as file:
                file.write(source.read())
                mask = np.ones(source.shape, bool)
                mask[100:140, 100:140] = False
                file.write_mask(mask)
            with memory.open() as file:
                copy_raster(file, path.with_suffix(".masked.tif"), driver="COG", blocksize=128)


def test_a_changed_copy_is_not_used(far: Path, undisturbed: dict[str, bytes]) -> None:
    (folder,) = fetch_country(far)
    copy = next(folder.rglob("red.staged.tif"))
    with rasterio.open(copy, "r+") as file:
        file.write(file.read() + 1)
    with pytest.warns(InputWarning, match=r"red\.staged\.tif: not as fetched; the"):
        assert maps(run_country(far)) == undisturbed


class Held(list[tuple[str, str, str]]):
    """Requests of which those after a number wait for their answer until they may go on."""

    def __init__(self, answered: int) -> None:
        super().__init__()
        self.answered, self.go = answered, threading.Event()

    def append(self, request: tuple[str, str, str]) -> None:
        super().append(request)
        if len(self) > self.answered:
            self.go.wait(240)


@pytest.mark.skipif(
    subprocess.run(["unshare", "-rn", "true"], check=False, capture_output=True).returncode != 0,
    reason="no new network namespace may be made here (unshare -rn)",
)
def test_killed_for_good_and_resumed_a_run_needs_no_network(
    store: Store, items: list[dict[str, Any]], undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    with serving(Api(of_all_kinds(items, store.url))) as api:
        far = searching_country(tmp_path, api.url)
        search_scenes(read_country(far), far)
    command = [sys.executable, "-m", "osm4eo_xr"]
    held = Held(20)
    store.requests = held
    with subprocess.Popen([*command, "fetch", str(far)], stderr=subprocess.PIPE) as process:
        while len(store.requests) < 20 and process.poll() is None:
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
    held.go.set()
    assert process.returncode == -signal.SIGKILL
    assert plan_fetch(far)[0].done < 3
    whole = next(p for p in far.with_suffix(".fetched").rglob("*") if p.is_file())
    whole.with_name(f".{whole.name}.part-{socket.gethostname()}-1-a1b2~").mkdir()
    fetch_country(far)
    assert not [p for p in far.with_suffix(".fetched").rglob("*") if ".part-" in p.name]
    alone = ["unshare", "-rn", *command, "run", str(far)]
    ended = subprocess.run(alone, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert maps(far.parent / "result") == undisturbed
