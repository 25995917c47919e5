"""Rasters at addresses: signed where they are read, tried again, and never a secret told."""

import logging
import os
import pickle
import threading
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dask.config
import numpy as np
import pytest
import rasterio
from odc.geo.geobox import GeoBox
from rasterio.errors import RasterioIOError
from rasterio.transform import from_origin

from osm4eo_xr.catalogs.stac import stack_items
from osm4eo_xr.errors import InputError
from osm4eo_xr.rasters import windows
from osm4eo_xr.rasters.files import list_files
from osm4eo_xr.rasters.open import open_raster
from osm4eo_xr.rasters.remote import access, attempts, grants, providers
from osm4eo_xr.rasters.remote.addresses import gdal_name, is_remote, plain_address
from osm4eo_xr.rasters.remote.failures import RemoteError
from osm4eo_xr.rasters.remote.objects import read_object
from osm4eo_xr.rasters.remote.waiting import at_once
from tests.cases.asset_server import PASSWORD, Store, serving_files

SHAPE = (512, 512)


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No grant, no waiting, no handle, no credentials of whoever runs the tests."""
    access._grants.clear()
    getattr(windows._local, "handles", {}).clear()
    monkeypatch.setattr(attempts, "pause", 0.0)
    monkeypatch.setattr(grants, "pause", 0.0)
    monkeypatch.setitem(access.OPTIONS, "GDAL_HTTP_MAX_RETRY", "0")
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in [n for n in os.environ if n == "NETRC" or n.startswith("AWS_")]:
        monkeypatch.delenv(name)


@pytest.fixture(scope="module")
def numbers() -> np.ndarray:
    return np.random.default_rng(0).integers(1, 3000, SHAPE).astype(np.uint16)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, numbers: np.ndarray) -> Path:
    folder = tmp_path_factory.mktemp("server")
    place = from_origin(4e6, 3e6, 10, 10)
    size = {"count": 1, "height": 512, "width": 512, "dtype": "uint16", "crs": "EPSG:3035"}
    (folder / "blobs").mkdir()
    with rasterio.open(
        folder / "blobs" / "a.tif", "w", driver="COG", blocksize=128, transform=place, **size
    ) as file:
        file.write(numbers, 1)
    return folder


@pytest.fixture
def store(folder: Path) -> Iterator[Store]:
    with serving_files(Store(folder)) as server:
        yield server


def sign(store: Store, kind: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Let a server ask for signatures, tokens or keys, and let us have them; return the address."""
    store.access = "sas" if kind == "sas" else "s3" if kind == "s3" else "bearer"
    where = f"{store.url}/blobs/a.tif"
    if kind == "sas":
        monkeypatch.setenv("OSM4EO_XR_SAS_ENDPOINT", f"{store.url}/token")
        monkeypatch.setenv("OSM4EO_XR_SAS_HOSTS", store.host)
    elif kind == "bearer":
        name = f"OSM4EO_XR_BEARER_{store.host.replace('.', '_').replace(':', '_')}"
        monkeypatch.setenv(name, store.new_token())
    elif kind == "netrc":
        text = f"machine 127.0.0.1 login bearer password {store.new_token()}\n"
        Path("~/.netrc").expanduser().write_text(text)
    elif kind == "cdse":
        monkeypatch.setenv("OSM4EO_XR_CDSE_IDENTITY", f"{store.url}/token")
        monkeypatch.setattr(providers, "_CDSE_HOSTS", (store.host,))
        monkeypatch.setenv("CDSE_USERNAME", "me")
        monkeypatch.setenv("CDSE_PASSWORD", PASSWORD)
    elif kind == "s3":
        monkeypatch.setattr(providers, "_PAYING", ("blobs",))
        for name, value in {
            "AWS_S3_ENDPOINT": store.host,
            "AWS_HTTPS": "NO",
            "AWS_VIRTUAL_HOSTING": "FALSE",
            "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
            "AWS_SECRET_ACCESS_KEY": "sEcReT-key",
            "AWS_REQUEST_PAYER": "requester",
        }.items():
            monkeypatch.setenv(name, value)
        where = "s3://blobs/a.tif"
    return where


def read(where: str, chunks: int = 128) -> np.ndarray:
    return open_raster(where, chunks=chunks).to_numpy()


