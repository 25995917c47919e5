"""A ledger's file: read with distrust, set aside when it is none."""

import copy
import json
import logging
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from osm4eo_xr.country.ledger_file import read_tree, set_aside, write_tree

SEEN = {"stamp": [5, 7], "sha256": "ab"}
TREE: dict[str, Any] = {
    "pieces": {"mosaic": {"key": "k", "files": {"mosaic.tif": SEEN}}},
    "begun": {"sieved": ["sieved.tif"]},
    "inputs": {"tiles/T00.tif": SEEN},
}


def test_what_was_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "ledger.json"
    assert read_tree(path) == {}
    write_tree(TREE, path)
    assert read_tree(path) == {"version": 1, **TREE}
    assert [p.name for p in tmp_path.iterdir()] == ["ledger.json"]


def wrong(change: Any) -> bytes:
    tree = {"version": 1, **copy.deepcopy(TREE)}
    change(tree)
    return json.dumps(tree).encode()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        b"[" * 100_000,
        b"[]",
        b"null",
        wrong(lambda t: t.update(version=2)),
        wrong(lambda t: t.pop("begun")),
        wrong(lambda t: t["pieces"].update(x={"key": 5, "files": {}})),
        wrong(lambda t: t["pieces"]["mosaic"]["files"].update({"../away.tif": SEEN})),
        wrong(lambda t: t["pieces"]["mosaic"]["files"].update({"/etc/passwd": SEEN})),
        wrong(lambda t: t["pieces"]["mosaic"].update(earlier=["../away.tif"])),
        wrong(lambda t: t["begun"].update(sieved=[""])),
        wrong(lambda t: t["begun"].update(sieved="sieved.tif")),
        wrong(lambda t: t["inputs"].update(x={"stamp": [1.5, 2], "sha256": "a"})),
        wrong(lambda t: t["inputs"].update(x={"stamp": [1], "sha256": "a"})),
    ],
)
def test_what_is_no_ledger_is_none(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "ledger.json"
    path.write_bytes(content)
    assert read_tree(path) is None


JSON = st.recursive(
    st.none() | st.integers() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["key", "files", "stamp", "sha256", "a"]), inner)
    ),
    max_leaves=10,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    part=st.sampled_from(["pieces", "begun", "inputs"]),
    value=st.dictionaries(st.text(max_size=3), JSON),
)
def test_any_json_is_read_or_is_none(part: str, value: Any, tmp_path: Path) -> None:
    path = tmp_path / "ledger.json"
    path.write_text(json.dumps({"version": 1, **TREE, part: value}))
    found = read_tree(path)
    assert found is None or found[part] == value


def test_a_file_that_is_none_is_kept_under_another_name(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "ledger.json"
    path.write_text("{")
    with caplog.at_level(logging.WARNING):
        aside = set_aside(path)
    assert not path.exists()
    assert aside.read_text() == "{"
    assert aside.name.startswith("ledger.json.set-aside-")
    (message,) = caplog.messages
    assert f"it is kept as {aside.name}" in message
