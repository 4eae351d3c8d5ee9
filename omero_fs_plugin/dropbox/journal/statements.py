"""The statements of every import, each made once.

SQLAlchemy takes longer to put a statement together than SQLite takes to carry it out, and an
import has thirty.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from sqlalchemy import (
    Connection,
    Select,
    Update,
    and_,
    bindparam,
    delete,
    func,
    insert,
    not_,
    or_,
    select,
    update,
)

from . import schema
from .records import FOUND_IN_OMERO, GONE, PART_OF
from .states import OPEN, State

IN_DOUBT = (State.IMPORTING, State.QUEUED)  # OMERO may be importing, if it was told to import

_file, _fileset = schema.file.c, schema.fileset.c
_IN_OMERO = or_(
    _fileset.state == State.IMPORTED,
    and_(_fileset.verified == 1, _fileset.state.in_(IN_DOUBT)),
)


def _any_of(name: str) -> Any:
    return bindparam(name, expanding=True)


FILESETS = select(schema.fileset).where(_fileset.id.in_(_any_of("ids")))
FILES = select(schema.file).where(_file.fileset.in_(_any_of("ids"))).order_by(_file.position)

# A file of this size that may be in OMERO, of another fileset of the user.
TWIN = (
    select(_file.fileset)
    .join_from(schema.file, schema.fileset)
    .where(
        _file.size == bindparam("size"),
        _fileset.user == bindparam("user"),
        _fileset.id != bindparam("fileset"),
        _IN_OMERO,
    )
    .limit(1)
)

# What other filesets have at these paths: open ones, and those imported since the fileset `but`
# failed.  One that was opened again has a former id.
HELD_AT = (
    select(_file.path, _fileset.id, _fileset.state, _file.inode, _file.size, _file.mtime_ns)
    .join_from(schema.file, schema.fileset)
    .where(
        _file.path.in_(_any_of("paths")),
        _fileset.id != bindparam("but"),
        or_(
            _fileset.state.in_(OPEN),
            and_(
                _fileset.state == State.IMPORTED,
                or_(_fileset.id > bindparam("but"), _fileset.changed >= bindparam("since")),
            ),
        ),
    )
)

# Another fileset with these bytes that OMERO was told to import.
UNDER_WAY = (
    select(_fileset.id)
    .join_from(schema.file, schema.fileset)
    .where(
        _file.sha1 == bindparam("sha1"),
        _file.position == 0,
        _fileset.id != bindparam("fileset"),
        _fileset.user == bindparam("user"),
        _fileset.verified == 1,
        _fileset.state.in_(IN_DOUBT),
    )
    .limit(1)
)


def _same_content() -> Select[Any]:
    last, more = schema.file.alias("last").c, schema.file.alias("more").c
    return (
        select(_fileset.id)
        .join_from(schema.file, schema.fileset)
        .where(
            _file.sha1 == bindparam("first"),
            _file.position == 0,
            _fileset.user == bindparam("user"),
            _fileset.state == State.IMPORTED,
            select(last.fileset)
            .where(
                last.fileset == _fileset.id,
                last.position == bindparam("before_end"),
                last.sha1 == bindparam("last"),
            )
            .exists(),
            ~select(more.fileset)
            .where(more.fileset == _fileset.id, more.position == bindparam("end"))
            .exists(),
        )
        .order_by(_fileset.id.desc())
    )


# Imported filesets of the user whose first and last file have these bytes, and so many files.
SAME_CONTENT = _same_content()

# Filesets of other users that have this file, and may be in OMERO.
OF_OTHERS = (
    select(_fileset.id)
    .join_from(schema.file, schema.fileset)
    .where(
        _file.inode == bindparam("inode"),
        _file.device == bindparam("device"),
        _file.size == bindparam("size"),
        _file.mtime_ns == bindparam("mtime_ns"),
        _fileset.user != bindparam("user"),
        _IN_OMERO,
    )
    .distinct()
    .order_by(_fileset.id)
)

# The paths of files with these inodes in other filesets.
SHARED = (
    select(_file.path)
    .join_from(schema.file, schema.fileset)
    .where(
        _file.inode.in_(_any_of("inodes")),
        _fileset.id != bindparam("fileset"),
        _fileset.state.not_in((State.SKIPPED, State.FAILED)),
    )
)


def _queued_users() -> Select[Any]:
    # From one user to the next in the index: a queue may be very long, and
    # this is asked before every import.
    after = select(func.min(_fileset.user).label("name")).where(_fileset.state == State.QUEUED)
    found = after.cte("found", recursive=True)
    following = after.where(_fileset.user > found.c.name).scalar_subquery()
    found = found.union_all(select(following).where(found.c.name.is_not(None)))
    oldest = (
        select(func.min(_fileset.id))
        .where(_fileset.state == State.QUEUED, _fileset.user == found.c.name)
        .scalar_subquery()
    )
    return select(found.c.name).where(found.c.name.is_not(None)).order_by(oldest)


# The users with queued filesets, the one waiting longest first.
QUEUED_USERS = _queued_users()

NOTED = select(schema.meta.c.value).where(schema.meta.c.key == bindparam("of"))
UNNOTE = delete(schema.meta).where(schema.meta.c.key == bindparam("of"))
NOTE = insert(schema.meta)

CLAIM = insert(schema.claim)
NOTE_SHA1 = (
    update(schema.file)
    .where(_file.fileset == bindparam("of"), _file.position == bindparam("at"))
    .values(sha1=bindparam("bytes"))
)
VERIFIED = update(schema.fileset).where(_fileset.id == bindparam("of")).values(verified=1)
TAKE = (
    update(schema.fileset)
    .where(_fileset.id == bindparam("of"), _fileset.state == State.QUEUED)
    .values(
        state=State.IMPORTING,
        reason="",
        attempts=_fileset.attempts + 1,
        changed=bindparam("now"),
        moved_by=bindparam("who"),
    )
)


def ended_for_good() -> Any:
    """Of what was skipped: its files were not gone, nor parts of a store."""
    part = func.substr(_fileset.reason, 1, len(PART_OF)) == PART_OF
    return and_(_fileset.reason != GONE, not_(part))


@cache
def oldest(*, with_root: bool) -> Select[Any]:
    """The queued filesets of a user, but for those not now and those in roots that are away."""
    return (
        select(_fileset.id)
        .where(
            _fileset.state == State.QUEUED,
            _fileset.user == bindparam("user"),
            _fileset.id.not_in(_any_of("not_now")),
            _fileset.root.not_in(_any_of("roots_away")),
            *((_fileset.root == bindparam("root"),) if with_root else ()),
        )
        .order_by(_fileset.id)
    )


@cache
def first(*, with_root: bool) -> Select[Any]:
    """The first of `oldest`, locked if others could take it meanwhile."""
    found = oldest(with_root=with_root).limit(1)
    return found.with_for_update(of=schema.fileset, skip_locked=True)


@cache
def move(names: frozenset[str]) -> Update:
    """From any of the states `befores`, with values of these columns, each under `to_COLUMN`."""
    return (
        update(schema.fileset)
        .where(_fileset.id == bindparam("of"), _fileset.state.in_(_any_of("befores")))
        .values({name: bindparam(f"to_{name}", type_=_fileset[name].type) for name in names})
    )


# The row of what was found in OMERO as this Fileset of OMERO.
FOUND = select(_fileset.id).where(
    _fileset.server_fileset == bindparam("server_fileset"),
    _fileset.origin == FOUND_IN_OMERO,
    _fileset.id != bindparam("to"),
)


def _former() -> Select[Any]:
    this, former = schema.fileset.alias("this").c, schema.fileset.alias("former").c
    return select(func.max(former.id)).where(
        this.id == bindparam("fileset"),
        former.path == this.path,
        former.user == this.user,
        former.state == State.IMPORTED,
    )


# The last fileset of the same user imported from the same path.
FORMER = _former()
SOME_SHA1S = (
    select(_file.sha1)
    .where(
        _file.fileset == bindparam("fileset"),
        _file.position >= bindparam("begin"),
        _file.position < bindparam("end"),
    )
    .order_by(_file.position)
)
SHA1S = select(_file.sha1).where(_file.fileset == bindparam("fileset")).order_by(_file.position)


def _events() -> Select[Any]:
    log = schema.event_log.c
    files = (
        select(func.count())
        .select_from(schema.file)
        .where(_file.fileset == log.fileset)
        .scalar_subquery()
    )
    return (
        select(
            *(log.id, log.fileset, _fileset.user, _fileset.root, _fileset.path),
            *(log.before, log.after, log.reason, log.who),
            *(_fileset.reader, files, _fileset.attempts),
            *(_fileset.server_fileset, _fileset.images),
        )
        .select_from(schema.event_log.join(schema.fileset))
        .where(log.id > bindparam("event"))
        .order_by(log.id)
        .limit(bindparam("most"))
    )


# The next events of any fileset, oldest first.
EVENTS = _events()

# Asked for each file of a rescan, and so without SQLAlchemy's values one by one.
_ENDED = (
    "SELECT file.path, file.inode, file.size, file.mtime_ns, file.ctime_ns "
    "FROM file JOIN fileset ON fileset.id = file.fileset WHERE file.path IN ({marks}) AND "
    f"(fileset.state IN ('imported', 'failed') OR "
    f"(fileset.state = 'skipped' AND fileset.reason <> '{GONE}' "
    f"AND substr(fileset.reason, 1, {len(PART_OF)}) <> '{PART_OF}'))"
)
_OPENED = "SELECT file.inode FROM fileset JOIN file ON file.fileset = fileset.id WHERE {which}"
_IS_OPEN = "fileset.state IN ({})".format(", ".join(f"'{state}'" for state in OPEN))
_FEW = 1_000  # open files that are read rather than looked for


def ended(connection: Connection, paths: Sequence[str]) -> set[tuple[Any, ...]]:
    """(path, inode, size, mtime_ns, ctime_ns) of the files with these paths, of what has ended."""
    if not paths:
        return set()
    statement = _ENDED.format(marks=_marks(connection, len(paths)))
    with connection.exec_driver_sql(statement, tuple(paths)) as result:
        return set(result.cursor.fetchall())  # as the driver gives them: its rows are tuples


def opened(connection: Connection, inodes: Sequence[int]) -> set[int]:
    """Those of these inodes, and perhaps others, that files of open filesets have."""
    if not inodes:
        return set()
    few = _OPENED.format(which=f"{_IS_OPEN} LIMIT {_FEW}")
    rows = connection.exec_driver_sql(few).all()
    if len(rows) < _FEW:
        return {row[0] for row in rows}
    which = f"{_IS_OPEN} AND file.inode IN ({_marks(connection, len(inodes))})"
    return {
        row[0] for row in connection.exec_driver_sql(_OPENED.format(which=which), tuple(inodes))
    }


def _marks(connection: Connection, number: int) -> str:
    """What stands for so many values in a statement of this database."""
    return ", ".join(["?" if connection.dialect.name == "sqlite" else "%s"] * number)
