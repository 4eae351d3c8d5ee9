"""Importers on other machines: who they are, what each has claimed, and how that is given back.

Rule: a claim passes to another only together with its holder's right to write.  Whoever gives the
claims of a node back removes the node's row in the same transaction.  Each transaction of a node
begins with the question whether its row is there (`rules.FENCE`).  So a node that was only
stopped for a while, or whose network was cut, writes nothing more, and ends.

No clock is compared with another: who watches a node looks how long its count stands still.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from sqlalchemy import (
    Connection,
    and_,
    case,
    delete,
    exists,
    func,
    insert,
    literal,
    or_,
    select,
    update,
)

from omero_fs_plugin.errors import JournalError

from . import clocks, schema
from .clocks import Clock
from .records import Held, Node, Start
from .states import State
from .writer import CLAIMED_S, JournalWriter, write_note

log = logging.getLogger(__name__)

# Before an entry of importUsers: when its last import began, and of which fileset
_START = "start:"
LEFTOVER = "leftover:"  # before a fileset's id; the note says since when, in s since the epoch


class Nodes(JournalWriter):
    """What importers of several machines share."""

    def join(self, holder: str, told: str) -> Held:
        """Adds a node, and returns under what it writes from now on.  `told`: for people, JSON."""
        with self._database.writing(fenced=False) as connection:
            identifier = connection.scalar(
                insert(schema.node)
                .values(holder=holder, count=1, told=told)
                .returning(schema.node.c.id)
            )
        assert identifier is not None
        return Held(holder, 1, identifier)

    def renew(self, held: Held, told: str) -> bool:
        """Counts on, for a node and its claims.  Returns whether the node is still there.

        If it is not, its claims were given to others.  A node does not stay either that does not
        know the journal any more, because DropBox is of a newer release now.
        """
        node = schema.node.c
        with self._database.writing(fenced=False) as connection:
            try:
                self._database.refuse_newer(connection)
            except JournalError as error:
                log.error("%s", error)
                return False
            done = connection.execute(
                update(schema.node)
                .where(node.id == held.epoch, node.holder == held.holder)
                .values(count=node.count + 1, told=told)
            ).rowcount
            if done:
                connection.execute(
                    update(schema.claim)
                    .where(_of(held.holder, held.epoch))
                    .values(until=self._clock() + CLAIMED_S)
                )
        if done and self._database.lease == (held.holder, held.epoch):
            self._database.count += 1
        return bool(done)

    def tell_clock(self) -> None:
        """DropBox says for all others how its clock differs from the database's."""
        with self._database.reading() as connection:
            ahead = clocks.between(self._clock, lambda: _time(connection, self._clock))
            told = _noted_clock(connection)
        if ahead is None:
            return
        now = Clock(ahead, clocks.zone_at(self._clock()))
        if told is None or abs(ahead - told.ahead) > clocks.PRECISE_S or told.zone != now.zone:
            with self._database.writing() as connection:
                write_note(connection, clocks.NOTE, now.text)

    def ahead_of(self, clock: Callable[[], float]) -> Clock | None:
        """DropBox's clock, and how far it is ahead of `clock`; None if nobody can tell now."""
        with self._database.reading() as connection:
            ours = clocks.between(clock, lambda: _time(connection, clock))
            told = _noted_clock(connection)
        return None if ours is None or told is None else replace(told, ahead=told.ahead - ours)

    def nodes(self) -> list[Node]:
        """All nodes, with the number of filesets that each is at."""
        node = schema.node.c
        claims = (
            select(func.count())
            .select_from(schema.claim)
            .where(_of(node.holder, node.id))
            .scalar_subquery()
        )
        with self._database.reading() as connection:
            rows = connection.execute(
                select(node.id, node.holder, node.count, node.told, claims).order_by(node.id)
            )
            return [Node(*row) for row in rows]

    def give_back_of(self, node: Node, reason: str) -> list[int]:
        """Ends a node that stands still, and gives its filesets back to the queue.

        Nothing is done if it has counted on since `node` was read.  What it had still to finish
        after an import is ours then: returns the ids of those filesets.
        """
        table = schema.node.c
        with self._database.writing() as connection:
            gone = connection.execute(
                delete(schema.node).where(
                    table.id == node.id, table.holder == node.holder, table.count == node.count
                )
            ).rowcount
            return self._give_back(connection, _of(node.holder, node.id), reason) if gone else []

    def leave(self, held: Held, reason: str) -> None:
        """A node ends by itself: gives back what it still has.

        If it has still something to finish after an import, it stays in the journal, and counts on
        no more: whoever sees that takes it on, as from a node that stands still.
        """
        node, claim, fileset = schema.node.c, schema.claim.c, schema.fileset.c
        me = (node.id == held.epoch, node.holder == held.holder)
        with self._database.writing(fenced=False) as connection:
            counted = update(schema.node).where(*me).values(count=node.count + 1)
            if not connection.execute(counted).rowcount:
                return
            theirs = _of(held.holder, held.epoch)
            self._requeue(connection, theirs, reason)
            imported = connection.scalars(
                select(claim.fileset)
                .join(schema.fileset, fileset.id == claim.fileset)
                .where(theirs, fileset.state == State.IMPORTED)
            ).all()
            connection.execute(delete(schema.claim).where(theirs, claim.fileset.not_in(imported)))
            if not imported:
                connection.execute(delete(schema.node).where(*me))

    def give_back_orphans(self, reason: str) -> list[int]:
        """Gives back what nobody is at any more, as after a crash of DropBox.

        What is to be finished after an import is ours then: returns the ids of those filesets.
        """
        fileset, claim = schema.fileset.c, schema.claim.c
        with self._database.writing() as connection:
            adopted = self._give_back(connection, ~_alive(), reason)
            # Without a claim: it was made by a release that had none.
            claimed = exists().where(claim.fileset == fileset.id)
            self._to_queue(connection, ~claimed, reason)
            free = connection.scalars(
                select(fileset.id).where(
                    fileset.state == State.IMPORTED, fileset.to_annotate == 1, ~claimed
                )
            ).all()
            for identifier in free:
                self._claim(connection, identifier)
            return [*adopted, *free]

    def mine(self) -> tuple[list[int], list[int]]:
        """The filesets of this process's claims: those importing, and those to be finished."""
        fileset, claim = schema.fileset.c, schema.claim.c
        with self._database.reading() as connection:
            rows = connection.execute(
                select(fileset.id, fileset.state)
                .join(schema.claim, claim.fileset == fileset.id)
                .where(_of(*self._me))
                .order_by(fileset.id)
            ).all()
        return (
            [identifier for identifier, state in rows if state == State.IMPORTING],
            [identifier for identifier, state in rows if state == State.IMPORTED],
        )

    def turns(self) -> dict[str, int]:
        """User -> number of the user's last turn, on whatever machine."""
        table = schema.turn.c
        with self._database.reading() as connection:
            rows = connection.execute(select(table.user, table.number))
            return {row[0]: row[1] for row in rows}

    def started(self) -> dict[str, float]:
        """Entry of importUsers -> how long (s) ago its last import began, on whatever machine.

        Only entries are here whose imports begin a time apart.
        """
        with self._database.reading() as connection:
            now = _time(connection, self._clock)
            rows = connection.execute(
                select(schema.meta.c.key, schema.meta.c.value).where(
                    schema.meta.c.key.startswith(_START, autoescape=True)
                )
            )
            return {key.removeprefix(_START): now - _when(value) for key, value in rows}

    def not_started(self, entry: str, fileset: int) -> None:
        """What was taken needed no import, so nobody waits for the next one of this entry."""
        meta = schema.meta.c
        with self._database.writing() as connection:
            connection.execute(
                delete(schema.meta).where(
                    meta.key == _START + entry, meta.value.endswith(f" {fileset}")
                )
            )

    def _give_back(self, connection: Connection, which: Any, reason: str) -> list[int]:
        """Of claims: requeues what is importing, and takes on what is to be finished."""
        claim, fileset = schema.claim.c, schema.fileset.c
        self._requeue(connection, which, reason)
        imported = connection.scalars(
            select(claim.fileset)
            .join(schema.fileset, fileset.id == claim.fileset)
            .where(which, fileset.state == State.IMPORTED)
        ).all()
        connection.execute(delete(schema.claim).where(which))
        for identifier in imported:
            self._claim(connection, identifier)
        return list(imported)

    def _requeue(self, connection: Connection, which: Any, reason: str) -> None:
        claim, fileset = schema.claim.c, schema.fileset.c
        claimed = select(claim.fileset).where(which)
        # The end of the attempt also ends the claim, in the database.
        self._to_queue(connection, fileset.id.in_(claimed), reason)

    def _to_queue(self, connection: Connection, which: Any, reason: str) -> None:
        fileset = schema.fileset.c
        importing = and_(fileset.state == State.IMPORTING, which)
        for identifier in connection.scalars(select(fileset.id).where(importing)).all():
            # OMERO may still carry out a call of who was at it.
            write_note(connection, f"{LEFTOVER}{identifier}", f"{self._clock():.0f}")
            self._move(connection, identifier, (State.IMPORTING,), State.QUEUED, reason)


