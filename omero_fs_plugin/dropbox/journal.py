"""What is known of every file and fileset, on disk, before and after each act.

One `Journal` may be used by many threads, and several processes may open the
same one: DropBox, and the command line that hands files over or looks.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import (
    Connection,
    bindparam,
    delete,
    func,
    insert,
    select,
    update,
)

from ..errors import JournalError
from ..events import FileStat
from . import schema
from .database import Database
from .records import (
    HANDED_OVER,
    MET,
    STAT_COLUMNS,
    Fileset,
    Found,
    chunks,
    columns,
    signed,
    stat_columns,
)
from .records import fileset as to_fileset
from .schema import State

_OPEN_STATES = (State.WAITING, State.QUEUED, State.IMPORTING)
_REOPENED = (*_OPEN_STATES, State.SKIPPED, State.FAILED)
_CHUNK = 400  # rows looked up in one statement; SQLite allows 999 variables in old builds


class Journal:
    """The journal at `url`, made when missing.

    Rule: a fileset changes its state in one statement that names the state it
    had, so of two who try only one succeeds; what is illegal the database
    refuses.

    `clock` gives seconds since the epoch, for what people read; no decision
    hangs on it.

    Raises JournalError when it cannot be opened, is corrupt, or was written by
    a newer version.
    """

    def __init__(
        self, url: str, *, clock: Callable[[], float] = time.time, read_only: bool = False
    ) -> None:
        self._clock = clock
        self._database = Database(url, read_only=read_only)

    def close(self) -> None:
        """Lets go of every connection."""
        self._database.close()

    # -- meeting files ------------------------------------------------------

    def known(self, found: Sequence[Found]) -> dict[str, State]:
        """Those of `found` that are accounted for as they are: path -> state.

        Accounted for means: a file with this device, inode, size, mtime and
        ctime is recorded, so that neither its bytes nor its inode were touched
        since.  A file that was only renamed or chmod-ed has another ctime; see
        `twins`.
        """
        known: dict[str, State] = {}
        file, fileset = schema.file.c, schema.fileset.c
        with self._database.reading() as connection:
            for chunk in chunks(found, _CHUNK):
                by_inode = {(signed(f.stat.device), signed(f.stat.inode)): f for f in chunk}
                rows = connection.execute(
                    select(
                        file.device,
                        file.inode,
                        file.size,
                        file.mtime_ns,
                        file.ctime_ns,
                        fileset.state,
                    )
                    .join_from(schema.file, schema.fileset)
                    # Of the inode alone: no database looks a pair up in its index.
                    .where(file.inode.in_([inode for _, inode in by_inode]))
                    .order_by(fileset.id)
                )
                for device, inode, size, mtime_ns, ctime_ns, state in rows:
                    met = by_inode.get((device, inode))
                    if met and (size, mtime_ns, ctime_ns) == (
                        met.stat.size,
                        met.stat.mtime_ns,
                        met.stat.ctime_ns,
                    ):
                        known[met.path] = State(state)
        return known

    def has_twin(self, user: str, size: int) -> bool:
        """Whether an imported file of `user` has this size (bytes), so that a hash tells more."""
        file, fileset = schema.file.c, schema.fileset.c
        with self._database.reading() as connection:
            found = connection.scalar(
                select(file.fileset)
                .join_from(schema.file, schema.fileset)
                .where(file.size == size, fileset.user == user, fileset.state == State.IMPORTED)
                .limit(1)
            )
        return found is not None

    def twins(self, user: str, sha1: str) -> list[Fileset]:
        """Imported filesets of `user` with a file of these bytes, the newest first."""
        file, fileset = schema.file.c, schema.fileset.c
        with self._database.reading() as connection:
            ids = connection.scalars(
                select(file.fileset)
                .join_from(schema.file, schema.fileset)
                .where(file.sha1 == sha1, fileset.user == user, fileset.state == State.IMPORTED)
                .order_by(fileset.id.desc())
                .limit(100)
            ).all()
            return self._load(connection, ids)

    def moved(self, fileset: int, position: int, found: Found) -> None:
        """Records that an accounted file now has this path and stat."""
        with self._database.writing() as connection:
            connection.execute(
                update(schema.file)
                .where(schema.file.c.fileset == fileset, schema.file.c.position == position)
                .values(**columns(found))
            )
            if position == 0:
                connection.execute(
                    update(schema.fileset)
                    .where(schema.fileset.c.id == fileset)
                    .values(path=found.path)
                )

    def wait(self, user: str, root: str, found: Sequence[Found]) -> None:
        """Records files in their quiet period, one fileset each.

        One that is open under the same path already is left as it is; a
        skipped or failed one of the same path is opened again.
        """
        table = schema.fileset.c
        with self._database.writing() as connection:
            for chunk in chunks(found, _CHUNK):
                there = set(
                    connection.scalars(
                        select(table.path).where(
                            table.path.in_([met.path for met in chunk]),
                            table.user == user,
                            table.state.in_(_REOPENED),
                        )
                    )
                )
                for met in chunk:
                    if met.path in there:
                        self._reopen_or_insert(connection, user, root, met, State.WAITING, MET)
                new = [met for met in chunk if met.path not in there]
                self._insert(connection, user, root, new, State.WAITING, MET)

    def hand_over(self, user: str, root: str, found: Found) -> Fileset:
        """Queues a file at once, without a quiet period; the fileset it is now.

        A file that is queued or importing stays so; one that is imported as it
        is stays imported, and the caller sees that from the state returned.
        """
        file, fileset = schema.file.c, schema.fileset.c
        with self._database.writing() as connection:
            done = connection.scalar(
                select(fileset.id)
                .join_from(schema.file, schema.fileset)
                .where(
                    file.device == found.stat.device,
                    file.inode == signed(found.stat.inode),
                    file.size == found.stat.size,
                    file.mtime_ns == found.stat.mtime_ns,
                    file.ctime_ns == found.stat.ctime_ns,
                    fileset.user == user,
                    fileset.state.in_((State.IMPORTED, State.QUEUED, State.IMPORTING)),
                )
            )
            chosen = done or self._reopen_or_insert(
                connection, user, root, found, State.QUEUED, HANDED_OVER
            )
            return self._load(connection, [chosen])[0]

    def skip(self, user: str, root: str, found: Found, reason: str) -> None:
        """Records a file that will not be imported, for `reason`."""
        with self._database.writing() as connection:
            self._insert(connection, user, root, [found], State.SKIPPED, MET, reason)

    # -- moving filesets ----------------------------------------------------

    def open_at(self, paths: Iterable[str]) -> dict[str, Fileset]:
        """The open filesets whose first file has one of `paths`."""
        opened: dict[str, Fileset] = {}
        with self._database.reading() as connection:
            for chunk in chunks(list(paths), _CHUNK):
                ids = connection.scalars(
                    select(schema.fileset.c.id).where(
                        schema.fileset.c.path.in_(chunk),
                        schema.fileset.c.state.in_(_OPEN_STATES),
                    )
                ).all()
                opened.update((f.path, f) for f in self._load(connection, ids))
        return opened

    def settled(self, filesets: Mapping[int, FileStat]) -> None:
        """waiting -> queued, with what the file was when it came to rest."""
        if not filesets:
            return
        fileset, file, now = schema.fileset.c, schema.file.c, self._clock()
        rows = [{"of": i, **stat_columns(stat)} for i, stat in filesets.items()]
        with self._database.writing() as connection:
            # The file rows first, while "still waiting" can be asked of the fileset.
            connection.execute(
                update(schema.file)
                .where(
                    file.fileset == bindparam("of"),
                    file.position == 0,
                    select(fileset.id)
                    .where(fileset.id == bindparam("of"), fileset.state == State.WAITING)
                    .exists(),
                )
                .values({"sha1": None, **{name: bindparam(name) for name in STAT_COLUMNS}}),
                rows,
            )
            connection.execute(
                update(schema.fileset)
                .where(fileset.id == bindparam("of"), fileset.state == State.WAITING)
                .values(state=State.QUEUED, reason="", changed=now),
                [{"of": i} for i in filesets],
            )

    def move(
        self, fileset: int, before: State | tuple[State, ...], after: State, reason: str = ""
    ) -> bool:
        """Moves a fileset if it is still in `before`; whether it was.

        Raises JournalError when the transition is illegal.
        """
        befores = before if isinstance(before, tuple) else (before,)
        with self._database.writing() as connection:
            return self._move(connection, fileset, befores, after, reason)

    def queued_users(self) -> list[str]:
        """The users with queued filesets, the one waiting longest first."""
        with self._database.reading() as connection:
            return list(
                connection.scalars(
                    select(schema.fileset.c.user)
                    .where(schema.fileset.c.state == State.QUEUED)
                    .group_by(schema.fileset.c.user)
                    .order_by(func.min(schema.fileset.c.id))
                )
            )

    def take(self, user: str, not_now: Collection[int] = ()) -> Fileset | None:
        """queued -> importing for the user's oldest fileset: an attempt begins.

        Those with ids in `not_now` are passed over.
        """
        fileset = schema.fileset.c
        with self._database.writing() as connection:
            identifier = connection.scalar(
                select(fileset.id)
                .where(
                    fileset.state == State.QUEUED,
                    fileset.user == user,
                    fileset.id.not_in(list(not_now)),
                )
                .order_by(fileset.id)
                .limit(1)
            )
            if identifier is None:
                return None
            connection.execute(
                update(schema.fileset)
                .where(fileset.id == identifier, fileset.state == State.QUEUED)
                .values(
                    state=State.IMPORTING,
                    reason="",
                    attempts=fileset.attempts + 1,
                    changed=self._clock(),
                )
            )
            return self._load(connection, [identifier])[0]

    def refused(self, fileset: int, after: State, reason: str) -> None:
        """importing -> queued or failed, and one refusal more."""
        with self._database.writing() as connection:
            self._move(
                connection,
                fileset,
                (State.IMPORTING,),
                after,
                reason,
                refusals=schema.fileset.c.refusals + 1,
            )

    def retry(self, fileset: int) -> bool:
        """failed -> queued, with all tries before it again; whether it was failed."""
        with self._database.writing() as connection:
            return self._move(connection, fileset, (State.FAILED,), State.QUEUED, "", refusals=0)

    def importing(self) -> list[Fileset]:
        """Filesets with an attempt under way, or interrupted by a crash."""
        return self.select(State.IMPORTING)

    def note_verified(self, fileset: int, sha1s: Sequence[str]) -> None:
        """Written before OMERO is told to import: from here on it may have images.

        `sha1s`: of the files' bytes, lower-case hex, in their order.
        """
        with self._database.writing() as connection:
            self._note_sha1s(connection, fileset, sha1s)
            connection.execute(
                update(schema.fileset).where(schema.fileset.c.id == fileset).values(verified=1)
            )

    def imported(
        self, fileset: int, server_fileset: int, images: Sequence[int], sha1s: Sequence[str]
    ) -> None:
        """importing -> imported, with what OMERO made of it."""
        with self._database.writing() as connection:
            self._note_sha1s(connection, fileset, sha1s)
            moved = self._move(
                connection,
                fileset,
                (State.IMPORTING,),
                State.IMPORTED,
                "",
                server_fileset=server_fileset,
                images=",".join(map(str, images)),
            )
            if not moved:
                raise JournalError(
                    f"fileset {fileset} was not being imported, yet OMERO imported it as "
                    f"Fileset:{server_fileset}: look at both before it is tried again"
                )

    def recorded(self, server_filesets: Iterable[int]) -> set[int]:
        """Those Fileset ids of OMERO that a row of the journal stands for already."""
        with self._database.reading() as connection:
            return set(
                connection.scalars(
                    select(schema.fileset.c.server_fileset).where(
                        schema.fileset.c.server_fileset.in_(list(server_filesets))
                    )
                )
            )

    # -- notes ---------------------------------------------------------------

    def note(self, key: str, value: str) -> None:
        """Keeps a value beyond the life of this process."""
        with self._database.writing() as connection:
            connection.execute(delete(schema.meta).where(schema.meta.c.key == key))
            connection.execute(insert(schema.meta).values(key=key, value=value))

    def noted(self, key: str) -> str:
        """The value kept under `key`; empty when there is none."""
        with self._database.reading() as connection:
            found = connection.scalar(select(schema.meta.c.value).where(schema.meta.c.key == key))
        return found or ""

    def lease(self) -> tuple[str, int] | None:
        """Who works on this journal, and how far it has counted."""
        with self._database.reading() as connection:
            row = connection.execute(select(schema.lease.c.holder, schema.lease.c.count)).first()
        return (row[0], row[1]) if row else None

    def set_lease(self, before: tuple[str, int] | None, after: tuple[str, int] | None) -> bool:
        """Changes the lease if it is still `before`; whether it was."""
        table = schema.lease
        with self._database.writing() as connection:
            if before is None:
                if connection.scalar(select(table.c.id)) is not None:
                    return False
            elif not connection.execute(
                delete(table).where(table.c.holder == before[0], table.c.count == before[1])
            ).rowcount:
                return False
            if after is not None:
                connection.execute(insert(table).values(id=1, holder=after[0], count=after[1]))
        return True

    # -- looking ------------------------------------------------------------

    def get(self, fileset: int) -> Fileset | None:
        """The fileset with this id."""
        with self._database.reading() as connection:
            loaded = self._load(connection, [fileset])
            return loaded[0] if loaded else None

    def load(self, filesets: Sequence[int]) -> list[Fileset]:
        """The filesets with these ids, in their order."""
        with self._database.reading() as connection:
            return self._load(connection, filesets)

    def select(self, *states: State, limit: int | None = None) -> list[Fileset]:
        """Filesets in any of `states` (all when none is given), last changed first."""
        statement = select(schema.fileset.c.id).order_by(
            schema.fileset.c.changed.desc(), schema.fileset.c.id.desc()
        )
        if states:
            statement = statement.where(schema.fileset.c.state.in_(states))
        with self._database.reading() as connection:
            return self._load(connection, connection.scalars(statement.limit(limit)).all())

    def counts(self) -> dict[str, int]:
        """Number of filesets in each state, 0 included."""
        state = schema.fileset.c.state
        with self._database.reading() as connection:
            rows = connection.execute(select(state, func.count()).group_by(state))
            found = {str(row[0]): int(row[1]) for row in rows}
        return {str(s): found.get(str(s), 0) for s in State}

    def events(self, fileset: int) -> list[tuple[float, str, str, str]]:
        """(s since the epoch, state before, state after, reason), oldest first."""
        log = schema.event_log.c
        with self._database.reading() as connection:
            return [
                tuple(row)
                for row in connection.execute(
                    select(log.at, log.before, log.after, log.reason)
                    .where(log.fileset == fileset)
                    .order_by(log.id)
                )
            ]

    # -- within -------------------------------------------------------------

    def _move(
        self,
        connection: Connection,
        fileset: int,
        before: tuple[State, ...],
        after: State,
        reason: str,
        **values: Any,
    ) -> bool:
        done = connection.execute(
            update(schema.fileset)
            .where(schema.fileset.c.id == fileset, schema.fileset.c.state.in_(before))
            .values(state=after, reason=reason, changed=self._clock(), **values)
        )
        return done.rowcount == 1

    def _note_sha1s(self, connection: Connection, fileset: int, sha1s: Sequence[str]) -> None:
        for position, sha1 in enumerate(sha1s):
            connection.execute(
                update(schema.file)
                .where(schema.file.c.fileset == fileset, schema.file.c.position == position)
                .values(sha1=sha1)
            )

    def _reopen_or_insert(
        self,
        connection: Connection,
        user: str,
        root: str,
        found: Found,
        state: State,
        origin: str,
    ) -> int:
        """The open fileset of this path, a skipped or failed one opened again, or a new one."""
        table = schema.fileset.c
        row = connection.execute(
            select(table.id, table.state)
            .where(
                table.path == found.path,
                table.user == user,
                table.state.in_(_REOPENED),
            )
            .order_by(table.id.desc())
            .limit(1)
        ).first()
        if row is None:
            return self._insert(connection, user, root, [found], state, origin)[0]
        identifier, before = int(row[0]), State(row[1])
        if before is state or before is State.IMPORTING or before is State.QUEUED:
            return identifier
        self._move(
            connection, identifier, (before,), state, "", origin=origin, root=root, refusals=0
        )
        connection.execute(
            update(schema.file)
            .where(schema.file.c.fileset == identifier, schema.file.c.position == 0)
            .values(**columns(found), sha1=None)
        )
        return identifier

    def _insert(
        self,
        connection: Connection,
        user: str,
        root: str,
        found: Sequence[Found],
        state: State,
        origin: str,
        reason: str = "",
    ) -> list[int]:
        """New filesets of one file each; their ids in the order of `found`."""
        if not found:
            return []
        now = self._clock()
        common = {
            "user": user,
            "root": root,
            "state": state,
            "reason": reason,
            "origin": origin,
            "created": now,
            "changed": now,
        }
        ids = connection.scalars(
            insert(schema.fileset).returning(schema.fileset.c.id, sort_by_parameter_order=True),
            [{**common, "path": met.path} for met in found],
        ).all()
        connection.execute(
            insert(schema.file),
            [
                {"fileset": identifier, "position": 0, **columns(met)}
                for identifier, met in zip(ids, found, strict=True)
            ],
        )
        return list(ids)

    def _load(self, connection: Connection, ids: Sequence[int]) -> list[Fileset]:
        """Whole rows in the order of `ids`."""
        rows: dict[int, Any] = {}
        files: dict[int, list[Any]] = {}
        for chunk in chunks(ids, _CHUNK):
            for row in connection.execute(
                select(schema.fileset).where(schema.fileset.c.id.in_(chunk))
            ):
                rows[row.id] = row
            for row in connection.execute(
                select(schema.file)
                .where(schema.file.c.fileset.in_(chunk))
                .order_by(schema.file.c.position)
            ):
                files.setdefault(row.fileset, []).append(row)
        return [to_fileset(rows[i], files.get(i, [])) for i in ids if i in rows]
