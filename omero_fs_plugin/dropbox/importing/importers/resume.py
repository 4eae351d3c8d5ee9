"""Going on with an upload that an earlier attempt began, after DropBox was killed.

OMERO keeps an upload for as long as the session in which it began, and lists it to the same user
in another session.  So the files that are there already, and have our bytes, are not sent again.
Which of the listed uploads is ours is known by its mark, which the journal keeps.  The mark is
a hash, because the name of the upload may have the key of a session in it.

The source is OMERO's Slice documentation of ManagedRepository (`listImports`) and ImportProcess.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import Ice
import omero.sys
from omero.rtypes import rlong, unwrap

from omero_fs_plugin.blitz.filesets import in_pages
from omero_fs_plugin.blitz.user_session import UserSession
from omero_fs_plugin.blitz.verdicts import server_errors
from omero_fs_plugin.errors import ImportRefused, UnclearError, UserError
from omero_fs_plugin.packed import Sha1s

log = logging.getLogger(__name__)

FEWEST = 20  # files of a fileset: with fewer, to begin anew costs hardly more than to ask
_WHOSE = (
    "select f.id from Fileset f join f.usedFiles e join e.originalFile o where o.id = :id "
    "and not exists (select i.id from Image i where i.fileset.id = f.id)"
)
_HASHES = (
    "select e.id, o.hash from Fileset f join f.usedFiles e join e.originalFile o "
    "where f.id = :id and e.id > :beyond order by e.id"
)


@dataclass(frozen=True)
class Begun:
    """An upload that was begun."""

    process: Any  # OMERO's ImportProcess
    first: int = 0  # OriginalFile id of its first file
    sha1s: Sequence[str | None] = ()  # of each file in OMERO; None or empty: it is not there


def mark(process: Any, wanted: Iterable[str]) -> str:
    """What an upload is known by.  `wanted` is all that OMERO was told when it began."""
    whole = hashlib.sha256(Ice.identityToString(process.ice_getIdentity()).encode())
    for one in wanted:
        whole.update(b"\0" + one.encode(errors="surrogateescape"))
    return whole.hexdigest()


def marked(
    session: UserSession, repository: Any, known: str, wanted: Sequence[str], files: int
) -> Begun | None:
    """The upload of `files` files with the mark `known`; None: none can be gone on with.

    Raises ServerAwayError.
    """
    if not known:
        return None
    try:
        with server_errors("looking for an upload that was begun"):
            for process in repository.listImports():
                if process is not None and mark(process, wanted) == known:
                    found = _there(session, process)
                    told = process.getHandle() is not None  # OMERO was told to import it
                    return None if told or len(found.sha1s) != files else found
    except (ImportRefused, UnclearError, UserError) as error:
        log.info("an upload that was begun is not gone on with: %s", error)
    return None


def _there(session: UserSession, process: Any) -> Begun:
    """What OMERO has of the upload; no file, if its fileset was deleted or has images."""
    store = process.getUploader(0)
    try:
        first = unwrap(store.getFileId())
    finally:
        store.close()
    ask = session.services.getQueryService().projection
    parameters = omero.sys.ParametersI()
    parameters.map = {"id": rlong(first)}
    found = ask(_WHOSE, parameters)
    if not found:
        return Begun(process)
    parameters.map = {"id": found[0][0]}
    query = session.services.getQueryService()
    rows = in_pages(query, _HASHES, parameters.map, context=None)
    return Begun(process, first, Sha1s(unwrap(row[1]) for row in rows))
