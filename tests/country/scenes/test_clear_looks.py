"""How often pixels were seen clear: counted once, kept, counted anew when items change."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dask.array as da
import numpy as np
import pytest
import xarray as xr

from osm4eo_xr.country.scenes import clear_looks
from osm4eo_xr.country.scenes.searches import TileItems

SEEN = np.random.default_rng(0).integers(0, 4, (30, 20)).astype(np.uint8)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Note each composite that is asked for; it has SEEN clear observations."""
    asked: list[dict[str, Any]] = []

    def composite(_run: Any, tile: Any, items: Any, bands: Any, *, method: str) -> xr.Dataset:
        asked.append({"tile": tile.id, "items": len(items), "bands": bands, "method": method})
        lazy = da.from_array(SEEN).rechunk((7, 9))
        return xr.Dataset({"observations": (("y", "x"), lazy)})

    monkeypatch.setattr(clear_looks, "tile_composite", composite)
    monkeypatch.setattr(clear_looks, "copied_items", lambda _run, _tile: [{}] * 4)
    monkeypatch.setattr(clear_looks, "_key", lambda run, tile: f"{run.state} {tile.id}")
    return asked


def a_run(folder: Path, state: str = "1") -> Any:
    return SimpleNamespace(base=folder, out=folder / "result", state=state)


TILE: Any = SimpleNamespace(
    id="32UNB", source=SimpleNamespace(stac="country.items/32UNB.json", bands=("nir", "red"))
)


def test_each_number_of_looks_is_counted_as_numpy_does(
    made: list[dict[str, Any]], tmp_path: Path
) -> None:
    found = clear_looks.count_clear_looks(a_run(tmp_path), TILE)
    assert found == tuple(np.bincount(SEEN.ravel(), minlength=5).tolist())
    assert sum(found) == SEEN.size
    assert len(found) == 5  # none to four of four items
    assert made == [{"tile": "32UNB", "items": 4, "bands": ("nir",), "method": "median"}]


def test_what_was_counted_is_kept_beside_the_copies(
    made: list[dict[str, Any]], tmp_path: Path
) -> None:
    first = clear_looks.count_clear_looks(a_run(tmp_path), TILE)
    assert clear_looks.count_clear_looks(a_run(tmp_path), TILE) == first
    assert len(made) == 1
    kept = tmp_path / "country.fetched" / "32UNB" / "clear_looks.json"
    assert json.loads(kept.read_text()) == {"of": "1 32UNB", "pixels": list(first)}
    clear_looks.count_clear_looks(a_run(tmp_path, "other items"), TILE)
    assert len(made) == 2


@pytest.mark.parametrize("text", ["", "{", "[]", '{"of": "1 32UNB"}', '{"pixels": [1]}', "3"])
def test_a_damaged_count_is_counted_again(
    made: list[dict[str, Any]], tmp_path: Path, text: str
) -> None:
    kept = tmp_path / "country.fetched" / "32UNB" / "clear_looks.json"
    kept.parent.mkdir(parents=True)
    kept.write_text(text)
    clear_looks.count_clear_looks(a_run(tmp_path), TILE)
    assert len(made) == 1
    assert json.loads(kept.read_text())["of"] == "1 32UNB"


def items(tile: str, days: tuple[str, ...] = ("2021-06-01",)) -> TileItems:
    return TileItems(tile, Path(f"{tile}.json"), days, (None,) * len(days), 0.1)


def test_a_search_shows_how_many_pixels_have_few_looks(
    made: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = a_run(tmp_path)
    counts = clear_looks.count_clear_looks(run, TILE)
    run.tiles = [TILE]
    monkeypatch.setattr(clear_looks, "open_searched", lambda _path: run)
    known, other = clear_looks.with_clear_looks([items("32UNB"), items("31UGS")], tmp_path, 2)
    assert known.clear_looks == counts
    assert known.few_looks == counts[0] + counts[1] == int((SEEN < 2).sum())
    assert (other.clear_looks, other.few_looks) == ((), None)  # not fetched yet
    assert len(made) == 1


def test_a_search_that_found_nothing_opens_no_country(tmp_path: Path) -> None:
    nothing = [items("32UNB", ())]
    assert clear_looks.with_clear_looks(nothing, tmp_path / "no.toml", 3) == nothing
