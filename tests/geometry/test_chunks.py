"""Windows meet the chunks that hold their pixels, whole and once."""

from hypothesis import given
from hypothesis import strategies as st

from osm4eo_xr.geometry.chunks import even_spans, meetings

SIZES = st.lists(st.integers(1, 9), min_size=1, max_size=6)
SPANS = st.lists(st.tuples(st.integers(-20, 60), st.integers(0, 30)), max_size=4)


@given(SIZES, st.integers(-20, 20), SPANS)
def test_meetings_name_each_pixel_of_a_span_once(
    sizes: list[int], first: int, starts: list[tuple[int, int]]
) -> None:
    place = {}
    for chunk, size in enumerate(sizes):
        for pixel in range(size):
            place[first + sum(sizes[:chunk]) + pixel] = chunk, pixel
    spans = [(start, start + length) for start, length in starts]
    for (start, stop), found in zip(spans, meetings(sizes, first, spans), strict=True):
        seen = {m.at + k: (m.chunk, m.cut.start + k) for m in found for k in range(m.pixels)}
        assert sum(m.pixels for m in found) == len(seen)
        assert seen == {at - start: place[at] for at in range(start, stop) if at in place}


@given(st.integers(1, 100), st.integers(1, 30))
def test_even_spans_follow_each_other(length: int, edge: int) -> None:
    spans = even_spans(length, edge)
    assert [at for start, stop in spans for at in range(start, stop)] == list(range(length))
    assert all(stop - start == edge for start, stop in spans[:-1])
