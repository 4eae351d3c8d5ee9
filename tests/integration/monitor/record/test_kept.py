"""The record: what is kept of each monitor."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omero_fs_plugin.events import EventType
from omero_fs_plugin.monitor.record import file as record_file
from omero_fs_plugin.monitor.record import pages
from omero_fs_plugin.monitor.record import picture as record_picture
from omero_fs_plugin.monitor.record.record import Record, Saved
from omero_fs_plugin.monitor.requests import MonitorType, PathMode
from omero_fs_plugin.monitor.tracking.picture import State
from omero_fs_plugin.monitor.tracking.tree import MAYBE, NEVER
from tests.conftest import examples
from tests.known import grouped

from .records import CLIENT, begun, loaded, request


def test_a_monitor_is_kept_whole(file: Path) -> None:
    first = Record(file)
    first.create("one", request(), CLIENT)
    begun(first, "two", {b"/data/a": (1, 2, 3)})
    picture = first.picture("two")
    assert picture is not None
    picture.away(300.5)
    first.close()
    second = Record(file)
    assert second.saved() == [
        Saved("one", request(), CLIENT, False, 0.0),
        Saved("two", request(), CLIENT, True, 300.5),
    ]
    assert loaded(second, "two") == {b"/data/a": (1, 2, 3)}
    kept = second.picture("two")
    assert kept is not None
    assert kept.mount == b"/data"
    assert second.picture("three") is None
    second.close()


BIG = 2**64 - 1  # an inode may be


@pytest.mark.parametrize(
    "state", [(1, 2, 3), (BIG, 2**63 - 1, -(10**18)), NEVER, MAYBE, "D", "d", "Dm?"], ids=str
)
def test_a_state_comes_back(state: State) -> None:
    assert state is not None
    assert record_file.state_of(record_file.word_of(state)) == state


@pytest.mark.parametrize("word", ["", "x", "1,2", "1,2,3,4", "1,,2", "?D"])
def test_what_makes_no_sense_counts_as_never_seen(word: str) -> None:
    assert record_file.state_of(word) == NEVER


@settings(max_examples=examples(40))
@given(
    path=st.binary(min_size=1).map(lambda name: b"/" + name),
    timeout=st.floats(0.1, 1e8),
    names=st.lists(st.text(), max_size=3),
    types=st.frozensets(st.sampled_from([*EventType]), min_size=1),
    kind=st.sampled_from(MonitorType),
    mode=st.sampled_from(PathMode),
)
def test_a_request_comes_back(
    path: bytes,
    timeout: float,
    names: list[str],
    types: frozenset[EventType],
    kind: MonitorType,
    mode: PathMode,
) -> None:
    asked = request(
        path, timeout=timeout, whitelist=tuple(names), events=types, type=kind, mode=mode
    )
    assert record_file.request_of(path, record_file.text_of(asked)) == asked


def test_changes_are_written_in_their_order(record: Record) -> None:
    picture = begun(record, "one", {b"/data/a": (1, 1, 1), b"/data/d": "D"})
    picture.write({b"/data/a": None, b"/data/b": (2, 2, 2)})
    picture.write({b"/data/a": (3, 3, 3), b"/data/b": None, b"/data/d": None})
    record.stopped("nobody")  # nothing to wait for
    record.create("two", request(), CLIENT)  # written after what was posted before
    assert loaded(record, "one") == {b"/data/a": (3, 3, 3)}


def test_more_than_is_read_at_once(record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record_picture, "PAGES", 1)  # it is read so, and written
    monkeypatch.setattr(pages, "IN_ONE", 3)
    known: dict[bytes, State] = {b"/data/%03d" % number: (number, 0, 0) for number in range(100)}
    between: list[int] = []
    record.create("one", request(), CLIENT)
    picture = record.picture("one")
    assert picture is not None
    written = threading.Event()
    picture.begin(grouped(known), b"/", between=lambda: between.append(1), done=written.set)
    assert written.wait(10)
    assert len(between) == 34
    # A full chunk is read as often as it takes, whatever LIMIT the statement has.
    assert loaded(record, "one") == known


def test_a_start_that_is_killed_has_not_happened(file: Path, record: Record) -> None:
    picture = begun(record, "one", {b"/data/old": (1, 1, 1)})

    def killed() -> None:
        raise SystemExit

    known = grouped({b"/data/new": (2, 2, 2)})
    with pytest.raises(SystemExit):
        picture.begin(known, b"/", between=killed, done=lambda: None)
    record.close()
    after = Record(file)
    assert [saved.started for saved in after.saved()] == [False]
    assert loaded(after, "one") == {}  # what a start that was killed has left is removed
    after.close()


@pytest.mark.parametrize("ending", ["stopped", "forget"])
def test_stopped_and_forgotten(file: Path, record: Record, ending: str) -> None:
    begun(record, "one", {b"/data/a": (1, 1, 1)})
    begun(record, "two", {b"/data/b": (1, 1, 1)})
    getattr(record, ending)("one")
    assert [saved.identifier for saved in record.saved() if saved.started] == ["two"]
    assert len(record.saved()) == (2 if ending == "stopped" else 1)
    with closing(sqlite3.connect(":memory:")) as db:  # the file itself is locked
        db.execute("SELECT 1")
    record.close()
    after = sqlite3.connect(file)
    assert after.execute("SELECT first FROM page").fetchall() == [(b"b",)]
    after.close()


def test_a_monitor_that_was_stopped_writes_no_more(record: Record) -> None:
    picture = begun(record, "one", {})
    picture.close()
    picture.write({b"/data/a": (1, 1, 1)})
    written = threading.Event()
    picture.begin(grouped({b"/b/": "D"}), b"/", between=lambda: None, done=written.set)
    assert written.is_set()  # nobody is kept waiting
    record.stopped("one")
    assert loaded(record, "one") == {}


def test_a_number_is_not_given_twice(file: Path) -> None:
    first = Record(file)
    first.create("one", request(), CLIENT)
    begun(first, "two", {b"/data/a": (1, 1, 1)})
    first.forget("two")
    first.create("three", request(), CLIENT)
    assert loaded(first, "three") == {}
    first.close()
