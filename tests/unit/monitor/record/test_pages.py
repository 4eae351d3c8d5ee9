"""What a client knew at the start, in pages: as a dictionary of paths would have it."""

from __future__ import annotations

import sqlite3
from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st

from omero_fs_plugin.monitor.record import pages
from omero_fs_plugin.monitor.record.file import PAGE
from omero_fs_plugin.monitor.tracking.picture import State
from tests.known import grouped

# Few names, so that they meet; and all that a name may be: before and after "/" in the order of
# bytes, the beginning of another, not UTF-8.
NAMES = st.sampled_from([b"a", b"a!", b"a0", b"ab", b"b", b"\xff", b"\n", b"z"])
PATHS = st.builds(
    lambda above, name, end: b"/" + b"".join(one + b"/" for one in above) + name + end,
    st.lists(NAMES, max_size=2),
    NAMES,
    st.sampled_from([b"", b"/"]),
)
STATES = st.one_of(
    st.tuples(st.integers(0, 1 << 64), st.integers(-2, 1 << 62), st.integers(-(1 << 62), 1 << 62)),
    st.sampled_from(["D", "d?"]),
)
KNOWN = st.dictionaries(PATHS, STATES, max_size=30)


def kept(db: sqlite3.Connection, monitor: int) -> dict[bytes, State]:
    """What the pages of one monitor have."""
    query = "SELECT directory, first, names FROM page WHERE monitor = ? ORDER BY rowid"
    there = list(pages.unpacked(db.execute(query, (monitor,)).fetchall()))
    assert len(dict(there)) == len(there), "a path is there twice"
    return dict(there)


@given(KNOWN, st.lists(st.lists(PATHS, max_size=8), max_size=4), st.integers(1, 4))
def test_what_is_taken_out_is_gone_and_all_else_stays(
    known: dict[bytes, State], out: list[list[bytes]], in_one: int
) -> None:
    db = sqlite3.connect(":memory:")
    db.executescript(PAGE)
    other: dict[bytes, State] = {b"/a": (1, 2, 3), b"/a/b": (4, 5, 6)}
    with patch.object(pages, "IN_ONE", in_one):
        pages.add(db, 1, pages.packed(grouped(known)))
        pages.add(db, 2, pages.packed(grouped(other)))
    model = dict(known)
    assert kept(db, 1) == model
    without: set[bytes] = set()
    for paths in out:
        pages.take_out(db, 1, paths, without)
        assert without.isdisjoint(path.rstrip(b"/").rpartition(b"/")[0] + b"/" for path in model)
        for path in paths:
            model.pop(path, None)
        assert kept(db, 1) == model
    assert kept(db, 2) == other
    db.close()


def test_what_the_client_does_not_know_is_not_packed() -> None:
    assert list(pages.packed([(b"/", {b"a": None, b"b": (1, 2, 3)})])) == [
        (b"/", b"b", b"b\0" + b"1,2,3")
    ]


def test_a_directory_of_many_has_many_pages() -> None:
    many: dict[bytes, State] = {b"%05d" % number: (number, 0, 0) for number in range(1000)}
    there = list(pages.packed([(b"/", many)]))
    assert [first for _, first, _ in there] == [b"00000", b"00256", b"00512", b"00768"]
