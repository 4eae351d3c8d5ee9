"""What every write to the journal has: the lease that it is made under, and how a state changes."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from sqlalchemy import ClauseElement, Connection, insert, select, update

from . import schema, statements
from .intake import Stamp
from .reader import JournalReader
from .records import Held
from .states import State

# How long (s) a claim lasts; it is renewed with the lease.
CLAIMED_S = 60.0


class JournalWriter(JournalReader):
    """The journal, for one process that writes.

    Rule: a fileset changes its state in one statement, which names the state before.
    So if two try this, only one succeeds.  The database refuses illegal transitions.
    """

    _held = Held()  # the lease that this process works under

    def move(
        self, fileset: int, before: State | tuple[State, ...], after: State, reason: str = ""
    ) -> bool:
        """Moves a fileset if it is still in `before`.  Returns whether it was.

        Raises JournalError if the transition is illegal.
        """
        befores = before if isinstance(before, tuple) else (before,)
        with self._database.writing() as connection:
            return self._move(connection, fileset, befores, after, reason)

    def note(self, key: str, value: str) -> None:
        """Keeps a value beyond the life of this process.  An empty value removes it."""
        with self._database.writing() as connection:
            write_note(connection, key, value)

    def unnote(self, key: str, said: str) -> None:
        """Removes a note that says this; one that says something else by now stays."""
        with self._database.writing() as connection:
            if connection.scalar(statements.NOTED, {"of": key}) == said:
                write_note(connection, key, "")

    def one_at_a_time(self, what: str) -> AbstractContextManager[None]:
        """Meanwhile no importer does `what`, of whatever machine.  Raises JournalError."""
        return self._database.one_at_a_time(what)

    def set_lease(self, before: Held, after: Held) -> bool:
        """Changes the lease if it is still `before`.  Returns whether it was.

        This also renews the claims that the holder of `after` has.  Raises JournalError if it
        would pass to a release that does not know this journal: it may have waited for long.
        """
        table, claim = schema.lease, schema.claim
        values = {"holder": after.holder, "count": after.count, "epoch": after.epoch}
        with self._database.writing(fenced=False) as connection:
            if before.epoch != after.epoch:
                self._database.refuse_newer(connection)
            done = connection.execute(
                update(table)
                .where(
                    table.c.holder == before.holder,
                    table.c.count == before.count,
                    table.c.epoch == before.epoch,
                )
                .values(values)
            ).rowcount
            if not done:
                if before != Held() or connection.scalar(select(table.c.id)) is not None:
                    return False
                connection.execute(insert(table).values(id=1, **values))
            connection.execute(
                update(claim)
                .where(claim.c.holder == after.holder, claim.c.epoch == after.epoch)
                .values(until=self._clock() + CLAIMED_S)
            )
        if self._database.lease == (after.holder, after.epoch):
            self._database.count = after.count
        return True

    def work_as(self, held: Held, lost: Callable[[], None] = lambda: None) -> None:
        """Makes every write under this lease from now on.

        A write is refused after the lease has passed to another, or if an older journal was put
        in the place of this one.  `lost` is called at each refusal, in the thread that was refused.
        """
        self._held = held
        self._database.count = held.count
        self._database.lease, self._database.lost = (held.holder, held.epoch), lost

    def make_sure(self) -> None:
        """Raises LeaseLost if the lease has passed to another."""
        with self._database.writing():
            pass

    @property
    def _me(self) -> tuple[str, int]:
        """The holder and the epoch of the claims that this process makes."""
        return self._held.holder or self._who, self._held.epoch

    def _claim(self, connection: Connection, fileset: int) -> None:
        """This process is at the fileset from now on."""
        holder, epoch = self._me
        values = {"fileset": fileset, "holder": holder, "epoch": epoch}
        connection.execute(statements.CLAIM, {**values, "until": self._clock() + CLAIMED_S})

    def _stamp(self) -> Stamp:
        return Stamp(self._clock(), self._who)

    def _move(
        self,
        connection: Connection,
        fileset: int,
        before: tuple[State, ...],
        after: State,
        reason: str,
        **values: Any,
    ) -> bool:
        values |= {"state": after, "reason": reason, "waited": 0.0}
        values |= {"changed": self._clock(), "moved_by": self._who}
        # A value of another row, or of this one before, is a part of the statement.
        parts = {
            name: values.pop(name)
            for name in list(values)
            if isinstance(values[name], ClauseElement)
        }
        statement = statements.move(frozenset(values))
        done = connection.execute(
            statement.values(parts) if parts else statement,
            {"of": fileset, "befores": before}
            | {f"to_{name}": value for name, value in values.items()},
        )
        return done.rowcount == 1


# Before a fileset's id: the note is what people are told once it is imported.
REMARK = "remark "


def write_note(connection: Connection, key: str, value: str) -> None:
    """Keeps a value under `key`.  An empty value removes it."""
    connection.execute(statements.UNNOTE, {"of": key})
    if value:
        connection.execute(statements.NOTE, {"key": key, "value": value})
