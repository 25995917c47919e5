"""What the pieces of a country run are called, where they lie and what they are planned to take."""

import json
import subprocess
import sys
import warnings
from importlib.resources import files
from pathlib import Path
from shutil import copyfile, copytree

import numpy as np
import pytest
import rasterio
from affine import Affine
from dask.callbacks import Callback
from odc.geo.geobox import GeoBox

from osm4eo_xr.cogs.cog import write_cog
from osm4eo_xr.country.context import CountryRun
from osm4eo_xr.country.findings.items import described_items
from osm4eo_xr.country.ledger import Ledger
from osm4eo_xr.country.pieces.learning import learning_pieces, scene_hash, scene_pieces
from osm4eo_xr.country.run import _open, _report, plan_country
from osm4eo_xr.country.scenes.feature_cubes import features_hash
from osm4eo_xr.country.scenes.label_rasters import _check_order
from osm4eo_xr.country.settings_file import read_country
from osm4eo_xr.demo import demo_osm_path, demo_scene_paths
from osm4eo_xr.errors import InputError, InputWarning
from osm4eo_xr.geometry.grid import geobox_of, georeference, target_geobox
from osm4eo_xr.imagery.scenes import open_scene
from osm4eo_xr.labels.rasterize import rasterize_labels
from osm4eo_xr.legend import default_legend
from osm4eo_xr.maps.layers import extract_layer
from osm4eo_xr.maps.polygons import to_vector
from osm4eo_xr.osm.landuse import read_landuse
from osm4eo_xr.training.fit import DEMO_SAMPLES, DEMO_SETTINGS
from tests.cases.country_case import LEARN, MODEL, make_country
from tests.cases.safe_case import write_safe