@pytest.mark.parametrize("kind", ["open", "sas", "bearer", "netrc", "cdse", "s3"])
def test_every_kind_of_access_gives_the_pixels(
    kind: str, store: Store, numbers: np.ndarray, monkeypatch
) -> None:
    where = f"{store.url}/blobs/a.tif" if kind == "open" else sign(store, kind, monkeypatch)
    np.testing.assert_array_equal(read(where), numbers)
    assert store.reads


@pytest.mark.parametrize("kind", ["sas", "cdse"])
@pytest.mark.parametrize("expired", [403, 404])
def test_tokens_that_expire_are_renewed(
    kind: str, expired: int, store: Store, numbers: np.ndarray, monkeypatch
) -> None:
    store.uses, store.expired = 6, expired
    np.testing.assert_array_equal(read(sign(store, kind, monkeypatch)), numbers)
    assert len(store.tokens) > 2


def test_a_token_is_given_up_before_its_end_and_asked_for_once(
    store: Store, numbers: np.ndarray, monkeypatch
) -> None:
    where = sign(store, "sas", monkeypatch)
    with ThreadPoolExecutor(8) as pool:
        names = set(pool.map(lambda _: access.access_to(where).name, range(32)))
    assert len(names) == len(store.tokens) == 1
    store.lifetime = 600
    access._grants.clear()
    before = access.access_to(where)
    assert access.access_to(where).grant is before.grant
    now = time.time()
    monkeypatch.setattr(access.time, "time", lambda: now + 595)  # good for five seconds more
    assert access.access_to(where).grant is not before.grant
    np.testing.assert_array_equal(read(where), numbers)


@pytest.mark.parametrize("failures", [[429], [500, 503], ["truncated"], ["html"], [503] * 4])
def test_a_server_that_fails_for_a_while_gives_the_same_pixels(
    failures: list, store: Store, numbers: np.ndarray
) -> None:
    opened = open_raster(f"{store.url}/blobs/a.tif", chunks=512)
    store.failures = deque(failures)
    np.testing.assert_array_equal(opened.to_numpy(), numbers)
    assert not store.failures


@pytest.mark.parametrize(
    ("when", "failure"),
    [("open", 503), ("open", "html"), ("read", 503), ("read", "html"), ("read", "truncated")],
)
def test_a_server_that_goes_on_failing_is_one_line(
    when: str, failure: int | str, store: Store, monkeypatch
) -> None:
    where = sign(store, "sas", monkeypatch)
    opened = open_raster(where) if when == "read" else None
    store.failures = deque([failure] * 500)
    with pytest.raises(
        RemoteError, match=f"{where}: 5 attempts failed .*; run again later"
    ) as told:
        opened.to_numpy() if opened is not None else open_raster(where)
    assert told.value.errno is None  # a run finishes its other tiles
    shown = f"{told.value!r} {told.value.__cause__!r} {told.value.__context__!r}"
    assert not [token for token in store.tokens if token in shown]
    assert len(str(told.value).splitlines()) == 1


def test_what_is_refused_or_missing_is_told_at_once(store: Store, monkeypatch) -> None:
    gone = f"{store.url}/blobs/b.tif"
    with pytest.raises(InputError, match="nothing is there .HTTP 404"):
        open_raster(gone)
    assert len(store.requests) == 1
    store.access = "bearer"
    with pytest.raises(RemoteError, match="access is refused .HTTP 401.; give credentials for"):
        open_raster(f"{store.url}/blobs/a.tif")
    where = sign(store, "sas", monkeypatch)
    opened, path = open_raster(where), store.folder / "blobs" / "a.tif"
    aside = path.rename(path.with_name("aside.tif"))
    try:
        with pytest.raises(RasterioIOError, match="nothing is there"):
            opened.to_numpy()
    finally:
        aside.rename(path)


def test_endpoints_fail_like_servers(store: Store, numbers: np.ndarray, monkeypatch) -> None:
    where = sign(store, "cdse", monkeypatch)
    monkeypatch.setenv("CDSE_PASSWORD", "wrong-sEcReT")
    with pytest.raises(RemoteError, match="gives no token: it answers 401") as told:
        read(where)
    assert "wrong-sEcReT" not in repr(told.value)
    monkeypatch.delenv("CDSE_PASSWORD")
    with pytest.raises(RemoteError, match="set CDSE_USERNAME and CDSE_PASSWORD"):
        read(where)
    monkeypatch.setenv("OSM4EO_XR_SAS_HOSTS", store.host)
    monkeypatch.setattr(providers, "_CDSE_HOSTS", ())
    monkeypatch.setenv("OSM4EO_XR_SAS_ENDPOINT", f"{store.url}/no")  # 404: not one of theirs
    store.access = "open"
    np.testing.assert_array_equal(read(where), numbers)
    monkeypatch.setenv("OSM4EO_XR_SAS_ENDPOINT", "http://127.0.0.1:9/token")
    access._grants.clear()
    with pytest.raises(RemoteError, match="http://127.0.0.1:9/token/.* gives no token"):
        read(where)