def _noted_clock(connection: Connection) -> Clock | None:
    value = connection.scalar(select(schema.meta.c.value).where(schema.meta.c.key == clocks.NOTE))
    return Clock.read(value) if value else None


def note_turn(connection: Connection, user: str, number: int) -> None:
    """Notes that `user` has had the turn with this number, or a later one."""
    turn = schema.turn.c
    later = case((turn.number < number, literal(number)), else_=turn.number)
    done = connection.execute(update(schema.turn).where(turn.user == user).values(number=later))
    if not done.rowcount:
        connection.execute(insert(schema.turn).values(user=user, number=number))


def too_early(connection: Connection, start: Start, clock: Callable[[], float]) -> bool:
    """Whether the last import of this entry began less than `start.apart` ago."""
    value = connection.scalar(
        select(schema.meta.c.value).where(schema.meta.c.key == _START + start.entry)
    )
    # A time to come is one of before the clock was set back.
    return value is not None and 0 <= _time(connection, clock) - _when(value) < start.apart


def note_start(
    connection: Connection, start: Start, fileset: int, clock: Callable[[], float]
) -> None:
    """Notes that an import of this entry begins now."""
    write_note(connection, _START + start.entry, f"{_time(connection, clock):.3f} {fileset}")


def _time(connection: Connection, clock: Callable[[], float]) -> float:
    """s since the epoch, by the one clock that all machines have in common."""
    if connection.dialect.name == "postgresql":
        return float(connection.scalar(select(func.extract("epoch", func.clock_timestamp()))) or 0)
    return clock()  # SQLite is for one machine


def _when(value: str) -> float:
    return float(value.partition(" ")[0])


def _of(holder: Any, epoch: Any) -> Any:
    """The claims of one holder."""
    claim = schema.claim.c
    return and_(claim.holder == holder, claim.epoch == epoch)


def _alive() -> Any:
    """The claims of nodes that are there, and of who has the lease."""
    claim, node, lease = schema.claim.c, schema.node.c, schema.lease.c
    return or_(
        exists().where(node.holder == claim.holder, node.id == claim.epoch),
        exists().where(lease.holder == claim.holder, lease.epoch == claim.epoch),
    )
