"""How a file comes into the journal: as a new fileset, or as one that is opened again.

All of it runs within a transaction of the journal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, delete, insert, select, update

from . import schema
from .records import (
    MET,
    PART,
    Found,
    chunks,
    columns,
    met_of,
    signed,
)
from .states import OPEN, State


class Stamp(NamedTuple):
    """Who does something, and when."""

    now: float  # s since the epoch
    who: str


_ENDED = (State.SKIPPED, State.FAILED)  # these may begin again
# An imported fileset stays as it is.
REOPENED = (*OPEN, *_ENDED)
_CHUNK = 500  # rows looked up in one statement


def wait_each(
    connection: Connection, at: Stamp, user: str, root: str, found: Sequence[Found]
) -> list[int]:
    """Lets each file wait by itself, unless any user has an open fileset with its path.

    A skipped or failed fileset of the path is opened again.  Returns those that have too many
    files for one transaction.  Nothing is done for their paths.
    """
    large: list[int] = []
    table = schema.fileset.c
    for chunk in chunks(found, _CHUNK):
        met = {one.path: one for one in chunk}
        # Ask only for the paths.  If a state were asked for too, the database might walk
        # through all filesets in it.
        rows = connection.execute(
            select(table.id, table.path, table.user, table.state)
            .where(table.path.in_(list(met)))
            .order_by(table.id)
        ).all()
        there = {row.path for row in rows if row.state in OPEN}
        ended = {row.path: row for row in rows if row.user == user and row.state in _ENDED}
        apart: list[Found] = []
        too_many = _too_many(connection, [row.id for row in ended.values()])
        for path, row in ended.items():
            if row.id in too_many and path not in there:
                large.append(row.id)
                del met[path]
            elif path not in there:
                apart += _open_again(connection, at, row, root, met, State.WAITING, MET)
        # Only after all of them are open again: one may have files of another.
        wait_apart(connection, at, user, root, apart, "")
        wait_apart(connection, at, user, root, list(met.values()), "")
    return large


def _too_many(connection: Connection, filesets: Sequence[int]) -> set[int]:
    file = schema.file.c
    if not filesets:
        return set()
    return set(
        connection.scalars(
            select(file.fileset).where(file.fileset.in_(filesets), file.position == PART)
        )
    )


def too_large(connection: Connection, user: str, path: str) -> list[int]:
    """Ended filesets of the user at the path that have too many files for one transaction."""
    table = schema.fileset.c
    rows = connection.execute(
        select(table.id, table.state).where(table.path == path, table.user == user)
    ).all()
    return sorted(_too_many(connection, [row.id for row in rows if row.state in _ENDED]))


def open_paths(connection: Connection, paths: Sequence[str]) -> set[str]:
    """Those of `paths` that an open fileset of any user begins with."""
    table = schema.fileset.c
    there: set[str] = set()
    for some in chunks(paths, _CHUNK):
        rows = connection.execute(select(table.path, table.state).where(table.path.in_(some)))
        there.update(path for path, state in rows if state in OPEN)
    return there


def reopen_or_insert(
    connection: Connection,
    at: Stamp,
    user: str,
    root: str,
    found: Found,
    state: State,
    origin: str,
) -> int:
    """The id of a fileset for this path: the open one, or one opened again, or a new one.

    No other user may have an open one of that path.
    """
    table = schema.fileset.c
    row = connection.execute(
        select(table.id, table.path, table.state)
        .where(
            table.path == found.path,
            table.user == user,
            table.state.in_(REOPENED),
        )
        # An open one comes first, then the newest of those that have ended.
        .order_by(table.state.in_(OPEN).desc(), table.id.desc())
        .limit(1)
    ).first()
    if row is None:
        return insert_new(connection, at, user, root, [found], state, origin)[0]
    if State(row.state) not in (state, State.IMPORTING, State.QUEUED):
        apart = _open_again(connection, at, row, root, {found.path: found}, state, origin)
        wait_apart(connection, at, user, root, apart, "")
    return int(row.id)


def _open_again(
    connection: Connection,
    at: Stamp,
    row: Any,
    root: str,
    met: Mapping[str, Found],
    state: State,
    origin: str,
) -> list[Found]:
    """Opens a fileset again with its first file.  Returns its other files, to wait apart.

    `met`: files as they are now, by their paths.
    """
    table = schema.fileset.c
    apart = take_others(connection, row.id)
    connection.execute(
        update(schema.fileset)
        .where(table.id == row.id, table.state == row.state)
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
        .where(schema.file.c.fileset == row.id, schema.file.c.position == 0)
        .values(**columns(met[row.path]), sha1=None)
    )
    return [met.get(one.path, one) for one in apart]


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
    """Inserts a fileset for each file.  Returns their ids in the order of `found`."""
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


def wait_apart(
    connection: Connection, at: Stamp, user: str, root: str, found: Sequence[Found], reason: str
) -> None:
    """Lets each file wait by itself, unless there is an open fileset with its path."""
    found = list({met.path: met for met in found}.values())
    there = open_paths(connection, [met.path for met in found])
    apart = [met for met in found if met.path not in there]
    insert_new(connection, at, user, root, apart, State.WAITING, MET, reason)


def take_others(
    connection: Connection, identifier: int, keep: int = 1, most: int | None = None
) -> list[Found]:
    """Leaves a fileset only its first files, `keep` of them.  Returns the others.

    `most`: so many, from the last one on.
    """
    file = schema.file.c
    others = (file.fileset == identifier, file.position >= keep)
    rows = connection.execute(
        select(schema.file).where(*others).order_by(file.position.desc()).limit(most)
    ).all()
    if rows:
        connection.execute(delete(schema.file).where(*others, file.position >= rows[-1].position))
    return [met_of(row) for row in reversed(rows)]


def former(
    connection: Connection, user: str, found: Sequence[Found]
) -> dict[int, tuple[str, Found]]:
    """The filesets of one file that lay at another path, and is now one of `found`.

    id -> the path where it lay, and what it is now.

    They were skipped or failed, or wait, and OMERO was never told to import them.  An inode alone
    does not say that it is the same file: the next new file may get that of one that was deleted.
    """
    file, fileset = schema.file.c, schema.fileset.c
    lay: dict[int, tuple[str, Found]] = {}
    for chunk in chunks(found, _CHUNK):
        by_inode = {signed(met.stat.inode): met for met in chunk}
        rows = connection.execute(
            select(
                *(fileset.id, fileset.path),
                *(file.device, file.inode, file.size, file.mtime_ns),
            )
            .join_from(schema.file, schema.fileset)
            .where(file.inode.in_(list(by_inode)))
            .where(fileset.user == user, fileset.verified == 0)
            .where(fileset.state.in_((State.WAITING, *_ENDED)))
        ).all()
        for row in rows:
            met = by_inode[row.inode]
            if (
                row.path != met.path
                and row.device == signed(met.stat.device)
                and _is_the_same(row, met)
                and len(files_of(connection, row.id)) == 1
            ):
                lay[row.id] = row.path, met
    return lay


def _is_the_same(row: Any, met: Found) -> bool:
    """Whether a file with this inode is the one that lay elsewhere.

    It is as it was, or its name there was that of a copy tool for it: such a tool writes the last
    of a file and renames it at once.
    """
    if (row.size, row.mtime_ns) == (met.stat.size, met.stat.mtime_ns):
        return True
    (above, _, was), (beside, _, name) = row.path.rpartition("/"), met.path.rpartition("/")
    return above == beside and len(was) > len(name) and name in was


def files_of(connection: Connection, fileset: int) -> list[int]:
    """The positions of the files of a fileset."""
    file = schema.file.c
    return list(connection.scalars(select(file.position).where(file.fileset == fileset)))
