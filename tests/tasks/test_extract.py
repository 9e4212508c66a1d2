from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tasks.extract import cut_at_stop

short = st.text(alphabet="ab\n#", max_size=30)
stop_lists = st.lists(st.text(alphabet="ab\n#", min_size=1, max_size=3), max_size=4)


@given(short, stop_lists)
def test_what_is_left_is_the_longest_start_of_the_text_that_ends_before_every_stop(text: str, stops: list[str]) -> None:
    starts = [text[:length] for length in range(len(text) + 1)]
    allowed = [
        start for start in starts if not any(text.startswith(stop, at) for stop in stops for at in range(len(start)))
    ]
    assert cut_at_stop(text, stops) == max(allowed, key=len)


@given(short, stop_lists)
def test_cutting_twice_is_cutting_once(text: str, stops: list[str]) -> None:
    once = cut_at_stop(text, stops)
    assert cut_at_stop(once, stops) == once


@given(short, stop_lists)
def test_no_stop_is_left(text: str, stops: list[str]) -> None:
    assert not any(stop in cut_at_stop(text, stops) for stop in stops)


@given(short, stop_lists)
def test_the_order_of_the_stops_does_not_matter(text: str, stops: list[str]) -> None:
    assert cut_at_stop(text, stops) == cut_at_stop(text, stops[::-1])


@given(short)
def test_without_stops_nothing_is_cut(text: str) -> None:
    assert cut_at_stop(text, []) == text


def test_a_stop_inside_a_line_is_no_stop_at_its_start() -> None:
    assert (
        cut_at_stop("    x = 1  # class\n    return x\nclass A:", ["\nclass", "\n#"])
        == "    x = 1  # class\n    return x"
    )
