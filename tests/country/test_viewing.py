"""Where a run's inputs lie, told from the folder of its results."""

from pathlib import Path

import pytest

from osm4eo_xr.country.viewing import _base_of


@pytest.mark.parametrize(
    ("folder", "out", "base"),
    [
        ("land/result", "result", "land"),
        ("land/maps/2023", "maps/2023", "land"),
        ("land", ".", "land"),
        ("moved/elsewhere", "result", "moved"),
        ("land/result", "../result", "land"),
        ("land/result", "/data/result", "land"),
    ],
)
def test_paths_of_the_settings_begin_where_the_country_file_lay(
    tmp_path: Path, folder: str, out: str, base: str
) -> None:
    assert _base_of(tmp_path / folder, out) == (tmp_path / base).resolve()
