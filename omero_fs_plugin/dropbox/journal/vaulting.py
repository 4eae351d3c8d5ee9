"""What is written of failed filesets whose files are moved into quarantine, or back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from sqlalchemy import Connection, func, select, update

from . import schema, statements
from .forming import put_at
from .intake import take_others, wait_each
from .moves import RETURNING
from .parting import CLOSED
from .records import PART, Fileset, Found, chunks, signed
from .states import OPEN, State
from .waiting import Waiting
from .writer import write_note


class Vaulting(Waiting):
    """Filesets that go into quarantine, and come home.

    Rule: no transaction has more than PART files.  The root of the fileset says where its files
    lie.  Some of their rows may say otherwise, if a process has ended between two parts.
    """

    def set_out(self, fileset: Fileset, notes: Mapping[str, str]) -> bool:
        """Makes these notes before the files of a failed fileset are moved.

        Returns False, and notes nothing, if it has not failed, or lies elsewhere by now.
        """
        table = schema.fileset.c
        with self._database.writing() as connection:
            there = connection.scalar(
                select(table.id).where(
                    table.id == fileset.id,
                    table.state == State.FAILED,
                    table.root == fileset.root,
                )
            )
            for key, value in notes.items() if there is not None else ():
                write_note(connection, key, value)
            return there is not None

    def end_way(self, fileset: int, said: str) -> None:
        """Removes what is noted of a way home that is over, unless another one has begun since.

        `said`: the note of the one that is over.
        """
        self.unnote(f"{RETURNING}{fileset}", said)

    def put_elsewhere(self, fileset: int, root: str, found: Sequence[Found]) -> bool:
        """Records that the files of a failed fileset lie below another `root` now.

        Returns False, and records nothing, if it has not failed any more, or has other files:
        whoever has opened it again looks for the files where they were.  The first part has the
        root.
        """
        table, file = schema.fileset.c, schema.file.c
        for begin in range(0, len(found), PART):
            with self._database.writing() as connection:
                row = connection.execute(
                    select(table.state, table.root).where(table.id == fileset)
                ).first()
                if not begin and (row is None or row.state != State.FAILED):
                    return False
                if not begin and len(found) != connection.scalar(
                    select(func.count()).where(file.fileset == fileset)
                ):
                    return False  # some of them wait by themselves
                if begin and (row is None or row.root != root):
                    break  # somebody has brought it home
                if not begin:
                    _lies_below(connection, fileset, root, found[0].path)
                put_at(connection, fileset, found[begin : begin + PART], begin)
        return True

    def bring_home(self, fileset: Fileset, root: str, found: Sequence[Found], note: str) -> None:
        """Lets the files of a failed fileset, which lie below `root` again, settle there.

        Removes `note`, the key of what was noted while they were away.  The last part has the root.

        If the way home took long, one of the files may have been met there before.  It is of the
        fileset that was made of it, and so this one ends.
        """
        last = len(found) if len(found) <= PART else 1
        imported = self._imported_since(fileset, found[last:])
        for begin in reversed(range(last, len(found), PART)):
            some = [met for met in found[begin : begin + PART] if met.path not in imported]
            # Twice is better than not at all: who goes on after a kill finds it waiting.
            self.wait(fileset.user, root, some)
            with self._database.writing() as connection:
                take_others(connection, fileset.id, begin)
        first, large = found[:last], []
        with self._database.writing() as connection:
            others = _met_before(connection, fileset, first)
            if others:
                first = [met for met in first if met.path not in others]
                self._end_at_home(connection, fileset, root, found[0].path, others)
            else:
                _lies_below(connection, fileset.id, root, found[0].path)
                put_at(connection, fileset.id, first, 0)
            large = wait_each(connection, self._stamp(), fileset.user, root, first)
            write_note(connection, note, "")
        for one in large:
            self._part_with(one, CLOSED)
        if large:
            self.wait(fileset.user, root, first)

    def _imported_since(self, fileset: Fileset, found: Sequence[Found]) -> set[str]:
        imported: set[str] = set()
        for some in chunks(found, PART):
            with self._database.reading() as connection:
                met = _met_before(connection, fileset, some)
                imported |= {path for path, (_, state) in met.items() if state == State.IMPORTED}
        return imported

    def _end_at_home(
        self,
        connection: Connection,
        fileset: Fileset,
        root: str,
        path: str,
        others: Mapping[str, tuple[int, str]],
    ) -> None:
        """Ends a fileset some of whose files are of `others`.  It keeps its first, at `path`."""
        identifier, _ = others.get(path) or min(others.values())
        why = f"came back from quarantine, and goes on as fileset {identifier}"
        if self._move(connection, fileset.id, (State.FAILED,), State.SKIPPED, why):
            _lies_below(connection, fileset.id, root, path)
            take_others(connection, fileset.id)
            # As it was in quarantine: what it is now is known to the other fileset alone.
            put_at(connection, fileset.id, [replace(fileset.files[0], path=path)], 0)


def _met_before(
    connection: Connection, fileset: Fileset, found: Sequence[Found]
) -> dict[str, tuple[int, str]]:
    """Those of `found` that another fileset has, open or imported since: path -> its id and state.

    No more than PART files.
    """
    met: dict[str, tuple[int, str]] = {}
    now = {one.path: one.stat for one in found}
    values = {"paths": list(now), "but": fileset.id, "since": fileset.changed}
    for path, identifier, state, inode, size, mtime_ns in connection.execute(
        statements.HELD_AT, values
    ):
        as_it_is = (signed(now[path].inode), now[path].size, now[path].mtime_ns)
        if state in OPEN or (inode, size, mtime_ns) == as_it_is:
            met[path] = identifier, state
    return met


def _lies_below(connection: Connection, fileset: int, root: str, path: str) -> None:
    connection.execute(
        update(schema.fileset).where(schema.fileset.c.id == fileset).values(root=root, path=path)
    )
