"""Models put into a catalog and taken out of it, from a folder and from a web server."""

import dataclasses
import hashlib
import json
import pickle
import shutil
import zipfile
from collections import deque
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import geopandas as gpd
import numpy as np
import pystac
import pytest
import shapely

from osm4eo_xr.accuracy.accuracy_report import AccuracyReport
from osm4eo_xr.errors import InputError
from osm4eo_xr.legend import default_legend
from osm4eo_xr.models.exchange.listing import read_model_catalog
from osm4eo_xr.models.exchange.model_names import original_models
from osm4eo_xr.models.exchange.pull import pull_model
from osm4eo_xr.models.exchange.push import push_model
from osm4eo_xr.models.model_folder import CARD_FILE, JSON_FILE, WEIGHTS_FILE, load_model, save_model
from osm4eo_xr.rasters.remote import attempts
from osm4eo_xr.rasters.remote.failures import RemoteError
from tests.cases.asset_server import Store, serving_files
from tests.cases.commands import call
from tests.models.test_model import tiny_model

NAME = "landuse-DE"
RIGHT = (40, 45, 48, 30)  # of 50 in each block


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "pause", 0.0)


def report() -> AccuracyReport:
    counts = np.zeros((12, 12), np.int64)
    counts[0, 0], counts[0, 11], counts[11, 11] = 90, 10, 63
    blocks = np.zeros((4, 12, 12), np.int64)
    blocks[:, 0, 0], blocks[:, 0, 11] = RIGHT, 50 - np.array(RIGHT)
    return AccuracyReport(counts, default_legend(), 0, name="test", blocks=blocks)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A catalog of two models; the first says all that can be said, the second nothing."""
    folder = tmp_path_factory.mktemp("catalogs")
    save_model(tiny_model(), folder / "a")
    words = "Learned from OpenStreetMap"
    how: Any = {"license": "CC-BY-4.0", "accuracy": report(), "description": words}
    push_model(folder / "a", folder / "catalog", country="DE", **how)
    push_model(tiny_model(seed=1), folder / "catalog", name="plain", license="MIT")
    return folder / "catalog"


@pytest.fixture
def catalog(published: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(published, tmp_path / "catalog"))


@pytest.fixture
def server(catalog: Path) -> Iterator[Store]:
    with serving_files(Store(catalog)) as store:
        yield store


def change(catalog: Path, change: Any, name: str = f"{NAME}/{NAME}.json") -> None:
    tree = json.loads((catalog / name).read_text())
    change(tree)
    (catalog / name).write_text(json.dumps(tree))


def restate(catalog: Path, file: str, content: bytes, key: str) -> None:
    """Put something else in a file's place, with the hash and size that it has."""
    (catalog / NAME / file).write_bytes(content)
    sha256 = hashlib.sha256(content).hexdigest()

    def stated(item: dict) -> None:
        item["assets"][key] |= {"file:size": len(content), "file:checksum": f"1220{sha256}"}

    change(catalog, stated)


def test_a_catalog_says_of_its_models_what_was_published(published: Path) -> None:
    full, plain = read_model_catalog(published)
    assert (full.name, full.license, full.title) == (NAME, "CC-BY-4.0", "osm4eo_xr")
    assert (full.bands, full.units, len(full.classes)) == (("red", "nir"), "reflectance", 12)
    assert full.digest == tiny_model().digest
    assert full.area_km2 == pytest.approx(357_600, rel=0.01)
    assert full.accuracy is not None
    interval = report().overall_interval
    assert interval is not None
    assert full.accuracy.value == pytest.approx(153 / 163)
    assert (full.accuracy.low, full.accuracy.high) == (interval.low, interval.high)
    assert full.accuracy.classes["water"]["users_accuracy"] == pytest.approx(63 / 73, abs=1e-6)
    assert full.size == sum(
        (published / NAME / name).stat().st_size for name in (WEIGHTS_FILE, JSON_FILE, CARD_FILE)
    )
    assert (plain.accuracy, plain.geometry, plain.area_km2) == (None, None, None)


