"""The record: what was being told when FSServer ended."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from omero_fs_plugin.events import EventType
from omero_fs_plugin.monitor.notices import Tell
from omero_fs_plugin.monitor.record import sent as sent_module
from omero_fs_plugin.monitor.record.record import Record
from omero_fs_plugin.monitor.record.sent import Sent
from omero_fs_plugin.monitor.tracking.tree import MAYBE

from .records import CLIENT, begun, loaded, request


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


class Copied(bytes):
    """Counts what joining it to others copies."""

    copied = 0

    def __radd__(self, before: bytes) -> Copied:
        Copied.copied += len(before)
        return Copied(bytes(before) + bytes(self))

    def __add__(self, after: object) -> Copied:
        Copied.copied += len(self)
        return Copied(bytes(self) + bytes(after))  # type: ignore[call-overload]


def test_a_long_notification_is_copied_once(tmp_path: Path) -> None:
    paths = [Copied(b"/data/%05d" % number) for number in range(2_000)]
    log = Sent(tmp_path / "sent")
    log.write(1, [Tell(EventType.CREATE, path, False) for path in paths], 0)
    log.close()
    assert [doubt.path for doubt in Sent(tmp_path / "sent").load(0)[1]] == paths
    assert 0 < Copied.copied <= 2 * sum(map(len, paths))


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
