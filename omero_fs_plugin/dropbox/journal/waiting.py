"""What is written of files and sets before they are queued: they wait, come to rest, form sets."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import Connection, bindparam, select, update

from omero_fs_plugin.events import FileStat

from . import schema
from .forming import absorb, forget, form, give_up
from .intake import dissolve, insert_new, wait_each
from .records import GONE, MET, STAT_COLUMNS, Formed, Found, chunks, columns, stat_columns
from .rows import CHUNK
from .states import State
from .writer import JournalWriter, write_note

# Before the id of a failed fileset; the note has the paths that it lacks.
LACKS = "lacks "


class Waiting(JournalWriter):
    """Filesets on their way to the queue."""

    def wait(self, user: str, root: str, found: Sequence[Found]) -> None:
        """Records files in their quiet period, one fileset each.

        If any user has an open fileset with the path, it is left as it is.  A skipped
        or failed fileset with the path is opened again.
        """
        with self._database.writing() as connection:
            wait_each(connection, self._stamp(), user, root, found)

    def follow(self, renamed: Mapping[int, tuple[str, Found]]) -> None:
        """Lets filesets of one file wait at the path that it has now: id -> root, what it is now.

        The fileset that was made there when the file was met goes.  If there was one before, it
        stays, and one that failed at the former path is skipped.
        """
        with self._database.writing() as connection:
            for fileset, (root, met) in renamed.items():
                self._follow(connection, fileset, root, met)

    def form(self, formed: Formed) -> tuple[int | None, list[Found]]:
        """Queues a fileset of several files.  Returns its id, and the files that are left over.

        The id is None if it has to be tried later.  It is the id of another set if that
        has all of the files.  The files left over were in former filesets; each of them
        waits by itself again.
        """
        with self._database.writing() as connection:
            return form(connection, self._stamp(), formed)

    def absorb(self, user: str, store: str) -> int:
        """Ends what waits, was skipped or has failed file by file below a store; how many.

        They are parts of the store from now on.  What OMERO was once told to import stays.
        """
        with self._database.writing() as connection:
            return absorb(connection, self._stamp(), user, store)

    def dissolve(self, fileset: int) -> None:
        """If it is a set that waits, lets each of its files wait by itself again."""
        with self._database.writing() as connection:
            dissolve(connection, self._stamp(), fileset)

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
        if not filesets:
            return
        fileset, at = schema.fileset.c, self._stamp()
        with self._database.writing() as connection:
            # The rows of the files come first, while the filesets are still waiting.
            self._rested(connection, filesets)
            connection.execute(
                update(schema.fileset)
                .where(fileset.id == bindparam("of"), fileset.state == State.WAITING)
                .values(
                    state=State.QUEUED,
                    reason="",
                    changed=at.now,
                    moved_by=at.who,
                    reader=bindparam("by"),
                    plate=0,
                ),
                [{"of": i, "by": (readers or {}).get(i, "")} for i in filesets],
            )

    def waited(self, filesets: Collection[int], seconds: float) -> None:
        """Adds the time for which we saw these filesets wait, for the same thing."""
        fileset = schema.fileset.c
        with self._database.writing() as connection:
            for some in chunks(sorted(filesets), CHUNK):
                connection.execute(
                    update(schema.fileset)
                    .where(fileset.id.in_(some), fileset.state == State.WAITING)
                    .values(waited=fileset.waited + seconds)
                )

    def rested(self, filesets: Mapping[int, FileStat]) -> None:
        """Records waiting filesets of one file as they were when they came to rest."""
        if filesets:
            with self._database.writing() as connection:
                self._rested(connection, filesets)

    def tell(self, reasons: Mapping[int, str]) -> None:
        """Records what each of these filesets waits for now, if it waits."""
        table = schema.fileset.c
        by_reason: dict[str, list[int]] = {}
        for fileset, reason in reasons.items():
            by_reason.setdefault(reason, []).append(fileset)
        if not by_reason:
            return
        with self._database.writing() as connection:
            for reason, filesets in by_reason.items():
                for some in chunks(filesets, CHUNK):
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
        if not by_reason:
            return ended
        with self._database.writing() as connection:
            for reason, filesets in by_reason.items():
                for some in chunks(filesets, CHUNK):
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
        table = schema.fileset.c
        found: list[int] = []
        with self._database.writing() as connection:
            for some in chunks(filesets, CHUNK):
                found += connection.scalars(
                    select(table.id).where(
                        table.id.in_(some),
                        table.state == State.SKIPPED,
                        table.reason == GONE,
                        table.attempts == 0,
                        table.server_fileset.is_(None),
                    )
                )
            forget(connection, found)
        return len(found)

    def give_up(self, filesets: Sequence[int], reason: str, lacks: Sequence[str]) -> int | None:
        """Fails parts of a set, which have waited long enough, as one fileset.  Returns its id.

        `filesets`: those of its files that wait, in their order.  The result is None if
        one of them no longer waits.  `lacks`: the paths of missing files, if known.
        """
        with self._database.writing() as connection:
            failed = give_up(connection, self._stamp(), filesets, reason)
            if failed is not None:
                write_note(connection, f"{LACKS}{failed}", json.dumps(list(lacks)))
            return failed

    def _follow(self, connection: Connection, fileset: int, root: str, met: Found) -> None:
        table = schema.fileset.c
        before = (State.WAITING, State.SKIPPED, State.FAILED)
        row = connection.execute(
            select(table.user, table.state)
            .where(table.id == fileset, table.verified == 0)
            .where(table.state.in_(before))
        ).first()
        if row is None:  # it was taken up again since
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
