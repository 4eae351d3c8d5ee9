"""What `omero fs check` leaves in OMERO for administrators."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omero_fs_plugin.dropbox.publishing.checked import (
    LEVELS,
    MOST_BYTES,
    MOST_LINES,
    Found,
    parsed,
    text_of,
)

AT = 1_800_000_000.0


def _text(*lines: Found) -> str:
    return text_of(lines, at=AT, host="omero.example.org", version="0.1.0")


def test_the_worst_comes_first_and_it_says_when() -> None:
    checked = parsed(_text(Found("ok", "a", "1", ""), Found("error", "b", "2", "mend it")))
    assert checked is not None
    assert [one.about for one in checked.lines] == ["b", "a"]
    assert (checked.at, checked.host, checked.left_out) == (AT, "omero.example.org", 0)
    assert [checked.number(level) for level in LEVELS] == [1, 0, 1]


@pytest.mark.parametrize(
    ("number", "what"),
    [(3 * MOST_LINES, "short"), (3 * MOST_LINES, "\u20ac" * 5000), (1, "\0" * 10**6)],
    ids=["many", "many long ones", "a very long one"],
)
def test_it_is_bounded(number: int, what: str) -> None:
    text = _text(*[Found("warning", what, what, what)] * number)
    checked = parsed(text)
    assert checked is not None and len(text) < MOST_BYTES + 500
    assert len(checked.lines) + checked.left_out == number and checked.lines


@given(st.lists(st.builds(Found, st.sampled_from(LEVELS), st.text(), st.text(), st.text())))
def test_whatever_was_found_can_be_read_and_sent_on(lines: list[Found]) -> None:
    checked = parsed(_text(*lines, Found("ok", "\udcff", "\ud800\n", "")))
    assert checked is not None
    for one in checked.lines:
        f"{one.about}{one.what}{one.remedy}".encode()


_GOOD = json.loads(_text(Found("ok", "a", "b", "")))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[",
        "[" * 100_000,
        "[]",
        json.dumps({**_GOOD, "format": 2}),
        json.dumps({**_GOOD, "at": float("nan")}),
        json.dumps({**_GOOD, "at": True}),
        json.dumps({**_GOOD, "at": 1e300}),
        json.dumps({**_GOOD, "left_out": -1}),
        json.dumps({**_GOOD, "lines": {}}),
        json.dumps({**_GOOD, "lines": [7]}),
        json.dumps({**_GOOD, "lines": [{"level": "worse"}]}),
        json.dumps({**_GOOD, "lines": [{"level": []}]}),
    ],
    ids=lambda text: text[:30],
)
def test_what_is_none_of_ours_counts_as_nothing(text: str) -> None:
    assert parsed(text) is None
