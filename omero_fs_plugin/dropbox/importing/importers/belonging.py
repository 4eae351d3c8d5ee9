"""Where OMERO wants the files of a fileset that are put into its repository by us.

Each question is a call.  So of a fileset with many files the next lot is asked for, and the files
are put there in the same order.
"""

from __future__ import annotations

import threading
from pathlib import PurePosixPath
from typing import Any

import omero.sys
from omero.rtypes import rlong, unwrap

from omero_fs_plugin.blitz.user_session import UserSession
from omero_fs_plugin.blitz.verdicts import server_errors
from omero_fs_plugin.errors import ImportRefused

FEW = 4  # files of a fileset: with fewer, each is asked for by itself
LOT = 1000  # files that are asked for at once
_ONE = "select o.path, o.name from OriginalFile o where o.id = :id"
_WHOSE = "select f.id from Fileset f join f.usedFiles e join e.originalFile o where o.id = :id"
_SOME = (
    "select e.id, e.clientPath, o.path, o.name from Fileset f join f.usedFiles e "
    "join e.originalFile o where f.id = :id and e.id > :after order by e.id"
)


class Belonging:
    """The places of the files of one fileset, below the root of the repository.

    Thread-safe.  It keeps two lots, however many files there are.
    """

    def __init__(self, session: UserSession, files: int) -> None:
        self._session = session
        self._files = files
        self._lock = threading.Lock()
        self._fileset: int | None = None
        self._after = 0  # the id of the last entry that was asked for; -1: that was all
        self._lots: list[dict[str, PurePosixPath]] = [{}, {}]

    def place(self, store: Any, client_path: str) -> PurePosixPath:
        """Where the file with this client path belongs, for which OMERO gave the RawFileStore.

        Raises ImportRefused if that is outside the repository, and what `server_errors` raises.
        """
        with server_errors("asking where a file belongs"):
            found = self._of_many(store, client_path) if self._files >= FEW else None
            if found is None:
                ((path, name),) = self._ask(_ONE, id=unwrap(store.getFileId()))
                found = _below(path, name)
        if ".." in found.parts:
            raise ImportRefused(f"OMERO wants a file at {found}, outside its repository")
        return found

    def _of_many(self, store: Any, client_path: str) -> PurePosixPath | None:
        """None: OMERO has it in another order, or under another path."""
        with self._lock:
            if self._fileset is None:
                ((fileset,),) = self._ask(_WHOSE, id=unwrap(store.getFileId()))
                self._fileset = unwrap(fileset)
            while (found := self._known(client_path)) is None and self._after >= 0:
                rows = self._ask(_SOME, LOT, id=self._fileset, after=self._after)
                lot = {str(unwrap(known)): _below(path, name) for _, known, path, name in rows}
                self._lots = [self._lots[1], lot]
                self._after = unwrap(rows[-1][0]) if len(rows) == LOT else -1
            return found

    def _known(self, client_path: str) -> PurePosixPath | None:
        return next((lot[client_path] for lot in self._lots if client_path in lot), None)

    def _ask(self, text: str, most: int = 0, **values: int) -> Any:
        parameters = omero.sys.ParametersI()
        parameters.map = {name: rlong(value) for name, value in values.items()}
        if most:
            parameters.page(0, most)
        return self._session.query.projection(text, parameters)


def _below(path: Any, name: Any) -> PurePosixPath:
    return PurePosixPath(str(unwrap(path) or "").lstrip("/"), str(unwrap(name)))
