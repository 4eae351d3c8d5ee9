"""What a client knew when its monitor started, packed: many paths of one directory in a row.

A start knows every file at once, and a row for each of 200,000 files took FSServer as long as to
look at them all.  So what is known then lies in pages, and what changes later has a row of its own.

Rule: a path is in a page or has a row, never both.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping

from omero_fs_plugin.monitor.tracking.picture import Known, State, split

from .file import state_of

IN_ONE = 256  # names; a page that loses one is written anew
_REMEMBERED = 1000  # directories that have no page

Row = tuple[bytes, bytes, bytes]  # directory, first, names


def packed(known: Iterable[Known]) -> Iterator[Row]:
    """The pages of what is known.  No directory may come twice."""
    for directory, states in known:
        names = sorted(states)
        for begin in range(0, len(names), IN_ONE):
            some = names[begin : begin + IN_ONE] if len(names) > IN_ONE else names
            parts = _parts(some, states)
            if parts:
                yield directory, parts[0].partition(b"\0")[0], b"\0".join(parts)


def add(db: sqlite3.Connection, monitor: int, rows: Iterable[Row]) -> None:
    """Writes pages."""
    db.executemany("INSERT INTO page VALUES (?, ?, ?, ?)", ((monitor, *row) for row in rows))


def unpacked(rows: Iterable[Row]) -> Iterator[tuple[bytes, State]]:
    """Every path in these pages, and its state."""
    for directory, _, names in rows:
        for name, word in _unpack(names):
            yield directory + name, state_of(word.decode())


def take_out(
    db: sqlite3.Connection, monitor: int, paths: Iterable[bytes], without: set[bytes]
) -> None:
    """Takes paths, as picture.key_of has them, out of the pages; most are in none.

    `without`: directories that have no page, and will have none until the next start.  More are
    added.
    """
    directories: dict[bytes, list[bytes]] = {}
    for path in paths:
        directory, name = split(path)
        names = directories.get(directory)
        if names is None:
            names = directories[directory] = []
        names.append(name)
    for directory, names in directories.items():
        if directory in without:
            continue
        here = "SELECT 1 FROM page WHERE monitor = ? AND directory = ? LIMIT 1"
        if db.execute(here, (monitor, directory)).fetchone() is not None:
            _take_out(db, monitor, directory, sorted(names))
        elif len(without) < _REMEMBERED:
            without.add(directory)


def _take_out(db: sqlite3.Connection, monitor: int, directory: bytes, names: list[bytes]) -> None:
    """`names` in their order."""
    waiting = names[::-1]
    while waiting:
        name = waiting.pop()
        page = db.execute(
            "SELECT rowid, names, (SELECT min(first) FROM page WHERE monitor = ?1 "
            "AND directory = ?2 AND first > ?3) FROM page WHERE monitor = ?1 AND directory = ?2 "
            "AND first <= ?3 ORDER BY first DESC LIMIT 1",
            (monitor, directory, name),
        ).fetchone()
        if page is None:
            continue
        row, packed_names, following = page
        gone = {name}
        while waiting and (following is None or waiting[-1] < following):
            gone.add(waiting.pop())
        left = [one for one in _unpack(packed_names) if one[0] not in gone]
        if not left:
            db.execute("DELETE FROM page WHERE rowid = ?", (row,))
        elif len(left) * 2 != packed_names.count(b"\0") + 1:
            text = b"\0".join(name + b"\0" + word for name, word in left)
            db.execute("UPDATE page SET names = ? WHERE rowid = ?", (text, row))


def _parts(names: Iterable[bytes], states: Mapping[bytes, State]) -> list[bytes]:
    """Of each that is there its name and word.

    The words are those of file.word_of, which would take three times as long.
    """
    parts = []
    for name in names:
        one = states[name]
        if isinstance(one, tuple):
            parts.append(b"%b\0%d,%d,%d" % (name, *one))
        elif one is not None:
            parts.append(b"%b\0%b" % (name, one.encode()))
    return parts


def _unpack(names: bytes) -> list[tuple[bytes, bytes]]:
    parts = names.split(b"\0")
    return list(zip(parts[::2], parts[1::2], strict=False))
