"""How a large set comes apart, in parts; and which sets somebody gathers just now."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, select, update

from . import schema
from .intake import take_others, wait_apart
from .moves import HOME
from .records import PART, Found
from .states import State
from .writer import CLAIMED_S, JournalWriter, write_note

# What a set waits for until all of its files are in it.
RECORDED = "waits for its other files to be recorded"
# Before the id of a set that is being gathered; the note says who does it, and until when (s since
# the epoch) that is believed.
GATHERS = "gathers "
CLOSED = (State.SKIPPED, State.FAILED)

_CLAIMING = threading.Lock()


class Parting(JournalWriter):
    """Sets that come apart.

    Rule: no transaction has more than PART files of a set.  After each part, a file is either in
    the set or waits by itself.
    """

    @property
    def _gathering(self) -> set[int]:
        """Sets that this process gathers just now."""
        found: set[int] = self.__dict__.setdefault("gathering", set())
        return found

    def _gather_alone(self, fileset: int) -> bool:
        """Gathers it from now on.  False if another thread does: that one has its files."""
        with _CLAIMING:
            if fileset in self._gathering:
                return False
            self._gathering.add(fileset)
            return True

    def dissolve(self, fileset: int) -> None:
        """If it is a set that waits, lets each of its files wait by itself again.

        The first file keeps the row, with what is known of earlier attempts.  Nothing is done
        while somebody gathers the set.
        """
        with self._database.reading() as connection:
            if self._others_gather(connection, [fileset]):
                return
        self._part_with(fileset, (State.WAITING,))
        if self.noted(f"{GATHERS}{fileset}"):
            self.note(f"{GATHERS}{fileset}", "")

    def _part_with(self, fileset: int, states: Sequence[State], keep: int = 1) -> list[Found]:
        """Lets the files of a set wait by themselves, from the last one on; all but `keep`.

        Returns them.  It ends early if the set is in none of `states`, or goes into quarantine:
        there its files are kept together, and nobody looks for them one by one.
        """
        table = schema.fileset.c
        apart: list[Found] = []
        while True:
            with self._database.writing() as connection:
                at = self._stamp()
                row = connection.execute(
                    select(table.user, table.root, table.state, table.reason).where(
                        table.id == fileset, table.state.in_(states)
                    )
                ).first()
                if row is not None and is_away(connection, fileset, row):
                    row = None
                some = take_others(connection, fileset, keep, PART) if row is not None else []
                if row is not None:
                    told = row.state == State.WAITING and row.reason != RECORDED
                    why = row.reason if told else ""
                    wait_apart(connection, at, row.user, row.root, some, why)
                    if keep == 1 and len(some) < PART:
                        connection.execute(
                            update(schema.fileset)
                            .where(table.id == fileset, table.reason == RECORDED)
                            .values(reason="", changed=at.now, moved_by=at.who)
                        )
            apart += some
            if len(some) < PART:
                return apart

    def _shed(self, fileset: int, state: State, reason: str | None = None) -> None:
        """Removes the files of a fileset that goes, but for the first, while it is in `state`."""
        table = schema.fileset.c
        is_so = [table.id == fileset, table.state == state]
        if reason is not None:
            is_so.append(table.reason == reason)
        while True:
            with self._database.writing() as connection:
                if connection.scalar(select(table.id).where(*is_so)) is None:
                    return
                if len(take_others(connection, fileset, 1, PART)) < PART:
                    return

    def _say(self, connection: Connection, fileset: int) -> None:
        holder, epoch = self._me
        until = self._clock() + CLAIMED_S
        value = f"{epoch} {until} {os.getpid()} {holder}"
        write_note(connection, f"{GATHERS}{fileset}", value)

    def _others_gather(
        self, connection: Connection, filesets: Sequence[int], mine: int = 0
    ) -> bool:
        """Whether one of these is a set that another thread, or another process, gathers.

        `mine`: what the caller gathers.  Who has the lease believes no other holder of it: that one
        is gone.  A command is believed for a while.
        """
        wanted = set(filesets) - {mine}
        if not wanted.isdisjoint(self._gathering):
            return True
        note = schema.meta.c
        rows = connection.execute(
            select(note.key, note.value).where(note.key.startswith(GATHERS, autoescape=True))
        ).all()
        if not rows:
            return False
        holder, epoch_now = self._me
        for key, value in rows:
            epoch, until, pid, who = value.split(" ", 3)
            ours = (int(epoch), int(pid), who) == (epoch_now, os.getpid(), holder)
            gone = float(until) < self._clock() or (epoch_now > 0 and int(epoch) > 0)
            if int(key.removeprefix(GATHERS)) in wanted and not ours and not gone:
                return True
        return False


def is_away(connection: Connection, fileset: int, row: Any) -> bool:
    """Whether a failed set lies in quarantine, or a part of it already."""
    note = schema.meta.c
    if row.state != State.FAILED:
        return False  # it was opened again where it lies
    home = connection.scalar(select(note.value).where(note.key == f"{HOME}{fileset}"))
    return bool(home) and home != row.root
