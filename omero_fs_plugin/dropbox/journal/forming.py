"""How several files become one fileset, and what becomes of what was recorded of them before.

Within a transaction of the journal's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from . import schema
from .intake import REOPENED, Stamp, wait_apart
from .records import MET, Formed, Found, chunks, columns, met_of, signed
from .states import OPEN, State

_CHUNK = 500  # rows looked up in one statement
# Where a set stands that another set may lie in.
_WITHIN = (State.QUEUED, State.IMPORTING, State.IMPORTED)


@dataclass(frozen=True)
class _Around:
    """A set that has all files of another, as they are."""

    id: int
    path: str
    state: State


def form(connection: Connection, at: Stamp, formed: Formed) -> tuple[int | None, list[Found]]:
    """Queues one fileset of these files; its id, and the files that it leaves out.

    It takes the place of what was open or had failed of each of them.  Nothing
    of that is lost: files that are not in it wait each by itself, what was
    queued or tried before ends with a reason, and only rows of single files
    that waited for their set go into it.

    When another set has all of these files, as they are, this one has no first
    file of its own (the rule of OMERO's importer, see `grouping.bioformats.walk`):
    it ends with a reason, and the id is that of the other.

    The id is None when one of them is being imported, or OMERO was told to
    import it and nobody knows yet what came of that, or it waits for somebody
    else: then it has to be tried later.
    """
    rows = _rows(connection, formed)
    around = _around(connection, formed)
    if any(_is_busy(row, formed.user) for row in rows):
        return None, []
    if around is not None and around.state is State.IMPORTING:
        return None, []
    rows = [row for row in rows if row.user == formed.user]
    mine = [row for row in rows if row.path == formed.found[0].path]
    mine.sort(key=lambda row: (State(row.state) not in OPEN, -row.id))
    first = mine[0] if mine else None
    others = [row for row in rows if first is None or row.id != first.id]
    if around is not None:
        how = "imported" if around.state is State.IMPORTED else "queued"
        reason = f"its files are {how} with {around.path}, as fileset {around.id}"
        ending = [row for row in rows if row.id != around.id]
        left = _end(connection, at, formed, ending, reason, keep=first)
        identifier = around.id
    else:
        left = _left_of(connection, formed, [first.id]) if first is not None else []
        identifier = _queue(connection, at, formed, first)
        reason = f"its files are imported with {formed.found[0].path}, as fileset {identifier}"
        left += _end(connection, at, formed, others, reason)
    left = list({met.path: met for met in left}.values())
    wait_apart(connection, at, formed.user, formed.root, left, "")
    return identifier, left


def give_up(connection: Connection, at: Stamp, filesets: Sequence[int], reason: str) -> int | None:
    """The parts of a set, of which each waits by itself, have failed as one; its id.

    In the order of `filesets`.  None, and nothing is done, when one waits no more.
    """
    table, file = schema.fileset.c, schema.file.c
    rows: dict[int, Any] = {}
    for some in chunks(filesets, _CHUNK):
        found = connection.execute(
            select(schema.file)
            .join_from(schema.file, schema.fileset)
            .where(table.id.in_(some), table.state == State.WAITING, file.position == 0)
        )
        rows.update((row.fileset, row) for row in found)
    if len(rows) < len(filesets):
        return None
    first, others = filesets[0], filesets[1:]
    told = _told_of(connection, others)
    connection.execute(
        update(schema.fileset)
        .where(table.id == first)
        .values(state=State.FAILED, reason=reason, changed=at.now, moved_by=at.who)
    )
    if others:
        connection.execute(
            insert(schema.file),
            [
                {"fileset": first, "position": position, **columns(met_of(rows[other]))}
                for position, other in enumerate(others, 1)
            ],
        )
    forget(connection, [one for one in others if one not in told])
    connection.execute(
        update(schema.fileset)
        .where(table.id.in_(sorted(told)))
        .values(
            state=State.SKIPPED,
            reason=f"it has failed with {rows[first].path}, as fileset {first}",
            changed=at.now,
            moved_by=at.who,
        )
    )
    return first


def _rows(connection: Connection, formed: Formed) -> list[Any]:
    """What begins with one of the files, and is neither imported nor a copy."""
    table = schema.fileset.c
    rows: list[Any] = []
    for some in chunks([met.path for met in formed.found], _CHUNK):
        rows += connection.execute(
            select(table.id, table.path, table.state, table.verified, table.user).where(
                table.path.in_(some),
                table.state.in_(REOPENED),
                table.duplicate_of.is_(None),
            )
        ).all()
    return rows


def _is_busy(row: Any, user: str) -> bool:
    """Whether nothing may be made of this row now; whoever is at it comes to an end."""
    state = State(row.state)
    if row.user != user:
        return state in OPEN
    # A failed or waiting one that OMERO was once told to import goes on as itself: the
    # next attempt asks OMERO first.
    return state is State.IMPORTING or (state is State.QUEUED and bool(row.verified))


def _around(connection: Connection, formed: Formed) -> _Around | None:
    """A set of the user that begins with another file, and has all of these as they are."""
    table, file = schema.fileset.c, schema.file.c
    stats = {met.path: met.stat for met in formed.found}
    has: dict[int, set[str]] = {}
    sets: dict[int, _Around] = {}
    for some in chunks(formed.found, _CHUNK):
        rows = connection.execute(
            select(schema.file, table.path.label("begins"), table.state)
            .join_from(schema.file, schema.fileset)
            .where(
                file.inode.in_([signed(met.stat.inode) for met in some]),
                table.user == formed.user,
                table.path != formed.found[0].path,
                table.state.in_(_WITHIN),
            )
        )
        for row in rows:
            there, state = met_of(row), State(row.state)
            stat = stats.get(row.path)
            # What is queued is read when it is imported.  What is imported was read then:
            # only the ctime tells whether the inode is that of another file by now.
            same = state is not State.IMPORTED or (
                stat is not None and stat.ctime_ns == there.stat.ctime_ns
            )
            if stat == there.stat and same:
                has.setdefault(row.fileset, set()).add(row.path)
                sets[row.fileset] = _Around(row.fileset, row.begins, state)
    whole = [one for identifier, one in sets.items() if len(has[identifier]) == len(stats)]
    # What is under way before what is done with.
    return min(whole, key=lambda one: (one.state is State.IMPORTED, one.id), default=None)


def _queue(connection: Connection, at: Stamp, formed: Formed, first: Any) -> int:
    """The set is queued, in the row of its `first` file where there is one."""
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
    return identifier


def _end(
    connection: Connection,
    at: Stamp,
    formed: Formed,
    rows: Sequence[Any],
    reason: str,
    keep: Any = None,
) -> list[Found]:
    """What was recorded of the files ends, for they are in a set; what no set has of them.

    A file that only ever waited goes into the set, but for `keep`.
    """
    waiting = [row.id for row in rows if State(row.state) is State.WAITING and row is not keep]
    merged = set(waiting) - _told_of(connection, waiting)
    # What is skipped has ended, and its reason still holds.
    ending = [row.id for row in rows if State(row.state) is not State.SKIPPED]
    ending = [identifier for identifier in ending if identifier not in merged]
    left = _left_of(connection, formed, [*ending, *merged])
    forget(connection, sorted(merged))
    for some in chunks(ending, _CHUNK):
        # Its first file alone: what is known of the others stands with the set.
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


def _told_of(connection: Connection, filesets: Sequence[int]) -> set[int]:
    """Those that were ever more than a file that waits."""
    log = schema.event_log.c
    told: set[int] = set()
    for some in chunks(filesets, _CHUNK):
        told.update(
            connection.scalars(
                select(log.fileset).where(log.fileset.in_(some), log.after != State.WAITING)
            )
        )
    return told


def _left_of(connection: Connection, formed: Formed, filesets: Sequence[int]) -> list[Found]:
    """Files of these sets which `formed` has not."""
    file = schema.file.c
    paths = {met.path for met in formed.found}
    found: list[Found] = []
    for some in chunks(filesets, _CHUNK):
        rows = connection.execute(
            select(schema.file).where(file.fileset.in_(some), file.position > 0)
        )
        found += [met_of(row) for row in rows if row.path not in paths]
    return found


def forget(connection: Connection, filesets: Sequence[int]) -> None:
    """Removes rows whose files stand in another fileset from now on."""
    for some in chunks(filesets, _CHUNK):
        for table in (schema.file, schema.event_log):
            connection.execute(delete(table).where(table.c.fileset.in_(some)))
        connection.execute(delete(schema.fileset).where(schema.fileset.c.id.in_(some)))