def test_who_pays_has_to_agree_and_tokens_are_not_sent_in_the_open(monkeypatch) -> None:
    with pytest.raises(RemoteError, match="usgs-landsat makes its readers pay; set AWS_REQUEST_P"):
        access.access_to("s3://usgs-landsat/a.tif")
    with pytest.raises(RemoteError, match="set CDSE_S3_ACCESS_KEY and CDSE_S3_SECRET_KEY"):
        access.access_to("s3://eodata/a.tif")
    monkeypatch.setenv("CDSE_S3_ACCESS_KEY", "a")
    monkeypatch.setenv("CDSE_S3_SECRET_KEY", "b")
    granted = access.access_to("/vsis3/eodata/a.tif").grant
    assert granted.options["AWS_S3_ENDPOINT"] == "eodata.dataspace.copernicus.eu"
    assert granted.keys == {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    assert access.access_to("s3://open/a.tif").grant.options == {"AWS_NO_SIGN_REQUEST": "YES"}
    monkeypatch.setenv("OSM4EO_XR_BEARER_EXAMPLE_ORG", "a-token")
    with pytest.raises(RemoteError, match="not sent unencrypted; use https"):
        access.access_to("http://example.org/a.tif")
    assert access.access_to("https://example.org/a.tif").grant.secrets == ("a-token",)
    assert not access.access_to("https://other.org/a.tif").grant.options


def test_paths_of_addresses_are_the_addresses(
    store: Store, numbers: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command line takes paths, which hold one slash of an address's two."""
    where = sign(store, "sas", monkeypatch)
    assert list_files(Path(where)) == list_files([Path(where)]) == [where]
    np.testing.assert_array_equal(open_raster(Path(where)), numbers)


def test_a_server_that_gives_no_parts_of_files_is_not_asked_again(
    store: Store, folder: Path
) -> None:
    (folder / "blobs" / "large.bin").write_bytes(bytes(2**20))  # GDAL takes small files whole
    store.parts = False
    words = "large.bin: the server gives no parts of files; download the file, or use a server"
    where = f"{store.url}/blobs/large.bin"
    with pytest.raises(RemoteError, match=words):
        open_raster(where)
    asked = store.reads
    with pytest.raises(RemoteError, match=words):
        read_object(where, 10, 5)
    assert (asked <= 3, store.reads - asked) == (True, 1)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("AWS_NO_SIGN_REQUEST", "NO"),
        ("AWS_PROFILE", "mine"),
        ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/x"),
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "https://x.org/credentials"),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", "token"),
    ],
)
def test_what_the_environment_says_of_amazons_keys_is_left_to_gdal(
    variable: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert providers.provider_of("s3://some/a.tif") is not None
    monkeypatch.setenv(variable, value)
    assert providers.provider_of("s3://some/a.tif") is None


@pytest.mark.parametrize("variable", ["", "AWS_CONFIG_FILE"])
@pytest.mark.parametrize(
    ("line", "signed"),
    [("aws_access_key_id = A", True), ("role_arn = x", True), ("region = eu-west-1", False)],
)
def test_a_configuration_file_counts_if_it_has_keys(
    variable: str, line: str, signed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / ("mine" if variable else ".aws/config")
    file.parent.mkdir(exist_ok=True)
    file.write_text(f"[default]\n{line}\n")
    if variable:
        monkeypatch.setenv(variable, str(file))
    assert (providers.provider_of("s3://some/a.tif") is None) == signed


def test_no_secret_is_pickled_logged_or_shown(
    store: Store, monkeypatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    where = sign(store, "sas", monkeypatch)
    store.uses = 6
    opened = open_raster(where, chunks=128)
    store.failures = deque([503, "truncated"])
    opened.to_numpy()
    granted = access.access_to(where)
    told = pickle.dumps(opened.data.__dask_graph__()) + caplog.text.encode()
    told += f"{granted!r} {granted.grant!r}".encode()
    assert len(store.tokens) > 1
    assert f"{store.url}/blobs/a.tif" in caplog.text  # the place is told, the signature is not
    assert not [token for token in store.tokens if token.encode() in told]
    for secret in (granted, granted.grant):
        with pytest.raises(TypeError, match="secrets"):
            pickle.dumps(secret)


def test_few_threads_read_from_a_host_at_a_time() -> None:
    now, most, lock = 0, 0, threading.Lock()
    met = threading.Barrier(attempts._PER_HOST)  # as many as may be are there at once

    def work(_access: access.Access) -> None:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        met.wait(60)
        with lock:
            now -= 1

    reads = range(8 * attempts._PER_HOST)
    with ThreadPoolExecutor(32) as pool:
        list(pool.map(lambda n: attempts.attempted(f"https://a.org/{n}", work), reads))
    assert most == attempts._PER_HOST


def test_bands_of_a_block_wait_together_and_headers_are_read_once(store: Store) -> None:
    bands = ("blue", "green", "red", "nir")
    for band in bands:
        link = store.folder / "blobs" / f"{band}.tif"
        if not link.exists():
            link.symlink_to("a.tif")
    grid = GeoBox.from_bbox((4e6, 3e6 - 5120, 4e6 + 5120, 3e6), "EPSG:3035", resolution=10)
    item = {
        "type": "Feature",
        "id": "a",
        "links": [],
        "bbox": list(grid.geographic_extent.boundingbox),
        "geometry": grid.geographic_extent.json,
        "properties": {"datetime": "2023-08-20T00:00:00Z", "proj:epsg": 3035},
        "assets": {b: {"href": f"{store.url}/blobs/{b}.tif", "roles": ["data"]} for b in bands},
    }
    cube = stack_items([item], grid, bands, chunks=128, scale=1.0, offset=0.0)
    store.meeting = threading.Barrier(len(bands))  # none is answered before all have asked
    with dask.config.set(scheduler="synchronous"):  # one thread of dask's
        first = cube[0, :, :128, :128].to_numpy()
    store.meeting = None
    with rasterio.open(store.folder / "blobs" / "a.tif") as file:
        np.testing.assert_array_equal(first, np.stack([file.read(1)[:128, :128]] * len(bands)))
    fresh_cube = pickle.loads(pickle.dumps(cube))  # noqa: S301 - our own
    store.requests.clear()
    with dask.config.set(scheduler="threads", num_workers=8):
        fresh_cube.compute()
    heads = [path for method, path, asked in store.requests if asked.startswith("bytes=0-")]
    assert len(heads) == len(set(heads))


def test_work_at_addresses_keeps_its_order_and_ends_before_it_fails() -> None:
    done = []
    ended = {number: threading.Event() for number in (5, 3, 2, 1)}
    earlier: dict[int, int] = {5: 3, 3: 2}  # works at once only: in turn, 5 waits for ever

    def work(number: int) -> int:
        if number in earlier:
            assert ended[earlier[number]].wait(60)
        if number == 1:
            ended[1].set()
            raise InputError("one")
        done.append(number)
        ended[number].set()
        return at_once(lambda n: n, {number: "https://a.org/x", -number: "https://a.org/y"})[0]

    far = {n: f"https://a.org/{n}" for n in (5, 3, 2)}
    assert at_once(work, far) == [5, 3, 2]
    assert done == [2, 3, 5]
    done.clear()
    earlier = dict.fromkeys((5, 3, 2), 1)  # they still run when one has failed
    with pytest.raises(InputError, match="one"):
        at_once(work, {**far, 1: "https://a.org/1"})
    assert sorted(done) == [2, 3, 5]
    done.clear()
    assert at_once(work, dict.fromkeys((5, 3), "/here.tif")) == [5, 3]
    assert done == [5, 3]


def test_names_of_addresses() -> None:
    assert is_remote("https://a.org/b.tif")
    assert is_remote("/vsis3/b/c.tif")
    assert not is_remote("/data/b.tif")
    assert plain_address("/vsicurl/https://a.org/b.tif") == "https://a.org/b.tif"
    assert gdal_name("https://a.org/b.tif?c=1", "sig=2", 3) == (
        "/vsicurl/https://a.org/b.tif?c=1&sig=2#3"
    )
    assert gdal_name("s3://b/c.tif", attempt=2) == "/vsis3/b/c.tif"
    assert gdal_name("https://a.org/Köln/a b%20c.tif?d=ü", "sig=%2F") == (
        "/vsicurl/https://a.org/K%C3%B6ln/a%20b%20c.tif?d=%C3%BC&sig=%2F"
    )
