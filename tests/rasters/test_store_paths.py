"""Which part of a path is a Zarr store, and which leads into it."""

import zipfile
from pathlib import Path

import numpy as np
import pytest
import zarr

from osm4eo_xr.rasters.store_paths import StorePath, is_group, outermost, prefix_in, split_store


@pytest.mark.parametrize(
    ("path", "root", "inside"),
    [
        ("s3://b/P.zarr", "s3://b/P.zarr", ""),
        ("https://h/P.zarr/measurements/r10m", "https://h/P.zarr", "measurements/r10m"),
        ("https://h/P.ZARR.zip/a/b02/", "https://h/P.ZARR.zip", "a/b02"),
        ("https://h/P.zarr?sig=a/b", None, None),
        ("https://h/scene.tif", None, None),
    ],
)
def test_addresses_are_split_behind_the_store(
    path: str, root: str | None, inside: str | None
) -> None:
    found = split_store(path)
    assert (found.root, found.inside) == (root, inside) if found else root is None
    assert found is None or (found.remote and found.exists)


@pytest.fixture(params=[2, 3])
def store(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """Write a hierarchy without consolidated metadata, called something else."""
    root = zarr.open_group(tmp_path / "product", mode="w", zarr_format=request.param)
    root.create_group("measurements").create_array("b02", data=np.ones((2, 2)))
    return tmp_path / "product"


def test_a_folder_without_a_telling_name_is_the_outermost_group(store: Path) -> None:
    inner = store / "measurements" / "b02"
    assert all(map(is_group, (store, inner)))
    assert split_store(str(inner)) == StorePath(str(store), "measurements/b02")
    assert split_store(str(store)) == StorePath(str(store))
    assert split_store(str(store.parent)) is None


@pytest.mark.parametrize(
    ("here", "path", "inside"),
    [
        (".", "measurements/b02", "measurements/b02"),
        (".", ".", ""),
        ("measurements", "b02", "measurements/b02"),
        ("measurements", "../measurements", "measurements"),
        ("..", "product/measurements", "measurements"),
    ],
)
def test_a_path_from_a_folder_in_the_store_is_split_as_the_whole_path(
    here: str, path: str, inside: str, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(store / here)
    assert split_store(path) == StorePath(str(store), inside)


def test_a_named_folder_is_the_store_whatever_lies_around_it(store: Path) -> None:
    named = store / "measurements" / "inner.zarr"
    (store / "measurements" / "b02").rename(named)
    assert split_store(str(named / "x")) == StorePath(str(named), "x")


def test_a_zip_is_a_store_if_a_hierarchy_is_in_it(store: Path, tmp_path: Path) -> None:
    whole, below, other = (tmp_path / f"{n}.zip" for n in ("whole", "below", "other"))
    for archive, root in ((whole, store), (below, store.parent)):
        with zipfile.ZipFile(archive, "w") as opened:
            for file in store.rglob("*"):
                opened.write(file, file.relative_to(root))
    with zipfile.ZipFile(other, "w") as opened:
        opened.writestr("readme.txt", "no hierarchy")
    assert (prefix_in(whole), prefix_in(below), prefix_in(other)) == ("", "product", None)
    found = split_store(str(whole / "measurements"))
    assert found == StorePath(str(whole), "measurements")
    assert found is not None
    assert found.zipped
    assert found.exists
    assert split_store(str(other)) is None
    other.write_bytes(b"PK no more")
    assert prefix_in(other) is None
    assert prefix_in(tmp_path / "gone.zip") is None


def test_names_join_and_the_shortest_folder_is_the_root() -> None:
    assert StorePath("a.zarr/", "g").within("g", "", "b02") == "a.zarr/g/b02"
    assert outermost(["p/q/.zarray", "p/.zgroup", "p/q/0.0"]) == "p"
    assert outermost(["zarr.json", "a/zarr.json"]) == ""
    assert outermost(["a.txt", "b/c.txt"]) is None
