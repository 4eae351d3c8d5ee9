"""What is the same as what: files that were met before, and filesets with the same content."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence

from sqlalchemy import Connection, or_, select

from omero_fs_plugin.names import is_utf8

from . import schema, statements
from .intake import former
from .records import Fileset, Found, chunks, signed
from .rows import CHUNK, Rows
from .statements import IN_DOUBT
from .states import OPEN, State

_STATES = {str(state): state for state in State}


class Sameness(Rows):
    """Compares files and filesets with those that the journal knows."""

    def known(
        self, found: Sequence[Found], user_of: Callable[[str], str | None] | None = None
    ) -> dict[str, State]:
        """Those of `found` that are accounted for as they are: path -> state.

        A file is accounted for if a file with this inode, size, mtime and ctime is
        recorded, on this device or under this path.  Then nobody has touched its bytes or
        its inode since.  The path counts because a share that is mounted again has another
        device number, while its files are the same.  A file that was only renamed or
        chmod-ed has another ctime; see `same_content`.  A file that was skipped because it
        was gone, and is there again, is not accounted for.

        `user_of` gives the user in whose directory a path lies; None if it lies in nobody's.  What
        another user had under another path does not count: a directory may be moved from one user
        to another, and its files keep their inodes and times.
        """
        return {path: state for path, (state, _) in self._newest(found, user_of).items()}

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
                    paths = [path for path in paths if is_utf8(path)]
                rows = statements.ended(connection, paths)
                as_they_are = [
                    (path, stat.st_ino)
                    for path, stat in chunk
                    if (path, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns) in rows
                ]
                opened = statements.opened(connection, [inode for _, inode in as_they_are])
                found.update(path for path, inode in as_they_are if inode not in opened)
        return found

    def lay_at(self, user: str, paths: Sequence[str]) -> dict[str, set[tuple[int, int]]]:
        """Size (bytes) and mtime (ns) of what `user` has at these paths, and was not imported."""
        lay: dict[str, set[tuple[int, int]]] = {}
        file, fileset = schema.file.c, schema.fileset.c
        with self._database.reading() as connection:
            for some in chunks([path for path in paths if is_utf8(path)], CHUNK):
                rows = connection.execute(
                    select(file.path, file.size, file.mtime_ns)
                    .join_from(schema.file, schema.fileset)
                    .where(file.path.in_(some), fileset.user == user)
                    .where(fileset.state != State.IMPORTED)
                )
                for path, size, mtime_ns in rows:
                    lay.setdefault(path, set()).add((size, mtime_ns))
        return lay

    def under_another_path(
        self, found: Sequence[Found], user_of: Callable[[str], str | None] | None = None
    ) -> dict[str, str]:
        """Those of `found` that are in an open fileset just as they are, and their paths there.

        Their directory was renamed, or they have several names.  If they are renamed, that
        fileset ends because they are gone.  So nothing is known of them before its end.
        `user_of` is as for `known`.
        """
        newest = self._newest(found, user_of).items()
        return {path: was for path, (state, was) in newest if state in OPEN and was != path}

    def _newest(
        self, found: Sequence[Found], user_of: Callable[[str], str | None] | None
    ) -> dict[str, tuple[State, str]]:
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
                        fileset.user,
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
                    .where(or_(fileset.state != State.SKIPPED, statements.ended_for_good()))
                ).all()
                for identifier, user, was, device, inode, size, mtime_ns, ctime_ns, state in rows:
                    for met in by_inode.get(inode, ()):
                        stat, path = met.stat, met.path
                        if (
                            (signed(stat.device) == device or path == was)
                            and stat.size == size
                            and stat.mtime_ns == mtime_ns
                            and stat.ctime_ns == ctime_ns
                            and newest.get(path, 0) < identifier
                            and (path == was or user_of is None or user_of(path) in (None, user))
                        ):
                            newest[path] = identifier
                            known[path] = _STATES[state], was
        return known

    def former(self, user: str, found: Sequence[Found]) -> dict[int, tuple[str, Found]]:
        """The filesets of files that are now `found` under another path: id -> former path, now.

        See `intake.former`.
        """
        with self._database.reading() as connection:
            return former(connection, user, found)

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

    def _under_way(self, connection: Connection, fileset: int, user: str, sha1: str) -> int | None:
        found: int | None = connection.scalar(
            statements.UNDER_WAY, {"sha1": sha1, "fileset": fileset, "user": user}
        )
        return found

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
