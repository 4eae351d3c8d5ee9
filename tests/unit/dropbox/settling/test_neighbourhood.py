"""What is near a directory is right, and is found without a look at everything that waits."""

from __future__ import annotations

import sys
from pathlib import PurePosixPath
from types import FrameType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omero_fs_plugin.dropbox.settling.neighbourhood import ByDirectory, Neighbourhood

AMY = ("amy", "/dropbox/amy")
parts = st.lists(st.sampled_from("ab"), max_size=3)
directories = parts.map(lambda some: "/".join(["/dropbox/amy", *some]))
acts = st.lists(st.tuples(st.booleans(), directories, st.sampled_from("xy")), max_size=30)


@given(acts, directories)
def test_near_is_what_lies_in_it_or_above_it(
    some: list[tuple[bool, str, str]], directory: str
) -> None:
    waits, known = set(), Neighbourhood()
    for comes, where, name in some:
        path = f"{where}/{name}"
        if comes:
            waits.add(path)
            known.add(path, AMY)
        else:
            waits.discard(path)
            known.remove(path)
    here = PurePosixPath(directory)
    all_of = {PurePosixPath(path).parent for path in waits}
    near = {d for d in all_of if d.is_relative_to(here) or here.is_relative_to(d)}
    assert {where for _, where in known.near(directory)} == {str(d) for d in near}
    assert {where for _, where in known.all()} == {str(d) for d in all_of}


def _lines(of: Any) -> int:
    """Lines of Python that are run for it."""
    counted = 0

    def trace(frame: FrameType, what: str, argument: object) -> Any:
        nonlocal counted
        counted += what == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        of()
    finally:
        sys.settrace(before)
    return counted


@pytest.mark.parametrize("directories", [500, 2000, 8000])
def test_a_question_costs_no_more_when_more_directories_wait(directories: int) -> None:
    known = Neighbourhood()
    for number in range(directories):
        known.add(f"/dropbox/amy/day {number}/a.tif", AMY)
    assert _lines(lambda: list(known.near("/dropbox/amy/day 7"))) < 40
    assert _lines(lambda: known.add("/dropbox/amy/day 7/b.tif", AMY)) < 40
    assert _lines(lambda: known.remove("/dropbox/amy/day 7/b.tif")) < 40


@given(acts, directories)
def test_below_is_what_lies_at_or_below_it(
    some: list[tuple[bool, str, str]], directory: str
) -> None:
    known: ByDirectory[None] = ByDirectory()
    for comes, where, name in some:
        if comes:
            known.of(where)[name] = None
        elif where in known:
            known.forget(where)
    here = PurePosixPath(directory)
    below = {d for d in known if PurePosixPath(d).is_relative_to(here)}
    found = list(known.below(directory))
    assert set(found) == {(where, name) for where in below for name in known[where]}
    assert len(found) == len(set(found))


def test_that_nothing_is_below_takes_no_look_at_the_others() -> None:
    class NotLookedAt(ByDirectory[None]):
        def items(self) -> Any:
            raise AssertionError("it was looked at")

    known = NotLookedAt()
    known.of("/dropbox/amy/b")["x"] = None
    assert list(known.below("/dropbox/amy/a")) == []
    known.forget("/dropbox/amy/b")
    assert list(known.below("/dropbox/amy")) == []
