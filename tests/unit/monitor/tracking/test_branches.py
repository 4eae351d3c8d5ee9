"""The next directory to scan is found at once, however many branches had their turn before."""

from __future__ import annotations

from collections import OrderedDict

from omero_fs_plugin.monitor.tracking.lanes import OWN, Due, Scans
from omero_fs_plugin.monitor.tracking.tree import Arrival, Directory

ROOT = b"/r"


def _scans(number: int) -> Scans:
    root, scans = Directory(ROOT, None), Scans()
    for one in range(number):
        scans.append(Directory(b"/r/%06d" % one, root), False)
    return scans


def test_branches_take_turns_and_one_put_back_comes_next() -> None:
    root, scans = Directory(ROOT, None), Scans()
    amy, zak = Directory(b"/r/amy", root), Directory(b"/r/zak", root)
    deep = Directory(b"/r/amy/deep", amy)
    assert (root.branch, amy.branch, deep.branch, zak.branch) == (b"", b"amy", b"amy", b"zak")
    for one in (amy, deep, zak):
        scans.append(one, False)
    assert scans.only_own
    assert scans.pop((), below=False) == (OWN, amy, False)
    scans.put_back(OWN, amy, True)
    taken = []
    while (found := scans.pop((), below=False)) is not None:
        taken.append(found)
    assert taken == [(OWN, amy, True), (OWN, zak, False), (OWN, deep, False)]
    assert not scans.lanes
    assert not scans.only_own


def test_the_first_branch_is_found_without_a_look_at_those_that_are_gone() -> None:
    scans = _scans(20_000)
    # A plain dict of so many keys of which the first 19,900 are gone is looked through from its
    # begin, for each of the others.  An ordered one knows its first.
    for _ in range(19_900):
        scans.pop((), below=False)
    (branches,) = scans.lanes.values()
    assert next(iter(branches)) == b"019900"
    assert isinstance(branches, OrderedDict)


def test_one_that_was_put_off_hides_no_other_that_is_due() -> None:
    due = Due()
    some = [
        Arrival(Directory(ROOT, None), b"%d" % one, fresh=False, bound=0.0, now=100.0)
        for one in range(2)
    ]
    for one in some:
        one.directory.arrivals[one.name] = one
        due.push_due(one)
    some[0].due = 100.5
    assert due.first() <= 100.0
    assert [due.pop(100.0), due.pop(100.0)] == some
