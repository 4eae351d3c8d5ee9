"""What is known of every file and fileset, on disk, before and after each act.

Many threads may use one `Journal`, and several processes may open the same one:
DropBox, and the command line, which hands files over or shows what is known.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, insert, or_, select, update

from omero_fs_plugin.blitz.filesets import ServerFileset
from omero_fs_plugin.errors import ImportRefused, JournalError
from omero_fs_plugin.events import FileStat

from . import schema
from .afterwards import Afterwards
from .forming import absorb, forget, form, give_up, unite
from .intake import (
    Stamp,
    as_store,
    dissolve,
    insert_found,
    insert_new,
    reopen_or_insert,
    wait_each,
)
from .outbox import Outbox
from .reader import CHUNK, JournalReader
from .records import (
    HANDED_OVER,
    MET,
    STAT_COLUMNS,
    Fileset,
    Formed,
    Found,
    Held,
    chunks,
    columns,
    signed,
    stat_columns,
)
from .states import OPEN, State

# Before the id of a failed fileset; the note has the paths that it lacks.
LACKS = "lacks "
# How long (s) a claim lasts; it is renewed with the lease.
CLAIMED_S = 60.0


class Journal(JournalReader):
    """The journal, for reading and writing.

    Rule: a fileset changes its state in one statement, which names the state before.
    So if two try this, only one succeeds.  The database refuses illegal transitions.
    """

    _held = Held()  # the lease that this process works under

    @property
    def outbox(self) -> Outbox:
        """What people are to be told."""
        return Outbox(self._database, self._clock)

    @property
    def afterwards(self) -> Afterwards:
        """What becomes of the files of imported filesets."""
        return Afterwards(self._database, self._clock, _note)

    def moved(self, fileset: int, position: int, found: Found) -> None:
        """Records that an accounted file now has this path and stat."""
        with self._database.writing() as connection:
            connection.execute(
                update(schema.file)
                .where(schema.file.c.fileset == fileset, schema.file.c.position == position)
                .values(**columns(found))
            )
            if position == 0:
                connection.execute(
                    update(schema.fileset)
                    .where(schema.fileset.c.id == fileset)
                    .values(path=found.path)
                )

    def met(self, fileset: int, of: int, found: Sequence[Found]) -> bool:
        """Records that `fileset`, which is importing, has the files of `of`, which was imported.

        `found`: the files as they are now.  Only `of` remains, with the history of both.  Returns
        whether `fileset` was importing.
        """
        file = schema.file.c
        again = f"met again, as fileset {fileset}: it has the same bytes"
        with self._database.writing() as connection:
            if not self._move(connection, fileset, (State.IMPORTING,), State.SKIPPED, again):
                return False
            for position, met in enumerate(found):
                connection.execute(
                    update(schema.file)
                    .where(file.fileset == of, file.position == position)
                    .values(**columns(met))
                )
            connection.execute(
                update(schema.fileset)
                .where(schema.fileset.c.id == of)
                .values(path=found[0].path, origin=MET)
            )
            unite(connection, fileset, of)
            return True

    def put_elsewhere(self, fileset: int, root: str, found: Sequence[Found]) -> None:
        """Records that the files of a failed fileset lie below another `root` now."""
        file = schema.file.c
        with self._database.writing() as connection:
            connection.execute(
                update(schema.fileset)
                .where(schema.fileset.c.id == fileset)
                .values(root=root, path=found[0].path)
            )
            for position, met in enumerate(found):
                connection.execute(
                    update(schema.file)
                    .where(file.fileset == fileset, file.position == position)
                    .values(**columns(met))
                )

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

    def hand_over(
        self,
        user: str,
        root: str,
        found: Found,
        *others: Found,
        reader: str = "",
        plate: bool = False,
        again: bool = False,
    ) -> Fileset:
        """Queues a fileset at once, without a quiet period, and returns it.

        `found` is the file that OMERO opens first.

        If the fileset is queued or importing, it stays so.  If it was imported and has
        not changed, it stays imported.  The caller sees this from the state.  With
        `again` it is imported once more, because OMERO no longer has it.  Raises
        ImportRefused if some of the files are being imported with another fileset.
        """
        together = Formed(user, root, (found, *others), reader, plate, HANDED_OVER)
        file, fileset = schema.file.c, schema.fileset.c
        with self._database.writing() as connection:
            done = connection.scalar(
                select(fileset.id)
                .join_from(schema.file, schema.fileset)
                .where(
                    or_(file.device == signed(found.stat.device), file.path == found.path),
                    file.inode == signed(found.stat.inode),
                    file.size == found.stat.size,
                    file.mtime_ns == found.stat.mtime_ns,
                    file.ctime_ns == found.stat.ctime_ns,
                    fileset.user == user,
                    fileset.state.in_(
                        (State.QUEUED, State.IMPORTING, *(() if again else (State.IMPORTED,)))
                    ),
                )
                .order_by(fileset.id.desc())
                .limit(1)
            )
            at = self._stamp()
            if done and others and not _has_just(self._load(connection, [done])[0], together):
                done = None  # a file was added to it, or has changed
            if not done:
                self._refuse_others(connection, together)
            if not done and (others or plate):
                done, _ = form(connection, at, together)
                if done is None:
                    raise ImportRefused(
                        f"{found.path}: one of its files is being imported; try again after that"
                    )
            elif not done:
                done = reopen_or_insert(
                    connection, at, user, root, found, State.QUEUED, HANDED_OVER
                )
                if reader:
                    connection.execute(
                        update(schema.fileset)
                        .where(fileset.id == done, fileset.state == State.QUEUED)
                        .values(reader=reader)
                    )
            return self._load(connection, [done])[0]

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

    def settle_anew(self, fileset: int, reason: str) -> bool:
        """importing -> waiting, each file of a set by itself.  Returns whether it was importing.

        One of the files has changed, so it must be found out again which belong together.
        """
        with self._database.writing() as connection:
            done = self._move(connection, fileset, (State.IMPORTING,), State.WAITING, reason)
            if done:
                dissolve(connection, self._stamp(), fileset)
            return done

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

    def move(
        self, fileset: int, before: State | tuple[State, ...], after: State, reason: str = ""
    ) -> bool:
        """Moves a fileset if it is still in `before`.  Returns whether it was.

        Raises JournalError if the transition is illegal.
        """
        befores = before if isinstance(before, tuple) else (before,)
        with self._database.writing() as connection:
            return self._move(connection, fileset, befores, after, reason)

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

    def give_up(self, filesets: Sequence[int], reason: str, lacks: Sequence[str]) -> int | None:
        """Fails parts of a set, which have waited long enough, as one fileset.  Returns its id.

        `filesets`: those of its files that wait, in their order.  The result is None if
        one of them no longer waits.  `lacks`: the paths of missing files, if known.
        """
        with self._database.writing() as connection:
            failed = give_up(connection, self._stamp(), filesets, reason)
            if failed is not None:
                _note(connection, f"{LACKS}{failed}", json.dumps(list(lacks)))
            return failed

    def take(
        self,
        user: str,
        not_now: Collection[int] = (),
        roots_away: Collection[str] = (),
        root: str = "",
    ) -> Fileset | None:
        """queued -> importing for the user's oldest fileset: an attempt begins.

        Those with ids in `not_now`, or in directories of `roots_away`, are passed over,
        and if `root` is given those of other roots.
        """
        fileset = schema.fileset.c
        with self._database.writing() as connection:
            identifier = connection.scalar(
                select(fileset.id)
                .where(
                    fileset.state == State.QUEUED,
                    fileset.user == user,
                    fileset.id.not_in(list(not_now)),
                    fileset.root.not_in(list(roots_away)),
                    *((fileset.root == root,) if root else ()),
                )
                .order_by(fileset.id)
                .limit(1)
            )
            if identifier is None:
                return None
            connection.execute(
                update(schema.fileset)
                .where(fileset.id == identifier, fileset.state == State.QUEUED)
                .values(
                    state=State.IMPORTING,
                    reason="",
                    attempts=fileset.attempts + 1,
                    changed=self._clock(),
                    moved_by=self._who,
                )
            )
            connection.execute(
                insert(schema.claim).values(
                    fileset=identifier,
                    holder=self._held.holder or self._who,
                    epoch=self._held.epoch,
                    until=self._clock() + CLAIMED_S,
                )
            )
            return self._load(connection, [identifier])[0]

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

    def retry(self, fileset: int, found: Sequence[Found] = ()) -> bool:
        """failed -> queued, with all its tries again.  Returns whether it was failed.

        `found`: its files as they are now, if they are to be imported like this.  Raises
        ImportRefused if its first file is in another open fileset, or if the files of a
        set are in another fileset by now.
        """
        table, file = schema.fileset.c, schema.file.c
        with self._database.writing() as connection:
            path = connection.scalar(select(table.path).where(table.id == fileset))
            others = connection.execute(
                select(table.id, table.user, table.state).where(
                    table.path == path, table.id != fileset
                )
            )
            for other in others:
                if other.state in OPEN:
                    raise ImportRefused(
                        f"{path}: is {other.state} for {other.user}, as fileset {other.id}; "
                        "see `omero fs status`"
                    )
            (before,) = self._load(connection, [fileset]) or (None,)
            if before is None or before.state is not State.FAILED:
                return False
            if len(before.files) > 1:
                # Form it anew: by now another set may have its files, or lie within it.
                again = Formed(
                    before.user,
                    before.root,
                    found or before.files,
                    before.reader,
                    before.plate,
                    before.origin,
                )
                identifier, _ = form(connection, self._stamp(), again)
                if identifier == fileset:
                    return True
                raise ImportRefused(
                    f"{path}: its files are of fileset {identifier} by now; see `omero fs status`"
                    if identifier is not None
                    else f"{path}: one of its files is being imported; try again after that"
                )
            if not self._move(connection, fileset, (State.FAILED,), State.QUEUED, "", refusals=0):
                return False
            for position, met in enumerate(found):
                connection.execute(
                    update(schema.file)
                    .where(file.fileset == fileset, file.position == position)
                    .values(**columns(met), sha1=None)
                )
            return True

    def forget(self, fileset: int, reason: str) -> bool:
        """failed -> skipped: a person has said that it need not be imported.

        Its history stays.  Returns whether it was failed.
        """
        with self._database.writing() as connection:
            return self._move(connection, fileset, (State.FAILED,), State.SKIPPED, reason)

    def note_verified(
        self,
        fileset: Fileset,
        sha1s: Sequence[str],
        known: Collection[int] | None = None,
        apart: Collection[int] = (),
    ) -> int | None:
        """Records, before OMERO is told to import, that it may have images from now on.

        `sha1s`: of the files' bytes, lower-case hex, in their order.  Nothing is written
        if the same content is under way for the same user; the result is then the id of
        that other fileset.  The same holds if the content was imported since it was
        compared: two importers may have equal files at the same time, and one is faster.
        `known` are the imported filesets known at that comparison; None if copies are
        wanted.  And the same holds if other users have the same file, but for `apart`,
        filesets of others that it need not wait for.
        """
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
                connection.execute(
                    update(schema.fileset)
                    .where(schema.fileset.c.id == fileset.id)
                    .values(verified=1)
                )
        return other

    def note_nothing_there(self, fileset: int) -> None:
        """Records that OMERO has nothing of a fileset that it was once told to import."""
        with self._database.writing() as connection:
            connection.execute(
                update(schema.fileset).where(schema.fileset.c.id == fileset).values(verified=0)
            )

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

        If not `finished`, something is still to be done.  Call the method `finished` after that.
        """
        with self._database.writing() as connection:
            self._note_sha1s(connection, fileset, sha1s)
            moved = self._move(
                connection,
                fileset,
                (State.IMPORTING,),
                State.IMPORTED,
                "",
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

    def finished(self, fileset: int, reason: str = "") -> None:
        """Records that everything after an import is done, except for what `reason` says."""
        with self._database.writing() as connection:
            connection.execute(
                update(schema.fileset)
                .where(schema.fileset.c.id == fileset)
                .values(to_annotate=0, **({"reason": reason} if reason else {}))
            )

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

    def found_in_omero(self, user: str, root: str, found: Sequence[ServerFileset]) -> int:
        """Records imports that this journal does not know, and returns their number.

        If the path has an open fileset, the import is left out: the next attempt asks
        OMERO itself.
        """
        fileset, at, number = schema.fileset.c, self._stamp(), 0
        found = [as_store(one) for one in found]
        with self._database.writing() as connection:
            for chunk in chunks(found, CHUNK):
                paths = [f"/{f.paths[0]}" for f in chunk]
                rows = connection.execute(
                    select(fileset.path, fileset.state).where(fileset.path.in_(paths))
                )
                met = {path for path, state in rows if state in OPEN}
                recorded = set(
                    connection.scalars(
                        select(fileset.server_fileset).where(
                            fileset.server_fileset.in_([f.id for f in chunk])
                        )
                    )
                )
                for there, path in zip(chunk, paths, strict=True):
                    if there.id not in recorded and path not in met:
                        insert_found(connection, at, user, root, there)
                        number += 1
        return number

    def note(self, key: str, value: str) -> None:
        """Keeps a value beyond the life of this process.  An empty value removes it."""
        with self._database.writing() as connection:
            _note(connection, key, value)

    def set_lease(self, before: Held, after: Held) -> bool:
        """Changes the lease if it is still `before`.  Returns whether it was.

        This also renews the claims that the holder of `after` has.
        """
        table, claim = schema.lease, schema.claim
        values = {"holder": after.holder, "count": after.count, "epoch": after.epoch}
        with self._database.writing(fenced=False) as connection:
            done = connection.execute(
                update(table)
                .where(
                    table.c.holder == before.holder,
                    table.c.count == before.count,
                    table.c.epoch == before.epoch,
                )
                .values(values)
            ).rowcount
            if not done:
                if before != Held() or connection.scalar(select(table.c.id)) is not None:
                    return False
                connection.execute(insert(table).values(id=1, **values))
            connection.execute(
                update(claim)
                .where(claim.c.holder == after.holder, claim.c.epoch == after.epoch)
                .values(until=self._clock() + CLAIMED_S)
            )
        return True

    def work_as(self, held: Held, lost: Callable[[], None] = lambda: None) -> None:
        """Makes every write under this lease from now on.

        A write is refused after the lease has passed to another.  `lost` is called at each
        refusal, in the thread that was refused.
        """
        self._held = held
        self._database.lease, self._database.lost = (held.holder, held.epoch), lost

    def make_sure(self) -> None:
        """Raises LeaseLost if the lease has passed to another."""
        with self._database.writing():
            pass

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

    def _refuse_others(self, connection: Connection, formed: Formed) -> None:
        """Raises ImportRefused if another user has an open fileset with one of the files."""
        table = schema.fileset.c
        for some in chunks([met.path for met in formed.found], CHUNK):
            rows = connection.execute(
                select(table.id, table.path, table.user, table.state).where(table.path.in_(some))
            )
            for row in rows:
                if row.user != formed.user and row.state in OPEN:
                    raise ImportRefused(
                        f"{row.path}: is {row.state} for {row.user}, as fileset {row.id}; "
                        "see `omero fs status`, and try again after that"
                    )

    def _stamp(self) -> Stamp:
        return Stamp(self._clock(), self._who)

    def _move(
        self,
        connection: Connection,
        fileset: int,
        before: tuple[State, ...],
        after: State,
        reason: str,
        **values: Any,
    ) -> bool:
        done = connection.execute(
            update(schema.fileset)
            .where(schema.fileset.c.id == fileset, schema.fileset.c.state.in_(before))
            .values(
                state=after,
                reason=reason,
                waited=0.0,
                changed=self._clock(),
                moved_by=self._who,
                **values,
            )
        )
        return done.rowcount == 1

    def _former(self, connection: Connection, fileset: int, sha1s: Sequence[str]) -> int | None:
        """The last fileset of this user imported from the same path, if it has other bytes.

        If it has the same bytes, it was deleted in OMERO and is imported once more.
        """
        this, former = schema.fileset.alias("this").c, schema.fileset.alias("former").c
        found: int | None = connection.scalar(
            select(func.max(former.id)).where(
                this.id == fileset,
                former.path == this.path,
                former.user == this.user,
                former.state == State.IMPORTED,
            )
        )
        file = schema.file.c
        before = connection.scalars(
            select(file.sha1).where(file.fileset == found).order_by(file.position)
        ).all()
        return None if list(before) == list(sha1s) else found

    def _note_sha1s(self, connection: Connection, fileset: int, sha1s: Sequence[str]) -> None:
        for position, sha1 in enumerate(sha1s):
            connection.execute(
                update(schema.file)
                .where(schema.file.c.fileset == fileset, schema.file.c.position == position)
                .values(sha1=sha1)
            )


def _note(connection: Connection, key: str, value: str) -> None:
    connection.execute(delete(schema.meta).where(schema.meta.c.key == key))
    if value:
        connection.execute(insert(schema.meta).values(key=key, value=value))


def _has_just(fileset: Fileset, formed: Formed) -> bool:
    """Whether the fileset has just these files, as they are now."""
    return {met.stat for met in fileset.files} == {met.stat for met in formed.found}
