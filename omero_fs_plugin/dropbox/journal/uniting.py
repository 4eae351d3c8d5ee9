"""How two filesets become one: the bytes of one are met again, or OMERO says that they are one."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, select, update

from . import schema, statements
from .forming import put_at, unite
from .parting import Parting
from .records import MET, PART, Found, columns
from .states import State
from .writer import write_note

# Before the id of a fileset that has ended; the note has the id of the one that gets its history.
_UNITES = "unites "


class Uniting(Parting):
    """Filesets that go, because another one has the same.

    Rule: no transaction has more than PART files.  The files of the one that goes are removed
    before it goes, and after it has ended.
    """

    def met(self, fileset: int, of: int, found: Sequence[Found]) -> bool:
        """Records that `fileset`, which is importing, has the files of `of`, which was imported.

        `found`: the files as they are now.  Only `of` remains, with the history of both.  Returns
        whether `fileset` was importing.
        """
        # In parts: `of` has these bytes whatever becomes of the last one.
        last = (len(found) - 1) // PART * PART
        for begin in range(0, last, PART):
            with self._database.writing() as connection:
                put_at(connection, of, found[begin : begin + PART], begin)
        with self._database.writing() as connection:
            again = _met_again(fileset)
            if not self._move(connection, fileset, (State.IMPORTING,), State.SKIPPED, again):
                return False
            put_at(connection, of, found[last:], last)
            connection.execute(
                update(schema.fileset)
                .where(schema.fileset.c.id == of)
                .values(path=found[0].path, origin=MET)
            )
            if not last:
                unite(connection, fileset, of)
                return True
            write_note(connection, f"{_UNITES}{fileset}", str(of))
        self._unite(fileset, of)
        return True

    def finish_uniting(self) -> None:
        """Goes on where a process ended that united two filesets."""
        for key, of in self.notes(_UNITES).items():
            self._unite(int(key.removeprefix(_UNITES)), int(of))

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

    def _unite(self, fileset: int, of: int) -> None:
        """One that was met again goes, unless it has been opened again since."""
        again = _met_again(fileset)
        self._shed(fileset, State.SKIPPED, again)
        table = schema.fileset.c
        with self._database.writing() as connection:
            skipped = (table.state == State.SKIPPED, table.reason == again)
            if connection.scalar(select(table.id).where(table.id == fileset, *skipped)) is not None:
                unite(connection, fileset, of)
            write_note(connection, f"{_UNITES}{fileset}", "")

    def _empty_found(self, server_fileset: int, to: int) -> None:
        """What was found in OMERO before, and is a set of very many files, gives way; see below."""
        with self._database.reading() as connection:
            found = connection.scalar(
                statements.FOUND, {"server_fileset": server_fileset, "to": to}
            )
        if found is None:
            return
        file = schema.file.c
        with self._database.writing() as connection:
            # Nothing is the same as what is left of it.
            connection.execute(
                update(schema.file)
                .where(file.fileset == found, file.position == 0)
                .values(sha1=None)
            )
        self._shed(found, State.IMPORTED)


def give_way(connection: Connection, server_fileset: int, to: int) -> None:
    """The row of what was found in OMERO goes, because it is fileset `to`."""
    table = schema.fileset.c
    values = {"server_fileset": server_fileset, "to": to}
    found = connection.scalar(statements.FOUND, values)
    if found is None:
        return
    for column in (table.revision_of, table.duplicate_of):
        connection.execute(update(schema.fileset).where(column == found).values({column.name: to}))
    unite(connection, found, to)


def _met_again(fileset: int) -> str:
    return f"met again, as fileset {fileset}: it has the same bytes"
