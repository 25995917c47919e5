"""Ten lines plan a whole run: from a search to labels, a model, the map, water and a report."""

from pathlib import Path

import pytest

from osm4eo_xr.cli.app import main
from osm4eo_xr.country.run import plan_country
from osm4eo_xr.training.settings import TrainSettings
from tests.cases.ten_lines import served


def test_ten_lines_plan_a_whole_run(tmp_path: Path, monkeypatch, capsys) -> None:
    with served(tmp_path) as country:
        assert len(country.read_text().splitlines()) == 10
        monkeypatch.setattr("sys.argv", ["osm4eo-xr", "run", str(country), "--dry-run"])
        with pytest.raises(SystemExit) as end:
            main()
        assert not end.value.code
        shown = capsys.readouterr().out
        plan = plan_country(country)
    tiles = ("100kmE44N32", "100kmE45N32")
    assert [piece.name for piece in plan.pieces] == [
        *(f"scene {tile}" for tile in tiles),
        "land use",
        *(f"labels {tile}" for tile in tiles),
        *("samples", "model"),
        *(f"classified {tile}" for tile in tiles),
        *("labels", "mosaic", "sieved", "layer water", "vector water", "accuracy"),
    ]
    assert not any(piece.done for piece in plan.pieces)
    for piece in plan.pieces:
        assert piece.name in shown
    # 5,000 windows of a class are wanted; this little ground is covered eight times by fewer.
    assert "training: " in shown
    assert "steps at most, about" in shown
    assert "a training would take, by preset: default about" in shown
    assert "is the quickest" in shown or "learns most within 2 hours" in shown
    assert list(plan.presets) == TrainSettings.PRESETS.names
    assert plan.presets["small"] < plan.presets["default"] < plan.presets["large"]
    assert 30 < plan.steps < 30 * 2 * 12 * 5000 * 0.6 / 32
    assert plan.training_hours > plan.device_hours
    assert not list((country.parent / "result").rglob("*.tif"))
