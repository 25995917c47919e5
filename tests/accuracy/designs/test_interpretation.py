"""Labels of people: rules for unsure, alternatives and several interpreters; their agreement."""

import numpy as np
import pandas as pd
import pytest

from osm4eo_xr.accuracy.confusion import cohens_kappa
from osm4eo_xr.accuracy.designs.interpretation import fleiss_kappa, read_interpretations
from osm4eo_xr.errors import InputError
from osm4eo_xr.legend import default_legend

LEGEND = default_legend()
IDS = np.array([11, 12, 13, 14])


def sheet(classes: list, alternatives: list | None = None, ids: list | None = None) -> pd.DataFrame:
    columns = {"id": ids or IDS.tolist(), "class": classes}
    return pd.DataFrame(columns | ({"alternative": alternatives} if alternatives else {}))


def test_fleiss_1971_psychiatric_diagnoses() -> None:
    """Fleiss 1971, table 1: 30 patients, six psychiatrists, κ = 0.430.

    The table as R's irr and statsmodels' tests have it (``diagnoses``); they give 0.4302445.
    """
    text = """
        444444 222555 233335 555555 222444 113333 333355 113334 114444 555555 144444 124444 222333
        144444 224445 333335 111455 111112 224444 133555 555555 244444 224555 114444 144445 222224
        111155 224444 133333 555555
    """
    rows = text.split()
    counts = np.array([[row.count(str(k)) for k in range(1, 6)] for row in rows])
    assert fleiss_kappa(counts) == pytest.approx(0.4302445, abs=5e-8)


def test_cohens_kappa_is_scikit_learns() -> None:
    from sklearn.metrics import cohen_kappa_score, confusion_matrix

    rng = np.random.default_rng(0)
    a = rng.integers(0, 5, 300)
    b = np.where(rng.random(300) < 0.6, a, rng.integers(0, 5, 300))
    assert cohens_kappa(confusion_matrix(a, b)) == pytest.approx(cohen_kappa_score(a, b))


def test_labels_are_read_by_their_rules() -> None:
    found = read_interpretations(
        sheet(["forest", "unsure", None, 12], ["water", "forest", None, 12]), IDS, LEGEND, None, ""
    )
    assert found.primary.tolist() == [8, 0, 0, 12]
    assert found.alternative.tolist() == [12, 0, 0, 0]
    assert found.unsure.tolist() == [False, True, False, False]
    assert found.agreement == {}


def test_rows_may_come_in_any_order_and_some_be_missing() -> None:
    found = read_interpretations(sheet([5, 7], ids=[13, 11]), IDS, LEGEND, None, "")
    assert found.primary.tolist() == [7, 0, 5, 0]


def test_whole_ids_are_read_however_they_are_written() -> None:
    found = read_interpretations(sheet([5, 7], ids=[13.0, "11"]), IDS, LEGEND, None, "")
    assert found.primary.tolist() == [7, 0, 5, 0]


def test_the_majority_of_those_who_are_sure_wins() -> None:
    sheets = [
        sheet([8, 8, 8, "?"], [None, 12, None, None]),
        sheet([8, 12, 12, 5], [None, None, 8, None]),
        sheet([12, 5, "unsure", "?"], [None, None, None, None]),
    ]
    found = read_interpretations(sheets, IDS, LEGEND, None, "")
    # 11: two against one. 12: a tie, and 12 is named once more. 13: a tie, 8 is named once more.
    assert found.primary.tolist() == [8, 12, 8, 5]
    assert found.alternative.tolist() == [12, 0, 12, 0]
    assert found.agreement["interpreters"] == 3
    assert found.agreement["points"] == 2
    assert found.agreement["all_agree"] == 0


def test_a_tie_that_no_alternative_breaks_is_unsure() -> None:
    found = read_interpretations([sheet([8] * 4), sheet([12, 8, 8, 8])], IDS, LEGEND, None, "")
    assert found.primary.tolist() == [0, 8, 8, 8]
    assert found.unsure.tolist() == [True, False, False, False]
    assert found.agreement["all_agree"] == 0.75
    assert list(found.agreement["cohens_kappa"]) == ["1-2"]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (sheet([8], ids=[99]), "has id 99, which the design does not have"),
        (sheet([8, 8], ids=[11, 11]), "has id 11 2 times"),
        (sheet([8, 8], ids=[11.4, 12.0]), r"has id 11\.4, which the design does not have"),
        (sheet([8, 8], ids=[float("inf"), 12]), "has id inf, which the design does not have"),
        (pd.DataFrame({"class": [8]}), "has no column id"),
        (pd.DataFrame({"id": [11]}), "has no column class_id or class"),
        (sheet(["lake"] * 4), "sheet 1, row 0, column class: .*'lake'"),
        (sheet([None] * 4), "no point of the design has a label"),
    ],
)
def test_wrong_sheets_are_refused(given: pd.DataFrame, words: str) -> None:
    with pytest.raises(InputError, match=words):
        read_interpretations(given, IDS, LEGEND, None, "")
