"""Files of SAFE products by their names alone: images, tiles, resolutions, in folders and zips."""

import zipfile
from pathlib import Path

import pytest

from osm4eo_xr.errors import InputError
from osm4eo_xr.imagery.products.safe_files import METADATA, files_in, finest_images, read_file

GRANULE = "GRANULE/L2A_T33UXQ_A033710_20230820T095146"
NEW = f"{GRANULE}/IMG_DATA/R{{0}}m/T33UXQ_20230820T094549_{{1}}_{{0}}m.jp2"


def test_the_finest_image_of_each_band_is_taken_whatever_the_order() -> None:
    names = [NEW.format(m, b) for m, b in ((60, "B04"), (10, "B04"), (20, "B04"), (20, "SCL"))]
    for order in (names, names[::-1]):
        assert finest_images(order, "p/") == {
            ("33UXQ", "B04"): f"p/{NEW.format(10, 'B04')}",
            ("33UXQ", "SCL"): f"p/{NEW.format(20, 'SCL')}",
        }


def test_cloud_probabilities_lie_apart_and_other_masks_are_no_images() -> None:
    names = [
        f"{GRANULE}/QI_DATA/MSK_CLDPRB_20m.jp2",
        f"{GRANULE}/QI_DATA/MSK_CLDPRB_60m.jp2",
        f"{GRANULE}/QI_DATA/MSK_SNWPRB_20m.jp2",
        f"{GRANULE}/QI_DATA/MSK_QUALIT_B04.jp2",
        f"{GRANULE}/QI_DATA/T33UXQ_20230820T094549_PVI.jp2",
        f"{GRANULE}/IMG_DATA/R10m/T33UXQ_20230820T094549_TCI_10m.jp2",
    ]
    assert finest_images(names, "") == {("33UXQ", "PRB"): names[0]}


def test_level_1c_and_old_products_name_no_resolution() -> None:
    old = "S2A_OPER_MSI_L1C_TL_SGS__20151204T163116_A002351_T33UUU_N02.00"
    names = [
        "GRANULE/L1C_T33UXQ_A033710_20230820T095146/IMG_DATA/T33UXQ_20230820T094549_B8A.jp2",
        f"x/GRANULE/{old}/IMG_DATA/S2A_OPER_MSI_L1C_TL_SGS__20151204T163116_A002351_T33UUU_B01.jp2",
    ]
    assert finest_images(names, "/p/") == {
        ("33UXQ", "B8A"): f"/p/{names[0]}",
        ("33UUU", "B01"): f"/p/{names[1]}",
    }


def test_what_macos_leaves_in_zips_is_no_image() -> None:
    good = NEW.format(10, "B04")
    folder, _, name = good.rpartition("/")
    assert finest_images([f"{folder}/._{name}", good], "") == {("33UXQ", "B04"): good}


def test_one_band_from_two_products_is_refused() -> None:
    names = [NEW.format(10, "B04"), f"copy/{NEW.format(10, 'B04')}"]
    with pytest.raises(InputError) as refused:
        finest_images(names, "p/")
    assert refused.value.given == (
        f"p/ holds band B04 of tile 33UXQ twice: {names[0]} and {names[1]}"
    )
    assert refused.value.expected == "the files of one product"
    assert refused.value.advice == "download it again"
    assert len(finest_images([NEW.format(10, "B04")] * 2, "")) == 1  # the same file twice


@pytest.mark.parametrize(
    ("name", "level"),
    [
        ("MTD_MSIL1C.xml", "1C"),
        ("X.SAFE/MTD_MSIL2A.xml", "2A"),
        ("S2A_OPER_MTD_SAFL1C_PDMC_20160101T000000_R022_V20160101T102.xml", "1C"),
        ("S2B_USER_MTD_SAFL2A_PDMC.xml", "2A"),
        ("GRANULE/L2A/MTD_TL.xml", None),
        ("MTD_DS.xml", None),
        ("MTD_MSIL2A.xml.bak", None),
    ],
)
def test_metadata_files_say_their_level(name: str, level: str | None) -> None:
    found = METADATA.search(name)
    assert (found and found["level"]) == level


def test_a_folder_and_its_zip_list_and_give_the_same_files(tmp_path: Path) -> None:
    root = tmp_path / "p"
    (root / "b").mkdir(parents=True)
    (root / "b" / "two.txt").write_bytes(b"2")
    (root / "a.txt").write_bytes(b"1")
    names, prefix = files_in(root)
    assert (names, prefix) == (["a.txt", "b/two.txt"], f"{root}/")
    packed = tmp_path / "p.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        for name in reversed(names):
            archive.write(root / name, name)
    inside, before = files_in(packed)
    assert (inside, before) == (names, f"/vsizip/{{{packed}}}/")
    for place in (root, packed):
        assert [read_file(place, name) for name in names] == [b"1", b"2"]


def test_missing_products_and_broken_zips_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(InputError) as refused:
        files_in(tmp_path / "none.zip")
    assert str(refused.value) == f"no product {tmp_path}/none.zip; give a .SAFE folder or its zip"
    (tmp_path / "b.zip").write_bytes(b"PK\x03\x04 cut")
    with pytest.raises(InputError) as refused:
        files_in(tmp_path / "b.zip")
    assert refused.value.given == f"{tmp_path}/b.zip is neither a folder nor a whole zip"
    assert refused.value.advice == "download it again"