def test_the_catalog_is_one_that_others_read(published: Path) -> None:
    from stac_model.schema import MLModelProperties

    catalog = pystac.Catalog.from_file(str(published / "catalog.json"))
    items = {item.id: item for item in catalog.get_items()}
    assert sorted(items) == [NAME, "plain"]
    item = items[NAME]
    assert item.get_root() is catalog
    assert any("mlm/v1.5.2" in uri for uri in item.stac_extensions)
    assert item.geometry is not None
    assert shapely.geometry.shape(item.geometry).contains(shapely.Point(10, 51))
    described = MLModelProperties.model_validate(item.properties)
    assert described.input[0].bands == ["red", "nir"]
    for asset in item.assets.values():
        assert Path(asset.get_absolute_href() or "").is_file()
        assert asset.extra_fields["file:checksum"].startswith("1220")


def test_the_card_says_what_the_item_says(published: Path) -> None:
    card = (published / NAME / CARD_FILE).read_text()
    entry = read_model_catalog(published)[0]
    assert entry.accuracy is not None
    for text in (
        "CC-BY-4.0",
        "Learned from OpenStreetMap",
        "red, nir",
        entry.digest,
        f"{entry.area_km2:,.0f} km²",
        "95 % block bootstrap, 4 blocks",
        "| 12 | water: Water bodies | 100.0 % | 86.3 % |",
        next(f.sha256 for f in entry.files if f.name == WEIGHTS_FILE),
    ):
        assert text in card
    plain = (published / "plain" / CARD_FILE).read_text()
    assert "Overall accuracy: not stated by whoever publishes it" in plain
    assert "| trained in | not stated" in plain


@pytest.mark.parametrize("source", [NAME, "Deutschland", "DE"])
def test_a_model_is_pulled_from_a_server_by_its_name_or_country(
    source: str, server: Store, tmp_path: Path
) -> None:
    out = pull_model(source, tmp_path / "m", catalog=server.url)
    assert load_model(out).digest == tiny_model().digest
    names = [CARD_FILE, JSON_FILE, WEIGHTS_FILE]
    assert sorted(path.name for path in out.iterdir()) == names
    assert sorted(p.name for p in tmp_path.iterdir()) == ["catalog", "m"]
    save_model(load_model(out), out)  # a card does not make it something else than a model


def test_a_plain_server_without_parts_of_files_will_do(catalog: Path, tmp_path: Path) -> None:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None: ...  # noqa: A002

    handler = partial(Quiet, directory=str(catalog))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as plain:
        Thread(target=plain.serve_forever, args=(0.02,), daemon=True).start()
        url = f"http://127.0.0.1:{plain.server_address[1]}/plain/plain.json"
        assert load_model(pull_model(url, tmp_path / "m")).digest == tiny_model(seed=1).digest
        plain.shutdown()


def test_a_download_that_is_cut_off_goes_on_where_it_was(server: Store, tmp_path: Path) -> None:
    server.failures = deque(["ok", "ok", "truncated", 503, "truncated"])
    out = pull_model(NAME, tmp_path / "m", catalog=server.url)
    assert load_model(out).digest == tiny_model().digest
    starts = [asked for _, path, asked in server.requests if path.endswith(WEIGHTS_FILE)]
    size = (out / WEIGHTS_FILE).stat().st_size
    assert starts == ["", *[f"bytes={size // 2}-"] * 2, f"bytes={size // 2 + -(-size // 2) // 2}-"]


def test_a_download_that_is_always_cut_off_leaves_nothing(server: Store, tmp_path: Path) -> None:
    server.failures = deque(["ok", "ok", *["truncated"] * 5])
    with pytest.raises(
        RemoteError, match=r"weights\.safetensors: 5 attempts failed \(cut off after"
    ):
        pull_model(NAME, tmp_path / "m", catalog=server.url)
    assert [p.name for p in tmp_path.iterdir()] == ["catalog"]


