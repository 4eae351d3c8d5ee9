"""FSServer's record: its file, and what stands in it after a restart."""

from __future__ import annotations

import logging
import os
import re
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omero_fs_plugin.events import EventType
from omero_fs_plugin.monitor.monitors import Monitors
from omero_fs_plugin.monitor.notices import Tell
from omero_fs_plugin.monitor.record import file as record_file
from omero_fs_plugin.monitor.record import pages
from omero_fs_plugin.monitor.record import picture as record_picture
from omero_fs_plugin.monitor.record import sent as sent_module
from omero_fs_plugin.monitor.record import writer as record_writer
from omero_fs_plugin.monitor.record.file import RecordError
from omero_fs_plugin.monitor.record.picture import Picture
from omero_fs_plugin.monitor.record.record import Record, Saved, open_record
from omero_fs_plugin.monitor.record.sent import Sent
from omero_fs_plugin.monitor.requests import MonitorType, PathMode, Request
from omero_fs_plugin.monitor.tracking.picture import State
from omero_fs_plugin.monitor.tracking.tree import MAYBE, NEVER
from tests.conftest import examples
from tests.known import grouped

CLIENT = 'name/category -t:tcp -h 127.0.0.1 -p 4061 -t 60000 "odd"'


def request(path: bytes = b"/data/odd\xff\n", **changed: object) -> Request:
    given: dict[str, object] = {
        "path": path,
        "type": MonitorType.PERSISTENT,
        "events": frozenset({EventType.CREATE, EventType.DELETE}),
        "mode": PathMode.RECURSE,
        "whitelist": (".tif", "ä"),
        "blacklist": ("scratch/",),
        "timeout": 1.5,
        "block_size": 7,
        "ignore_sys_files": True,
        "ignore_dir_events": False,
    }
    return Request(**{**given, **changed})  # type: ignore[arg-type]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "record.sqlite"


@pytest.fixture
def record(file: Path) -> Iterator[Record]:
    record = Record(file)
    yield record
    record.close()


def begun(record: Record, identifier: str, known: dict[bytes, State]) -> Picture:
    """A monitor that was created and started."""
    record.create(identifier, request(), CLIENT)
    picture = record.picture(identifier)
    assert picture is not None
    written = threading.Event()
    picture.begin(grouped(known), b"/data", between=lambda: None, done=written.set)
    assert written.wait(10)
    return picture


def loaded(record: Record, identifier: str) -> dict[bytes, State]:
    picture = record.picture(identifier)
    assert picture is not None
    return dict(picture.load())


# What is kept


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


# What was being told


def sent(*names: str, directory: bool = False) -> list[Tell]:
    return [Tell(EventType.CREATE, b"/data/" + name.encode(), directory) for name in names]


def doubts(record: Record) -> list[str]:
    picture = record.picture("one")
    assert picture is not None
    return [path.decode().removeprefix("/data/") for path, _ in picture.doubts()]


def test_what_was_sent_and_not_written_is_in_doubt(file: Path) -> None:
    record = Record(file)
    picture = begun(record, "one", {})
    picture.sending(sent("a", "b"))
    picture.settled()
    picture.write({b"/data/a": (1, 1, 1), b"/data/b": (1, 1, 1)})
    picture.sending(
        [
            *sent("c"),
            *sent("d", directory=True),
            Tell(EventType.MODIFY, b"/data/e"),
            Tell(EventType.DELETE, b"/data/a\xff"),
            Tell(EventType.SYSTEM, b"gap: /data: a sentence"),
        ]
    )
    picture.end()
    record.close()
    after = Record(file)
    again = after.picture("one")
    assert again is not None
    assert again.doubts() == [(b"/data/c", False), (b"/data/d", True), (b"/data/a\xff", False)]
    # They are the record's own now.
    again.write({b"/data/c": MAYBE, b"/data/d": "D?", b"/data/a\xff": MAYBE})
    after.close()
    last = Record(file)
    assert doubts(last) == []
    assert loaded(last, "one")[b"/data/c"] == MAYBE
    last.close()


