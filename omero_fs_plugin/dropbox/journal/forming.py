"""How several files become one fileset, and what becomes of their former records.

All of it runs within a transaction of the journal; `gathering` has large sets.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from . import schema
from .intake import REOPENED, Stamp, wait_apart
from .records import MET, Formed, Found, chunks, columns, met_of
from .states import OPEN, State
from .surrounding import around
from .writer import REMARK, write_note

_CHUNK = 500  # rows looked up in one statement


def form(connection: Connection, at: Stamp, formed: Formed) -> tuple[int | None, list[Found]]:
    """Queues one fileset of these files.  Returns its id, and the files that it leaves out.

    It replaces the open and failed filesets of each file.  Nothing of them is lost:
    a file that is not in the new fileset waits by itself.  A fileset that was queued
    or tried before ends with a reason.  Only the row of a single file that waited for
    its set goes into the new one.

    If another set has all of these files, as they are now, the new one has no first
    file of its own (the rule of OMERO's importer, see `grouping.bioformats.walk`).
    It then ends with a reason, and the id is that of the other set.  The same holds if
    the other set was imported and lacks nothing but indexes: these came later, or
    belong to a second description of the same images.  If a person hands the files over,
    they are imported all the same.

    The id is None if it has to be tried later: one of the files is being imported, or
    OMERO was told to import it and nobody knows the result yet, or another user's
    fileset has it.
    """
    rows = rows_of(connection, formed)
    there = around(connection, formed)
    if any(is_busy(row, formed.user) for row in rows):
        return None, []
    if there is not None and there.delays:
        return None, []
    rows = [row for row in rows if row.user == formed.user]
    first = first_of(rows, formed)
    others = [row for row in rows if first is None or row.id != first.id]
    if there is not None:
        ending = [row for row in rows if row.id != there.id]
        left = end(connection, at, formed.paths, ending, there.reason, keep=first)
        identifier = there.id
    else:
        left = _left_of(connection, formed.paths, [first.id]) if first is not None else []
        identifier = _queue(connection, at, formed, first)
        reason = reason_with(formed, identifier)
        left += end(connection, at, formed.paths, others, reason)
    left = list({met.path: met for met in left}.values())
    wait_apart(connection, at, formed.user, formed.root, left, "")
    return identifier, left


def reason_with(formed: Formed, fileset: int) -> str:
    """Why the former filesets of its files end."""
    return f"its files are imported with {formed.found[0].path}, as fileset {fileset}"


def first_of(rows: Sequence[Any], formed: Formed) -> Any:
    """The row of its first file, of those of its user; None if that has none."""
    mine = [row for row in rows if row.path == formed.found[0].path and row.user == formed.user]
    return min(mine, key=lambda row: (State(row.state) not in OPEN, -row.id), default=None)


def rows_of(connection: Connection, formed: Formed) -> list[Any]:
    """The filesets that begin with one of the files, without imported ones and copies."""
    return [row for rows in rows_in_parts(connection, formed) for row in rows]


def rows_in_parts(connection: Connection, formed: Formed) -> Iterator[Sequence[Any]]:
    """As `rows_of`, some at a time: of a large set all rows would need much memory."""
    table = schema.fileset.c
    for some in chunks(formed.found, _CHUNK):
        yield connection.execute(
            select(table.id, table.path, table.state, table.verified, table.user).where(
                table.path.in_([met.path for met in some]),
                table.state.in_(REOPENED),
                table.duplicate_of.is_(None),
            )
        ).all()


def is_busy(row: Any, user: str) -> bool:
    """Whether this row must stay as it is for now; somebody is at work on it."""
    state = State(row.state)
    if row.user != user:
        return state in OPEN
    # OMERO may once have been told to import a failed or waiting fileset.  It may be used,
    # because the next attempt asks OMERO first.
    return state is State.IMPORTING or (state is State.QUEUED and bool(row.verified))


def values_of(at: Stamp, formed: Formed) -> dict[str, Any]:
    """What the row of a set has when it is queued."""
    return {
        "state": State.QUEUED,
        "reason": "",
        "changed": at.now,
        "moved_by": at.who,
        "root": formed.root,
        "reader": formed.reader,
        "plate": int(formed.plate),
        "origin": formed.origin or MET,
    }


def _queue(connection: Connection, at: Stamp, formed: Formed, first: Any) -> int:
    """Queues the set, in the row of its `first` file if that has one.  Returns its id."""
    values = values_of(at, formed)
    if first is not None:
        identifier = int(first.id)
        if State(first.state) not in OPEN:
            values["refusals"] = 0
        connection.execute(
            update(schema.fileset).where(schema.fileset.c.id == identifier).values(values)
        )
        connection.execute(delete(schema.file).where(schema.file.c.fileset == identifier))
    else:
        values |= {"user": formed.user, "path": formed.found[0].path, "created": at.now}
        inserted = connection.scalar(
            insert(schema.fileset).values(values).returning(schema.fileset.c.id)
        )
        assert inserted is not None
        identifier = int(inserted)
    connection.execute(
        insert(schema.file),
        [
            {"fileset": identifier, "position": position, **columns(met)}
            for position, met in enumerate(formed.found)
        ],
    )
    write_note(connection, f"{REMARK}{identifier}", formed.remark)
    return identifier


def end(
    connection: Connection,
    at: Stamp,
    paths: Set[str],
    rows: Sequence[Any],
    reason: str,
    keep: Any = None,
) -> list[Found]:
    """Ends the former filesets `rows` of files that are in a set now, which has `paths`.

    Returns their files that are in no set.  The row of a file that has only waited so
    far is removed, except for `keep`.
    """
    waiting = [row.id for row in rows if State(row.state) is State.WAITING and row is not keep]
    merged = set(waiting) - told_of(connection, waiting)
    # A skipped fileset has ended, and its reason is still true.
    ending = [row.id for row in rows if State(row.state) is not State.SKIPPED]
    ending = [identifier for identifier in ending if identifier not in merged]
    left = _left_of(connection, paths, [*ending, *merged])
    forget(connection, sorted(merged))
    for some in chunks(ending, _CHUNK):
        # It keeps only its first file.  The set has what is known of the others.
        connection.execute(
            delete(schema.file).where(schema.file.c.fileset.in_(some), schema.file.c.position > 0)
        )
        connection.execute(
            update(schema.fileset)
            .where(schema.fileset.c.id.in_(some))
            .values(
                state=State.SKIPPED,
                reason=reason,
                waited=0.0,
                changed=at.now,
                moved_by=at.who,
            )
        )
    return left


def told_of(connection: Connection, filesets: Sequence[int]) -> set[int]:
    """Those that were once more than a file that waits."""
    log = schema.event_log.c
    told: set[int] = set()
    for some in chunks(filesets, _CHUNK):
        told.update(
            connection.scalars(
                select(log.fileset).where(log.fileset.in_(some), log.after != State.WAITING)
            )
        )
    return told


def _left_of(connection: Connection, paths: Set[str], filesets: Sequence[int]) -> list[Found]:
    """Files of these sets that have none of `paths`."""
    file = schema.file.c
    found: list[Found] = []
    for some in chunks(filesets, _CHUNK):
        rows = connection.execute(
            select(schema.file).where(file.fileset.in_(some), file.position > 0)
        )
        found += [met_of(row) for row in rows if row.path not in paths]
    return found


def put_at(connection: Connection, fileset: int, found: Sequence[Found], begin: int) -> None:
    """Its files lie there now, from this position on."""
    file = schema.file.c
    for position, met in enumerate(found, begin):
        connection.execute(
            update(schema.file)
            .where(file.fileset == fileset, file.position == position)
            .values(**columns(met))
        )


def unite(connection: Connection, identifier: int, of: int) -> None:
    """The row of a fileset goes, and `of` gets its history."""
    log = schema.event_log
    connection.execute(update(log).where(log.c.fileset == identifier).values(fileset=of))
    forget(connection, [identifier])


def forget(connection: Connection, filesets: Sequence[int]) -> None:
    """Removes rows whose files are in another fileset from now on."""
    for some in chunks(filesets, _CHUNK):
        for table in (schema.file, schema.event_log):
            connection.execute(delete(table).where(table.c.fileset.in_(some)))
        connection.execute(delete(schema.fileset).where(schema.fileset.c.id.in_(some)))
