"""What a journal says after a run: which fileset changed its state, and when.  It only reads, in
plain SQL.

The database writes the event table in the transaction that changes the state.
The time in it is DropBox's, read just before the transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

BUSY = 30.0  # s


@dataclass(frozen=True)
class Times:
    """When a fileset first came into each state: s since the epoch, None if not yet."""

    user: str
    begun: float | None  # importing
    done: float | None  # imported


@contextmanager
def _looking(file: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True, timeout=BUSY)
    try:
        yield connection
    finally:
        connection.close()


def counts(file: Path) -> dict[str, int]:
    """State -> number of filesets in it, without zeros.  Empty while there is no journal."""
    if not file.exists():
        return {}
    with _looking(file) as journal:
        if not journal.execute("SELECT 1 FROM sqlite_master WHERE name = 'fileset'").fetchall():
            return {}
        return dict(journal.execute("SELECT state, count(*) FROM fileset GROUP BY state"))


def times(file: Path) -> dict[str, Times]:
    """Path -> when its fileset, of a path that has one, was imported."""
    with _looking(file) as journal:
        rows = journal.execute(
            "SELECT f.path, f.user, min(b.at), min(d.at) FROM fileset f"
            " LEFT JOIN event b ON b.fileset = f.id AND b.after = 'importing'"
            " LEFT JOIN event d ON d.fileset = f.id AND d.after = 'imported'"
            " GROUP BY f.id"
        )
        return {path: Times(user, begun, done) for path, user, begun, done in rows}


def times_of(file: Path, path: str) -> Times | None:
    """The same as `times`, for one file.  None while the journal does not know it."""
    with _looking(file) as journal:
        row = journal.execute(
            "SELECT f.user,"
            " (SELECT min(at) FROM event WHERE fileset = f.id AND after = 'importing'),"
            " (SELECT min(at) FROM event WHERE fileset = f.id AND after = 'imported')"
            " FROM fileset f WHERE f.path = ?",
            (path,),
        ).fetchone()
        return Times(*row) if row else None


def stands(file: Path, path: str) -> tuple[str, str]:
    """The state of the latest fileset of a path, and why; both empty while nobody knows it."""
    with _looking(file) as journal:
        row = journal.execute(
            "SELECT state, reason FROM fileset WHERE path = ? ORDER BY id DESC LIMIT 1", (path,)
        ).fetchone()
        return (str(row[0]), str(row[1])) if row else ("", "")


def everything(file: Path) -> str:
    """A figure that differs when any fileset, file or event does."""
    with _looking(file) as journal:
        parts = []
        for table in ("fileset", "file", "event"):
            rows, found = 0, 0
            for row in journal.execute(f"SELECT * FROM {table}"):
                rows += 1
                found ^= hash(row)
            parts.append(f"{table} {rows} {found:x}")
        return ", ".join(parts)


def begun_after(closed: Mapping[str, float], known: Mapping[str, Times]) -> list[float]:
    """s from each file's close to the begin of its import.

    Raises ValueError if an import has not begun; it names the file.
    """
    late = []
    for path, at in closed.items():
        one = known.get(path)
        if one is None or one.begun is None:
            raise ValueError(f"{path}: its import has not begun")
        late.append(one.begun - at)
    return late


def done_after(closed: Mapping[str, float], known: Mapping[str, Times]) -> list[float]:
    """s from each file's close to the end of its import; raises ValueError as `begun_after`."""
    late = []
    for path, at in closed.items():
        one = known.get(path)
        if one is None or one.done is None:
            raise ValueError(f"{path}: it is not imported")
        late.append(one.done - at)
    return late


def per_hour(known: Mapping[str, Times]) -> float:
    """Imports an hour, from the begin of the first to the end of the last.

    Raises ValueError if fewer than two are imported.
    """
    begun = [one.begun for one in known.values() if one.begun is not None and one.done is not None]
    done = [one.done for one in known.values() if one.done is not None]
    if len(done) < 2:
        raise ValueError("fewer than two imports: no rate")
    return 3600 * len(done) / (max(done) - min(begun))
