"""What is written because a person has said so: files are handed over, tried again, set aside."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, or_, select, update

from omero_fs_plugin.errors import ImportRefused

from . import schema
from .gathering import Gathering
from .intake import reopen_or_insert, too_large
from .moves import GOES, RETURNING, Way
from .parting import CLOSED, is_away
from .records import HANDED_OVER, Fileset, Formed, Found, chunks, columns, signed
from .rows import CHUNK
from .states import OPEN, State


class Moving(ImportRefused):
    """The files of the fileset are being moved into quarantine, or back."""

    def __init__(self, path: str) -> None:
        super().__init__(
            f"{path}: its files are being moved into quarantine or back: try again after that; "
            "if DropBox was stopped meanwhile, it finishes this after its start"
        )


class ByHand(Gathering):
    """Filesets that a person decides about.

    Rule: nobody decides about a fileset while its files are being moved.  So they are not
    looked for where they were.
    """

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
        ImportRefused if some of the files are being imported with another fileset, and
        Moving if they are on their way into quarantine.
        """
        together = Formed(user, root, (found, *others), reader, plate, HANDED_OVER)
        file, fileset = schema.file.c, schema.fileset.c
        single = not others and not plate
        # A set is looked at before anybody has to wait for us; `form` looks again.
        with self._database.writing() if single else self._database.reading() as connection:
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
                self._refuse_going(connection, together)
            large = too_large(connection, user, found.path) if single and not done else []
            _refuse_away(connection, large)
            if single and not done and not large:
                done = reopen_or_insert(
                    connection, at, user, root, found, State.QUEUED, HANDED_OVER
                )
                if reader:
                    connection.execute(
                        update(schema.fileset)
                        .where(fileset.id == done, fileset.state == State.QUEUED)
                        .values(reader=reader)
                    )
            if done:
                return self._load(connection, [done])[0]
        for one in large:
            self._part_with(one, CLOSED)
        if large:
            return self.hand_over(user, root, found, reader=reader, again=again)
        done, _ = self.form(together, lambda connection: self._refuse_going(connection, together))
        if done is None:
            raise ImportRefused(
                f"{found.path}: one of its files is being imported; try again after that"
            )
        return self.load([done])[0]

    def retry(
        self, fileset: int, found: Sequence[Found] = (), reason: str = "", *, lay: str = ""
    ) -> bool:
        """failed -> queued, with all its tries again.  Returns whether it was failed.

        `found`: its files as they are now, if they are to be imported like this.  `reason` is what
        people are to know of it meanwhile.  `lay`: the path of its first file, as the caller has
        seen it; empty: it does not matter where that is now.  Raises
        ImportRefused if its first file is in another open fileset, or if the files of a
        set are in another fileset by now, and Moving.
        """
        table, file = schema.fileset.c, schema.file.c
        before = self.get(fileset)
        if before is None:
            return False
        with self._database.writing() as connection:
            path = lay or before.path
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
            now = connection.execute(
                select(table.state, table.path).where(table.id == fileset)
            ).first()
            if now is None or now.state != State.FAILED:
                return False
            _refuse_moving(connection, before.id, before.path)
            if now.path != path:  # it has gone into quarantine, or has come home
                raise Moving(path)
            if len(before.files) == 1:
                failed = (State.FAILED,)
                if not self._move(connection, fileset, failed, State.QUEUED, reason, refusals=0):
                    return False
                for position, met in enumerate(found):
                    connection.execute(
                        update(schema.file)
                        .where(file.fileset == fileset, file.position == position)
                        .values(**columns(met), sha1=None)
                    )
                return True
        # Form it anew: by now another set may have its files, or lie within it.
        again = Formed(
            before.user,
            before.root,
            found or before.files,
            before.reader,
            before.plate,
            before.origin,
        )
        identifier, _ = self.form(
            again, lambda connection: _refuse_moving(connection, before.id, before.path)
        )
        if identifier == fileset:
            with self._database.writing() as connection:
                connection.execute(
                    update(schema.fileset)
                    .where(table.id == fileset, table.state == State.QUEUED)
                    .values(reason=reason)
                )
            return True
        raise ImportRefused(
            f"{path}: its files are of fileset {identifier} by now; see `omero fs status`"
            if identifier is not None
            else f"{path}: one of its files is being imported; try again after that"
        )

    def forget(self, fileset: int, reason: str) -> bool:
        """failed -> skipped: a person has said that it need not be imported.

        Its history stays.  Returns whether it was failed.  Raises Moving.
        """
        table = schema.fileset.c
        with self._database.writing() as connection:
            path = connection.scalar(select(table.path).where(table.id == fileset))
            if path is not None:
                _refuse_moving(connection, fileset, path)
            return self._move(connection, fileset, (State.FAILED,), State.SKIPPED, reason)

    def _refuse_going(self, connection: Connection, formed: Formed) -> None:
        """Raises Moving if one of the files is on its way into quarantine, or home from there."""
        going = self._noted(connection, GOES)
        ways = {
            identifier: way
            for identifier, said in self._noted(connection, RETURNING).items()
            if (way := Way.of(said)).until > self._clock()
        }
        paths = {met.path for met in formed.found}
        for fileset in self._load(connection, [*going, *ways]):
            here = {met.path for met in fileset.files}
            if fileset.id in ways:
                root, lay = ways[fileset.id].root.rstrip("/"), ways[fileset.id].lay.rstrip("/")
                here |= {root + path.removeprefix(lay) for path in here}
            if fileset.state is State.FAILED and not paths.isdisjoint(here):
                raise Moving(fileset.path)

    @staticmethod
    def _noted(connection: Connection, prefix: str) -> dict[int, str]:
        """Fileset -> what is noted of it."""
        note = schema.meta.c
        rows = connection.execute(
            select(note.key, note.value).where(note.key.startswith(prefix, autoescape=True))
        )
        return {int(row.key.removeprefix(prefix)): row.value for row in rows if row.value}

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


def _refuse_moving(connection: Connection, fileset: int, path: str) -> None:
    note = schema.meta.c
    keys = (f"{GOES}{fileset}", f"{RETURNING}{fileset}")
    if connection.scalar(select(note.key).where(note.key.in_(keys)).limit(1)) is not None:
        raise Moving(path)


def _refuse_away(connection: Connection, filesets: Sequence[int]) -> None:
    """Raises ImportRefused if one of them lies in quarantine: there its files are kept together."""
    table = schema.fileset.c
    rows = connection.execute(
        select(table.id, table.path, table.state, table.root).where(table.id.in_(filesets))
    )
    for row in rows.all():
        if is_away(connection, row.id, row):
            raise ImportRefused(
                f"{row.path}: lies in quarantine: try it again with "
                f"`omero fs import --retry {row.id}`"
            )


def _has_just(fileset: Fileset, formed: Formed) -> bool:
    """Whether the fileset has just these files, as they are now."""
    return {met.stat for met in fileset.files} == {met.stat for met in formed.found}