def test_another_file_than_the_item_describes_is_refused(server: Store, tmp_path: Path) -> None:
    file = server.folder / NAME / WEIGHTS_FILE
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(
        InputError, match=r"weights.safetensors has SHA-256 .*; expected .* its item"
    ):
        pull_model(NAME, tmp_path / "m", catalog=server.url)
    file.write_bytes(content[:-1])
    with pytest.raises(InputError, match=r"has [\d,]+ bytes; expected"):
        pull_model(NAME, tmp_path / "m", catalog=server.url)
    file.write_bytes(bytes(content) * 2)
    with pytest.raises(InputError, match="has more bytes than it may; expected at most"):
        pull_model(NAME, tmp_path / "m", catalog=server.url)
    file.unlink()
    with pytest.raises(InputError, match=r"nothing is there \(HTTP 404\)"):
        pull_model(NAME, tmp_path / "m", catalog=server.url)
    assert [p.name for p in tmp_path.iterdir()] == ["catalog"]


class Opened:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


def test_archives_and_pickles_in_the_place_of_weights_are_refused(
    catalog: Path, tmp_path: Path
) -> None:
    trap, bomb = tmp_path / "opened", tmp_path / "archive"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("../../evil", bytes(2**20))
    header = (2**62).to_bytes(8, "little") + b"{}"
    for content in (pickle.dumps(Opened(trap)), bomb.read_bytes(), header, b""):
        record = json.loads((catalog / NAME / JSON_FILE).read_text())
        record["sha256"] = hashlib.sha256(content).hexdigest()
        restate(catalog, JSON_FILE, json.dumps(record).encode(), "record")
        restate(catalog, WEIGHTS_FILE, content, "weights")
        with pytest.raises(InputError, match=r"weights\.safetensors is not a safetensors file"):
            pull_model(NAME, tmp_path / "m", catalog=catalog)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["archive", "catalog"]


def test_who_pulls_is_not_told_to_save_the_model_again(catalog: Path, tmp_path: Path) -> None:
    """Only who publishes it can."""
    restate(catalog, WEIGHTS_FILE, b"others", "weights")
    with pytest.raises(InputError, match="do not use it, and tell whoever publishes it") as told:
        pull_model(NAME, tmp_path / "m", catalog=catalog)
    assert "save the model" not in str(told.value)


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (b"[" * 200_000, "is not JSON"),
        (b'{"format": 1' + b"0" * 5000 + b"}", "is not JSON"),
        ({"depth": 9 * 10**8 + 2}, "depth is 900000002; expected at most 1,001"),
        ({"kernel": 2**31 + 1}, "kernel 2147483649 is not odd, up to"),
        ({"width": 2**40}, "width is"),
    ],
)
def test_hostile_records_are_refused(
    record: Any, message: str, catalog: Path, tmp_path: Path
) -> None:
    if isinstance(record, dict):
        tree = json.loads((catalog / NAME / JSON_FILE).read_text())
        tree["mlm:hyperparameters"] |= record
        record = json.dumps(tree).encode()
    restate(catalog, JSON_FILE, record, "record")
    with pytest.raises(InputError, match=message):
        pull_model(NAME, tmp_path / "m", catalog=catalog)
    assert [p.name for p in tmp_path.iterdir()] == ["catalog"]


def weights_at(href: str) -> Any:
    return lambda item: item["assets"]["weights"].update(href=href)


ITEMS = [
    (lambda item: item.update(id="../evil"), r"model name '../evil' is a path"),
    (lambda item: item.update(id="other"), "is of model 'other'; expected landuse-DE"),
    (weights_at("../../evil"), r"asset weights has href '../../evil'; expected ./weights"),
    (weights_at("http://10.0.0.1/weights.safetensors"), "asset weights has href 'http"),
    (weights_at("file:///etc/passwd"), "asset weights has href 'file"),
    (lambda item: item["assets"].pop("record"), "asset record is missing"),
    (lambda item: item["assets"]["record"].update({"file:size": 1.5}), "has file:size 1.5"),
    (lambda item: item["assets"]["record"].pop("file:checksum"), "has file:checksum None"),
    (lambda item: item["properties"].update(license="\x1b[2J"), "license"),
    (lambda item: item["properties"].update({"mlm:input": []}), "does not name the bands"),
    (lambda item: item["properties"]["osm4eo_xr:accuracy"].update(value=7), "shares of 0 to 1"),
    (lambda item: item.update(type="Catalog"), "is no STAC item"),
]


