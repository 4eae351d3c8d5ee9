"""The log is the story: a line for each event, once, in order, and none while nothing happens."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

import pytest

from omero_fs_plugin.dropbox.journal.records import Event
from omero_fs_plugin.dropbox.journal.story import Story, line
from omero_fs_plugin.errors import JournalError


def event(number: int, before: str, after: str, reason: str = "", **more: object) -> Event:
    known = {
        **{"fileset": 12, "user": "amy", "root": "/drop/amy", "path": "/drop/amy/day 1/a.tif"},
        **{"who": "DropBox, 1", "reader": "", "files": 1, "attempts": 1},
        **{"server_fileset": None, "images": ""},
        **more,
    }
    return Event(id=number, before=before, after=after, reason=reason, **known)  # type: ignore[arg-type]


class Events:
    """A journal with events, which does not answer while it is `away`."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.away = False
        self.asked = 0
        self.written: Callable[[], None] = lambda: None

    def last_event(self) -> int:
        return max((one.id for one in self.events), default=0)

    def events_after(self, event: int, limit: int) -> list[Event]:
        self.asked += 1
        if self.away:
            raise JournalError("the database is away")
        return [one for one in self.events if one.id > event][:limit]

    def when_written(self, call: Callable[[], None]) -> None:
        self.written = call


@pytest.mark.parametrize(
    ("one", "words"),
    [
        (event(1, "", "waiting"), "met"),
        (event(1, "waiting", "waiting", "waits for b.tif"), "waits for b.tif"),
        (
            event(1, "waiting", "failed", "/drop/amy/day 1/a.tif: it is empty"),
            "failed: it is empty",
        ),
        (
            event(1, "waiting", "queued", reader="loci.formats.in.TiffReader", files=3),
            "at rest and whole with 3 files, grouped by TiffReader: queued",
        ),
        (event(1, "queued", "importing", attempts=2), "attempt 2 begins"),
        (
            event(1, "importing", "imported", server_fileset=7, images="8,9"),
            "imported as Fileset:7, Image:8, Image:9",
        ),
        (
            event(1, "importing", "imported", server_fileset=7, images="1,2,3,4,5"),
            "imported as Fileset:7, Image:1, Image:2, Image:3 and 2 more",
        ),
        (event(1, "importing", "failed", "no image"), "failed: no image"),
        (
            event(1, "failed", "skipped", "seen", who="omero fs, run by eve"),
            "set aside: seen, by eve",
        ),
    ],
)
def test_a_line_says_what_happened_to_whose_file(one: Event, words: str) -> None:
    assert line(one) == f"fileset 12 of amy, day 1/a.tif: {words}"


def test_a_name_breaks_no_line() -> None:
    one = event(1, "", "waiting", path="/drop/amy/a\nfileset 13 of zak, b.tif: failed")
    assert line(one) == "fileset 12 of amy, a\\nfileset 13 of zak, b.tif: failed: met"


def test_each_event_is_told_once_and_in_order(caplog: pytest.LogCaptureFixture) -> None:
    journal = Events()
    journal.events = [event(1, "", "waiting")]  # of an earlier run
    story = Story(journal)
    story.start()
    try:
        journal.events += [event(n, "waiting", "waiting", f"{n}") for n in range(2, 1300)]
        with caplog.at_level(logging.INFO):
            journal.written()
            assert story.stop(10.0)
    finally:
        story.stop(10.0)
    assert [text.rpartition(" ")[2] for text in caplog.messages] == [str(n) for n in range(2, 1300)]


def test_a_failure_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    journal = Events()
    story = Story(journal)
    journal.events = [event(1, "importing", "failed", "x"), event(2, "", "waiting")]
    with caplog.at_level(logging.INFO):
        assert not story.tell()
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


def test_what_happens_while_the_journal_is_away_is_told_later(
    caplog: pytest.LogCaptureFixture,
) -> None:
    journal = Events()
    journal.away = True
    journal.events = [event(1, "", "waiting")]
    story = Story(journal)
    with pytest.raises(JournalError), caplog.at_level(logging.INFO):
        story.tell()
    assert caplog.messages == []
    journal.away = False
    with caplog.at_level(logging.INFO):
        story.tell()
    assert len(caplog.messages) == 1


def test_nothing_is_read_while_nothing_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float | None] = []
    waiting = threading.Event.wait

    def wait(self: threading.Event, timeout: float | None = None) -> bool:
        if threading.current_thread().name == "story":
            waited.append(timeout)
        return waiting(self, timeout)

    monkeypatch.setattr(threading.Event, "wait", wait)
    journal = Events()
    story = Story(journal)
    story.start()
    assert story.stop(10.0)
    assert waited[0] is None, "it waits for news, not for a time"
    assert journal.asked == 1, "once, at its end"


def test_a_stop_just_before_it_forgets_its_sign_is_not_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    journal = Events()
    story = Story(journal)
    clear, cleared = story._written.clear, threading.Event()

    def stopped_first() -> None:
        story._stopping.set()
        story._written.set()
        clear()
        cleared.set()

    monkeypatch.setattr(story._written, "clear", stopped_first)
    story.start()
    journal.written()
    assert cleared.wait(10.0)
    story._thread.join(10.0)
    assert not story._thread.is_alive()
