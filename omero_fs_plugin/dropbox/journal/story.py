"""The log is the story: one line for each thing that happens to a fileset, whoever did it.

The lines come from the events that the database itself writes.  So none is missing, and each is
there once, in the order in which it happened.  A line never waits for the log: the events are
read by a thread of their own, soon after they were written.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Protocol

from omero_fs_plugin.errors import JournalError
from omero_fs_plugin.names import printable

from .records import Event
from .states import State
from .words import step

log = logging.getLogger(__name__)

_GATHER_S = 0.2  # events of so long are read together
_AGAIN_S = 5.0  # until the next look, if the journal does not answer
_AT_ONCE = 500  # events


class Events(Protocol):
    """What the story is read from: a JournalReader."""

    def last_event(self) -> int: ...

    def events_after(self, event: int, limit: int) -> list[Event]: ...

    def when_written(self, call: Callable[[], None]) -> None: ...


class Story:
    """Writes the log.  It does nothing while nothing is written to the journal."""

    def __init__(self, journal: Events) -> None:
        self._journal = journal
        self._last = 0  # the event that was told last
        self._written = threading.Event()
        self._stopping = threading.Event()
        # A daemon: the journal may hold it.
        self._thread = threading.Thread(target=self._run, name="story", daemon=True)

    def start(self) -> None:
        """Tells what happens from now on.  Raises JournalError."""
        self._last = self._journal.last_event()
        self._journal.when_written(self._written.set)
        self._thread.start()

    def stop(self, limit: float) -> bool:
        """Tells what is left, for `limit` s at most.  Returns whether the thread has ended."""
        if not self._thread.is_alive():
            return True
        self._stopping.set()
        self._written.set()
        self._thread.join(limit)
        return not self._thread.is_alive()

    def tell(self) -> bool:
        """Tells the next events.  Returns whether there may be more.  Raises JournalError."""
        some = self._journal.events_after(self._last, _AT_ONCE)
        for event in some:
            log.log(_level(event), "%s", line(event))
            self._last = event.id
        return len(some) == _AT_ONCE

    def _run(self) -> None:
        ended = False
        while not ended:
            self._written.wait()
            self._stopping.wait(_GATHER_S)
            self._written.clear()
            ended = self._stopping.is_set()  # after `clear`, which may have taken its sign
            try:
                while self.tell():
                    pass
            except JournalError as error:
                log.debug("the story stops here for a while: %s", error)
                self._written.set()
                ended = self._stopping.wait(_AGAIN_S)


def _level(event: Event) -> int:
    return logging.WARNING if event.after == State.FAILED else logging.INFO


def line(event: Event) -> str:
    """`fileset 12 of amy, day 1/a.tif: met`."""
    inside = event.path.removeprefix(f"{event.root.rstrip('/')}/")
    reason = event.reason.removeprefix(f"{event.path}: ")  # it is named once
    what = step(
        event.before,
        event.after,
        reason,
        event.who,
        reader=event.reader,
        files=event.files,
        attempt=event.attempts,
    )
    if event.after == State.IMPORTED and event.images:
        images = event.images.split(",")
        more = f" and {len(images) - 3} more" if len(images) > 3 else ""
        what += f" as Fileset:{event.server_fileset}, Image:{', Image:'.join(images[:3])}{more}"
    return f"fileset {event.fileset} of {event.user}, {printable(inside)}: {what}"
