"""Writes into the record, for one started monitor, exactly what its client has heard."""

from __future__ import annotations

import math
from collections.abc import Callable

from omero_fs_plugin.monitor.notices import Tell
from omero_fs_plugin.monitor.record.picture import Picture
from omero_fs_plugin.monitor.requests import PathMode
from omero_fs_plugin.monitor.tracking.picture import (
    ENTERED,
    MOUNTED,
    Changes,
    Ledger,
    restore,
    snapshot,
)
from omero_fs_plugin.monitor.tracking.tracker import Tracker

from .outbox import Outbox

# While one notification follows another, what was heard is posted this often; the thread is woken
# for it only if nothing else has happened after as long again.  Until then it is certain what most
# files look like that were told just after a write (racy.CONFIRM), so each is written once.
EVERY = 0.1  # s


class Keeper:
    """Rule: the record shows exactly what the client has heard.

    Between the telling and its record there are two to three tenths of a second.
    If FSServer is killed in this moment, it tells the same again.  It also tells the
    Delete of what is gone since, because what was sent is in a file beside the record.

    Without a `picture` it does nothing.
    """

    def __init__(
        self, picture: Picture | None, tracker: Tracker, outbox: Outbox, mode: PathMode
    ) -> None:
        self._picture = picture
        self._tracker = tracker
        self._outbox = outbox
        self._mode = mode
        self._ledger = Ledger(mode)
        # What the client had heard at the last post, and is in the next one; and up to which entry
        # of what was sent this is all.
        self._held: Changes = {}
        self._held_heard = 0
        self._begun = False
        self._post_at = -math.inf  # not before

    def begin(self, between: Callable[[], None], done: Callable[[], None]) -> None:
        """Everything is watched; `done` is called when what is known is written."""
        self._begun = True
        if self._picture is None:
            done()
            return
        self._ledger.take()  # part of what follows
        known = snapshot(self._tracker.root, self._outbox.waiting(), self._mode)
        self._picture.begin(known, self._tracker.mount, between=between, done=done)

    def resume(self) -> None:
        """Gives the tracker what the client knew.  Raises RecordError."""
        self._begun = True
        if self._picture is not None:
            restore(self._tracker.root, self._picture.load())
            self._tracker.mount = self._picture.mount
            doubts = self._picture.doubts()
            for path, is_directory in doubts:
                self._tracker.doubt(path, is_directory)
            self._ledger.known(doubts, self._tracker.root)

    def silent(self, tell: Tell) -> None:
        """Something happened that the client did not ask for."""
        if self._picture is not None:
            self._ledger.silent(tell, len(self._outbox))

    def sending(self, batch: list[Tell]) -> None:
        """The client is about to be told of these, for the first time."""
        if self._picture is not None and batch:
            self._picture.sending(batch)

    def arrived(self, batch: list[Tell]) -> None:
        """The client has heard these."""
        if self._picture is not None:
            self._ledger.arrived(batch)
            self._picture.settled()

    def dropped(self, waiting: list[Tell]) -> None:
        """The client will not hear these, and the tracker has taken them back."""
        if self._picture is not None:
            self._ledger.dropped(waiting, self._tracker.root)
            self._picture.settled()

    def away(self, seconds: float) -> None:
        """Keeps for how long (s) the client has been away."""
        if self._picture is not None:
            self._picture.away(seconds)

    def due(self) -> float:
        """When to call `write` if nothing else happens before; inf if there is no need."""
        some = self._ledger.due or self._held
        return self._post_at + EVERY if some and self._begun else math.inf

    def write(self, now: float | None = None, *, urgent: bool = False) -> None:
        """Posts what changed until it last did; nothing if it last did just before `now`.

        What changed since is posted with it if it is certain what all files look like by now.
        `urgent`: more is not expected soon, so the record does not wait for it.
        """
        if self._picture is None or not self._begun:
            return
        if now is not None and now < self._post_at:
            return
        changes, heard = self._due(now)
        if changes or self._held:
            # What has waited here does not wait once more.
            urgent = urgent or now is None or now - self._post_at <= EVERY
            if now is not None:
                self._post_at = now + EVERY
        if changes:
            for key, state in changes.items():
                if state == ENTERED:
                    child = self._tracker.root.known(key)
                    if child is not None and child.mounted:
                        changes[key] = ENTERED + MOUNTED
            self._picture.write(changes, heard, urgent=urgent)
        if self._tracker.reachable:
            self._picture.keep_mount(self._tracker.mount)

    def _due(self, now: float | None) -> tuple[Changes, int]:
        """What to post, and the last entry of what was sent that is all in it or written."""
        assert self._picture is not None
        before, heard_before = self._held, self._held_heard
        new, heard = self._ledger.take(), self._picture.heard
        for path in before.keys() & new.keys():
            # The latest state of a file that was there and still is; what is newer may be written.
            if isinstance(before[path], tuple) and isinstance(new[path], tuple):
                before[path] = new.pop(path)
        if now is None or self._tracker.racy.since == math.inf:
            self._held, self._held_heard = {}, heard
            return {**before, **new}, heard
        self._held, self._held_heard = new, heard
        return before, heard_before

    def close(self) -> None:
        """The monitor was stopped, but its thread hangs."""
        if self._picture is not None:
            self._picture.close()

    def end(self) -> None:
        """The monitor's thread ends."""
        if self._picture is not None:
            self._picture.end()