def test_a_new_start_has_no_doubts(file: Path) -> None:
    record = Record(file)
    picture = begun(record, "one", {})
    picture.sending(sent("a"))
    picture.end()
    record.stopped("one")
    written = threading.Event()
    second = record.picture("one")
    assert second is not None
    second.begin(iter([]), b"/", between=lambda: None, done=written.set)
    assert written.wait(10)
    assert doubts(record) == []
    second.sending(sent("b"))
    second.end()
    assert doubts(record) == ["b"]
    record.close()


@pytest.mark.parametrize("cut", [1, 3, 11, 12, 13])
def test_what_was_not_written_whole_was_not_sent(tmp_path: Path, cut: int) -> None:
    file = tmp_path / "sent"
    log = Sent(file)
    log.write(1, sent("a"), 0)
    whole = file.stat().st_size
    log.write(2, sent("b"), 0)
    log.close()
    os.truncate(file, whole + cut)
    log = Sent(file)
    assert log.load(0) == (1, [(b"/data/a", False)])
    log.write(2, sent("c"), 0)
    log.close()
    assert Sent(file).load(1) == (2, [(b"/data/c", False)])


def test_what_was_sent_takes_bounded_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sent_module, "_ENOUGH", 200)
    monkeypatch.setattr(sent_module, "_LARGEST", 1000)
    file = tmp_path / "sent"
    log = Sent(file)
    largest = 0
    for number in range(1, 500):
        # The record is behind, by as much as ten entries; from time to time by none.
        shown = number - 1 if number % 100 == 0 else number - 10
        log.write(number, sent(f"{number:05}"), shown)
        largest = max(largest, file.stat().st_size)
    log.close()
    assert 1000 < largest < 1500
    last, doubted = Sent(file).load(489)
    assert last == 499
    assert [doubt.path for doubt in doubted] == [b"/data/%05d" % one for one in range(490, 500)]
    assert [one.name for one in tmp_path.iterdir()] == ["sent"]


def test_a_full_disk_keeps_nothing_from_being_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "sent"
    log = Sent(file)
    log.write(1, sent("a"), 0)
    real = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: real(descriptor, data[:5]))
    log.write(2, sent("b"), 0)
    assert "No space left" in caplog.text
    monkeypatch.undo()
    log.write(3, sent("c"), 0)
    log.close()
    assert Sent(file).load(0) == (3, [(b"/data/a", False), (b"/data/c", False)])


def test_of_a_monitor_that_is_no_more_nothing_is_left(file: Path) -> None:
    record = Record(file)
    for name in ("one", "two"):
        record.create(name, request(), CLIENT)
        picture = record.picture(name)
        assert picture is not None
        picture.sending(sent("a"))
        picture.end()
    record.forget("one")
    beside = Path(f"{file}.sent")
    assert [one.name for one in beside.iterdir()] == ["two"]
    (beside / "three").write_bytes(b"of a record that was set aside")
    record.close()
    Record(file).close()
    assert [one.name for one in beside.iterdir()] == ["two"]


# When it is written


def test_who_waits_waits_for_no_more_to_come(
    record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record_writer, "_GATHER", 3600.0)
    record.create("one", request(), CLIENT)
    picture = begun(record, "two", {})
    picture.write({b"/data/a": (1, 1, 1)})  # may wait
    record.stopped("one")  # may not, and takes it along
    assert loaded(record, "two") == {b"/data/a": (1, 1, 1)}
    for number in range(200):  # a large number of waiting events does not either
        picture.write({b"/data/%d" % number: (1, 1, 1)})
    record.close()


def test_after_the_end_nothing_hangs(record: Record) -> None:
    picture = begun(record, "one", {})
    record.close()
    picture.write({b"/data/a": (1, 1, 1)})
    record.stopped("one")
    record.forget("one")
    done = threading.Event()
    record.writer.post(lambda db: None, done.set)
    assert done.is_set()


# Nobody else's affair


