"""Going on with an upload that an earlier attempt began, after DropBox was killed.

OMERO keeps an upload for as long as the session in which it began, and lists it to the same user
in another session.  So the files that are there already, and have our bytes, are not sent again.
Which of the listed uploads is ours is known by its mark, which the journal keeps.  The mark is
a hash, because the name of the upload has the key of that session in it.

The router gives a client nothing that belongs to another session: it answers that there is no such
object.  So whoever goes on joins the session in which the upload began.

The sources are OMERO's Slice documentation of ManagedRepository (`listImports`) and ImportProcess,
and "Glacier2.Filter.Category" in the manual of Ice, which OMERO's session manager sets.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import Ice
import omero.sys
from omero.rtypes import rlong, unwrap

from omero_fs_plugin.blitz.filesets import in_pages
from omero_fs_plugin.blitz.user_session import UserSession
from omero_fs_plugin.blitz.verdicts import server_errors
from omero_fs_plugin.errors import ImportRefused, ServerAwayError, UnclearError, UserError
from omero_fs_plugin.packed import Sha1s

log = logging.getLogger(__name__)

_LOOKING = "looking for an upload that was begun"
# The key of a session, in the category of what belongs to it
_KEY = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
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
    session: UserSession  # in which it goes on; if it is another, whoever asked closes it
    first: int  # OriginalFile id of its first file
    sha1s: Sequence[str | None]  # of each file in OMERO; None or empty: it is not there


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
    at, found = session, None
    try:
        process = _listed(repository, known, wanted)
        if process is None:
            return None
        key = _KEY.search(process.ice_getIdentity().category)
        if key is not None and key[0] != session.key:
            at = session.beside(key[0])
            process = _listed(at.managed_repository(), known, wanted)
        if process is not None:
            found = _there(at, process, files)
    except (ImportRefused, UnclearError, UserError) as error:
        log.info("an upload that was begun is not gone on with: %s", error)
    except ServerAwayError as error:
        if not isinstance(error.__cause__, Ice.RequestFailedException):
            raise
        # What it belonged to has just ended.
        log.info("an upload that was begun is not gone on with: %s", error)
    finally:
        if found is None and at is not session:
            at.close()
    return found


def _listed(repository: Any, known: str, wanted: Sequence[str]) -> Any:
    """The ImportProcess with the mark `known`; None if there is none."""
    with server_errors(_LOOKING):
        for process in repository.listImports():
            if process is not None and mark(process, wanted) == known:
                return process
    return None


def _there(session: UserSession, process: Any, files: int) -> Begun | None:
    """What OMERO has of the upload of `files` files; None if that cannot be gone on with."""
    with server_errors(_LOOKING):
        if process.getHandle() is not None:  # OMERO was told to import it
            return None
        store = process.getUploader(0)
        try:
            first = unwrap(store.getFileId())
        finally:
            store.close()
        query = session.services.getQueryService()
        parameters = omero.sys.ParametersI()
        parameters.map = {"id": rlong(first)}
        whose = query.projection(_WHOSE, parameters)
        if not whose:  # it was deleted, or has images
            return None
        rows = in_pages(query, _HASHES, {"id": whose[0][0]}, context=None)
        sha1s = Sha1s(unwrap(row[1]) for row in rows)
    return Begun(process, session, first, sha1s) if len(sha1s) == files else None
