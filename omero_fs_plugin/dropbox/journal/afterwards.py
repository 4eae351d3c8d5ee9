"""What becomes of the files of imported filesets (omero.fs.afterImport), as the journal keeps it.

Rule: that a fileset's files begin to go is noted before the first of them is touched, and how it
ended after the last.  So after a kill it goes on, as it was begun.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from sqlalchemy import Connection, Text, cast, exists, literal, select

from omero_fs_plugin.events import FileStat

from . import schema
from .database import Database
from .fates import ENDED, GOING, Ended, Going
from .records import FOUND_IN_OMERO, MET, chunks, signed
from .states import State

_CHUNK = 500  # values in one statement
_EMPTIED = "emptied "  # before a directory; the note has its root and when (s since the epoch)


@dataclass(frozen=True)
class Emptied:
    """A directory from which afterImport has taken files."""

    path: str
    root: str
    at: float  # s since the epoch


@dataclass(frozen=True)
class Sharer:
    """Another fileset that has a file too."""

    fileset: int
    state: State
    ended: bool  # afterImport has done with it, and took its files
    stays: bool  # afterImport leaves its files where they are, for good
    inode: int  # these three: of the file, as that fileset has it
    size: int  # bytes
    mtime_ns: int  # ns since the epoch

    def had(self, stat: FileStat | None) -> bool:
        """Whether the file that it has is this one.  A disk that was mounted anew is the same."""
        if stat is None:
            return False
        return (signed(stat.inode), stat.size, stat.mtime_ns) == (
            self.inode,
            self.size,
            self.mtime_ns,
        )


class Afterwards:
    """Raises JournalError as `Database` does."""

    def __init__(
        self,
        database: Database,
        clock: Callable[[], float],
        note: Callable[[Connection, str, str], None],
    ) -> None:
        self._database = database
        self._clock = clock
        self._note = note

    def roots(self) -> list[str]:
        """The directories of users from which something was imported."""
        fileset = schema.fileset.c
        with self._database.reading() as connection:
            rows = connection.scalars(
                select(fileset.root).where(fileset.state == State.IMPORTED).distinct()
            )
            return sorted(rows)

    def due(self, root: str, after: int, until: float, limit: int) -> list[int]:
        """The next imported filesets of `root` that are still to be dealt with.

        Their ids are above `after`, and their imports ended before `until` (s since the epoch).
        """
        fileset, meta = schema.fileset.c, schema.meta.c
        done = exists().where(meta.key == literal(ENDED).concat(cast(fileset.id, Text)))
        with self._database.reading() as connection:
            return list(
                connection.scalars(
                    select(fileset.id)
                    .where(
                        fileset.state == State.IMPORTED,
                        fileset.root == root,
                        fileset.id > after,
                        fileset.changed <= until,
                        fileset.to_annotate == 0,
                        fileset.origin.in_((MET, FOUND_IN_OMERO)),
                        ~done,
                    )
                    .order_by(fileset.id)
                    .limit(limit)
                )
            )

    def open(self, filesets: Collection[int]) -> tuple[list[int], list[int]]:
        """Those of these imported filesets that are still to be dealt with.

        First those that are ready, then those that OMERO does not have whole yet.
        """
        fileset, meta = schema.fileset.c, schema.meta.c
        done = exists().where(meta.key == literal(ENDED).concat(cast(fileset.id, Text)))
        with self._database.reading() as connection:
            rows = connection.execute(
                select(fileset.id, fileset.to_annotate)
                .where(
                    fileset.id.in_(list(filesets)),
                    fileset.state == State.IMPORTED,
                    fileset.origin.in_((MET, FOUND_IN_OMERO)),
                    ~done,
                )
                .order_by(fileset.id)
            ).all()
        return [one for one, more in rows if not more], [one for one, more in rows if more]

    def going(self, fileset: int) -> Going | None:
        """How its files began to go; None: they have not."""
        with self._database.reading() as connection:
            text = _noted(connection, f"{GOING}{fileset}")
        return Going.read(text) if text else None

    def begin(self, fileset: int, going: Going) -> None:
        """Its files are going, from now on."""
        with self._database.writing() as connection:
            self._note(connection, f"{GOING}{fileset}", going.written())

    def end(self, fileset: int, ended: Ended) -> None:
        """Done with this fileset."""
        with self._database.writing() as connection:
            self._note(connection, f"{ENDED}{fileset}", ended.written())
            self._note(connection, f"{GOING}{fileset}", "")

    def sharers(self, fileset: int, paths: Collection[str]) -> dict[str, list[Sharer]]:
        """The other filesets that have one of `paths`, without skipped ones."""
        file, other, meta = schema.file.c, schema.fileset.c, schema.meta
        found: dict[str, list[Sharer]] = {}
        for some in chunks(sorted(paths), _CHUNK):
            with self._database.reading() as connection:
                rows = connection.execute(
                    select(
                        *(file.path, other.id, other.state, meta.c.value),
                        *(file.inode, file.size, file.mtime_ns),
                    )
                    .join_from(schema.file, schema.fileset)
                    .outerjoin(meta, meta.c.key == literal(ENDED).concat(cast(other.id, Text)))
                    .where(
                        file.path.in_(some),
                        other.id != fileset,
                        other.state != State.SKIPPED,
                    )
                    .distinct()
                )
                for path, identifier, state, text, *stat in rows:
                    ended = Ended.read(text) if text else None
                    taken = ended is not None and ended.fate.took
                    stays = State(state) is State.FAILED or (ended is not None and not taken)
                    sharer = Sharer(identifier, State(state), taken, stays, *stat)
                    found.setdefault(path, []).append(sharer)
        return found

    def note_emptied(self, root: str, directory: str) -> None:
        """Files were taken from `directory` just now."""
        with self._database.writing() as connection:
            self._note(connection, f"{_EMPTIED}{directory}", f"{self._clock():.0f} {root}")

    def emptied(self) -> list[Emptied]:
        """The directories that `note_emptied` named, and `forget_emptied` did not since."""
        meta = schema.meta.c
        with self._database.reading() as connection:
            rows = connection.execute(
                select(meta.key, meta.value).where(meta.key.startswith(_EMPTIED))
            )
            found = [(key[len(_EMPTIED) :], *value.split(" ", 1)) for key, value in rows]
        return [Emptied(path, root, float(at)) for path, at, root in found]

    def forget_emptied(self, directory: str) -> None:
        """Nothing is to be done there any more."""
        with self._database.writing() as connection:
            self._note(connection, f"{_EMPTIED}{directory}", "")


def _noted(connection: Connection, key: str) -> str:
    found: str | None = connection.scalar(
        select(schema.meta.c.value).where(schema.meta.c.key == key)
    )
    return found or ""
