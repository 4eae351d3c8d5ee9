"""A lot that comes to no answer is halved until the file is found."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from omero_fs_plugin.dropbox.grouping.filesets import Candidate, Grouping
from omero_fs_plugin.dropbox.grouping.halving import Unanswered, halved, together
from omero_fs_plugin.errors import ConfigurationError

LOT = [f"/d/{number:04}.tif" for number in range(2000)]


class Counting:
    """Says of each file that it is one set, and raises on some."""

    def __init__(self, *bad: str, error: Callable[[], Exception]) -> None:
        self.bad, self.error = set(bad), error
        self.asked = 0

    def __call__(self, files: Sequence[str]) -> Grouping:
        self.asked += 1
        if not self.bad.isdisjoint(files):
            raise self.error()
        return Grouping(tuple(Candidate((path,)) for path in files))


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (lambda: Unanswered("was ended by SIGSEGV"), "was ended by SIGSEGV"),
        (lambda: KeyError("x"), "KeyError: 'x'"),
        (lambda: UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates"), "UnicodeEncodeError"),
        (lambda: RecursionError("too deep"), "RecursionError: too deep"),
        (MemoryError, "MemoryError"),
    ],
)
@pytest.mark.parametrize("bad", [LOT[:1], LOT[-1:], LOT[777:778], [LOT[3], LOT[1500]]])
def test_the_file_is_found(bad: list[str], error: Callable[[], Exception], says: str) -> None:
    group = Counting(*bad, error=error)
    found = halved(group, LOT)
    refused = {one.files[0]: one.refused for one in found.candidates if one.refused}
    assert list(refused) == bad and all(says in why for why in refused.values())
    assert len(found.candidates) == len(LOT) and not found.unreadable
    assert group.asked <= 1 + len(bad) * 2 * 12, "as many questions as a halving takes"


def test_what_concerns_all_files_is_raised_at_once() -> None:
    group = Counting(*LOT, error=lambda: ConfigurationError("no Java"))
    with pytest.raises(ConfigurationError):
        halved(group, LOT)
    assert group.asked == 1


def test_no_files_at_all() -> None:
    assert halved(Counting(error=MemoryError), []) == Grouping(())


def test_two_answers_as_one() -> None:
    one = Grouping((Candidate(("a", "b")), Candidate(("x",))), {"c": "no reader"})
    other = Grouping((Candidate(("a", "b", "c")), Candidate(("x",), refused="it raised")))
    both = together(one, other)
    assert both.candidates == (Candidate(("a", "b", "c")), Candidate(("x",)))
    assert both.unreadable == {}, "it is in a set that the other half knows"