@pytest.fixture(scope="module")
def country(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A country file with a model, nothing of which is made."""
    return make_country(
        tmp_path_factory.mktemp("pieces") / "here", edge=60, overlap=12, learn=MODEL
    )


def changed(country: Path, *changes: tuple[str, str]) -> Path:
    """Return a country file beside another, changed in some places."""
    text = country.read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    other = country.with_name("changed.toml")
    other.write_text(text)
    return other


MANY = 'files = "tiles/*.tif" }'
NAMED = 'files = "tiles/T00.tif", tile = "A west" }, { files = "tiles/T2*.tif" }'
BEFORE = ("size = 20", 'size = 20\nwhen = "before"')


def test_a_tile_with_a_space_in_its_name_has_its_own_grid(
    country: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("osm4eo_xr.country.plan._MAP_CHUNK", 32)
    plan = plan_country(changed(country, (MANY, NAMED), BEFORE))
    chunks = {p.name: p.chunks for p in plan.pieces}
    assert chunks["sieved A west"] == chunks["sieved T20"] == 4  # 60 pixels in blocks of 32


def test_another_tag_rule_is_another_land_use(tmp_path: Path) -> None:
    country = make_country(tmp_path / "here", edge=60, overlap=12, learn=LEARN)
    own = country.with_name("legend.toml")
    path = changed(country, ("date =", 'legend = "legend.toml"\ndate ='))
    text = files("osm4eo_xr").joinpath("legend.toml").read_text()
    text = text.replace('name = "osmlanduse-12"', 'name = "ours"')
    keys = []
    for rules in (text, text + "# no word of a rule", text.replace('"landuse=forest"', '"a=b"')):
        own.write_text(rules)
        ledger = Ledger(tmp_path / "out")
        run = CountryRun(read_country(path), path.parent, ledger, tmp_path / "out")
        keys.append({piece.name: piece.key for piece in learning_pieces(run)})
        assert "../here/legend.toml" in ledger.inputs()
    assert keys[0] == keys[1]
    for name in ("land use", "labels T00", "samples", "model"):
        assert keys[2][name] != keys[0][name]


def test_how_often_a_training_is_kept_is_no_other_model(tmp_path: Path) -> None:
    country = make_country(tmp_path, edge=60, overlap=12, learn=LEARN)
    keys = []
    for settings in ("batch = 16", "batch = 16\ncheckpoint_every = 9", "batch = 8"):
        run = _open(changed(country, ("batch = 16", settings)))
        keys.append(next(p.key for p in run.first if p.kind == "model"))
    assert keys[0] == keys[1] != keys[2]


def test_samples_name_the_tiles_that_they_are_from(tmp_path: Path) -> None:
    country = make_country(tmp_path, edge=60, overlap=12, learn=LEARN)
    keys = []
    for _ in range(2):
        run = _open(country)
        keys.append(next(p.key for p in run.first if p.kind == "samples"))
        for path in sorted((tmp_path / "tiles").glob("T*.tif")):
            path.rename(path.with_name(f"U{path.name}"))
    assert keys[0] != keys[1]


def test_tiles_wait_for_no_labels_where_a_model_is_given(country: Path) -> None:
    copyfile(demo_osm_path(), country.with_name("landuse.osm.pbf"))
    labeled = ("[classify]", '[labels]\nosm = "landuse.osm.pbf"\n\n[classify]')
    keys = [
        {p.name: p.key for p in _open(changed(country, *changes)).rest() if p.kind == "classified"}
        for changes in ((), (labeled,))
    ]
    assert keys[0] == keys[1]


def test_a_legend_of_the_package_is_named_without_a_file(country: Path) -> None:
    run = opened(changed(country, ("date =", 'legend = "osmlanduse-13"\ndate =')))
    assert run.legend == default_legend(coastal=True)


def test_layers_of_one_class_have_files_of_their_own_or_are_refused(country: Path) -> None:
    masks = ("[[layers]]", '[[layers]]\nclasses = ["water"]\ncodes = "mask"\n{}\n\n[[layers]]')
    old, twice = masks
    with pytest.raises(InputError, match=r"'layer water' and 'layer water' would both write .*wat"):
        plan_country(changed(country, (old, twice.format(""))))
    plan = plan_country(changed(country, (old, twice.format('name = "water mask"'))))
    assert [p.name for p in plan.pieces if p.name.startswith("layer")] == [
        "layer water mask",
        "layer water",
    ]
    with pytest.raises(InputError, match=r"\[layers\[0\]\] name '\.\./x' is a path"):
        plan_country(changed(country, (old, twice.format('name = "../x"'))))


def test_trainings_that_find_wrong_labels_are_planned_with_their_epochs(tmp_path: Path) -> None:
    path = make_country(tmp_path / "here", edge=60, overlap=12)
    once = plan_country(path).steps // 2  # of an epoch; the case has two
    for more, passes in (("", 2 + 2 * 2), ("noise_epochs = 1\n", 2 + 2 * 1)):
        wanted = f'[train]\nnoise = "prune"\nnoise_folds = 3\n{more}'  # each on two of three folds
        assert plan_country(changed(path, ("[train]\n", wanted))).steps == passes * once


@pytest.mark.parametrize(("noise", "trainings"), [("none", 1), ("prune", 1 + 3)])
def test_steps_that_look_for_a_learning_rate_are_planned(
    noise: str, trainings: int, tmp_path: Path
) -> None:
    path = make_country(tmp_path / "here", edge=60, overlap=12)
    wanted = f'[train]\nnoise = "{noise}"\nnoise_folds = 3\n'
    given = plan_country(changed(path, ("[train]\n", wanted)))
    found = plan_country(changed(path, ("[train]\n", f"{wanted}learning_rate = 0\n")))
    assert found.steps == given.steps + 100 * trainings
    assert found.training_hours > given.training_hours
    assert all(found.presets[name] > seconds for name, seconds in given.presets.items())


def test_a_plan_with_a_model_needs_no_jax(country: Path) -> None:
    script = (
        "import sys; from osm4eo_xr.cli.app import app; "
        f"app(['run', {str(country)!r}, '--dry-run'], standalone_mode=False); "
        "assert 'jax' not in sys.modules, 'loaded'"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "classified T00" in done.stdout


def test_flips_take_eight_times_the_hours(country: Path) -> None:
    flipped = changed(country, ("[classify]\n", "[classify]\nflips = true\n"))
    once, views = plan_country(country), plan_country(flipped)
    assert views.device_hours == pytest.approx(8 * once.device_hours)


def test_members_take_as_many_hours_as_they_are(country: Path, tmp_path: Path) -> None:
    path = make_country(tmp_path / "here", edge=60, overlap=12)
    members = ("[train]\n", "[train]\nmembers = 3\n")
    once, thrice = plan_country(path), plan_country(changed(path, members))
    assert thrice.device_hours == pytest.approx(3 * once.device_hours)
    assert thrice.training_hours == pytest.approx(3 * once.training_hours)
    grouped = ("[train]\n", '[train]\nmembers = 3\nnetwork = "coupled"\n')  # has none
    assert plan_country(changed(path, grouped)).device_hours == once.device_hours
    given = plan_country(changed(country, (MODEL, f"{MODEL}\n\n[train]\nmembers = 3")))
    assert given.device_hours == plan_country(country).device_hours  # as the model has


def test_a_layer_called_as_the_mosaic_is_refused(country: Path) -> None:
    named = ('vector = "gpkg"', 'name = "mosaic"')
    with pytest.raises(InputError, match=r"'mosaic' and 'layer mosaic' would both write"):
        plan_country(changed(country, named))


def test_a_product_never_replaces_an_input(country: Path) -> None:
    inside = ('name = "Havelland in nine tiles"', 'name = "x"\nout = "."')
    folder = country.with_name("classified")
    folder.mkdir()
    (country.parent / "tiles" / "T00.tif").rename(folder / "T00.tif")
    one = (MANY, 'files = "classified/T00.tif" }')
    try:
        with pytest.raises(InputError, match=r"'classified T00' would write .*, which the run"):
            plan_country(changed(country, inside, one))
    finally:
        (folder / "T00.tif").rename(country.parent / "tiles" / "T00.tif")


def test_bands_of_one_scene_are_no_tiles(country: Path) -> None:
    bands = str(demo_scene_paths()[0].parent / "*.jp2")
    many = (MANY, f'files = "{bands}" }}')
    with pytest.raises(
        InputError, match=r"_B02.jp2 and .*_B03.jp2 are bands of one scene"
    ) as caught:
        plan_country(changed(country, many))
    assert 'tile = "T33UUU" if all' in str(caught.value)
    whole = (MANY, f'files = "{bands}", tile = "T33UUU" }}')
    assert [t.id for t in opened(changed(country, whole)).tiles] == ["T33UUU"]


OUTLINE = 'file = "boundary.geojson"'


def test_products_can_have_the_original_s_names(country: Path) -> None:
    named = (OUTLINE, 'country = "Deutschland"\n[products]\nnames = "original"')
    run = opened(changed(country, named))
    names = [run.product(kind).name for kind in ("mosaic", "sieved", "labels")]
    assert names == [
        "DE_10m_3035_classified.tif",
        "DE_10m_3035_classified_sieved.tif",
        "DE_10m_3035_label.tif",
    ]
    assert run.final_map.name == names[1]
    before = opened(changed(country, named, BEFORE))
    assert before.final_map.name == before.product("mosaic").name == names[1]
    with pytest.raises(InputError, match=r"boundary.country = ''; expected a country"):
        plan_country(changed(country, (OUTLINE, OUTLINE + '\n[products]\nnames = "original"')))


def opened(path: Path) -> CountryRun:
    return CountryRun(read_country(path), path.parent, Ledger(path.parent / "x"), path.parent / "x")


def test_scenes_are_masked_as_their_table_says(country: Path) -> None:
    keys = set()
    for keyed in ("", ', mask_clouds = "threshold", level = "1C"', ', mask_clouds = "threshold"'):
        run = opened(changed(country, (MANY, MANY.replace(" }", keyed + " }"))))
        tile = run.tiles[0]
        keys.add(scene_hash(run, tile))
        if keyed and "level" not in keyed:
            with pytest.raises(InputError, match="nothing tells the level"):
                run.open_scene(tile)
        else:
            assert ("level 1C" in run.open_scene(tile).attrs.get("clouds", "")) == bool(keyed)
    assert len(keys) == 3  # another mask is another scene
    off = changed(
        country, (MANY, 'files = "tiles/*.tif", mask_clouds = "threshold", clouds = -1 }')
    )
    assert "clouds" not in opened(off).open_scene(opened(off).tiles[0]).attrs


def test_a_tile_is_of_what_names_and_metadata_around_its_files_say(tmp_path: Path) -> None:
    def key() -> str:
        run = opened(folder / "country.toml")
        return scene_hash(run, run.tiles[0])

    def rename(old: str, new: str) -> None:
        place = next(folder.rglob(old))
        place.rename(place.with_name(new))
        text = (folder / "country.toml").read_text()
        (folder / "country.toml").write_text(text.replace(old, new))

    folder = tmp_path / "here"
    safe = write_safe(folder, "2A", "05.09", offsets={1: -1000}, bands=("B02",))
    image = next(safe.rglob("*B02_10m.jp2")).relative_to(folder)
    scene = f'name = "x"\nscenes = [{{ tile = "A", files = "{image}" }}]\nlayers = []\n'
    (folder / "country.toml").write_text(scene + MODEL)
    keys, metadata = [key()], safe / "MTD_MSIL2A.xml"
    metadata.write_text(metadata.read_text().replace("-1000", "-500"))
    keys.append(key())
    metadata.unlink()
    keys.append(key())  # by the name of its folder
    rename(safe.name, "plain")
    keys.append(key())
    told = next((folder / "plain").rglob(image.name)).with_name("tileInfo.json")
    told.write_text(json.dumps({"productName": safe.name}))
    keys.append(key())
    told.unlink()
    rename(image.name, image.name.replace("B02", "B03"))
    keys.append(key())
    rename(image.name.replace("B02", "B03"), "any_B03.jp2")
    keys.append(key())
    rename("any_B03.jp2", "any_B04.jp2")
    keys.append(key())
    assert len({*keys}) == len(keys)
    rename("plain", "another")
    folder = folder.rename(tmp_path / "moved")
    assert key() == keys[-1]


def test_other_features_are_of_the_names_of_their_files(country: Path) -> None:
    keys = []
    for name in ("a_vv.tif", "a_vh.tif", "moved/a_vh.tif"):
        (country.parent / name).parent.mkdir(exist_ok=True)
        copyfile(country.parent / "tiles" / "T00.tif", country.parent / name)
        group = f'[[features]]\ngroup = "s1"\nfiles = "{name}"\n[[features]]\ngroup = "s2"\n\n'
        run = opened(changed(country, ("[boundary]", group + "[boundary]")))
        (told, *_) = features_hash(run, run.tiles[0])
        keys.append(told[1])
    assert keys[0] != keys[1] == keys[2]


def test_a_local_store_of_an_item_is_an_input_as_a_whole(country: Path) -> None:
    store = country.parent / "year.zarr"
    (store / "red" / "c").mkdir(parents=True)
    (store / "zarr.json").write_text("{}")
    item = {
        "type": "Feature",
        "id": "A",
        "properties": {"datetime": "2017-02-16T00:00:00Z"},
        "assets": {"red": {"href": str(store / "red")}, "blue": {"href": "https://a.org/b.tif"}},
    }
    (country.parent / "item.json").write_text(json.dumps(item))
    searched = 'stac = "item.json", tile = "A", bounds = [12.5, 52.5, 12.6, 52.6] }'
    path, keys = changed(country, (MANY, searched)), set()
    for chunk in ("c/0", "c/1"):
        run = opened(path)
        keys.add(scene_hash(run, run.tiles[0]))
        (store / "red" / chunk).write_text("pixels")
    run = opened(path)
    keys.add(scene_hash(run, run.tiles[0]))
    (store / "zarr.json").write_text('{"of": "the whole"}')
    run = opened(path)
    keys.add(scene_hash(run, run.tiles[0]))
    assert len(keys) == 4


def test_a_composite_of_another_day_is_made_anew(country: Path) -> None:
    day, assets = {"datetime": "2017-02-16T00:00:00Z"}, {"red": {"href": "https://a.org/a.tif"}}
    item = {"type": "Feature", "id": "A", "properties": day, "assets": assets}
    (country.parent / "items.json").write_text(json.dumps(item))
    scene = 'stac = "items.json", tile = "A", bounds = [12.5, 52.5, 12.6, 52.6] }'
    keys, hashes = [], []
    for changes in ((), (("date = 2017-02-16", "date = 2017-02-17"),)):
        run = opened(changed(country, (MANY, scene), *changes))
        (piece,) = scene_pieces(run)
        keys.append(piece.key)
        hashes.append(scene_hash(run, run.tiles[0]))
    assert keys[0] != keys[1]  # its file states the day
    assert hashes[0] == hashes[1]  # its pixels do not


def test_the_report_is_of_the_settings_that_it_shows(
    country: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(run: CountryRun, *_: object) -> None:
        told.append(run.settings.products.viewer)
        for path in (run.out / "report.json", run.out / "report.html", *described_items(run)):
            path.touch()

    def report(path: Path) -> None:
        run = opened(path)
        run.out.mkdir(exist_ok=True)
        _report(run, [], Ledger(run.out), None)

    told: list[bool] = []
    monkeypatch.setattr("osm4eo_xr.country.report.write_report", write)
    moved = tmp_path / "moved"
    viewer = (OUTLINE, OUTLINE + "\n[products]\nviewer = true")
    for changes in ((), (), (viewer,)):
        report(changed(country, *changes))
    copytree(country.parent, moved)
    report(changed(moved / country.name, viewer))
    assert told == [False, True]


class Count(Callback):
    """Counts the tasks that dask runs on threads of this process."""

    tasks = 0

    def _pretask(self, *_: object) -> None:
        self.tasks += 1


def test_each_kind_of_piece_has_its_own_count_of_tasks(tmp_path: Path) -> None:
    country = make_country(tmp_path / "land", edge=60, overlap=12, learn=LEARN)
    plan = {p.name: (p.chunks, p.tasks) for p in plan_country(country).pieces}
    counts = {"classified T00": 6, "labels T00": 4, "samples": 8, "vector water": 2}
    assert {name: plan[name] for name in counts} == {k: (1, n) for k, n in counts.items()}
    assert plan["land use"] == plan["model"] == plan["accuracy"] == (0, 0)


def test_labels_and_polygons_run_the_tasks_that_are_planned() -> None:
    scene = open_scene(demo_scene_paths(), chunks=512)[:1].compute()
    areas = read_landuse(demo_osm_path())
    with Count() as burning:
        labels = rasterize_labels(areas, scene.chunk(y=512, x=512)).compute()
    assert burning.tasks == 2 * 8 + 1  # two a block, and one for all
    with Count() as tracing:
        to_vector(extract_layer(labels.chunk(y=512, x=512), "water"))
    assert tracing.tasks == 2 * 8


def test_the_demos_own_settings_can_be_given_in_a_country_file(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text(DEMO)
    settings = read_country(path)
    assert settings.train == DEMO_SETTINGS
    samples = settings.samples
    assert (samples.per_class, samples.patch, samples.shares) == tuple(DEMO_SAMPLES.values())
    assert samples.gap == 240
    labels = settings.labels
    assert labels is not None
    assert (labels.edge, labels.min_area) == ("ignore", 500)


DEMO = """
name = "x"
scenes = [{ files = "*.tif" }]

[labels]
osm = "x.osm.pbf"
edge = "ignore"
min_area = 500

[samples]
per_class = 400
patch = 32
shares = [0.6, 0.1, 0.3]
gap = 240

[train]
preset = "small"
"""


def test_a_file_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text(DEMO, encoding="utf-8-sig")
    assert read_country(path).name == "x"


@pytest.fixture
def unlabeled(tmp_path: Path) -> Path:
    """A country file of nine tiles, beside whose tiles lie label rasters L0 to L8, by their ids."""
    country = make_country(tmp_path / "here", edge=60, overlap=12, learn="")
    for k, path in enumerate(sorted((country.parent / "tiles").iterdir())):
        box = geobox_of(open_scene(path))
        write_cog(georeference(np.ones(box.shape, np.uint8), box), country.parent / f"L{k}.tif")
    return country


def listed(country: Path, names: list[str]) -> CountryRun:
    """Return a run whose country file lists some label rasters."""
    table = f"[labels]\nrasters = {names}\n\n[boundary]".replace("'", '"')
    settings = read_country(changed(country, ("[boundary]", table)))
    return CountryRun(settings, country.parent, Ledger(country.parent), country.parent)


@pytest.mark.parametrize("named", [True, False])
def test_label_rasters_go_with_tiles_by_name_or_in_the_order_of_ids(
    unlabeled: Path, *, named: bool
) -> None:
    ids = sorted(path.stem for path in (unlabeled.parent / "tiles").iterdir())
    names = [f"{tile}.tif" for tile in ids[::-1]] if named else [f"L{k}.tif" for k in range(9)]
    for name in names if named else ():
        (unlabeled.parent / name).touch()
    found = [path.name for path in listed(unlabeled, names).label_paths()]
    assert found == (names[::-1] if named else names)


def test_label_rasters_in_another_order_than_their_tiles_are_refused(unlabeled: Path) -> None:
    names = [f"L{k}.tif" for k in (0, 2, 1, 3, 4, 5, 6, 7, 8)]  # L2 and tile T01 share a margin
    with pytest.raises(InputError) as raised:
        listed(unlabeled, names).label_paths()
    assert (
        raised.value.given
        == "label raster L2.tif goes to tile T01 by order, of which L1.tif shows more"
    )
    assert raised.value.advice == "call label rasters as their tiles, such as T01.tif"


@pytest.mark.parametrize(
    ("crs", "east", "said"),
    [
        ("EPSG:3035", 1e5, "label raster L0.tif goes to tile T00 by order, of which L1.tif shows"),
        ("EPSG:3035", 5, "label raster L0.tif and tile T00, to which it goes by order, are on"),
        ("EPSG:32633", 0, "are on different grids (EPSG:32633 and EPSG:3035)"),
    ],
)
def test_label_rasters_elsewhere_are_refused(
    unlabeled: Path, crs: str, east: float, said: str
) -> None:
    box = geobox_of(open_scene(unlabeled.parent / "tiles" / "T00.tif"))
    moved = GeoBox(box.shape, Affine.translation(east, 0) * box.affine, crs)
    write_cog(georeference(np.ones(box.shape, np.uint8), moved), unlabeled.parent / "L0.tif")
    with pytest.raises(InputError) as raised:
        listed(unlabeled, [f"L{k}.tif" for k in range(9)]).label_paths()
    assert said in raised.value.given


def test_a_tile_that_no_label_raster_shows_is_named() -> None:
    box = target_geobox((4_320_000, 3_210_000, 4_321_000, 3_211_000))
    away = target_geobox((4_330_000, 3_210_000, 4_331_000, 3_211_000))
    with pytest.raises(InputError, match="^no label raster shows ground of tile a; call"):
        _check_order({"a": box}, {Path("L.tif"): away}, [Path("L.tif")])


@pytest.mark.parametrize("raised", [0, 1000])
def test_tiles_that_leave_their_offset_open_are_warned_of_once(tmp_path: Path, raised: int) -> None:
    country = make_country(tmp_path / "here", edge=60, overlap=12, learn=MODEL)
    for path in (country.parent / "tiles").iterdir():
        with rasterio.open(path, "r+") as file:
            file.write(file.read() + np.uint16(raised))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", InputWarning)
        plan_country(country)
    said = [str(w.message) for w in told if w.category is InputWarning]
    assert len(said) == 1
    of = "the files of 9 of 9 tiles (first: T00) state" if raised else "T02.tif states"
    assert f"{of} no offset" in said[0]
    assert said[0].endswith("04.00, else offset=0")
