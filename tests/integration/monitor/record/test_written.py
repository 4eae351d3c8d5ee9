"""The record: when it is written."""

from __future__ import annotations

import threading

import pytest

from omero_fs_plugin.monitor.record import writer as record_writer
from omero_fs_plugin.monitor.record.record import Record

from .records import CLIENT, begun, loaded, request


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