def test_only_its_owner_may_read_it(file: Path) -> None:
    before = os.umask(0)
    try:
        file.touch(0o666)
        record = Record(file)
        picture = begun(record, "one", {b"/data/a": (1, 1, 1)})
        picture.sending([Tell(EventType.CREATE, b"/data/b")])
        modes = {
            str(one.relative_to(file.parent)): stat.S_IMODE(one.stat().st_mode)
            for one in file.parent.rglob("*")
        }
        assert modes == {
            "record.sqlite": 0o600,
            "record.sqlite-wal": 0o600,
            "record.sqlite.sent": 0o700,
            "record.sqlite.sent/one": 0o600,
        }
        picture.end()
        record.close()
    finally:
        os.umask(before)


def test_it_holds_what_createMonitor_was_given_and_what_is_known_and_no_more(
    file: Path, record: Record
) -> None:
    begun(record, "one", {b"/data/a": (1, 2, 3)})
    record.close()
    db = sqlite3.connect(file)
    tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    rows = {
        table: [
            [item for item in row if isinstance(item, str | bytes)]
            for row in db.execute(f"SELECT * FROM {table}")
        ]
        for table in tables
    }
    db.close()
    assert rows["known"] == []
    assert rows["page"] == [[b"/data/", b"a", b"a\0" + b"1,2,3"]]
    ((*words, asked, client, mount),) = rows["monitor"]
    assert (words, client, mount) == (["one", b"/data/odd\xff\n"], CLIENT, b"/data")
    assert set(re.findall(r'"(\w+)":', str(asked))) == {
        "type",
        "events",
        "mode",
        "whitelist",
        "blacklist",
        "timeout",
        "block_size",
        "ignore_sys_files",
        "ignore_dir_events",
        "client_timeout",
        "guest",
    }


def test_what_a_proxy_keeps_to_itself() -> None:
    """Contexts, where session keys travel, are no part of a proxy's text."""
    import Ice

    from omero_fs_plugin.monitor.servants import IceClient

    communicator = Ice.initialize()
    try:
        proxy = communicator.stringToProxy("client:tcp -h 127.0.0.1 -p 4061")
        keyed = proxy.ice_context({"omero.session": "5e551017", "omero.client.uuid": "c11e"})
        address = IceClient(keyed).address
        assert "5e551017" not in address
        assert communicator.stringToProxy(address) == proxy
    finally:
        communicator.destroy()


# A file that cannot be used


def corrupt(file: Path) -> None:
    with file.open("r+b") as stream:
        stream.seek(4096)
        stream.write(b"\xa5" * 4096)


def truncated(file: Path) -> None:
    with file.open("r+b") as stream:
        stream.truncate(file.stat().st_size // 2)


def not_a_database(file: Path) -> None:
    file.write_bytes(b"something else" * 1000)


def newer(file: Path) -> None:
    _execute(file, f"PRAGMA user_version = {record_file.VERSION + 1}")


def foreign(file: Path) -> None:
    file.unlink()
    _execute(file, "CREATE TABLE something_else (x)")


def without_sense(file: Path) -> None:
    _execute(file, 'UPDATE monitor SET request = \'{"type": "Eternal"}\'')


def a_directory(file: Path) -> None:
    file.unlink()
    (file / "sub").mkdir(parents=True)


def _execute(file: Path, statement: str) -> None:
    db = sqlite3.connect(file, isolation_level=None)
    db.execute(statement)
    db.close()


@pytest.mark.parametrize(
    "damage", [corrupt, truncated, not_a_database, newer, foreign, without_sense, a_directory]
)
def test_a_file_that_cannot_be_used_is_set_aside(
    file: Path, caplog: pytest.LogCaptureFixture, damage: Callable[[Path], None]
) -> None:
    first = Record(file)
    begun(first, "one", {b"/data/%05d" % number: (1, 1, 1) for number in range(2000)})
    first.close()
    damage(file)
    caplog.set_level(logging.ERROR)
    record = open_record(file)
    assert record is not None
    assert record.saved() == []
    record.create("two", request(), CLIENT)
    record.close()
    (line,) = [one.getMessage() for one in caplog.records]
    (aside,) = [one for one in file.parent.iterdir() if ".bad-" in one.name]
    assert str(file) in line and aside.name in line and "make them again" in line
    assert "\n" not in line
    again = open_record(file)
    assert again is not None
    assert [saved.identifier for saved in again.saved()] == ["two"]
    again.close()


def test_a_newer_version_is_kept_as_it_is(file: Path) -> None:
    Record(file).close()
    newer(file)
    before = file.read_bytes()
    record = open_record(file)
    assert record is not None
    record.close()
    (aside,) = file.parent.glob("*.bad-*")
    assert aside.read_bytes() == before


def test_two_set_aside_in_one_second(file: Path) -> None:
    for text in ("one", "two", "three"):
        file.write_text(text)
        record_file.set_aside(file)
    assert sorted(one.read_text() for one in file.parent.iterdir()) == ["one", "three", "two"]


def test_there_is_no_place_for_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)
    assert open_record(tmp_path / "none" / "record.sqlite") is None
    (line,) = [one.getMessage() for one in caplog.records]
    assert "monitors end with this FSServer" in line and str(tmp_path / "none") in line


