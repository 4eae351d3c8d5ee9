"""What people are to be told: from the events, until it is sent.

Rule: a letter is written and the events that it tells of are marked as told in one transaction.
It is noted as `sending` before anybody hears of it.  So after a kill it is not lost, and at most
sent once more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, delete, func, insert, select, update

from . import schema
from .database import Database, Mark

ADMINS = ""  # the person that stands for all of them
DIGEST, FAULT = "digest", "fault"
_GONE = ("sent", "dropped")
_HERE = ("waiting", "sending")
# Keys in `meta`: the last event before anybody was to be told, and, with a person's name behind
# it, the last event that the person was told of.
_SINCE, _TOLD = "told since", "told to "
_KEPT_S = 30 * 86400.0  # how long a letter is kept that has gone
_SOME = 2_000  # events in one statement
_DOUBT = "it is not known whether it has arrived"


@dataclass(frozen=True)
class News:
    """An event that people may be told of."""

    id: int
    at: float  # s since the epoch
    fileset: int
    user: str
    after: str  # state
    reason: str


@dataclass(frozen=True)
class Letter:
    """What one person, or the admins, are told."""

    id: int
    person: str  # OMERO user name; empty: the admins
    kind: str  # digest | fault
    state: str  # waiting | sending | sent | dropped
    content: str  # JSON
    tries: int
    doubt: bool  # it may have arrived
    reason: str
    created: float  # s since the epoch
    changed: float  # s since the epoch


class Outbox:
    """The letters of one journal.  Every method raises JournalError as `Database` does."""

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock
        self._looked: Mark | None = None  # at the last look, which found nothing new

    def begin(self) -> int:
        """People are to be told from now on.  Returns the last event that they are not told of."""
        with self._database.writing() as connection:
            known = _noted(connection, _SINCE)
            if known is None:
                known = str(connection.scalar(select(func.max(schema.event_log.c.id))) or 0)
                _note(connection, _SINCE, known)
            return int(known)

    def end(self) -> None:
        """Nobody is to be told any more: what waits is dropped, and what happens is not told."""
        meta, letter = schema.meta.c, schema.letter.c
        with self._database.reading() as connection:
            began = _noted(connection, _SINCE) is not None
        if not began:
            return
        with self._database.writing() as connection:
            connection.execute(
                delete(schema.meta).where((meta.key == _SINCE) | meta.key.startswith(_TOLD))
            )
            connection.execute(
                update(schema.letter)
                .where(letter.state.in_(_HERE))
                .values(state="dropped", reason="omero.fs.notify is none", changed=self._clock())
            )

    def marks(self) -> dict[str, int]:
        """Person -> the last event that this person was told of."""
        meta = schema.meta.c
        with self._database.reading() as connection:
            rows = connection.execute(
                select(meta.key, meta.value).where(meta.key.startswith(_TOLD))
            )
            return {key[len(_TOLD) :]: int(value) for key, value in rows}

    def news(self, after: int) -> Iterator[list[News]]:
        """The events after this one, in their order, some at a time.

        The database is not asked while nothing was written to it.
        """
        log, fileset = schema.event_log.c, schema.fileset.c
        mark = self._database.mark()
        if mark is not None and mark == self._looked:
            return
        while True:
            with self._database.reading() as connection:
                rows = connection.execute(
                    select(log.id, log.at, log.fileset, fileset.user, log.after, log.reason)
                    .join_from(schema.event_log, schema.fileset)
                    .where(log.id > after)
                    .order_by(log.id)
                    .limit(_SOME)
                ).all()
            if not rows:
                self._looked = mark
                return
            yield [News(*row) for row in rows]
            after = rows[-1].id

    def touched(self, after: int, through: int, user: str | None = None) -> list[int]:
        """The filesets with events after one and up to another; only of `user` if given."""
        log, fileset = schema.event_log.c, schema.fileset.c
        theirs = () if user is None else (fileset.user == user,)
        with self._database.reading() as connection:
            return list(
                connection.scalars(
                    select(log.fileset)
                    .join_from(schema.event_log, schema.fileset)
                    .where(log.id > after, log.id <= through, *theirs)
                    .distinct()
                    .order_by(log.fileset)
                )
            )

    def put(
        self,
        person: str,
        kind: str,
        content: str,
        *,
        through: int | None = None,
        notes: Mapping[str, str] | None = None,
    ) -> int | None:
        """Writes a letter, which tells of all events up to `through`.  Returns its id.

        None, and nothing is written, if a letter of this kind waits for the same person: what
        is new is told after that one.  `notes` are kept in the same transaction.
        """
        letter, now = schema.letter.c, self._clock()
        with self._database.writing() as connection:
            waits = connection.scalar(
                select(letter.id).where(
                    letter.person == person, letter.kind == kind, letter.state.in_(_HERE)
                )
            )
            if waits is not None:
                return None
            if through is not None:
                _note(connection, f"{_TOLD}{person}", str(through))
            for key, value in (notes or {}).items():
                _note(connection, key, value)
            connection.execute(
                delete(schema.letter).where(letter.state.in_(_GONE), letter.changed < now - _KEPT_S)
            )
            values = {"person": person, "kind": kind, "state": "waiting", "content": content}
            made: int | None = connection.scalar(
                insert(schema.letter)
                .values(created=now, changed=now, **values)
                .returning(letter.id)
            )
        return made

    def settled(self, through: int) -> None:
        """Notes that there is nothing left to tell anybody up to this event."""
        meta = schema.meta.c
        with self._database.writing() as connection:
            connection.execute(delete(schema.meta).where(meta.key.startswith(_TOLD)))
            _note(connection, _SINCE, str(through))

    def told(self, person: str, through: int) -> None:
        """Notes that there is nothing to tell this person up to this event."""
        with self._database.writing() as connection:
            _note(connection, f"{_TOLD}{person}", str(through))

    def waiting(self) -> list[Letter]:
        """What is to be sent, the oldest first."""
        return self._in("waiting")

    def get(self, identifier: int) -> Letter | None:
        """The letter with this id."""
        table = schema.letter
        with self._database.reading() as connection:
            row = connection.execute(select(table).where(table.c.id == identifier)).first()
            return None if row is None else _letter(row)

    def has(self, person: str, kind: str) -> bool:
        """Whether a letter of this kind to this person has not gone yet."""
        letter = schema.letter.c
        with self._database.reading() as connection:
            found = connection.scalar(
                select(letter.id)
                .where(letter.person == person, letter.kind == kind, letter.state.in_(_HERE))
                .limit(1)
            )
        return found is not None

    def last(self, person: str, kind: str) -> float | None:
        """When (s since the epoch) this person's last letter of this kind was written."""
        letter = schema.letter.c
        with self._database.reading() as connection:
            found: float | None = connection.scalar(
                select(func.max(letter.created)).where(letter.person == person, letter.kind == kind)
            )
        return found

    def take(self, identifier: int) -> bool:
        """waiting -> sending.  Returns whether it waited."""
        return self._move(identifier, "waiting", "sending", tries=schema.letter.c.tries + 1)

    def waits(self, identifier: int, reason: str) -> None:
        """Notes why a letter is not being sent yet."""
        self._move(identifier, "waiting", "waiting", reason=reason)

    def sent(self, identifier: int) -> None:
        """sending -> sent."""
        self._move(identifier, "sending", "sent", reason="")

    def later(self, identifier: int, reason: str) -> None:
        """sending -> waiting: it has certainly not arrived now."""
        self._move(identifier, "sending", "waiting", reason=reason)

    def unsure(self, identifier: int, reason: str) -> bool:
        """sending -> waiting: it may have arrived.  Returns whether it is sent once more.

        If it was in doubt before, it is dropped: nobody gets a letter a third time.
        """
        if self._move(identifier, "sending", "waiting", only_sure=True, doubt=1, reason=reason):
            return True
        self.drop(identifier, f"{reason}; {_DOUBT}, and it was sent twice")
        return False

    def drop(self, identifier: int, reason: str) -> None:
        """sending -> dropped: it will never arrive."""
        self._move(identifier, "sending", "dropped", reason=reason)

    def take_up(self) -> Sequence[Letter]:
        """At a start: the letters that were being sent when DropBox ended.  See `unsure`."""
        found = self._in("sending")
        for one in found:
            self.unsure(one.id, "DropBox ended while it was sent")
        return found

    def _in(self, state: str) -> list[Letter]:
        table = schema.letter
        with self._database.reading() as connection:
            rows = connection.execute(
                select(table).where(table.c.state == state).order_by(table.c.id)
            )
            return [_letter(row) for row in rows]

    def _move(
        self, identifier: int, before: str, after: str, *, only_sure: bool = False, **values: object
    ) -> bool:
        letter = schema.letter.c
        sure = (letter.doubt == 0,) if only_sure else ()
        with self._database.writing() as connection:
            done = connection.execute(
                update(schema.letter)
                .where(letter.id == identifier, letter.state == before, *sure)
                .values(state=after, changed=self._clock(), **values)
            )
            return done.rowcount == 1


def _letter(row: object) -> Letter:
    values = row._asdict()  # type: ignore[attr-defined]
    return Letter(**{**values, "doubt": bool(values["doubt"])})


def _noted(connection: Connection, key: str) -> str | None:
    meta = schema.meta.c
    found: str | None = connection.scalar(select(meta.value).where(meta.key == key))
    return found


def _note(connection: Connection, key: str, value: str) -> None:
    connection.execute(delete(schema.meta).where(schema.meta.c.key == key))
    connection.execute(insert(schema.meta).values(key=key, value=value))
