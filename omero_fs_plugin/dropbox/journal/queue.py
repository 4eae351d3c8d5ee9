"""What is to be done: filesets that wait, are queued, are imported, or are to be finished."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sqlalchemy import select, tuple_

from . import schema, statements
from .database import Mark
from .records import Claim, Fileset, chunks
from .rows import CHUNK, Rows
from .states import OPEN, State


class Queue(Rows):
    """The filesets that still need something, and the users who wait for their turn."""

    # The last answer, and the mark before it was asked for
    _queued_users: tuple[Mark, list[str]] | None = None

    def queued_users(self) -> list[str]:
        """The users with queued filesets, the one waiting longest first.

        Asked all the time, so nobody is asked while nothing was written.
        """
        mark = self._database.mark()
        known = self._queued_users
        if mark is None:
            return self._look_for_queued_users()
        if known is None or known[0] != mark:
            known = self._queued_users = mark, self._look_for_queued_users()
        return list(known[1])

    def _look_for_queued_users(self) -> list[str]:
        with self._database.reading() as connection:
            return list(connection.scalars(statements.QUEUED_USERS))

    def queued_roots(self) -> list[str]:
        """The roots of all queued filesets."""
        fileset = schema.fileset.c
        with self._database.reading() as connection:
            queued = select(fileset.root).where(fileset.state == State.QUEUED).distinct()
            return list(connection.scalars(queued))

    def owners_waiting(self) -> list[tuple[str, str]]:
        """(user, root) of all filesets that wait."""
        fileset = schema.fileset.c
        with self._database.reading() as connection:
            rows = connection.execute(
                select(fileset.user, fileset.root).where(fileset.state == State.WAITING).distinct()
            )
            return [(row.user, row.root) for row in rows]

    def waiting(self, owner: tuple[str, str] | None = None) -> Iterator[list[Fileset]]:
        """All waiting filesets, or those of one (user, root), some hundreds at a time."""
        fileset = schema.fileset.c
        theirs = () if owner is None else (fileset.user == owner[0], fileset.root == owner[1])
        after = ("", 0)
        while True:
            with self._database.reading() as connection:
                rows = connection.execute(
                    select(fileset.user, fileset.id)
                    .where(
                        fileset.state == State.WAITING,
                        *theirs,
                        # In the order of the index.
                        tuple_(fileset.user, fileset.id) > after,
                    )
                    .order_by(fileset.user, fileset.id)
                    .limit(CHUNK)
                ).all()
                some = self._load(connection, [row.id for row in rows])
            if not rows:
                return
            yield some
            after = (rows[-1].user, rows[-1].id)

    def open_at(self, paths: Iterable[str]) -> dict[str, Fileset]:
        """The open filesets whose first file has one of `paths`."""
        opened: dict[str, Fileset] = {}
        paths = list(paths)
        if not paths:
            return opened
        with self._database.reading() as connection:
            for chunk in chunks(paths, CHUNK):
                rows = connection.execute(
                    select(schema.fileset.c.id, schema.fileset.c.state).where(
                        schema.fileset.c.path.in_(chunk)
                    )
                )
                ids = [identifier for identifier, state in rows if state in OPEN]
                opened.update((f.path, f) for f in self._load(connection, ids))
        return opened

    def importing(self) -> list[Fileset]:
        """Filesets with an attempt under way, or interrupted by a crash."""
        return self.select(State.IMPORTING)

    def unfinished(self) -> list[Fileset]:
        """Imported filesets for which something is still to be done after the import."""
        table = schema.fileset.c
        with self._database.reading() as connection:
            # There may be very many imported rows.  They are looked through only at a start.
            ids = connection.scalars(
                select(table.id).where(table.state == State.IMPORTED, table.to_annotate == 1)
            ).all()
            return self._load(connection, ids)

    def claims(self) -> dict[int, Claim]:
        """Fileset -> who is importing it."""
        table = schema.claim.c
        with self._database.reading() as connection:
            rows = connection.execute(select(table.fileset, table.holder, table.epoch, table.until))
            return {row[0]: Claim(*row[1:]) for row in rows}