def test_another_fsserver_has_it(
    file: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record_file, "_BUSY", 0.1)
    caplog.set_level(logging.ERROR)
    code = (
        "import sys, pathlib; from omero_fs_plugin.monitor.record.record import Record;"
        "r = Record(pathlib.Path(sys.argv[1])); print('open', flush=True); sys.stdin.read();"
        "r.close()"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", code, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"open\n"
        assert open_record(file) is None
        (line,) = [one.getMessage() for one in caplog.records]
        assert "another FSServer uses it" in line
        assert [one for one in file.parent.iterdir() if ".bad-" in one.name] == []
        assert other.stdin is not None
        other.stdin.close()
        other.wait(20)
    record = open_record(file)
    assert record is not None
    record.close()


def failing(record: Record) -> None:
    """As a disk that is full, from the next transaction on."""

    def full(db: sqlite3.Connection) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    done = threading.Event()
    record.writer.post(full, done.set)
    assert done.wait(10)


def test_it_fails_on_the_way(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    record = Record(file)
    picture = begun(record, "one", {b"/data/a": (1, 1, 1)})
    failing(record)
    failing(record)
    (line,) = [one.getMessage() for one in caplog.records if one.levelno >= logging.ERROR]
    assert "disk is full" in line and "monitors go on" in line
    picture.write({b"/data/b": (1, 1, 1)})
    record.create("two", request(), CLIENT)  # returns
    record.forget("two")
    with pytest.raises(RecordError, match="was set aside"):
        record.saved()
    with pytest.raises(RecordError, match="was set aside"):
        dict(picture.load())
    record.close()
    assert not file.exists()  # nothing that is not true any more is believed later


def test_a_transaction_is_whole_or_not_at_all(file: Path) -> None:
    record = Record(file)
    picture = begun(record, "one", {b"/data/a": (1, 1, 1)})
    picture.write({b"/data/a": None, b"/data/b": (1, 1, 1)})
    failing(record)
    record.close()
    (aside,) = file.parent.glob("*.bad-*")
    if (wal := Path(f"{aside}-wal")).exists():
        assert stat.S_IMODE(wal.stat().st_mode) == 0o600
    db = sqlite3.connect(aside)
    paged, known = (db.execute(f"SELECT * FROM {table}").fetchall() for table in ("page", "known"))
    assert (len(paged), len(known)) in ((1, 0), (0, 1))
    db.close()


# Monitors over it


class Nobody:
    """A client that is never told anything."""

    def __init__(self, address: str) -> None:
        self.address = address

    def notify(self, identifier: str, tells: list, done: Callable[[bool], None]) -> None:  # type: ignore[type-arg]
        done(True)

    def probe(self, done: Callable[[bool], None]) -> None:
        done(True)


def test_one_monitor_that_makes_no_sense_keeps_no_other_from_going_on(
    file: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = Record(file)
    for name in ("good", "bad"):
        first.create(name, request(os.fsencode(tmp_path)), name)
    first.close()

    def client(address: str) -> Nobody:
        if address == "bad":
            raise ValueError("no such endpoint")
        return Nobody(address)

    record = Record(file)
    monitors = Monitors(record=record)
    monitors.restore(client)
    assert list(monitors.all()) == ["good"]
    assert "no such endpoint" in caplog.text
    monitors.close()
    record.close()
    after = Record(file)
    assert [saved.identifier for saved in after.saved()] == ["good"]
    after.close()


@pytest.mark.parametrize("kind", [*MonitorType], ids=lambda kind: kind.value)
def test_only_persistent_monitors_are_kept(file: Path, tmp_path: Path, kind: MonitorType) -> None:
    record = Record(file)
    monitors = Monitors(record=record)
    asked = request(os.fsencode(tmp_path), type=kind)
    identifier = monitors.create(asked, Nobody("somebody"))
    monitors.get(identifier).start()
    monitors.close()
    record.close()
    after = Record(file)
    kept = [(saved.identifier, saved.started) for saved in after.saved()]
    assert kept == ([(identifier, True)] if kind is MonitorType.PERSISTENT else [])
    after.close()


def test_a_start_that_fails_leaves_it_stopped(file: Path, tmp_path: Path) -> None:
    record = Record(file)
    monitors = Monitors(record=record)
    (tmp_path / "root").mkdir()
    monitor = monitors.get(
        monitors.create(request(os.fsencode(tmp_path / "root")), Nobody("somebody"))
    )
    monitor.start()
    monitor.stop()
    (tmp_path / "root").rmdir()
    with pytest.raises(Exception, match=r"root.*cannot be watched: No such file"):
        monitor.start()
    assert not monitor.started
    assert [saved.started for saved in record.saved()] == [False]
    monitors.close()
    record.close()


def test_start_stop_and_destroy_from_many_threads(file: Path, tmp_path: Path) -> None:
    record = Record(file)
    monitors = Monitors(record=record)
    (tmp_path / "root").mkdir()
    identifiers = [
        monitors.create(request(os.fsencode(tmp_path / "root")), Nobody("somebody"))
        for _ in range(4)
    ]
    end = time.monotonic() + 1.0

    def at_random(number: int) -> None:
        for turn in range(10**6):
            if time.monotonic() > end:
                return
            monitor = monitors.get(identifiers[(number + turn) % 4])
            (monitor.start if (number * 7 + turn) % 3 else monitor.stop)()

    threads = [threading.Thread(target=at_random, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
    for identifier in identifiers:
        monitors.get(identifier).start()
    for identifier in identifiers[:2]:
        monitors.get(identifier).stop()
    monitors.destroy(identifiers[3])
    monitors.close()
    record.close()
    after = Record(file)
    assert [(saved.identifier, saved.started) for saved in after.saved()] == [
        (identifiers[0], False),
        (identifiers[1], False),
        (identifiers[2], True),
    ]
    after.close()


@pytest.mark.parametrize("version", [2, 3])
def test_a_record_of_a_version_before_is_brought_up(file: Path, version: int) -> None:
    record = Record(file)
    picture = begun(record, "one", {})
    picture.write({b"/data/d/": "D", b"/data/d/e/": "d?", b"/data/d/f": (1, 2, 3)})
    record.close()
    _execute(file, "DROP TABLE page")
    if version == 2:
        _execute(file, "UPDATE known SET path = CAST(rtrim(CAST(path AS TEXT), '/') AS BLOB)")
    _execute(file, f"PRAGMA user_version = {version}")
    record = Record(file)
    assert loaded(record, "one") == {
        b"/data/d/": "D",
        b"/data/d/e/": "d?",
        b"/data/d/f": (1, 2, 3),
    }
    record.close()
