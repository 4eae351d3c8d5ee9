"""Files that may be written once more and look the same."""

from __future__ import annotations

from omero_fs_plugin.monitor.tracking.racy import CONFIRM, Racy
from omero_fs_plugin.monitor.tracking.tree import Directory

SEEN = (7, 1, 1)


def test_what_was_looked_at_later_than_it_was_told_is_certain_later() -> None:
    racy, directory = Racy(), Directory(b"/d", None)
    for name, told in ((b"before", 100.0), (b"a", 101.0), (b"b", 101.0)):
        directory.files[name] = SEEN
        racy.add(directory, name, SEEN, told)
    racy.looked(101.0, 101.5)
    assert list(racy.certain(101.5, all_=False)) == [(directory, b"before", SEEN)]
    assert racy.since == 101.5
    found = list(racy.certain(101.5 + CONFIRM, all_=False))
    assert found == [(directory, b"a", SEEN), (directory, b"b", SEEN)]
