"""How several files become one fileset, and what becomes of their former records.

All of it runs within a transaction of the journal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from . import schema
from .intake import REOPENED, Stamp, take_others, wait_apart
from .records import HANDED_OVER, MET, Formed, Found, chunks, columns, met_of, signed
from .states import OPEN, State
from .writer import REMARK, write_note

_CHUNK = 500  # rows looked up in one statement
# States of a set within which another set may lie.
_WITHIN = (State.QUEUED, State.IMPORTING, State.IMPORTED)


@dataclass(frozen=True)
class _Around:
    """A set that has all images of another set, as they are now."""

    id: int
    path: str
    state: State
    whole: bool  # it has all of the files; else all but indexes


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
    rows = _rows(connection, formed)
    around = _around(connection, formed)
    if any(_is_busy(row, formed.user) for row in rows):
        return None, []
    if around is not None and around.state is State.IMPORTING:
        return None, []
    if around is not None and not around.whole and around.state is State.QUEUED:
        return None, []  # it may fail, and then these files have the images
    rows = [row for row in rows if row.user == formed.user]
    mine = [row for row in rows if row.path == formed.found[0].path]
    mine.sort(key=lambda row: (State(row.state) not in OPEN, -row.id))
    first = mine[0] if mine else None
    others = [row for row in rows if first is None or row.id != first.id]
    if around is not None:
        how = "imported" if around.state is State.IMPORTED else "queued"
        reason = f"its files are {how} with {around.path}, as fileset {around.id}"
        if not around.whole:
            reason = (
                f"its images are imported already with {around.path}, as fileset {around.id}; "
                "`omero fs import` imports them once more, with this file"
            )
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
    """Fails the parts of a set, which wait one by one, as one fileset.  Returns its id.

    Its files are in the order of `filesets`.  If one of them no longer waits, nothing
    is done, and the result is None.
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


def absorb(connection: Connection, at: Stamp, user: str, store: str) -> int:
    """Ends the filesets of files below a store, which is imported as one; see Journal.absorb."""
    table = schema.fileset.c
    rows = connection.execute(
        select(table.id, table.path, table.state, table.root).where(
            table.user == user,
            table.verified == 0,
            table.state.in_((State.WAITING, State.QUEUED, State.SKIPPED, State.FAILED)),
            table.path.startswith(store, autoescape=True),
        )
    ).all()
    # Of SQLite, LIKE does not tell `a` from `A`.
    below = [row for row in rows if row.path.startswith(store) and row.path != store]
    waiting = [row.id for row in below if row.state == State.WAITING]
    merged = set(waiting) - _told_of(connection, waiting)
    forget(connection, sorted(merged))
    ending = [r.id for r in below if r.id not in merged and r.state != State.SKIPPED]
    for some in chunks(ending, _CHUNK):
        connection.execute(
            update(schema.fileset)
            .where(table.id.in_(some))
            .values(
                state=State.SKIPPED,
                reason=f"it is a part of {store}",
                waited=0.0,
                changed=at.now,
                moved_by=at.who,
            )
        )
    roots = {row.id: row.root for row in below}
    for identifier in _sets(connection, ending):
        # Those of its files that lie elsewhere are in no store: each waits by itself.
        others = take_others(connection, identifier)
        apart = [met for met in others if not met.path.startswith(store)]
        wait_apart(connection, at, user, roots[identifier], apart, "")
    return len(merged) + len(ending)


def _sets(connection: Connection, filesets: Sequence[int]) -> list[int]:
    """Those of several files."""
    file = schema.file.c
    found: set[int] = set()
    for some in chunks(filesets, _CHUNK):
        found.update(
            connection.scalars(
                select(file.fileset).where(file.fileset.in_(some), file.position == 1)
            )
        )
    return sorted(found)


def _rows(connection: Connection, formed: Formed) -> list[Any]:
    """The filesets that begin with one of the files, without imported ones and copies."""
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
    """Whether this row must stay as it is for now; somebody is at work on it."""
    state = State(row.state)
    if row.user != user:
        return state in OPEN
    # OMERO may once have been told to import a failed or waiting fileset.  It may be used,
    # because the next attempt asks OMERO first.
    return state is State.IMPORTING or (state is State.QUEUED and bool(row.verified))


def _around(connection: Connection, formed: Formed) -> _Around | None:
    """A set of the user that begins with another file and has all of these files as they are.

    Or all but indexes, if it is not one that the new set would replace.
    """
    table, file = schema.fileset.c, schema.file.c
    stats = {met.path: met.stat for met in formed.found}
    images = stats.keys() - formed.indexes
    by_hand = formed.origin == HANDED_OVER
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
            # A queued fileset is read when it is imported.  An imported one was read then:
            # only the ctime shows whether the inode belongs to another file by now.
            same = state is not State.IMPORTED or (
                stat is not None and stat.ctime_ns == there.stat.ctime_ns
            )
            if stat == there.stat and same:
                has.setdefault(row.fileset, set()).add(row.path)
                sets[row.fileset] = _Around(row.fileset, row.begins, state, whole=False)
    found = []
    for identifier, one in sets.items():
        if len(has[identifier]) == len(stats):
            found.append(replace(one, whole=True))
            continue
        replaced = one.state is State.QUEUED and one.path in stats
        if images and images <= has[identifier] and not by_hand and not replaced:
            found.append(one)
    # A set under way comes before one that is imported.
    return min(
        found,
        key=lambda one: (not one.whole, one.state is State.IMPORTED, one.id),
        default=None,
    )


def _queue(connection: Connection, at: Stamp, formed: Formed, first: Any) -> int:
    """Queues the set, in the row of its `first` file if that has one.  Returns its id."""
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
    write_note(connection, f"{REMARK}{identifier}", formed.remark)
    return identifier


def _end(
    connection: Connection,
    at: Stamp,
    formed: Formed,
    rows: Sequence[Any],
    reason: str,
    keep: Any = None,
) -> list[Found]:
    """Ends the former filesets `rows` of files that are in a set now.

    Returns their files that are in no set.  The row of a file that has only waited so
    far is removed, except for `keep`.
    """
    waiting = [row.id for row in rows if State(row.state) is State.WAITING and row is not keep]
    merged = set(waiting) - _told_of(connection, waiting)
    # A skipped fileset has ended, and its reason is still true.
    ending = [row.id for row in rows if State(row.state) is not State.SKIPPED]
    ending = [identifier for identifier in ending if identifier not in merged]
    left = _left_of(connection, formed, [*ending, *merged])
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


def _told_of(connection: Connection, filesets: Sequence[int]) -> set[int]:
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


def _left_of(connection: Connection, formed: Formed, filesets: Sequence[int]) -> list[Found]:
    """Files of these sets that `formed` does not have."""
    file = schema.file.c
    paths = {met.path for met in formed.found}
    found: list[Found] = []
    for some in chunks(filesets, _CHUNK):
        rows = connection.execute(
            select(schema.file).where(file.fileset.in_(some), file.position > 0)
        )
        found += [met_of(row) for row in rows if row.path not in paths]
    return found


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
