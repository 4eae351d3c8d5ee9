"""How a file comes into the journal: as a new fileset, or one that is opened again.

Within a transaction of the journal's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, delete, insert, select, update

from omero_fs_plugin.blitz.filesets import ServerFileset
from omero_fs_plugin.events import FileStat

from . import schema
from .records import (
    FOUND_IN_OMERO,
    MET,
    Formed,
    Found,
    chunks,
    columns,
    met_of,
    stat_columns,
)
from .states import OPEN, State


class Stamp(NamedTuple):
    """Who does something, and when."""

    now: float  # s since the epoch
    who: str


# A path has one of these at most; what is imported stays as it is.
REOPENED = (*OPEN, State.SKIPPED, State.FAILED)


def reopen_or_insert(
    connection: Connection,
    at: Stamp,
    user: str,
    root: str,
    found: Found,
    state: State,
    origin: str,
) -> int:
    """The open fileset of this path, a skipped or failed one opened again, or a new one: its id."""
    table = schema.fileset.c
    row = connection.execute(
        select(table.id, table.state)
        .where(
            table.path == found.path,
            table.user == user,
            table.state.in_(REOPENED),
        )
        .order_by(table.id.desc())
        .limit(1)
    ).first()
    if row is None:
        return insert_new(connection, at, user, root, [found], state, origin)[0]
    identifier, before = int(row[0]), State(row[1])
    if before is state or before is State.IMPORTING or before is State.QUEUED:
        return identifier
    _take_apart(connection, at, identifier, user, root, "")
    connection.execute(
        update(schema.fileset)
        .where(schema.fileset.c.id == identifier, schema.fileset.c.state == before)
        .values(
            state=state,
            reason="",
            waited=0.0,
            changed=at.now,
            moved_by=at.who,
            origin=origin,
            root=root,
            refusals=0,
            duplicate_of=None,
        )
    )
    connection.execute(
        update(schema.file)
        .where(schema.file.c.fileset == identifier, schema.file.c.position == 0)
        .values(**columns(found), sha1=None)
    )
    return identifier


def insert_new(
    connection: Connection,
    at: Stamp,
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
    common = {
        "user": user,
        "root": root,
        "state": state,
        "reason": reason,
        "origin": origin,
        "created": at.now,
        "changed": at.now,
        "moved_by": at.who,
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


def form(connection: Connection, at: Stamp, formed: Formed) -> int | None:
    """Queues one fileset of these files in the place of what was open, failed or skipped of each.

    None when one of them is being imported, or OMERO was told to import it and
    nobody knows yet what came of that, or it waits for somebody else: then it
    has to be tried later.
    """
    table = schema.fileset.c
    paths = [met.path for met in formed.found]
    rows: list[Any] = []
    for some in chunks(paths, 500):
        rows += connection.execute(
            select(table.id, table.path, table.state, table.verified, table.user).where(
                table.path.in_(some),
                table.state.in_((*REOPENED,)),
                table.duplicate_of.is_(None),
            )
        ).all()
    if any(_is_busy(row, formed.user) for row in rows):
        return None
    rows = [row for row in rows if row.user == formed.user]
    first = [row for row in rows if row.path == paths[0]]
    first.sort(key=lambda row: (State(row.state) not in OPEN, -row.id))
    others = [row.id for row in rows if not first or row.id != first[0].id]
    forget(connection, others)
    values = {
        "state": State.QUEUED,
        "reason": "",
        "changed": at.now,
        "moved_by": at.who,
        "root": formed.root,
        "reader": formed.reader,
        "plate": int(formed.plate),
        "origin": formed.origin or MET,
    }
    if first:
        identifier = first[0].id
        if State(first[0].state) not in OPEN:
            values["refusals"] = 0
        connection.execute(
            update(schema.fileset).where(schema.fileset.c.id == identifier).values(values)
        )
        connection.execute(delete(schema.file).where(schema.file.c.fileset == identifier))
    else:
        values |= {"user": formed.user, "path": paths[0], "created": at.now}
        identifier = connection.scalar(
            insert(schema.fileset).values(values).returning(schema.fileset.c.id)
        )
    connection.execute(
        insert(schema.file),
        [
            {"fileset": identifier, "position": position, **columns(met)}
            for position, met in enumerate(formed.found)
        ],
    )
    return int(identifier)


def _is_busy(row: Any, user: str) -> bool:
    """Whether nothing may be made of this row now; whoever is at it comes to an end."""
    state = State(row.state)
    if row.user != user:
        return state in OPEN
    # A failed or waiting one that OMERO was once told to import goes on as itself: the
    # next attempt asks OMERO first.
    return state is State.IMPORTING or (state is State.QUEUED and bool(row.verified))


def left_over(connection: Connection, formed: Formed) -> list[Found]:
    """Files of sets in whose place `formed` will be, and which it has not."""
    table, file = schema.fileset.c, schema.file.c
    paths = {met.path for met in formed.found}
    found: dict[str, Found] = {}
    for some in chunks(sorted(paths), 500):
        rows = connection.execute(
            select(schema.file)
            .join_from(schema.file, schema.fileset)
            .where(
                table.path.in_(some),
                table.user == formed.user,
                table.state.in_((*REOPENED,)),
                table.duplicate_of.is_(None),
                file.position > 0,
            )
        )
        found.update((row.path, met_of(row)) for row in rows if row.path not in paths)
    return list(found.values())


def wait_apart(
    connection: Connection, at: Stamp, user: str, root: str, found: Sequence[Found], reason: str
) -> None:
    """Files that were in a set wait each by itself, unless they do already."""
    table = schema.fileset.c
    there: set[str] = set()
    for some in chunks(found, 500):
        paths = [met.path for met in some]
        there.update(
            connection.scalars(
                select(table.path).where(table.path.in_(paths), table.state.in_(OPEN))
            )
        )
    apart = [met for met in found if met.path not in there]
    insert_new(connection, at, user, root, apart, State.WAITING, MET, reason)


def dissolve(connection: Connection, at: Stamp, identifier: int) -> None:
    """Makes of a set, if it waits, one waiting fileset for each of its files.

    The first keeps the row, with what is known of attempts at it.
    """
    table = schema.fileset.c
    row = connection.execute(
        select(table.user, table.root, table.reason).where(
            table.id == identifier, table.state == State.WAITING
        )
    ).first()
    if row is not None:
        _take_apart(connection, at, identifier, row.user, row.root, row.reason)


def _take_apart(
    connection: Connection, at: Stamp, identifier: int, user: str, root: str, reason: str
) -> None:
    """Leaves a fileset its first file; the others wait each by itself."""
    others = (schema.file.c.fileset == identifier, schema.file.c.position > 0)
    rows = connection.execute(select(schema.file).where(*others)).all()
    if rows:
        connection.execute(delete(schema.file).where(*others))
        wait_apart(connection, at, user, root, [met_of(row) for row in rows], reason)


def forget(connection: Connection, filesets: Sequence[int]) -> None:
    """Removes filesets with all that is known of them."""
    for some in chunks(filesets, 500):
        for table in (schema.file, schema.event_log):
            connection.execute(delete(table).where(table.c.fileset.in_(some)))
        connection.execute(delete(schema.fileset).where(schema.fileset.c.id.in_(some)))


def insert_found(
    connection: Connection, at: Stamp, user: str, root: str, found: ServerFileset
) -> None:
    """A fileset that OMERO has and the journal has not: imported, of files not yet met."""
    identifier = connection.scalar(
        insert(schema.fileset)
        .values(
            user=user,
            root=root,
            path=f"/{found.paths[0]}",
            state=State.IMPORTED,
            origin=FOUND_IN_OMERO,
            server_fileset=found.id,
            images=",".join(map(str, found.images)),
            created=at.now,
            changed=at.now,
            moved_by=at.who,
        )
        .returning(schema.fileset.c.id)
    )
    nothing = stat_columns(FileStat(0, 0, 0, 0))
    connection.execute(
        insert(schema.file),
        [
            {
                **nothing,
                "fileset": identifier,
                "position": position,
                "path": f"/{path}",
                "size": size,
                "sha1": sha1,
            }
            for position, (path, size, sha1) in enumerate(
                zip(found.paths, found.sizes, found.hashes, strict=True)
            )
        ],
    )
