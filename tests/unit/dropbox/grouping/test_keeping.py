"""What an index that is not whole keeps back."""

from __future__ import annotations

import pytest

from omero_fs_plugin.dropbox.grouping.completeness import Findings
from omero_fs_plugin.dropbox.grouping.filesets import Candidate, Reach
from omero_fs_plugin.dropbox.grouping.keeping import holder, kept_back, kept_unreadable


@pytest.mark.parametrize(
    ("reach", "path", "takes"),
    [
        (Reach("/r/d"), "/r/d/a.tif", True),
        (Reach("/r/d"), "/r/d/e/a.tif", False),
        (Reach("/r/d", 1), "/r/d/e/a.tif", True),
        (Reach("/r/d", 1), "/r/d/e/f/a.tif", False),
        (Reach("/r/d"), "/r/dd/a.tif", False),
        (Reach("/r/d"), "/r/d", False),
        (Reach("/", 3), "/r/d/a.tif", True),
        (Reach("/r/d", suffixes=("tif",)), "/r/d/A.TIF", True),
        (Reach("/r/d", suffixes=("tif",)), "/r/d/a.jpg", False),
        (Reach("/r/d", names=("a.jpg",)), "/r/d/a.jpg", True),
        (Reach("/r/d", names=("a.jpg",)), "/r/d/b.jpg", False),
        (Reach("/r/d", 0, ("tif",), ("a.jpg",)), "/r/d/a.jpg", True),
        (Reach("/r/d", 0, ("tif",), ("a.jpg",)), "/r/d/b.tif", True),
    ],
)
def test_what_an_index_reaches(reach: Reach, path: str, takes: bool) -> None:
    assert reach.takes(path) == takes


def test_singles_go_with_the_index_that_keeps_them_back() -> None:
    index = Candidate(("/r/i",), incomplete="no end")
    held = holder(index, Findings(incomplete="no end", keeps=(Reach("/r", 1, ("tif",)),)))
    assert held is not None
    free = Candidate(("/r/b.jpg",))
    across = Candidate(("/r/c.tif", "/elsewhere/c.tif"))
    found = list(kept_back([index, Candidate(("/r/d/a.tif",)), free, across], [held]))
    assert [one.files for one in found] == [("/r/i", "/r/d/a.tif"), free.files, across.files]


def test_files_that_are_named_wait_with_an_index_that_lacks_others() -> None:
    index = Candidate(("/r/i",), missing=("/r/b",))
    held = holder(index, Findings(missing=("/r/b",), named=("/r/a",)))
    assert held is not None
    found = list(kept_back([Candidate(("/r/a",)), index], [held]))
    assert [one.files for one in found] == [("/r/i", "/r/a")]


def test_an_index_that_is_whole_keeps_nothing_back() -> None:
    assert holder(Candidate(("/r/i",)), Findings(named=("/r/a",))) is None


def test_two_that_keep_each_other_back_are_both_there() -> None:
    both = [Candidate((path,), incomplete="no end") for path in ("/r/a.tif", "/r/b.tif")]
    state = Findings(incomplete="no end", keeps=(Reach("/r", 0, ("tif",)),))
    holders = [one for one in (holder(candidate, state) for candidate in both) if one]
    assert list(kept_back(both, holders)) == both


def test_what_no_reader_takes_waits_with_the_index_that_knows_its_name() -> None:
    index = Candidate(("/r/i",), missing=("/r/a.tif",))
    keeps = (Reach("/r", 0, ("tif",)), Reach("/r", names=("a.tif",)))
    held = holder(index, Findings(missing=("/r/a.tif",), named=("/r/b",), keeps=keeps))
    assert held is not None
    unreadable = ["/r/A.TIF", "/r/b", "/r/c.tif"]
    free = Candidate(("/r/d.jpg",))
    found = kept_unreadable([index, free], [held], unreadable)
    assert [one.files for one in found] == [("/r/i", "/r/A.TIF", "/r/b"), free.files]
