"""Copies a whole journal into another database, such as from SQLite to PostgreSQL.

Rule: all of it or nothing, and both are compared row by row before the copy counts.  Nobody works
on either meanwhile: whoever copies has both leases.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import Any

from sqlalchemy import Connection, Table, delete, func, insert, select, text, update

from omero_fs_plugin.errors import JournalError

from . import schema
from .journal import Journal
from .lease import Holder, Lease

_SOME = 500  # rows that are read and written together
# In this order each row has what it refers to.  Who works on a database, and what such a process
# has claimed, is of that database alone.
_TABLES: tuple[Table, ...] = (schema.fileset, schema.file, schema.event_log, schema.letter)
# Filesets refer to each other, also to later ones: these columns are written last.
_LATE = ("revision_of", "duplicate_of")
_VERSION = "version"


def copy(source: Journal, target: Journal, clock: Callable[[], float]) -> dict[str, int]:
    """Copies all rows.  Returns the number of rows of each table.  `clock`: s, monotonic.

    Raises JournalError if somebody works on one of them, if `target` is not empty, or if the
    copy is not the same as the original; then nothing is in `target`.
    """
    leases = [Lease(source), Lease(target)]
    try:
        for lease, journal in zip(leases, (source, target), strict=True):
            if not lease.hold(clock()):
                raise JournalError(
                    f"the journal {journal.shown} is in use by DropBox, {lease.held_by}: stop it "
                    'first, with `omero admin ice "server disable DropBox"` and `omero admin ice '
                    '"server stop DropBox"`'
                )
            if nodes := journal.nodes():
                names = ", ".join(Holder.parse(node.holder).name() for node in nodes)
                raise JournalError(
                    f"the journal {journal.shown} is in use by DropBoxImporter, {names}: stop it "
                    "first; one that was killed is given up within a minute while DropBox runs"
                )

        def keep() -> None:
            if not leases[0].hold(clock()):
                raise JournalError(
                    f"the journal {source.shown} was taken by another DropBox meanwhile, and "
                    "nothing was copied: stop it, and begin again"
                )

        return _copy(source, target, keep)
    finally:
        for lease in leases:
            lease.release()


def _copy(source: Journal, target: Journal, keep: Callable[[], None]) -> dict[str, int]:
    with source.database.reading() as old, target.database.writing(fenced=False) as new:
        if any(new.scalar(select(func.count()).select_from(table)) for table in _TABLES):
            raise JournalError(
                f"the journal {target.shown} is not empty: name a new file, or a new database"
            )
        if new.dialect.name == "postgresql":
            new.exec_driver_sql("SET LOCAL statement_timeout = 0")
        _copy_notes(old, new)
        for table in _TABLES:
            if table is schema.event_log:  # the inserts above have made some
                new.execute(delete(schema.event_log))
            for rows in _rows(old, table):
                keep()
                new.execute(insert(table), [_early(row) for row in rows])
        _refer(old, new)
        _count_on(old, new)
        number: dict[str, int] = {}
        for table in (schema.meta, *_TABLES):
            keep()
            before, after = _digest(old, table), _digest(new, table)
            if before != after:
                raise JournalError(
                    f"the copy of {table.name} differs from the original: {before[0]:,} rows, and "
                    f"{after[0]:,} in the copy; nothing was copied"
                )
            number[table.name] = before[0]
    return number


def _copy_notes(old: Connection, new: Connection) -> None:
    meta = schema.meta
    new.execute(delete(meta).where(meta.c.key != _VERSION))
    for rows in _rows(old, meta):
        notes = [row for row in rows if row["key"] != _VERSION]
        if notes:
            new.execute(insert(meta), notes)


def _early(row: dict[str, Any]) -> dict[str, Any]:
    """A row without what may refer to a row that is not there yet."""
    return {name: None if name in _LATE else value for name, value in row.items()}


def _refer(old: Connection, new: Connection) -> None:
    fileset = schema.fileset.c
    for name in _LATE:
        column = fileset[name]
        for identifier, other in old.execute(
            select(fileset.id, column).where(column.is_not(None))
        ).all():
            new.execute(
                update(schema.fileset).where(fileset.id == identifier).values({name: other})
            )


def _count_on(old: Connection, new: Connection) -> None:
    """The next row gets a number that no row has, or ever had: notes tell of rows by their number.

    The rows with the highest numbers may be gone.
    """
    for table in (table for table in _TABLES if "id" in table.c):
        last = max(_last(old, table), _last(new, table))
        if not last:
            continue
        if new.dialect.name == "postgresql":
            set_it = f"SELECT setval({_sequence(table)}, :last)"
        elif _last(new, table):
            set_it = f"UPDATE sqlite_sequence SET seq = :last WHERE name = '{table.name}'"
        else:
            set_it = f"INSERT INTO sqlite_sequence VALUES ('{table.name}', :last)"
        new.execute(text(set_it), {"last": last})


def _last(connection: Connection, table: Table) -> int:
    """The highest number that a row of `table` ever had; 0 if there was none."""
    if connection.dialect.name == "postgresql":
        ask = f"SELECT pg_sequence_last_value({_sequence(table)})"
    else:
        ask = f"SELECT seq FROM sqlite_sequence WHERE name = '{table.name}'"
    number = connection.scalar(select(func.max(table.c.id)))
    return max(connection.scalar(text(ask)) or 0, number or 0)


def _sequence(table: Table) -> str:
    return f"pg_get_serial_sequence('{table.name}', 'id')::regclass"


def _rows(connection: Connection, table: Table) -> Iterator[list[dict[str, Any]]]:
    """All rows in the order of their keys, some at a time."""
    found = connection.execute(select(table).order_by(*table.primary_key.columns)).mappings()
    while rows := found.fetchmany(_SOME):
        yield [dict(row) for row in rows]


def _digest(connection: Connection, table: Table) -> tuple[int, str]:
    """The number of rows, and a checksum of all their values."""
    number, digest = 0, hashlib.sha256()
    if table is schema.meta:  # databases sort texts differently
        found = sorted(tuple(row) for row in connection.execute(select(table)))
        return len(found), hashlib.sha256(repr(found).encode()).hexdigest()
    for rows in _rows(connection, table):
        number += len(rows)
        digest.update(repr([list(row.values()) for row in rows]).encode())
    return number, digest.hexdigest()
