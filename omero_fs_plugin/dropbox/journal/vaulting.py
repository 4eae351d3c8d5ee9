"""What is written of failed filesets whose files are moved into quarantine, or back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, select, update

from . import schema
from .forming import put_at
from .intake import take_others, wait_each
from .parting import CLOSED
from .records import PART, Fileset, Found
from .states import State
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

        Returns False, and records nothing, if it has not failed any more: whoever has
        opened it again looks for the files where they were.  The first part has the root.
        """
        table = schema.fileset.c
        for begin in range(0, len(found), PART):
            with self._database.writing() as connection:
                row = connection.execute(
                    select(table.state, table.root).where(table.id == fileset)
                ).first()
                if not begin and (row is None or row.state != State.FAILED):
                    return False
                if begin and (row is None or row.root != root):
                    break  # somebody has brought it home
                if not begin:
                    _lies_below(connection, fileset, root, found[0].path)
                put_at(connection, fileset, found[begin : begin + PART], begin)
        return True

    def bring_home(self, fileset: Fileset, root: str, found: Sequence[Found], note: str) -> None:
        """Lets the files of a failed fileset, which lie below `root` again, settle there.

        Removes `note`, the key of what was noted while they were away.  The last part has the root.
        """
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


def _lies_below(connection: Connection, fileset: int, root: str, path: str) -> None:
    connection.execute(
        update(schema.fileset).where(schema.fileset.c.id == fileset).values(root=root, path=path)
    )
