"""Failed sets that may be mended: a file of theirs has come, or has changed."""

from __future__ import annotations

import json
from collections.abc import Collection

from sqlalchemy import select

from . import schema
from .moves import HOME
from .records import chunks
from .rows import CHUNK, Rows
from .states import State

# Before the id of a failed fileset; the note has the paths that it lacks.
LACKS = "lacks "


class Mending(Rows):
    """Finds the failed sets that somebody mends."""

    def failed_with(self, user: str, paths: Collection[str]) -> dict[int, set[str]]:
        """Failed sets of `user` -> those of `paths` that they have, or lack.

        Sets whose first file is one of `paths` are left out, for their rows are opened with it.  So
        are those in quarantine, which come home first.
        """
        file, fileset, note, wanted = schema.file.c, schema.fileset.c, schema.meta.c, set(paths)
        has: dict[int, set[str]] = {}
        for key, said in self.notes(LACKS).items():
            if lacking := wanted.intersection(json.loads(said)):
                has[int(key.removeprefix(LACKS))] = lacking
        failed = (fileset.user == user, fileset.state == State.FAILED)
        found: dict[int, set[str]] = {}
        with self._database.reading() as connection:
            for some in chunks(sorted(wanted), CHUNK):
                members = connection.execute(
                    select(file.fileset, file.path)
                    .join_from(schema.file, schema.fileset)
                    .where(file.path.in_(some), file.position > 0, *failed)
                )
                for identifier, path in members:
                    has.setdefault(identifier, set()).add(path)
            for ids in chunks(sorted(has), CHUNK):
                keys = [f"{HOME}{one}" for one in ids]
                homes = dict(
                    connection.execute(select(note.key, note.value).where(note.key.in_(keys))).all()
                )
                for row in connection.execute(
                    select(fileset.id, fileset.path, fileset.root).where(
                        fileset.id.in_(ids), *failed
                    )
                ):
                    at_home = homes.get(f"{HOME}{row.id}", "") in ("", row.root)
                    if at_home and row.path not in wanted:
                        found[row.id] = has[row.id]
        return found