@pytest.mark.parametrize(("damage", "message"), ITEMS)
def test_items_that_lead_out_of_their_folder_or_say_nonsense_are_refused(
    damage: Any, message: str, catalog: Path, tmp_path: Path
) -> None:
    change(catalog, damage)
    with pytest.raises(InputError, match=message) as caught:
        pull_model(NAME, tmp_path / "m", catalog=catalog)
    assert f"{NAME}.json" in str(caught.value)
    assert [p.name for p in tmp_path.iterdir()] == ["catalog"]


@pytest.mark.parametrize(
    "href", ["../x/x.json", "./a/b.json", "http://b/c.json", "./.a/.a.json", 3]
)
def test_catalogs_whose_links_lead_elsewhere_are_refused(href: Any, catalog: Path) -> None:
    link = {"rel": "item", "href": href}
    change(catalog, lambda tree: tree["links"].append(link), "catalog.json")
    with pytest.raises(InputError, match=r"catalog\.json: "):
        read_model_catalog(catalog)


def test_what_a_model_may_hold_is_bounded_before_it_is_fetched(
    server: Store, tmp_path: Path
) -> None:
    huge = {"file:size": 10**15}
    change(server.folder, lambda item: item["assets"]["weights"].update(huge))
    with pytest.raises(InputError, match=r"holds 1e\+06 GB; expected at most 2; pass max_gig"):
        pull_model(NAME, tmp_path / "m", catalog=server.url)
    assert not any(path.endswith(WEIGHTS_FILE) for _, path, _ in server.requests)
    (server.folder / "catalog.json").write_bytes(b" " * 2**23 + b"{}")
    with pytest.raises(InputError, match="more bytes than it may"):
        read_model_catalog(server.url)


def test_a_digest_of_the_callers_own_settles_which_model_it_is(
    catalog: Path, tmp_path: Path
) -> None:
    digest = tiny_model().digest
    pull_model(NAME, tmp_path / "m", catalog=catalog, digest=digest[:16])
    with pytest.raises(InputError, match="' has 8 digits; expected 12 or more"):
        pull_model(NAME, tmp_path / "n", catalog=catalog, digest=digest[:8])
    with pytest.raises(InputError, match="is of digest"):
        pull_model(NAME, tmp_path / "n", catalog=catalog, digest="0" * 64)
    other = digest[:12] + ("0" if digest[12] != "0" else "1")
    with pytest.raises(InputError, match=f"digest {digest[:13]}…; expected {other}…"):
        pull_model(NAME, tmp_path / "n", catalog=catalog, digest=other)


def test_a_model_that_was_changed_since_it_was_read_is_published_as_it_is(tmp_path: Path) -> None:
    read = load_model(save_model(tiny_model(), tmp_path / "m"))
    scale = dataclasses.replace(read.normalization, scale=(0.3,) * len(read.bands))
    changed = dataclasses.replace(read, name="Estonia 2025", normalization=scale)
    push_model(changed, tmp_path / "catalog", name="ee", license="MIT")
    pulled = load_model(pull_model("ee", tmp_path / "ee", catalog=tmp_path / "catalog"))
    assert (pulled.digest, pulled.name) == (changed.digest, "Estonia 2025")
    assert pulled.digest != read.digest


def test_nothing_is_replaced_without_a_word(catalog: Path, tmp_path: Path) -> None:
    out = save_model(tiny_model(seed=2), tmp_path / "m")
    with pytest.raises(InputError, match="exists already; give another name or overwrite=True"):
        pull_model(NAME, out, catalog=catalog)
    assert load_model(out).digest == tiny_model(seed=2).digest
    pull_model(NAME, out, catalog=catalog, overwrite=True)
    assert load_model(out).digest == tiny_model().digest
    (out / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="exists and is not a model folder"):
        pull_model(NAME, out, catalog=catalog, overwrite=True)
    with pytest.raises(InputError, match="exists already"):
        push_model(tiny_model(), catalog, name="plain", license="MIT")
    push_model(tiny_model(), catalog, name="plain", license="MIT", overwrite=True)
    assert [e.digest for e in read_model_catalog(catalog)] == [tiny_model().digest] * 2


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"name": "../a"}, "model name '../a' is a path"),
        ({"name": "a b"}, "expected letters, digits"),
        ({}, "in memory only and has no name"),
        ({"name": "model"}, "is that of a file of each model, model.json"),
        ({"name": "applicability"}, "is that of a file of each model, applicability.json"),
        ({"name": "a", "license": "whatever you like!"}, "expected an SPDX expression"),
        ({"name": "a", "accuracy": {"total": 3}}, "accuracy holds 0 reports"),
        ({"name": "a", "accuracy": {"overall_accuracy": 0.5}}, "is no whole report"),
        ({"name": "a", "country": "Atlantis"}, "no country 'Atlantis'"),
    ],
)
def test_what_cannot_be_published_is_refused(given: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        push_model(tiny_model(), tmp_path / "catalog", **{"license": "MIT", **given})
    assert not (tmp_path / "catalog").exists()
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="exists and is no catalog"):
        push_model(tiny_model(), tmp_path, name="a", license="MIT")


