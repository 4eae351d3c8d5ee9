"""Lines in the width of a terminal: in columns, between words, and never within a command."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wcwidth import wcswidth

from omero_fs_plugin.cli import columns
from omero_fs_plugin.cli.columns import Place, laid_out, plain, short_path, shortened

JAPANESE = "\u65e5\u672c\u8a9e"
ACCENT = "e\u0301"  # two characters in one column
TEXTS = st.text(alphabet=f"ab/ _.-{JAPANESE}{ACCENT}\u00e9", max_size=60)


@pytest.mark.parametrize(
    ("text", "number"),
    [("abc", 3), (JAPANESE, 6), (ACCENT, 1), ("\uff21", 2), ("\u00e9", 1), ("", 0)],
)
def test_columns(text: str, number: int) -> None:
    assert columns.columns(text) == number


@given(TEXTS)
def test_columns_are_those_of_a_terminal(text: str) -> None:
    assert columns.columns(text) == wcswidth(text)


@pytest.mark.parametrize(
    ("path", "width", "short"),
    [
        ("amy/a/b/c.tif", 20, "amy/a/b/c.tif"),
        ("amy/first/second/third.tif", 24, "amy/.../second/third.tif"),
        ("amy/first/second/third.tif", 20, "amy/.../third.tif"),
        ("amy/one two three four five.tif", 22, "one two ...five.tif"),
    ],
)
def test_a_path_is_shortened_between_its_parts(path: str, width: int, short: str) -> None:
    assert short_path(path, width) == short


@given(TEXTS, st.integers(16, 60))
def test_a_short_path_always_fits(path: str, width: int) -> None:
    assert columns.columns(short_path(path, width)) <= width


@given(TEXTS, st.integers(0, 60))
def test_a_shortened_text_always_fits(text: str, width: int) -> None:
    assert columns.columns(shortened(text, width)) <= width


LONG = "/OMERO/DropBox/amy/2026-11-28 mice/" + "day/" * 20 + "a rather long name.tif"
WIDE = f"/OMERO/DropBox/amy/{JAPANESE * 12}/{JAPANESE * 14}.tif"
COMMAND = "`setfacl -m u:omero-server:rx " + "/srv/data" * 9 + "`"


@pytest.mark.parametrize("width", [40, 60, 80, 200])
@pytest.mark.parametrize(
    ("line", "begin"),
    [
        pytest.param("word " * 60, "  ", id="words"),
        pytest.param("  whose:    of amy, " + "by the rule " * 20, " " * 12, id="a label"),
        pytest.param("  2026-11-28 12:00:00  met " + "and met again " * 20, " ", id="a time"),
        pytest.param(
            ("  failed: 12 ", Place(LONG), ": no reader takes it " * 9), " " * 4, id="path"
        ),
        pytest.param(("  failed: 12 ", Place(WIDE), ": why"), " " * 4, id="a wide path"),
        pytest.param(f"waits for {LONG}: which is not there", "  ", id="a path in a reason"),
        pytest.param(f"waits for {WIDE}: {JAPANESE * 50}", "  ", id="a wide reason"),
        pytest.param((Place(LONG), ", ", Place(WIDE), ": 12 files"), "  ", id="two paths"),
    ],
)
def test_lines_fit_and_no_word_is_broken(line: columns.Line, begin: str, width: int) -> None:
    lines = list(laid_out(line, width))
    assert all(columns.columns(one) <= width for one in lines), lines
    assert all(one.startswith(begin) and one.strip() for one in lines[1:]), lines
    words = set(plain(line).replace(",", " ").split())
    broken = [
        word
        for one in lines
        for word in one.replace(",", " ").split()
        if word not in words and "..." not in word
    ]
    # Parts of a path that was shortened between its words.
    assert all(word in plain(line) for word in broken), broken
    assert "".join(lines).count("...") <= 4


def test_a_command_is_never_shortened() -> None:
    lines = list(laid_out(f"error   amy: cannot be read -> {COMMAND}, then check", 60, 8))
    assert " ".join(line.strip() for line in lines).endswith(f"-> {COMMAND}, then check")
    assert lines[0].startswith("error   amy: ") and all(
        one.startswith(" " * 8) for one in lines[1:]
    )


@given(st.lists(st.one_of(TEXTS, TEXTS.map(Place)), min_size=1, max_size=5), st.integers(40, 90))
def test_whatever_it_is_it_fits(parts: list[str], width: int) -> None:
    for line in laid_out(tuple(parts), width):
        assert columns.columns(line) <= width


@given(st.lists(TEXTS, min_size=1, max_size=4))
def test_what_fits_stays_as_it_is(parts: list[str]) -> None:
    assert list(laid_out(tuple(parts), 10_000)) == ["".join(parts)]
