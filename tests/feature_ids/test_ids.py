"""Ids of features are read as they are written, and group by source and period."""

from __future__ import annotations

import dask.array as da
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osm4eo_xr.errors import InputError
from osm4eo_xr.feature_ids.channels import channels_of
from osm4eo_xr.feature_ids.ids import (
    Feature,
    Group,
    groups_of,
    missing_features,
    parse_feature,
    parse_group,
)
from osm4eo_xr.feature_ids.periods import days_of, middle_day

SOURCES = st.from_regex(r"[a-z][a-z0-9_.\-]{0,8}", fullmatch=True)
WORDS = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.\-]{0,8}", fullmatch=True)
FEATURES = st.builds(Feature, SOURCES, WORDS, st.just("") | WORDS)


@given(FEATURES)
def test_what_is_printed_is_read_again(feature: Feature) -> None:
    assert parse_feature(str(feature)) == feature


@given(st.lists(FEATURES, max_size=12))
def test_groups_hold_every_channel_once_and_are_of_one_source_and_period(
    features: list[Feature],
) -> None:
    groups = groups_of(features)
    assert sorted(c for g in groups for c in g.channels) == list(range(len(features)))
    assert len({g.name for g in groups}) == len(groups)
    for group in groups:
        assert group.channels == tuple(sorted(group.channels))
        for channel in group.channels:
            assert (features[channel].source, features[channel].period) == (
                group.source,
                group.period,
            )


@pytest.mark.parametrize(
    "text", ["", "S1:vv", "s1:", ":vv", "s1:vv@", "nir@2024", "s1:vv@2024@4", "a:b:c", "s1:v v"]
)
def test_other_text_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(InputError, match="expected source:band@period") as refused:
        parse_feature(text)
    assert "\n" not in str(refused.value)


def test_plain_names_are_bands_of_one_scene() -> None:
    groups = groups_of(["red", "nir", "s2:blue", "Band 7"])
    assert [(g.name, g.channels) for g in groups] == [("s2", (0, 1, 2, 3))]
    assert missing_features(["s2:red", "swir16"], ["red"]) == ("swir16",)


@pytest.mark.parametrize(
    ("period", "first", "last", "middle"),
    [
        ("2023", "2023-01-01", "2023-12-31", "2023-07-02"),
        ("2024-02", "2024-02-01", "2024-02-29", "2024-02-15"),
        ("2024-12", "2024-12-01", "2024-12-31", "2024-12-16"),
        ("2015-07-11", "2015-07-11", "2015-07-11", "2015-07-11"),
        ("2024-summer", "2024-06-01", "2024-08-31", "2024-07-16"),
        ("2024-winter", "2023-12-01", "2024-02-29", "2024-01-15"),
        ("2024-Q4", "2024-10-01", "2024-12-31", "2024-11-15"),
    ],
)
def test_periods_have_days(period: str, first: str, last: str, middle: str) -> None:
    days, day = days_of(period), middle_day(period)
    assert days is not None
    assert day is not None
    assert [days[0].isoformat(), days[1].isoformat(), day.isoformat()] == [first, last, middle]


@pytest.mark.parametrize(
    "period", ["", "wet", "2024-130", "2024-1", "0000", "0001-winter", "2024-w05"]
)
def test_words_of_ones_own_have_none(period: str) -> None:
    assert days_of(period) is None
    assert middle_day(period) is None


@pytest.mark.parametrize("period", ["2024-13", "2024-00", "2024-02-31", "2023-02-29", "0000-01"])
def test_dates_that_the_calendar_lacks_are_no_words(period: str) -> None:
    with pytest.raises(InputError, match=f"^period '{period}'; expected a month or day that"):
        days_of(period)
    with pytest.raises(InputError, match=f"^feature 's2:nir@{period}': period '{period}'"):
        parse_feature(f"s2:nir@{period}")
    with pytest.raises(InputError, match=f"^group 's2@{period}': period '{period}'"):
        parse_group(f"s2@{period}")


@settings(max_examples=25, deadline=None)
@given(st.data(), st.lists(FEATURES, min_size=1, max_size=6), st.sampled_from([0, -1]))
def test_a_pixel_counts_where_all_required_groups_and_one_at_least_have_data(
    data: st.DataObject, features: list[Feature], axis: int
) -> None:
    ids = [str(feature) for feature in features]
    names = [group.name for group in groups_of(ids)]
    optional = data.draw(st.lists(st.sampled_from(names), unique=True))
    channels = channels_of(ids, optional)
    flat = data.draw(st.lists(st.booleans(), min_size=6 * len(ids), max_size=6 * len(ids)))
    shape = (len(ids), 3, 2) if axis == 0 else (3, 2, len(ids))
    finite = np.array(flat).reshape(shape)
    first = np.moveaxis(finite, axis, 0)
    seeing = [n for n in names if "@" in n or n == "s2"] or names  # heights alone see nothing
    for y, x in np.ndindex(3, 2):
        seen = {n: all(first[k, y, x] for k in g.channels) for n, g in _by_name(ids).items()}
        counts = any(seen[n] for n in seeing) and all(seen[n] for n in names if n not in optional)
        assert channels.usable(finite, axis)[y, x] == counts
        there = np.moveaxis(np.broadcast_to(channels.present(finite, axis)[0], shape), axis, 0)
        wanted = [counts and seen[parse_feature(text).group] for text in ids]
        assert there[:, y, x].tolist() == wanted


@pytest.mark.parametrize("axis", [0, -1])
def test_dask_and_jax_arrays_have_the_same_validity(axis: int) -> None:
    channels = channels_of(["nir", "dem:slope", "s1:vv@2024", "s1:vh@2024"], ["s1@2024", "dem"])
    finite = np.random.default_rng(0).random((4, 5, 4)) < 0.7
    for module in (da.asarray, jnp.asarray):
        for found, wanted in zip(
            channels.present(module(finite), axis), channels.present(finite, axis), strict=True
        ):
            np.testing.assert_array_equal(np.asarray(found), wanted)


def _by_name(ids: list[str]) -> dict[str, Group]:
    return {group.name: group for group in groups_of(ids)}
