"""What OMERO has and the journal does not know: it is recorded as imported."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from sqlalchemy import Connection, delete, insert, select, update

from omero_fs_plugin.blitz.filesets import ServerFileset
from omero_fs_plugin.events import FileStat
from omero_fs_plugin.packed import bag
from omero_fs_plugin.stores import digest_of_copies, store_at

from . import schema, statements
from .forming import forget
from .intake import Stamp
from .parting import Parting
from .records import FOUND_IN_OMERO, PART, stat_columns
from .states import OPEN, State
from .writer import write_note

# Before the id of a fileset in OMERO; the note has the id of the row that gets its files.
_RECALLS = "recalls "


class Recalling(Parting):
    """Filesets that OMERO has already.

    Rule: no transaction has more than about PART files.  Until its last part a large set has no
    number in OMERO, and nothing has the same content.  So whoever goes on after a kill finds it
    missing, and fills the same row.
    """

    def found_in_omero(self, user: str, root: str, found: Sequence[ServerFileset]) -> int:
        """Records imports that this journal does not know, and returns their number.

        They are recorded in their order.  If OMERO was told to import an open fileset with this
        path and content, the import is left out: the next attempt asks OMERO itself.
        """
        number = 0
        for some in _in_parts([as_store(one) for one in found]):
            if len(some[0].paths) > PART:
                number += self._recall(user, root, some[0])
                continue
            with self._database.writing() as connection:
                for there in self._unknown(connection, some):
                    identifier = _insert(connection, self._stamp(), user, root, there)
                    _put_files(connection, identifier, there, 0)
                    _finish(connection, identifier, there)
                    number += 1
        return number

    def _recall(self, user: str, root: str, there: ServerFileset) -> int:
        """One of very many files; 1 if it was recorded."""
        key = f"{_RECALLS}{there.id}"
        with self._database.writing() as connection:
            if not self._unknown(connection, [there]):
                return 0
            noted = connection.scalar(statements.NOTED, {"of": key})
            identifier = int(noted or 0)
            if not identifier:
                identifier = _insert(connection, self._stamp(), user, root, there)
                write_note(connection, key, str(identifier))
        for begin in range(0, len(there.paths), PART):
            with self._database.writing() as connection:
                _put_files(connection, identifier, there, begin)
        with self._database.writing() as connection:
            unknown = bool(self._unknown(connection, [there]))
            if unknown:
                _finish(connection, identifier, there)
            write_note(connection, key, "")
        if not unknown:  # an import of it has ended meanwhile
            self._shed(identifier, State.IMPORTED)
            with self._database.writing() as connection:
                forget(connection, [identifier])
        return int(unknown)

    def _unknown(
        self, connection: Connection, some: Sequence[ServerFileset]
    ) -> list[ServerFileset]:
        fileset = schema.fileset.c
        told = self._told_at(connection, [f"/{one.paths[0]}" for one in some])
        recorded = set(
            connection.scalars(
                select(fileset.server_fileset).where(
                    fileset.server_fileset.in_([one.id for one in some])
                )
            )
        )
        return [
            one
            for one in some
            if one.id not in recorded and told.get(f"/{one.paths[0]}") != bag(one.hashes)
        ]

    def _told_at(self, connection: Connection, paths: Sequence[str]) -> dict[str, tuple[int, int]]:
        """The content, in any order, of open filesets that OMERO was told to import: by path."""
        fileset = schema.fileset.c
        rows = connection.execute(
            select(fileset.id, fileset.state).where(fileset.path.in_(paths), fileset.verified == 1)
        )
        told = self._load(connection, [row.id for row in rows if row.state in OPEN])
        return {one.path: bag(one.sha1s) for one in told}


def as_store(found: ServerFileset) -> ServerFileset:
    """What OMERO has of a store as the journal has a store: one path, and its digest."""
    content = digest_of_copies(found.paths, found.hashes)
    if not content:
        return found
    top = store_at(found.paths[0].rpartition("/")[0])
    return replace(found, paths=(top,), hashes=(content,), sizes=(sum(found.sizes),))


def _in_parts(found: Sequence[ServerFileset]) -> Iterator[list[ServerFileset]]:
    """In their order; those of few files together, a large one by itself."""
    some: list[ServerFileset] = []
    files = 0
    for one in found:
        if some and files + len(one.paths) > PART:
            yield some
            some, files = [], 0
        some.append(one)
        files += len(one.paths)
    if some:
        yield some


def _insert(connection: Connection, at: Stamp, user: str, root: str, found: ServerFileset) -> int:
    """A row without files, which OMERO does not know yet."""
    identifier = connection.scalar(
        insert(schema.fileset)
        .values(
            user=user,
            root=root,
            path=f"/{found.paths[0]}",
            state=State.IMPORTED,
            origin=FOUND_IN_OMERO,
            created=at.now,
            changed=at.now,
            moved_by=at.who,
        )
        .returning(schema.fileset.c.id)
    )
    assert identifier is not None
    return int(identifier)


def _put_files(connection: Connection, fileset: int, found: ServerFileset, begin: int) -> None:
    """A part of its files, from this position on; the first has no SHA1 before `_finish`."""
    file, end = schema.file.c, begin + PART
    connection.execute(
        delete(schema.file).where(
            file.fileset == fileset, file.position >= begin, file.position < end
        )
    )
    nothing = stat_columns(FileStat(0, 0, 0, 0))
    files = zip(
        found.paths[begin:end], found.sizes[begin:end], found.hashes[begin:end], strict=True
    )
    connection.execute(
        insert(schema.file),
        [
            {
                **nothing,
                "fileset": fileset,
                "position": position,
                "path": f"/{path}",
                "size": size,
                "sha1": sha1 if position else None,
            }
            for position, (path, size, sha1) in enumerate(files, begin)
        ],
    )


def _finish(connection: Connection, fileset: int, found: ServerFileset) -> None:
    file, table = schema.file.c, schema.fileset.c
    connection.execute(
        update(schema.file)
        .where(file.fileset == fileset, file.position == 0)
        .values(sha1=found.hashes[0])
    )
    connection.execute(
        update(schema.fileset)
        .where(table.id == fileset)
        .values(server_fileset=found.id, images=",".join(map(str, found.images)))
    )