@pytest.mark.parametrize("kind", [str, Path])
@pytest.mark.parametrize("address", ["https://x.org/models", "http://x.org/m", "s3://bucket/m"])
def test_models_are_not_put_at_addresses(
    address: str, kind: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A ``Path``, which the command takes, holds one slash of an address's two."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=f"^{address} is an address; expected a folder"):
        push_model(tiny_model(), kind(address), name="a", license="MIT")
    assert not list(tmp_path.iterdir())


def test_the_training_area_is_the_records_or_as_given(tmp_path: Path) -> None:
    ring = [[10, 50], [11, 50], [11, 51], [10, 51], [10, 50]]
    area = {"type": "Polygon", "coordinates": [ring]}
    model = tiny_model(training={"samples": {"area": area}})
    push_model(model, tmp_path / "c", name="recorded", license="MIT")
    box = gpd.GeoDataFrame(geometry=[shapely.box(4e6, 3e6, 4.01e6, 3.02e6)], crs="EPSG:3035")
    push_model(model, tmp_path / "c", name="given", license="MIT", area=box)
    given, recorded = read_model_catalog(tmp_path / "c")
    assert recorded.geometry == area
    assert recorded.area_km2 == pytest.approx(7_880, rel=0.01)
    assert given.area_km2 == pytest.approx(200, rel=0.01)


def test_the_originals_codes_have_models_of_their_countries() -> None:
    names = original_models()
    assert len(names) == len(set(names.values())) == 28
    assert (names["LI"], names["ETO"], names["AU"]) == ("landuse-LT", "landuse-EE", "landuse-AT")


def test_commands_publish_list_and_fetch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    save_model(tiny_model(), tmp_path / "mine")
    report().save(tmp_path / "test.json")
    given = ("--license", "MIT", "--country", "ETO", "--accuracy", "test.json")
    call("models", "push", "mine", "--catalog", "catalog", *given)
    listed = call("models", "catalog", "catalog")
    assert "landuse-EE" in listed
    assert report().overall_interval is not None
    assert "93.9 %" in listed
    both = {"test": {"network": report().to_dict(), "forest": report().to_dict()}}
    (tmp_path / "both.json").write_text(json.dumps(both))
    several = ("models", "push", "mine", "--catalog", "catalog", *given[:4], "--overwrite")
    for part, message in (("", "holds 0 reports"), ("#test", "2 reports"), ("#x", "no table 'x'")):
        with pytest.raises(InputError, match=message):
            call(*several, "--accuracy", f"both.json{part}")
    call(*several, "--accuracy", "both.json#test.network")
    [entry] = json.loads(call("models", "catalog", "catalog", "--json"))
    assert entry["digest"] == tiny_model().digest
    countries = json.loads(call("models", "catalog", "catalog", "--countries", "--json"))
    assert [code for code, row in countries.items() if row["there"]] == ["ETO"]
    monkeypatch.setenv("OSM4EO_XR_MODELS", "catalog")
    assert "models/landuse-EE" in call("models", "pull", "Estonia").replace("\n", "")
    assert load_model("models/landuse-EE").digest == tiny_model().digest
    with pytest.raises(InputError, match="has no model 'landuse-EF'; expected one of landuse-EE"):
        call("models", "pull", "landuse-EF")
