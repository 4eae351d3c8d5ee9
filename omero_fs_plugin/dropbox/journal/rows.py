"""Reads the rows of the journal: filesets with their files, notes, and who has the lease."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, func, select

from . import schema, statements
from .database import Database
from .many import FilesOfOne
from .records import Fileset, Held, chunks
from .records import fileset as to_fileset
from .states import HIGHEST_ID, State

CHUNK = 900  # rows looked up in one statement; SQLite allows 999 variables in old builds


class Rows:
    """The journal at `url`, for reading.  Thread-safe.

    Raises JournalError if it cannot be opened, is corrupt, or was written by a newer
    version.  With `read_only`, or without `make`, raises it also if there is no journal
    or one of an older version.  Only DropBox makes a journal, checks all of it, and
    brings it to this version.

    `clock` gives seconds since the epoch for people to read; no decision depends on
    it.  `share` is that of Database.  `who` is written into the event log.
    """

    def __init__(
        self,
        url: str,
        *,
        clock: Callable[[], float] = time.time,
        read_only: bool = False,
        make: bool = True,
        share: str | None = None,
        who: str = "",
    ) -> None:
        self._clock = clock
        self._who = who
        self._database = Database(url, make=make and not read_only, share=share)

    @property
    def database(self) -> Database:
        """Where it is kept."""
        return self._database

    @property
    def shown(self) -> str:
        """Where the journal is, for people: without a password."""
        return self._database.shown

    @property
    def share(self) -> str:
        """The type of network file system that it lies on; empty if on none."""
        return self._database.share

    def now(self) -> float:
        """s since the epoch, by the clock that `created` and `changed` come from."""
        return self._clock()

    def close(self) -> None:
        """Closes every connection."""
        self._database.close()

    def get(self, fileset: int) -> Fileset | None:
        """The fileset with this id."""
        if fileset > HIGHEST_ID:
            return None
        with self._database.reading() as connection:
            loaded = self._load(connection, [fileset])
            return loaded[0] if loaded else None

    def load(self, filesets: Sequence[int]) -> list[Fileset]:
        """The filesets with these ids, in their order."""
        with self._database.reading() as connection:
            return self._load(connection, filesets)

    def select(
        self, *states: State, limit: int | None = None, user: str | None = None
    ) -> list[Fileset]:
        """Filesets in any of `states` (in all states if none is given), last changed first.

        With `user` (an OMERO name), only the filesets of that user.
        """
        statement = select(schema.fileset.c.id).order_by(
            schema.fileset.c.changed.desc(), schema.fileset.c.id.desc()
        )
        if states:
            statement = statement.where(schema.fileset.c.state.in_(states))
        if user is not None:
            statement = statement.where(schema.fileset.c.user == user)
        with self._database.reading() as connection:
            return self._load(connection, connection.scalars(statement.limit(limit)).all())

    def blamed(self, words: str, filesets: Sequence[int] | None = None) -> list[tuple[str, str]]:
        """(root, reason) of each that was skipped or has failed for a reason with `words` in it.

        Of `filesets`, or of all.
        """
        table = schema.fileset.c
        statement = select(table.root, table.reason).where(
            table.state.in_((State.SKIPPED, State.FAILED)),
            table.reason.contains(words, autoescape=True),
        )
        parts = [statement]
        if filesets is not None:
            parts = [statement.where(table.id.in_(some)) for some in chunks(filesets, CHUNK)]
        with self._database.reading() as connection:
            return [
                (row.root, row.reason) for part in parts for row in connection.execute(part).all()
            ]

    def counts(self, user: str | None = None) -> dict[str, int]:
        """Number of filesets in each state, also if it is 0.  With `user`, only that user's."""
        state = schema.fileset.c.state
        statement = select(state, func.count()).group_by(state)
        if user is not None:
            statement = statement.where(schema.fileset.c.user == user)
        with self._database.reading() as connection:
            rows = connection.execute(statement)
            found = {str(row[0]): int(row[1]) for row in rows}
        return {str(s): found.get(str(s), 0) for s in State}

    def stores(self) -> list[str]:
        """The paths of all filesets that are stores."""
        path = schema.fileset.c.path
        with self._database.reading() as connection:
            return list(
                connection.scalars(
                    select(path).where(path.endswith("/", autoescape=True)).distinct()
                )
            )

    def newest_in_omero(self, user: str) -> int:
        """The highest Fileset id of OMERO in the rows of `user`; 0 if there is none."""
        fileset = schema.fileset.c
        with self._database.reading() as connection:
            found = connection.scalar(
                select(func.max(fileset.server_fileset)).where(
                    fileset.state == State.IMPORTED, fileset.user == user
                )
            )
        return int(found or 0)

    def recorded(self, server_filesets: Iterable[int]) -> set[int]:
        """Those of these Fileset ids of OMERO that the journal has already."""
        with self._database.reading() as connection:
            return set(
                connection.scalars(
                    select(schema.fileset.c.server_fileset).where(
                        schema.fileset.c.server_fileset.in_(list(server_filesets))
                    )
                )
            )

    def met_in(self, server_filesets: Iterable[int]) -> set[int]:
        """As `recorded`, those of them whose files we have met: not what only OMERO has told of."""
        fileset, file = schema.fileset.c, schema.file.c
        with self._database.reading() as connection:
            return set(
                connection.scalars(
                    select(fileset.server_fileset)
                    .join_from(schema.fileset, schema.file, file.fileset == fileset.id)
                    .where(
                        fileset.server_fileset.in_(list(server_filesets)),
                        file.position == 0,
                        file.inode != 0,
                    )
                )
            )

    def notes(self, prefix: str) -> dict[str, str]:
        """The values kept under keys that begin with `prefix`, without empty ones."""
        table = schema.meta.c
        with self._database.reading() as connection:
            wanted = [table.key.startswith(prefix, autoescape=True)]
            if connection.dialect.name == "sqlite":
                # It looks up no LIKE in an index.  PostgreSQL may order by a language.
                after = prefix[:-1] + chr(ord(prefix[-1]) + 1)
                wanted += [table.key >= prefix, table.key < after]
            rows = connection.execute(select(table.key, table.value).where(*wanted))
            return {row.key: row.value for row in rows if row.value}

    def noted(self, key: str) -> str:
        """The value kept under `key`; empty if there is none."""
        with self._database.reading() as connection:
            found = connection.scalar(statements.NOTED, {"of": key})
        return found or ""

    def lease(self) -> Held:
        """Who has the lease."""
        table = schema.lease.c
        with self._database.reading() as connection:
            row = connection.execute(select(table.holder, table.count, table.epoch)).first()
        return Held(*row) if row is not None else Held()

    def when_written(self, call: Callable[[], None]) -> None:
        """Calls `call` after each transaction of ours that wrote; it returns at once."""
        self._database.written = call

    def _load(self, connection: Connection, ids: Sequence[int]) -> list[Fileset]:
        """Whole rows in the order of `ids`."""
        rows: dict[int, Any] = {}
        files: dict[int, FilesOfOne] = {}
        for chunk in chunks(ids, CHUNK):
            for row in connection.execute(statements.FILESETS, {"ids": chunk}):
                rows[row.id] = row
            for row in connection.execute(statements.FILES, {"ids": chunk}):
                files.setdefault(row.fileset, FilesOfOne()).append(row)
        none = FilesOfOne()
        return [to_fileset(rows[i], *files.get(i, none).all()) for i in ids if i in rows]
