"""What is written of failed filesets whose files are moved into quarantine, or back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from sqlalchemy import Connection, func, select, update

from . import schema, statements
from .forming import put_at
from .intake import take_others, wait_each
from .parting import CLOSED
from .records import PART, Fileset, Found, chunks, signed
from .states import OPEN, State
from .waiting import Waiting
from .writer import write_note

# Notes, each before the id of a fileset whose files are being moved, or were when a process ended;
# HOME stays for as long as they are in quarantine.
GOES = "quarantine under way "  # the quarantine's directory, which may be another one by now
HOME = "quarantined "  # the root that it had; if its own is another, it is in quarantine
RETURNING = "returning "  # the root that it had, where it lies, its stores there, as JSON


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
        if others := self._met_before(fileset.id, found):
            self._end_at_home(fileset, root, found, others, note)
            return
        last = len(found) if len(found) <= PART else 1
        for begin in reversed(range(last, len(found), PART)):
            # Twice is better than not at all: who goes on after a kill finds it waiting.
            self.wait(fileset.user, root, found[begin : begin + PART])
            with self._database.writing() as connection:
                take_others(connection, fileset.id, begin)
        with self._database.writing() as connection:
            _lies_below(connection, fileset.id, root, found[0].path)
            put_at(connection, fileset.id, found[:last], 0)
            large = wait_each(connection, self._stamp(), fileset.user, root, found[:last])
            write_note(connection, note, "")
        for one in large:
            self._part_with(one, CLOSED)
        if large:
            self.wait(fileset.user, root, found[:last])

    def _met_before(self, fileset: int, found: Sequence[Found]) -> dict[str, int]:
        """Those of `found` that another fileset has, open or imported since: path -> its id."""
        met: dict[str, int] = {}
        with self._database.reading() as connection:
            for some in chunks(found, PART):
                now = {one.path: one.stat for one in some}
                rows = connection.execute(statements.HELD_AT, {"paths": list(now), "but": fileset})
                for path, identifier, state, inode, size, mtime_ns in rows:
                    stat = now[path]
                    as_it_is = (signed(stat.inode), stat.size, stat.mtime_ns)
                    if state in OPEN or (inode, size, mtime_ns) == as_it_is:
                        met[path] = identifier
        return met

    def _end_at_home(
        self,
        fileset: Fileset,
        root: str,
        found: Sequence[Found],
        others: Mapping[str, int],
        note: str,
    ) -> None:
        """Ends a fileset some of whose files are of `others`.  The rest of them wait."""
        # Twice is better than not at all, as above.
        self.wait(fileset.user, root, [met for met in found if met.path not in others])
        for begin in reversed(range(PART, len(found), PART)):
            with self._database.writing() as connection:
                take_others(connection, fileset.id, begin)
        identifier = others.get(found[0].path) or min(others.values())
        why = f"came back from quarantine, and goes on as fileset {identifier}"
        with self._database.writing() as connection:
            if self._move(connection, fileset.id, (State.FAILED,), State.SKIPPED, why):
                _lies_below(connection, fileset.id, root, found[0].path)
                take_others(connection, fileset.id)
                # As it was in quarantine: what it is now is known to the other fileset alone.
                put_at(connection, fileset.id, [replace(found[0], stat=fileset.files[0].stat)], 0)
            write_note(connection, note, "")


def _lies_below(connection: Connection, fileset: int, root: str, path: str) -> None:
    connection.execute(
        update(schema.fileset).where(schema.fileset.c.id == fileset).values(root=root, path=path)
    )
