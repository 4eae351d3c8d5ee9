"""How a large set comes together, or apart: in parts, each a transaction of its own.

There is one writer at a time, so a transaction over all files of a plate would hold up everybody.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice

from sqlalchemy import Connection, delete, func, insert, select, update

from . import schema
from .forming import end, first_of, form, is_busy, reason_with, rows_in_parts, rows_of, values_of
from .intake import Stamp, wait_apart
from .parting import CLOSED, GATHERS, RECORDED, Parting
from .records import PART, Formed, Found, chunks, columns, met_of
from .states import OPEN, State
from .surrounding import Around, around
from .writer import REMARK, write_note


class Changed(Exception):
    """Somebody else has done something with the set, or with one of its files."""


@dataclass
class Gathered:
    """A set with all of its files in the journal, which waits for its last part.

    Or files that another set has already.
    """

    formed: Formed
    id: int
    event: int = 0  # the last one before it was begun
    within: bool = False  # it is the id of another set
    left: list[Found] = field(default_factory=list)  # they wait by themselves now
    number: int = 0  # of its files that it has, in their order

    @property
    def taken(self) -> Set[str]:
        """The paths that it has."""
        return _First(self.formed, self.number)


class _First(Set[str]):
    """The paths of the first files of a set.  Hardly ever is one looked up."""

    def __init__(self, formed: Formed, number: int) -> None:
        self._formed = formed
        self._number = number

    def __contains__(self, path: object) -> bool:
        position = self._formed.positions.get(path) if isinstance(path, str) else None
        return position is not None and position < self._number

    def __iter__(self) -> Iterator[str]:
        return (met.path for met in islice(self._formed.found, self._number))

    def __len__(self) -> int:
        return self._number


class Gathering(Parting):
    """Sets of any number of files.

    Rule: no transaction has more than a few times PART files.  Until its last part a set waits,
    with those of its files that it has so far; all others wait by themselves.  So nobody takes half
    a set, and who finds one after a kill lets its files wait apart (`dissolve`).
    """

    def form(
        self, formed: Formed, check: Callable[[Connection], None] = lambda connection: None
    ) -> tuple[int | None, list[Found]]:
        """Queues a fileset of several files.  Returns its id, and the files that are left over.

        The id is None if it has to be tried later.  It is the id of another set if that
        has all of the files.  The files left over were in former filesets; each of them
        waits by itself again.  `check` may raise something in the first transaction.
        """
        if len(formed.found) <= PART:
            with self._database.writing() as connection:
                check(connection)
                if not _large(connection, formed):
                    return form(connection, self._stamp(), formed)
        gathered = self.gather(formed, check)
        return (None, []) if gathered is None else self.queue(gathered)

    def gather(
        self, formed: Formed, check: Callable[[Connection], None] = lambda connection: None
    ) -> Gathered | None:
        """Brings the files of a set together; None if it has to be tried later.

        Then call `queue`, or `release`.
        """
        with self._database.reading() as connection:
            event = connection.scalar(select(func.max(schema.event_log.c.id))) or 0
            there = around(connection, formed)
            if there is not None and there.delays:
                return None
            for rows in rows_in_parts(connection, formed):
                if any(is_busy(row, formed.user) for row in rows) or self._others_gather(
                    connection, [row.id for row in rows]
                ):
                    return None
        if there is not None:
            return self._end_all(formed, there)
        gathered = Gathered(formed, 0, event)
        try:
            self._begin(gathered, check)
            with self._database.reading() as connection:
                large = _large(connection, formed)
            for identifier in large:
                if identifier != gathered.id:
                    gathered.left += self._fall_apart(gathered, identifier)
            for number, some in enumerate(chunks(formed.found, PART)):
                self._take_in(gathered, number * PART, some)
        except Changed:
            self.release(gathered)
            return None
        except BaseException:
            self._gathering.discard(gathered.id)
            raise
        return gathered

    def queue(self, gathered: Gathered) -> tuple[int | None, list[Found]]:
        """The last part, and what `form` returns."""
        formed = gathered.formed
        if gathered.within:
            return gathered.id, gathered.left
        try:
            with self._part(gathered, len(formed.found)) as connection:
                at = self._stamp()
                self._catch_up(connection, at, gathered)
                connection.execute(
                    update(schema.fileset)
                    .where(schema.fileset.c.id == gathered.id)
                    .values(state=State.QUEUED, reason="", changed=at.now, moved_by=at.who)
                )
                write_note(connection, f"{REMARK}{gathered.id}", formed.remark)
                write_note(connection, f"{GATHERS}{gathered.id}", "")
        except Changed:
            self._let_apart(gathered)
            return None, []
        finally:
            self._gathering.discard(gathered.id)
        left = {met.path: met for met in gathered.left if met.path not in formed.paths}
        return gathered.id, list(left.values())

    def release(self, gathered: Gathered) -> None:
        """It is not to be queued: each of its files waits by itself again."""
        try:
            self._let_apart(gathered)
        finally:
            self._gathering.discard(gathered.id)

    def _let_apart(self, gathered: Gathered) -> None:
        """As `release`, and nobody else may gather it yet."""
        if gathered.id and not gathered.within:
            self._part_with(gathered.id, (State.WAITING, *CLOSED))
            self.note(f"{GATHERS}{gathered.id}", "")

    def _fall_apart(self, gathered: Gathered, fileset: int) -> list[Found]:
        """A former set keeps only its first file; the others wait by themselves."""
        reason = reason_with(gathered.formed, gathered.id)
        self.move(fileset, State.QUEUED, State.WAITING, reason)
        return self._part_with(fileset, (State.WAITING, *CLOSED))

    def _begin(self, gathered: Gathered, check: Callable[[Connection], None]) -> None:
        """The set waits in the row of its first file, or in a new one.  Raises Changed."""
        formed = gathered.formed
        first = replace(formed, found=formed.found[:1])
        with self._database.writing() as connection:
            check(connection)
            at, rows = self._stamp(), rows_of(connection, first)
            # Looked at once more: a command may have begun since.
            if any(is_busy(one, formed.user) for one in rows) or self._others_gather(
                connection, [one.id for one in rows]
            ):
                raise Changed
            values = {**values_of(at, formed), "state": State.WAITING, "reason": RECORDED}
            row = first_of(rows, formed)
            if row is not None:
                if not self._gather_alone(int(row.id)):
                    raise Changed
                gathered.id = int(row.id)
                if State(row.state) not in OPEN:
                    values["refusals"] = 0
                connection.execute(
                    update(schema.fileset).where(schema.fileset.c.id == row.id).values(values)
                )
            else:
                values |= {"user": formed.user, "path": formed.found[0].path, "created": at.now}
                identifier = connection.scalar(
                    insert(schema.fileset).values(values).returning(schema.fileset.c.id)
                )
                assert identifier is not None
                gathered.id = int(identifier)
                self._gather_alone(gathered.id)
                put_in(connection, gathered.id, 0, formed.found[:1])
            self._say(connection, gathered.id)
        # What it has already stays as far as it is the same, in the same order.
        with self._database.reading() as connection:
            file = schema.file.c
            paths = connection.scalars(
                select(file.path).where(file.fileset == gathered.id).order_by(file.position)
            ).all()
        same = 0
        for path, met in zip(paths, formed.found, strict=False):
            if path != met.path:
                break
            same += 1
        if len(paths) > max(same, 1):
            gathered.left += self._part_with(gathered.id, (State.WAITING,), max(same, 1))

    def _take_in(self, gathered: Gathered, begin: int, some: Sequence[Found]) -> None:
        """A part: these files, from this position on.  Raises Changed."""
        formed = gathered.formed
        with self._part(gathered, begin) as connection:
            gathered.number = begin + len(some)
            self._end(connection, self._stamp(), gathered, replace(formed, found=some))
            put_in(connection, gathered.id, begin, some)

    def _end(self, connection: Connection, at: Stamp, gathered: Gathered, some: Formed) -> None:
        """The former filesets of some of the files end.  Raises Changed."""
        formed = gathered.formed
        rows = [row for row in rows_of(connection, some) if row.id != gathered.id]
        if any(is_busy(row, formed.user) for row in rows) or self._others_gather(
            connection, [row.id for row in rows], gathered.id
        ):
            raise Changed
        rows = [row for row in rows if row.user == formed.user]
        if set(_large(connection, some)) - {gathered.id}:
            raise Changed  # it came meanwhile
        left = end(connection, at, gathered.taken, rows, reason_with(formed, gathered.id))
        wait_apart(connection, at, formed.user, formed.root, left, "")
        gathered.left += left

    @contextmanager
    def _part(self, gathered: Gathered, has: int) -> Iterator[Connection]:
        """A transaction, if the set still waits and has its first files.  Raises Changed."""
        table, file = schema.fileset.c, schema.file.c
        with self._database.writing() as connection:
            there = connection.execute(
                select(table.id)
                .join_from(schema.file, schema.fileset)
                .where(
                    table.id == gathered.id,
                    table.state == State.WAITING,
                    table.user == gathered.formed.user,
                    file.position == max(has - 1, 0),
                    file.path == gathered.formed.found[max(has - 1, 0)].path,
                )
            ).first()
            if there is None or gathered.id not in self._gathering:
                raise Changed
            self._say(connection, gathered.id)
            yield connection

    def _catch_up(self, connection: Connection, at: Stamp, gathered: Gathered) -> None:
        """What others have done since the set was begun.  Raises Changed if that matters.

        Only filesets with events since then are looked at, whatever the number of files.
        """
        formed, log, table = gathered.formed, schema.event_log.c, schema.fileset.c
        file, first = schema.file.c, gathered.formed.found[0].path
        rows = connection.execute(
            select(table.id, table.path, table.state)
            .join_from(schema.event_log, schema.fileset)
            .where(log.id > gathered.event, table.id != gathered.id, table.user == formed.user)
            .distinct()
        ).all()
        under_way = (State.IMPORTING, State.IMPORTED)
        if any(row.path in formed.paths and row.state in under_way for row in rows):
            raise Changed
        in_omero = [row.id for row in rows if row.state in (State.QUEUED, *under_way)]
        for some in chunks(in_omero, PART):  # one that has all of these files
            here = (file.fileset.in_(some), file.path == first, file.position > 0)
            if connection.scalar(select(file.fileset).where(*here).limit(1)) is not None:
                raise Changed
        mine = [row for row in rows if row.path in formed.paths and row.state in OPEN]
        if len(mine) > PART:
            raise Changed
        met = {one.path: one for one in formed.found} if mine else {}
        files = connection.execute(
            select(schema.file).where(
                file.fileset.in_([row.id for row in mine]), file.position == 0
            )
        )
        waits = {row.fileset: met_of(row) for row in files}
        # One that has changed waits for its own rest.  The importer sees that, and the set
        # settles anew.
        same = [
            met[row.path]
            for row in mine
            if row.state != State.WAITING or waits.get(row.id) == met[row.path]
        ]
        if same:
            self._end(connection, at, gathered, replace(formed, found=same))

    def _end_all(self, formed: Formed, there: Around) -> Gathered | None:
        """The former filesets of files end that another set has already."""
        gathered = Gathered(formed, there.id, within=True)
        for some in chunks(formed.found, PART):
            with self._database.writing() as connection:
                state = connection.scalar(
                    select(schema.fileset.c.state).where(schema.fileset.c.id == there.id)
                )
                if state != there.state:
                    return None
                at = self._stamp()
                rows = [
                    row
                    for row in rows_of(connection, replace(formed, found=some))
                    if row.user == formed.user and row.id != there.id
                ]
                if any(is_busy(row, formed.user) for row in rows):
                    return None
                keep = first_of(rows, formed)
                left = end(connection, at, formed.paths, rows, there.reason, keep=keep)
                wait_apart(connection, at, formed.user, formed.root, left, "")
            gathered.left += left
        return gathered


def _large(connection: Connection, formed: Formed) -> list[int]:
    """Former sets of these files that are too large for one part."""
    file, first = schema.file.c, formed.found[0].path
    found: list[int] = []
    for rows in rows_in_parts(connection, formed):
        some = [
            row.id
            for row in rows
            # Of one that was skipped only the first file counts.
            if row.user == formed.user and (row.state != State.SKIPPED or row.path == first)
        ]
        found += connection.scalars(
            select(file.fileset).where(file.fileset.in_(some), file.position == PART)
        )
    return found


def put_in(connection: Connection, fileset: int, begin: int, some: Sequence[Found]) -> None:
    """Files of the set, in the place of those at their positions."""
    file = schema.file.c
    connection.execute(
        delete(schema.file).where(
            file.fileset == fileset, file.position >= begin, file.position < begin + len(some)
        )
    )
    connection.execute(
        insert(schema.file),
        [
            {"fileset": fileset, "position": begin + position, **columns(met)}
            for position, met in enumerate(some)
        ],
    )
