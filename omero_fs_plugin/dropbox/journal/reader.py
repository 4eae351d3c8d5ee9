"""Reads the journal: what is known of every file and fileset."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, func, or_, select, tuple_

from . import schema, statements
from .database import Database, Mark
from .intake import former
from .records import GONE, Claim, Event, Fileset, Found, Held, chunks, signed
from .records import fileset as to_fileset
from .statements import IN_DOUBT
from .states import OPEN, State

CHUNK = 900  # rows looked up in one statement; SQLite allows 999 variables in old builds

_STATES = {str(state): state for state in State}


class JournalReader:
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
        # The last answer, and the mark before it was asked for
        self._queued_users: tuple[Mark, list[str]] | None = None

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

    def known(self, found: Sequence[Found]) -> dict[str, State]:
        """Those of `found` that are accounted for as they are: path -> state.

        A file is accounted for if a file with this inode, size, mtime and ctime is
        recorded, on this device or under this path.  Then nobody has touched its bytes or
        its inode since.  The path counts because a share that is mounted again has another
        device number, while its files are the same.  A file that was only renamed or
        chmod-ed has another ctime; see `same_content`.  A file that was skipped because it
        was gone, and is there again, is not accounted for.
        """
        return {path: state for path, (state, _) in self._newest(found).items()}

    def ended(self, looks: Sequence[tuple[str, os.stat_result]]) -> set[str]:
        """Those of these files that are accounted for, by filesets that have ended: the paths.

        `looks`: paths, and what os.lstat says of them now.  Each is also `known`, as imported,
        skipped or failed, and not `under_another_path`.  It may be that others are, too: this
        looks only under the same paths, and so it takes a fifth of the time.
        """
        found: set[str] = set()
        with self._database.reading() as connection:
            for chunk in chunks(looks, CHUNK):
                paths = [path for path, _ in chunk]
                if not "".join(paths).isascii():
                    paths = [path for path in paths if _is_unicode(path)]
                rows = set(statements.ended(connection, paths))
                as_they_are = [
                    (path, stat.st_ino)
                    for path, stat in chunk
                    if (path, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns) in rows
                ]
                opened = statements.opened(connection, [inode for _, inode in as_they_are])
                found.update(path for path, inode in as_they_are if inode not in opened)
        return found

    def under_another_path(self, found: Sequence[Found]) -> set[str]:
        """Those of `found` that are in an open fileset just as they are, under another path.

        Their directory was renamed, or they have several names.  If they are renamed, that
        fileset ends because they are gone.  So nothing is known of them before its end.
        """
        newest = self._newest(found).items()
        return {path for path, (state, was) in newest if state in OPEN and was != path}

    def _newest(self, found: Sequence[Found]) -> dict[str, tuple[State, str]]:
        """Path -> the state of the newest fileset with this file as it is, and its path there."""
        known: dict[str, tuple[State, str]] = {}
        if not found:
            return known
        newest: dict[str, int] = {}
        file, fileset = schema.file.c, schema.fileset.c
        with self._database.reading() as connection:
            for chunk in chunks(found, CHUNK):
                by_inode: dict[int, list[Found]] = {}
                for met in chunk:  # one file may have several names
                    by_inode.setdefault(signed(met.stat.inode), []).append(met)
                rows = connection.execute(
                    select(
                        fileset.id,
                        file.path,
                        file.device,
                        file.inode,
                        file.size,
                        file.mtime_ns,
                        file.ctime_ns,
                        fileset.state,
                    )
                    .join_from(schema.file, schema.fileset)
                    # Ask only for the inode: databases do not look up pairs in an index.
                    .where(file.inode.in_(list(by_inode)))
                    .where(or_(fileset.state != State.SKIPPED, fileset.reason != GONE))
                ).all()
                for identifier, was, device, inode, size, mtime_ns, ctime_ns, state in rows:
                    for met in by_inode.get(inode, ()):
                        stat, path = met.stat, met.path
                        if (
                            (signed(stat.device) == device or path == was)
                            and stat.size == size
                            and stat.mtime_ns == mtime_ns
                            and stat.ctime_ns == ctime_ns
                            and newest.get(path, 0) < identifier
                        ):
                            newest[path] = identifier
                            known[path] = _STATES[state], was
        return known

    def has_twin(self, fileset: Fileset) -> bool:
        """Whether a file of this size (bytes) was imported for the same user, or may be.

        Only then it is worth while to compare hashes.
        """
        values = {
            "size": fileset.files[0].stat.size,
            "user": fileset.user,
            "fileset": fileset.id,
        }
        with self._database.reading() as connection:
            found = connection.scalar(statements.TWIN, values)
        return found is not None

    def under_way(self, fileset: Fileset, sha1: str) -> int | None:
        """Another fileset of the user with these bytes that OMERO was told to import.

        It is not known yet whether it was imported.
        """
        with self._database.reading() as connection:
            return self._under_way(connection, fileset.id, fileset.user, sha1)

    def twins(self, user: str, sha1: str) -> list[Fileset]:
        """Imported filesets of `user` with a file of these bytes, the newest first."""
        file, fileset = schema.file.c, schema.fileset.c
        with self._database.reading() as connection:
            ids = connection.scalars(
                select(file.fileset)
                .join_from(schema.file, schema.fileset)
                .where(file.sha1 == sha1, fileset.user == user, fileset.state == State.IMPORTED)
                .order_by(fileset.id.desc())
            ).all()
            return self._load(connection, list(dict.fromkeys(ids)))

    def same_content(self, user: str, sha1s: Sequence[str]) -> list[Fileset]:
        """Imported filesets of `user` with just these bytes, file for file, the newest first.

        Very many other filesets may share one of the files, such as an empty one.
        """
        with self._database.reading() as connection:
            return self._load(connection, self._same_content(connection, user, sha1s))

    def _same_content(self, connection: Connection, user: str, sha1s: Sequence[str]) -> list[int]:
        file = schema.file.c
        number = len(sha1s)
        values = {"first": sha1s[0], "last": sha1s[-1], "user": user}
        ids = connection.scalars(
            statements.SAME_CONTENT, {**values, "before_end": number - 1, "end": number}
        ).all()
        found: list[int] = []
        for some in chunks(ids, CHUNK):
            theirs: dict[int, list[str | None]] = {}
            for row in connection.execute(
                select(file.fileset, file.sha1)
                .where(file.fileset.in_(some))
                .order_by(file.position)
            ):
                theirs.setdefault(row.fileset, []).append(row.sha1)
            found += [one for one in some if theirs[one] == list(sha1s)]
        return found

    def of_others(self, fileset: Fileset) -> list[Fileset]:
        """Filesets of other users that have its first file, as it is, and may be in OMERO."""
        with self._database.reading() as connection:
            return self._load(connection, self._of_others(connection, fileset))

    def _of_others(self, connection: Connection, fileset: Fileset) -> list[int]:
        stat = fileset.files[0].stat
        values = {
            "inode": signed(stat.inode),
            "device": signed(stat.device),
            "size": stat.size,
            "mtime_ns": stat.mtime_ns,
            "user": fileset.user,
        }
        return list(connection.scalars(statements.OF_OTHERS, values))

    def stores(self) -> list[str]:
        """The paths of all filesets that are stores."""
        path = schema.fileset.c.path
        with self._database.reading() as connection:
            return list(
                connection.scalars(
                    select(path).where(path.endswith("/", autoescape=True)).distinct()
                )
            )

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

    def shared(self, fileset: Fileset) -> list[str]:
        """Those of its files that another fileset has too, except for skipped and failed ones."""
        inodes = [signed(met.stat.inode) for met in fileset.files]
        paths = {met.path for met in fileset.files}
        found: set[str] = set()
        with self._database.reading() as connection:
            for some in chunks(inodes, CHUNK):
                found.update(
                    connection.scalars(statements.SHARED, {"inodes": some, "fileset": fileset.id})
                )
        return sorted(found & paths)

    def in_sets(self, user: str, found: Sequence[Found]) -> set[str]:
        """Paths of those of `found` that a set under way has, but not as its first file."""
        file, fileset = schema.file.c, schema.fileset.c
        paths = {met.path for met in found}
        used: set[str] = set()
        with self._database.reading() as connection:
            for some in chunks(found, CHUNK):
                used.update(
                    connection.scalars(
                        select(file.path)
                        .join_from(schema.file, schema.fileset)
                        .where(
                            file.inode.in_([signed(met.stat.inode) for met in some]),
                            file.position > 0,
                            fileset.user == user,
                            fileset.state.in_(IN_DOUBT),
                        )
                    )
                )
        return used & paths

    def imported_at(self, paths: Iterable[str]) -> set[str]:
        """Those of `paths` that a fileset was imported from."""
        found: set[str] = set()
        for some in chunks(list(paths), 500):
            with self._database.reading() as connection:
                found.update(
                    connection.scalars(
                        select(schema.fileset.c.path).where(
                            schema.fileset.c.path.in_(some),
                            schema.fileset.c.state == State.IMPORTED,
                        )
                    )
                )
        return found

    def notes(self, prefix: str) -> dict[str, str]:
        """The values kept under keys that begin with `prefix`, without empty ones."""
        table = schema.meta.c
        with self._database.reading() as connection:
            rows = connection.execute(
                select(table.key, table.value).where(table.key.startswith(prefix, autoescape=True))
            )
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

    def claims(self) -> dict[int, Claim]:
        """Fileset -> who is importing it."""
        table = schema.claim.c
        with self._database.reading() as connection:
            rows = connection.execute(select(table.fileset, table.holder, table.epoch, table.until))
            return {row[0]: Claim(*row[1:]) for row in rows}

    def get(self, fileset: int) -> Fileset | None:
        """The fileset with this id."""
        with self._database.reading() as connection:
            loaded = self._load(connection, [fileset])
            return loaded[0] if loaded else None

    def load(self, filesets: Sequence[int]) -> list[Fileset]:
        """The filesets with these ids, in their order."""
        with self._database.reading() as connection:
            return self._load(connection, filesets)

    def former(self, user: str, found: Sequence[Found]) -> dict[int, tuple[str, Found]]:
        """The filesets of files that are now `found` under another path: id -> former path, now.

        See `intake.former`.
        """
        with self._database.reading() as connection:
            return former(connection, user, found)

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

    def events(self, fileset: int) -> list[tuple[float, str, str, str, str]]:
        """(s since the epoch, state before, state after, reason, who), oldest first."""
        log = schema.event_log.c
        with self._database.reading() as connection:
            return [
                tuple(row)
                for row in connection.execute(
                    select(log.at, log.before, log.after, log.reason, log.who)
                    .where(log.fileset == fileset)
                    .order_by(log.id)
                )
            ]

    def last_event(self) -> int:
        """The id of the newest event; 0 if there is none."""
        with self._database.reading() as connection:
            return connection.scalar(select(func.max(schema.event_log.c.id))) or 0

    def events_after(self, event: int, limit: int) -> list[Event]:
        """The next events of any fileset after this one, oldest first."""
        with self._database.reading() as connection:
            rows = connection.execute(statements.EVENTS, {"event": event, "most": limit})
            return [Event(*tuple(row)) for row in rows]

    def when_written(self, call: Callable[[], None]) -> None:
        """Calls `call` after each transaction of ours that wrote; it returns at once."""
        self._database.written = call

    def _under_way(self, connection: Connection, fileset: int, user: str, sha1: str) -> int | None:
        found: int | None = connection.scalar(
            statements.UNDER_WAY, {"sha1": sha1, "fileset": fileset, "user": user}
        )
        return found

    def _load(self, connection: Connection, ids: Sequence[int]) -> list[Fileset]:
        """Whole rows in the order of `ids`."""
        rows: dict[int, Any] = {}
        files: dict[int, list[Any]] = {}
        for chunk in chunks(ids, CHUNK):
            for row in connection.execute(statements.FILESETS, {"ids": chunk}):
                rows[row.id] = row
            for row in connection.execute(statements.FILES, {"ids": chunk}):
                files.setdefault(row.fileset, []).append(row)
        return [to_fileset(rows[i], files.get(i, [])) for i in ids if i in rows]


def _is_unicode(path: str) -> bool:
    """No database takes another path, and none is in the journal."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True
