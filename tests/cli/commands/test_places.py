"""Commands about countries: country files, searches and fetches that have nothing to do."""

import tomllib
from datetime import UTC, datetime
from pathlib import Path

import geopandas as gpd
import pytest
import shapely

from osm4eo_xr.cli.commands.places import _print_original
from osm4eo_xr.country.settings_file import SCHEMA_NAME, read_country
from osm4eo_xr.errors import InputError
from osm4eo_xr.places.countries import countries, find_country
from tests.cases.commands import call, misused, refused


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "code"),
    [("Austria", "AT"), ("Lithuania", "LT"), ("original:LI", "LT"), ("AU", "AUS"), ("CYN", "CYN")],
)
@pytest.mark.filterwarnings("ignore:AU is Australia")
def test_the_boundary_of_a_country_file_is_that_of_the_country_that_was_named(
    folder: Path, name: str, code: str
) -> None:
    """The original calls Austria AU and Lithuania LI, which are Australia and Liechtenstein."""
    call("init", name)
    settings = read_country(folder / "country.toml")
    assert settings.boundary.country == code
    assert find_country(settings.boundary.country) == find_country(name)


def test_a_country_file_without_a_year_searches_last_summer(folder: Path) -> None:
    call("init", "Austria")
    tree = tomllib.loads((folder / "country.toml").read_text())
    last = datetime.now(UTC).year - 1
    assert tree["scenes"][0]["period"] == [f"{last}-05-01", f"{last}-09-30"]
    assert tree["boundary"] == {"country": "AT"}
    assert tree["labels"] == {"osm": "landuse.osm.pbf"}
    assert (folder / SCHEMA_NAME).exists()


def test_scenes_of_files_need_no_search(folder: Path) -> None:
    call("init", "AT", "--scenes", "a/*.tif", "--scenes", "b.tif", "--osm", "x.osm.pbf")
    settings = read_country(folder / "country.toml")
    assert [scene.files for scene in settings.scenes] == [("a/*.tif", "b.tif")]
    assert not any(scene.search for scene in settings.scenes)


def test_neither_country_file_nor_schema_is_replaced_alone(folder: Path) -> None:
    (folder / SCHEMA_NAME).write_text("mine")
    error = refused("init", "AT")
    assert f"{SCHEMA_NAME} exists already" in error.given
    assert [p.name for p in folder.iterdir()] == [SCHEMA_NAME]
    call("init", "AT", "--overwrite")
    assert (folder / SCHEMA_NAME).read_text() != "mine"


def test_two_country_files_in_one_folder_share_a_schema(folder: Path) -> None:
    call("init", "AT")
    schema = (folder / SCHEMA_NAME).read_text()
    call("init", "CH", "--out", "swiss.toml")
    assert read_country(folder / "swiss.toml").boundary.country == "CH"
    assert (folder / SCHEMA_NAME).read_text() == schema
    assert "country.toml exists already" in refused("init", "AT").given


@pytest.mark.parametrize("command", ["init", "tiles"])
def test_no_country_answers_to_a_wrong_name(folder: Path, command: str) -> None:
    error = refused(command, "Atlantis")
    assert "no country 'Atlantis'" in str(error)
    assert not any(folder.iterdir())


LOCAL = 'name = "x"\nscenes = [{ files = "a.tif" }]\n[classify]\nmodel = "m"\n'


@pytest.mark.parametrize(
    ("command", "given", "advice"),
    [
        (["search"], "no [[scenes]] of c.toml has search", "name a catalog there"),
        (["fetch"], "no [[scenes]] of c.toml has search or stac", "files need no fetching"),
        (
            ["fetch", "--dry-run"],
            "no [[scenes]] of c.toml has search or stac",
            "files need no fetching",
        ),
    ],
)
def test_scenes_that_are_files_have_nothing_to_find_or_fetch(
    folder: Path, command: list[str], given: str, advice: str
) -> None:
    (folder / "c.toml").write_text(LOCAL)
    (folder / "a.tif").write_bytes(b"")
    error = refused(*command, "c.toml")
    assert (error.given, error.advice) == (given, advice)
    assert sorted(p.name for p in folder.iterdir()) == ["a.tif", "c.toml"]


@pytest.mark.parametrize("command", ["search", "fetch", "run"])
def test_a_country_file_that_is_none_is_one_line(folder: Path, command: str) -> None:
    assert "none.toml" in refused(command, "none.toml").given
    (folder / "c.toml").write_text("name = ")
    assert "c.toml" in refused(command, "c.toml").given
    (folder / "c.toml").write_text(LOCAL.replace("scenes", "scnes"))
    error = refused(command, "c.toml")
    assert "scnes" in error.given
    assert "scenes" in f"{error.expected} {error.advice}"  # did you mean


def test_ground_is_cut_at_a_finer_boundary(folder: Path) -> None:
    square = shapely.box(9.0, 47.0, 9.3, 47.3)
    frame = gpd.GeoDataFrame({"ISO_A3": ["LIE"]}, geometry=[square], crs=4326)
    frame.to_file(folder / "b.gpkg")
    call("tiles", "LI", "--grid", "laea", "--boundary", "b.gpkg", "--cut", "--out", "t.gpkg")
    cut = gpd.read_file(folder / "t.gpkg")
    ground = gpd.GeoSeries([square], crs=4326).to_crs(3035).area.sum()
    assert cut.to_crs(3035).area.sum() == pytest.approx(ground, rel=1e-3)
    call("tiles", "LI", "--grid", "laea", "--boundary", "b.gpkg", "--out", "w.gpkg")
    assert gpd.read_file(folder / "w.gpkg").to_crs(3035).area.sum() > 10 * ground


def test_numbers_without_ground_have_no_file(folder: Path) -> None:
    for option in (
        ("--out", "t.gpkg"),
        ("--boundary", "b.gpkg"),
        ("--boundary-layer", "a"),
        ("--cut",),
    ):
        error = refused("tiles", "AT", "--grid", "original", *option)
        assert error.given == "the original's tiles are numbers without ground"
        assert "take --grid mgrs or laea" in error.advice
    assert not any(folder.iterdir())


def test_looks_and_grids_are_of_their_kinds() -> None:
    assert "Invalid value for '--looks'" in misused("search", "c.toml", "--looks", "0")
    assert "Invalid value for '--grid'" in misused("tiles", "AT", "--grid", "utm")


def test_the_original_has_tiles_of_its_own_countries_alone(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for country in countries():
        _print_original(f"original:{country.code}")
        assert capsys.readouterr().out.split() == list(country.tiles)
    with pytest.raises(InputError) as error:
        _print_original("Norway")
    assert error.value.given == "the original has no tiles of Norway"
    assert error.value.expected.startswith("one of ")
    assert "Austria" in error.value.expected
