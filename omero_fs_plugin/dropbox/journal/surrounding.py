"""Whether another set has all files of a set, or all of its images."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sqlalchemy import Connection, select

from . import schema
from .records import HANDED_OVER, Formed, chunks, met_of, signed
from .states import State

_CHUNK = 500  # rows looked up in one statement
# States of a set within which another set may lie.
_WITHIN = (State.QUEUED, State.IMPORTING, State.IMPORTED)


@dataclass(frozen=True)
class Around:
    """A set that has all images of another set, as they are now."""

    id: int
    path: str
    state: State
    whole: bool  # it has all of the files; else all but indexes

    @property
    def delays(self) -> bool:
        """Whether the other set has to wait.  One that is queued may fail."""
        return self.state is State.IMPORTING or (not self.whole and self.state is State.QUEUED)

    @property
    def reason(self) -> str:
        """Why the other set is none of its own."""
        if not self.whole:
            return (
                f"its images are imported already with {self.path}, as fileset {self.id}; "
                "`omero fs import` imports them once more, with this file"
            )
        how = "imported" if self.state is State.IMPORTED else "queued"
        return f"its files are {how} with {self.path}, as fileset {self.id}"


def around(connection: Connection, formed: Formed) -> Around | None:
    """A set of the user that begins with another file and has all of these files as they are.

    Or all but indexes, if it is not one that the new set would replace.
    """
    table, file = schema.fileset.c, schema.file.c
    by_hand = formed.origin == HANDED_OVER
    has: dict[int, set[str]] = {}
    sets: dict[int, Around] = {}
    for some in chunks(formed.found, _CHUNK):
        stats = {met.path: met.stat for met in some}
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
                sets[row.fileset] = Around(row.fileset, row.begins, state, whole=False)
    found = []
    images = formed.paths - formed.indexes if sets else set()
    for identifier, one in sets.items():
        if len(has[identifier]) == len(formed.paths):
            found.append(replace(one, whole=True))
            continue
        replaced = one.state is State.QUEUED and one.path in formed.paths
        if images and images <= has[identifier] and not by_hand and not replaced:
            found.append(one)
    # A set under way comes before one that is imported.
    return min(
        found,
        key=lambda one: (not one.whole, one.state is State.IMPORTED, one.id),
        default=None,
    )
