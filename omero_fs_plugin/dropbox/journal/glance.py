"""A short look at the journal for people: one state of all of it, and fast.

`omero fs status` runs often, by hand and by cron.  To load SQLAlchemy would take longer than the
whole answer, so this asks SQLite or PostgreSQL itself.  The statements are the same for both.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, TypeVar

from omero_fs_plugin.errors import JournalError
from omero_fs_plugin.names import encodable, is_utf8

from .fates import ENDED, Ended
from .file import SQLITE
from .moves import GOES, RETURNING
from .plain import open_to_read, why
from .seen import After, Asked, Came, Elsewhere, Met, Seen
from .states import HELD, HIGHEST_ID, ON_ITS_WAY, State

VERSION = 10  # of the journal; schema.py has it too, and a test compares them

_Key = TypeVar("_Key", int, str)
_CHUNK = 500  # filesets whose files are asked for in one statement
_COLUMNS = (
    *("id", "user", "root", "path", "state", "reason", "attempts", "refusals", "images"),
    *("server_fileset", "reader", "plate", "revision_of", "duplicate_of"),
    *("created", "changed", "waited"),
)
_SELECT = ", ".join(f'"{name}"' for name in _COLUMNS)
_AFTER = (
    f"FROM meta JOIN fileset ON fileset.id = CAST(substr(meta.key, {len(ENDED) + 1}) AS INTEGER)"
)
_NEWEST = "changed DESC, id DESC"


class Glance:
    """One state of the journal, in one transaction.  Every number and row is of that state."""

    def __init__(self, ask: Any, mark: str, why: Callable[[Exception], Exception]) -> None:
        """`mark` stands for a value in a statement; `why` makes an error one for people."""
        self._ask_for = ask
        self._why = why
        self._now = time.time()
        self._mark = mark

    def ask(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """The rows.  Raises JournalError or ConfigurationError, also for a file that is damaged."""
        sought = [_sought(value) for value in values]
        try:
            found = self._ask_for(statement.replace("?", self._mark), sought)
            return [tuple(row) for row in found.fetchall()]
        except Exception as error:  # those of sqlite3, or of psycopg
            raise self._why(error) from error

    def now(self) -> float:
        """s since the epoch, when this look began."""
        return self._now

    def version(self) -> str:
        """The version of the journal, as it is written."""
        rows = self.ask("SELECT value FROM meta WHERE key = 'version'")
        return str(rows[0][0]) if rows else ""

    def counts(self, asked: Asked) -> dict[State, int]:
        """Number of filesets in each state, also if it is 0."""
        if asked == Asked():
            rows = self.ask("SELECT state, count(*) FROM fileset GROUP BY state")
            found = {str(state): int(number) for state, number in rows}
            return {state: found.get(str(state), 0) for state in State}
        return {
            state: self._count(*self._of(asked, state)) if state in asked.any_of else 0
            for state in State
        }

    def held(self, asked: Asked) -> int:
        """Number of filesets that wait for something, or are tried again."""
        return self._count(*asked.where(HELD))

    def last_import(self, user: str | None) -> float | None:
        """When the last import ended: s since the epoch; None if there was none."""
        where, values = Asked(user).where("state = 'imported'")
        at = self.ask(f"SELECT max(changed) FROM fileset{where}", values)[0][0]
        return None if at is None else float(at)

    def attention(self, asked: Asked, limit: int | None) -> list[Seen]:
        """What needs somebody: failed, or held up.  Last changed first."""
        held = asked.where(HELD)
        failed = [self._of(asked, State.FAILED)] if State.FAILED in asked.any_of else []
        return self._in_order(self._newest([*failed, held], limit))

    def under_way(self, asked: Asked, limit: int | None) -> list[Seen]:
        """What is on its way without trouble: first what is being imported."""
        found: list[int] = []
        for state in (State.IMPORTING, State.QUEUED, State.WAITING):
            left = None if limit is None else limit - len(found)
            if state in asked.any_of and left != 0:
                more = () if state is State.IMPORTING else (ON_ITS_WAY,)
                rows = self._ids("id", self._of(asked, state, *more), "id", left)
                found += [row[0] for row in rows]
        return self._in_order(found)

    def latest(self, asked: Asked, limit: int | None) -> list[Seen]:
        """All that is asked for, last changed first."""
        return self._in_order(
            self._newest(
                [self._of(asked, state) for state in State if state in asked.any_of], limit
            )
        )

    def _in_order(self, ids: Sequence[int]) -> list[Seen]:
        seen = {one.id: one for one in self.load(ids)}
        return [seen[identifier] for identifier in ids]

    def _newest(self, each: Sequence[tuple[str, list[Any]]], limit: int | None) -> list[int]:
        """The ids of the filesets that meet one of these conditions, last changed first.

        Each condition has its order in an index.  A database that is asked for all of them at
        once looks at every fileset.
        """
        rows = [row for one in each for row in self._ids("changed, id", one, _NEWEST, limit)]
        return [row[1] for row in sorted(rows, reverse=True)[:limit]]

    def _ids(
        self, columns: str, where: tuple[str, list[Any]], order: str, limit: int | None
    ) -> list[tuple[Any, ...]]:
        limited = f" LIMIT {int(limit)}" if limit is not None else ""
        return self.ask(
            f"SELECT {columns} FROM fileset{where[0]} ORDER BY {order}{limited}", where[1]
        )

    def _of(self, asked: Asked, state: State, *more: str) -> tuple[str, list[Any]]:
        return replace(asked, states=(state,)).where(*more)

    def _count(self, where: str, values: list[Any]) -> int:
        return int(self.ask(f"SELECT count(*) FROM fileset{where}", values)[0][0])

    def users_after(self, event: int) -> tuple[int, dict[str, bool]]:
        """The last event, and the users whose filesets have events after `event`.

        Each with whether one of these events may need the user: a failure, or a wait for something.
        """
        last = int(self.ask("SELECT coalesce(max(id), 0) FROM event")[0][0])
        if last <= event:
            return last, {}
        rows = self.ask(
            "SELECT fileset.\"user\", max(CASE WHEN event.after = 'failed' OR "
            "event.after IN ('waiting', 'queued') AND event.reason <> '' THEN 1 ELSE 0 END) "
            # With the plus, SQLite begins with the new events, and not with every fileset.
            "FROM event JOIN fileset ON fileset.id = +event.fileset WHERE event.id > ? "
            'GROUP BY fileset."user" ORDER BY fileset."user"',
            [event],
        )
        return last, {str(user): bool(needs) for user, needs in rows}

    def knows(self, user: str) -> bool:
        """Whether this user has, or had, a fileset."""
        return bool(self.ask('SELECT 1 FROM fileset WHERE "user" = ? LIMIT 1', [user]))

    def at(self, path: str) -> list[Seen]:
        """The filesets that have a file with this path, the newest last."""
        ids = self.ask("SELECT DISTINCT fileset FROM file WHERE path = ?", [path])
        return self.load([row[0] for row in ids])

    def load(self, ids: Collection[int]) -> list[Seen]:
        """The filesets with these ids that there are, in the order of the ids."""
        found: list[Seen] = []
        for some in _chunks(sorted(one for one in set(ids) if one <= HIGHEST_ID)):
            marks = ", ".join("?" * len(some))
            found += self._rows((f" WHERE id IN ({marks})", list(some)), "id", None)
        return found

    def below(self, directory: str) -> dict[str, Seen]:
        """The newest fileset of each file below `directory`: path -> fileset."""
        rows = self.ask(
            "SELECT path, max(fileset) FROM file WHERE path >= ? AND path < ? GROUP BY path",
            _range(directory),
        )
        seen = {one.id: one for one in self.load([identifier for _, identifier in rows])}
        return {path: seen[identifier] for path, identifier in rows if identifier in seen}

    def all_below(self, directory: str) -> dict[str, list[int]]:
        """Every fileset of each file below `directory`: path -> ids, the newest last."""
        found: dict[str, list[int]] = {}
        for path, identifier in self.ask(
            "SELECT DISTINCT path, fileset FROM file WHERE path >= ? AND path < ? ORDER BY fileset",
            _range(directory),
        ):
            found.setdefault(path, []).append(identifier)
        return found

    def imported_after(self, after: int, limit: int) -> list[Seen]:
        """The next imported filesets with ids above `after`, by id, at most `limit` of them."""
        where = " WHERE state = 'imported' AND id > ?"
        return self._rows((where, [after]), "id", limit)

    def files_of(self, ids: Collection[int]) -> dict[int, dict[str, Met]]:
        """Fileset -> path -> how each of its files was when it was met."""
        found: dict[int, dict[str, Met]] = {}
        for some in _chunks(sorted(ids)):
            marks = ", ".join("?" * len(some))
            for identifier, path, *met in self.ask(
                "SELECT fileset, path, device, inode, size, mtime_ns FROM file "
                f"WHERE fileset IN ({marks}) ORDER BY fileset, position",
                some,
            ):
                found.setdefault(identifier, {})[path] = Met(*map(int, met))
        return found

    def known(self, paths: Sequence[str]) -> set[str]:
        """Those of these files that are in any fileset."""
        found: set[str] = set()
        for start in range(0, len(paths), _CHUNK):
            some = paths[start : start + _CHUNK]
            marks = ", ".join("?" * len(some))
            rows = self.ask(f"SELECT DISTINCT path FROM file WHERE path IN ({marks})", some)
            found.update(str(row[0]) for row in rows)
        return found

    def moving(self, ids: Collection[int]) -> set[int]:
        """Those of these filesets whose files are being moved into quarantine, or back."""
        notes = {f"{note}{one}": one for one in ids for note in (GOES, RETURNING)}
        found: set[int] = set()
        for some in _chunks(sorted(notes)):
            marks = ", ".join("?" * len(some))
            rows = self.ask(f"SELECT key FROM meta WHERE key IN ({marks})", some)
            found.update(notes[str(row[0])] for row in rows)
        return found

    def recorded(self, server_filesets: Collection[int]) -> set[int]:
        """Those of these filesets of OMERO that the journal has as the result of an import."""
        found: set[int] = set()
        for some in _chunks(sorted(server_filesets)):
            marks = ", ".join("?" * len(some))
            rows = self.ask(
                f"SELECT server_fileset FROM fileset WHERE server_fileset IN ({marks})", some
            )
            found.update(int(row[0]) for row in rows)
        return found

    def came(self, asked: Asked, until: float, directory: str | None) -> list[Came]:
        """What came in or changed since `asked.since` and came in before `until`.

        `until` is in s since the epoch.  With `directory`, only what lies below it.
        """
        parts, more = ["created < ?"], list[Any]([until])
        if directory is not None:
            parts.append("path >= ? AND path < ?")
            more += _range(directory)
        # There is an index of each state by time, and none of all.
        where, values = replace(asked, states=asked.any_of if asked.since else ()).where()
        parts.insert(0, where.removeprefix(" WHERE ") or "1 = 1")
        rows = self.ask(
            'SELECT id, "user", root, path, state, reason, created, changed, '
            "(SELECT max(at) FROM event WHERE event.fileset = fileset.id AND after = 'imported' "
            "AND before NOT IN ('', 'imported')), "
            "(SELECT count(*) FROM file WHERE file.fileset = fileset.id), "
            "(SELECT coalesce(sum(size + 0.0), 0) FROM file WHERE file.fileset = fileset.id) "
            f"FROM fileset WHERE {' AND '.join(parts)} ORDER BY id",
            [*values, *more],
        )
        states = {str(state): state for state in State}  # State(...) takes longer than all else
        return [Came(*(*row[:4], states[row[4]], *row[5:10], int(row[10]))) for row in rows]

    def events(self, fileset: int) -> list[tuple[float, str, str, str, str]]:
        """(s since the epoch, state before, state after, reason, who), oldest first."""
        rows = self.ask(
            "SELECT at, before, after, reason, who FROM event WHERE fileset = ? ORDER BY id",
            [fileset],
        )
        return [(float(row[0]), *map(str, row[1:])) for row in rows]  # type: ignore[misc]

    def afterwards(self, asked: Asked, until: float, directory: str | None) -> list[After]:
        """What became of imported files from `asked.since` to `until` (s since the epoch).

        With `directory`, only what lay below it.
        """
        where, values = _after_of(asked.user, directory)
        rows = self.ask(
            f'SELECT id, "user", root, path, value {_AFTER} WHERE {where} ORDER BY id', values
        )
        since = asked.since or 0.0
        found = [
            After(int(row[0]), str(row[1]), str(row[2]), str(row[3]), Ended.read(str(row[4])))
            for row in rows
        ]
        return [one for one in found if since <= one.ended.at < until]

    def after_import(self, fileset: int) -> Ended | None:
        """What became of the files of an imported fileset afterwards; None: nothing yet."""
        rows = self.ask("SELECT value FROM meta WHERE key = ?", [f"{ENDED}{fileset}"])
        return Ended.read(str(rows[0][0])) if rows else None

    def letters(self) -> tuple[int, float, str]:
        """What people are still to be told: number, s since the epoch of the oldest, and why.

        The reason is that of the last try; empty if none was made.
        """
        waiting = "FROM letter WHERE state IN ('waiting', 'sending')"
        ((number, oldest),) = self.ask(f"SELECT count(*), min(created) {waiting}")
        if not number:
            return 0, 0.0, ""
        why = self.ask(
            f"SELECT reason {waiting} AND reason <> '' ORDER BY changed DESC, id DESC LIMIT 1"
        )
        return int(number), float(oldest), str(why[0][0]) if why else ""

    def nodes(self) -> list[Elsewhere]:
        """The importers on other machines, in the order in which they began."""
        rows = self.ask(
            "SELECT holder, told, (SELECT count(*) FROM claim WHERE claim.holder = node.holder "
            "AND claim.epoch = node.id) FROM node ORDER BY id"
        )
        return [Elsewhere(str(row[0]), str(row[1]), int(row[2])) for row in rows]

    def _rows(self, where: tuple[str, list[Any]], order: str, limit: int | None) -> list[Seen]:
        condition, values = where
        limited = f" LIMIT {int(limit)}" if limit is not None else ""
        rows = self.ask(
            f"SELECT {_SELECT} FROM fileset{condition} ORDER BY {order}{limited}", values
        )
        named = [dict(zip(_COLUMNS, row, strict=True)) for row in rows]
        files: dict[int, list[str]] = {row["id"]: [] for row in named}
        sizes = dict.fromkeys(files, 0)
        for some in _chunks(list(files)):
            marks = ", ".join("?" * len(some))
            for identifier, path, size in self.ask(
                f"SELECT fileset, path, size FROM file WHERE fileset IN ({marks}) "
                "ORDER BY fileset, position",
                some,
            ):
                files[identifier].append(path)
                sizes[identifier] += size
        return [_seen(row, tuple(files[row["id"]]), sizes[row["id"]]) for row in named]


def _after_of(user: str | None, directory: str | None) -> tuple[str, list[Any]]:
    """A condition on filesets, and its values."""
    parts, values = ["meta.key >= ?", "meta.key < ?"], list[Any]([ENDED, f"{ENDED}:"])
    if user is not None:
        parts.append('"user" = ?')
        values.append(user)
    if directory is not None:
        parts.append("path >= ? AND path < ?")
        values += _range(directory)
    return " AND ".join(parts), values


def _seen(row: dict[str, Any], files: tuple[str, ...], size: int) -> Seen:
    return Seen(
        **{
            **row,
            "state": State(row["state"]),
            "images": tuple(int(i) for i in row["images"].split(",") if i),
            "plate": bool(row["plate"]),
        },
        files=files,
        size=size,
    )


def _range(directory: str) -> list[str]:
    """The first path below `directory`, and the first after them."""
    top = directory.rstrip("/")
    return [f"{top}/", f"{top}0"]  # in the order of characters, `0` comes after `/`


def _sought(value: Any) -> Any:
    """`value` for a statement.

    No database can hold a text that is not UTF-8.  Such a path or user becomes a text that equals
    none in the journal: each path there begins with a slash, and no user with this character.
    """
    if not isinstance(value, str) or is_utf8(value):
        return value
    return f"\ufffd{encodable(value)}"


def _chunks(ids: Sequence[_Key]) -> Iterator[Sequence[_Key]]:
    for start in range(0, len(ids), _CHUNK):
        yield ids[start : start + _CHUNK]


@contextmanager
def glance(url: str) -> Iterator[Glance | None]:
    """The journal at `url` as it is now; None if DropBox has not made it yet.

    Raises JournalError or ConfigurationError, as Database does, if it cannot be read.
    """
    try:
        connection, ask, mark = open_to_read(url)
    except FileNotFoundError:
        yield None
        return
    except OSError as error:
        raise JournalError(f"the journal {url[len(SQLITE) :]}: {error.strerror}") from error
    except Exception as error:
        raise why(url, error) from error

    def told(error: Exception) -> Exception:
        connection.close()  # else the journal waits for the end of our transaction
        return why(url, error)

    try:
        look = Glance(ask, mark, told)
        version = look.version()
        if version != str(VERSION):
            raise told(JournalError(f"the journal has version {version}"))
        yield look
    finally:
        connection.close()
