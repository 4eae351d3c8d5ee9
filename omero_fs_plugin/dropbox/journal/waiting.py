"""What is written of files and sets before they are queued: they wait, come to rest, form sets."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Select, bindparam, select, update

from omero_fs_plugin.events import FileStat

from . import schema
from .ending import Ending
from .forming import forget
from .intake import insert_new, wait_each
from .moves import HOME
from .parting import CLOSED
from .records import GONE, MET, PART, STAT_COLUMNS, Found, chunks, columns, stat_columns
from .states import State
from .writer import write_note


class Waiting(Ending):
    """Filesets on their way to the queue."""

    def wait(self, user: str, root: str, found: Sequence[Found]) -> None:
        """Records files in their quiet period, one fileset each.

        If any user has an open fileset with the path, it is left as it is.  A skipped
        or failed fileset with the path is opened again.
        """
        for some in chunks(found, PART):
            with self._database.writing() as connection:
                large = wait_each(connection, self._stamp(), user, root, some)
            for fileset in large:
                self._part_with(fileset, CLOSED)
            if large:
                self.wait(user, root, some)

    def follow(self, renamed: Mapping[int, tuple[str, Found]]) -> None:
        """Lets filesets of one file wait at the path that it has now: id -> root, what it is now.

        The fileset that was made there when the file was met goes.  If there was one before, it
        stays, and one that failed at the former path is skipped.
        """
        for some in chunks(list(renamed.items()), PART):
            with self._database.writing() as connection:
                for fileset, (root, met) in some:
                    self._follow(connection, fileset, root, met)

    def give_to(self, fileset: int, user: str, root: str) -> None:
        """Gives a waiting fileset to this user, below `root`."""
        table = schema.fileset.c
        with self._database.writing() as connection:
            connection.execute(
                update(schema.fileset)
                .where(table.id == fileset, table.state == State.WAITING)
                .values(user=user, root=root)
            )

    def skip(self, user: str, root: str, found: Found, reason: str) -> None:
        """Records a file that will not be imported, for `reason`."""
        with self._database.writing() as connection:
            at = self._stamp()
            insert_new(connection, at, user, root, [found], State.SKIPPED, MET, reason)

    def settled(
        self, filesets: Mapping[int, FileStat], readers: Mapping[int, str] | None = None
    ) -> None:
        """waiting -> queued, for filesets of one file, with their files as they were at rest.

        `readers`: the reader of Bio-Formats for each, if it is known.
        """
        for some in chunks(list(filesets.items()), PART):
            self._settled(dict(some), readers or {})

    def _settled(self, filesets: Mapping[int, FileStat], readers: Mapping[int, str]) -> None:
        fileset, file, at = schema.fileset.c, schema.file.c, self._stamp()
        with self._database.writing() as connection:
            # The rows of the files come first, while the filesets are still waiting.
            self._rested(connection, filesets)
            connection.execute(
                update(schema.fileset)
                .where(
                    fileset.id == bindparam("of"),
                    fileset.state == State.WAITING,
                    ~select(file.fileset)
                    .where(file.fileset == bindparam("of"), file.position == 1)
                    .exists(),
                )
                .values(
                    state=State.QUEUED,
                    reason="",
                    changed=at.now,
                    moved_by=at.who,
                    reader=bindparam("by"),
                    plate=0,
                ),
                [{"of": i, "by": readers.get(i, "")} for i in filesets],
            )

    def waited(self, filesets: Collection[int], seconds: float) -> None:
        """Adds the time for which we saw these filesets wait, for the same thing."""
        fileset = schema.fileset.c
        for some in chunks(sorted(filesets), PART):
            with self._database.writing() as connection:
                connection.execute(
                    update(schema.fileset)
                    .where(fileset.id.in_(some), fileset.state == State.WAITING)
                    .values(waited=fileset.waited + seconds)
                )

    def rested(self, filesets: Mapping[int, FileStat]) -> None:
        """Records waiting filesets of one file as they were when they came to rest."""
        for some in chunks(list(filesets.items()), PART):
            with self._database.writing() as connection:
                self._rested(connection, dict(some))

    def tell(self, reasons: Mapping[int, str]) -> None:
        """Records what each of these filesets waits for now, if it waits."""
        table = schema.fileset.c
        by_reason: dict[str, list[int]] = {}
        for fileset, reason in reasons.items():
            by_reason.setdefault(reason, []).append(fileset)
        for parts in _in_parts(by_reason):
            with self._database.writing() as connection:
                for reason, some in parts:
                    connection.execute(
                        update(schema.fileset)
                        .where(
                            table.id.in_(some),
                            table.state == State.WAITING,
                            table.reason != reason,
                        )
                        .values(
                            reason=reason,
                            waited=0.0,
                            changed=self._clock(),
                            moved_by=self._who,
                        )
                    )

    def end_waiting(self, reasons: Mapping[int, str], after: State) -> list[int]:
        """waiting -> skipped or failed, each for its reason.  Returns those that waited."""
        table = schema.fileset.c
        by_reason: dict[str, list[int]] = {}
        for fileset, reason in reasons.items():
            by_reason.setdefault(reason, []).append(fileset)
        ended: list[int] = []
        for parts in _in_parts(by_reason):
            with self._database.writing() as connection:
                for reason, some in parts:
                    ended += connection.scalars(
                        update(schema.fileset)
                        .where(table.id.in_(some), table.state == State.WAITING)
                        .values(
                            state=after,
                            reason=reason,
                            waited=0.0,
                            changed=self._clock(),
                            moved_by=self._who,
                        )
                        .returning(table.id)
                    )
        return sorted(ended)

    def forget_gone(self, filesets: Sequence[int]) -> int:
        """Removes those that ended before anything was tried, because their files were gone.

        Returns how many.
        """
        number = 0
        for some in chunks(filesets, PART):
            with self._database.reading() as connection:
                gone = list(connection.scalars(_gone(some)))
            for one in self._many(gone):
                self._shed(one, State.SKIPPED, GONE)
            with self._database.writing() as connection:
                gone = list(connection.scalars(_gone(gone)))
                forget(connection, gone)
            number += len(gone)
        return number

    def _follow(self, connection: Connection, fileset: int, root: str, met: Found) -> None:
        table, file = schema.fileset.c, schema.file.c
        before = (State.WAITING, State.SKIPPED, State.FAILED)
        row = connection.execute(
            select(table.user, table.state)
            .where(table.id == fileset, table.verified == 0)
            .where(
                table.state.in_(before),
                ~select(file.fileset).where(file.fileset == fileset, file.position == 1).exists(),
            )
        ).first()
        if row is None:  # it was taken up again since, or is a set by now
            return
        made = connection.scalars(
            select(table.id)
            .where(table.path == met.path, table.user == row.user)
            .where(table.state == State.WAITING, table.created == table.changed)
        ).first()
        if made is None or made < fileset:
            if row.state == State.FAILED:
                why = f"its file was renamed to {met.path}"
                self._move(connection, fileset, (State.FAILED,), State.SKIPPED, why)
            return
        forget(connection, [made])
        stamp = self._stamp()
        connection.execute(
            update(schema.fileset)
            .where(table.id == fileset, table.state == row.state)
            .values(
                root=root,
                path=met.path,
                state=State.WAITING,
                reason="",
                waited=0.0,
                changed=stamp.now,
                moved_by=stamp.who,
                origin=MET,
                refusals=0,
                duplicate_of=None,
            )
        )
        connection.execute(
            update(schema.file)
            .where(schema.file.c.fileset == fileset, schema.file.c.position == 0)
            .values(**columns(met), sha1=None)
        )
        # If it lay in quarantine: its way home was cut short, or somebody else has moved it.
        write_note(connection, f"{HOME}{fileset}", "")

    def _rested(self, connection: Connection, filesets: Mapping[int, FileStat]) -> None:
        fileset, file = schema.fileset.c, schema.file.c
        connection.execute(
            update(schema.file)
            .where(
                file.fileset == bindparam("of"),
                file.position == 0,
                select(fileset.id)
                .where(fileset.id == bindparam("of"), fileset.state == State.WAITING)
                .exists(),
            )
            .values({"sha1": None, **{name: bindparam(name) for name in STAT_COLUMNS}}),
            [{"of": i, **stat_columns(stat)} for i, stat in filesets.items()],
        )


def _gone(filesets: Sequence[int]) -> Select[Any]:
    """Those that ended before anything was tried, because their files were gone."""
    table = schema.fileset.c
    return select(table.id).where(
        table.id.in_(filesets),
        table.state == State.SKIPPED,
        table.reason == GONE,
        table.attempts == 0,
        table.server_fileset.is_(None),
    )


def _in_parts(by_reason: Mapping[str, Sequence[int]]) -> Iterator[list[tuple[str, list[int]]]]:
    """Filesets with their reasons, in parts of about PART filesets: each a transaction."""
    part: list[tuple[str, list[int]]] = []
    number = 0
    for reason, filesets in by_reason.items():
        for some in chunks(filesets, PART):
            part.append((reason, some))
            number += len(some)
            if number >= PART:
                yield part
                part, number = [], 0
    if part:
        yield part
