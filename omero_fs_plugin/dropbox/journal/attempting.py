"""What is written of an attempt to import: from the queue to the images in OMERO.

The journal says what is done before it is done, and what has come of it after that.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import Connection, delete, select, update

from omero_fs_plugin.errors import JournalError

from . import schema, statements
from .elapsed import mark, seconds_since
from .nodes import note_start, note_turn, too_early
from .order import COMPARED, SMALL_FIRST_S, smallest
from .recalling import Recalling
from .records import PART, Fileset, Start
from .states import State
from .uniting import Uniting, give_way
from .writer import REMARK, write_note

# Before a fileset's id; the note says when OMERO was told to import it, and which start of OMERO.
_TOLD = "told "


class Attempting(Uniting, Recalling):
    """Filesets that are taken from the queue, and how each attempt ends."""

    def take(
        self,
        user: str,
        not_now: Collection[int] = (),
        roots_away: Collection[str] = (),
        root: str = "",
        *,
        small: bool = False,
        turn: int = 0,
        start: Start | None = None,
    ) -> Fileset | None:
        """queued -> importing for the user's oldest fileset: an attempt begins.

        With `small`, it is the smallest of the oldest ones, unless one has waited for too long.
        `turn`: the number of the user's turn, for the importers of other machines.  On PostgreSQL
        a fileset that somebody else's transaction has locked is passed over, and not waited for.
        With `start` nothing is taken before its time, on whatever machine the last one began.

        Those with ids in `not_now`, or in directories of `roots_away`, are passed over,
        and if `root` is given those of other roots.
        """
        with self._database.writing() as connection:
            if start is not None and too_early(connection, start, self._clock):
                return None
            if small:
                late = self._clock() - SMALL_FIRST_S
                first = smallest(statements.oldest(with_root=bool(root)).limit(COMPARED), late)
                first = first.with_for_update(of=schema.fileset, skip_locked=True)
            else:
                first = statements.first(with_root=bool(root))
            values = {"user": user, "not_now": list(not_now), "roots_away": list(roots_away)}
            identifier = connection.scalar(first, values | ({"root": root} if root else {}))
            if identifier is None:
                return None
            connection.execute(
                statements.TAKE, {"of": identifier, "now": self._clock(), "who": self._who}
            )
            self._claim(connection, identifier)
            if turn:
                note_turn(connection, user, turn)
            if start is not None:
                note_start(connection, start, identifier, self._clock)
        return self.load([identifier])[0]  # nobody else touches it now

    def skip_as_seen(self, fileset: Fileset, reason: str) -> bool:
        """queued -> skipped, if nothing has become of it since it was loaded.

        Returns whether it was so.  OMERO may have been told to import it by now.
        """
        table = schema.fileset.c
        with self._database.writing() as connection:
            as_seen = (table.changed == fileset.changed, table.verified == int(fileset.verified))
            if connection.scalar(select(table.id).where(table.id == fileset.id, *as_seen)) is None:
                return False
            return self._move(connection, fileset.id, (State.QUEUED,), State.SKIPPED, reason)

    def settle_anew(self, fileset: int, reason: str) -> bool:
        """importing -> waiting, each file of a set by itself.  Returns whether it was importing.

        One of the files has changed, so it must be found out again which belong together.
        """
        with self._database.writing() as connection:
            done = self._move(connection, fileset, (State.IMPORTING,), State.WAITING, reason)
        if done:
            self._part_with(fileset, (State.WAITING,))
        return done

    def duplicate(self, fileset: int, of: int | None, reason: str) -> None:
        """importing -> skipped, because its content is imported: as fileset `of`, if known."""
        with self._database.writing() as connection:
            self._move(
                connection, fileset, (State.IMPORTING,), State.SKIPPED, reason, duplicate_of=of
            )

    def refused(self, fileset: int, after: State, reason: str) -> None:
        """importing -> queued or failed, and one refusal more."""
        with self._database.writing() as connection:
            self._move(
                connection,
                fileset,
                (State.IMPORTING,),
                after,
                reason,
                refusals=schema.fileset.c.refusals + 1,
            )
            if after is State.FAILED:
                write_note(connection, f"{_TOLD}{fileset}", "")

    def note_verified(
        self,
        fileset: Fileset,
        sha1s: Sequence[str],
        known: Collection[int] | None = None,
        apart: Collection[int] = (),
        start: int = 0,
    ) -> int | None:
        """Records, before OMERO is told to import, that it may have images from now on.

        `sha1s`: of the files' bytes, lower-case hex, in their order.  Nothing is written
        if the same content is under way for the same user; the result is then the id of
        that other fileset.  The same holds if the content was imported since it was
        compared: two importers may have equal files at the same time, and one is faster.
        `known` are the imported filesets known at that comparison; None if copies are
        wanted.  And the same holds if other users have the same file, but for `apart`,
        filesets of others that it need not wait for.  `start` says which start of OMERO is told,
        see `told_at`.
        """
        self._note_most_sha1s(fileset.id, sha1s)
        with self._database.writing() as connection:
            other = self._under_way(connection, fileset.id, fileset.user, sha1s[0])
            if other is None and known is not None:
                there = self._same_content(connection, fileset.user, sha1s)
                since = [one for one in there if one not in known]
                other = since[0] if since else None
            if other is None:
                theirs = self._of_others(connection, fileset)
                other = next((one for one in theirs if one not in apart), None)
            if other is None:
                self._note_sha1s(connection, fileset.id, sha1s)
                connection.execute(statements.VERIFIED, {"of": fileset.id})
                write_note(connection, f"{_TOLD}{fileset.id}", f"{mark()} {start}")
        return other

    def note_nothing_there(self, fileset: int) -> None:
        """Records that OMERO has nothing of a fileset that it was once told to import."""
        with self._database.writing() as connection:
            connection.execute(
                update(schema.fileset).where(schema.fileset.c.id == fileset).values(verified=0)
            )
            write_note(connection, f"{_TOLD}{fileset}", "")

    def told_for(self, fileset: int) -> float | None:
        """How long (s) ago OMERO was told to import it; None if nobody can tell."""
        return seconds_since(" ".join(self.noted(f"{_TOLD}{fileset}").split(" ")[:2]))

    def told_at(self, fileset: int) -> int:
        """Which start of OMERO was told to import it, as `note_verified` got it; 0: not known."""
        return int(*self.noted(f"{_TOLD}{fileset}").split(" ")[2:3])

    def imported(
        self,
        fileset: int,
        server_fileset: int,
        images: Sequence[int],
        sha1s: Sequence[str],
        *,
        finished: bool = True,
    ) -> None:
        """importing -> imported, with what OMERO made of it.

        If that was found in OMERO before, its row gives way, and this one gets its history.

        If not `finished`, something is still to be done.  Call the method `finished` after that.
        """
        self._note_most_sha1s(fileset, sha1s)
        if len(sha1s) > PART:
            self._empty_found(server_fileset, fileset)
        with self._database.writing() as connection:
            self._note_sha1s(connection, fileset, sha1s)
            give_way(connection, server_fileset, fileset)
            write_note(connection, f"{_TOLD}{fileset}", "")
            told = connection.scalar(statements.NOTED, {"of": f"{REMARK}{fileset}"})
            if told:
                write_note(connection, f"{REMARK}{fileset}", "")
            moved = self._move(
                connection,
                fileset,
                (State.IMPORTING,),
                State.IMPORTED,
                f"imported, but {told}" if told else "",
                server_fileset=server_fileset,
                images=",".join(map(str, images)),
                revision_of=self._former(connection, fileset, sha1s),
                to_annotate=int(not finished),
            )
            if not moved:
                raise JournalError(
                    f"fileset {fileset} was not being imported, yet OMERO imported it as "
                    f"Fileset:{server_fileset}: look at both before it is tried again"
                )
            if not finished:
                self._claim(connection, fileset)  # the former one has ended with the attempt

    def finished(self, fileset: int, reason: str = "") -> None:
        """Records that everything after an import is done, except for what `reason` says."""
        with self._database.writing() as connection:
            connection.execute(
                update(schema.fileset)
                .where(schema.fileset.c.id == fileset)
                .values(to_annotate=0, **({"reason": reason} if reason else {}))
            )
            connection.execute(delete(schema.claim).where(schema.claim.c.fileset == fileset))

    def remark(self, fileset: int, reason: str) -> None:
        """Notes what people should know of an imported fileset, if nothing else is noted of it."""
        table = schema.fileset.c
        with self._database.writing() as connection:
            connection.execute(
                update(schema.fileset)
                .where(
                    table.id == fileset,
                    table.state == State.IMPORTED,
                    table.to_annotate == 0,
                    table.reason == "",
                )
                .values(reason=reason, changed=self._clock(), moved_by=self._who)
            )

    def _former(self, connection: Connection, fileset: int, sha1s: Sequence[str]) -> int | None:
        """The last fileset of this user imported from the same path, if it has other bytes.

        If it has the same bytes, it was deleted in OMERO and is imported once more.
        """
        found: int | None = connection.scalar(statements.FORMER, {"fileset": fileset})
        if found is None:
            return None
        before = connection.scalars(statements.SHA1S, {"fileset": found}).all()
        return None if list(before) == list(sha1s) else found

    def _note_most_sha1s(self, fileset: int, sha1s: Sequence[str]) -> None:
        """Those of a large set, but for the last part.

        Nobody asks for them before the transaction that they belong to.
        """
        for begin in range(0, len(sha1s) - PART, PART):
            with self._database.writing() as connection:
                self._note_sha1s(connection, fileset, sha1s[begin : begin + PART], begin)

    def _note_sha1s(
        self, connection: Connection, fileset: int, sha1s: Sequence[str], begin: int = 0
    ) -> None:
        """Those that are noted already are not written again."""
        values = {"fileset": fileset, "begin": begin, "end": begin + len(sha1s)}
        there = connection.scalars(statements.SOME_SHA1S, values).all()
        for position, (sha1, noted) in enumerate(zip(sha1s, there, strict=False), begin):
            if sha1 != noted:
                noting = {"of": fileset, "at": position, "bytes": sha1}
                connection.execute(statements.NOTE_SHA1, noting)
