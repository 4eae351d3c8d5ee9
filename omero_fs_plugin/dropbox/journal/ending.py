"""How many files that wait, or have failed, end together; in parts, if they are very many."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from sqlalchemy import Connection, select, update

from omero_fs_plugin.stores import directory_of

from . import schema
from .forming import forget, told_of
from .gathering import Changed, Gathered, Gathering, put_in
from .intake import Stamp, take_others, wait_apart
from .parting import CLOSED, GATHERS
from .records import PART, PART_OF, Formed, chunks, met_of
from .states import State
from .writer import write_note

# Before the id of a failed fileset; the note has the paths that it lacks.
LACKS = "lacks "
_PARTS_OF_A_STORE = (State.WAITING, State.QUEUED, State.SKIPPED, State.FAILED)


class Ending(Gathering):
    """Sets that are given up, and files that turn out to be parts of a store."""

    def give_up(
        self,
        filesets: Sequence[int],
        reason: str,
        lacks: Sequence[str],
        *,
        lock: AbstractContextManager[object] | None = None,
        sure: Callable[[], bool] = lambda: True,
    ) -> int | None:
        """Fails parts of a set, which have waited long enough, as one fileset.  Returns its id.

        `filesets`: those of its files that wait, in their order.  The result is None if
        one of them no longer waits.  `lacks`: the paths of missing files, if known.  The last part
        holds `lock`, and is done only if all is still `sure`.
        """
        first = filesets[0]
        if not self._gather_alone(first):
            return None
        try:
            return self._give_up(first, filesets, reason, lacks, lock or nullcontext(), sure)
        finally:
            self._gathering.discard(first)

    def _give_up(
        self,
        first: int,
        filesets: Sequence[int],
        reason: str,
        lacks: Sequence[str],
        lock: AbstractContextManager[object],
        sure: Callable[[], bool],
    ) -> int | None:
        with self._database.reading() as connection:
            rows = list(_waiting(connection, filesets))
            others = self._others_gather(connection, filesets, first)
        if len(rows) < len(filesets) or others:
            self.make_sure()
            return None
        given_up = f"it has failed with {rows[0].path}, as fileset {first}"
        found = [met_of(row) for row in rows]
        gathered = Gathered(Formed(rows[0].user, rows[0].root, found), first)
        ours = 0  # of its files we have brought in so many
        try:
            # The last part is the one that fails the set.
            for begin in range(0, len(found), PART):
                last = begin + PART >= len(found)
                with lock if last else nullcontext():
                    if last and not sure():
                        raise Changed
                    with self._part(gathered, begin) as connection:
                        some = filesets[begin : begin + PART]
                        at = self._stamp()
                        _bring(connection, at, first, begin, some, given_up)
                        if last:
                            _fail(connection, at, first, reason)
                            write_note(connection, f"{LACKS}{first}", json.dumps(list(lacks)))
                            write_note(connection, f"{GATHERS}{first}", "")
                    ours += len(some)
        except Changed:
            if ours:  # else somebody else has brought in what is there
                self._let_apart(gathered)
            return None
        return first

    def absorb(self, user: str, store: str) -> int:
        """Ends what waits, was skipped or has failed file by file below a store; how many.

        They are parts of the store from now on.  What OMERO was once told to import stays.
        """
        below = self._below(user, store)
        for identifier in self._many([row.id for row in below if row.state != State.SKIPPED]):
            self.move(identifier, State.QUEUED, State.WAITING, f"{PART_OF}{store}")
            self._part_with(identifier, (State.WAITING, *CLOSED))
            below = self._below(user, store)
        number = 0
        self.make_sure()  # also if there is nothing to be done
        for some in chunks([row.id for row in below], PART):
            with self._database.writing() as connection:
                number += _absorb(connection, self._stamp(), user, store, some)
        return number

    def owners_below(self, store: str) -> list[str]:
        """The users who have something below a store that `absorb` may end."""
        return sorted({row.user for row in self._parts(store)})

    def _below(self, user: str, store: str) -> list[Any]:
        return [row for row in self._parts(store) if row.user == user]

    def _parts(self, store: str) -> list[Any]:
        table = schema.fileset.c
        statement = select(
            table.id, table.user, table.root, table.path, table.state, table.verified
        )
        with self._database.reading() as connection:
            if connection.dialect.name == "sqlite":
                # By the index of paths, which LIKE does not use: a plate has very many stores.  In
                # the order of its characters, `0` comes after `/`.
                after = f"{directory_of(store)}0"
                statement = statement.where(table.path > store, table.path < after)
            else:  # whose order of characters may be another
                statement = statement.where(
                    table.state.in_(_PARTS_OF_A_STORE),
                    table.path.startswith(store, autoescape=True),
                )
            rows = connection.execute(statement).all()
        return [
            row
            for row in rows
            if row.path != store
            and row.state in _PARTS_OF_A_STORE
            and not row.verified
            and _is_part(row, store)
        ]

    def _many(self, filesets: Sequence[int]) -> list[int]:
        """Those with more files than a part."""
        file = schema.file.c
        found: list[int] = []
        with self._database.reading() as connection:
            for some in chunks(filesets, PART):
                found += connection.scalars(
                    select(file.fileset).where(file.fileset.in_(some), file.position == PART)
                )
        return found


def _is_part(row: Any, store: str) -> bool:
    """A root that lies within is of another rule."""
    return bool(row.path.startswith(store)) and not row.root.startswith(store)


def _waiting(connection: Connection, filesets: Sequence[int]) -> Iterator[Any]:
    """The files of those that wait with one file, in this order.

    A half set has more, after a takeover: until it is dissolved, nobody may take its first file.
    """
    table, file = schema.fileset.c, schema.file.c
    second = schema.file.alias().c
    for some in chunks(filesets, PART):
        found = connection.execute(
            select(schema.file, table.user, table.root)
            .join_from(schema.file, schema.fileset)
            .where(
                table.id.in_(some),
                table.state == State.WAITING,
                file.position == 0,
                ~select(second.fileset)
                .where(second.fileset == table.id, second.position == 1)
                .exists(),
            )
        )
        rows = {row.fileset: row for row in found}
        yield from (rows[one] for one in some if one in rows)


def _bring(
    connection: Connection, at: Stamp, first: int, begin: int, some: Sequence[int], reason: str
) -> None:
    """Files that wait go into the set, at this position.  Raises Changed."""
    rows = list(_waiting(connection, some))
    if len(rows) < len(some):
        raise Changed
    others = [one for one in some if one != first]
    told = told_of(connection, others)
    put_in(connection, first, begin, [met_of(row) for row in rows])
    forget(connection, [one for one in others if one not in told])
    connection.execute(
        update(schema.fileset)
        .where(schema.fileset.c.id.in_(sorted(told)))
        .values(state=State.SKIPPED, reason=reason, changed=at.now, moved_by=at.who)
    )


def _fail(connection: Connection, at: Stamp, fileset: int, reason: str) -> None:
    connection.execute(
        update(schema.fileset)
        .where(schema.fileset.c.id == fileset)
        .values(state=State.FAILED, reason=reason, changed=at.now, moved_by=at.who)
    )


def _absorb(
    connection: Connection, at: Stamp, user: str, store: str, filesets: Sequence[int]
) -> int:
    """Ends these filesets of files below a store; how many."""
    table = schema.fileset.c
    rows = connection.execute(
        select(table.id, table.state, table.root, table.path).where(
            table.id.in_(filesets),
            table.user == user,
            table.verified == 0,
            table.state.in_(_PARTS_OF_A_STORE),
        )
    ).all()
    # One that has gone into quarantine since is no part of it any more.
    below = [row for row in rows if _is_part(row, store)]
    waiting = [row.id for row in below if row.state == State.WAITING]
    merged = set(waiting) - told_of(connection, waiting)
    forget(connection, sorted(merged))
    ending = [r.id for r in below if r.id not in merged and r.state != State.SKIPPED]
    connection.execute(
        update(schema.fileset)
        .where(table.id.in_(ending))
        .values(
            state=State.SKIPPED,
            reason=f"{PART_OF}{store}",
            waited=0.0,
            changed=at.now,
            moved_by=at.who,
        )
    )
    roots = {row.id: row.root for row in below}
    for identifier in _sets(connection, ending):
        # Those of its files that lie elsewhere are in no store: each waits by itself.
        others = take_others(connection, identifier)
        apart = [met for met in others if not met.path.startswith(store)]
        wait_apart(connection, at, user, roots[identifier], apart, "")
    return len(merged) + len(ending)


def _sets(connection: Connection, filesets: Sequence[int]) -> list[int]:
    """Those of several files."""
    file = schema.file.c
    return sorted(
        connection.scalars(
            select(file.fileset).where(file.fileset.in_(filesets), file.position == 1)
        )
    )
