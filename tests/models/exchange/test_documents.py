"""Documents of catalogs: where they lie, how large they may be, and files that are not theirs."""

import hashlib
from pathlib import Path

import pytest

from osm4eo_xr.errors import InputError
from osm4eo_xr.models.exchange import documents
from osm4eo_xr.models.exchange.documents import (
    beside,
    bring,
    document_place,
    is_document,
    read_document,
)
from osm4eo_xr.models.exchange.entries import ModelFile

CONTENT = b"weights of a network"
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.mark.parametrize(
    ("source", "place"),
    [
        ("https://x.org/models", "https://x.org/models/catalog.json"),
        ("https://x.org/models/", "https://x.org/models/catalog.json"),
        ("https://x.org/models/catalog.json", "https://x.org/models/catalog.json"),
        ("https://x.org/m/a.json?sig=1", "https://x.org/m/a.json?sig=1"),
        ("https://x.org/m?sig=1/2", "https://x.org/m/catalog.json?sig=1/2"),
        ("https://x.org", "https://x.org/catalog.json"),
        ("somewhere/a.json", "somewhere/a.json"),
    ],
)
def test_a_catalog_is_named_by_its_folder_address_or_document(source: str, place: str) -> None:
    assert document_place(source) == place


def test_a_folder_means_the_catalog_in_it(tmp_path: Path) -> None:
    assert document_place(str(tmp_path)) == str(tmp_path / "catalog.json")
    assert document_place(str(tmp_path / "none")) == str(tmp_path / "none")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("landuse-DE", False),
        ("Deutschland", False),
        ("a.json", True),
        ("./catalog", True),
        ("https://x.org/m", True),
    ],
)
def test_names_are_told_from_places(source: str, expected: bool) -> None:
    assert is_document(source) is expected


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ("https://x.org/m/catalog.json", "https://x.org/m/a/a.json"),
        ("https://x.org/m/catalog.json?sig=1", "https://x.org/m/a/a.json"),
        ("m/catalog.json", "m/a/a.json"),
        ("catalog.json", "a/a.json"),
    ],
)
def test_files_lie_below_the_documents_folder(place: str, expected: str) -> None:
    assert beside(place, "a", "a.json") == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "a.json is not JSON: "),
        ("{", "a.json is not JSON: "),
        ("[" * 100_000, "a.json is not JSON: "),
        ("[]", "a.json holds a list; expected a JSON object"),
        ('"text"', "a.json holds a str; expected a JSON object"),
        ("null", "a.json holds a NoneType; expected a JSON object"),
    ],
)
def test_what_is_no_object_is_refused(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(InputError) as refused:
        read_document(str(tmp_path / "a.json"))
    assert words in str(refused.value)


def test_a_document_is_read_as_it_is_up_to_its_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"title": "Über"}', encoding="utf-8")
    size = path.stat().st_size
    monkeypatch.setattr(documents, "_LARGEST", size)
    assert read_document(str(path)) == {"title": "Über"}
    monkeypatch.setattr(documents, "_LARGEST", size - 1)
    with pytest.raises(InputError) as refused:
        read_document(str(path))
    assert refused.value.given == f"{path} has {size:,} bytes"
    assert refused.value.expected == f"at most {size - 1:,}"


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    for path in (tmp_path / "none.json", tmp_path):
        with pytest.raises(InputError) as refused:
            read_document(str(path))
        assert refused.value.given == f"no file {path}"
        assert refused.value.advice == "name a catalog or an item of it"


def test_a_file_is_brought_if_it_is_the_one_that_is_meant(tmp_path: Path) -> None:
    source, out = tmp_path / "source", tmp_path / "out"
    source.write_bytes(CONTENT)
    bring(str(source), ModelFile("w", len(CONTENT), SHA256), out)
    assert out.read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("content", "given", "expected"),
    [
        (CONTENT + b"!", "has 21 bytes", "at most 20"),
        (CONTENT[:-1], "has 19 bytes", "20"),
        (CONTENT.upper(), "has SHA-256 ", f"{SHA256[:12]}… as its item states"),
    ],
)
def test_a_file_of_another_size_or_hash_is_refused(
    tmp_path: Path, content: bytes, given: str, expected: str
) -> None:
    (tmp_path / "source").write_bytes(content)
    with pytest.raises(InputError) as refused:
        bring(str(tmp_path / "source"), ModelFile("w", 20, SHA256), tmp_path / "out")
    assert given in refused.value.given
    assert refused.value.expected == expected
